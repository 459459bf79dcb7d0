//! `kind = "python"`: a function of a Python script, served by python/fitjob_worker.py in one interpreter a worker.

use super::command::{Program, Served, Service, check};
use super::{Files, Loaded, Model, ModelError, PythonSpec};
use std::path::Path;

/// Handed to the interpreter as it is.
const WORKER: &str = include_str!("../../python/fitjob_worker.py");

/// Most points that are sent at once to a function of one point.
const REQUEST: usize = 1024;

pub(super) fn build(spec: &PythonSpec, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    check(&spec.parameters, &spec.derived, spec.batch)?;
    let Some(Loaded::Program { path, hash }) = files.get(&spec.script) else {
        return Err(ModelError::new(&["script"], format!("the script \"{}\" was not read", spec.script)));
    };
    let interpreter = Path::new(&spec.interpreter);
    if spec.interpreter.is_empty() || (interpreter.is_relative() && spec.interpreter.contains('/')) {
        let error = ModelError::new(&["interpreter"], format!("\"{}\" is neither a name nor an absolute path", spec.interpreter));
        return Err(error.help("write python3 for the one in PATH (an activated environment's), or /full/path/of/venv/bin/python"));
    }
    let vectorised = spec.batch > 1;
    let fingerprint = format!("python {:?} {:?} {:?} {vectorised}", spec.function, spec.parameters, spec.derived);
    let what = format!("the script {}", Path::new(&spec.script).display());
    let mut args = vec!["-c".into(), WORKER.into(), path.clone(), spec.function.clone()];
    args.extend(vectorised.then(|| "--vectorised".into()));
    let program = Program { what, path: spec.interpreter.clone(), args, env: Vec::new() };
    // A plain function is called point by point, but a trip through the pipes for each would cost more than most calls.
    let request = if vectorised { spec.batch } else { REQUEST };
    let service = Service { program, batch: spec.batch, request, retries: spec.retries, gradient: spec.gradient, limit: None };
    let (parameters, derived) = (spec.parameters.clone(), spec.derived.clone());
    Ok(Box::new(Served { service, parameters, derived, fingerprint: fingerprint.into_bytes(), hash: hash.clone(), once: None }))
}
