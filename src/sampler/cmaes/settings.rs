//! What a job may set of CMA-ES, and what is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::constants::population;
use crate::sampler::optimise::{self, Start};
use crate::sampler::{EngineSettings, Gives, Problem, SamplerError, refuse};

/// How the searches differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restarts {
    /// All have the same population.
    None,
    /// Each has twice the population of the one before; all run side by side (Auger & Hansen 2005).
    Ipop,
    /// The same, and beside each but the first two of small population and step, on at most twice the calls of the last large one (after Hansen 2009).
    #[default]
    Bipop,
}

/// Settings of CMA-ES, the evolution strategy with covariance matrix adaptation (Hansen 2016, arXiv:1604.00772; method name `cmaes`).
///
/// Finds the point of the highest likelihood in the unit cube of the priors. None of the settings may be derived from the number of ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Searches (with `restarts = "bipop"`: large ones). At most 12 where populations double.
    pub n_starts: usize,
    /// Where the first search begins: `median` of the priors, or `random`; the others are spread over the prior.
    pub start: Start,
    /// Points spread over the prior that are looked at before the searches begin: every other search that has no place of its own (with `bipop`: every
    /// small one) begins at the best of them. As many as ten generations of the largest population take by default; 0 for none, and at most a fifth of `n_like_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_screen: Option<usize>,
    /// Points at which the first searches begin instead: prior quantiles of the free parameters, from 0 to 1, in the job's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Vec<f64>>,
    /// How the searches differ.
    pub restarts: Restarts,
    /// Points a generation; 4 + 3 ln(parameters) by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub population: Option<usize>,
    /// First standard deviation of a search, as a share of the prior's range of quantiles.
    pub sigma: f64,
    /// Learn from the worse half too: a quarter fewer calls on narrow ridges.
    pub active: bool,
    /// Change of log L that does not matter: a search ends when it makes no larger ones (or ones of 1e-12 |log L|).
    pub tol_log_like: f64,
    /// A search also ends when it is narrower than this in all prior quantiles.
    pub tol_u: f64,
    /// A search also ends when log L is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_log_like: Option<f64>,
    /// Most generations of a search; 100 + 150 (parameters + 3)^2 / sqrt(population) by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_generations: Option<u64>,
    /// Most likelihood calls in all, dealt to the searches by their populations; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_max: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            n_starts: 4,
            start: Start::Median,
            n_screen: None,
            points: vec![],
            restarts: Restarts::Bipop,
            population: None,
            sigma: 0.2,
            active: true,
            tol_log_like: 1e-8,
            tol_u: 1e-11,
            target_log_like: None,
            n_generations: None,
            n_like_max: None,
        }
    }
}

impl Settings {
    pub fn screen(&self, n_dim: usize) -> usize {
        let doublings = if self.restarts == Restarts::None { 0 } else { self.n_starts.clamp(1, 12) - 1 };
        self.n_screen.unwrap_or((10 * self.population(n_dim)) << doublings)
    }

    pub fn population(&self, n_dim: usize) -> usize {
        self.population.unwrap_or_else(|| population(n_dim))
    }

    pub fn generations(&self, n_dim: usize, lambda: usize) -> u64 {
        let n = n_dim as f64 + 3.0;
        self.n_generations.unwrap_or((100.0 + 150.0 * n * n / (lambda as f64).sqrt()) as u64)
    }
}

impl EngineSettings for Settings {
    const GIVES: Gives = Gives::Optimum;

    fn without_targets(&self) -> Settings {
        Settings { n_like_max: None, ..self.clone() }
    }

    const WIDENED_BY: &str = "n_starts";

    fn width(&self, problem: &Problem) -> usize {
        let one = self.population(problem.n_dim);
        match self.restarts {
            Restarts::None => one * self.n_starts,
            Restarts::Ipop => one * ((1 << self.n_starts.min(40)) - 1),
            Restarts::Bipop => one << (self.n_starts.clamp(1, 40) - 1),
        }
    }

    fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
        optimise::check(n_dim, self.n_starts, &self.points, self.tol_log_like, self.n_like_max)?;
        if self.restarts != Restarts::None && self.n_starts > 12 {
            return refuse(
                "n_starts",
                self.n_starts,
                "at most 12, since every search has twice the population of the one before; or set restarts = \"none\"",
            );
        }
        if self.population(n_dim) < 4 {
            return refuse("population", self.population(n_dim), "at least 4");
        }
        if !(self.sigma > 0.0 && self.sigma <= 0.5) {
            return refuse("sigma", self.sigma, "above 0 and at most 0.5");
        }
        if self.tol_u.is_nan() || self.tol_u < 0.0 {
            return refuse("tol_u", self.tol_u, "0 or more");
        }
        Ok(())
    }
}
