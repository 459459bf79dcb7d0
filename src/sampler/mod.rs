//! Engines: ask for work, be told answers in order, give a posterior. A sampler knows no rank.

pub mod importance_nested;
pub mod saved;

use serde::{Deserialize, Serialize};

use crate::task::{Answer, EvalError, Shared, Task, Toolbox};

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

/// Where a run stands, for the progress display and the log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// "exploring", "sampling", ...
    pub phase: String,
    /// Rough share of the work done, 0 to 1, where it can be told.
    pub fraction: Option<f64>,
    pub n_like: u64,
    pub n_eff: f64,
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
    pub log_z: f64,
    pub log_z_err: f64,
    /// Kish effective sample size of the weights as the engine defines it.
    pub n_eff: f64,
    pub n_like: u64,
    /// In plain words, for summary.json and the end report.
    pub warnings: Vec<String>,
    /// Engine-specific scalars for result.h5 and the report (e.g. "split_half_z").
    pub diagnostics: Vec<(String, f64)>,
}

/// Which engine, and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EngineSpec {
    ImportanceNested(importance_nested::Settings),
}

impl EngineSpec {
    /// Own name of each engine, and the names it also answers to.
    pub const METHODS: &[(&str, &[&str])] = &[("importance-nested", &["nautilus", "importance_nested"])];

    /// The own name of an engine given by any of its names.
    pub fn canonical(method: &str) -> Option<&'static str> {
        Self::METHODS.iter().find(|(own, others)| *own == method || others.contains(&method)).map(|(own, _)| *own)
    }

    /// Settings of any engine that say how far to go, and not which way: a run may be taken up again with higher ones.
    pub const TARGETS: &[&str] = &["n_eff", "n_like_max"];

    /// The same engine with all targets at their defaults: what stays the same when a run is extended.
    pub fn without_targets(&self) -> EngineSpec {
        match self {
            EngineSpec::ImportanceNested(settings) => {
                let importance_nested::Settings { n_eff, n_like_max, .. } = importance_nested::Settings::default();
                EngineSpec::ImportanceNested(importance_nested::Settings { n_eff, n_like_max, ..settings.clone() })
            }
        }
    }

    /// The engine's own name.
    pub fn method(&self) -> &'static str {
        match self {
            EngineSpec::ImportanceNested(_) => "importance-nested",
        }
    }
}

impl Default for EngineSpec {
    fn default() -> Self {
        EngineSpec::ImportanceNested(importance_nested::Settings::default())
    }
}

/// An engine for a problem of `n_dim` free parameters, of which `periodic` (indices) have no ends.
///
/// # Errors
/// A setting that cannot work, by name, with what it must be.
pub fn build(spec: &EngineSpec, seed: u64, n_dim: usize, periodic: &[usize]) -> Result<Box<dyn Sampler>, SamplerError> {
    match spec {
        EngineSpec::ImportanceNested(settings) => {
            Ok(Box::new(importance_nested::ImportanceNested::new(settings.clone(), seed, n_dim, periodic)?))
        }
    }
}

/// The sampler whose state was saved, by its engine's own name.
///
/// # Errors
/// A state that this build cannot read, and why.
pub fn restore(method: &str, state: &[u8]) -> Result<Box<dyn Sampler>, SamplerError> {
    match method {
        "importance-nested" => Ok(Box::new(saved::read::<importance_nested::ImportanceNested>(state)?)),
        _ => Err(SamplerError(format!("the saved run used the method {method}, which this build of fitjob does not have"))),
    }
}

/// What every rank needs to do the engines' own computations; each thread has one.
pub fn toolbox() -> Box<dyn Toolbox> {
    Box::new(Tools::default())
}

#[derive(Default)]
struct Tools {
    importance_nested: importance_nested::Tools,
}

impl Toolbox for Tools {
    fn compute(&mut self, kind: u16, shared: &[&Shared], input: &[u8]) -> Result<Vec<u8>, EvalError> {
        self.importance_nested.compute(kind, shared, input)
    }
}
