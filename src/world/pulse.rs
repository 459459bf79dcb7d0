//! Signs of life between the root and each worker, and the end of a run in which one of them falls silent.

use super::link::{Link, Message, Tag};
use crate::launch::{WORDS, mismatch::EXIT_CODE, seats};
use std::fmt::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The longest between two beats.
const EVERY: Duration = Duration::from_secs(5);
/// A rank that did not look for longer than this has been away: what it finds unread then was no silence.
const AWAY: Duration = Duration::from_secs(1);
/// How long an MPI call that ends things may take. With a dead network it may take for ever.
pub const LAST_CALL: Duration = Duration::from_secs(5);
/// Ranks that are named one by one.
const NAMED: usize = 8;

/// One rank's watch over those that it talks to: the root over all workers, a worker over the root.
pub struct Pulse {
    limit: Duration,
    every: Duration,
    /// When the next beat is due.
    due: Instant,
    looked: Instant,
    peers: Vec<Peer>,
}

struct Peer {
    rank: usize,
    /// As its first beat said.
    host: Option<String>,
    heard: Instant,
}

impl Pulse {
    /// `limit`: how long a rank may be silent.
    pub fn new(link: &dyn Link, limit: Duration) -> Pulse {
        let now = Instant::now();
        let ranks = if link.rank() == 0 { 1..link.size() } else { 0..1 };
        let peers = ranks.map(|rank| Peer { rank, host: None, heard: now }).collect();
        Pulse { limit, every: (limit / 8).min(EVERY), due: now, looked: now, peers }
    }

    /// Any message is a sign of life; a beat also tells the host.
    pub fn heard(&mut self, message: &Message) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.rank == message.from) else { return };
        peer.heard = Instant::now();
        if message.tag == Tag::Beat && peer.host.is_none() {
            peer.host = Some(String::from_utf8_lossy(&message.bytes).into_owned());
        }
    }

    /// Sends a beat when it is time, and ends all ranks when one was silent for too long. To be called often, after
    /// messages have been received.
    pub fn look(&mut self, link: &dyn Link) {
        let now = Instant::now();
        let away = now - std::mem::replace(&mut self.looked, now);
        if away > AWAY {
            self.peers.iter_mut().for_each(|peer| peer.heard += away);
        }
        if now < self.due {
            return;
        }
        self.due = now + self.every;
        let host = seats::host_name();
        self.peers.iter().for_each(|peer| link.send(peer.rank, Tag::Beat, host.clone().into_bytes()));
        let silent_for = |peer: &&Peer, limit: Duration| now.saturating_duration_since(peer.heard) > limit;
        if self.peers.iter().any(|peer| silent_for(&peer, self.limit)) {
            // Those that fell silent together with the first, too.
            let silent: Vec<&Peer> = self.peers.iter().filter(|peer| silent_for(peer, self.limit - 2 * self.every)).collect();
            let me = format!("rank {} on host {host}", link.rank());
            gone(link, &format!("{me} has heard nothing for {} s from {}", self.limit.as_secs_f64(), names(&silent)));
        }
    }
}

/// "rank 2 on host h2, rank 3 on host h2".
fn names(peers: &[&Peer]) -> String {
    let host = |peer: &Peer| peer.host.clone().map_or(String::new(), |host| format!(" on host {host}"));
    let mut all: Vec<String> = peers.iter().take(NAMED).map(|peer| format!("rank {}{}", peer.rank, host(peer))).collect();
    if peers.len() > NAMED {
        all.push(format!("and {} more", peers.len() - NAMED));
    }
    all.join(", ")
}

/// Ends all ranks because some are gone: says `what` was noticed and what to do.
pub fn gone(link: &dyn Link, what: &str) -> ! {
    let mut text = format!("fitjob: {what}.\n");
    let _ = write!(
        text,
        "fitjob: a process, its host or the network between them is gone or has stopped. Ending all ranks.\n\
         fitjob: what to do: see that the host is well, and run it again with --resume. Where nothing was gone, and a file\n\
         fitjob: system or a call just blocked for so long, raise [run] silence_limit_s."
    );
    eprintln!("{text}");
    // Launchers pass words on when they get to it, and drop what they have not passed on when ranks are ended.
    std::thread::sleep(WORDS);
    link.abort(EXIT_CODE)
}

/// Ends this process with `_exit` unless it is dropped in time: for MPI calls that may never return. The thread calls no MPI.
pub struct Deadline(#[allow(dead_code)] Sender<()>); // what it does is being dropped

impl Deadline {
    pub fn new(limit: Duration, code: i32, what: &'static str) -> Deadline {
        let (sender, receiver) = channel();
        let wait = move || {
            if let Err(RecvTimeoutError::Timeout) = receiver.recv_timeout(limit) {
                eprintln!("fitjob: {what} has not returned within {} s; leaving without it, with code {code}.", limit.as_secs_f64());
                // SAFETY: ends the process at once, whatever its threads are at.
                unsafe { libc::_exit(code) }
            }
        };
        let _ = std::thread::Builder::new().name("deadline".into()).spawn(wait);
        Deadline(sender)
    }
}
