//! A point in phase space, shared by the parts of a trajectory that refer to it.

use crate::stats::dot;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::rc::Rc;

/// Position, momentum, velocity and gradient in one block of memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    #[serde(with = "crate::bulk::reals")]
    block: Vec<f64>,
    pub log_like: f64,
    /// Log posterior density, but for a constant.
    pub log_density: f64,
}

impl State {
    /// Numbers in the block, a coordinate.
    pub const SIZE: usize = 4;

    /// At rest at `x`.
    pub fn new(x: Vec<f64>, gradient: &[f64], log_like: f64, log_density: f64) -> State {
        let (d, mut block) = (x.len(), x);
        block.resize(3 * d, 0.0);
        block.extend_from_slice(gradient);
        State { block, log_like, log_density }
    }

    fn d(&self) -> usize {
        self.block.len() / State::SIZE
    }

    pub fn x(&self) -> &[f64] {
        &self.block[..self.d()]
    }

    pub fn momentum(&self) -> &[f64] {
        let d = self.d();
        &self.block[d..2 * d]
    }

    pub fn velocity(&self) -> &[f64] {
        let d = self.d();
        &self.block[2 * d..3 * d]
    }

    pub fn gradient(&self) -> &[f64] {
        &self.block[3 * self.d()..]
    }

    /// Momentum, velocity to be set with it, and the gradient.
    pub fn motion(&mut self) -> (&mut [f64], &mut [f64], &[f64]) {
        let d = self.d();
        let (momentum, rest) = self.block[d..].split_at_mut(d);
        let (velocity, gradient) = rest.split_at_mut(d);
        (momentum, velocity, gradient)
    }

    /// Total energy: kinetic less log density.
    pub fn energy(&self) -> f64 {
        0.5 * dot(self.momentum(), self.velocity()) - self.log_density
    }
}

/// A state that several hold; saved with each of them.
#[derive(Clone, Debug)]
pub struct Shared(Rc<State>);

impl Shared {
    pub fn new(state: State) -> Shared {
        Shared(Rc::new(state))
    }
}

impl std::ops::Deref for Shared {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Shared, D::Error> {
        State::deserialize(from).map(Shared::new)
    }
}
