//! For tests, the plain reference: everything on the calling thread, in the order of submission, however long a call takes.

use super::bench::Bench;
use super::tally::Tally;
use super::{Evaluator, ExecError, ExecStats, Site};
use crate::task::{Answer, Shared, Task, Work};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long `collect` goes on before it hands over what it has.
const SLICE: Duration = Duration::from_millis(20);

pub struct Serial<'s> {
    bench: Bench<'s>,
    tally: Tally<'s>,
    tasks: VecDeque<Task>,
    shared: HashMap<u64, Shared>,
    /// Keys to forget when nothing is outstanding.
    retired: Vec<u64>,
    failure: Option<ExecError>,
}

impl<'s> Serial<'s> {
    pub fn new(site: &'s Site) -> Serial<'s> {
        Serial {
            bench: Bench::new(site),
            tally: Tally::new(site, 1, 1),
            tasks: VecDeque::new(),
            shared: HashMap::new(),
            retired: Vec::new(),
            failure: None,
        }
    }

    fn run(&mut self, task: Task) -> Result<Answer, ExecError> {
        let start = Instant::now();
        match task.work {
            Work::LogLike(u) => {
                let verdict = self.bench.log_likes(&[&u]).remove(0);
                let answer = self.tally.point(0, task.id, &u, verdict, start.elapsed().as_secs_f32())?;
                Ok(answer.expect("nothing is skipped here"))
            }
            Work::Compute { kind, needs, input } => {
                let shared: Vec<&Shared> = needs.iter().map(|key| &self.shared[key]).collect();
                let outcome = self.bench.compute(kind, &shared, &input);
                self.tally.computation(0, task.id, outcome, start.elapsed().as_secs_f32())
            }
        }
    }
}

impl Evaluator for Serial<'_> {
    fn publish(&mut self, shared: Vec<Shared>) -> Result<(), ExecError> {
        self.shared.extend(shared.into_iter().map(|s| (s.key, s)));
        Ok(())
    }

    fn retire(&mut self, keys: &[u64]) {
        self.retired.extend(keys);
    }

    fn submit(&mut self, tasks: Vec<Task>) -> Result<(), ExecError> {
        self.tasks.extend(tasks);
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn collect(&mut self) -> Result<Vec<Answer>, ExecError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let start = Instant::now();
        let mut answers = Vec::new();
        while let Some(task) = self.tasks.pop_front() {
            let answer = self.run(task).inspect_err(|failure| self.failure = Some(failure.clone()))?;
            answers.push(answer);
            if start.elapsed() > SLICE {
                break;
            }
        }
        if self.tasks.is_empty() {
            self.retired.drain(..).for_each(|key| drop(self.shared.remove(&key)));
        }
        self.tally.waited(start.elapsed().as_secs_f64());
        Ok(answers)
    }

    fn lanes(&self) -> usize {
        1
    }

    fn stats(&self) -> ExecStats {
        self.tally.stats()
    }
}
