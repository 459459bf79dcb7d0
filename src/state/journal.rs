//! The journal as bytes: a header, then one record a finished likelihood call. Pure; any input is read without a panic.
//!
//! A record's checksum covers the file's header and the record's place in the file too: a stale block of another
//! journal, or a repeated piece of this one, is no record.

use crate::task::{Evaluation, TaskId};
use std::fmt;

pub const MAGIC: [u8; 8] = *b"\x89fitjobJ";
pub const VERSION: u32 = 1;
/// Bytes before the first record.
pub const HEADER: usize = 40;
/// Length and checksum before each payload.
const PREFIX: usize = 8;
const CALL: u8 = 1;
const VALUE: u8 = 0;
const REJECTED: u8 = 1;
/// A reason is cut to this; so that no record is long.
const LONGEST_REASON: usize = 4096;

/// What a journal belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub number: u64,
    /// Names the job: a journal of another job is of no use, although its records are whole.
    pub job: [u8; 16],
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// None if the header is not whole (then there are no evaluations).
    pub head: Option<Head>,
    /// In the order in which they were recorded.
    pub evaluations: Vec<Evaluation>,
    pub tail: Tail,
}

/// What follows the last whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// The file ends within a record (or the header), as a kill while writing leaves it.
    Torn { at: u64, bytes: u64 },
    /// Bytes that are no record, although there are enough of them.
    Damaged { at: u64, bytes: u64 },
    /// Whole, and of a format that this program does not know.
    Newer { what: String },
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Tail::Clean => f.write_str("it ends with a whole record"),
            Tail::Torn { at, bytes } => write!(f, "it ends within a record: the last {bytes} bytes, from byte {at}, are cut off"),
            Tail::Damaged { at, bytes } => write!(f, "it is damaged at byte {at}: that and the {bytes} bytes from there on are not used"),
            Tail::Newer { what } => write!(f, "it is of a newer format: {what}"),
        }
    }
}

/// The first [`HEADER`] bytes of a journal.
pub fn header(head: Head) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[0..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..20].copy_from_slice(&head.number.to_le_bytes());
    out[20..36].copy_from_slice(&head.job);
    let crc = crc32fast::hash(&out[..36]);
    out[36..40].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Appends the record of `evaluation` to `out`, whose end will be at byte `at` of the journal with this head.
pub fn encode(out: &mut Vec<u8>, head: Head, at: u64, evaluation: &Evaluation) {
    let start = out.len();
    let (status, value, reason) = match &evaluation.outcome {
        Ok(value) => (VALUE, *value, ""),
        Err(reason) => (REJECTED, f64::NAN, &reason[..reason.floor_char_boundary(LONGEST_REASON)]),
    };
    out.extend_from_slice(&[0; PREFIX]);
    out.extend_from_slice(&[CALL, status]);
    out.extend_from_slice(&evaluation.id.lane.to_le_bytes());
    out.extend_from_slice(&evaluation.id.seq.to_le_bytes());
    out.extend_from_slice(&evaluation.seconds.to_le_bytes());
    out.extend_from_slice(&(evaluation.u.len() as u32).to_le_bytes());
    out.extend_from_slice(&(evaluation.derived.len() as u32).to_le_bytes());
    out.extend_from_slice(&value.to_le_bytes());
    for number in evaluation.u.iter().chain(&evaluation.derived) {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(reason.as_bytes());
    let length = ((out.len() - start - PREFIX) as u32).to_le_bytes();
    let crc = checksum(head, at, length, &out[start + PREFIX..]);
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(head: Head, at: u64, length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head.job);
    hasher.update(&head.number.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// All whole records up to the first that is not.
pub fn read(bytes: &[u8]) -> Content {
    let mut content = Content { head: None, evaluations: Vec::new(), tail: Tail::Clean };
    let head = match read_header(bytes) {
        Ok(head) => head,
        Err(tail) => return Content { tail, ..content },
    };
    content.head = Some(head);
    let mut at = HEADER;
    while at < bytes.len() {
        match read_record(head, at as u64, &bytes[at..]) {
            Ok((evaluation, length)) => {
                content.evaluations.push(evaluation);
                at += length;
            }
            Err(tail) => {
                content.tail = tail.at(at, bytes.len());
                break;
            }
        }
    }
    content
}

/// Why bytes are no record.
enum Refusal {
    /// They are too few.
    Torn,
    Damaged,
    /// They are whole, and of a kind that this program does not know.
    Newer,
}

impl Refusal {
    fn at(self, at: usize, end: usize) -> Tail {
        let (at, bytes) = (at as u64, (end - at) as u64);
        match self {
            Refusal::Torn => Tail::Torn { at, bytes },
            Refusal::Damaged => Tail::Damaged { at, bytes },
            Refusal::Newer => Tail::Newer { what: format!("a record of a kind that this program does not know, at byte {at}") },
        }
    }
}

fn read_header(bytes: &[u8]) -> Result<Head, Tail> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Err(if bytes.is_empty() { Tail::Clean } else { Refusal::Torn.at(0, bytes.len()) });
    };
    if header[..8] != MAGIC || crc32fast::hash(&header[..36]).to_le_bytes() != header[36..] {
        return Err(Refusal::Damaged.at(0, bytes.len()));
    }
    let mut rest = &header[8..36];
    let version = take(&mut rest).map_or(0, u32::from_le_bytes);
    if version != VERSION {
        return Err(Tail::Newer { what: format!("format version {version}; this program knows {VERSION}") });
    }
    let number = take(&mut rest).map(u64::from_le_bytes);
    let job = take(&mut rest);
    number.zip(job).map(|(number, job)| Head { number, job }).ok_or_else(|| Refusal::Damaged.at(0, bytes.len()))
}

/// The record that `bytes` begin with, and its length.
fn read_record(head: Head, at: u64, bytes: &[u8]) -> Result<(Evaluation, usize), Refusal> {
    let mut rest = bytes;
    let length = take::<4>(&mut rest).ok_or(Refusal::Torn)?;
    let crc = take::<4>(&mut rest).ok_or(Refusal::Torn)?;
    let payload = rest.get(..u32::from_le_bytes(length) as usize).ok_or(Refusal::Torn)?;
    if checksum(head, at, length, payload).to_le_bytes() != crc {
        return Err(Refusal::Damaged);
    }
    let evaluation = match payload {
        [CALL, VALUE | REJECTED, ..] => read_payload(payload).ok_or(Refusal::Damaged)?,
        _ => return Err(Refusal::Newer),
    };
    Ok((evaluation, PREFIX + payload.len()))
}

fn read_payload(payload: &[u8]) -> Option<Evaluation> {
    let mut rest = payload;
    let [_, status] = take(&mut rest)?;
    let id = TaskId { lane: u32::from_le_bytes(take(&mut rest)?), seq: u64::from_le_bytes(take(&mut rest)?) };
    let seconds = f32::from_le_bytes(take(&mut rest)?);
    let dimension = u32::from_le_bytes(take(&mut rest)?) as usize;
    let n_derived = u32::from_le_bytes(take(&mut rest)?) as usize;
    let value = f64::from_le_bytes(take(&mut rest)?);
    let u = take_reals(&mut rest, dimension)?;
    let derived = take_reals(&mut rest, n_derived)?;
    let outcome = match status {
        VALUE if rest.is_empty() => Ok(value),
        VALUE => return None,
        _ => Err(String::from_utf8(rest.to_vec()).ok()?),
    };
    Some(Evaluation { id, u, outcome, derived, seconds })
}

fn take_reals(rest: &mut &[u8], count: usize) -> Option<Vec<f64>> {
    let (reals, after) = rest.split_at_checked(count.checked_mul(8)?)?;
    *rest = after;
    Some(reals.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*head)
}
