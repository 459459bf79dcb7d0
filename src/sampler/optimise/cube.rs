//! The unit cube as optimisers see it: closed at its ends, but for coordinates whose two ends are the same point.

use serde::{Deserialize, Serialize};

/// A coordinate this close to an end is at its bound.
pub const AT_BOUND: f64 = 1e-6;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cube {
    pub n_dim: usize,
    pub periodic: Vec<bool>,
}

impl Cube {
    pub fn new(n_dim: usize, periodic: &[usize]) -> Cube {
        Cube { n_dim, periodic: (0..n_dim).map(|i| periodic.contains(&i)).collect() }
    }

    /// The nearest point of the cube; periodic coordinates go round.
    pub fn hold(&self, i: usize, x: f64) -> f64 {
        if self.periodic[i] { wrap(x) } else { x.clamp(0.0, 1.0) }
    }

    pub fn hold_all(&self, x: &[f64]) -> Vec<f64> {
        x.iter().enumerate().map(|(i, x)| self.hold(i, *x)).collect()
    }

    /// How far apart two points are along a coordinate.
    pub fn distance(&self, i: usize, a: f64, b: f64) -> f64 {
        let apart = (a - b).abs();
        if self.periodic[i] { apart.min(1.0 - apart) } else { apart }
    }

    /// Room to both sides of a coordinate's value; half a turn where it goes round.
    pub fn room(&self, i: usize, x: f64) -> f64 {
        if self.periodic[i] { 0.5 } else { x.min(1.0 - x) }
    }

    pub fn at_bound(&self, i: usize, x: f64) -> bool {
        !self.periodic[i] && self.room(i, x) < AT_BOUND
    }
}

/// The fraction of a turn, in [0, 1).
fn wrap(x: f64) -> f64 {
    let turn = x - x.floor();
    // A trifle below zero rounds up to a whole turn.
    if turn >= 1.0 { 0.0 } else { turn }
}
