//! A state file as bytes: named sections under one checksum. Pure; any input is read without a panic.
//!
//! In every format version, for ever: the first 8 bytes are [`MAGIC`], the next 4 the version (u32), then the program's
//! version as text, and the last 32 bytes are the BLAKE3 hash of all before them. All integers are little-endian.

use std::fmt;

pub const MAGIC: [u8; 8] = *b"\x89fitjobS";
pub const VERSION: u32 = 1;
const HASH: usize = blake3::OUT_LEN;

/// Why a file is not a whole state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Not a file of ours, or its first bytes are lost.
    Foreign,
    /// Flipped, missing or added bytes.
    Checksum,
    /// The checksum fits, and yet the content makes no sense: an error of the program that wrote it.
    Nonsense,
    /// Whole, and of a format that this program does not know.
    Newer { version: u32, program: String },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Damage::Foreign => f.write_str("it does not begin as a file of fitjob does"),
            Damage::Checksum => f.write_str("its checksum does not fit: bytes are changed or missing"),
            Damage::Nonsense => f.write_str("its checksum fits, but its content makes no sense"),
            Damage::Newer { version, program } => {
                write!(f, "it is of format version {version}, written by fitjob {program}; this program knows {VERSION}")
            }
        }
    }
}

/// The bytes of a state file with these sections (name, content), in this order.
pub fn write(sections: &[(String, Vec<u8>)]) -> Vec<u8> {
    let length: usize = sections.iter().map(|(name, content)| name.len() + content.len() + 10).sum();
    let mut out = Vec::with_capacity(length + 64 + HASH);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    put_text(&mut out, env!("CARGO_PKG_VERSION"));
    out.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    for (name, content) in sections {
        put_text(&mut out, name);
        out.extend_from_slice(&(content.len() as u64).to_le_bytes());
    }
    for (_, content) in sections {
        out.extend_from_slice(content);
    }
    let hash = blake3::hash(&out);
    out.extend_from_slice(hash.as_bytes());
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() <= u16::MAX as usize, "names of sections are short");
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The sections of a state file (name, content).
pub fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Damage> {
    if !bytes.starts_with(&MAGIC) {
        return Err(Damage::Foreign);
    }
    let (body, hash) = bytes.split_last_chunk::<HASH>().ok_or(Damage::Checksum)?;
    if *blake3::hash(body).as_bytes() != *hash {
        return Err(Damage::Checksum);
    }
    let mut rest = body.get(MAGIC.len()..).ok_or(Damage::Checksum)?;
    let version = u32::from_le_bytes(take(&mut rest)?);
    let program = take_text(&mut rest)?;
    match version {
        VERSION => sections(rest),
        _ => Err(Damage::Newer { version, program }),
    }
}

/// Format version 1: table of names and lengths, then the contents, and nothing after.
fn sections(mut rest: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Damage> {
    let count = u32::from_le_bytes(take(&mut rest)?);
    // Grown as it is read: the count is not trusted with an allocation.
    let mut table = Vec::new();
    for _ in 0..count {
        let name = take_text(&mut rest)?;
        table.push((name, u64::from_le_bytes(take(&mut rest)?)));
    }
    let mut sections = Vec::new();
    for (name, length) in table {
        let length = usize::try_from(length).map_err(|_| Damage::Nonsense)?;
        let (content, after) = rest.split_at_checked(length).ok_or(Damage::Nonsense)?;
        sections.push((name, content.to_vec()));
        rest = after;
    }
    if rest.is_empty() { Ok(sections) } else { Err(Damage::Nonsense) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damage> {
    let (head, after) = rest.split_first_chunk::<N>().ok_or(Damage::Nonsense)?;
    *rest = after;
    Ok(*head)
}

fn take_text(rest: &mut &[u8]) -> Result<String, Damage> {
    let length = u16::from_le_bytes(take(rest)?) as usize;
    let (text, after) = rest.split_at_checked(length).ok_or(Damage::Nonsense)?;
    *rest = after;
    String::from_utf8(text.to_vec()).map_err(|_| Damage::Nonsense)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<(String, Vec<u8>)> {
        vec![("sampler".into(), (0..=255).collect()), ("empty".into(), vec![]), ("pending".into(), b"abc".to_vec())]
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&write(&sample())), Ok(sample()));
        assert_eq!(read(&write(&[])), Ok(vec![]));
    }

    #[test]
    fn every_flipped_bit_every_cut_and_every_added_byte_is_detected() {
        let whole = write(&sample());
        for k in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[k / 8] ^= 1 << (k % 8);
            assert!(read(&bytes).is_err(), "bit {k}");
        }
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut to {length}");
            assert!(read(&whole[whole.len() - length..]).is_err(), "last {length}");
        }
        assert_eq!(read(&[&whole[..], &[0]].concat()), Err(Damage::Checksum));
    }

    #[test]
    fn a_newer_format_is_named_and_not_called_damaged() {
        let mut bytes = write(&sample());
        bytes[8] = 9;
        let body = bytes.len() - HASH;
        let hash = *blake3::hash(&bytes[..body]).as_bytes();
        bytes[body..].copy_from_slice(&hash);
        assert_eq!(read(&bytes), Err(Damage::Newer { version: 9, program: env!("CARGO_PKG_VERSION").into() }));
    }

    #[test]
    fn lengths_beyond_the_file_are_refused_without_an_allocation() {
        let mut body = [&MAGIC[..], &VERSION.to_le_bytes(), &0u16.to_le_bytes(), &u32::MAX.to_le_bytes()].concat();
        body.extend([&1u16.to_le_bytes()[..], b"x", &u64::MAX.to_le_bytes()].concat());
        let hash = *blake3::hash(&body).as_bytes();
        body.extend(hash);
        assert_eq!(read(&body), Err(Damage::Nonsense));
    }
}
