//! The root's side: cuts outstanding points into rounds for all ranks, sends computations to single ranks.
//!
//! A round is one scatter and one gather. Two rounds are under way at a time, so that a worker that has
//! answered one finds its next share waiting; who waits for whom never changes an answer, only its time.

mod close;

pub(super) use close::GRACE;

use super::bench::Verdict;
use super::desk::Desk;
use super::dispatch::{Alone, Choice, Dispatch};
use super::errands::Errands;
use super::handout::Handout;
use super::hands::{Computation, Done};
use super::round::{Round, Shares};
use super::tally::Tally;
use super::wire::{self, FIRST_CAPACITY, Header, Reason, Report};
use super::{Evaluator, ExecError, ExecStats, LOOK_UP, Site};
use crate::stop;
use crate::task::{Answer, Shared, Task, TaskId, Work};
use crate::world::Root;
use crate::world::link::{Link, Message, Tag};
use crate::world::patience::{Bell, Patience};
use crate::world::pulse::Pulse;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// Rounds under way at a time.
const ROUNDS: usize = 2;

/// The evaluator over all ranks; the workers run [`super::serve`].
pub struct Crew<'r> {
    link: &'r dyn Link,
    dim: usize,
    answer_len: usize,
    /// Points that the model wants together.
    batch: usize,
    desk: Desk<'r>,
    patience: Patience,
    pulse: Pulse,
    tally: Tally<'r>,
    threads: usize,
    dispatch: Dispatch,
    /// Points not yet in a round.
    waiting: VecDeque<(TaskId, Vec<f64>)>,
    rounds: VecDeque<Round>,
    handout: Handout,
    choice: Choice,
    next_round: u64,
    /// Points that the next share can hold, as announced.
    capacity: usize,
    /// The most points that were outstanding at a time: the sampler's window.
    window: usize,
    next_ticket: u64,
    /// Words for points, by (round, number in the round), until the round is finished.
    reasons: HashMap<(u64, usize), String>,
    errands: Errands,
    /// The root's own computations, by ticket.
    own_computations: HashMap<u64, TaskId>,
    alone: Alone,
    answers: Vec<Answer>,
    failure: Option<ExecError>,
    closed: bool,
    /// When `collect` returned, and the share of time that the sampler takes.
    left: Instant,
    sampler_share: f64,
}

impl<'r> Crew<'r> {
    /// `threads` evaluate points on each rank.
    pub fn new(root: &'r Root, site: &'r Site, threads: usize) -> Crew<'r> {
        let (link, bell) = (root.link(), Bell::default());
        let ranks = link.size();
        Crew {
            link,
            dim: site.space.n_free(),
            batch: site.model.batch(),
            answer_len: wire::answer_len(site.n_beside()),
            desk: Desk::new(site, threads, bell.clone()),
            patience: Patience::new(bell),
            pulse: Pulse::new(link, site.silence_limit),
            tally: Tally::new(site, ranks, threads.max(1)),
            threads: threads.max(1),
            dispatch: Dispatch::Auto,
            waiting: VecDeque::new(),
            rounds: VecDeque::new(),
            handout: Handout::default(),
            choice: Choice::new(),
            next_round: 0,
            capacity: FIRST_CAPACITY,
            window: 0,
            next_ticket: 0,
            reasons: HashMap::new(),
            errands: Errands::new(ranks),
            own_computations: HashMap::new(),
            alone: Alone::new(),
            answers: Vec::new(),
            failure: None,
            closed: false,
            left: Instant::now(),
            sampler_share: 0.0,
        }
    }

    /// Chooses how points reach the ranks.
    pub fn with_dispatch(mut self, dispatch: Dispatch) -> Crew<'r> {
        self.dispatch = dispatch;
        self
    }

    fn ranks(&self) -> usize {
        self.link.size()
    }

    /// Gives waiting points to ranks that can take them.
    fn deal(&mut self) {
        match self.dispatch {
            Dispatch::Dynamic => self.hand_out(),
            Dispatch::Auto if self.choice.hands_out() => self.hand_out(),
            _ => self.post_rounds(),
        }
    }

    /// Each rank has what it works on and as much again, so that it finds work when it comes free.
    fn hand_out(&mut self) {
        let handful = match self.batch {
            1 => Handout::handful(self.desk.per_point()),
            batch => batch.min(self.window.div_ceil(2 * self.ranks() * self.threads)).max(1),
        };
        let limit = 2 * self.threads * handful;
        let mut load: Vec<usize> = self.handout.with(self.ranks()).iter().zip(self.backlog()).map(|(a, b)| a + b).collect();
        while !self.waiting.is_empty() {
            let rank = (0..load.len()).rev().min_by_key(|rank| load[*rank]).unwrap_or(0);
            if load[rank] >= limit {
                break;
            }
            let n = handful.min(self.waiting.len());
            load[rank] += n;
            self.hand(rank, n);
        }
    }

    /// Hands the next `n` points to a rank.
    fn hand(&mut self, rank: usize, n: usize) {
        let first = self.next_ticket;
        self.next_ticket += n as u64;
        let points: Vec<(TaskId, Vec<f64>)> = self.waiting.drain(..n).collect();
        if rank == 0 {
            self.desk.evaluate(first, points.iter().map(|(_, u)| &u[..]));
        } else {
            let handed: wire::Handed = (first..).zip(points.iter().map(|(_, u)| u.clone())).collect();
            self.link.send(rank, Tag::Points, wire::encode(&handed));
        }
        (first..).zip(points).for_each(|(ticket, (id, u))| self.handout.give(ticket, rank, id, u));
    }

    /// A point that was handed out is done.
    fn back(&mut self, ticket: u64, verdict: Verdict, seconds: f32) {
        let Some((rank, id, u)) = self.handout.back(ticket) else { return };
        match self.tally.point(rank, id, &u, verdict, seconds) {
            Ok(answer) => self.answers.extend(answer),
            Err(failure) => self.fail(failure),
        }
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
        let here = self.desk.per_point() / self.threads as f64;
        if self.dispatch == Dispatch::Auto && self.alone.is_quicker(here) {
            return self.begin(Shares::root_only(n, self.ranks()), n, false);
        }
        let shares = Shares::split(n, &self.weights(n), &self.backlog(), self.capacity);
        let n = shares.total();
        self.begin(shares, n, true);
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
            let counts: Vec<usize> = (0..ranks).map(|r| if r == 0 { 0 } else { round.shares.of(r).len() * self.answer_len }).collect();
            round.gather = Some(self.link.gather(&counts));
        }
        self.capacity = next_capacity;
    }

    /// How much each rank can take on, 1 where nothing else keeps its core busy. Where points sleep or
    /// wait, computations beside them cost nothing.
    fn weights(&self, n: usize) -> Vec<f64> {
        if self.desk.cpu_share() <= 0.5 {
            return vec![1.0; self.ranks()];
        }
        let round = (self.desk.per_point() * n as f64 / self.lanes() as f64).max(1e-6);
        let mut load: Vec<f64> = self.errands.load().iter().map(|seconds| seconds / round).collect();
        load[0] += self.sampler_share;
        load.iter().map(|l| (1.0 - l).max(0.0)).collect()
    }

    /// Points under way on each rank.
    fn backlog(&self) -> Vec<usize> {
        (0..self.ranks()).map(|rank| self.rounds.iter().map(|round| round.shares.of(rank).len()).sum()).collect()
    }

    /// Sends a computation to a rank.
    fn order(&mut self, task: Task) {
        let Work::Compute { kind, needs, input } = &task.work else { unreachable!("points travel in rounds") };
        let rank = self.errands.assign(task.id, *kind);
        if rank == 0 {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.own_computations.insert(ticket, task.id);
            let (shared, input) = (self.errands.shared(needs), input.clone());
            self.desk.compute(Computation { ticket, kind: *kind, shared, input });
        } else {
            let needs = needs.clone();
            self.link.send(rank, Tag::Compute, wire::encode(&self.errands.order(rank, &needs, task)));
        }
    }

    /// Everything that does not wait.
    fn attend(&mut self) {
        if self.patience.due() {
            while let Some(message) = self.link.receive() {
                self.pulse.heard(&message);
                self.read(message);
            }
            self.pulse.look(self.link);
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
            Tag::Values => {
                let returned: wire::Returned = wire::decode(&message.bytes);
                returned.into_iter().for_each(|(ticket, verdict, seconds)| self.back(ticket, verdict, seconds));
            }
            Tag::Signal => stop::raise(wire::decode(&message.bytes)),
            Tag::Beat | Tag::Bye => {}
            other => unreachable!("a worker does not send {other:?} to the root"),
        }
    }

    fn computed(&mut self, report: Report) {
        let Some(rank) = self.errands.back(report.id, report.seconds as f64) else { return };
        match self.tally.computation(rank, report.id, report.outcome, report.seconds) {
            Ok(answer) => self.answers.push(answer),
            Err(failure) => self.fail(failure),
        }
    }

    fn own_point(&mut self, ticket: u64, verdict: Verdict, seconds: f32) {
        let Some(round) = self.rounds.iter_mut().find(|round| round.has(ticket)) else {
            return self.back(ticket, verdict, seconds);
        };
        if let Verdict::Fatal(words) = &verdict {
            let failure = self.tally.failure(0, round.point_of(ticket), words.clone());
            round.own(ticket, verdict, seconds);
            return self.fail(failure);
        }
        round.own(ticket, verdict, seconds);
    }

    fn settle(&mut self, round: Round) {
        if round.scatter.is_some() {
            self.alone.learn(round.posted, round.points.len());
        }
        self.answers.reserve(round.points.len());
        for (rank, id, u, verdict, seconds) in round.into_verdicts() {
            match self.tally.point(rank, id, &u, verdict, seconds) {
                Ok(answer) => self.answers.extend(answer),
                Err(failure) => self.fail(failure),
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.rounds.is_empty() && self.handout.is_empty() && self.errands.is_empty() && self.waiting.is_empty()
    }
}

impl Evaluator for Crew<'_> {
    fn publish(&mut self, shared: Vec<Shared>) -> Result<(), ExecError> {
        self.errands.publish(shared);
        Ok(())
    }

    fn retire(&mut self, keys: &[u64]) {
        self.errands.retire(keys);
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
        self.window = self.window.max(self.waiting.len() + under_way + self.handout.len());
        Ok(())
    }

    fn collect(&mut self) -> Result<Vec<Answer>, ExecError> {
        let start = Instant::now();
        let away = (start - self.left).as_secs_f64();
        while self.failure.is_none() && self.answers.is_empty() {
            self.deal();
            self.attend();
            if !self.answers.is_empty() || self.is_idle() || start.elapsed() > LOOK_UP {
                break;
            }
            self.patience.pause();
        }
        self.deal();
        if !self.answers.is_empty() {
            self.patience.done();
        }
        self.left = Instant::now();
        let here = (self.left - start).as_secs_f64();
        self.tally.waited(here);
        let (calls, busy) = self.tally.totals();
        self.choice.learn(calls, busy, self.lanes());
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
