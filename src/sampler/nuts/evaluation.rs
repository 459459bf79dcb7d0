//! One point to be known: its log L, and where asked for the gradient, from the answer itself or from central differences, whose
//! points are likelihood calls of the same lane.

use super::coordinates::Coordinates;
use super::state::State;
use crate::task::{Task, TaskId, Work};
use serde::{Deserialize, Serialize};

/// How the slope is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slope {
    /// It is not needed.
    None,
    /// The answer carries it.
    Exact,
    Differences,
}

/// A point that a chain wants to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    #[serde(with = "crate::bulk::reals")]
    x: Vec<f64>,
    slope: Slope,
    /// Steps of the differences; empty without.
    #[serde(with = "crate::bulk::reals")]
    spacing: Vec<f64>,
    /// Number of its first call in the lane.
    first: u64,
    issued: usize,
    log_like: Option<f64>,
    /// Log-likelihoods beside it, two for each coordinate.
    #[serde(with = "crate::bulk::reals")]
    beside: Vec<f64>,
    #[serde(with = "crate::bulk::reals")]
    by_u: Vec<f64>,
}

impl Evaluation {
    /// `spacing` gives the steps of the differences.
    pub fn new(x: Vec<f64>, slope: Slope, first: u64, spacing: impl FnOnce() -> Vec<f64>) -> Evaluation {
        let spacing = if slope == Slope::Differences { spacing() } else { Vec::new() };
        Evaluation { x, slope, spacing, first, issued: 0, log_like: None, beside: Vec::new(), by_u: Vec::new() }
    }

    /// Likelihood calls that it takes.
    pub fn calls(slope: Slope, coordinates: &Coordinates) -> u64 {
        if slope == Slope::Differences { 2 * coordinates.len() as u64 + 1 } else { 1 }
    }

    fn total(&self) -> usize {
        1 + 2 * self.spacing.len()
    }

    /// The next call to be made, if any is left.
    pub fn next_task(&mut self, lane: u32, coordinates: &Coordinates) -> Option<Task> {
        if self.issued == self.total() {
            return None;
        }
        let number = self.issued;
        self.issued += 1;
        let id = TaskId { lane, seq: self.first + number as u64 };
        if number == 0 {
            return Some(Task { id, work: Work::LogLike(coordinates.to_cube(&self.x)) });
        }
        let (at, below) = ((number - 1) / 2, number % 2 == 1);
        let mut x = self.x.clone();
        x[at] += if below { -self.spacing[at] } else { self.spacing[at] };
        Some(Task { id, work: Work::LogLike(coordinates.to_cube(&x)) })
    }

    /// True once all is known. `by_u`: what the answer carries.
    pub fn tell(&mut self, log_like: f64, by_u: impl FnOnce() -> Vec<f64>) -> bool {
        if self.slope == Slope::Exact {
            self.by_u = by_u();
        }
        match self.log_like {
            None => self.log_like = Some(log_like),
            Some(_) => self.beside.push(log_like),
        }
        self.beside.len() == 2 * self.spacing.len()
    }

    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// The state at rest; its gradient is not a number where there is none.
    pub fn state(self, coordinates: &Coordinates) -> State {
        let log_like = self.log_like.unwrap_or(f64::NAN);
        let gradient = match self.slope {
            Slope::None => vec![f64::NAN; self.x.len()],
            Slope::Exact => coordinates.gradient(&self.x, self.by_u),
            Slope::Differences => {
                let mut slope = differences(log_like, &self.beside, &self.spacing);
                coordinates.add_prior(&self.x, &mut slope);
                slope
            }
        };
        let log_density = log_like + coordinates.log_prior(&self.x);
        State::new(self.x, &gradient, log_like, log_density)
    }
}

/// Central; one-sided where the other side is impossible.
fn differences(at: f64, beside: &[f64], spacing: &[f64]) -> Vec<f64> {
    let one = |(pair, h): (&[f64], &f64)| match (pair[0].is_finite(), pair[1].is_finite()) {
        (true, false) => (at - pair[0]) / h,
        (false, true) => (pair[1] - at) / h,
        _ => (pair[1] - pair[0]) / (2.0 * h),
    };
    beside.chunks_exact(2).zip(spacing).map(one).collect()
}
