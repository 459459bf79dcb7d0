//! Long arrays as one run of bytes in saved state, where serde would write element by element.
//! For fields: `#[serde(with = "crate::bulk::bytes")]` and `#[serde(with = "crate::bulk::reals")]`.

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::Serializer;
use std::fmt;

/// `Vec<u8>`.
pub mod bytes {
    use super::*;

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_byte_buf(Run)
    }
}

/// `Vec<f64>`, 8 little-endian bytes each.
pub mod reals {
    use super::*;

    pub fn serialize<S: Serializer>(reals: &[f64], to: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = reals.iter().flat_map(|x| x.to_le_bytes()).collect();
        to.serialize_bytes(&bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let bytes = from.deserialize_byte_buf(Run)?;
        let (reals, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(D::Error::custom("an array of reals is cut short"));
        }
        Ok(reals.iter().map(|x| f64::from_le_bytes(*x)).collect())
    }
}

struct Run;

impl<'de> Visitor<'de> for Run {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}
