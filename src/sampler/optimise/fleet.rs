//! Searches side by side as a sampler: rounds of lanes, then the covariance at the best point that any of them found.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::curvature::{Curvature, most_calls};
use super::{Cube, Lane, Order, Reply, Search};
use crate::sampler::{self, Ask, EngineSpec, Posterior, Problem, Progress, Sampler, SamplerError, saved};
use crate::task::{Answer, Task, TaskId, Work};

/// Which searches there are.
pub trait Plan: Serialize + DeserializeOwned {
    type Search: Search;

    /// Those that begin in `cube` when all `before` have ended; none when that was all. Depends on nothing else.
    fn round(&mut self, cube: &Cube, before: &[Lane<Self::Search>]) -> Vec<Order<<Self::Search as Search>::Brief>>;
    fn n_like_max(&self) -> Option<u64>;
    /// Takes over the limit of calls of `spec`; false where that is no different or the engine is another.
    fn raise(&mut self, spec: &EngineSpec) -> bool;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Stage {
    Searching,
    Measuring,
    Finished,
}

/// An optimiser: a plan, and the searches that it began.
#[derive(Serialize, Deserialize)]
#[serde(bound = "P: Plan")]
pub struct Fleet<P: Plan> {
    pub(super) plan: P,
    seed: u64,
    pub(super) cube: Cube,
    gradient: bool,
    pub(super) lanes: Vec<Lane<P::Search>>,
    pub(super) stage: Stage,
    pub(super) curvature: Option<Curvature>,
    /// Of the covariance, asked for and answered in this batch, and in all.
    replies: Vec<Reply>,
    asked: usize,
    measured: u64,
    mail: VecDeque<Task>,
}

impl<P: Plan> Fleet<P> {
    pub fn new(plan: P, seed: u64, problem: &Problem) -> Fleet<P> {
        Fleet {
            plan,
            seed,
            cube: Cube::new(problem.n_dim, &problem.periodic),
            gradient: problem.gradient,
            lanes: vec![],
            stage: Stage::Searching,
            curvature: None,
            replies: vec![],
            asked: 0,
            measured: 0,
            mail: VecDeque::new(),
        }
    }

    /// Likelihood calls asked for.
    pub(super) fn calls(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.calls).sum::<u64>() + self.measured
    }

    /// The lane with the best point; the first of equals.
    pub(super) fn leader(&self) -> Option<(usize, &(Vec<f64>, f64))> {
        let points = self.lanes.iter().enumerate().filter_map(|(at, lane)| Some((at, lane.best.as_ref()?)));
        points.reduce(|best, next| if next.1.1 < best.1.1 { next } else { best })
    }

    fn advance(&mut self) {
        loop {
            match self.stage {
                Stage::Searching => {
                    self.lanes.iter_mut().for_each(|lane| lane.advance(&mut self.mail));
                    if !self.lanes.iter().all(Lane::rests) {
                        return;
                    }
                    if !self.begin_round() {
                        self.begin_measuring();
                    }
                }
                Stage::Measuring => {
                    if !self.measure() {
                        return;
                    }
                    self.stage = Stage::Finished;
                }
                Stage::Finished => return,
            }
        }
    }

    /// False where no search begins.
    fn begin_round(&mut self) -> bool {
        if self.lanes.iter().any(Lane::out_of_calls) {
            return false;
        }
        let first = self.lanes.len();
        let orders = self.plan.round(&self.cube, &self.lanes);
        let seed = self.seed;
        self.lanes.extend(orders.into_iter().enumerate().map(|(at, order)| Lane::new((first + at) as u32, seed, order)));
        self.allot(first);
        self.lanes.len() > first
    }

    /// Deals the calls that are left to the lanes from `first` on that have not ended, by their shares.
    fn allot(&mut self, first: usize) {
        let Some(most) = self.plan.n_like_max() else {
            return self.lanes.iter_mut().for_each(|lane| lane.limit = u64::MAX);
        };
        let left = most.saturating_sub(self.calls() + most_calls(self.cube.n_dim)) as f64;
        let open = || self.lanes[first..].iter().filter(|lane| lane.ending().is_none());
        let total: f64 = open().map(Lane::share).sum();
        for lane in self.lanes[first..].iter_mut().filter(|lane| lane.ending().is_none()) {
            lane.limit = lane.calls + (left * lane.share() / total) as u64;
        }
    }

    fn begin_measuring(&mut self) {
        let best = self.leader().map(|(_, best)| best.clone());
        self.curvature = best.map(|(u, cost)| Curvature::new(self.cube.clone(), u, cost));
        (self.asked, self.replies) = (0, vec![]);
        self.stage = Stage::Measuring;
    }

    /// True when the covariance is there, or cannot be had.
    fn measure(&mut self) -> bool {
        let Some(curvature) = &mut self.curvature else { return true };
        if self.asked > 0 && self.replies.len() == self.asked {
            curvature.take(&std::mem::take(&mut self.replies));
            self.asked = 0;
        }
        if curvature.is_done() {
            return true;
        }
        if self.asked == 0 {
            let batch = curvature.batch();
            self.asked = batch.len();
            let (lane, first) = (MEASURING, self.measured);
            let task = |(at, u)| Task { id: TaskId { lane, seq: first + at as u64 }, work: Work::LogLike(u) };
            self.mail.extend(batch.into_iter().enumerate().map(task));
            self.measured += self.asked as u64;
        }
        false
    }

    fn reply(&self, answer: Answer) -> Result<Reply, SamplerError> {
        let cost = -sampler::log_like(&answer)?;
        let slope = if self.gradient { answer.gradient(self.cube.n_dim).into_iter().map(|s| -s).collect() } else { vec![] };
        Ok(Reply { cost, slope })
    }

    fn why_finished(&self) -> String {
        match self.leader() {
            Some((at, _)) => self.lanes[at].ending().map_or("no more calls are allowed".into(), |ending| ending.why.clone()),
            None => "no point has a likelihood above zero".into(),
        }
    }
}

/// Lane of the covariance.
const MEASURING: u32 = u32::MAX;

impl<P: Plan> Sampler for Fleet<P> {
    fn ask(&mut self, room: usize) -> Ask {
        self.advance();
        let tasks: Vec<Task> = self.mail.drain(..room.min(self.mail.len())).collect();
        if !tasks.is_empty() {
            return Ask::Work { publish: vec![], tasks, retire: vec![] };
        }
        if matches!(self.stage, Stage::Finished) { Ask::Done(self.why_finished()) } else { Ask::Wait }
    }

    fn tell(&mut self, answer: Answer) -> Result<(), SamplerError> {
        let number = answer.id.lane;
        let reply = self.reply(answer)?;
        if number == MEASURING {
            self.replies.push(reply);
            return Ok(());
        }
        let lane = self.lanes.get_mut(number as usize);
        let told = lane.ok_or("a likelihood came of a search that there is not").and_then(|lane| lane.tell(reply));
        told.map_err(|why| SamplerError(why.into()))
    }

    fn progress(&self) -> Progress {
        self.standing()
    }

    fn posterior(&self) -> Result<Posterior, SamplerError> {
        self.verdict()
    }

    fn save(&self) -> Vec<u8> {
        saved::write(self)
    }

    fn extend(&mut self, spec: &EngineSpec) -> bool {
        let waits = self.lanes.iter().any(Lane::out_of_calls);
        if !(matches!(self.stage, Stage::Finished) && self.plan.raise(spec) && waits) {
            return false;
        }
        self.allot(0);
        let more = self.lanes.iter().any(|lane| !lane.rests());
        if more {
            self.stage = Stage::Searching;
        }
        more
    }
}
