//! The second way: points handed out as ranks come free, where their cost varies too much for even shares.

use super::bench::Verdict;
use crate::task::TaskId;
use std::collections::HashMap;

/// Seconds of work that are worth a message.
pub const WORTH: f64 = 1e-3;

/// Points that are with a rank.
#[derive(Default)]
pub struct Handout {
    /// By ticket: rank, task and point.
    out: HashMap<u64, (usize, TaskId, Vec<f64>)>,
}

/// A point that came back: rank, task, point, verdict and seconds.
pub type Back = (usize, TaskId, Vec<f64>, Verdict, f32);

impl Handout {
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Number of points that each rank has.
    pub fn with(&self, ranks: usize) -> Vec<usize> {
        let mut count = vec![0; ranks];
        self.out.values().for_each(|(rank, ..)| count[*rank] += 1);
        count
    }

    pub fn give(&mut self, ticket: u64, rank: usize, id: TaskId, u: Vec<f64>) {
        self.out.insert(ticket, (rank, id, u));
    }

    /// A point comes back; none if it was called off.
    pub fn back(&mut self, ticket: u64) -> Option<(usize, TaskId, Vec<f64>)> {
        self.out.remove(&ticket)
    }

    pub fn call_off(&mut self) {
        self.out.clear();
    }

    /// Points that go in one message.
    pub fn handful(seconds_a_point: f64) -> usize {
        ((WORTH / seconds_a_point.max(1e-9)) as usize).clamp(1, 64)
    }
}
