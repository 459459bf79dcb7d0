//! Where the walkers are, and were as far as others may still step by it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A place in standard coordinates, and log L there (-inf: no place yet).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    pub z: Vec<f64>,
    pub log_like: f64,
}

/// Some are steps ahead of others: all that counts is that whom a walker steps by has made the steps before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Walkers {
    n_groups: usize,
    /// Steps that all have made.
    pub steps: u64,
    /// Those who have made no more than these.
    behind: usize,
    /// Of each, its places after `steps` steps and after every further one.
    trails: Vec<VecDeque<Place>>,
    /// Of each, those who can go on only when it has made another step.
    waiting: Vec<Vec<usize>>,
}

impl Walkers {
    /// `n` (a multiple of `n_groups`) without a place; the group of walker w is w modulo `n_groups`.
    pub fn new(n: usize, n_groups: usize, n_dim: usize) -> Walkers {
        let nowhere = Place { z: vec![0.0; n_dim], log_like: f64::NEG_INFINITY };
        Walkers { n_groups, steps: 0, behind: n, trails: vec![VecDeque::from([nowhere]); n], waiting: vec![vec![]; n] }
    }

    pub fn len(&self) -> usize {
        self.trails.len()
    }

    /// Those of the other groups.
    pub fn n_others(&self) -> usize {
        self.len() - self.len() / self.n_groups
    }

    /// The `k`-th walker that is not of the group of `walker`.
    pub fn other(&self, walker: usize, k: usize) -> usize {
        let (group, others) = (walker % self.n_groups, self.n_groups - 1);
        let (block, at) = (k / others, k % others);
        block * self.n_groups + at + usize::from(at >= group)
    }

    /// Steps that it has made.
    pub fn made(&self, walker: usize) -> u64 {
        self.steps + self.trails[walker].len() as u64 - 1
    }

    pub fn place(&self, walker: usize) -> &Place {
        self.trails[walker].back().expect("a walker is somewhere")
    }

    /// Where `other` is when it is the turn of `walker`: groups move in turn, so those before its own are a step ahead. None: not there yet.
    pub fn seen_by(&self, walker: usize, other: usize) -> Option<&Place> {
        let ahead = u64::from(other % self.n_groups < walker % self.n_groups);
        let steps = self.made(walker) + ahead;
        self.trails[other].get((steps - self.steps) as usize)
    }

    /// `walker` is to be woken when `other` has made a step.
    pub fn wait(&mut self, walker: usize, other: usize) {
        self.waiting[other].push(walker);
    }

    /// Puts it elsewhere, which is no step.
    pub fn put(&mut self, walker: usize, place: Place) {
        *self.trails[walker].back_mut().expect("a walker is somewhere") = place;
    }

    /// Makes a step (None: it stays); gives those who waited for that.
    pub fn step(&mut self, walker: usize, to: Option<Place>) -> Vec<usize> {
        let to = to.unwrap_or_else(|| self.place(walker).clone());
        self.behind -= usize::from(self.trails[walker].len() == 1);
        self.trails[walker].push_back(to);
        std::mem::take(&mut self.waiting[walker])
    }

    /// Counts one more step of all if all have made it.
    pub fn all_stepped(&mut self) -> bool {
        if self.behind > 0 {
            return false;
        }
        self.steps += 1;
        self.trails.iter_mut().for_each(|trail| drop(trail.pop_front()));
        self.behind = self.trails.iter().filter(|trail| trail.len() == 1).count();
        true
    }

    /// Their places after the `steps` that all have made.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.trails.iter().map(|trail| &trail[0])
    }
}
