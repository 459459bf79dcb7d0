//! What a job may set of nested sampling, and what is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sampler::{EngineSettings, Problem, SamplerError, needs_parameters, refuse};

/// What encloses the live points, to draw from and to take directions from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Nothing: the whole cube.
    None,
    /// One ellipsoid.
    Single,
    /// As many ellipsoids as pay (Feroz, Hobson & Bridges 2009).
    Multi,
    /// A ball around each live point (MLFriends: Buchner 2016, 2019).
    Friends,
}

/// How a walk moves that brings a new live point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proposal {
    /// No walk: uniform draws from the bound, whatever they cost.
    Uniform,
    /// Metropolis steps, uniform in a scaled ellipsoid of the bound.
    RandomWalk,
    /// Slices along the axes of an ellipsoid of the bound, in random order.
    Slice,
    /// Slices in independent random directions.
    RandomSlice,
    /// Slices along random orthonormal bases of the whitened cube (PolyChord: Handley, Hobson & Lasenby 2015).
    WhitenedSlice,
    /// Slices along the difference of two live points.
    Differential,
}

/// Where a slice begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Interval {
    /// The chord through an ellipsoid around all live points with semi-axes half as long again: half the calls.
    Chord,
    /// Stepping out (Neal 2003): trusts no bound.
    StepOut,
}

/// Settings of nested sampling (Skilling 2006; method names `nested`, `dynesty`, `ultranest`, `polychord`).
///
/// None of them may be derived from the number of ranks: the answer is the same on any number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Live points of each run.
    pub n_live: usize,
    /// Share of the live points that is deleted and replaced together: so many walks can be under way at once.
    pub block: f64,
    pub bound: Bound,
    /// Walks that bring new live points once uniform draws from the bound would cost more calls than they.
    pub proposal: Proposal,
    /// Steps of a random walk, or slices, of each walk; by default enough of them for the dimension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_steps: Option<usize>,
    /// Where `n_steps` is not given: so many for each free parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps_per_parameter: Option<usize>,
    pub interval: Interval,
    /// Uniform draws from the bound give way to walks below this share of successes; by default where walks cost less. 1: walks from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_efficiency: Option<f64>,
    /// Times that the bound is tested on points left out, to learn how much it must be enlarged.
    pub n_bootstrap: usize,
    /// A run ends when the live points would hold this share of the evidence if all were as good as the best of them.
    pub f_live: f64,
    /// Independent runs from the prior, one after another, merged; their scatter is a check of the error of log Z.
    pub n_runs: usize,
    /// Effective sample size to reach by further live points where they help most (dynamic nested sampling); 0: none, the runs alone.
    pub n_eff: f64,
    /// Error of log Z to reach in the same way; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_z_err: Option<f64>,
    /// Where further live points go: 1: for the posterior, 0: for the evidence.
    pub posterior_share: f64,
    /// Most likelihood calls in all; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_max: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            n_live: 500,
            block: 0.25,
            bound: Bound::Multi,
            proposal: Proposal::WhitenedSlice,
            n_steps: None,
            steps_per_parameter: None,
            interval: Interval::Chord,
            min_efficiency: None,
            n_bootstrap: 20,
            f_live: 0.4,
            n_runs: 1,
            n_eff: 0.0,
            log_z_err: None,
            posterior_share: 0.8,
            n_like_max: None,
        }
    }
}

impl EngineSettings for Settings {
    fn called(name: &str) -> Self {
        let own = Settings::default();
        match name {
            "dynesty" => Settings { proposal: Proposal::RandomWalk, ..own },
            "ultranest" => Settings {
                n_live: 400,
                bound: Bound::Friends,
                proposal: Proposal::Differential,
                interval: Interval::StepOut,
                f_live: 0.01,
                ..own
            },
            "polychord" => {
                Settings { steps_per_parameter: Some(5), interval: Interval::StepOut, min_efficiency: Some(1.0), f_live: 1e-3, ..own }
            }
            _ => own,
        }
    }

    fn without_targets(&self) -> Settings {
        let Settings { n_eff, n_like_max, .. } = Settings::default();
        Settings { n_eff, n_like_max, ..self.clone() }
    }

    const WIDENED_BY: &str = "n_live";

    fn width(&self, _problem: &Problem) -> usize {
        self.deleted(self.n_live)
    }

    fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
        let share = |x: f64| x > 0.0 && x <= 1.0;
        needs_parameters(n_dim)?;
        if self.n_live < least_live(n_dim) {
            return refuse("n_live", self.n_live, format!("at least {} for {n_dim} free parameters", least_live(n_dim)));
        }
        if !(self.block > 0.0 && self.block <= 0.75) {
            return refuse("block", self.block, "above 0 and at most 0.75");
        }
        for (key, steps) in [("n_steps", self.n_steps), ("steps_per_parameter", self.steps_per_parameter)] {
            if steps == Some(0) {
                return refuse(key, "0", "at least 1");
            }
        }
        if self.bound == Bound::None && self.proposal == Proposal::RandomWalk {
            return refuse("bound", "\"none\"", "a bound that gives a random walk its steps: \"single\", \"multi\" or \"friends\"");
        }
        if !self.min_efficiency.is_none_or(share) {
            return refuse("min_efficiency", self.min_efficiency.unwrap_or(f64::NAN), "above 0 and at most 1");
        }
        if self.n_bootstrap == 0 {
            return refuse("n_bootstrap", "0", "at least 1");
        }
        if !(self.f_live > 0.0 && self.f_live < 1.0) {
            return refuse("f_live", self.f_live, "between 0 and 1");
        }
        if self.n_runs == 0 {
            return refuse("n_runs", "0", "at least 1");
        }
        if self.n_eff.is_nan() || self.n_eff < 0.0 {
            return refuse("n_eff", self.n_eff, "0 or more");
        }
        if let Some(error) = self.log_z_err.filter(|e| e.is_nan() || *e <= 0.0) {
            return refuse("log_z_err", error, "above 0");
        }
        if !(0.0..=1.0).contains(&self.posterior_share) {
            return refuse("posterior_share", self.posterior_share, "between 0 and 1");
        }
        Ok(())
    }
}

/// Fewer cannot tell the shape of where they live.
fn least_live(n_dim: usize) -> usize {
    4 * (n_dim + 2)
}

impl Settings {
    /// Points deleted together when `n` are alive.
    pub fn deleted(&self, n: usize) -> usize {
        ((self.block * n as f64).round() as usize).max(1)
    }

    /// Steps or slices of one walk.
    pub fn steps(&self, n_dim: usize) -> usize {
        self.n_steps.or(self.steps_per_parameter.map(|each| each * n_dim)).unwrap_or(match self.proposal {
            Proposal::RandomWalk => 20 + 2 * n_dim,
            Proposal::Uniform => 1,
            _ => (n_dim + 1).max(5),
        })
    }

    /// Calls of one walk as long as none was made, roughly.
    pub fn walk_calls(&self, n_dim: usize) -> f64 {
        let each = match (self.proposal, self.interval) {
            (Proposal::RandomWalk, _) => 1.0,
            (_, Interval::Chord) => 2.5,
            (_, Interval::StepOut) => 5.0,
        };
        each * self.steps(n_dim) as f64
    }
}
