//! A likelihood of one's own in Rust: the one trait that a program implements (docs/rust.md).

use super::{Evaluated, FileRef, Files, ModelError};
use crate::task::EvalError;
use serde::{Serialize, de::DeserializeOwned};

/// A likelihood, and its settings: the fields of the type that implements it are the keys of `[model]` beside `kind` and `delay`.
/// What it computes from them once is a field with `#[serde(skip)]`, filled in by [`prepare`](Likelihood::prepare).
///
/// ```no_run
/// use fitjob::{EvalError, Likelihood};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Gauss {
///     width: f64,
/// }
///
/// impl Likelihood for Gauss {
///     fn log_like(&self, theta: &[f64]) -> Result<f64, EvalError> {
///         Ok(-0.5 * theta.iter().map(|x| (x / self.width).powi(2)).sum::<f64>())
///     }
/// }
///
/// fitjob::main::<Gauss>()
/// ```
pub trait Likelihood: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Another version is another question: a run of the one is not taken up by the other. Change it when values change.
    const VERSION: &'static str = "1";

    /// Natural log of the likelihood at `theta`: physical values in the order of [`parameters`](Likelihood::parameters).
    ///
    /// Errors: what the point is, impossible or failed, or that the model is broken.
    fn log_like(&self, theta: &[f64]) -> Result<f64, EvalError>;

    /// Names of the parameters in the order of `theta`, found among those of the job; none: all of the job, in the job's order.
    fn parameters(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Names of the quantities that [`evaluate`](Likelihood::evaluate) gives beside log L, in its order.
    fn derived(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Log L with the derived quantities; to be written where [`derived`](Likelihood::derived) has names.
    fn evaluate(&self, theta: &[f64]) -> Result<Evaluated, EvalError> {
        Ok(Evaluated { log_like: self.log_like(theta)?, derived: Vec::new() })
    }

    /// Whether there is a [`gradient`](Likelihood::gradient).
    fn has_gradient(&self) -> bool {
        false
    }

    /// Log L, and its gradient by `theta` into `gradient` (same length).
    fn gradient(&self, _theta: &[f64], _gradient: &mut [f64]) -> Result<f64, EvalError> {
        Err(EvalError::Fatal("the likelihood says that it has a gradient, and has none".into()))
    }

    /// The most points that [`evaluate_many`](Likelihood::evaluate_many) should get at once, where they cost less together.
    fn batch(&self) -> usize {
        1
    }

    /// Evaluates the points of `thetas` (n x d, row-major) and pushes n results to `out`, in order. Called if
    /// [`batch`](Likelihood::batch) is more than 1.
    fn evaluate_many(&self, thetas: &[f64], d: usize, out: &mut Vec<Result<Evaluated, EvalError>>) {
        out.extend(thetas.chunks_exact(d).map(|theta| self.evaluate(theta)));
    }

    /// Files that the settings name. Only rank 0 reads them; every rank gets their content in [`prepare`](Likelihood::prepare).
    fn files(&self) -> Vec<FileRef> {
        Vec::new()
    }

    /// Called once on every rank, before the first call: checks the settings, takes up files, computes what all points need.
    ///
    /// Errors: a setting that cannot be, at its key; the job is refused before it begins.
    fn prepare(&mut self, _files: &Files) -> Result<(), ModelError> {
        Ok(())
    }
}
