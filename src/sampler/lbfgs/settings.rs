//! What a job may set of L-BFGS, and what is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sampler::optimise::{self, Start};
use crate::sampler::{EngineSettings, Gives, Problem, SamplerError, refuse};

/// Settings of the quasi-Newton method with limited memory and bounds (method names `lbfgs`, `optimizer`): finds the point of the highest
/// likelihood in the unit cube of the priors, by the model's gradients or by central differences, from many starts side by side.
///
/// As `optimizer` there is one search, from the median, unless `n_starts` is typed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Searches, side by side.
    pub n_starts: usize,
    /// Where the first search begins: `median` of the priors, or `random`; the others are spread over the prior.
    pub start: Start,
    /// Points spread over the prior that are looked at before the searches begin: every other search that has no place of its own begins at the
    /// best of them. As many as ten steps of all searches take by default; 0 for none, and at most a fifth of `n_like_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_screen: Option<usize>,
    /// Points at which the first searches begin instead: prior quantiles of the free parameters, from 0 to 1, in the job's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Vec<f64>>,
    /// Steps that are remembered: they stand for the curvature.
    pub memory: usize,
    /// Gain of log L that does not matter: a search ends when a step can be expected to bring less (or less than 1e-12 |log L|).
    pub tol_log_like: f64,
    /// Most steps of a search.
    pub n_steps: u64,
    /// First step of central differences, in prior quantiles, where the model has no gradient; later ones follow the width of the peak.
    pub difference: f64,
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
            memory: 10,
            tol_log_like: 1e-7,
            n_steps: 1000,
            difference: 1e-4,
            n_like_max: None,
        }
    }
}

impl Settings {
    /// `exact`: the model has gradients.
    pub fn screen(&self, n_dim: usize, exact: bool) -> usize {
        self.n_screen.unwrap_or(10 * self.n_starts * if exact { 1 } else { 2 * n_dim + 1 })
    }
}

impl EngineSettings for Settings {
    const GIVES: Gives = Gives::Optimum;

    fn called(name: &str) -> Settings {
        let n_starts = if name == "optimizer" { 1 } else { Settings::default().n_starts };
        Settings { n_starts, ..Settings::default() }
    }

    fn without_targets(&self) -> Settings {
        Settings { n_like_max: None, ..self.clone() }
    }

    const WIDENED_BY: &str = "n_starts";

    fn width(&self, problem: &Problem) -> usize {
        self.n_starts * if problem.gradient { 1 } else { 2 * problem.n_dim + 1 }
    }

    fn wants_gradient(&self) -> bool {
        true
    }

    fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
        optimise::check(n_dim, self.n_starts, &self.points, self.tol_log_like, self.n_like_max)?;
        if self.memory == 0 {
            return refuse("memory", self.memory, "at least 1");
        }
        if self.n_steps == 0 {
            return refuse("n_steps", self.n_steps, "at least 1");
        }
        if !(self.difference >= 1e-12 && self.difference <= 0.1) {
            return refuse("difference", self.difference, "from 1e-12 to 0.1");
        }
        Ok(())
    }
}
