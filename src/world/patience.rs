//! How a rank waits: quick to notice what comes soon, and light on its core when it takes long.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Polling a core for the whole of a wait burns what threads, the root and other ranks need; blocking
/// inside MPI does the same. So: yield while the answer may come at once, then sleep for a share of the
/// time already waited. `typical` remembers how long waits were, and skips the yielding where they were long.
pub struct Patience {
    bell: Bell,
    since: Option<Instant>,
    turns: u32,
    typical: Duration,
}

/// Waits that usually end within this time are worth yielding for.
const SOON: Duration = Duration::from_millis(1);
const SHORTEST: Duration = Duration::from_micros(20);
/// No sleep is longer: the most a message can lie unnoticed.
const LONGEST: Duration = Duration::from_millis(2);

impl Patience {
    pub fn new(bell: Bell) -> Patience {
        // The kernel may lengthen sleeps by 50 us to spare itself wake-ups, more than our shortest.
        // SAFETY: plain system call that concerns this thread alone.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000 as libc::c_ulong) };
        Patience { bell, since: None, turns: 0, typical: Duration::ZERO }
    }

    /// One pause of a wait: returns after a while, or when the bell rings.
    pub fn pause(&mut self) {
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        self.turns += 1;
        if self.turns <= 4 || (self.typical < SOON && waited < SOON) {
            std::thread::yield_now();
        } else {
            self.bell.wait((waited / 4).clamp(SHORTEST, LONGEST));
        }
    }

    /// Whether this turn should also look at what is not waited for: seldom while yielding, since each look
    /// takes as long as the turn.
    pub fn due(&self) -> bool {
        self.turns.is_multiple_of(8) || self.since.is_some_and(|since| since.elapsed() > SOON)
    }

    /// What was waited for is here.
    pub fn done(&mut self) {
        let waited = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        // Quick to fall; one long wait (the machine was busy with something else) says little.
        self.typical = match waited < self.typical {
            true => (self.typical + waited) / 2,
            false => self.typical + (waited - self.typical).min(SOON) / 4,
        };
        self.turns = 0;
    }
}

/// Wakes the main thread of a rank when a thread of its own has finished something.
#[derive(Clone, Default)]
pub struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    pub fn ring(&self) {
        *self.0.0.lock().unwrap_or_else(|e| e.into_inner()) = true;
        self.0.1.notify_one();
    }

    /// Until rung, at most `limit`. A ring while nobody waits is kept.
    pub fn wait(&self, limit: Duration) {
        let rung = self.0.0.lock().unwrap_or_else(|e| e.into_inner());
        let (mut rung, _) = self.0.1.wait_timeout_while(rung, limit, |rung| !*rung).unwrap_or_else(|e| e.into_inner());
        *rung = false;
    }
}
