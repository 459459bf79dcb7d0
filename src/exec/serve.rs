//! The worker's side: take a share, evaluate it, answer; do computations beside it; stop when told.

use super::bench::Verdict;
use super::crew::GRACE;
use super::desk::Desk;
use super::hands::{Computation, Done};
use super::wire::{self, FIRST_CAPACITY, Header, Order, Reason, Report};
use super::{ExecError, Site};
use crate::stop;
use crate::task::{Shared, TaskId, Work};
use crate::world::Worker;
use crate::world::link::{Link, Message, Pending, Tag};
use crate::world::patience::{Bell, Patience};
use crate::world::pulse::{Pulse, gone};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Works for the root until it says stop. `threads` evaluate points on this rank.
pub fn serve(worker: &Worker, site: &Site, threads: usize) -> Result<(), ExecError> {
    let bell = Bell::default();
    let mut server = Server {
        link: worker.link(),
        dim: site.space.n_free(),
        answer_len: wire::answer_len(site.n_beside()),
        desk: Desk::new(site, threads, bell.clone()),
        patience: Patience::new(bell),
        pulse: Pulse::new(worker.link(), site.silence_limit),
        library: HashMap::new(),
        computing: HashMap::new(),
        handed: HashMap::new(),
        next_ticket: 0,
        round: 0,
        share: Share::default(),
        answers: Vec::new(),
        halted: false,
        last_seen: false,
        signal: None,
    };
    server.rounds();
    server.leave();
    Ok(())
}

/// The points of the round at hand; their tickets count up from `first_ticket`.
#[derive(Default)]
struct Share {
    first_ticket: u64,
    /// Status, value and seconds of each point.
    numbers: Vec<f64>,
    answered: Vec<bool>,
    missing: usize,
}

struct Server<'w> {
    link: &'w dyn Link,
    dim: usize,
    answer_len: usize,
    desk: Desk<'w>,
    patience: Patience,
    pulse: Pulse,
    /// Objects that computations read.
    library: HashMap<u64, Arc<Shared>>,
    /// Computations under way, by ticket.
    computing: HashMap<u64, TaskId>,
    /// Points handed out to this rank outside rounds: own ticket to the root's.
    handed: HashMap<u64, u64>,
    next_ticket: u64,
    round: u64,
    share: Share,
    /// Answers under way to the root.
    answers: Vec<Box<dyn Pending>>,
    /// Something failed: points are no longer evaluated.
    halted: bool,
    last_seen: bool,
    /// The signal that the root was told of.
    signal: Option<i32>,
}

impl Server<'_> {
    fn rounds(&mut self) {
        let mut capacity = FIRST_CAPACITY;
        loop {
            let mut posted = self.link.scatter_share(wire::share_len(capacity, self.dim));
            while !posted.ready() {
                if self.patience.due() {
                    self.attend();
                }
                self.patience.pause();
            }
            self.patience.done();
            let share = posted.take();
            let (header, points) = Header::read(&share, self.dim);
            if header.stop {
                return;
            }
            capacity = header.next_capacity;
            self.begin(points, header.points);
            while self.share.missing > 0 {
                self.attend();
                if self.share.missing > 0 {
                    self.patience.pause();
                }
            }
            self.patience.done();
            let numbers = std::mem::take(&mut self.share.numbers);
            self.answers.push(self.link.gather_share(numbers));
            self.round += 1;
        }
    }

    fn begin(&mut self, points: &[f64], n: usize) {
        let first_ticket = self.next_ticket;
        self.next_ticket += n as u64;
        self.share = Share { first_ticket, numbers: vec![0.0; n * self.answer_len], answered: vec![false; n], missing: n };
        if !self.halted {
            self.desk.evaluate(first_ticket, points.chunks_exact(self.dim));
        }
        self.attend();
    }

    /// Everything that does not wait: finished work, messages, sends.
    fn attend(&mut self) {
        self.answers.retain_mut(|answer| !answer.ready());
        let mut returned = wire::Returned::new();
        for done in self.desk.done() {
            match done {
                Done::Point { ticket, verdict, seconds, .. } => match self.handed.remove(&ticket) {
                    Some(theirs) => returned.push((theirs, verdict, seconds)),
                    None => self.answer(ticket, verdict, seconds),
                },
                Done::Computation { ticket, outcome, seconds } => {
                    let id = self.computing.remove(&ticket).expect("tickets are ours");
                    self.link.send(0, Tag::Result, wire::encode(&Report { id, outcome, seconds }));
                }
            }
        }
        if !returned.is_empty() {
            self.link.send(0, Tag::Values, wire::encode(&returned));
        }
        while let Some(message) = self.link.receive() {
            self.pulse.heard(&message);
            self.read(message);
        }
        self.pulse.look(self.link);
        self.tell_signal();
        if self.halted {
            self.skip_rest();
        }
    }

    /// A signal to this rank is for the whole run; work goes on until the root ends it.
    fn tell_signal(&mut self) {
        let signal = stop::signalled();
        if signal != self.signal {
            self.signal = signal;
            self.link.send(0, Tag::Signal, wire::encode(&signal.unwrap_or_default()));
        }
    }

    /// Starts on points that came outside a round.
    fn accept(&mut self, points: wire::Handed) {
        let first = self.next_ticket;
        self.next_ticket += points.len() as u64;
        self.handed.extend((first..).zip(points.iter().map(|(theirs, _)| *theirs)));
        self.desk.evaluate(first, points.iter().map(|(_, u)| &u[..]));
    }

    fn answer(&mut self, ticket: u64, verdict: Verdict, seconds: f32) {
        // A call that outlives the round it was skipped in is not looked at.
        let Some(index) = ticket.checked_sub(self.share.first_ticket).map(|i| i as usize) else { return };
        if self.share.answered.get(index) != Some(&false) {
            return;
        }
        self.share.answered[index] = true;
        self.share.missing -= 1;
        wire::write_verdict(&verdict, seconds, &mut self.share.numbers[index * self.answer_len..][..self.answer_len]);
        let fatal = matches!(verdict, Verdict::Fatal(_));
        if let Verdict::Rejected(words) | Verdict::Fatal(words) = verdict {
            let reason = Reason { round: self.round, index, fatal, words };
            self.link.send(0, Tag::Reason, wire::encode(&reason));
        }
        self.halted |= fatal;
    }

    fn skip_rest(&mut self) {
        self.desk.call_off();
        let first = self.share.first_ticket;
        let open: Vec<u64> = (0..).zip(&self.share.answered).filter(|(_, done)| !**done).map(|(i, _)| first + i).collect();
        open.into_iter().for_each(|ticket| self.answer(ticket, Verdict::Skipped, 0.0));
    }

    fn read(&mut self, message: Message) {
        match message.tag {
            Tag::Compute => self.compute(wire::decode(&message.bytes)),
            Tag::Points if self.halted => {}
            Tag::Points => self.accept(wire::decode(&message.bytes)),
            Tag::Halt => self.halted = true,
            Tag::Last => self.last_seen = true,
            Tag::Beat => {}
            other => unreachable!("the root does not send {other:?} to a worker"),
        }
    }

    fn compute(&mut self, order: Order) {
        order.retired.iter().for_each(|key| drop(self.library.remove(key)));
        self.library.extend(order.shared.into_iter().map(|s| (s.key, Arc::new(s))));
        let Work::Compute { kind, needs, input } = order.task.work else {
            unreachable!("points travel in rounds");
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.computing.insert(ticket, order.task.id);
        let shared = needs.iter().map(|key| self.library[key].clone()).collect();
        self.desk.compute(Computation { ticket, kind, shared, input });
    }

    /// Both sides say that no message follows, so that none is under way when MPI ends.
    fn leave(&mut self) {
        self.desk.call_off();
        let start = Instant::now();
        while !self.last_seen {
            match self.link.receive() {
                Some(message) if message.tag == Tag::Last => self.last_seen = true,
                Some(_) => {}
                None => self.linger(start),
            }
        }
        self.link.send(0, Tag::Bye, Vec::new());
        while self.link.unsent() > 0 || self.answers.iter_mut().any(|answer| !answer.ready()) {
            self.link.receive();
            self.linger(start);
        }
    }

    /// Pauses, but not for ever.
    fn linger(&mut self, start: Instant) {
        if start.elapsed() > GRACE {
            gone(self.link, &format!("rank {} cannot take leave of the root within {} s", self.link.rank(), GRACE.as_secs()));
        }
        self.patience.pause();
    }
}
