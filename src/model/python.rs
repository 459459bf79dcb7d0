//! `kind = "python"`: to be written on this branch.

use super::{Files, Model, ModelError, PythonSpec};

pub(super) fn build(_: &PythonSpec, _: &Files) -> Result<Box<dyn Model>, ModelError> {
    Err(ModelError::new(&["kind"], "not written yet"))
}
