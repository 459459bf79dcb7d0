//! One process, several threads.

use super::hands::{Computation, Done, Hands, Point};
use super::tally::Tally;
use super::{Evaluator, ExecError, ExecStats, LOOK_UP, Site};
use crate::task::{Answer, Shared, Task, TaskId, Work};
use crate::world::patience::Bell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// `n` threads evaluate points; the sampler's computations run beside them, so that neither waits for the other.
pub struct Threads<'s> {
    hands: Hands,
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
            hands: Hands::new(site, threads, 0, bell.clone()),
            bell,
            tally: Tally::new(site, 1, threads),
            threads,
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
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            match task.work {
                Work::LogLike(u) => {
                    self.outstanding.insert(ticket, (task.id, u.clone()));
                    points.push(Point { ticket, u });
                }
                Work::Compute { kind, needs, input } => {
                    self.outstanding.insert(ticket, (task.id, Vec::new()));
                    let shared = needs.iter().map(|key| self.shared[key].clone()).collect();
                    self.hands.compute(Computation { ticket, kind, shared, input });
                }
            }
        }
        self.hands.evaluate(points);
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn collect(&mut self) -> Result<Vec<Answer>, ExecError> {
        let start = Instant::now();
        let mut answers = Vec::new();
        while self.failure.is_none() && answers.is_empty() && !self.outstanding.is_empty() && start.elapsed() < LOOK_UP {
            for done in self.hands.done() {
                match self.settle(done) {
                    Ok(answer) => answers.extend(answer),
                    Err(failure) => self.failure = Some(failure),
                }
            }
            if answers.is_empty() && self.failure.is_none() {
                self.bell.wait(LOOK_UP.saturating_sub(start.elapsed()));
            }
        }
        self.tally.waited(start.elapsed().as_secs_f64());
        match &self.failure {
            Some(failure) => {
                self.hands.call_off();
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
