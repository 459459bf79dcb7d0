//! A multivariate Student t: fitted to points, measured, drawn from.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::bound::linalg::{lower_times, moments, robust_cholesky, solve_lower};
use crate::random::{fill_normal, normal_pair, uniform};

/// Degrees of freedom from which on the law is a normal for all purposes.
const NORMAL: f64 = 1e6;
/// Fewer degrees of freedom are never fitted: the variance would not exist.
const LEAST: f64 = 2.5;

/// The law with density proportional to (1 + distance^2 / nu)^(-(nu + d) / 2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Student {
    /// d numbers.
    pub mean: Vec<f64>,
    /// Lower Cholesky factor of the scale matrix, d x d.
    pub factor: Vec<f64>,
    /// Degrees of freedom.
    pub nu: f64,
}

impl Student {
    /// The normal law with the moments of the points `x` (n x d).
    pub fn normal(x: &[f64], d: usize) -> Student {
        let (mean, covariance) = moments(x, d, &vec![1.0; x.len() / d]);
        Student { mean, factor: robust_cholesky(&covariance, d), nu: NORMAL }
    }

    /// Greatest likelihood for the points `x` (n x d) by expectation and conditional maximisation, where nu maximises
    /// the likelihood itself and so does not creep (Liu & Rubin 1995, Stat. Sinica 5, 19).
    pub fn fit(x: &[f64], d: usize) -> Student {
        let mut law = Student { nu: 20.0, ..Student::normal(x, d) };
        for _ in 0..40 {
            let distances: Vec<f64> = x.chunks_exact(d).map(|p| law.distance2(p)).collect();
            let nu = best_nu(&distances, d as f64);
            let weights: Vec<f64> = distances.iter().map(|far| (nu + d as f64) / (nu + far)).collect();
            let (mean, covariance) = moments(x, d, &weights);
            // The moments are divided by the sum of the weights; the scale matrix of the fit is divided by n.
            let shrink = weights.iter().sum::<f64>() / weights.len() as f64;
            let scale: Vec<f64> = covariance.iter().map(|c| c * shrink).collect();
            let settled = (libm::log(nu) - libm::log(law.nu)).abs() < 0.01;
            law = Student { mean, factor: robust_cholesky(&scale, d), nu };
            if settled || nu >= NORMAL {
                break;
            }
        }
        law
    }

    pub fn d(&self) -> usize {
        self.mean.len()
    }

    /// Squared Mahalanobis distance of `x` from the centre.
    pub fn distance2(&self, x: &[f64]) -> f64 {
        let mut off: Vec<f64> = x.iter().zip(&self.mean).map(|(x, m)| x - m).collect();
        solve_lower(&self.factor, self.d(), &mut off);
        off.iter().map(|v| v * v).sum()
    }

    /// Log density at `x`.
    pub fn log_density(&self, x: &[f64]) -> f64 {
        let (d, nu) = (self.d() as f64, self.nu);
        let log_det: f64 = (0..self.d()).map(|i| libm::log(self.factor[i * (self.d() + 1)])).sum();
        let norm = if nu >= NORMAL {
            -0.5 * d * libm::log(std::f64::consts::TAU)
        } else {
            libm::lgamma(0.5 * (nu + d)) - libm::lgamma(0.5 * nu) - 0.5 * d * libm::log(nu * std::f64::consts::PI)
        };
        norm - log_det + self.log_kernel(self.distance2(x))
    }

    /// Log density but for a constant, at squared distance `distance2`.
    pub fn log_kernel(&self, distance2: f64) -> f64 {
        if self.nu >= NORMAL {
            return -0.5 * distance2;
        }
        -0.5 * (self.nu + self.d() as f64) * libm::log1p(distance2 / self.nu)
    }

    /// The inverse variance that belongs to a point at squared distance `distance2`: Gamma((d + nu) / 2, rate (nu + distance2) / 2).
    pub fn precision(&self, distance2: f64, rng: &mut ChaCha8Rng) -> f64 {
        if self.nu >= NORMAL {
            return 1.0;
        }
        2.0 * gamma(0.5 * (self.nu + self.d() as f64), rng) / (self.nu + distance2)
    }

    /// factor x standard normals.
    pub fn noise(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mut normal = vec![0.0; self.d()];
        fill_normal(rng, &mut normal);
        let mut out = vec![0.0; self.d()];
        lower_times(&self.factor, self.d(), &normal, &mut out);
        out
    }

    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let scale = if self.nu >= NORMAL { 1.0 } else { (0.5 * self.nu / gamma(0.5 * self.nu, rng)).sqrt() };
        self.noise(rng).iter().zip(&self.mean).map(|(n, m)| m + scale * n).collect()
    }
}

/// The degrees of freedom at which the derivative of the log-likelihood is zero, given the squared distances from the centre.
fn best_nu(distances: &[f64], d: f64) -> f64 {
    let n = distances.len() as f64;
    let slope = |nu: f64| {
        let spread = distances.iter().map(|far| (nu + d) / (nu + far)).map(|w| libm::log(w) - w).sum::<f64>() / n;
        let half = 0.5 * (nu + d);
        libm::log(0.5 * nu) - digamma(0.5 * nu) + 1.0 + spread + digamma(half) - libm::log(half)
    };
    // Beyond, rounding hides the slope, and the law is as good as normal.
    let (mut low, mut high) = (libm::log(LEAST), libm::log(1e4));
    if slope(1e4) >= 0.0 {
        return NORMAL;
    }
    for _ in 0..30 {
        let middle = 0.5 * (low + high);
        if slope(libm::exp(middle)) > 0.0 { low = middle } else { high = middle }
    }
    libm::exp(low)
}

/// d ln Gamma(x) / dx for x > 0: recurrence up to 8, then the asymptotic series.
fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 8.0 {
        below -= 1.0 / x;
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    below + libm::log(x) - 0.5 / x - r * (1.0 / 12.0 - r * (1.0 / 120.0 - r * (1.0 / 252.0 - r * (1.0 / 240.0 - r / 132.0))))
}

/// Nineteen of twenty tries succeed: so many fail for a shape alone that is no number or infinite, where the mean will do.
const MOST_TRIES: u32 = 1000;

/// Gamma(shape, rate 1) for shape >= 1 (Marsaglia & Tsang 2000, ACM TOMS 26, 363).
pub fn gamma(shape: f64, rng: &mut ChaCha8Rng) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    for _ in 0..MOST_TRIES {
        let x = normal_pair(rng).0;
        let v = 1.0 + c * x;
        let cube = v * v * v;
        if v > 0.0 && libm::log(1.0 - uniform(rng)) < 0.5 * x * x + d - d * cube + d * libm::log(cube) {
            return d * cube;
        }
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn a_fit_to_draws_of_a_law_finds_the_law() {
        let mut rng = stream(1, Purpose::Decisions, 0, 0);
        let law = Student { mean: vec![1.0, -2.0], factor: vec![2.0, 0.0, 0.5, 1.0], nu: 5.0 };
        let x: Vec<f64> = (0..20_000).flat_map(|_| law.draw(&mut rng)).collect();
        let fit = Student::fit(&x, 2);
        assert!((fit.nu - 5.0).abs() < 0.6, "{}", fit.nu);
        assert!((fit.mean[0] - 1.0).abs() < 0.08 && (fit.mean[1] + 2.0).abs() < 0.05, "{:?}", fit.mean);
        assert!((fit.factor[0] / 2.0 - 1.0).abs() < 0.04 && (fit.factor[3] - 1.0).abs() < 0.04, "{:?}", fit.factor);
    }

    #[test]
    fn the_density_integrates_to_one() {
        let law = Student { mean: vec![0.3], factor: vec![0.7], nu: 3.0 };
        let sum: f64 = (-200_000..200_000).map(|k| libm::exp(law.log_density(&[0.3 + k as f64 * 1e-3])) * 1e-3).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn normal_draws_are_called_normal() {
        let mut rng = stream(2, Purpose::Decisions, 0, 0);
        let law = Student { mean: vec![0.0; 3], factor: vec![1., 0., 0., 0., 1., 0., 0., 0., 1.], nu: NORMAL };
        let x: Vec<f64> = (0..5000).flat_map(|_| law.draw(&mut rng)).collect();
        assert!(Student::fit(&x, 3).nu > 50.0);
        assert!((digamma(1.0) + 0.577_215_664_901_532_9).abs() < 1e-11);
    }
}
