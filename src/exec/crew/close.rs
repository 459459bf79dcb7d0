//! How a crew ends: what is under way is called off, and every worker is told to leave.

use super::super::ExecError;
use super::super::round::{Round, Shares};
use super::Crew;
use crate::world::link::Tag;
use std::time::{Duration, Instant};

/// How long ranks have to end in good order, before MPI_Abort.
pub const GRACE: Duration = Duration::from_secs(10);

impl Crew<'_> {
    /// The first failure is the one that is told; all ranks leave what they have not started.
    pub(super) fn fail(&mut self, failure: ExecError) {
        if self.failure.is_none() {
            self.failure = Some(failure);
            self.call_off();
        }
    }

    fn call_off(&mut self) {
        (1..self.ranks()).for_each(|rank| self.link.send(rank, Tag::Halt, Vec::new()));
        self.desk.call_off();
        self.waiting.clear();
        self.handout.call_off();
        self.rounds.iter_mut().for_each(Round::skip_own);
    }

    /// Ends the crew: rounds under way are called off and waited for, then every worker is told to leave.
    pub(super) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let start = Instant::now();
        if !self.rounds.is_empty() || !self.handout.is_empty() {
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

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        // After a panic the hook has ended all ranks, or is about to.
        if !std::thread::panicking() {
            self.close();
        }
    }
}
