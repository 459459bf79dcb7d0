//! Where the chains move: the standard coordinates of [`standard`], and for a periodic parameter a ring, so that its two ends
//! are neighbours and no edge is in the way.
//!
//! A point has `n_dim` coordinates and one more for each periodic parameter, whose angle in the plane of the two is 2 pi u. The
//! radius is the chains' own affair: it has a law of its own about 1, so the angle keeps its uniform prior (as unit vectors in
//! Stan, but with a radius that stays away from 0, where small angles would need small steps).

use crate::random::{normal_pair, uniform};
use crate::sampler::{Problem, standard};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Standard deviation of the radius of a ring.
const WIDTH: f64 = 0.2;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Coordinates {
    n_dim: usize,
    periodic: Vec<usize>,
}

impl Coordinates {
    pub fn new(problem: &Problem) -> Coordinates {
        Coordinates { n_dim: problem.n_dim, periodic: problem.periodic.clone() }
    }

    /// Number of coordinates.
    pub fn len(&self) -> usize {
        self.n_dim + self.periodic.len()
    }

    /// For each periodic parameter: its two coordinates.
    fn rings(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.periodic.iter().enumerate().map(|(k, &i)| (i, self.n_dim + k))
    }

    /// Unit-cube coordinates of `x`.
    pub fn to_cube(&self, x: &[f64]) -> Vec<f64> {
        let mut u = standard::to_cube(&x[..self.n_dim]);
        for (a, b) in self.rings() {
            u[a] = libm::atan2(x[b], x[a]) / TAU;
            u[a] -= u[a].floor();
        }
        u
    }

    /// Natural log of the prior density at `x`, but for a constant.
    pub fn log_prior(&self, x: &[f64]) -> f64 {
        let normal: f64 = x[..self.n_dim].iter().map(|x| -0.5 * x * x).sum();
        let ring = |(a, b): (usize, usize)| {
            let r = libm::hypot(x[a], x[b]);
            let away = (r - 1.0) / WIDTH;
            0.5 * x[a] * x[a] - 0.5 * away * away - libm::log(r)
        };
        normal + self.rings().map(ring).sum::<f64>()
    }

    /// Gradient of the log posterior density at `x` from d log L / du.
    pub fn gradient(&self, x: &[f64], mut by_u: Vec<f64>) -> Vec<f64> {
        let turns: Vec<f64> = self.periodic.iter().map(|&i| by_u[i] / TAU).collect();
        standard::posterior_gradient(&x[..self.n_dim], &mut by_u);
        by_u.resize(self.len(), 0.0);
        for ((a, b), turn) in self.rings().zip(turns) {
            let square = x[a] * x[a] + x[b] * x[b];
            (by_u[a], by_u[b]) = (-x[b] / square * turn, x[a] / square * turn);
        }
        self.add_ring_prior(x, &mut by_u);
        by_u
    }

    /// Turns d log L / dx into the gradient of the log posterior density.
    pub fn add_prior(&self, x: &[f64], slope: &mut [f64]) {
        slope[..self.n_dim].iter_mut().zip(x).enumerate().for_each(|(i, (slope, x))| {
            if !self.periodic.contains(&i) {
                *slope -= x;
            }
        });
        self.add_ring_prior(x, slope);
    }

    fn add_ring_prior(&self, x: &[f64], slope: &mut [f64]) {
        for (a, b) in self.rings() {
            let r = libm::hypot(x[a], x[b]);
            let outward = -((r - 1.0) / (WIDTH * WIDTH) + 1.0 / r) / r;
            slope[a] += outward * x[a];
            slope[b] += outward * x[b];
        }
    }

    /// A point of the prior.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mut x: Vec<f64> = (0..self.len()).map(|_| normal_pair(rng).0).collect();
        for (a, b) in self.rings() {
            let angle = TAU * uniform(rng);
            (x[a], x[b]) = (libm::cos(angle), libm::sin(angle));
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn the_gradient_is_that_of_the_log_posterior_on_lines_and_rings() {
        let it = Coordinates::new(&Problem { n_dim: 3, periodic: vec![1], gradient: true });
        let log_like = |u: &[f64]| (TAU * u[1]).sin() * u[0] + 2.0 * u[2];
        let density = |x: &[f64]| log_like(&it.to_cube(x)) + it.log_prior(x);
        for seq in 0..20 {
            let x = it.draw(&mut stream(1, Purpose::NutsStart, 0, seq));
            let u = it.to_cube(&x);
            let by_u = vec![(TAU * u[1]).sin(), TAU * (TAU * u[1]).cos() * u[0], 2.0];
            let gradient = it.gradient(&x, by_u);
            let moved = |i: usize, h: f64| {
                let mut x = x.clone();
                x[i] += h;
                x
            };
            let mut by_x = Vec::new();
            for (i, slope) in gradient.iter().enumerate() {
                let numeric = (density(&moved(i, 1e-5)) - density(&moved(i, -1e-5))) / 2e-5;
                assert!((slope - numeric).abs() < 1e-6, "{i}: {slope} {numeric}");
                let of_log_like = |h: f64| log_like(&it.to_cube(&moved(i, h)));
                by_x.push((of_log_like(1e-5) - of_log_like(-1e-5)) / 2e-5);
            }
            it.add_prior(&x, &mut by_x);
            by_x.iter().zip(&gradient).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
        }
    }

    #[test]
    fn the_ends_of_a_periodic_parameter_are_neighbours() {
        let it = Coordinates::new(&Problem { n_dim: 1, periodic: vec![0], gradient: false });
        assert!(it.to_cube(&[1.0, 1e-9])[0] < 1e-8);
        assert!(it.to_cube(&[1.0, -1e-9])[0] > 1.0 - 1e-8);
        assert_eq!(it.to_cube(&[-1.0, 0.0]), [0.5]);
    }
}
