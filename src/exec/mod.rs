//! Doing tasks: on this thread, on threads of this process, or on all ranks. The answers are the same.

mod bench;
mod crew;
mod desk;
mod dispatch;
mod errands;
mod handout;
mod hands;
mod round;
mod scrambled;
mod serial;
mod serve;
mod tally;
mod threads;
mod wire;

pub use crew::Crew;
pub use dispatch::Dispatch;
pub use scrambled::Scrambled;
pub use serial::Serial;
pub use serve::serve;
pub use tally::{ExecStats, RankStats};
pub use threads::Threads;

use crate::model::Model;
use crate::task::{Answer, Shared, Task, Toolbox};
use crate::world::Root;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest that [`Evaluator::collect`] keeps its caller waiting.
pub const LOOK_UP: Duration = Duration::from_millis(200);

/// What a NaN or +infinity from the model does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// Ends the job, naming rank and parameter values.
    #[default]
    Abort,
    /// Counts as log L = -infinity, and is reported.
    Reject,
}

/// How points of the unit cube become parameter values.
pub trait Coordinates: Send + Sync {
    /// Free parameters: the length of `u`.
    fn n_free(&self) -> usize;
    /// All parameters, in the order of `theta`.
    fn names(&self) -> &[String];
    fn transform(&self, u: &[f64], theta: &mut [f64]);
    /// What is added to log L at `u`, where the prior is not uniform on the cube.
    fn log_weight(&self, _u: &[f64]) -> f64 {
        0.0
    }
    /// From d f / d theta to d (f + log weight) / du, `n_free` slopes, at the point `u` with the values `theta`.
    fn pull_back(&self, u: &[f64], theta: &[f64], by_theta: &[f64], by_u: &mut [f64]);
}

/// Where tasks are done: everything an evaluation needs, the same on every rank. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    pub space: Arc<dyn Coordinates>,
    pub model: Arc<dyn Model>,
    pub toolbox: fn() -> Box<dyn Toolbox>,
    pub on_error: OnError,
    /// Every answer carries d log L / du after the model's own quantities.
    pub gradients: bool,
    /// A likelihood call that takes longer has failed, and is given up. None: a call takes as long as it takes.
    pub call_limit: Option<Duration>,
    /// How long a rank may be silent until it counts as gone.
    pub silence_limit: Duration,
}

impl Site {
    /// Numbers that come with each log-likelihood.
    fn n_beside(&self) -> usize {
        self.model.derived().len() + if self.gradients { self.space.n_free() } else { 0 }
    }
}

/// Does tasks and answers them, in any order. Points that the model rejects come back as [`crate::task::EvalError::Reject`]
/// and are counted in [`ExecStats`]; anything worse ends the run as an [`ExecError`].
pub trait Evaluator {
    /// Makes objects known that later tasks need.
    fn publish(&mut self, shared: Vec<Shared>) -> Result<(), ExecError>;
    /// Forgets objects, once submitted tasks that need them are done.
    fn retire(&mut self, keys: &[u64]);
    fn submit(&mut self, tasks: Vec<Task>) -> Result<(), ExecError>;
    /// Waits until at least one answer is there, but not much longer than [`LOOK_UP`], so that its caller can look at the
    /// clock and at signals: then, or if nothing is outstanding, it gives none.
    fn collect(&mut self) -> Result<Vec<Answer>, ExecError>;
    /// Points that can be evaluated at the same time.
    fn lanes(&self) -> usize;
    fn stats(&self) -> ExecStats;
}

/// Why the work cannot go on. After the first one every call gives it again.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecError {
    pub rank: usize,
    /// Name and value of every parameter, where a point failed.
    pub point: Vec<(String, f64)>,
    pub cause: String,
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.point.is_empty() {
            return write!(f, "rank {}: {}", self.rank, self.cause);
        }
        let values: Vec<String> = self.point.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
        write!(f, "rank {}: the model failed at {}: {}", self.rank, values.join(", "), self.cause)
    }
}

impl std::error::Error for ExecError {}

/// The evaluator for this run: all ranks, or the threads of the only one.
pub fn evaluator<'r>(root: &'r Root, site: &'r Site, threads: usize, dispatch: Dispatch) -> Box<dyn Evaluator + 'r> {
    match (root.ranks(), threads) {
        (1, n) => Box::new(Threads::new(site, n)),
        (_, n) => Box::new(Crew::new(root, site, n).with_dispatch(dispatch)),
    }
}

#[cfg(test)]
mod tests;
