//! Slopes at a point: the model's own, or central differences whose steps follow the width of the peak.

use serde::{Deserialize, Serialize};

use crate::sampler::optimise::{Cube, Reply};

/// Step of a difference as a share of the width of the peak (1 / sqrt of the second derivative): log L then changes by 2e-4 about the top, which
/// stands above the noise of solvers, and the third derivative adds 1e-4 of a standard deviation.
const SHARE: f64 = 0.02;
const STEPS: std::ops::RangeInclusive<f64> = 1e-9..=1e-2;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slopes {
    /// Of each coordinate; empty where the model has gradients.
    steps: Vec<f64>,
}

impl Slopes {
    /// `exact`: replies carry slopes.
    pub fn new(n_dim: usize, exact: bool, step: f64) -> Slopes {
        Slopes { steps: if exact { vec![] } else { vec![step; n_dim] } }
    }

    /// Ends of the difference along coordinate `i`: shorter to one side where the cube ends.
    fn ends(&self, cube: &Cube, x: &[f64], i: usize) -> (f64, f64) {
        let (low, high) = (x[i] - self.steps[i], x[i] + self.steps[i]);
        if cube.periodic[i] { (low, high) } else { (low.max(0.0), high.min(1.0)) }
    }

    /// The points whose values give cost and slope at `x`: itself first.
    pub fn points(&self, cube: &Cube, x: &[f64]) -> Vec<Vec<f64>> {
        let moved = |i: usize, to: f64| {
            let mut u = cube.hold_all(x);
            u[i] = cube.hold(i, to);
            u
        };
        let mut points = vec![cube.hold_all(x)];
        points.extend((0..self.steps.len()).flat_map(|i| {
            let (low, high) = self.ends(cube, x, i);
            [moved(i, low), moved(i, high)]
        }));
        points
    }

    /// Slope at `x` of what came of those points, and better steps for the next. Beside points that failed it is one-sided.
    pub fn take(&mut self, cube: &Cube, x: &[f64], replies: &[Reply]) -> Vec<f64> {
        let Some(here) = replies.first() else { return vec![] };
        if self.steps.is_empty() {
            return here.slope.clone();
        }
        let mut slope = vec![0.0; self.steps.len()];
        for (i, pair) in replies[1..].chunks_exact(2).enumerate() {
            let (low, high) = self.ends(cube, x, i);
            slope[i] = match (pair[0].cost.is_finite(), pair[1].cost.is_finite()) {
                (true, true) => (pair[1].cost - pair[0].cost) / (high - low),
                (true, false) if low < x[i] => (here.cost - pair[0].cost) / (x[i] - low),
                (false, true) if high > x[i] => (pair[1].cost - here.cost) / (high - x[i]),
                _ => 0.0,
            };
            let h = 0.5 * (high - low);
            let curvature = ((pair[0].cost + pair[1].cost - 2.0 * here.cost) / (h * h)).abs();
            if low < x[i] && high > x[i] && curvature.is_finite() {
                // At most a hundredfold change, since a curvature of nothing may be lost in rounding.
                let wanted = SHARE / curvature.max(1e-300).sqrt();
                self.steps[i] = wanted.clamp(0.01 * self.steps[i], 100.0 * self.steps[i]).clamp(*STEPS.start(), *STEPS.end());
            }
        }
        slope
    }
}
