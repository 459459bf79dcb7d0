//! Where searches begin: at given points, the median of the prior, spread over it, or at the best of many points spread over it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::{Purpose, stream, uniform};

/// Where the first search begins that has no point of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The median of every prior.
    #[default]
    Median,
    /// As all others: one of the draws of a Latin hypercube.
    Random,
}

/// `n` starting points in `n_dim` coordinates: those given, then the median if asked for, then a Latin hypercube
/// (McKay, Beckman & Conover 1979) over the prior: every coordinate has one point in each of as many slices of equal mass.
pub fn starts(n: usize, n_dim: usize, points: &[Vec<f64>], start: Start, seed: u64) -> Vec<Vec<f64>> {
    let mut all: Vec<Vec<f64>> = points.iter().take(n).cloned().collect();
    if all.len() < n && start == Start::Median && points.is_empty() {
        all.push(vec![0.5; n_dim]);
    }
    let rest = n - all.len();
    all.extend(spread(rest, n_dim, seed, 0));
    all
}

/// Of those, the first that the job chose: given points, or the median.
pub fn chosen(points: &[Vec<f64>], start: Start) -> usize {
    if points.is_empty() { usize::from(start == Start::Median) } else { points.len() }
}

/// A Latin hypercube of `n` points, one for each `number`.
pub fn spread(n: usize, n_dim: usize, seed: u64, number: u64) -> Vec<Vec<f64>> {
    let columns: Vec<Vec<f64>> = (0..n_dim).map(|j| column(n, j, seed, number)).collect();
    (0..n).map(|k| columns.iter().map(|column| column[k]).collect()).collect()
}

/// One coordinate of the hypercube: a point in each slice, shuffled (Fisher & Yates).
fn column(n: usize, j: usize, seed: u64, number: u64) -> Vec<f64> {
    let mut rng = stream(seed, Purpose::Starts, j as u64, number);
    let mut slices: Vec<f64> = (0..n).map(|k| (k as f64 + uniform(&mut rng)) / n as f64).collect();
    for k in (1..n).rev() {
        slices.swap(k, (uniform(&mut rng) * (k + 1) as f64) as usize);
    }
    slices
}

/// Another place to begin, where the first had no likelihood: the `number`-th of lane `lane`.
pub fn elsewhere(n_dim: usize, seed: u64, lane: u64, number: u64) -> Vec<f64> {
    let mut rng = stream(seed, Purpose::Starts, (1 << 32) + lane, number);
    (0..n_dim).map(|_| uniform(&mut rng)).collect()
}
