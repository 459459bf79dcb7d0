//! What crosses ranks: tasks, work, answers and errors. Plain data that knows nobody.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Names a task: answers are told to the sampler in `seq` order within a lane, and lanes commute.
/// The pair is also the key of the task's random stream; a rank number never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId {
    pub lane: u32,
    pub seq: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub work: Work,
}

impl Task {
    /// Published objects that the task reads.
    pub fn needs(&self) -> &[u64] {
        match &self.work {
            Work::LogLike(_) => &[],
            Work::Compute { needs, .. } => needs,
        }
    }
}

/// What a rank is asked to do: data, not closures, so that any rank can do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Evaluate the log-likelihood at a point of the unit cube (one coordinate per free parameter).
    LogLike(Vec<f64>),
    /// A computation of the sampler's own that needs no likelihood (train a network, draw candidates).
    Compute {
        /// Which computation; the sampler's [`Toolbox`] knows the kinds.
        kind: u16,
        /// Published objects ([`Shared`]) that it reads.
        needs: Vec<u64>,
        #[serde(with = "crate::bulk::bytes")]
        input: Vec<u8>,
    },
}

/// An object that many tasks read (a bound, say): sent to each rank once, then named by its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    pub key: u64,
    #[serde(with = "crate::bulk::bytes")]
    pub bytes: Vec<u8>,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    LogLike(f64),
    Bytes(#[serde(with = "crate::bulk::bytes")] Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub id: TaskId,
    pub outcome: Result<Value, EvalError>,
    /// Quantities that the model computes beside log L, and after them d log L / du where the engine wants it and the model has
    /// it; empty where there are none.
    pub derived: Vec<f64>,
    /// Wall seconds the task took where it ran.
    pub seconds: f32,
}

impl Answer {
    /// d log L / du, `n_dim` slopes, in a run where answers carry it; NaN where the point was rejected.
    pub fn gradient(mut self, n_dim: usize) -> Vec<f64> {
        let Some(first) = self.derived.len().checked_sub(n_dim) else { return vec![f64::NAN; n_dim] };
        self.derived.drain(..first);
        self.derived
    }
}

/// A likelihood call that was paid for: what the journal keeps, so that no call is made twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    pub id: TaskId,
    /// The point of the unit cube.
    pub u: Vec<f64>,
    /// The value, or why the point was rejected.
    pub outcome: Result<f64, String>,
    /// As in [`Answer`].
    pub derived: Vec<f64>,
    pub seconds: f32,
}

/// Why a point has no log-likelihood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EvalError {
    /// The point is impossible: log L = -inf, counted, and reported with its parameter values.
    Reject(String),
    /// The model failed at this point and can go on with others: `[run] on_error` says what follows.
    Failed(String),
    /// The model is broken: the job ends, naming rank and parameter values.
    Fatal(String),
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::Reject(why) | EvalError::Failed(why) | EvalError::Fatal(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for EvalError {}

/// Does the [`Work::Compute`] tasks of a sampler. One per thread, so it may cache what it decodes.
pub trait Toolbox {
    /// `shared` holds the objects named by the task's `needs`, in that order.
    fn compute(&mut self, kind: u16, shared: &[&Shared], input: &[u8]) -> Result<Vec<u8>, EvalError>;
}
