//! Ranks as threads of one process: the crew's real code, without MPI, for tests.

use super::link::{Link, Message, Pending, Tag};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What lies in the post for one rank. Queues keep the order of posting, as MPI does.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<Message>,
    /// Shares from the root.
    shares: VecDeque<Vec<f64>>,
    /// To the root: one queue a sender.
    gathered: Vec<VecDeque<Vec<f64>>>,
    broadcast: VecDeque<Vec<u8>>,
    minima: VecDeque<i64>,
}

struct Hub {
    inboxes: Mutex<Vec<Inbox>>,
    arrived: Condvar,
}

/// One rank's end.
pub struct Loopback {
    rank: usize,
    size: usize,
    hub: Arc<Hub>,
}

/// Makes the ends of `size` ranks.
pub fn connect(size: usize) -> Vec<Loopback> {
    let inbox = || Inbox { gathered: (0..size).map(|_| VecDeque::new()).collect(), ..Inbox::default() };
    let hub = Arc::new(Hub { inboxes: Mutex::new((0..size).map(|_| inbox()).collect()), arrived: Condvar::new() });
    (0..size).map(|rank| Loopback { rank, size, hub: hub.clone() }).collect()
}

impl Hub {
    /// A rank that panics poisons the lock, so that the others fail too instead of waiting for ever.
    fn lock(&self) -> MutexGuard<'_, Vec<Inbox>> {
        self.inboxes.lock().expect("another loopback rank panicked")
    }

    fn post(&self, put: impl FnOnce(&mut Vec<Inbox>)) {
        put(&mut self.lock());
        self.arrived.notify_all();
    }

    fn wait<T>(&self, mut look: impl FnMut(&mut Vec<Inbox>) -> Option<T>) -> T {
        let mut inboxes = self.lock();
        loop {
            if let Some(found) = look(&mut inboxes) {
                return found;
            }
            inboxes = self.arrived.wait(inboxes).expect("another loopback rank panicked");
        }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hub = self.hub.clone();
            // Poison the lock: panic while holding it, on a thread of its own.
            let _ = std::thread::spawn(move || {
                let _guard = hub.inboxes.lock();
                std::panic::resume_unwind(Box::new("rank down"));
            })
            .join();
            self.hub.arrived.notify_all();
        }
    }
}

/// A posted collective: looks into the inbox until its data is there.
struct Posted<F> {
    hub: Arc<Hub>,
    look: F,
    data: Option<Vec<f64>>,
}

impl<F: FnMut(&mut Vec<Inbox>) -> Option<Vec<f64>>> Pending for Posted<F> {
    fn ready(&mut self) -> bool {
        if self.data.is_none() {
            self.data = (self.look)(&mut self.hub.lock());
        }
        self.data.is_some()
    }
    fn take(&mut self) -> Vec<f64> {
        self.data.take().expect("taken before it was ready")
    }
}

impl Loopback {
    fn posted(&self, look: impl FnMut(&mut Vec<Inbox>) -> Option<Vec<f64>> + 'static) -> Box<dyn Pending> {
        Box::new(Posted { hub: self.hub.clone(), look, data: None })
    }
}

impl Link for Loopback {
    fn rank(&self) -> usize {
        self.rank
    }
    fn size(&self) -> usize {
        self.size
    }

    fn broadcast_into(&self, from: usize, bytes: &mut [u8]) {
        if self.rank == from {
            self.hub.post(|all| {
                for (rank, inbox) in all.iter_mut().enumerate().filter(|(rank, _)| *rank != from) {
                    debug_assert_ne!(rank, from);
                    inbox.broadcast.push_back(bytes.to_vec());
                }
            });
        } else {
            let got = self.hub.wait(|all| all[self.rank].broadcast.pop_front());
            bytes.copy_from_slice(&got);
        }
    }

    fn minimum(&self, value: i64) -> i64 {
        let mut bytes = [0u8; 8];
        if self.rank == 0 {
            let others = self.size - 1;
            let all = self.hub.wait(|all| {
                let minima = &mut all[0].minima;
                (minima.len() >= others).then(|| minima.drain(..others).collect::<Vec<_>>())
            });
            bytes = all.into_iter().fold(value, i64::min).to_le_bytes();
        } else {
            self.hub.post(|all| all[0].minima.push_back(value));
        }
        self.broadcast_into(0, &mut bytes);
        i64::from_le_bytes(bytes)
    }

    fn scatter(&self, data: Vec<f64>, counts: &[usize]) -> Box<dyn Pending> {
        let mut start = 0;
        self.hub.post(|all| {
            for (inbox, count) in all.iter_mut().zip(counts).skip(1) {
                inbox.shares.push_back(data[start..start + count].to_vec());
                start += count;
            }
        });
        self.posted(|_| Some(Vec::new()))
    }

    fn scatter_share(&self, len: usize) -> Box<dyn Pending> {
        let rank = self.rank;
        self.posted(move |all| {
            let share = all[rank].shares.pop_front()?;
            assert_eq!(share.len(), len, "MPI wants the counts of both ends to agree");
            Some(share)
        })
    }

    fn gather(&self, counts: &[usize]) -> Box<dyn Pending> {
        let counts = counts.to_vec();
        let mut parts: Vec<Option<Vec<f64>>> = vec![None; counts.len()];
        parts[0] = Some(Vec::new());
        self.posted(move |all| {
            for (rank, part) in parts.iter_mut().enumerate().filter(|(_, part)| part.is_none()) {
                *part = all[0].gathered[rank].pop_front();
                assert!(part.as_ref().is_none_or(|p| p.len() == counts[rank]), "counts of both ends must agree");
            }
            parts.iter().all(Option::is_some).then(|| parts.drain(..).flatten().flatten().collect())
        })
    }

    fn gather_share(&self, data: Vec<f64>) -> Box<dyn Pending> {
        self.hub.post(|all| all[0].gathered[self.rank].push_back(data));
        self.posted(|_| Some(Vec::new()))
    }

    fn send(&self, to: usize, tag: Tag, bytes: Vec<u8>) {
        self.hub.post(|all| all[to].messages.push_back(Message { from: self.rank, tag, bytes }));
    }
    fn receive(&self) -> Option<Message> {
        self.hub.lock()[self.rank].messages.pop_front()
    }
    fn unsent(&self) -> usize {
        0
    }
    fn abort(&self, code: i32) -> ! {
        panic!("loopback rank {} aborted with code {code}", self.rank)
    }
}
