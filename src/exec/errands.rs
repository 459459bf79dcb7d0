//! The sampler's computations: which rank does which, and which shared objects that rank already has.

use super::wire::Order;
use crate::task::{Shared, Task, TaskId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub struct Errands {
    /// Rank and kind of each computation under way.
    under_way: HashMap<TaskId, (usize, u16)>,
    /// Running average of the seconds of a computation, by kind.
    seconds: HashMap<u16, f64>,
    library: HashMap<u64, Arc<Shared>>,
    /// Keys that each rank has, and keys that it may forget.
    held: Vec<HashSet<u64>>,
    to_forget: Vec<Vec<u64>>,
}

impl Errands {
    pub fn new(ranks: usize) -> Errands {
        Errands {
            under_way: HashMap::new(),
            seconds: HashMap::new(),
            library: HashMap::new(),
            held: vec![HashSet::new(); ranks],
            to_forget: vec![Vec::new(); ranks],
        }
    }

    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub fn publish(&mut self, shared: Vec<Shared>) {
        self.library.extend(shared.into_iter().map(|s| (s.key, Arc::new(s))));
    }

    /// A rank is told with its next computation; messages arrive in order, so none that it has needs the keys.
    pub fn retire(&mut self, keys: &[u64]) {
        for key in keys {
            self.library.remove(key);
            for (held, forget) in self.held.iter_mut().zip(&mut self.to_forget) {
                if held.remove(key) {
                    forget.push(*key);
                }
            }
        }
    }

    /// Notes a computation for the rank with the fewest, the root last since it runs the sampler.
    pub fn assign(&mut self, id: TaskId, kind: u16) -> usize {
        let mut count = vec![0; self.held.len()];
        count[0] = if count.len() > 1 { 1 } else { 0 };
        self.under_way.values().for_each(|(rank, _)| count[*rank] += 1);
        let rank = (0..count.len()).rev().min_by_key(|rank| count[*rank]).unwrap_or(0);
        self.under_way.insert(id, (rank, kind));
        rank
    }

    /// Published objects, for a computation of the root's own.
    pub fn shared(&self, needs: &[u64]) -> Vec<Arc<Shared>> {
        needs.iter().map(|key| self.library[key].clone()).collect()
    }

    /// The task with what the rank has not got yet.
    pub fn order(&mut self, rank: usize, needs: &[u64], task: Task) -> Order {
        let missing = needs.iter().filter(|key| self.held[rank].insert(**key));
        let shared = missing.map(|key| (*self.library[key]).clone()).collect();
        Order { retired: std::mem::take(&mut self.to_forget[rank]), shared, task }
    }

    /// A computation is done: the rank that did it. None if it was not under way.
    pub fn back(&mut self, id: TaskId, seconds: f64) -> Option<usize> {
        let (rank, kind) = self.under_way.remove(&id)?;
        let average = self.seconds.entry(kind).or_insert(seconds);
        *average = 0.7 * *average + 0.3 * seconds;
        Some(rank)
    }

    /// Seconds of computation that each rank has before it, as far as is known.
    pub fn load(&self) -> Vec<f64> {
        let mut load = vec![0.0; self.held.len()];
        for (rank, kind) in self.under_way.values() {
            load[*rank] += self.seconds.get(kind).copied().unwrap_or(0.0);
        }
        load
    }
}
