//! One rank's end of the lines between ranks: what MPI gives, and what loopback imitates.

use std::time::Duration;

/// Tells point-to-point messages apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Tag {
    /// Bytes for `World::gather_bytes`.
    Census = 1,
    /// Root to worker: a compute task, with shared objects the rank has not got yet.
    Compute = 2,
    /// Worker to root: what came of a compute task.
    Result = 3,
    /// Worker to root: why a point was rejected or failed.
    Reason = 4,
    /// Root to worker: leave the rest of the round, something failed.
    Halt = 5,
    /// Root to worker: no message follows.
    Last = 6,
    /// Worker to root: no message follows.
    Bye = 7,
    /// Root to worker: points handed out one by one (dynamic dispatch).
    Points = 8,
    /// Worker to root: their values.
    Values = 9,
    /// Both ways: still there. The name of the host.
    Beat = 10,
    /// Worker to root: a signal that this rank was sent.
    Signal = 11,
}

#[cfg(feature = "mpi")]
impl Tag {
    /// The tag that MPI gives as a number.
    pub fn from_number(number: i32) -> Option<Tag> {
        use Tag::*;
        [Census, Compute, Result, Reason, Halt, Last, Bye, Points, Values, Beat, Signal].into_iter().find(|tag| *tag as i32 == number)
    }
}

/// A message from another rank.
#[derive(Debug)]
pub struct Message {
    pub from: usize,
    pub tag: Tag,
    pub bytes: Vec<u8>,
}

/// A collective that has been posted and not yet completed. All ranks post them in the same order.
pub trait Pending {
    /// Whether it has completed; moves it on. Stays true.
    fn ready(&mut self) -> bool;
    /// The data received (empty where this rank only sent). Call once, after `ready`.
    fn take(&mut self) -> Vec<f64>;
}

/// One rank's end of the lines. No call except `broadcast_into` and `minimum` waits for another rank.
pub trait Link {
    fn rank(&self) -> usize;
    fn size(&self) -> usize;

    /// Collective: the bytes of rank `from` on every rank. All give the same length, below 2^31.
    fn broadcast_into(&self, from: usize, bytes: &mut [u8]);
    /// Collective: the smallest of everybody's values, on every rank.
    fn minimum(&self, value: i64) -> i64;

    /// Root: gives rank r its `counts[r]` numbers of `data` (in rank order; `counts[0]` is 0).
    fn scatter(&self, data: Vec<f64>, counts: &[usize]) -> Box<dyn Pending>;
    /// Worker: receives exactly `len` numbers.
    fn scatter_share(&self, len: usize) -> Box<dyn Pending>;
    /// Root: receives `counts[r]` numbers from rank r, in rank order (`counts[0]` is 0).
    fn gather(&self, counts: &[usize]) -> Box<dyn Pending>;
    /// Worker: gives its numbers.
    fn gather_share(&self, data: Vec<f64>) -> Box<dyn Pending>;

    /// Sends without waiting; messages from one rank to another arrive in order.
    fn send(&self, to: usize, tag: Tag, bytes: Vec<u8>);
    /// The next message that has arrived, if any; also moves sends on.
    fn receive(&self) -> Option<Message>;
    /// Sends that the library still holds.
    fn unsent(&self) -> usize;

    /// How long a rank may be silent, from now on.
    fn set_silence_limit(&self, _limit: Duration) {}
    /// How long the collectives, and other waits outside of the crew's work, wait for another rank.
    fn wait_limit(&self) -> Duration {
        Duration::MAX
    }
    /// The exit code of this process should it have to leave without saying goodbye, from now on.
    fn set_exit_code(&self, _code: i32) {}
    /// Ends all ranks at once, this one in any case.
    fn abort(&self, code: i32) -> !;
    /// The same from another thread, while this one is lost somewhere outside of these calls.
    fn ending(&self) -> fn(i32) -> ! {
        leave_at_once
    }
}

/// Ends this process without a look at what its threads are at.
fn leave_at_once(code: i32) -> ! {
    // SAFETY: nothing runs after it.
    unsafe { libc::_exit(code) }
}
