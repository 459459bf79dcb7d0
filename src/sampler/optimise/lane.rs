//! One search as a lane: finds a point where the likelihood is above zero, runs the search, and counts its calls.

use serde::{Deserialize, Serialize};

use super::start::elsewhere;
use super::{Ending, Reply, Search};
use crate::task::{Task, TaskId, Work};

/// Random points tried at a time, and how often, where a search cannot begin where it should.
const TRIES: u64 = 16;
const ROUNDS: u64 = 20;

/// What a search is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order<B> {
    pub u: Vec<f64>,
    pub brief: B,
    /// Share of the calls that it gets, beside others of the same round.
    pub share: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Phase<S> {
    /// Looks for a possible point; so many rounds were in vain.
    Seeking(u64),
    Searching(Box<S>),
    Ended(Ending),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "S: Search")]
pub struct Lane<S: Search> {
    number: u32,
    seed: u64,
    order: Order<S::Brief>,
    phase: Phase<S>,
    /// Wanted, and not yet asked for where calls have run out; or asked for.
    batch: Vec<Vec<f64>>,
    asked: bool,
    replies: Vec<Reply>,
    /// Tasks asked for.
    pub calls: u64,
    /// Most that may be.
    pub limit: u64,
    /// The best point so far and its cost.
    pub best: Option<(Vec<f64>, f64)>,
    /// Answers without a likelihood.
    pub failed: u64,
}

impl<S: Search> Lane<S> {
    pub fn new(number: u32, seed: u64, order: Order<S::Brief>) -> Lane<S> {
        let batch = vec![order.u.clone()];
        let phase = Phase::Seeking(0);
        Lane { number, seed, order, phase, batch, asked: false, replies: vec![], calls: 0, limit: u64::MAX, best: None, failed: 0 }
    }

    pub fn ending(&self) -> Option<&Ending> {
        if let Phase::Ended(ending) = &self.phase { Some(ending) } else { None }
    }

    /// Nothing more will come of it, unless it is given more calls.
    pub fn rests(&self) -> bool {
        self.ending().is_some() || self.out_of_calls()
    }

    pub fn out_of_calls(&self) -> bool {
        self.ending().is_none() && !self.asked && self.calls + self.batch.len() as u64 > self.limit
    }

    pub fn share(&self) -> f64 {
        self.order.share
    }

    /// Takes a batch that is complete, and asks for the next.
    pub fn advance(&mut self, to: &mut impl Extend<Task>) {
        if self.asked && self.replies.len() == self.batch.len() {
            self.digest();
        }
        if self.asked || self.rests() {
            return;
        }
        let first = self.calls;
        let id = |at: usize| TaskId { lane: self.number, seq: first + at as u64 };
        to.extend(self.batch.iter().enumerate().map(|(at, u)| Task { id: id(at), work: Work::LogLike(u.clone()) }));
        self.calls += self.batch.len() as u64;
        self.asked = true;
    }

    /// Errors where no answer is due.
    pub fn tell(&mut self, reply: Reply) -> Result<(), &'static str> {
        if !self.asked || self.replies.len() == self.batch.len() {
            return Err("a likelihood came that was not asked for");
        }
        let u = &self.batch[self.replies.len()];
        self.failed += u64::from(reply.cost == f64::INFINITY);
        if reply.cost < self.best.as_ref().map_or(f64::INFINITY, |best| best.1) {
            self.best = Some((u.clone(), reply.cost));
        }
        self.replies.push(reply);
        Ok(())
    }

    /// The whole batch is there: what next?
    fn digest(&mut self) {
        let replies = std::mem::take(&mut self.replies);
        self.asked = false;
        if let Phase::Seeking(rounds) = self.phase {
            self.phase = self.after_seeking(rounds, &replies);
        } else if let Phase::Searching(search) = &mut self.phase {
            search.take(&self.batch, &replies);
        }
        self.batch = match self.wanted() {
            Ok(batch) => batch,
            Err(ending) => {
                self.phase = Phase::Ended(ending);
                vec![]
            }
        };
    }

    fn wanted(&mut self) -> Result<Vec<Vec<f64>>, Ending> {
        let (n_dim, seed, lane) = (self.order.u.len(), self.seed, u64::from(self.number));
        match &mut self.phase {
            Phase::Seeking(rounds) => Ok((0..TRIES).map(|k| elsewhere(n_dim, seed, lane, *rounds * TRIES + k)).collect()),
            Phase::Searching(search) => search.batch(),
            Phase::Ended(ending) => Err(ending.clone()),
        }
    }

    /// The best of the points tried is where the search begins.
    fn after_seeking(&self, rounds: u64, replies: &[Reply]) -> Phase<S> {
        let first = |best: usize, at: usize| if replies[at].cost < replies[best].cost { at } else { best };
        let at = (0..replies.len()).fold(0, first);
        if replies[at].cost < f64::INFINITY {
            return Phase::Searching(Box::new(S::begin(&self.order.brief, self.batch[at].clone(), replies[at].clone())));
        }
        match rounds + 1 {
            ROUNDS => Phase::Ended(Ending::short("no point with a likelihood above zero was found to begin at")),
            rounds => Phase::Seeking(rounds),
        }
    }
}
