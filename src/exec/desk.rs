//! A rank's own way of evaluating its share: cheap points at once on the main thread, dear ones on threads,
//! so that the main thread can go on talking to the other ranks.

use super::Site;
use super::bench::Bench;
use super::hands::{Computation, Done, Hands, Point, Staff};
use crate::world::patience::Bell;
use std::time::Instant;

/// The main thread may be away from its messages for this many seconds.
const INLINE: f64 = 300e-6;
/// The same where it has nobody to talk to, and only looks up for signals and the clock.
const INLINE_ALONE: f64 = 20e-3;
/// After a call (of a block, when timed together) that took longer than this many seconds none is trusted to be short again:
/// the main thread must not be lost in one.
const TRUSTED: f64 = 1.0;
/// Points timed together on the main thread, where the model does not want more.
const BLOCK: usize = 16;

pub struct Desk<'s> {
    bench: Bench<'s>,
    hands: Hands,
    staff: Staff,
    /// A call that has a limit is never made here: the main thread could not be given up.
    has_limit: bool,
    /// Points given to the model together, and timed together, on the main thread.
    block: usize,
    inline: Vec<Done>,
    /// Work that is with the threads.
    with_hands: usize,
    /// Running average of seconds a point; nothing is known at first, and a point may take hours.
    per_point: f64,
    /// Seconds of the longest call so far.
    slowest: f64,
    /// Running average of the share of that time in which the processor worked.
    cpu_share: f64,
}

impl<'s> Desk<'s> {
    /// A rank's desk: `threads` for points, and computations beside them, which yield where ranks share cores.
    pub fn new(site: &'s Site, threads: usize, bell: Bell) -> Desk<'s> {
        Desk::with(site, Staff::Many { points: threads, nice: 5 }, bell)
    }

    /// The desk of a process without other ranks, on `threads` cores.
    pub fn alone(site: &'s Site, threads: usize, bell: Bell) -> Desk<'s> {
        Desk::with(site, if threads > 1 { Staff::Many { points: threads, nice: 0 } } else { Staff::One }, bell)
    }

    fn with(site: &'s Site, staff: Staff, bell: Bell) -> Desk<'s> {
        Desk {
            bench: Bench::new(site),
            hands: Hands::new(site, staff, bell),
            staff,
            has_limit: site.call_limit.is_some(),
            block: BLOCK.max(site.model.batch()),
            inline: Vec::new(),
            with_hands: 0,
            per_point: f64::INFINITY,
            slowest: 0.0,
            cpu_share: 1.0,
        }
    }

    /// Seconds that a point takes, as far as is known.
    pub fn per_point(&self) -> f64 {
        self.per_point
    }

    /// 1 where points keep a core busy, 0 where they sleep or wait.
    pub fn cpu_share(&self) -> f64 {
        self.cpu_share
    }

    /// Starts on the points, whose tickets count up from `first_ticket`; what comes of them is given by
    /// [`Desk::done`].
    pub fn evaluate<'p>(&mut self, first_ticket: u64, mut points: impl ExactSizeIterator<Item = &'p [f64]>) {
        let (mut ticket, mut spent) = (first_ticket, 0.0);
        let allowed = self.allowed();
        while points.len() > 0 && spent + self.per_point * points.len() as f64 <= allowed {
            let n = points.len().min(self.block);
            spent += self.block(&mut ticket, points.by_ref().take(n));
        }
        if points.len() > 0 {
            self.with_hands += points.len();
            self.hands.evaluate((ticket..).zip(points).map(|(ticket, u)| Point { ticket, u: u.to_vec() }));
        }
    }

    /// Seconds that the main thread may spend on points now; negative: none at all.
    fn allowed(&self) -> f64 {
        match self.staff {
            _ if self.has_limit || self.slowest > TRUSTED => -1.0,
            Staff::Many { .. } => INLINE,
            Staff::One if self.with_hands > 0 => -1.0, // its one core is in use
            Staff::One => INLINE_ALONE,
        }
    }

    /// Cheap points are timed together: the clock costs as much as they do. Gives the seconds taken.
    fn block<'p>(&mut self, ticket: &mut u64, points: impl Iterator<Item = &'p [f64]>) -> f64 {
        let (start, first) = (Instant::now(), self.inline.len());
        let points: Vec<&[f64]> = points.collect();
        for verdict in self.bench.log_likes(&points) {
            self.inline.push(Done::Point { ticket: *ticket, verdict, seconds: 0.0, cpu: 0.0 });
            *ticket += 1;
        }
        let total = start.elapsed().as_secs_f64();
        self.slowest = self.slowest.max(total);
        let each = (total / (self.inline.len() - first) as f64) as f32;
        for done in &mut self.inline[first..] {
            if let Done::Point { seconds, cpu, .. } = done {
                (*seconds, *cpu) = (each, each);
            }
        }
        total
    }

    pub fn compute(&mut self, computation: Computation) {
        self.with_hands += 1;
        self.hands.compute(computation);
    }

    /// What is finished by now.
    pub fn done(&mut self) -> Vec<Done> {
        let mut all = std::mem::take(&mut self.inline);
        if self.with_hands > 0 {
            let done = self.hands.done();
            self.with_hands -= done.len();
            all.extend(done);
        }
        for item in &all {
            if let Done::Point { seconds, cpu, .. } = item {
                let (seconds, cpu) = (*seconds as f64, *cpu as f64);
                self.slowest = self.slowest.max(seconds);
                let before = if self.per_point.is_finite() { self.per_point } else { seconds };
                self.per_point = 0.9 * before + 0.1 * seconds;
                self.cpu_share = 0.9 * self.cpu_share + 0.1 * (cpu / seconds.max(1e-9)).min(1.0);
            }
        }
        all
    }

    /// Forgets what has not been started.
    pub fn call_off(&mut self) {
        self.hands.call_off();
    }
}
