//! What a job may set of sequential Monte Carlo, and what is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sampler::{EngineSettings, Problem, SamplerError, needs_parameters, refuse};

/// How walkers move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// Preconditioned Crank-Nicolson that keeps a fitted Student t (Grumitt, Karamanis & Seljak 2024).
    #[default]
    Tpcn,
    /// Random-walk Metropolis with the fitted covariance.
    Rwm,
}

/// What makes the target round before walkers move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precondition {
    /// Mean and covariance until walkers mix badly in them; then "spline", while it fits better.
    #[default]
    Auto,
    /// Mean and covariance: best where the posterior is one hump.
    Affine,
    /// Masked autoregressive flow (Papamakarios, Pavlakou & Murray 2017): bent and skewed posteriors.
    Maf,
    /// Autoregressive flow of rational-quadratic splines (Durkan et al. 2019): several humps too.
    Spline,
}

/// Which estimate of log Z is the run's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceBy {
    /// From the tempered states alone.
    Smc,
    /// From `n_evidence` fresh draws of the fitted law.
    Importance,
    /// From those and the posterior's states (Meng & Wong 1996).
    #[default]
    Bridge,
}

/// Settings of persistent, preconditioned sequential Monte Carlo (Karamanis et al. 2022, 2024; method names `smc`, `pocomc`).
///
/// None of them may be derived from the number of ranks: the answer is the same on any number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Walkers that move at the same time: as many likelihood calls can be under way.
    pub n_active: usize,
    /// Draws from the prior at the start.
    pub n_prior: usize,
    /// Effective sample size of all states so far at the next temperature: larger means smaller steps of beta.
    pub n_ladder: f64,
    /// Effective sample size to reach, correlation within chains counted.
    pub n_eff: f64,
    /// Most likelihood calls in all; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_max: Option<u64>,
    /// How walkers move: "tpcn" or "rwm".
    pub kernel: Kernel,
    /// What makes the target round: "affine" (mean and covariance), a flow, "maf" or "spline", or "auto": a spline where walkers need one.
    pub precondition: Precondition,
    /// Temperatures between two trainings of a flow.
    pub train_every: usize,
    /// Steps of each walker at each temperature; by default as many as the measured correlation asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_steps: Option<usize>,
    /// Most steps of each walker at a temperature where their number adapts.
    pub n_steps_max: usize,
    /// Chains are this many times as long as their correlation, where the number of steps adapts. With 2, chains on lynx and hare kept what their few ancestors
    /// beyond the hump at beta = .3 had in common: means were off by up to .28 sd, with 3 by less than .08 in fifteen runs of sixteen.
    pub correlation_times: f64,
    /// Which estimate is log Z: "smc", "importance" or "bridge".
    pub evidence: EvidenceBy,
    /// Fresh draws of the fitted law for the importance and bridge estimates.
    pub n_evidence: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            n_active: 256,
            n_prior: 1024,
            n_ladder: 512.0,
            n_eff: 4096.0,
            n_like_max: None,
            kernel: Kernel::Tpcn,
            precondition: Precondition::Auto,
            train_every: 2,
            n_steps: None,
            n_steps_max: 100,
            correlation_times: 3.0,
            evidence: EvidenceBy::Bridge,
            n_evidence: 2048,
        }
    }
}

impl EngineSettings for Settings {
    fn without_targets(&self) -> Settings {
        let Settings { n_eff, n_like_max, .. } = Settings::default();
        Settings { n_eff, n_like_max, ..self.clone() }
    }

    const WIDENED_BY: &str = "n_active";

    fn width(&self, _problem: &Problem) -> usize {
        self.n_active
    }

    /// Refuses what cannot work, naming the setting and its allowed range.
    fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
        needs_parameters(n_dim)?;
        match self.sizes(n_dim).into_iter().chain(self.steps()).find(|rule| !rule.0) {
            Some((_, key, value, need)) => refuse(key, value, need),
            None => Ok(()),
        }
    }
}

/// Whether it holds, the key, its value, and what it must be.
type Rule = (bool, &'static str, String, String);

impl Settings {
    /// How many of what.
    fn sizes(&self, n_dim: usize) -> Vec<Rule> {
        let least = (4 * n_dim + 32) as f64;
        let prior = self.n_prior as f64 >= self.n_ladder.max(self.n_active as f64);
        let limit = self.n_like_max.unwrap_or(u64::MAX);
        vec![
            (self.n_active >= 16, "n_active", self.n_active.to_string(), "at least 16".into()),
            (
                self.n_ladder >= least && self.n_ladder < 1e9,
                "n_ladder",
                self.n_ladder.to_string(),
                format!("at least {least} for {n_dim} parameters"),
            ),
            (prior, "n_prior", self.n_prior.to_string(), format!("at least n_active = {} and n_ladder = {}", self.n_active, self.n_ladder)),
            (self.n_eff >= 0.0 && self.n_eff.is_finite(), "n_eff", self.n_eff.to_string(), "0 or more".into()),
            (limit >= self.n_prior as u64, "n_like_max", limit.to_string(), format!("at least n_prior = {}", self.n_prior)),
        ]
    }

    /// How walkers go and how log Z is had.
    fn steps(&self) -> Vec<Rule> {
        let times = self.correlation_times;
        let drawn = self.evidence == EvidenceBy::Smc || self.n_evidence >= 100;
        vec![
            (self.train_every >= 1, "train_every", self.train_every.to_string(), "at least 1".into()),
            (self.n_steps != Some(0), "n_steps", "0".into(), "at least 1".into()),
            (self.n_steps_max >= 1, "n_steps_max", self.n_steps_max.to_string(), "at least 1".into()),
            (times >= 1.0 && times.is_finite(), "correlation_times", times.to_string(), "at least 1".into()),
            (drawn, "n_evidence", self.n_evidence.to_string(), "at least 100 for the importance and bridge estimates".into()),
        ]
    }
}
