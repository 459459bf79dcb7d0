//! What a job may set of importance nested sampling, and what is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sampler::{EngineSettings, Problem, SamplerError, needs_parameters, refuse};

/// Settings of importance nested sampling (Lange 2023, MNRAS 525, 3181; method names `importance-nested`, `nautilus`).
///
/// None of them may be derived from the number of ranks: the answer is the same on any number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Points with the highest likelihood that define each bound. When the exploration is discarded, the share `learn` of it is used.
    pub n_live: usize,
    /// Share of `n_live` that teaches the bounds when the exploration is discarded: the calls saved pay for sampling afresh.
    pub learn: f64,
    /// New points above the threshold before the next bound is tried; by default the number of live points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_update: Option<usize>,
    /// Likelihood calls after which the next bound is tried in any case; by default ten times the number of live points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_new_bound: Option<usize>,
    /// Every semi-axis of an ellipsoid is multiplied by this.
    pub enlarge_per_dim: f64,
    /// Ellipsoids with fewer than twice as many points are not split; by default 50 more than there are parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_points_min: Option<usize>,
    /// Ellipsoids are split until their union is at most this many times (times enlarge_per_dim^d) larger than the live volume.
    pub split_threshold: f64,
    /// Networks that score points near the threshold; 0: ellipsoids only.
    pub n_networks: usize,
    /// Likelihood calls that are committed together. A property of the job, never of the number of ranks.
    pub n_batch: usize,
    /// Likelihood calls outstanding at most: at least as many as there are evaluators keeps all of them busy.
    pub window: usize,
    /// Batches evaluated from the old bound while the next one is being learned.
    pub pipeline: usize,
    /// Exploration stops when the live points hold at most this share of the evidence.
    pub f_live: f64,
    /// Exploration also stops when a further bound would cost more calls than it saves.
    pub stop_when_flat: bool,
    /// Bounds that may fail one after another before exploration stops.
    pub max_failed_bounds: usize,
    /// Least number of points of every shell in the sampling phase.
    pub n_shell: usize,
    /// Effective sample size to reach.
    pub n_eff: f64,
    /// Most likelihood calls in all; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_like_max: Option<u64>,
    /// Measure only with points drawn after the bounds were frozen: exactly unbiased. If false, the points that taught
    /// the bounds are counted too, as nautilus does by default; log Z is then biased by more than its error in many dimensions.
    pub discard_exploration: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            n_live: 2000,
            learn: 0.5,
            n_update: None,
            n_like_new_bound: None,
            enlarge_per_dim: 1.1,
            n_points_min: None,
            split_threshold: 100.0,
            n_networks: 2,
            n_batch: 64,
            window: 256,
            pipeline: 2,
            f_live: 0.01,
            stop_when_flat: true,
            max_failed_bounds: 8,
            n_shell: 1,
            n_eff: 10_000.0,
            n_like_max: None,
            discard_exploration: true,
        }
    }
}

impl EngineSettings for Settings {
    fn without_targets(&self) -> Settings {
        let Settings { n_eff, n_like_max, .. } = Settings::default();
        Settings { n_eff, n_like_max, ..self.clone() }
    }

    const WIDENED_BY: &str = "window";

    fn width(&self, _problem: &Problem) -> usize {
        self.window
    }

    /// Refuses what cannot work, naming the setting and its allowed range.
    fn check(&self, n_dim: usize) -> Result<(), SamplerError> {
        needs_parameters(n_dim)?;
        if !(self.learn > 0.0 && self.learn <= 1.0) {
            return refuse("learn", self.learn, "above 0 and at most 1");
        }
        if self.live() < n_dim + 10 {
            let need = format!("at least {}", ((n_dim + 10) as f64 / (self.live() as f64 / self.n_live as f64).max(0.01)).ceil());
            return refuse("n_live", self.n_live, need);
        }
        if !(self.enlarge_per_dim >= 1.0 && self.enlarge_per_dim.is_finite()) {
            return refuse("enlarge_per_dim", self.enlarge_per_dim, "at least 1");
        }
        if self.points_min(n_dim) < n_dim + 1 {
            return refuse("n_points_min", self.points_min(n_dim), format!("at least {}", n_dim + 1));
        }
        if self.split_threshold.is_nan() || self.split_threshold < 1.0 {
            return refuse("split_threshold", self.split_threshold, "at least 1");
        }
        if self.n_batch == 0 {
            return refuse("n_batch", "0", "at least 1");
        }
        if self.window < self.n_batch {
            return refuse("window", self.window, format!("at least n_batch = {}", self.n_batch));
        }
        if !(self.f_live > 0.0 && self.f_live < 1.0) {
            return refuse("f_live", self.f_live, "between 0 and 1");
        }
        if self.max_failed_bounds == 0 {
            return refuse("max_failed_bounds", "0", "at least 1");
        }
        if self.n_update == Some(0) {
            return refuse("n_update", "0", "at least 1");
        }
        if self.n_eff.is_nan() || self.n_eff < 0.0 {
            return refuse("n_eff", self.n_eff, "0 or more");
        }
        Ok(())
    }
}

impl Settings {
    /// Live points in use.
    pub fn live(&self) -> usize {
        let share = if self.discard_exploration { self.learn } else { 1.0 };
        ((self.n_live as f64 * share).round() as usize).max(1)
    }

    pub fn points_min(&self, n_dim: usize) -> usize {
        self.n_points_min.unwrap_or(n_dim + 50)
    }

    pub fn update(&self) -> usize {
        self.n_update.unwrap_or(self.live())
    }

    pub fn like_new_bound(&self) -> usize {
        self.n_like_new_bound.unwrap_or(10 * self.live())
    }

    /// Batches outstanding at most.
    pub fn batches_ahead(&self) -> u64 {
        (self.window / self.n_batch).max(1) as u64
    }
}
