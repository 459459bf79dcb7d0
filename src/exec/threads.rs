//! One process, several threads.

use super::desk::Desk;
use super::hands::{Computation, Done};
use super::tally::Tally;
use super::{Evaluator, ExecError, ExecStats, LOOK_UP, Site};
use crate::task::{Answer, Shared, Task, TaskId, Work};
use crate::world::patience::Bell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Cheap points are evaluated on the calling thread, dear ones on `n` others, so that the caller can always look up. The sampler's
/// computations run beside them, so that neither waits for the other, but with n = 1 on the same thread: one core is used.
pub struct Threads<'s> {
    desk: Desk<'s>,
    bell: Bell,
    tally: Tally<'s>,
    threads: usize,
    /// Submitted and not answered, by ticket; the point where it is one.
    outstanding: HashMap<u64, (TaskId, Vec<f64>)>,
    next_ticket: u64,
    shared: HashMap<u64, Arc<Shared>>,
    failure: Option<ExecError>,
}

impl<'s> Threads<'s> {
    pub fn new(site: &'s Site, threads: usize) -> Threads<'s> {
        let bell = Bell::default();
        Threads {
            desk: Desk::alone(site, threads, bell.clone()),
            bell,
            tally: Tally::new(site, 1, threads.max(1)),
            threads: threads.max(1),
            outstanding: HashMap::new(),
            next_ticket: 0,
            shared: HashMap::new(),
            failure: None,
        }
    }

    fn settle(&mut self, done: Done) -> Result<Option<Answer>, ExecError> {
        match done {
            Done::Point { ticket, verdict, seconds, .. } => {
                let (id, u) = self.outstanding.remove(&ticket).expect("tickets are ours");
                self.tally.point(0, id, &u, verdict, seconds)
            }
            Done::Computation { ticket, outcome, seconds } => {
                let (id, _) = self.outstanding.remove(&ticket).expect("tickets are ours");
                self.tally.computation(0, id, outcome, seconds).map(Some)
            }
        }
    }
}

impl Evaluator for Threads<'_> {
    fn publish(&mut self, shared: Vec<Shared>) -> Result<(), ExecError> {
        self.shared.extend(shared.into_iter().map(|s| (s.key, Arc::new(s))));
        Ok(())
    }

    fn retire(&mut self, keys: &[u64]) {
        // Submitted computations hold their own references.
        keys.iter().for_each(|key| drop(self.shared.remove(key)));
    }

    fn submit(&mut self, tasks: Vec<Task>) -> Result<(), ExecError> {
        let mut points = Vec::new();
        for task in tasks {
            match task.work {
                Work::LogLike(u) => points.push((task.id, u)),
                Work::Compute { kind, needs, input } => {
                    let ticket = self.next_ticket;
                    self.next_ticket += 1;
                    self.outstanding.insert(ticket, (task.id, Vec::new()));
                    let shared = needs.iter().map(|key| self.shared[key].clone()).collect();
                    self.desk.compute(Computation { ticket, kind, shared, input });
                }
            }
        }
        let first = self.next_ticket;
        self.next_ticket += points.len() as u64;
        self.desk.evaluate(first, points.iter().map(|(_, u)| &u[..]));
        self.outstanding.extend((first..).zip(points));
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn collect(&mut self) -> Result<Vec<Answer>, ExecError> {
        let start = Instant::now();
        let mut answers = Vec::new();
        while self.failure.is_none() && answers.is_empty() && !self.outstanding.is_empty() && start.elapsed() < LOOK_UP {
            for done in self.desk.done() {
                match self.settle(done) {
                    Ok(answer) => answers.extend(answer),
                    Err(failure) => drop(self.failure.get_or_insert(failure)),
                }
            }
            if answers.is_empty() && self.failure.is_none() {
                self.bell.wait(LOOK_UP.saturating_sub(start.elapsed()));
            }
        }
        self.tally.waited(start.elapsed().as_secs_f64());
        match &self.failure {
            Some(failure) => {
                self.desk.call_off();
                Err(failure.clone())
            }
            None => Ok(answers),
        }
    }

    fn lanes(&self) -> usize {
        self.threads
    }

    fn stats(&self) -> ExecStats {
        self.tally.stats()
    }
}
