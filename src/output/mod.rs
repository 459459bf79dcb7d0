//! Everything a run leaves behind: the run directory and its lock, result.h5, summary.json, log.jsonl, rejected.csv, progress, report.
//! Only the root writes: every entry point takes `&Root`, which no other rank has.

mod atomic;
mod calibration;
mod holder;
mod lines;
mod lock;
mod log;
mod number;
mod opening;
mod optimum;
mod progress;
mod rejected;
mod report;
mod result;
mod rundir;
mod samples;
mod scales;
mod summary;
mod tail;
pub mod text;

use crate::world::Root;

pub use log::{Log, Resumed};
pub use opening::Opening;
pub use optimum::{BestValue, OptimumSummary};
pub use progress::{Progress, Style};
pub use rejected::Rejected;
pub use report::{abandoned, overview, print, report, stopped};
pub use result::{no_hdf5_locks, write_result};
pub use rundir::{RunDir, RunState};
pub use samples::Samples;
pub use summary::{ChainSummary, ParameterSummary, Summary};
pub use tail::{End, Standing, Status, Tail};

/// Facts of a run that are no part of its answer; filled by the caller, reported here.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    /// Name of the job, e.g. "fit.toml".
    pub job: String,
    pub job_digest: String,
    /// The engine's own name.
    pub method: String,
    pub seed: u64,
    pub ranks: usize,
    /// Threads that evaluate, for each rank.
    pub threads: usize,
    /// Times the run was taken up again.
    pub resumes: u64,
    /// From the start of the program to the end of sampling, seconds: of this life of the run.
    pub wall_s: f64,
    /// The same over all its lives.
    pub total_wall_s: f64,
    /// Of those: before the sampler's first question.
    pub startup_s: f64,
    /// Of those: the root inside the sampler (ask and tell).
    pub sampler_s: f64,
    /// Seconds inside the likelihood, summed over the threads of each rank.
    pub busy_s: Vec<f64>,
    /// Seconds inside the sampler's own tasks (training, drawing), summed over the threads of each rank.
    pub compute_s: Vec<f64>,
    /// Points without a likelihood that the job said to reject.
    pub rejected: u64,
    /// Calls that took longer than `call_limit_s`.
    pub timed_out: u64,
    /// Warnings of the run itself (oversubscribed cores, ...); those of the fit are in [`crate::fit::Fit`].
    pub warnings: Vec<String>,
}

/// Below so many seconds nobody asks how many ranks were worth it.
const WORTH_A_WORD_S: f64 = 2.0;

impl RunFacts {
    /// Seconds from the sampler's first question to its end.
    pub fn sampling_s(&self) -> f64 {
        self.wall_s - self.startup_s
    }

    /// Says so where one core would have been as quick as all that took part.
    pub fn too_cheap(&self) -> Option<String> {
        let (evaluators, took) = (self.ranks * self.threads, self.sampling_s());
        let alone = self.sampler_s + self.busy_s.iter().chain(&self.compute_s).sum::<f64>();
        (evaluators > 1 && took > WORTH_A_WORD_S && alone < took).then(|| {
            format!(
                "the likelihood is too cheap to be worth {evaluators} evaluators (ranks x threads): the run took {}, and one core would have \
                 been as quick ({} of calls and sampler). `fitjob check` tells how many are worth it.",
                text::duration(took),
                text::duration(alone)
            )
        })
    }

    /// Share of the sampling time that each rank's threads spent inside the likelihood.
    pub fn busy_fractions(&self) -> Vec<f64> {
        self.busy_s.iter().map(|busy| busy / (self.threads as f64 * self.sampling_s())).collect()
    }
}

/// What could not be written or read, where, why, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
#[error("{what}")]
pub struct OutputError {
    pub what: String,
    #[help]
    pub help: Option<String>,
}

impl OutputError {
    pub(crate) fn new(what: impl Into<String>) -> OutputError {
        OutputError { what: what.into(), help: None }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> OutputError {
        OutputError { help: Some(help.into()), ..self }
    }

    /// For people: what happened, and what to do.
    pub fn report(&self) -> String {
        match &self.help {
            Some(help) => format!("error: {self}\n  help: {help}"),
            None => format!("error: {self}"),
        }
    }

    /// "cannot write run/result.h5: no space left on device".
    pub(crate) fn cannot(verb: &str, path: &std::path::Path, cause: impl std::fmt::Display) -> OutputError {
        OutputError::new(format!("cannot {verb} {}: {cause}", path.display()))
    }
}

#[cfg(test)]
mod tests;
