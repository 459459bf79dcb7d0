//! Standard coordinates z = Phi^-1(u): without bounds, and every prior is a standard normal in them, whatever it is in
//! physical values. Engines that walk freely (chains, gradients) live there, and the Jacobian of the transform is the prior itself.

use crate::stats::special::normal_quantile;
use std::f64::consts::SQRT_2;

const LN_SQRT_TAU: f64 = 0.918_938_533_204_672_7;

/// The farthest that a coordinate is told apart from its neighbours in u; beyond it u is held (prior mass 1e-16 on either side).
pub const EDGE: f64 = 8.2;

/// Unit-cube coordinates of `z`.
pub fn to_cube(z: &[f64]) -> Vec<f64> {
    z.iter().map(|&z| cube(z)).collect()
}

fn cube(z: f64) -> f64 {
    // The smaller tail, which has all its digits.
    let z = z.clamp(-EDGE, EDGE);
    if z < 0.0 { 0.5 * libm::erfc(-z / SQRT_2) } else { 1.0 - 0.5 * libm::erfc(z / SQRT_2) }
}

/// Standard coordinates of `u`.
pub fn from_cube(u: &[f64]) -> Vec<f64> {
    u.iter().map(|&u| normal_quantile(u, 1.0 - u).clamp(-EDGE, EDGE)).collect()
}

/// Natural log of the prior density at `z`.
pub fn log_prior(z: &[f64]) -> f64 {
    z.iter().map(|z| -0.5 * z * z - LN_SQRT_TAU).sum()
}

/// Turns d log L / du at `z` into the gradient of the log posterior density by z: adds the prior's, in place.
pub fn posterior_gradient(z: &[f64], gradient: &mut [f64]) {
    for (slope, &z) in gradient.iter_mut().zip(z) {
        let inside = z.abs() < EDGE;
        let du_dz = libm::exp(-0.5 * z * z - LN_SQRT_TAU);
        *slope = if inside { *slope * du_dz } else { 0.0 } - z;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_go_there_and_back() {
        let z = [-8.0, -3.0, -0.1, 0.0, 2.0, 5.0];
        let back = from_cube(&to_cube(&z));
        // 1 - u has lost digits where u is close to 1.
        z.iter().zip(back).for_each(|(z, back)| assert!((z - back).abs() < 1e-9 * (1.0 + z.abs()), "{z} {back}"));
        assert_eq!(to_cube(&[0.0]), [0.5]);
        assert!(to_cube(&[40.0, -40.0]).iter().all(|u| *u > 0.0 && *u < 1.0));
    }

    #[test]
    fn the_gradient_is_that_of_the_log_posterior() {
        // log L = -8 (u - 0.3)^2
        let log_like = |z: f64| -8.0 * (cube(z) - 0.3) * (cube(z) - 0.3);
        for z in [-2.0, -0.5, 0.0, 1.0] {
            let mut slope = [-16.0 * (cube(z) - 0.3)];
            posterior_gradient(&[z], &mut slope);
            let density = |z: f64| log_like(z) + log_prior(&[z]);
            let numeric = (density(z + 1e-5) - density(z - 1e-5)) / 2e-5;
            assert!((slope[0] - numeric).abs() < 1e-8, "{} {numeric}", slope[0]);
        }
    }
}
