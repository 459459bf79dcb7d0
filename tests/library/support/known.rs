//! Likelihoods of the unit cube whose evidence is known.

use fitjob::model::problem::Problem;
use fitjob::stats::special::normal_quantile;
use std::f64::consts::TAU;

/// A test problem as a function of the unit cube: its dimension, and log L.
pub fn in_cube(name: &str) -> (usize, impl Fn(&[f64]) -> f64 + use<>) {
    let problem = Problem::named(name).unwrap();
    (problem.dim, move |u: &[f64]| problem.log_like(&problem.at(u)))
}

/// A Gaussian of sd 0.05 about 0.4 in each coordinate.
pub fn gauss(u: &[f64]) -> f64 {
    u.iter().map(|u| -0.5 * ((u - 0.4) / 0.05).powi(2)).sum()
}

/// The ends of the cube cut off less than 1e-14 of it.
pub fn gauss_log_z(d: usize) -> f64 {
    d as f64 * (0.05 * TAU.sqrt()).ln()
}

/// Half of [`gauss`] in two dimensions: log Z is smaller by ln 2.
pub fn half_gauss(u: &[f64]) -> f64 {
    if u[1] < 0.4 { f64::NEG_INFINITY } else { gauss(u) }
}

/// A crescent: rosen2.
pub fn crescent(u: &[f64]) -> f64 {
    let (x, y) = (10.0 * u[0] - 5.0, 10.0 * u[1] - 5.0);
    -100.0 * (y - x * x).powi(2) - (1.0 - x).powi(2)
}

pub const CRESCENT_LOG_Z: f64 = -5.804132;

/// A peak across the seam of the first coordinate.
pub fn ring(u: &[f64]) -> f64 {
    60.0 * ((TAU * u[0]).cos() - 1.0) - 0.5 * ((u[1] - 0.5) / 0.1).powi(2)
}

/// ln(exp(-60) I0(60)), and the Gaussian.
pub fn ring_log_z() -> f64 {
    -0.5 * (TAU * 60.0).ln() + 0.002_103 + (0.1 * TAU.sqrt()).ln()
}

/// A pyramid of steps.
pub fn steps(u: &[f64]) -> f64 {
    (-((u[0] - 0.5).abs() + (u[1] - 0.5).abs()) * 20.0).floor()
}

/// Rings |x| + |y| in [k, k+1)/20, of area (2k+1) 2/400 while they are inside the cube (k < 10); beyond, e^-10 of it.
pub fn steps_log_z() -> f64 {
    (0..10).map(|k| (2 * k + 1) as f64 / 200.0 * (-((k + 1) as f64)).exp()).sum::<f64>().ln()
}

/// Least-squares estimates of the coefficients of [`regression`].
const ESTIMATES: [f64; 6] = [3.1, -1.2, 0.4, 2.2, -2.5, 0.9];
/// Its data, and the sum of the squares that they leave.
const DATA: (f64, f64) = (25.0, 4.75);
/// Standard deviation of the coefficients' normal priors.
const WIDE: f64 = 10.0;

/// The noise of [`regression`], log-uniform from 0.01 to 100.
pub fn noise(u: &[f64]) -> f64 {
    0.01 * 1e4f64.powf(u[6])
}

/// Linear regression on six orthogonal inputs with unknown noise.
pub fn regression(u: &[f64]) -> f64 {
    let ((n, rest), sigma) = (DATA, noise(u));
    let off: f64 = u.iter().zip(ESTIMATES).map(|(u, b)| WIDE * normal_quantile(*u, 1.0 - u) - b).map(|off| off * off).sum();
    -n * sigma.ln() - 0.5 * (rest + n * off) / (sigma * sigma)
}

/// log Z of [`regression`], mean and standard deviation of its noise: closed form in the coefficients, midpoint rule in the noise.
pub fn regression_truth() -> (f64, f64, f64) {
    let (n, rest) = DATA;
    let at = |u: f64| {
        let sigma = noise(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, u]);
        let (narrow, wide) = (sigma * sigma / n, sigma * sigma / n + WIDE * WIDE);
        let one = |b: f64| 0.5 * (narrow / wide).ln() - 0.5 * b * b / wide;
        (sigma, -n * sigma.ln() - 0.5 * rest / (sigma * sigma) + ESTIMATES.into_iter().map(one).sum::<f64>())
    };
    let grid: Vec<(f64, f64)> = (0..20_000).map(|k| at((k as f64 + 0.5) / 20_000.0)).collect();
    let moment = |f: &dyn Fn(f64) -> f64| grid.iter().map(|(sigma, log)| f(*sigma) * log.exp()).sum::<f64>() / 20_000.0;
    let z = moment(&|_| 1.0);
    let mean = moment(&|s| s) / z;
    (z.ln(), mean, (moment(&|s| (s - mean) * (s - mean)) / z).sqrt())
}

/// A funnel: v = 2 normal quantile(u0), and three coordinates from -30 to 30 with normal laws of sd exp(v / 2).
pub fn funnel(u: &[f64]) -> f64 {
    let v = funnel_v(u);
    u[1..].iter().map(|u| 60.0 * u - 30.0).map(|x| -0.5 * TAU.ln() - 0.5 * v - 0.5 * x * x * (-v).exp()).sum()
}

pub fn funnel_v(u: &[f64]) -> f64 {
    2.0 * normal_quantile(u[0], 1.0 - u[0])
}

/// log Z of [`funnel`] in four dimensions, mean and standard deviation of v: what the box cuts off, by the midpoint rule in v.
pub const FUNNEL: (f64, f64, f64) = (-12.284575, -0.009369, 1.986999);
