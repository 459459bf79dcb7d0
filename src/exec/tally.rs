//! Counts what was done and where, and turns verdicts into answers or the error that ends the run.

use super::bench::Verdict;
use super::{ExecError, Site};
use crate::task::{Answer, EvalError, TaskId, Value};
use std::time::Instant;

/// What the evaluator did so far.
#[derive(Clone, Debug, Default)]
pub struct ExecStats {
    /// By rank; one entry without MPI.
    pub ranks: Vec<RankStats>,
    /// Threads that evaluate points, on each rank.
    pub threads: usize,
    /// Seconds since the evaluator was made.
    pub wall: f64,
    /// Seconds of that in which `collect` waited.
    pub waited: f64,
    /// Points rejected by the model.
    pub rejected: u64,
    /// NaN counted as impossible.
    pub nan: u64,
    /// +infinity counted as impossible.
    pub plus_infinity: u64,
    /// -infinity returned by the model as a value.
    pub minus_infinity: u64,
    /// Calls given up because they took longer than the job allows, counted as impossible.
    pub timed_out: u64,
    /// Rounds of scatter and gather.
    pub rounds: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct RankStats {
    pub calls: u64,
    /// Seconds spent evaluating points, summed over the rank's threads.
    pub busy: f64,
    pub computations: u64,
    /// Seconds spent on the sampler's computations.
    pub computing: f64,
}

impl ExecStats {
    pub fn calls(&self) -> u64 {
        self.ranks.iter().map(|r| r.calls).sum()
    }

    /// Points that count as impossible although the model gave no such value.
    pub fn impossible(&self) -> u64 {
        self.rejected + self.nan + self.plus_infinity + self.timed_out
    }

    /// Share of the wall time in which threads evaluated points: 0 to 1.
    pub fn busy_fraction(&self) -> f64 {
        let lanes = (self.ranks.len() * self.threads.max(1)) as f64;
        let busy: f64 = self.ranks.iter().map(|r| r.busy).sum();
        if self.wall > 0.0 { busy / (self.wall * lanes) } else { 0.0 }
    }
}

pub struct Tally<'s> {
    site: &'s Site,
    stats: ExecStats,
    start: Instant,
}

impl<'s> Tally<'s> {
    pub fn new(site: &'s Site, ranks: usize, threads: usize) -> Tally<'s> {
        let stats = ExecStats { ranks: vec![RankStats::default(); ranks], threads, ..ExecStats::default() };
        Tally { site, stats, start: Instant::now() }
    }

    pub fn stats(&self) -> ExecStats {
        ExecStats { wall: self.start.elapsed().as_secs_f64(), ..self.stats.clone() }
    }

    /// Calls and busy seconds of all ranks.
    pub fn totals(&self) -> (u64, f64) {
        self.stats.ranks.iter().fold((0, 0.0), |(calls, busy), rank| (calls + rank.calls, busy + rank.busy))
    }

    pub fn waited(&mut self, seconds: f64) {
        self.stats.waited += seconds;
    }

    pub fn round(&mut self) {
        self.stats.rounds += 1;
    }

    /// The answer for the point `u`; `None` where it was skipped.
    pub fn point(&mut self, rank: usize, id: TaskId, u: &[f64], verdict: Verdict, seconds: f32) -> Result<Option<Answer>, ExecError> {
        let stats = &mut self.stats;
        let mine = &mut stats.ranks[rank];
        mine.calls += 1;
        mine.busy += seconds as f64;
        let mut derived = Vec::new();
        let outcome = match verdict {
            Verdict::Value(value, computed) => {
                stats.minus_infinity += (value == f64::NEG_INFINITY) as u64;
                derived = computed;
                Ok(Value::LogLike(value))
            }
            Verdict::Rejected(why) => impossible(&mut stats.rejected, why),
            Verdict::Nan => impossible(&mut stats.nan, "log-likelihood is NaN".into()),
            Verdict::PlusInfinity => impossible(&mut stats.plus_infinity, "log-likelihood is +infinity".into()),
            Verdict::TimedOut => {
                let limit = self.site.call_limit.unwrap_or_default();
                impossible(&mut stats.timed_out, format!("no value within {} s", limit.as_secs_f64()))
            }
            Verdict::Fatal(cause) => return Err(self.failure(rank, u, cause)),
            Verdict::Skipped => {
                mine.calls -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Answer { id, outcome, derived, seconds }))
    }

    /// The error that ends the run, with the point's parameter values.
    pub fn failure(&self, rank: usize, u: &[f64], cause: String) -> ExecError {
        let point = self.site.space.names().iter().cloned().zip(self.theta(u)).collect();
        ExecError { rank, point, cause }
    }

    /// Parameter values of a point; NaN where the prior itself fails.
    fn theta(&self, u: &[f64]) -> Vec<f64> {
        let mut theta = vec![f64::NAN; self.site.space.names().len()];
        let _ = crate::world::panics::guarded(|| self.site.space.transform(u, &mut theta));
        theta
    }

    /// The answer of a computation. One that fails ends the run: the sampler cannot go on without it.
    pub fn computation(&mut self, rank: usize, id: TaskId, outcome: Result<Vec<u8>, EvalError>, seconds: f32) -> Result<Answer, ExecError> {
        let mine = &mut self.stats.ranks[rank];
        mine.computations += 1;
        mine.computing += seconds as f64;
        let cause = |why: EvalError| format!("a computation of the sampler failed (lane {}, number {}): {why}", id.lane, id.seq);
        match outcome {
            Ok(bytes) => Ok(Answer { id, outcome: Ok(Value::Bytes(bytes)), derived: Vec::new(), seconds }),
            Err(error) => Err(ExecError { rank, point: Vec::new(), cause: cause(error) }),
        }
    }
}

fn impossible(count: &mut u64, why: String) -> Result<Value, EvalError> {
    *count += 1;
    Err(EvalError::Reject(why))
}
