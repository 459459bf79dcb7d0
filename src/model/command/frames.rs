//! Frames of docs/command-protocol.md: kind and length of the body (little-endian u32), then the body.

use super::child::Names;
use std::collections::BTreeMap;

pub const VERSION: u32 = 1;

pub const HELLO: u32 = 1;
pub const POINTS: u32 = 2;
pub const RESULTS: u32 = 3;
pub const ERROR: u32 = 4;
pub const BYE: u32 = 5;
pub const GRADIENT: u32 = 6;

/// What a child may say of a point.
pub const OK: u8 = 0;
pub const REJECT: u8 = 1;
pub const FAILED: u8 = 2;
pub const FATAL: u8 = 3;

/// Bodies longer than this are surely no bodies: the child wrote something else into the pipe.
pub const LONGEST: u32 = 1 << 30;

/// A frame that a child sent.
pub struct Frame {
    pub kind: u32,
    pub body: Vec<u8>,
}

/// What a child gave for `n` points.
pub struct Reply {
    /// n x columns, row-major.
    pub values: Vec<f64>,
    /// One a point: [`OK`], ...
    pub status: Vec<u8>,
    /// Error texts by the number of the point in the request.
    pub texts: BTreeMap<usize, String>,
}

/// Header and body in one piece, so that they are one write.
pub fn frame(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + body.len());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Kind and length of the body, of the first 8 bytes. Errors: what they are instead.
pub fn header(bytes: [u8; 8]) -> Result<(u32, usize), String> {
    let (kind, length) = bytes.split_at(4);
    let number = |b: &[u8]| u32::from_le_bytes(b.try_into().expect("4 bytes"));
    let (kind, length) = (number(kind), number(length));
    match kind {
        HELLO | RESULTS | ERROR if length <= LONGEST => Ok((kind, length as usize)),
        _ => Err(format!(
            "its answer begins with \"{}\", which is no frame of the protocol (kind {kind}, length {length})",
            bytes.escape_ascii()
        )),
    }
}

/// n x d points: n and d as u32, then the values.
pub fn points(kind: u32, values: &[f64], d: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + 8 * values.len());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&((8 + 8 * values.len()) as u32).to_le_bytes());
    bytes.extend_from_slice(&((values.len() / d) as u32).to_le_bytes());
    bytes.extend_from_slice(&(d as u32).to_le_bytes());
    values.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
    bytes
}

/// The first frame, in lines of text.
pub fn hello(names: &Names, (rank, worker): (usize, usize), batch: usize) -> Vec<u8> {
    let mut text = format!("fitjob {VERSION}\nrank {rank}\nworker {worker}\nbatch {batch}\n");
    names.parameters.iter().for_each(|name| text += &format!("parameter {name}\n"));
    names.derived.iter().for_each(|name| text += &format!("derived {name}\n"));
    frame(HELLO, text.as_bytes())
}

/// Reads a child's hello. Gives whether it has gradients; errors: why it cannot be worked with.
pub fn check_hello(body: &[u8], names: &Names) -> Result<bool, String> {
    let text = String::from_utf8_lossy(body);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    match first.strip_prefix("fitjob ").map(str::trim).map(str::parse::<u32>) {
        Some(Ok(VERSION)) => {}
        Some(Ok(other)) => return Err(format!("it speaks version {other} of the protocol; this fitjob speaks version {VERSION}")),
        _ => return Err(format!("its hello begins with \"{}\" instead of \"fitjob {VERSION}\"", first.escape_debug())),
    }
    let said = |what: &str| -> Vec<String> { text.lines().filter_map(|l| l.strip_prefix(what)).map(|l| l.trim().into()).collect() };
    for (what, theirs, ours) in
        [("parameters", said("parameter "), &names.parameters), ("derived quantities", said("derived "), &names.derived)]
    {
        if !theirs.is_empty() && theirs != *ours {
            return Err(format!(
                "it takes the {} {what} {}, and the job gives it {}: {} (say [model] {} in its order)",
                theirs.len(),
                theirs.join(", "),
                ours.len(),
                if ours.is_empty() { "none".into() } else { ours.join(", ") },
                if what == "parameters" { what } else { "derived" },
            ));
        }
    }
    Ok(lines.any(|line| line.trim() == "gradient"))
}

/// Reads the body of a results frame for `n` points with `columns` values each.
pub fn results(body: &[u8], n: usize, columns: usize) -> Result<(Vec<f64>, Vec<u8>), String> {
    let number = |at: usize| body.get(at..at + 4).map(|b| u32::from_le_bytes(b.try_into().expect("4 bytes")) as usize);
    let (Some(rows), Some(width)) = (number(0), number(4)) else {
        return Err(format!("its answer of {} bytes is too short", body.len()));
    };
    if rows != n {
        return Err(format!("it was given {n} points and answered {rows}"));
    }
    if width != columns {
        return Err(format!("it gave {width} values a point where {columns} are expected"));
    }
    let expected = 8 + n * columns * 8 + n;
    if body.len() != expected {
        return Err(format!("its answer has {} bytes where {expected} are expected", body.len()));
    }
    let (values, status) = body[8..].split_at(n * columns * 8);
    let values = values.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes"))).collect();
    match status.iter().find(|s| **s > FATAL) {
        Some(status) => Err(format!("it gave a point the status {status}; 0 to {FATAL} have a meaning")),
        None => Ok((values, status.to_vec())),
    }
}

/// Number of the point and text of an error frame.
pub fn error(body: &[u8]) -> Result<(usize, String), String> {
    let Some((number, text)) = body.split_first_chunk::<4>() else {
        return Err(format!("an error frame of {} bytes has no number of a point", body.len()));
    };
    Ok((u32::from_le_bytes(*number) as usize, String::from_utf8_lossy(text).trim_end().to_string()))
}
