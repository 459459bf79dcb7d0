//! The one loop that serves every engine and every way of running: tell, look, ask, submit, collect.

use crate::exec::{Evaluator, ExecError};
use crate::sampler::{Ask, Sampler, SamplerError};
use crate::stop::Stop;
use crate::task::{Answer, EvalError, Evaluation, Shared, Task, TaskId, Value, Work};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
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

/// Why the loop was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The sampler stopped, and why in its words.
    Done(String),
    /// The witness said so.
    Stopped(Stop),
}

/// What is on its way between sampler and evaluator: with the sampler's own state, the whole state of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Submitted and not told, in order within each lane.
    pub tasks: Vec<Task>,
    /// Answers that came before their turn.
    pub early: Vec<Answer>,
    /// Objects that tasks now or later read.
    pub shared: Vec<Shared>,
    /// Those of them that only these tasks read.
    pub retired: Vec<u64>,
}

/// Stands beside the loop, and never changes what the sampler is told.
pub trait Witness {
    /// The answer to a task that was done before (in an earlier life of the run), if it was.
    fn known(&mut self, task: &Task) -> Option<Answer>;
    /// Likelihood calls that were just made.
    fn paid(&mut self, calls: &[Evaluation]);
    /// After each round of answers, and at least every [`crate::exec::LOOK_UP`]: whether to stop.
    fn look(&mut self, sampler: &dyn Sampler, evaluator: &dyn Evaluator, driver: &mut Driver) -> Option<Stop>;
}

/// The loop's own state.
#[derive(Default)]
pub struct Driver {
    lanes: BTreeMap<u32, Lane>,
    /// In their turn, not yet told.
    ready: VecDeque<Answer>,
    shared: BTreeMap<u64, Shared>,
    /// Retired by the sampler, kept while a task needs them.
    retired: Vec<u64>,
    /// Time the root spent in ask and tell, its own share of a computation included only if it ran there.
    pub sampling: Duration,
}

/// The order rule: answers leave in the order of submission within their lane, whatever the order they came in.
#[derive(Default)]
struct Lane {
    submitted: VecDeque<Task>,
    /// Answers that came before their turn.
    early: HashMap<u64, Answer>,
}

impl Driver {
    /// Takes up what was on its way when a run was saved.
    pub fn resume(saved: UnderWay, evaluator: &mut dyn Evaluator, witness: &mut dyn Witness) -> Result<Driver, DriveError> {
        let mut driver = Driver::default();
        let done: HashSet<TaskId> = saved.early.iter().map(|answer| answer.id).collect();
        driver.publish(saved.shared, evaluator)?;
        driver.expect(&saved.tasks);
        saved.early.into_iter().for_each(|answer| driver.arrived(answer));
        let open = saved.tasks.into_iter().filter(|task| !done.contains(&task.id)).collect();
        driver.submit(open, evaluator, witness)?;
        driver.retire(saved.retired, evaluator);
        Ok(driver)
    }

    /// Runs `sampler` until it is done or `witness` stops it.
    pub fn run(&mut self, sampler: &mut dyn Sampler, evaluator: &mut dyn Evaluator, witness: &mut dyn Witness) -> Result<End, DriveError> {
        loop {
            self.tell(sampler)?;
            if let Some(stop) = witness.look(sampler, evaluator, self) {
                return Ok(End::Stopped(stop));
            }
            let clock = Instant::now();
            let ask = sampler.ask(ROOM);
            self.sampling += clock.elapsed();
            match ask {
                Ask::Done(reason) => return Ok(End::Done(reason)),
                Ask::Wait if self.outstanding() == 0 => return Err(DriveError::Stalled),
                Ask::Wait => {}
                Ask::Work { publish, tasks, retire } => {
                    self.publish(publish, evaluator)?;
                    self.expect(&tasks);
                    self.submit(tasks, evaluator, witness)?;
                    self.retire(retire, evaluator);
                }
            }
            if self.ready.is_empty() {
                let answers = evaluator.collect()?;
                witness.paid(&self.calls(&answers));
                answers.into_iter().for_each(|answer| self.arrived(answer));
            }
        }
    }

    /// What would be lost if only the sampler's state were kept.
    pub fn under_way(&mut self) -> UnderWay {
        let needed: HashSet<u64> = self.tasks().flat_map(|task| task.needs().iter().copied()).collect();
        let shared = &mut self.shared;
        self.retired.retain(|key| needed.contains(key) || shared.remove(key).is_none());
        UnderWay {
            tasks: self.tasks().cloned().collect(),
            early: self.lanes.values().flat_map(|lane| lane.early.values()).chain(&self.ready).cloned().collect(),
            shared: self.shared.values().cloned().collect(),
            retired: self.retired.clone(),
        }
    }

    fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.lanes.values().flat_map(|lane| &lane.submitted)
    }

    fn publish(&mut self, shared: Vec<Shared>, evaluator: &mut dyn Evaluator) -> Result<(), DriveError> {
        self.shared.extend(shared.iter().map(|object| (object.key, object.clone())));
        Ok(evaluator.publish(shared)?)
    }

    fn retire(&mut self, keys: Vec<u64>, evaluator: &mut dyn Evaluator) {
        evaluator.retire(&keys);
        self.retired.extend(keys);
    }

    fn expect(&mut self, tasks: &[Task]) {
        for task in tasks {
            self.lanes.entry(task.id.lane).or_default().submitted.push_back(task.clone());
        }
    }

    fn submit(&mut self, tasks: Vec<Task>, evaluator: &mut dyn Evaluator, witness: &mut dyn Witness) -> Result<(), DriveError> {
        let mut open = Vec::with_capacity(tasks.len());
        for task in tasks {
            match witness.known(&task) {
                Some(answer) => self.arrived(answer),
                None => open.push(task),
            }
        }
        Ok(evaluator.submit(open)?)
    }

    fn arrived(&mut self, answer: Answer) {
        let lane = self.lanes.entry(answer.id.lane).or_default();
        lane.early.insert(answer.id.seq, answer);
        while let Some(answer) = lane.submitted.front().and_then(|task| lane.early.remove(&task.id.seq)) {
            lane.submitted.pop_front();
            self.ready.push_back(answer);
        }
    }

    fn tell(&mut self, sampler: &mut dyn Sampler) -> Result<(), DriveError> {
        let clock = Instant::now();
        while let Some(answer) = self.ready.pop_front() {
            sampler.tell(answer)?;
        }
        self.sampling += clock.elapsed();
        Ok(())
    }

    /// The answers that were likelihood calls, with their points.
    fn calls(&self, answers: &[Answer]) -> Vec<Evaluation> {
        answers.iter().filter_map(|answer| self.call(answer)).collect()
    }

    fn call(&self, answer: &Answer) -> Option<Evaluation> {
        let lane = &self.lanes[&answer.id.lane].submitted;
        // Tasks of a lane are submitted in the order of their numbers.
        let at = lane.binary_search_by_key(&answer.id.seq, |task| task.id.seq).ok()?;
        let Work::LogLike(u) = &lane[at].work else { return None };
        let outcome = match &answer.outcome {
            Ok(Value::LogLike(value)) => Ok(*value),
            Err(EvalError::Reject(why)) => Err(why.clone()),
            _ => return None,
        };
        Some(Evaluation { id: answer.id, u: u.clone(), outcome, derived: answer.derived.clone(), seconds: answer.seconds })
    }

    fn outstanding(&self) -> usize {
        self.lanes.values().map(|lane| lane.submitted.len()).sum()
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
        Answer { id: TaskId { lane, seq }, outcome: Ok(Value::LogLike(0.0)), derived: vec![], seconds: 0.0 }
    }

    fn told(driver: &mut Driver) -> Vec<(u32, u64)> {
        driver.ready.drain(..).map(|a| (a.id.lane, a.id.seq)).collect()
    }

    #[test]
    fn an_early_answer_waits_for_its_predecessors_in_the_lane() {
        let mut driver = Driver::default();
        driver.expect(&[task(0, 0), task(0, 1), task(0, 2)]);
        driver.arrived(answer(0, 2));
        driver.arrived(answer(0, 1));
        assert_eq!(told(&mut driver), []);
        assert_eq!(driver.under_way().early.len(), 2);
        driver.arrived(answer(0, 0));
        assert_eq!(told(&mut driver), [(0, 0), (0, 1), (0, 2)]);
        assert_eq!(driver.outstanding(), 0);
    }

    #[test]
    fn a_slow_lane_does_not_hold_up_another() {
        let mut driver = Driver::default();
        driver.expect(&[task(0, 0), task(1, 7), task(1, 8)]);
        driver.arrived(answer(1, 7));
        assert_eq!(told(&mut driver), [(1, 7)]);
        assert_eq!(driver.outstanding(), 2);
    }

    #[test]
    fn an_object_is_kept_as_long_as_a_task_under_way_needs_it() {
        let mut driver = Driver::default();
        let object = |key| (key, Shared { key, bytes: vec![key as u8] });
        driver.shared = BTreeMap::from([object(1), object(2), object(3)]);
        driver.expect(&[Task { id: TaskId { lane: 1, seq: 0 }, work: Work::Compute { kind: 1, needs: vec![2], input: vec![] } }]);
        driver.retired = vec![1, 2];
        let keys = |driver: &mut Driver| driver.under_way().shared.iter().map(|s| s.key).collect::<Vec<_>>();
        assert_eq!(keys(&mut driver), [2, 3]);
        driver.arrived(Answer { id: TaskId { lane: 1, seq: 0 }, outcome: Ok(Value::Bytes(vec![])), derived: vec![], seconds: 0.0 });
        assert_eq!(keys(&mut driver), [3]);
    }
}
