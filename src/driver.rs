//! The one loop that serves every engine and every way of running: ask, submit, collect, tell, watch.

use crate::exec::{Evaluator, ExecError};
use crate::sampler::{Ask, Sampler, SamplerError};
use crate::task::{Answer, Task};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The most log-likelihood tasks handed over at once; a sampler's own window is smaller.
const ROOM: usize = 1 << 16;

#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// A defect of the engine, not of the job.
    #[error("the sampler waits for answers, but no task is outstanding (a defect of fitjob: please report it with the job file)")]
    Stalled,
}

/// How a finished run went.
#[derive(Debug)]
pub struct Driven {
    /// Why the sampler stopped, in its words.
    pub reason: String,
    pub wall: Duration,
    /// Time the root spent in ask and tell, its own share of a computation included only if it ran there.
    pub sampling: Duration,
}

/// Runs `sampler` to its end. `watch` is called after each round of answers and may look, not touch.
pub fn drive(
    sampler: &mut dyn Sampler,
    evaluator: &mut dyn Evaluator,
    watch: &mut dyn FnMut(&dyn Sampler, &dyn Evaluator),
) -> Result<Driven, DriveError> {
    let start = Instant::now();
    let mut sampling = Duration::ZERO;
    let mut order = Order::default();
    loop {
        let clock = Instant::now();
        let ask = sampler.ask(ROOM);
        sampling += clock.elapsed();
        match ask {
            Ask::Done(reason) => return Ok(Driven { reason, wall: start.elapsed(), sampling }),
            Ask::Wait if order.outstanding() == 0 => return Err(DriveError::Stalled),
            Ask::Wait => {}
            Ask::Work { publish, tasks, retire } => {
                order.expect(&tasks);
                evaluator.publish(publish)?;
                evaluator.submit(tasks)?;
                evaluator.retire(&retire);
            }
        }
        for answer in evaluator.collect()? {
            order.arrived(answer);
        }
        let clock = Instant::now();
        while let Some(answer) = order.next() {
            sampler.tell(answer)?;
        }
        sampling += clock.elapsed();
        watch(sampler, evaluator);
    }
}

/// The order rule: answers leave in `seq` order within their lane, whatever the order they came in.
#[derive(Default)]
struct Order {
    lanes: HashMap<u32, Lane>,
    ready: VecDeque<Answer>,
}

#[derive(Default)]
struct Lane {
    /// Sequence numbers submitted and not yet released, in the order of submission.
    expected: VecDeque<u64>,
    /// Answers that came before their turn.
    early: HashMap<u64, Answer>,
}

impl Order {
    fn expect(&mut self, tasks: &[Task]) {
        for task in tasks {
            self.lanes.entry(task.id.lane).or_default().expected.push_back(task.id.seq);
        }
    }

    fn arrived(&mut self, answer: Answer) {
        let lane = self.lanes.entry(answer.id.lane).or_default();
        lane.early.insert(answer.id.seq, answer);
        while let Some(answer) = lane.expected.front().and_then(|seq| lane.early.remove(seq)) {
            lane.expected.pop_front();
            self.ready.push_back(answer);
        }
    }

    fn next(&mut self) -> Option<Answer> {
        self.ready.pop_front()
    }

    fn outstanding(&self) -> usize {
        self.lanes.values().map(|lane| lane.expected.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{TaskId, Value, Work};

    fn task(lane: u32, seq: u64) -> Task {
        Task { id: TaskId { lane, seq }, work: Work::LogLike(vec![0.5]) }
    }

    fn answer(lane: u32, seq: u64) -> Answer {
        Answer { id: TaskId { lane, seq }, outcome: Ok(Value::LogLike(0.0)), seconds: 0.0 }
    }

    fn told(order: &mut Order) -> Vec<(u32, u64)> {
        std::iter::from_fn(|| order.next()).map(|a| (a.id.lane, a.id.seq)).collect()
    }

    #[test]
    fn an_early_answer_waits_for_its_predecessors_in_the_lane() {
        let mut order = Order::default();
        order.expect(&[task(0, 0), task(0, 1), task(0, 2)]);
        order.arrived(answer(0, 2));
        order.arrived(answer(0, 1));
        assert_eq!(told(&mut order), []);
        order.arrived(answer(0, 0));
        assert_eq!(told(&mut order), [(0, 0), (0, 1), (0, 2)]);
        assert_eq!(order.outstanding(), 0);
    }

    #[test]
    fn a_slow_lane_does_not_hold_up_another() {
        let mut order = Order::default();
        order.expect(&[task(0, 0), task(1, 7), task(1, 8)]);
        order.arrived(answer(1, 7));
        assert_eq!(told(&mut order), [(1, 7)]);
        assert_eq!(order.outstanding(), 2);
    }
}
