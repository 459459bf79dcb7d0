//! What a job may set of the ensemble sampler, and what is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sampler::{EngineSettings, Gives, Problem, SamplerError, needs_parameters, refuse};

/// Settings of the ensemble sampler (Goodman & Weare 2010; ter Braak & Vrugt 2008; method names `ensemble`, `emcee`): walkers that step along the
/// lines between each other.
///
/// As `emcee` all moves are stretch moves unless other shares are typed. None of the settings may be derived from the number of ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Walkers; by default four for each parameter, and at least 40.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_walkers: Option<usize>,
    /// Groups that move in turn, each by where the others are: the walkers of a group are evaluated together.
    pub n_groups: usize,
    /// Shares of the moves: stretch,
    pub stretch: f64,
    /// differential evolution,
    pub differential: f64,
    /// and snooker.
    pub snooker: f64,
    /// Draws from the prior among which each walker takes the best to begin at.
    pub n_tries: usize,
    /// Effective sample size to reach.
    pub n_eff: f64,
    /// Autocorrelation times that the chains must be long, without what is discarded at their start.
    pub n_times: f64,
    /// Most steps of the walkers.
    pub n_steps: u64,
    /// Most likelihood calls in all; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_max: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            n_walkers: None,
            n_groups: 2,
            stretch: 0.1,
            differential: 0.8,
            snooker: 0.1,
            n_tries: 10,
            n_eff: 2000.0,
            n_times: 50.0,
            n_steps: 100_000,
            n_like_max: None,
        }
    }
}

impl Settings {
    /// A multiple of the number of groups.
    pub fn walkers(&self, n_dim: usize) -> usize {
        let asked = self.n_walkers.unwrap_or((4 * n_dim).max(40));
        asked.next_multiple_of(self.n_groups.max(1))
    }
}

impl EngineSettings for Settings {
    const GIVES: Gives = Gives::Sample;

    fn called(name: &str) -> Settings {
        match name {
            "emcee" => Settings { stretch: 1.0, differential: 0.0, snooker: 0.0, ..Settings::default() },
            _ => Settings::default(),
        }
    }

    fn without_targets(&self) -> Settings {
        Settings { n_eff: Settings::default().n_eff, n_like_max: None, ..self.clone() }
    }

    const WIDENED_BY: &str = "n_walkers";

    fn width(&self, problem: &Problem) -> usize {
        self.walkers(problem.n_dim) / self.n_groups.max(1)
    }

    fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
        let walkers = self.walkers(n_dim);
        needs_parameters(n_dim)?;
        if self.n_groups < 2 || self.n_groups > 64 {
            return refuse("n_groups", self.n_groups, "from 2 to 64");
        }
        if walkers < 2 * n_dim || walkers - walkers / self.n_groups < n_dim + 3 {
            return refuse("n_walkers", walkers, format!("at least {}", (2 * n_dim).max(2 * n_dim + 6)));
        }
        let shares = [("stretch", self.stretch), ("differential", self.differential), ("snooker", self.snooker)];
        if let Some((key, share)) = shares.iter().find(|(_, share)| !(share.is_finite() && *share >= 0.0)) {
            return refuse(key, share, "0 or more");
        }
        if shares.iter().map(|(_, share)| share).sum::<f64>() <= 0.0 {
            return refuse("stretch", "0", "above 0 where differential and snooker are 0");
        }
        if self.n_tries == 0 || self.n_tries > 10_000 {
            return refuse("n_tries", self.n_tries, "from 1 to 10000");
        }
        if !(self.n_times >= 10.0 && self.n_times.is_finite()) {
            return refuse("n_times", self.n_times, "at least 10");
        }
        if self.n_eff.is_nan() || self.n_eff < 0.0 {
            return refuse("n_eff", self.n_eff, "0 or more");
        }
        let least = (walkers * (self.n_tries + 100)) as u64;
        match self.n_like_max {
            _ if self.n_steps < 200 => refuse("n_steps", self.n_steps, "at least 200"),
            Some(most) if most < least => refuse("n_like_max", most, format!("at least {least}: 100 steps of {walkers} walkers")),
            _ => Ok(()),
        }
    }
}
