//! What a job may set of the simplex method, and what is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sampler::optimise::{self, Start};
use crate::sampler::{EngineSettings, Gives, Problem, SamplerError, refuse};

/// Settings of the simplex method (Nelder & Mead 1965; method name `nelder-mead`): finds the point of the highest likelihood
/// in the unit cube of the priors, without gradients, from many starts side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Searches, side by side.
    pub n_starts: usize,
    /// Where the first search begins: `median` of the priors, or `random`; the others are spread over the prior.
    pub start: Start,
    /// Points spread over the prior that are looked at before the searches begin: every other search that has no place of its own begins at the
    /// best of them. 100 for each search by default; 0 for none, and at most a fifth of `n_like_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_screen: Option<usize>,
    /// Points at which the first searches begin instead: prior quantiles of the free parameters, from 0 to 1, in the job's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Vec<f64>>,
    /// Edge of the first simplex, in prior quantiles.
    pub size: f64,
    /// Change of log L that does not matter: a simplex ends when its corners differ by less (or by 1e-12 |log L|), and so does a fresh one about its best corner.
    pub tol_log_like: f64,
    /// Most calls of one search; 2000 for each parameter by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_start: Option<u64>,
    /// Most likelihood calls in all; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_max: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            n_starts: 8,
            start: Start::Median,
            n_screen: None,
            points: vec![],
            size: 0.1,
            tol_log_like: 1e-8,
            n_like_start: None,
            n_like_max: None,
        }
    }
}

impl Settings {
    pub fn screen(&self) -> usize {
        self.n_screen.unwrap_or(100 * self.n_starts)
    }

    pub fn like_start(&self, n_dim: usize) -> u64 {
        self.n_like_start.unwrap_or(2000 * n_dim as u64)
    }
}

impl EngineSettings for Settings {
    const GIVES: Gives = Gives::Optimum;

    fn without_targets(&self) -> Settings {
        Settings { n_like_max: None, ..self.clone() }
    }

    const WIDENED_BY: &str = "n_starts";

    fn width(&self, _problem: &Problem) -> usize {
        self.n_starts
    }

    fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
        optimise::check(n_dim, self.n_starts, &self.points, self.tol_log_like, self.n_like_max)?;
        if !(self.size > 0.0 && self.size <= 0.5) {
            return refuse("size", self.size, "above 0 and at most 0.5");
        }
        if self.like_start(n_dim) < 10 * (n_dim as u64 + 1) {
            return refuse("n_like_start", self.like_start(n_dim), format!("at least {}", 10 * (n_dim + 1)));
        }
        Ok(())
    }
}
