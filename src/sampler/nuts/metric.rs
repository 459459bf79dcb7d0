//! The metric of the chains: an estimate of the posterior covariance, D (1 + V (L - 1) V') D with a diagonal D, orthonormal columns
//! V and their factors L. No columns: diagonal; some: low rank; all: dense.

use crate::stats::dot;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metric {
    /// D.
    #[serde(with = "crate::bulk::reals")]
    scale: Vec<f64>,
    /// Columns of V, one after another.
    #[serde(with = "crate::bulk::reals")]
    columns: Vec<f64>,
    /// L.
    factors: Vec<f64>,
}

impl Metric {
    /// From standard deviations.
    pub fn diagonal(scale: Vec<f64>) -> Metric {
        Metric { scale, columns: Vec::new(), factors: Vec::new() }
    }

    pub fn new(scale: Vec<f64>, columns: Vec<f64>, factors: Vec<f64>) -> Metric {
        Metric { scale, columns, factors }
    }

    /// Number of directions told apart from the axes.
    pub fn rank(&self) -> usize {
        self.factors.len()
    }

    /// Natural log of the square root of the determinant.
    pub fn log_volume(&self) -> f64 {
        self.scale.iter().map(|s| libm::log(*s)).sum::<f64>() + 0.5 * self.factors.iter().map(|f| libm::log(*f)).sum::<f64>()
    }

    /// Standard deviations of the coordinates.
    pub fn deviations(&self) -> Vec<f64> {
        let n = self.scale.len();
        let correlated =
            |i: usize| -> f64 { self.columns.chunks_exact(n).zip(&self.factors).map(|(v, factor)| (factor - 1.0) * v[i] * v[i]).sum() };
        (0..n).map(|i| self.scale[i] * (1.0 + correlated(i)).sqrt()).collect()
    }

    /// Velocity of the `momentum`: covariance times momentum, into `velocity`.
    pub fn velocity(&self, momentum: &[f64], velocity: &mut [f64]) {
        for ((v, p), s) in velocity.iter_mut().zip(momentum).zip(&self.scale) {
            *v = s * p;
        }
        self.stretch(velocity, |factor| factor);
        for (v, s) in velocity.iter_mut().zip(&self.scale) {
            *v *= s;
        }
    }

    /// Turns independent standard normals into a momentum, in place.
    pub fn momentum(&self, normals: &mut [f64]) {
        self.stretch(normals, |factor| 1.0 / factor.sqrt());
        for (p, s) in normals.iter_mut().zip(&self.scale) {
            *p /= s;
        }
    }

    /// Multiplies the part of `x` along each column by what `by` makes of its factor; the columns are orthogonal, so one after another.
    fn stretch(&self, x: &mut [f64], by: impl Fn(f64) -> f64) {
        for (column, factor) in self.columns.chunks_exact(x.len()).zip(&self.factors) {
            let part = (by(*factor) - 1.0) * dot(column, x);
            x.iter_mut().zip(column).for_each(|(x, c)| *x += part * c);
        }
    }
}
