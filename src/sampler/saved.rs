//! A sampler's state as bytes: CBOR (RFC 8949), which names every field, so that a later version can read it.

use super::SamplerError;
use serde::{Serialize, de::DeserializeOwned};

pub fn write<T: Serialize>(state: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(state, &mut bytes).expect("plain data always has a binary form");
    bytes
}

/// # Errors
/// Bytes that are no state of this kind, and why.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SamplerError> {
    ciborium::from_reader(bytes).map_err(|e| SamplerError(format!("the saved state cannot be read: {e}")))
}
