//! `kind = "command"`: any program, as a child process of every worker (docs/command-protocol.md).

mod child;
mod frames;
mod once;
mod output;
mod serve;
mod template;

pub(super) use child::{Names, Program};
pub(super) use serve::Service;

use super::{CommandMode, CommandSpec, Density, Evaluated, FileKind, FileRef, Files, Loaded, Model, ModelError, positions};
use crate::task::EvalError;
use once::Once;
use serve::Serving;
use std::time::Duration;

/// A program as a model: also what `kind = "python"` is.
pub(super) struct Served {
    pub service: Service,
    /// In its order; None: all parameters of the job.
    pub parameters: Option<Vec<String>>,
    pub derived: Vec<String>,
    pub fingerprint: Vec<u8>,
    /// Hash of the program, or its name.
    pub hash: String,
    /// A process a point, and the text of its parameter file.
    pub once: Option<(CommandSpec, Option<String>)>,
}

pub(super) fn build(spec: &CommandSpec, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    let Some(name) = spec.command.first().filter(|name| !name.is_empty()) else {
        let help = "command = [\"./my_program\", \"argument\"]";
        return Err(ModelError::new(&["command"], "the command is empty").help(help));
    };
    check(&spec.parameters, &spec.derived, spec.batch)?;
    if spec.mode == CommandMode::Once {
        for (key, name) in [("input", &spec.input), ("result", &spec.result)] {
            if name.is_empty() || name.contains('/') {
                return Err(ModelError::new(&[key], format!("\"{name}\" is not the name of a file in the working folder")));
            }
        }
    } else if spec.template.is_some() {
        return Err(ModelError::new(&["template"], "a template is for mode = \"once\"; mode is \"serve\""));
    }
    let mut fingerprint = format!(
        "command {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        &spec.command[1..],
        spec.mode,
        spec.parameters,
        spec.derived,
        spec.input,
        spec.result,
        spec.env
    );
    // A program of the user's is what it contains, wherever it lies; any other is its name.
    let (path, hash) = match files.get(name) {
        Some(Loaded::Program { path, hash }) => (path.clone(), hash.clone()),
        _ if name.contains('/') => return Err(ModelError::new(&["command"], format!("the program \"{name}\" was not read"))),
        _ => (name.clone(), name.clone()),
    };
    let template = match spec.template.as_ref().map(|path| files.get(path)) {
        Some(Some(Loaded::Text(text))) => Some(text.clone()),
        Some(_) => return Err(ModelError::new(&["template"], "the template was not read")),
        None => None,
    };
    fingerprint += &format!("{template:?}");
    let env = spec.env.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let program = Program { what: format!("the program {name}"), path, args: spec.command[1..].to_vec(), env };
    if spec.gradient && spec.mode == CommandMode::Once {
        let error = ModelError::new(&["gradient"], "a program that is started for each point gives log L and no gradient");
        return Err(error.help("leave it out: methods that use gradients take finite differences then; or use mode = \"serve\""));
    }
    let once = (spec.mode == CommandMode::Once).then(|| (spec.clone(), template));
    let service = Service { program, batch: spec.batch, request: spec.batch, retries: spec.retries, gradient: spec.gradient, limit: None };
    let (parameters, derived) = (spec.parameters.clone(), spec.derived.clone());
    Ok(Box::new(Served { service, parameters, derived, fingerprint: fingerprint.into_bytes(), hash, once }))
}

/// What a program with a slash in its name, and the template, are read from.
pub(super) fn files(spec: &CommandSpec) -> Vec<FileRef> {
    let program = spec.command.first().filter(|name| name.contains('/'));
    let program = program.map(|path| FileRef { key: "command", path: path.clone(), kind: FileKind::Program });
    let template = spec.template.clone().map(|path| FileRef { key: "template", path, kind: FileKind::Text });
    program.into_iter().chain(template).collect()
}

/// What is wrong with names and numbers, whatever the program.
pub(super) fn check(parameters: &Option<Vec<String>>, derived: &[String], batch: usize) -> Result<(), ModelError> {
    for (key, names) in [("parameters", parameters.as_deref().unwrap_or_default()), ("derived", derived)] {
        if let Some((i, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(ModelError::new(&[key, &i.to_string()], format!("`{name}` is there twice")));
        }
        if let Some(name) = names.iter().find(|name| name.is_empty() || name.contains(char::is_whitespace)) {
            return Err(ModelError::new(&[key], format!("\"{}\" is no name", name.escape_debug())));
        }
    }
    if parameters.as_ref().is_some_and(Vec::is_empty) {
        return Err(ModelError::new(&["parameters"], "the list is empty").help("leave it out: all parameters of the job are given then"));
    }
    match batch {
        1..=1_000_000 => Ok(()),
        _ => Err(ModelError::new(&["batch"], format!("a batch of 1 to 1000000 points is expected, not {batch}"))),
    }
}

impl Model for Served {
    fn parameters(&self) -> Vec<String> {
        self.parameters.clone().unwrap_or_default()
    }

    fn takes_all(&self) -> bool {
        self.parameters.is_none()
    }

    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        let inputs = match &self.parameters {
            Some(wanted) => Inputs(Some(positions(wanted, names)?)),
            None => Inputs(None),
        };
        let parameters = self.parameters.clone().unwrap_or_else(|| names.to_vec());
        let names = Names { parameters, derived: self.derived.clone() };
        Ok(match &self.once {
            Some((spec, template)) => {
                Box::new(Once::new(spec, &self.service.program, template.as_deref(), self.service.limit, (inputs, names))?)
            }
            None => Box::new(Serving::new(&self.service, inputs, names)?),
        })
    }

    fn has_gradient(&self) -> bool {
        self.service.gradient
    }

    fn derived(&self) -> Vec<String> {
        self.derived.clone()
    }

    fn batch(&self) -> usize {
        self.service.batch
    }

    fn limit_calls(&mut self, limit: Duration) {
        self.service.limit = Some(limit);
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.fingerprint.clone()
    }

    fn program(&self) -> String {
        self.hash.clone()
    }
}

/// Where the program's parameters stand in theta; None: as they are.
#[derive(Clone, Debug)]
struct Inputs(Option<Vec<usize>>);

impl Inputs {
    /// The program's values of the points `thetas` (n x d).
    fn pick(&self, thetas: &[f64], d: usize) -> Vec<f64> {
        match &self.0 {
            None => thetas.to_vec(),
            Some(places) => thetas.chunks_exact(d).flat_map(|theta| places.iter().map(|&place| theta[place])).collect(),
        }
    }

    /// A gradient by the program's parameters as one by theta.
    fn spread(&self, slopes: &[f64], gradient: &mut [f64]) {
        match &self.0 {
            None => gradient.copy_from_slice(slopes),
            Some(places) => {
                gradient.fill(0.0);
                slopes.iter().zip(places).for_each(|(slope, &place)| gradient[place] = *slope);
            }
        }
    }
}

/// Log L and what is derived, as they come from a program.
fn row(values: &[f64]) -> Evaluated {
    Evaluated { log_like: values[0], derived: values[1..].to_vec() }
}
