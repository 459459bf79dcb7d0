//! Likelihoods of the unit cube whose evidence is known.

use fitjob::model::problem::Problem;
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
