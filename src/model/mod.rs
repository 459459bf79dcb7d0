//! Likelihood sources: what a model promises, and one file a kind.

use crate::task::EvalError;

/// A likelihood source that every rank builds from the same description, and every thread binds to.
pub trait Model: Send + Sync {
    /// Names of the parameters the model must be given (checked against the job file before the run).
    fn parameters(&self) -> Vec<String>;

    /// One evaluator for one thread. `names` are all parameters of the job (free, fixed and tied) in the
    /// order in which `theta` will carry them; the model finds its own among them by name.
    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError>;

    /// A problem with a box of its own gives it here, so that its job file needs no `[parameters]`:
    /// (name, low, high) of a uniform prior.
    fn default_box(&self) -> Option<Vec<(String, f64, f64)>> {
        None
    }

    /// Everything that changes the likelihood's value, for the digest of the job.
    fn fingerprint(&self) -> Vec<u8>;
}

/// Evaluates one point at a time on one thread.
pub trait Density {
    /// Natural log of the likelihood at `theta` (physical values, in the order given to [`Model::bind`]).
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError>;

    /// Log-likelihood, and its gradient by `theta` into `gradient` (same length), where the model has one.
    fn log_like_gradient(&mut self, _theta: &[f64], _gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        None
    }
}
