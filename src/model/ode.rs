//! placeholder
use super::*;
pub(super) fn build(_: &OdeSpec, _: &Files) -> Result<Box<dyn Model>, ModelError> { Err(ModelError::new(&["kind"], "being written")) }
