//! `kind = "plugin"`: to be written on this branch.

use super::{Files, Model, ModelError, PluginSpec};

pub(super) fn build(_: &PluginSpec, _: &Files) -> Result<Box<dyn Model>, ModelError> {
    Err(ModelError::new(&["kind"], "not written yet"))
}
