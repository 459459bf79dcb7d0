//! Straight regressions, y = X b + noise, with normal priors of b: evidence and posterior given the noise.

use fitjob::prior::Prior;
use nalgebra::{Cholesky, DMatrix, DVector};

use super::normal;

/// Sums over the data, from which everything follows.
#[derive(Clone)]
pub struct Linear {
    pub n: f64,
    /// X'X, X'y, y'y.
    pub gram: DMatrix<f64>,
    pub moment: DVector<f64>,
    pub square: f64,
    /// Means and sds of the priors of b.
    pub prior: Vec<(f64, f64)>,
}

/// Given the noise: ln of the evidence, means and covariance of b.
pub struct Given {
    pub log_z: f64,
    pub mean: DVector<f64>,
    pub covariance: DMatrix<f64>,
}

impl Linear {
    /// From rows of X.
    pub fn new(rows: &[Vec<f64>], y: &[f64], prior: Vec<(f64, f64)>) -> Linear {
        Linear::weighted(rows, y, &vec![1.0; y.len()], prior)
    }

    /// Each row with a weight, 1 / variance.
    pub fn weighted(rows: &[Vec<f64>], y: &[f64], weight: &[f64], prior: Vec<(f64, f64)>) -> Linear {
        let p = prior.len();
        let (mut gram, mut moment, mut square) = (DMatrix::zeros(p, p), DVector::zeros(p), 0.0);
        for ((row, y), w) in rows.iter().zip(y).zip(weight) {
            for (i, x) in row.iter().enumerate() {
                moment[i] += w * x * y;
                row.iter().enumerate().for_each(|(j, other)| gram[(i, j)] += w * x * other);
            }
            square += w * y * y;
        }
        Linear { n: y.len() as f64, gram, moment, square, prior }
    }

    pub fn priors(&self) -> Vec<Prior> {
        self.prior.iter().map(|(mean, sd)| normal(*mean, *sd)).collect()
    }

    pub fn chi2(&self, b: &[f64]) -> f64 {
        let p = b.len();
        let quadratic: f64 = (0..p).map(|i| b[i] * (0..p).map(|j| self.gram[(i, j)] * b[j]).sum::<f64>()).sum();
        self.square - 2.0 * (0..p).map(|i| self.moment[i] * b[i]).sum::<f64>() + quadratic
    }

    /// Half of the slopes of chi^2, with the other sign.
    pub fn pull(&self, b: &[f64]) -> Vec<f64> {
        (0..b.len()).map(|i| self.moment[i] - (0..b.len()).map(|j| self.gram[(i, j)] * b[j]).sum::<f64>()).collect()
    }

    pub fn log_like(&self, b: &[f64], sigma: f64) -> f64 {
        -0.5 * self.chi2(b) / (sigma * sigma) - self.n * (sigma.ln() + 0.5 * std::f64::consts::TAU.ln())
    }

    pub fn given(&self, sigma: f64) -> Given {
        let (w, p) = (1.0 / (sigma * sigma), self.prior.len());
        let mut precision = &self.gram * w;
        let mut right = &self.moment * w;
        let mut log_z = -self.n * (sigma.ln() + 0.5 * std::f64::consts::TAU.ln()) - 0.5 * w * self.square;
        for (i, (mean, sd)) in self.prior.iter().enumerate() {
            precision[(i, i)] += 1.0 / (sd * sd);
            right[i] += mean / (sd * sd);
            log_z -= sd.ln() + 0.5 * (mean / sd).powi(2);
        }
        let cholesky = Cholesky::new(precision).expect("a precision is positive");
        let mean = cholesky.solve(&right);
        log_z += 0.5 * right.dot(&mean) - (0..p).map(|i| cholesky.l_dirty()[(i, i)].ln()).sum::<f64>();
        Given { log_z, mean, covariance: cholesky.inverse() }
    }
}

impl Given {
    /// Mean and sd of one coefficient.
    pub fn of(&self, i: usize) -> (f64, f64) {
        (self.mean[i], self.covariance[(i, i)].sqrt())
    }
}
