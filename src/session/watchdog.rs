//! Sees to it that a run can be stopped while its sampler is lost in a computation of its own.
//!
//! Signals, time limit and checkpoints are served by the root's loop, between calls of the sampler; a call that does not come
//! back makes it deaf. So a thread beside it sees how long the loop has been inside. It never touches the sampler: where a stop
//! was asked for and the sampler does not come back, all ranks end without it. That loses no call, since the journal holds
//! them all and the last checkpoint is on disk; it is as good an end as a kill, with words and an exit code.

use crate::sampler::{Ask, EngineSpec, Posterior, Progress, Sampler, SamplerError};
use crate::stop::{Curfew, Stop};
use crate::task::Answer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(100);
/// How long a sampler may keep a run that was told to stop. Who sent a signal kills in ten seconds or thirty.
const GRACE: Duration = Duration::from_secs(5);
/// A call of the sampler that takes longer is worth a word, and again after ten times as long.
const LONG: Duration = Duration::from_secs(60);

/// What is said and done on the root from another thread, while its own is inside the sampler.
pub trait Alarm: Send {
    /// In the middle of a run that goes on.
    fn warn(&mut self, text: &str);
    /// The run ends here, without its sampler: says so, and leaves its files as those of a run that stopped in good order.
    /// Gives the exit code of all ranks.
    fn abandon(&mut self, stop: Stop, text: &str) -> i32;
}

/// Whether the root's loop is inside the sampler: even outside, odd inside, each call another number.
#[derive(Default)]
struct Turns(AtomicU64);

/// The number while the process ends: a sampler that comes back now is too late.
const OVER: u64 = u64::MAX;

impl Turns {
    fn enter(&self) -> Inside<'_> {
        Inside { turns: self, number: self.0.fetch_add(1, Ordering::SeqCst) + 1 }
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether the loop was still in that call, and never leaves it.
    fn close(&self, number: u64) -> bool {
        self.0.compare_exchange(number, OVER, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// While it lives, the loop is inside.
struct Inside<'t> {
    turns: &'t Turns,
    number: u64,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if self.turns.0.compare_exchange(self.number, self.number + 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            loop {
                std::thread::park(); // the watchdog is ending the process
            }
        }
    }
}

/// A sampler under the eyes of a watchdog, which is gone when this is dropped.
pub struct Watched {
    sampler: Box<dyn Sampler>,
    turns: Arc<Turns>,
    _watchdog: Option<Watchdog>,
}

impl Watched {
    /// `end` ends all ranks with an exit code, from any thread. Without an `alarm` nobody watches.
    pub fn new(sampler: Box<dyn Sampler>, curfew: Curfew, alarm: Option<Box<dyn Alarm>>, end: fn(i32) -> !) -> Watched {
        let turns = Arc::new(Turns::default());
        let watchdog = alarm.and_then(|alarm| Watchdog::start(turns.clone(), curfew, alarm, end));
        Watched { sampler, turns, _watchdog: watchdog }
    }
}

impl Sampler for Watched {
    fn ask(&mut self, room: usize) -> Ask {
        let _inside = self.turns.enter();
        self.sampler.ask(room)
    }
    fn tell(&mut self, answer: Answer) -> Result<(), SamplerError> {
        let _inside = self.turns.enter();
        self.sampler.tell(answer)
    }
    fn progress(&self) -> Progress {
        let _inside = self.turns.enter();
        self.sampler.progress()
    }
    fn posterior(&self) -> Result<Posterior, SamplerError> {
        let _inside = self.turns.enter();
        self.sampler.posterior()
    }
    fn save(&self) -> Vec<u8> {
        let _inside = self.turns.enter();
        self.sampler.save()
    }
    fn extend(&mut self, spec: &EngineSpec) -> bool {
        let _inside = self.turns.enter();
        self.sampler.extend(spec)
    }
}

struct Watchdog {
    leash: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    fn start(turns: Arc<Turns>, curfew: Curfew, mut alarm: Box<dyn Alarm>, end: fn(i32) -> !) -> Option<Watchdog> {
        let (leash, held) = channel();
        let watch = move || {
            let mut look = Look::new(Instant::now());
            while held.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                match look.at(turns.now(), curfew.stop(Duration::ZERO), Instant::now()) {
                    Seen::Well => {}
                    Seen::Long(inside) => alarm.warn(&long(inside)),
                    Seen::Lost(stop, inside) if turns.close(look.turn) => end(alarm.abandon(stop, &lost(inside))),
                    Seen::Lost(..) => {}
                }
            }
        };
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(watch);
        if let Err(e) = &thread {
            log::warn!("no thread to watch the sampler ({e}): a sampler that hangs would not hear signals");
        }
        Some(Watchdog { leash: Some(leash), thread: Some(thread.ok()?) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.leash.take());
        self.thread.take().map(JoinHandle::join);
    }
}

fn long(inside: Duration) -> String {
    format!(
        "the sampler has been in its own computation for {} s, and no call is asked for meanwhile; a signal or the time limit still \
         ends the run in good order",
        inside.as_secs()
    )
}

fn lost(inside: Duration) -> String {
    format!("the sampler has not come back from its own computation for {} s, so the run stops without it", inside.as_secs())
}

/// What the watchdog has seen so far.
struct Look {
    turn: u64,
    /// When that number was first seen, and a stop first asked for.
    since: Instant,
    asked: Option<Instant>,
    /// A call that takes this long is the next to be told of.
    worth_telling: Duration,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Well,
    /// Inside for so long.
    Long(Duration),
    /// The same, with a stop asked for and the grace over.
    Lost(Stop, Duration),
}

impl Look {
    fn new(now: Instant) -> Look {
        Look { turn: 0, since: now, asked: None, worth_telling: LONG }
    }

    fn at(&mut self, turn: u64, stop: Option<Stop>, now: Instant) -> Seen {
        if turn != self.turn {
            (self.turn, self.since, self.worth_telling) = (turn, now, LONG);
        }
        let asked = stop.map(|_| *self.asked.get_or_insert(now));
        let inside = now - self.since;
        match stop.zip(asked) {
            _ if turn.is_multiple_of(2) => Seen::Well,
            Some((stop, asked)) if now - self.since.max(asked) >= GRACE => Seen::Lost(stop, inside),
            None if inside >= self.worth_telling => {
                self.worth_telling *= 10;
                Seen::Long(inside)
            }
            _ => Seen::Well,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_lost_when_it_lasts_past_the_grace_of_a_stop_and_told_of_when_it_is_long() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut look = Look::new(begun);
        assert_eq!(look.at(1, None, at(1)), Seen::Well);
        assert_eq!(look.at(1, None, at(62)), Seen::Long(Duration::from_secs(61)));
        assert_eq!(look.at(1, None, at(63)), Seen::Well, "told once");
        assert_eq!(look.at(1, None, at(602)), Seen::Long(Duration::from_secs(601)));
        assert_eq!(look.at(1, Some(Stop::Asked), at(603)), Seen::Well, "the grace begins with the stop");
        assert_eq!(look.at(3, Some(Stop::Asked), at(607)), Seen::Well, "it came back, and is in another call");
        assert_eq!(look.at(3, Some(Stop::Asked), at(611)), Seen::Well);
        assert_eq!(look.at(4, Some(Stop::Asked), at(700)), Seen::Well, "outside, where the loop sees to stops itself");
        assert_eq!(look.at(5, Some(Stop::TimeLimit), at(701)), Seen::Well);
        assert_eq!(look.at(5, Some(Stop::TimeLimit), at(706)), Seen::Lost(Stop::TimeLimit, Duration::from_secs(5)));
    }

    #[test]
    fn of_a_sampler_that_comes_back_and_an_end_without_it_one_wins() {
        let turns = Turns::default();
        let number = {
            let inside = turns.enter();
            inside.number
        };
        assert!(!turns.close(number), "it came back first");
        let inside = turns.enter();
        assert!(turns.close(inside.number));
        assert_eq!(turns.now(), OVER);
        std::mem::forget(inside); // its thread would wait for the end of the process
    }
}
