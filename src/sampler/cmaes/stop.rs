//! When an evolution strategy has come to its end, and in what words: converged, or cut short.

use serde::{Deserialize, Serialize};

use super::evolution::Evolution;
use crate::sampler::optimise::Ending;

/// Covariances of a higher condition number cannot be told from singular ones.
const WORST_CONDITION: f64 = 1e14;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerances {
    /// Change of log L that does not matter.
    pub log_like: f64,
    /// Change of a coordinate of the unit cube that does not matter.
    pub u: f64,
    /// Good enough.
    pub cost: f64,
}

/// The costs of the generations so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Past {
    best: f64,
    /// Generation of the last record.
    record: usize,
    /// Best and median of each generation.
    #[serde(with = "crate::bulk::reals")]
    bests: Vec<f64>,
    #[serde(with = "crate::bulk::reals")]
    medians: Vec<f64>,
    /// Of the last generation: points that did not fail, best first; and its size.
    possible: Vec<f64>,
    lambda: usize,
    /// Generations in a row whose better three quarters were all equal.
    flat: u32,
}

impl Past {
    pub fn new(first: f64) -> Past {
        Past { best: first, record: 0, bests: vec![], medians: vec![], possible: vec![], lambda: 0, flat: 0 }
    }

    /// Costs of a generation, best first.
    pub fn note(&mut self, sorted: Vec<f64>) {
        if sorted[0] < self.best {
            (self.best, self.record) = (sorted[0], self.bests.len());
        }
        self.bests.push(sorted[0]);
        self.medians.push(sorted[sorted.len() / 2]);
        self.flat = if sorted[sorted.len() * 3 / 4] == sorted[0] { self.flat + 1 } else { 0 };
        self.lambda = sorted.len();
        self.possible = sorted.into_iter().take_while(|cost| *cost < f64::INFINITY).collect();
    }

    pub fn ending(&self, search: &Evolution, tolerances: &Tolerances, generations: u64) -> Option<Ending> {
        let tolerance = tolerances.log_like.max(1e-12 * self.best.abs());
        if self.best <= tolerances.cost {
            Some(Ending::converged("log L reached the target"))
        } else if self.is_quiet(search.mean.len(), tolerance) {
            Some(Ending::converged("log L no longer changes by more than tol_log_like"))
        } else if self.is_narrow(search, tolerances.u) {
            Some(Ending::converged("the search is narrower than tol_u"))
        } else if self.flat > 1 {
            Some(Ending::short("most points of a generation had exactly the same log L: a plateau"))
        } else if search.condition() > WORST_CONDITION {
            Some(Ending::short("the condition number of the search is above 1e14"))
        } else if search.is_stuck() {
            // Steps are lost in rounding: at the top, unless points fail there.
            let clear = self.possible.len() == self.lambda;
            Some(Ending { why: "steps are lost in the rounding of the parameters".into(), converged: clear })
        } else if self.stagnates(search.mean.len()) {
            Some(Ending::short("log L has stagnated"))
        } else if search.generation >= generations {
            Some(Ending::short("the limit of generations was reached"))
        } else {
            None
        }
    }

    /// The last generation and the bests of the last ones differ by less than the tolerance; or these alone by far less.
    fn is_quiet(&self, n: usize, tolerance: f64) -> bool {
        let look = 10 + (30.0 * n as f64 / self.lambda as f64).ceil() as usize;
        let recent = &self.bests[self.bests.len().saturating_sub(look)..];
        let history = range(recent);
        let now = range(&self.possible);
        // A few that succeed among many that fail are no sign of rest.
        let enough = 2 * self.possible.len() > self.lambda;
        let long = recent.len() > 9;
        enough && long && ((recent.len() == look && history.max(now) < tolerance) || history < 0.1 * tolerance)
    }

    fn is_narrow(&self, search: &Evolution, tolerance: f64) -> bool {
        let narrow = |i: usize| search.deviation(i) < tolerance && search.sigma * search.path[i].abs() < tolerance;
        (0..search.mean.len()).all(narrow)
    }

    /// Neither best nor median of the last fifth are better than before, and there was no record of late.
    fn stagnates(&self, n: usize) -> bool {
        let (n, lambda, so_far) = (n as f64, self.lambda as f64, self.bests.len());
        let horizon = (100.0 + 100.0 * n * n.sqrt() / lambda) as usize;
        let length = (horizon / 10).max(so_far / 10);
        if so_far <= 100 || so_far as f64 <= n * (5.0 + 100.0 / lambda) || so_far - self.record < horizon / 2 {
            return false;
        }
        let worse = |history: &[f64]| median(&history[so_far - length..]) >= median(&history[so_far - 2 * length..so_far - length]);
        worse(&self.bests) && worse(&self.medians)
    }
}

impl Evolution {
    fn condition(&self) -> f64 {
        let ratio = self.lengths.iter().copied().fold(0.0, f64::max) / self.lengths.iter().copied().fold(f64::INFINITY, f64::min);
        ratio * ratio
    }

    /// A tenth of the step along an axis (one each generation), or a fifth along a coordinate, changes nothing.
    fn is_stuck(&self) -> bool {
        let n = self.mean.len();
        let axis = (self.generation % n as u64) as usize;
        let along = |i: usize| 0.1 * self.sigma * self.lengths[axis] * self.axes[i * n + axis];
        (0..n).all(|i| self.mean[i] + along(i) == self.mean[i]) || (0..n).any(|i| self.mean[i] + 0.2 * self.deviation(i) == self.mean[i])
    }
}

fn range(values: &[f64]) -> f64 {
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
    high - low
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
