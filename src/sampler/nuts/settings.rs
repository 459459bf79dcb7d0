//! What a job may set of the No-U-Turn sampler, and what is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::coordinates::Coordinates;
use super::evaluation::{Evaluation, Slope};
use crate::sampler::{EngineSettings, Gives, Problem, SamplerError, needs_parameters, refuse};

/// Where gradients come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gradient {
    /// The model's where it has them, else differences.
    Auto,
    /// The model's, or the job is refused.
    Exact,
    /// Central differences of log L.
    Differences,
}

/// What the metric is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Adaptation {
    /// Draws and gradients.
    Gradients,
    /// Draws, in Stan's windows.
    Windows,
}

/// What the metric can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// As `LowRank` where draws and gradients agree on a normal law, and as `Diagonal` where they do not.
    Auto,
    /// The scales of the coordinates.
    Diagonal,
    /// And the directions whose variance is more than twice or less than half of what the scales say.
    LowRank,
    /// All covariances.
    Dense,
}

/// Settings of the No-U-Turn sampler (Hoffman & Gelman 2014; Betancourt 2017; method names `nuts`, `numpyro`).
///
/// None of them may be derived from the number of ranks: the answer is the same on any number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Chains, which run side by side.
    pub chains: usize,
    /// Chains are put into so many groups of equal size, each begun at one point, and R-hat is the nested one: for many short
    /// chains. 0: each chain has its own beginning.
    pub groups: usize,
    /// Transitions of each chain that only teach step size and metric; by default 400, 800 with metric `"low-rank"` or `"dense"`, 1000 with `adaptation = "windows"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<usize>,
    /// Draws of each chain between two looks at the effective sample size, at first; later a quarter of those so far.
    pub block: usize,
    /// Effective sample size to reach: the smallest bulk ESS of all free parameters.
    pub n_eff: f64,
    /// Most draws of each chain.
    pub max_draws: usize,
    /// Most likelihood calls in all; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_max: Option<u64>,
    /// Where gradients come from: `"auto"` (the model's where it has them, else differences), `"exact"`, `"differences"`.
    pub gradient: Gradient,
    /// Step of the differences, in standard deviations of each coordinate by the metric.
    pub difference_step: f64,
    /// What the metric is learned from: `"gradients"` (draws and gradients) or `"windows"` (draws, as in Stan).
    pub adaptation: Adaptation,
    /// What the metric can tell apart: `"auto"`, `"diagonal"`, `"low-rank"` or `"dense"`.
    pub metric: Shape,
    /// Mean acceptance that the step size is adapted to: higher is slower, and safer where divergences are reported.
    pub target_accept: f64,
    /// Most doublings of a trajectory.
    pub max_depth: u32,
    /// Energy error that counts as a divergence.
    pub max_energy_error: f64,
    /// Points of the prior of which the best is the beginning of a chain.
    pub starts: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            chains: 4,
            groups: 0,
            warmup: None,
            block: 250,
            n_eff: 2000.0,
            max_draws: 20_000,
            n_like_max: None,
            gradient: Gradient::Auto,
            difference_step: 0.01,
            adaptation: Adaptation::Gradients,
            metric: Shape::Auto,
            target_accept: 0.8,
            max_depth: 10,
            max_energy_error: 1000.0,
            starts: 16,
        }
    }
}

impl Settings {
    pub(super) fn slope(&self, problem: &Problem) -> Slope {
        if problem.gradient && self.wants_gradient() { Slope::Exact } else { Slope::Differences }
    }
}

impl EngineSettings for Settings {
    const GIVES: Gives = Gives::Sample;

    /// NumPyro's: Stan's windows.
    fn called(name: &str) -> Settings {
        match name {
            "numpyro" => Settings { adaptation: Adaptation::Windows, ..Settings::default() },
            _ => Settings::default(),
        }
    }

    fn without_targets(&self) -> Settings {
        let Settings { n_eff, n_like_max, .. } = Settings::default();
        Settings { n_eff, n_like_max, ..self.clone() }
    }

    const WIDENED_BY: &str = "chains";

    fn width(&self, problem: &Problem) -> usize {
        self.chains * Evaluation::calls(self.slope(problem), &Coordinates::new(problem)) as usize
    }

    fn wants_gradient(&self) -> bool {
        self.gradient != Gradient::Differences
    }

    /// Refuses what cannot work, naming the setting and its allowed range.
    fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
        needs_parameters(n_dim)?;
        let counts = [("chains", self.chains), ("max_draws", self.max_draws), ("starts", self.starts)];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return refuse(key, "0", "at least 1");
        }
        if self.groups > 0 && (self.groups < 2 || !self.chains.is_multiple_of(self.groups)) {
            return refuse("groups", self.groups, format!("0, or 2 or more such that chains = {} is a multiple", self.chains));
        }
        if self.block < 4 {
            return refuse("block", self.block, "at least 4");
        }
        if !(self.target_accept > 0.0 && self.target_accept < 1.0) {
            return refuse("target_accept", self.target_accept, "between 0 and 1 (0.8 is usual)");
        }
        if !(1..=20).contains(&self.max_depth) {
            return refuse("max_depth", self.max_depth, "from 1 to 20");
        }
        let positive = [("difference_step", self.difference_step), ("max_energy_error", self.max_energy_error)];
        if let Some((key, value)) = positive.iter().find(|(_, value)| !(*value > 0.0 && value.is_finite())) {
            return refuse(key, value, "above 0");
        }
        if self.n_eff.is_nan() || self.n_eff < 0.0 {
            return refuse("n_eff", self.n_eff, "0 or more");
        }
        Ok(())
    }
}

impl Settings {
    /// Transitions of the warm-up.
    pub fn warmup(&self) -> usize {
        let usual = match (self.adaptation, self.metric) {
            (Adaptation::Windows, _) => 1000,
            (Adaptation::Gradients, Shape::Auto | Shape::Diagonal) => 400,
            (Adaptation::Gradients, _) => 800,
        };
        self.warmup.unwrap_or(usual)
    }
}
