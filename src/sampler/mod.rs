//! Engines: ask for work, be told answers in order, give a posterior. A sampler knows no rank.

pub mod cmaes;
pub mod ensemble;
pub mod importance_nested;
pub mod lbfgs;
pub mod nelder_mead;
pub mod nested;
pub mod nuts;
mod optimise;
mod registry;
pub mod saved;
pub mod smc;
pub mod standard;
pub mod verdict;

pub use registry::{
    Engine, EngineSettings, EngineSpec, Gives, METHODS, Method, build, canonical, names, needs_parameters, refuse, restore,
};

use serde::{Deserialize, Serialize};

use crate::task::{Answer, EvalError, Shared, Task, Toolbox, Value};

/// What a sampler wants next.
#[derive(Debug)]
pub enum Ask {
    /// `publish` first, then do `tasks`; forget shared objects named in `retire` when those are done.
    Work { publish: Vec<Shared>, tasks: Vec<Task>, retire: Vec<u64> },
    /// Nothing until more answers are told.
    Wait,
    /// Finished, and why.
    Done(String),
}

/// What an engine is told of the problem: nothing of ranks, models or physical values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Free parameters: the dimension of the unit cube.
    pub n_dim: usize,
    /// Indices of those whose two ends are the same point.
    pub periodic: Vec<usize>,
    /// Answers carry d log L / du ([`crate::task::Answer::gradient`]).
    pub gradient: bool,
}

/// The contract every engine keeps.
///
/// Laws (tested for every engine): the content of the n-th task of a lane depends on the seed and on
/// answers already told in lane order, never on timing or on `room`; lanes commute; `tell` is called
/// in `seq` order within a lane.
pub trait Sampler {
    /// At most `room` log-likelihood tasks; compute tasks are not counted.
    fn ask(&mut self, room: usize) -> Ask;
    fn tell(&mut self, answer: Answer) -> Result<(), SamplerError>;
    fn progress(&self) -> Progress;
    fn posterior(&self) -> Result<Posterior, SamplerError>;
    /// The whole state, by [`saved`]; [`restore`] makes the same sampler of it. Tasks asked and not told are the caller's to keep.
    fn save(&self) -> Vec<u8>;
    /// When finished: goes on towards the targets of `spec` ([`EngineSpec::TARGETS`]); false where there is nothing more to do.
    fn extend(&mut self, spec: &EngineSpec) -> bool;
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SamplerError(pub String);

/// The log-likelihood that an answer brings; -inf where the point is impossible.
///
/// # Errors
/// What no model's answer can be, since the evaluator ends the run before: NaN, +inf, a failure, or the result of a computation.
pub fn log_like(answer: &Answer) -> Result<f64, SamplerError> {
    match &answer.outcome {
        Ok(Value::LogLike(value)) if value.is_nan() || *value == f64::INFINITY => {
            Err(SamplerError(format!("a log-likelihood of {value} cannot be sampled")))
        }
        Ok(Value::LogLike(value)) => Ok(*value),
        Err(EvalError::Reject(_)) => Ok(f64::NEG_INFINITY),
        Err(why) => Err(SamplerError(why.to_string())),
        Ok(Value::Bytes(_)) => Err(SamplerError("an answer has the wrong kind: all ranks must run the same build".into())),
    }
}

/// Where a run stands, for the progress display and the log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// "exploring", "sampling", ...
    pub phase: String,
    /// Rough share of the work done, 0 to 1, where it can be told.
    pub fraction: Option<f64>,
    pub n_like: u64,
    pub n_eff: f64,
    /// NaN where the engine gives none.
    pub log_z: f64,
    pub log_z_err: f64,
    /// Engine-specific counters in display order, e.g. ("bounds", 11.0).
    pub details: Vec<(String, f64)>,
}

/// A weighted sample of the posterior, in the unit cube, with its evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Posterior {
    pub n_dim: usize,
    /// n x n_dim, row-major, unit-cube coordinates.
    pub u: Vec<f64>,
    pub log_like: Vec<f64>,
    /// Normalised: sum of exp = 1.
    pub log_weight: Vec<f64>,
    /// NaN where the engine gives no evidence.
    pub log_z: f64,
    pub log_z_err: f64,
    /// Where the sample is Markov chains: how many of equal length, one after another in the rows. 0 where it is not.
    pub n_chains: usize,
    /// So many groups of equally many chains began at one point each (many short chains); 0: every chain at its own.
    pub n_groups: usize,
    /// What Hamiltonian chains tell of each row.
    pub transitions: Option<Transitions>,
    /// Where the engine looks for the best point.
    pub optimum: Option<Optimum>,
    /// Kish effective sample size of the weights as the engine defines it.
    pub n_eff: f64,
    pub n_like: u64,
    /// In plain words, for summary.json and the end report: each is a reason to doubt the result, and one that begins with
    /// [`verdict::MISSED`] says that what was asked for was not reached.
    pub warnings: Vec<String>,
    /// Engine-specific scalars for result.h5 and the report (e.g. "split_half_z").
    pub diagnostics: Vec<(String, f64)>,
}

/// Of each draw of Hamiltonian chains, in the order of the rows: the transition that led to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transitions {
    /// The energy error grew beyond what a step size of use gives.
    pub diverging: Vec<bool>,
    /// Doublings of the trajectory.
    pub tree_depth: Vec<u32>,
    /// Leapfrog steps: gradients.
    pub n_steps: Vec<u32>,
    /// Total energy at the start, in the engine's coordinates.
    pub energy: Vec<f64>,
}

/// What every rank needs to do the engines' own computations; each thread has one.
pub fn toolbox() -> Box<dyn Toolbox> {
    Box::new(Tools::default())
}

/// The best point that an optimiser found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Optimum {
    /// Unit-cube coordinates, n_dim.
    pub u: Vec<f64>,
    /// Covariance of the unit-cube coordinates from the curvature there, n_dim x n_dim; NaN for those at a bound; empty where it
    /// could not be had.
    pub covariance: Vec<f64>,
    /// Indices of coordinates at an end of their prior.
    pub at_bound: Vec<usize>,
    /// Searches that were started, and those that ended at this log L.
    pub starts: usize,
    pub agree: usize,
}

#[derive(Default)]
struct Tools {
    importance_nested: importance_nested::Tools,
    smc: smc::Tools,
}

impl Toolbox for Tools {
    /// Each engine has a hundred of kinds.
    fn compute(&mut self, kind: u16, shared: &[&Shared], input: &[u8]) -> Result<Vec<u8>, EvalError> {
        match kind / 100 {
            1 => self.smc.compute(kind, shared, input),
            _ => self.importance_nested.compute(kind, shared, input),
        }
    }
}
