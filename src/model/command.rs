//! `kind = "command"`: to be written on this branch.

use super::{CommandSpec, Files, Model, ModelError};

pub(super) fn build(_: &CommandSpec, _: &Files) -> Result<Box<dyn Model>, ModelError> {
    Err(ModelError::new(&["kind"], "not written yet"))
}

pub(super) fn files(_: &CommandSpec) -> Vec<super::FileRef> {
    Vec::new()
}
