//! The root's side: cuts outstanding points into rounds for all ranks, sends computations to single ranks.
//!
//! A round is one scatter and one gather. Two rounds are under way at a time, so that a worker that has
//! answered one finds its next share waiting; who waits for whom never changes an answer, only its time.

use super::bench::Verdict;
use super::desk::Desk;
use super::hands::{Computation, Done};
use super::round::{Round, Shares};
use super::tally::Tally;
use super::wire::{self, FIRST_CAPACITY, Header, Order, Reason, Report};
use super::{Evaluator, ExecError, ExecStats, Site};
use crate::task::{Answer, Shared, Task, TaskId, Work};
use crate::world::Root;
use crate::world::link::{Link, Message, Tag};
use crate::world::patience::{Bell, Patience};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds under way at a time.
const ROUNDS: usize = 2;
/// Points dearer than this (seconds) are always worth sending.
const CHEAP: f64 = 1e-3;
/// Where the root alone is quicker, some rounds in so many go out all the same, to see whether that is still
/// so: a few in a row, because workers sleep deeper when nothing comes.
const PROBE_EVERY: u64 = 100;
const PROBE: u64 = 5;
/// How long ranks have to end in good order after a failure, before MPI_Abort.
const GRACE: Duration = Duration::from_secs(10);

/// Which points go through MPI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dispatch {
    /// Rounds over all ranks, except where points are so cheap that the root alone is quicker.
    #[default]
    Auto,
    /// Rounds over all ranks always.
    Static,
}

/// The evaluator over all ranks; the workers run [`super::serve`].
pub struct Crew<'r> {
    link: &'r dyn Link,
    dim: usize,
    desk: Desk<'r>,
    patience: Patience,
    tally: Tally<'r>,
    threads: usize,
    dispatch: Dispatch,
    /// Points not yet in a round.
    waiting: VecDeque<(TaskId, Vec<f64>)>,
    rounds: VecDeque<Round>,
    next_round: u64,
    /// Points that the next share can hold, as announced.
    capacity: usize,
    /// The most points that were outstanding at a time: the sampler's window.
    window: usize,
    next_ticket: u64,
    /// Words for points, by (round, number in the round), until the round is finished.
    reasons: HashMap<(u64, usize), String>,
    computing: HashMap<TaskId, Computing>,
    own_computations: HashMap<u64, TaskId>,
    /// Running average of the wall seconds of a point that goes out in a round, and when the last came back.
    per_sent_point: f64,
    last_round: Instant,
    rounds_alone: u64,
    /// Running average of the seconds of a computation, by kind.
    per_computation: HashMap<u16, f64>,
    library: HashMap<u64, Arc<Shared>>,
    /// Keys each rank has, and keys it may forget.
    held: Vec<HashSet<u64>>,
    to_forget: Vec<Vec<u64>>,
    answers: Vec<Answer>,
    failure: Option<ExecError>,
    closed: bool,
    /// When `collect` returned, and the share of time that the sampler takes.
    left: Instant,
    sampler_share: f64,
}

/// A computation under way.
struct Computing {
    rank: usize,
    kind: u16,
}

impl<'r> Crew<'r> {
    /// `threads` evaluate points on each rank.
    pub fn new(root: &'r Root, site: &'r Site, threads: usize) -> Crew<'r> {
        let (link, bell) = (root.link(), Bell::default());
        let ranks = link.size();
        Crew {
            link,
            dim: site.space.n_free(),
            desk: Desk::new(site, threads, bell.clone()),
            patience: Patience::new(bell),
            tally: Tally::new(site, ranks, threads.max(1)),
            threads: threads.max(1),
            dispatch: Dispatch::Auto,
            waiting: VecDeque::new(),
            rounds: VecDeque::new(),
            next_round: 0,
            capacity: FIRST_CAPACITY,
            window: 0,
            next_ticket: 0,
            reasons: HashMap::new(),
            computing: HashMap::new(),
            own_computations: HashMap::new(),
            per_sent_point: f64::INFINITY,
            last_round: Instant::now(),
            rounds_alone: 0,
            per_computation: HashMap::new(),
            library: HashMap::new(),
            held: vec![HashSet::new(); ranks],
            to_forget: vec![Vec::new(); ranks],
            answers: Vec::new(),
            failure: None,
            closed: false,
            left: Instant::now(),
            sampler_share: 0.0,
        }
    }

    /// Chooses which points go through MPI.
    pub fn with_dispatch(mut self, dispatch: Dispatch) -> Crew<'r> {
        self.dispatch = dispatch;
        self
    }

    fn ranks(&self) -> usize {
        self.link.size()
    }

    fn post_rounds(&mut self) {
        while self.rounds.len() < ROUNDS && !self.waiting.is_empty() {
            self.post_round();
        }
    }

    /// How many of the waiting points the next round takes: half the window, so that the other half is
    /// under way while this one is evaluated.
    fn cut(&self) -> usize {
        let lanes = self.lanes();
        let half = self.window.div_ceil(2).max(lanes);
        let wanted = if self.rounds.is_empty() { self.waiting.len().div_ceil(2).max(lanes) } else { half };
        wanted.min(half).min(self.waiting.len())
    }

    fn post_round(&mut self) {
        let n = self.cut();
        if self.root_is_quicker() {
            return self.begin(Shares::root_only(n, self.ranks()), n, false);
        }
        let shares = Shares::split(n, &self.weights(n), &self.backlog(), self.capacity);
        let n = shares.total();
        self.begin(shares, n, true);
    }

    /// Whether points are so cheap that sending them takes longer than evaluating them here.
    fn root_is_quicker(&mut self) -> bool {
        let here = self.desk.per_point() / self.threads as f64;
        if self.dispatch == Dispatch::Static || here > CHEAP || here > self.per_sent_point {
            return false;
        }
        self.rounds_alone += 1;
        self.rounds_alone % PROBE_EVERY >= PROBE
    }

    /// Takes the next `n` points, sends the workers theirs and starts on the root's own.
    fn begin(&mut self, shares: Shares, n: usize, remote: bool) {
        let points: Vec<(TaskId, Vec<f64>)> = self.waiting.drain(..n).collect();
        let first_ticket = self.next_ticket;
        self.next_ticket += n as u64;
        let own = shares.of(0);
        let mut round = Round::new(self.next_round, first_ticket, points, shares);
        if remote {
            self.scatter(&mut round, false);
            self.next_round += 1;
            self.tally.round();
        }
        self.desk.evaluate(first_ticket, round.points[own].iter().map(|(_, u)| &u[..]));
        self.rounds.push_back(round);
    }

    fn scatter(&mut self, round: &mut Round, stop: bool) {
        let len = wire::share_len(self.capacity, self.dim);
        let ranks = self.ranks();
        let next_capacity = (self.window * 3).div_ceil(4 * ranks).max(2 * self.threads).max(self.capacity);
        let mut data = Vec::with_capacity(len * (ranks - 1));
        for rank in 1..ranks {
            let share = round.shares.of(rank);
            Header { points: share.len(), next_capacity, stop }.write(&mut data);
            share.for_each(|i| data.extend(&round.points[i].1));
            data.resize(rank * len, 0.0);
        }
        let counts: Vec<usize> = (0..ranks).map(|rank| if rank == 0 { 0 } else { len }).collect();
        round.scatter = Some(self.link.scatter(data, &counts));
        if !stop {
            let counts: Vec<usize> = (0..ranks).map(|r| if r == 0 { 0 } else { round.shares.of(r).len() * wire::ANSWER }).collect();
            round.gather = Some(self.link.gather(&counts));
        }
        self.capacity = next_capacity;
    }

    /// How much each rank can take on, 1 where nothing else keeps its core busy. Where points sleep or
    /// wait, computations beside them cost nothing.
    fn weights(&self, n: usize) -> Vec<f64> {
        let mut load = vec![0.0; self.ranks()];
        if self.desk.cpu_share() > 0.5 {
            let round = (self.desk.per_point() * n as f64 / self.lanes() as f64).max(1e-6);
            for computing in self.computing.values() {
                let seconds = self.per_computation.get(&computing.kind).copied().unwrap_or(0.0);
                load[computing.rank] += seconds / round;
            }
            load[0] += self.sampler_share;
        }
        load.iter().map(|l| (1.0 - l).max(0.0)).collect()
    }

    /// Points under way on each rank.
    fn backlog(&self) -> Vec<usize> {
        (0..self.ranks()).map(|rank| self.rounds.iter().map(|round| round.shares.of(rank).len()).sum()).collect()
    }

    fn order(&mut self, task: Task) {
        let Work::Compute { kind, needs, .. } = &task.work else { unreachable!("points travel in rounds") };
        let rank = self.least_busy();
        self.computing.insert(task.id, Computing { rank, kind: *kind });
        if rank == 0 {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.own_computations.insert(ticket, task.id);
            let shared = needs.iter().map(|key| self.library[key].clone()).collect();
            let Work::Compute { kind, input, .. } = task.work else { return };
            self.desk.compute(Computation { ticket, kind, shared, input });
        } else {
            let missing: Vec<u64> = needs.iter().copied().filter(|key| self.held[rank].insert(*key)).collect();
            let shared = missing.iter().map(|key| (*self.library[key]).clone()).collect();
            let retired = std::mem::take(&mut self.to_forget[rank]);
            self.link.send(rank, Tag::Compute, wire::encode(&Order { retired, shared, task }));
        }
    }

    /// The rank with the fewest computations, the root last: it runs the sampler.
    fn least_busy(&self) -> usize {
        let mut count = vec![0; self.ranks()];
        count[0] = if self.ranks() > 1 { 1 } else { 0 };
        self.computing.values().for_each(|c| count[c.rank] += 1);
        (0..self.ranks()).rev().min_by_key(|rank| count[*rank]).unwrap_or(0)
    }

    /// Everything that does not wait.
    fn attend(&mut self) {
        while let Some(message) = self.link.receive() {
            self.read(message);
        }
        for done in self.desk.done() {
            match done {
                Done::Point { ticket, verdict, seconds, .. } => self.own_point(ticket, verdict, seconds),
                Done::Computation { ticket, outcome, seconds } => {
                    let id = self.own_computations.remove(&ticket).expect("tickets are ours");
                    self.computed(Report { id, outcome, seconds });
                }
            }
        }
        while self.rounds.front_mut().is_some_and(|round| round.finished(&mut self.reasons)) {
            let round = self.rounds.pop_front().expect("looked at just now");
            self.settle(round);
        }
    }

    fn read(&mut self, message: Message) {
        match message.tag {
            Tag::Result => self.computed(wire::decode(&message.bytes)),
            Tag::Reason => {
                let reason: Reason = wire::decode(&message.bytes);
                let Some(round) = self.rounds.iter().find(|r| r.number == reason.round && r.scatter.is_some()) else { return };
                let index = round.shares.of(message.from).start + reason.index;
                if reason.fatal {
                    let failure = self.tally.failure(message.from, &round.points[index].1, reason.words.clone());
                    self.fail(failure);
                }
                self.reasons.insert((reason.round, index), reason.words);
            }
            Tag::Bye => {}
            other => unreachable!("a worker does not send {other:?} to the root"),
        }
    }

    fn computed(&mut self, report: Report) {
        let Some(Computing { rank, kind }) = self.computing.remove(&report.id) else { return };
        let average = self.per_computation.entry(kind).or_insert(report.seconds as f64);
        *average = 0.7 * *average + 0.3 * report.seconds as f64;
        match self.tally.computation(rank, report.id, report.outcome, report.seconds) {
            Ok(answer) => self.answers.push(answer),
            Err(failure) => self.fail(failure),
        }
    }

    fn own_point(&mut self, ticket: u64, verdict: Verdict, seconds: f32) {
        let Some(round) = self.rounds.iter_mut().find(|round| round.has(ticket)) else { return };
        if let Verdict::Fatal(words) = &verdict {
            let failure = self.tally.failure(0, round.point_of(ticket), words.clone());
            round.own(ticket, verdict, seconds);
            return self.fail(failure);
        }
        round.own(ticket, verdict, seconds);
    }

    fn settle(&mut self, round: Round) {
        if round.scatter.is_some() {
            let now = Instant::now();
            let seconds = (now - self.last_round.max(round.posted)).as_secs_f64() / round.points.len().max(1) as f64;
            let before = if self.per_sent_point.is_finite() { self.per_sent_point } else { seconds };
            self.per_sent_point = 0.6 * before + 0.4 * seconds;
            self.last_round = now;
        }
        for (rank, id, u, verdict, seconds) in round.into_verdicts() {
            match self.tally.point(rank, id, &u, verdict, seconds) {
                Ok(answer) => self.answers.extend(answer),
                Err(failure) => self.fail(failure),
            }
        }
    }

    /// The first failure is the one that is told; all ranks leave what they have not started.
    fn fail(&mut self, failure: ExecError) {
        if self.failure.is_none() {
            self.failure = Some(failure);
            self.call_off();
        }
    }

    fn call_off(&mut self) {
        (1..self.ranks()).for_each(|rank| self.link.send(rank, Tag::Halt, Vec::new()));
        self.desk.call_off();
        self.waiting.clear();
        self.rounds.iter_mut().for_each(Round::skip_own);
    }

    /// Ends the crew: rounds under way are called off and waited for, then every worker is told to leave.
    fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let start = Instant::now();
        if !self.rounds.is_empty() {
            self.call_off();
        }
        while !self.rounds.is_empty() {
            self.attend();
            self.linger(start);
        }
        let mut last = Round::new(self.next_round, self.next_ticket, Vec::new(), Shares::root_only(0, self.ranks()));
        self.scatter(&mut last, true);
        (1..self.ranks()).for_each(|rank| self.link.send(rank, Tag::Last, Vec::new()));
        let mut here = self.ranks() - 1;
        while here > 0 || self.link.unsent() > 0 || !last.sent() {
            match self.link.receive() {
                Some(message) if message.tag == Tag::Bye => here -= 1,
                Some(_) => {}
                None => self.linger(start),
            }
        }
    }

    /// Pauses; when the grace is over, ends the job by force.
    fn linger(&mut self, start: Instant) {
        if start.elapsed() > GRACE {
            let cause = self.failure.as_ref().map_or("the run is over".into(), ExecError::to_string);
            eprintln!("fitjob: {cause}\nfitjob: ranks did not leave within {} s; ending all of them.", GRACE.as_secs());
            self.link.abort(1);
        }
        self.patience.pause();
    }
}

impl Evaluator for Crew<'_> {
    fn publish(&mut self, shared: Vec<Shared>) -> Result<(), ExecError> {
        self.library.extend(shared.into_iter().map(|s| (s.key, Arc::new(s))));
        Ok(())
    }

    fn retire(&mut self, keys: &[u64]) {
        // A rank is told with its next computation; messages arrive in order, so none that it has needs them.
        for key in keys {
            self.library.remove(key);
            for (held, forget) in self.held.iter_mut().zip(&mut self.to_forget) {
                if held.remove(key) {
                    forget.push(*key);
                }
            }
        }
    }

    fn submit(&mut self, tasks: Vec<Task>) -> Result<(), ExecError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        for task in tasks {
            match task.work {
                Work::LogLike(u) => self.waiting.push_back((task.id, u)),
                Work::Compute { .. } => self.order(task),
            }
        }
        let under_way: usize = self.rounds.iter().map(|round| round.points.len()).sum();
        self.window = self.window.max(self.waiting.len() + under_way);
        Ok(())
    }

    fn collect(&mut self) -> Result<Vec<Answer>, ExecError> {
        let start = Instant::now();
        let away = (start - self.left).as_secs_f64();
        while self.failure.is_none() && self.answers.is_empty() {
            self.post_rounds();
            self.attend();
            if !self.answers.is_empty() || (self.rounds.is_empty() && self.computing.is_empty() && self.waiting.is_empty()) {
                break;
            }
            self.patience.pause();
        }
        self.post_rounds();
        self.patience.done();
        self.left = Instant::now();
        let here = (self.left - start).as_secs_f64();
        self.tally.waited(here);
        self.sampler_share = 0.95 * self.sampler_share + 0.05 * away / (away + here).max(1e-9);
        match &self.failure {
            Some(failure) => {
                let failure = failure.clone();
                self.close();
                Err(failure)
            }
            None => Ok(std::mem::take(&mut self.answers)),
        }
    }

    fn lanes(&self) -> usize {
        self.ranks() * self.threads
    }

    fn stats(&self) -> ExecStats {
        self.tally.stats()
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        // After a panic the hook has ended all ranks, or is about to.
        if !std::thread::panicking() {
            self.close();
        }
    }
}
