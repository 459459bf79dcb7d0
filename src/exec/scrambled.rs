//! For tests: another evaluator's answers in a random order, a few at a time, some held back for long.

use super::{Evaluator, ExecError, ExecStats};
use crate::random::{Purpose, stream};
use crate::task::{Answer, Shared, Task};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub struct Scrambled<E> {
    inner: E,
    held: Vec<Answer>,
    rng: ChaCha8Rng,
}

impl<E: Evaluator> Scrambled<E> {
    /// `seed` chooses the order.
    pub fn new(inner: E, seed: u64) -> Scrambled<E> {
        Scrambled { inner, held: Vec::new(), rng: stream(seed, Purpose::Decisions, u64::MAX, 0) }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n as u64) as usize
    }
}

impl<E: Evaluator> Evaluator for Scrambled<E> {
    fn publish(&mut self, shared: Vec<Shared>) -> Result<(), ExecError> {
        self.inner.publish(shared)
    }
    fn retire(&mut self, keys: &[u64]) {
        self.inner.retire(keys)
    }
    fn submit(&mut self, tasks: Vec<Task>) -> Result<(), ExecError> {
        self.inner.submit(tasks)
    }

    /// Collects from the inner one half of the time, and gives one to three answers picked at random.
    fn collect(&mut self) -> Result<Vec<Answer>, ExecError> {
        if self.held.is_empty() || self.below(2) == 0 {
            self.held.extend(self.inner.collect()?);
        }
        let n = (1 + self.below(3)).min(self.held.len());
        let mut picked = Vec::new();
        for _ in 0..n {
            let index = self.below(self.held.len());
            picked.push(self.held.swap_remove(index));
        }
        Ok(picked)
    }

    fn lanes(&self) -> usize {
        self.inner.lanes()
    }
    fn stats(&self) -> ExecStats {
        self.inner.stats()
    }
}
