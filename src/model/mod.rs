//! Likelihood sources: what a model promises, and one file a kind.

mod command;
mod crash;
mod curve;
mod delay;
mod likelihood;
mod noise;
#[cfg(feature = "ode")]
mod ode;
mod plugin;
pub mod problem;
mod python;
mod rust;
mod simulate;
mod spec;

pub use likelihood::Likelihood;
pub use rust::{Own, own, register};
pub use simulate::{Columns, Simulator};
pub use spec::{
    Abi, CommandMode, CommandSpec, CurveSpec, DataSpec, DelaySpec, FileKind, FileRef, Files, Loaded, Method, ModelSpec, Noise, Observe,
    OdeSpec, PluginSpec, ProblemSpec, PythonSpec, Rtol, RustSpec, Sigma, table_of, text_of,
};

use crate::expr::{ExprError, nearest};
use crate::task::EvalError;
use std::time::Duration;

/// A likelihood source that every rank builds from the same description, and every thread binds to.
pub trait Model: Send + Sync {
    /// Names of the parameters the model must be given (checked against the job file before the run).
    fn parameters(&self) -> Vec<String>;

    /// Names it takes too, but has defaults for. A parameter of the job that is in neither list, and in no
    /// tie or derived quantity, has no effect on the likelihood: surely a misspelt name.
    fn optional_parameters(&self) -> Vec<String> {
        Vec::new()
    }

    /// One evaluator for one thread. `names` are all parameters of the job (free, fixed and tied) in the
    /// order in which `theta` will carry them; the model finds its own among them by name.
    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError>;

    /// A problem with a box of its own gives it here, so that its job file needs no `[parameters]`:
    /// (name, low, high) of a uniform prior.
    fn default_box(&self) -> Option<Vec<(String, f64, f64)>> {
        None
    }

    /// Whether it takes every parameter of the job, in the job's order, whatever their names; [`Model::parameters`] is empty then.
    fn takes_all(&self) -> bool {
        false
    }

    /// Tries, before the run, what only shows once all `names` of the job's parameters are known.
    fn check(&self, _names: &[String]) -> Result<(), ModelError> {
        Ok(())
    }

    /// Names of quantities that it computes beside log L, in the order of [`Evaluated::derived`].
    fn derived(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether [`Density::log_like_gradient`] gives one; the same on every rank.
    fn has_gradient(&self) -> bool {
        false
    }

    /// The most points that one call of [`Density::evaluate`] should get, where they cost less together; 1 where each costs the same alone.
    fn batch(&self) -> usize {
        1
    }

    /// Told before the first [`Model::bind`]: a call that takes longer than this is given up (`[run] call_limit_s`). A model that can
    /// end such a call does so then.
    fn limit_calls(&mut self, _limit: Duration) {}

    /// What draws data of this model; or why there is nothing that could, for people.
    fn simulator(&self) -> Result<&dyn Simulator, String> {
        Err("a likelihood of this kind cannot draw data: kind = \"curve\" and kind = \"ode\" can".into())
    }

    /// What the tolerances of a solver do to log L, of a model that has one.
    fn solver(&self) -> Option<&dyn Tolerances> {
        None
    }

    /// The data whose probability the likelihood is, by column; none where only the model's author knows.
    fn observed(&self) -> Columns {
        Columns::new()
    }

    /// Everything of the job that changes the likelihood's value, for the digest of the job.
    fn fingerprint(&self) -> Vec<u8>;

    /// Names what the program is that computes it, where that is not fitjob (a hash of its bytes, say): part of the digest too, but the
    /// program may be another on resuming, if the user says that it gives the same values.
    fn program(&self) -> String {
        String::new()
    }
}

/// A model whose predictions are solved for, and so have an error that tolerances decide.
pub trait Tolerances {
    /// Relative tolerance that it is solved with.
    fn rtol(&self) -> f64;

    /// Error of log L of a fit that is right at the points of `thetas` (values in the order of `names`) if all tolerances are those of `rtol`: by the
    /// change of predictions at a tenth of them. With e the root of the sum of squared changes over sigmas, data about the prediction have
    /// log L wrong by e times a standard normal, and by e^2 / 2: it is the sum of the two. NaN where the solver gives up.
    ///
    /// # Errors
    /// The model cannot be bound to `names`.
    fn errors(&self, names: &[String], thetas: &[Vec<f64>], rtol: f64) -> Result<Vec<f64>, EvalError>;
}

/// What a model gives for one point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    pub log_like: f64,
    /// One for each name of [`Model::derived`].
    pub derived: Vec<f64>,
}

/// Evaluates points on one thread.
pub trait Density {
    /// Natural log of the likelihood at `theta` (physical values, in the order given to [`Model::bind`]).
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError>;

    /// Evaluates the points of `thetas` (n x d, row-major, d > 0) and pushes n results to `out`, in order. Models that compute
    /// quantities beside log L, or are quicker with many points at a time, have their own.
    fn evaluate(&mut self, thetas: &[f64], d: usize, out: &mut Vec<Result<Evaluated, EvalError>>) {
        let one = |theta| Ok(Evaluated { log_like: self.log_like(theta)?, derived: Vec::new() });
        out.extend(thetas.chunks_exact(d).map(one));
    }

    /// Sum of squared residuals over their sigmas at `theta` (weighted by the inverse covariance where they are correlated), and how many
    /// data it is of. None for models that know no residuals with normal noise.
    fn chi_squared(&mut self, _theta: &[f64]) -> Option<Result<(f64, usize), EvalError>> {
        None
    }

    /// Log-likelihood, and its gradient by `theta` into `gradient` (same length), where [`Model::has_gradient`].
    fn log_like_gradient(&mut self, _theta: &[f64], _gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        None
    }
}

/// What is wrong with the description of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// The key below `[model]`, e.g. `["observe", "0", "column"]`.
    pub key: Vec<String>,
    pub message: String,
    pub help: Option<String>,
    /// A byte span within the value at `key`, where that is an expression.
    pub span: Option<(usize, usize)>,
}

impl ModelError {
    /// `key`: its path below `[model]`; a key that the job does not have is told at its table.
    pub fn new(key: &[&str], message: impl Into<String>) -> ModelError {
        ModelError { key: key.iter().map(|k| k.to_string()).collect(), message: message.into(), help: None, span: None }
    }

    /// A fault in the expression that is the value of `key`.
    fn expression(key: &[&str], error: ExprError) -> ModelError {
        ModelError { span: Some((error.start, error.end)), ..ModelError::new(key, error.message) }
    }

    /// What to do about it.
    pub fn help(self, help: impl Into<String>) -> ModelError {
        ModelError { help: Some(help.into()), ..self }
    }
}

/// Builds the model; every rank does so from the same bytes. `files` holds what [`ModelSpec::files`] names.
pub fn build(spec: &ModelSpec, delay: Option<&DelaySpec>, seed: u64, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    let model = match spec {
        ModelSpec::Problem(spec) => problem::build(spec)?,
        ModelSpec::Plugin(spec) => plugin::build(spec, files)?,
        ModelSpec::Command(spec) => command::build(spec, files)?,
        ModelSpec::Python(spec) => python::build(spec, files)?,
        ModelSpec::Rust(spec) => rust::build(spec, files)?,
        ModelSpec::Curve(spec) => curve::build(spec, files)?,
        #[cfg(feature = "ode")]
        ModelSpec::Ode(spec) => ode::build(spec, files)?,
        #[cfg(not(feature = "ode"))]
        ModelSpec::Ode(_) => {
            let error = ModelError::new(&["kind"], "this fitjob was built without the `ode` model");
            return Err(error.help("build it with `--features ode`"));
        }
    };
    match delay {
        Some(delay) => delay::wrap(model, delay, seed),
        None => Ok(model),
    }
}

/// Where each of the `wanted` parameters stands among `names`.
fn positions(wanted: &[String], names: &[String]) -> Result<Vec<usize>, EvalError> {
    let place = |name: &String| {
        names.iter().position(|known| known == name).ok_or_else(|| {
            let hint = nearest(name, names.iter().map(String::as_str)).map(|near| format!(" (is `{near}` meant?)"));
            EvalError::Fatal(format!("the model needs a parameter `{name}`, which the job does not have{}", hint.unwrap_or_default()))
        })
    };
    wanted.iter().map(place).collect()
}
