//! Searches side by side as a sampler: rounds of lanes, then the covariance at the best point that any of them found.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::curvature::{Curvature, reserve};
use super::start::spread;
use super::{Cube, Lane, Order, Reply, Search};
use crate::sampler::{self, Ask, EngineSpec, Posterior, Problem, Progress, Sampler, SamplerError, saved};
use crate::task::{Answer, Task, TaskId, Work};

/// Which searches there are.
pub trait Plan: Serialize + DeserializeOwned {
    type Search: Search;

    /// Those that begin in `cube` when all `before` have ended; none when that was all. Depends on nothing else.
    fn round(&mut self, cube: &Cube, before: &[Lane<Self::Search>]) -> Vec<Order<<Self::Search as Search>::Brief>>;
    /// How many points spread over the prior to look at before the first round, and the searches that are to begin at the best of them.
    fn screening(&self, n_dim: usize) -> (usize, Vec<usize>);
    /// Where a search of theirs begins instead.
    fn begin_at(&mut self, search: usize, u: Vec<f64>);
    fn n_like_max(&self) -> Option<u64>;
    /// Takes over the limit of calls of `spec`; false where that is no different or the engine is another.
    fn raise(&mut self, spec: &EngineSpec) -> bool;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Stage {
    /// Looks over the prior for points to begin at.
    Screening,
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
    /// Of the screening, and then of the covariance: points asked for and answers in this batch; calls in all of each, and those of the
    /// screening that failed.
    batch: Vec<Vec<f64>>,
    replies: Vec<Reply>,
    screened: u64,
    pub(super) failed: u64,
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
            stage: Stage::Screening,
            curvature: None,
            batch: vec![],
            replies: vec![],
            screened: 0,
            failed: 0,
            measured: 0,
            mail: VecDeque::new(),
        }
    }

    /// Likelihood calls asked for.
    pub(super) fn calls(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.calls).sum::<u64>() + self.screened + self.measured
    }

    /// The lane with the best point; the first of equals.
    pub(super) fn leader(&self) -> Option<(usize, &(Vec<f64>, f64))> {
        let points = self.lanes.iter().enumerate().filter_map(|(at, lane)| Some((at, lane.best.as_ref()?)));
        points.reduce(|best, next| if next.1.1 < best.1.1 { next } else { best })
    }

    /// The best point of all and its cost, with the lane that found it: the leader's, or where the last steps led from it.
    pub(super) fn top(&self) -> Option<(usize, (&Vec<f64>, f64))> {
        let (leader, (u, cost)) = self.leader()?;
        let climbed = self.curvature.as_ref().filter(|curvature| curvature.cost < *cost);
        Some((leader, climbed.map_or((u, *cost), |curvature| (&curvature.u, curvature.cost))))
    }

    fn advance(&mut self) {
        loop {
            match self.stage {
                Stage::Screening => {
                    if !self.screen() {
                        return;
                    }
                    self.stage = Stage::Searching;
                }
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

    /// True when it is known where searches begin.
    fn screen(&mut self) -> bool {
        if self.batch.is_empty() {
            let (n, searches) = self.plan.screening(self.cube.n_dim);
            let n = self.plan.n_like_max().map_or(n, |most| n.min((most / MOST_SCREENED) as usize));
            if searches.is_empty() || n == 0 {
                return true;
            }
            let batch = spread(n, self.cube.n_dim, self.seed, 1);
            self.screened = n as u64;
            self.post(SCREENING, 0, batch);
        }
        if self.replies.len() < self.batch.len() {
            return false;
        }
        let points = std::mem::take(&mut self.batch).into_iter().zip(std::mem::take(&mut self.replies));
        let mut possible: Vec<(Vec<f64>, f64)> =
            points.map(|(u, reply)| (u, reply.cost)).filter(|(_, cost)| *cost < f64::INFINITY).collect();
        self.failed = self.screened - possible.len() as u64;
        possible.sort_by(|a, b| a.1.total_cmp(&b.1));
        self.plan.screening(self.cube.n_dim).1.into_iter().zip(possible).for_each(|(search, (u, _))| self.plan.begin_at(search, u));
        true
    }

    /// Asks for a batch.
    fn post(&mut self, lane: u32, first: u64, batch: Vec<Vec<f64>>) {
        let task = |(at, u): (usize, &Vec<f64>)| Task { id: TaskId { lane, seq: first + at as u64 }, work: Work::LogLike(u.clone()) };
        self.mail.extend(batch.iter().enumerate().map(task));
        self.batch = batch;
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
        let left = most.saturating_sub(self.calls() + reserve(self.cube.n_dim)) as f64;
        let open = || self.lanes[first..].iter().filter(|lane| lane.ending().is_none());
        let total: f64 = open().map(Lane::share).sum();
        for lane in self.lanes[first..].iter_mut().filter(|lane| lane.ending().is_none()) {
            lane.limit = lane.calls + (left * lane.share() / total) as u64;
        }
    }

    fn begin_measuring(&mut self) {
        let left = self.plan.n_like_max().map_or(u64::MAX, |most| most.saturating_sub(self.calls()));
        let best = self.top().map(|(_, (u, cost))| (u.clone(), cost));
        self.curvature = best.map(|(u, cost)| Curvature::new(self.cube.clone(), u, cost, self.gradient, left));
        (self.batch, self.replies) = (vec![], vec![]);
        self.stage = Stage::Measuring;
    }

    /// True when the covariance is there, or cannot be had.
    fn measure(&mut self) -> bool {
        let Some(curvature) = &mut self.curvature else { return true };
        if !self.batch.is_empty() && self.replies.len() == self.batch.len() {
            curvature.take(&std::mem::take(&mut self.batch), &std::mem::take(&mut self.replies));
        }
        if self.batch.is_empty() {
            let batch = curvature.batch();
            let first = self.measured;
            self.measured += batch.len() as u64;
            self.post(MEASURING, first, batch);
        }
        self.batch.is_empty()
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
/// Lane of the points looked at first, and the share of the calls allowed that they may take, inverse.
const SCREENING: u32 = u32::MAX - 1;
const MOST_SCREENED: u64 = 5;

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
        if number == MEASURING || number == SCREENING {
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
