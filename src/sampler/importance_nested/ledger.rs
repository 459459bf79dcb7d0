//! The books: every point evaluated, the shell it is filed under, and the counters that give volumes.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::tools::newest_holding;
use super::wire::Block;
use crate::bound::region::Region;
use crate::random::{Purpose, stream};

/// Every point that was evaluated. They are archived for learning even when no shell counts them any more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Points {
    pub n_dim: usize,
    /// n x n_dim in the cube, in the engine's coordinates (`stretch`).
    #[serde(with = "crate::bulk::reals")]
    pub u: Vec<f64>,
    /// Of those coordinates: the model's, less ln dw/du.
    #[serde(with = "crate::bulk::reals")]
    pub log_like: Vec<f64>,
    /// As the model told them, where axes are stretched; else empty.
    #[serde(with = "crate::bulk::reals", default)]
    pub told: Vec<f64>,
}

impl Points {
    pub fn push(&mut self, u: &[f64], log_like: f64) -> u32 {
        self.u.extend_from_slice(u);
        self.log_like.push(log_like);
        (self.log_like.len() - 1) as u32
    }

    pub fn at(&self, id: u32) -> &[f64] {
        &self.u[id as usize * self.n_dim..(id as usize + 1) * self.n_dim]
    }

    pub fn len(&self) -> usize {
        self.log_like.len()
    }

    /// What the model told of point `id`.
    pub fn told(&self, id: u32) -> f64 {
        let known = if self.told.is_empty() { &self.log_like } else { &self.told };
        known[id as usize]
    }
}

/// A bound, and the shell of its points that are in no later bound.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shell {
    /// Number of the bound among all that were tried: the key of its random streams.
    pub build: u64,
    /// Under which it is published.
    pub key: u64,
    #[serde(with = "super::wire::counted")]
    pub region: Rc<Region>,
    /// Threshold of log L that the bound was taught.
    pub l_min: f64,
    /// All tries of consumed blocks, and those that ended inside the bound: its volume.
    pub tries: u64,
    pub inside: u64,
    /// Exploration: draws from the bound that were used (N), and points filed here now (n).
    pub draws: u64,
    pub members: Vec<u32>,
    /// Sampling: points drawn inside the bound, those of them in the shell, and the evaluated ones.
    pub fresh_inside: u64,
    pub fresh_hits: u64,
    pub fresh: Vec<u32>,
    /// Tries made for the sampling phase.
    pub fresh_tries: u64,
    pub queue: Queue,
}

/// Candidate blocks of one bound: consumed in order, so that what is drawn never depends on timing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Queue {
    /// Blocks asked for and consumed so far.
    pub issued: u64,
    pub consumed: u64,
    /// Told, not yet consumed.
    pub told: BTreeMap<u64, Block>,
    /// Points of consumed blocks, not yet used: coordinates, and (exploring) which older bound holds each.
    pub points: VecDeque<(Vec<f64>, u32)>,
}

impl Shell {
    pub fn new(build: u64, key: u64, region: Rc<Region>, l_min: f64) -> Shell {
        Shell {
            build,
            key,
            region,
            l_min,
            tries: 0,
            inside: 0,
            draws: 0,
            members: Vec::new(),
            fresh_inside: 0,
            fresh_hits: 0,
            fresh: Vec::new(),
            fresh_tries: 0,
            queue: Queue::default(),
        }
    }

    /// Log volume of the whole bound.
    pub fn log_volume(&self) -> f64 {
        if self.tries == 0 {
            return self.region.log_tried();
        }
        self.region.log_tried() + libm::log(self.inside as f64 / self.tries as f64)
    }

    /// Drops candidates not yet used, also those still to come.
    pub fn forget_blocks(&mut self) {
        self.queue = Queue { issued: self.queue.issued, consumed: self.queue.issued, ..Queue::default() };
    }

    /// Takes the next block if it was told: false if it is still to come.
    pub fn consume(&mut self, sampling: bool) -> bool {
        let Some(block) = self.queue.told.remove(&self.queue.consumed) else { return false };
        let d = self.region.n_dim;
        self.queue.consumed += 1;
        self.tries += block.tries;
        self.inside += block.inside;
        if sampling {
            self.fresh_tries += block.tries;
            self.fresh_inside += block.inside;
            self.fresh_hits += (block.u.len() / d) as u64;
        }
        let older = block.older.iter().copied().chain(std::iter::repeat(0));
        self.queue.points.extend(block.u.chunks_exact(d).map(<[f64]>::to_vec).zip(older));
        true
    }
}

/// Shells, points, and the points that wait to be transferred to the newest shell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ledger {
    pub points: Points,
    pub shells: Vec<Shell>,
    /// Of each shell, points that left it for the newest bound: they may replace draws that would have been its own.
    pub transfer: Vec<Vec<u32>>,
}

impl Ledger {
    /// `build` and `key` of the cube.
    pub fn new(n_dim: usize, build: u64, key: u64) -> Ledger {
        let cube = Shell::new(build, key, Rc::new(Region::cube(n_dim)), f64::NEG_INFINITY);
        Ledger { points: Points { n_dim, ..Points::default() }, shells: vec![cube], transfer: vec![Vec::new()] }
    }

    pub fn newest(&self) -> usize {
        self.shells.len() - 1
    }

    /// The newest bound takes every filed point that it holds out of its shell (spec 4.2: N does not change).
    pub fn open_shell(&mut self, seed: u64, shell: Shell) {
        let region = shell.region.clone();
        let build = shell.build;
        for (number, old) in self.shells.iter_mut().enumerate() {
            let u: Vec<f64> = old.members.iter().flat_map(|id| self.points.at(*id).iter().copied()).collect();
            let mut held = vec![false; old.members.len()];
            region.contains(&u, &mut held);
            let mut leaving: Vec<u32> = old.members.iter().zip(&held).filter(|(_, h)| **h).map(|(id, _)| *id).collect();
            let mut at = 0;
            old.members.retain(|_| {
                at += 1;
                !held[at - 1]
            });
            old.forget_blocks();
            shuffle(&mut leaving, seed, build, number as u64);
            self.transfer[number] = leaving;
        }
        self.shells.push(shell);
        self.transfer.push(Vec::new());
    }

    /// Files a uniform draw from bound `from`: in its shell, or, when a later bound holds it, as transferable to that.
    pub fn file(&mut self, id: u32, from: usize) {
        self.shells[from].draws += 1;
        let newest = self.newest();
        if from == newest {
            self.shells[from].members.push(id);
            return;
        }
        let holder = |below: usize| {
            let later: Vec<Rc<Region>> = (from + 1..below).rev().map(|k| self.shells[k].region.clone()).collect();
            let found = newest_holding(&later, self.points.at(id), self.points.n_dim)[0];
            found.map_or(from, |back| below - 1 - back as usize)
        };
        let home = holder(newest + 1);
        if home == newest {
            let before = holder(newest);
            self.transfer[before].push(id);
        } else if home == from {
            self.shells[from].members.push(id);
        }
        // Else it belongs to a bound between, whose transfer is over: learning keeps it, no shell does.
    }
}

fn shuffle(ids: &mut [u32], seed: u64, build: u64, shell: u64) {
    let mut rng = stream(seed, Purpose::Decisions, build, 1 + shell);
    for last in (1..ids.len()).rev() {
        let pick = (u64::from(rng.next_u32()) * (last as u64 + 1)) >> 32;
        ids.swap(last, pick as usize);
    }
}
