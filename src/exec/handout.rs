//! The second way: points handed out as ranks come free, where their cost varies too much for even shares.

use super::bench::Verdict;
use super::round::Round;
use crate::task::TaskId;
use std::collections::HashMap;

/// Seconds of work that are worth a message.
const WORTH: f64 = 1e-3;
/// Where the dearest share of a round costs this much more a point than the mean, over many rounds, shares
/// are uneven by nature.
const UNEVEN: f64 = 1.25;
/// Rounds to look at before that is believed.
const ROUNDS: u32 = 8;

/// Points that are with a rank.
#[derive(Default)]
pub struct Handout {
    /// By ticket: rank, task and point.
    out: HashMap<u64, (usize, TaskId, Vec<f64>)>,
    /// How uneven rounds were (running average of dearest share by mean share), and how many were seen.
    unevenness: f64,
    rounds: u32,
}

impl Handout {
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Points that rank has.
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

    /// Learns from a finished round how evenly its shares turned out.
    pub fn learn(&mut self, round: &Round) {
        let means = round.seconds_a_point();
        let mean = means.iter().sum::<f64>() / means.len().max(1) as f64;
        let most = means.iter().copied().fold(0.0, f64::max);
        if means.len() > 1 && mean > 0.0 {
            self.rounds += 1;
            self.unevenness += (most / mean - self.unevenness) / f64::from(self.rounds.min(2 * ROUNDS));
        }
    }

    /// Whether handing out one by one is the better way.
    pub fn is_better(&self, seconds_a_point: f64) -> bool {
        self.rounds >= ROUNDS && self.unevenness > UNEVEN && seconds_a_point > WORTH
    }

    /// Points that go in one message.
    pub fn handful(seconds_a_point: f64) -> usize {
        ((WORTH / seconds_a_point.max(1e-9)) as usize).clamp(1, 64)
    }
}

/// A point that came back: rank, task, point, verdict and seconds.
pub type Back = (usize, TaskId, Vec<f64>, Verdict, f32);
