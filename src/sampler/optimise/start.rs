//! Where searches begin: at given points, the median of the prior, or spread over it.

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
    let columns: Vec<Vec<f64>> = (0..n_dim).map(|j| column(rest, j, seed)).collect();
    all.extend((0..rest).map(|k| columns.iter().map(|column| column[k]).collect()));
    all
}

/// One coordinate of the hypercube: a point in each slice, shuffled (Fisher & Yates).
fn column(n: usize, j: usize, seed: u64) -> Vec<f64> {
    let mut rng = stream(seed, Purpose::Starts, j as u64, 0);
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
