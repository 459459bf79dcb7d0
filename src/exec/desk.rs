//! A rank's own way of evaluating its share: cheap points at once on the main thread, dear ones on threads,
//! so that the main thread can go on talking to the other ranks.

use super::Site;
use super::bench::Bench;
use super::hands::{Computation, Done, Hands, Point, evaluate};
use crate::world::patience::Bell;
use std::time::Instant;

/// The main thread may be away from its messages for this many seconds.
const INLINE: f64 = 300e-6;

pub struct Desk<'s> {
    bench: Bench<'s>,
    hands: Hands,
    inline: Vec<Done>,
    /// Running average of seconds a point; nothing is known at first, and a point may take hours.
    per_point: f64,
    /// Running average of the share of that time in which the processor worked.
    cpu_share: f64,
}

impl<'s> Desk<'s> {
    pub fn new(site: &'s Site, threads: usize, bell: Bell) -> Desk<'s> {
        // Computations yield to points where ranks share cores.
        let hands = Hands::new(site, threads, 5, bell);
        Desk { bench: Bench::new(site), hands, inline: Vec::new(), per_point: f64::INFINITY, cpu_share: 1.0 }
    }

    /// Seconds that a point takes, as far as is known.
    pub fn per_point(&self) -> f64 {
        self.per_point
    }

    /// 1 where points keep a core busy, 0 where they sleep or wait.
    pub fn cpu_share(&self) -> f64 {
        self.cpu_share
    }

    /// Starts on the points; what comes of them is given by [`Desk::done`].
    pub fn evaluate(&mut self, points: impl ExactSizeIterator<Item = Point>) {
        let mut points = points.peekable();
        let start = Instant::now();
        while points.peek().is_some() && start.elapsed().as_secs_f64() + self.per_point * points.len() as f64 <= INLINE {
            let done = points.next().map(|point| evaluate(&mut self.bench, &point));
            self.inline.extend(done);
        }
        if points.len() > 0 {
            self.hands.evaluate(points);
        }
    }

    pub fn compute(&mut self, computation: Computation) {
        self.hands.compute(computation);
    }

    /// What is finished by now.
    pub fn done(&mut self) -> Vec<Done> {
        let mut all = std::mem::take(&mut self.inline);
        all.extend(self.hands.done());
        for item in &all {
            if let Done::Point { seconds, cpu, .. } = item {
                let (seconds, cpu) = (*seconds as f64, *cpu as f64);
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
