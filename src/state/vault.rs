//! The durable store of a run: records finished calls at once, writes checkpoints behind the run's back.

use super::journal::{self, Head};
use super::keeper::{self, Office, OpenJournal, Order};
use super::recover::{Recovered, recover};
use super::storage::Storage;
use super::trouble::Kind;
use super::{Name, StateError, journal_name};
use crate::task::Evaluation;
use crate::world::Root;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Before a failed append is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Before a new journal is begun where a sync failed: there may be many of those.
const PAUSE: Duration = Duration::from_secs(10);
/// Records kept in memory while the journal cannot be written; beyond it only a checkpoint makes things whole.
const MOST_WAITING: usize = 100_000;
/// What a dropped vault waits for its thread.
const FAREWELL: Duration = Duration::from_secs(2);

/// Only the root has one: checkpoints and journal in one folder.
pub struct Vault {
    storage: Arc<dyn Storage>,
    office: Arc<Office>,
    thread: Option<JoinHandle<()>>,
    job: [u8; 16],
    keep_journal: bool,
    /// Highest number that a file has.
    number: u64,
    /// The number of the journal that belongs to the newest state, until it is begun.
    reserved: Option<u64>,
    journal: Option<Writing>,
    /// Could not be written yet.
    waiting: Vec<Evaluation>,
    retry_at: Instant,
    buffer: Vec<u8>,
}

/// The journal that takes records now.
struct Writing {
    open: Arc<OpenJournal>,
    head: Head,
    /// Bytes up to the end of the last whole record; 0 before the header.
    length: u64,
}

impl Vault {
    /// Makes the folder if it is absent, and reads what is there. `job` names the job (a hash): journals of another are
    /// left out. Without `keep_journal` no journal is written; one that is there is read.
    /// Errors: the folder cannot be made, listed or read, or holds files of a newer format.
    pub fn open(_: &Root, storage: Box<dyn Storage>, job: [u8; 16], keep_journal: bool) -> Result<(Vault, Recovered), StateError> {
        let storage: Arc<dyn Storage> = storage.into();
        storage.make_folder().map_err(|e| StateError::cannot("make the folder", storage.folder(), &e))?;
        let recovered = recover(&*storage, Some(job))?;
        remove_leftovers(&*storage);
        let office = Arc::new(Office::default());
        office.desk().durable = recovered.state.as_ref().map_or(0, |state| state.number);
        let keeper = (office.clone(), storage.clone());
        let thread = std::thread::Builder::new().name("vault".into()).spawn(move || keeper::keep(&keeper.0, &*keeper.1));
        let thread =
            thread.map_err(|e| StateError::new(format!("cannot start a thread: {e}"), "look at the limit of processes (ulimit -u)"))?;
        let vault = Vault {
            storage,
            office,
            thread: Some(thread),
            job,
            keep_journal,
            number: recovered.highest,
            reserved: None,
            journal: None,
            waiting: Vec::new(),
            retry_at: Instant::now(),
            buffer: Vec::new(),
        };
        Ok((vault, recovered))
    }

    /// Appends finished calls to the journal: one write, after which a kill loses none of them; synced within about a second
    /// (later while a checkpoint is being written). Never fails: what cannot be written is kept and tried again, see [`Vault::troubles`].
    pub fn record(&mut self, evaluations: &[Evaluation]) {
        if !self.keep_journal || evaluations.is_empty() {
            return;
        }
        self.leave_broken_journal();
        if self.waiting.is_empty() && Instant::now() >= self.retry_at && self.append(evaluations) {
            return;
        }
        self.waiting.extend_from_slice(evaluations);
        self.office.desk().stuck = true;
        if Instant::now() >= self.retry_at {
            self.catch_up();
        }
    }

    /// Begins a checkpoint: later records go to its own journal, and the state is written in the background. False, and nothing
    /// done, while an earlier one is still being written. Record before you save: the state covers all that was recorded.
    pub fn save(&mut self, sections: Vec<(String, Vec<u8>)>) -> bool {
        let mut desk = self.office.desk();
        if desk.saving {
            return false;
        }
        if !self.waiting.is_empty() {
            // The state covers them.
            desk.give_up(self.number);
            self.waiting.clear();
        }
        self.number += 1;
        self.reserved = Some(self.number);
        let closes = self.journal.take().map(|journal| journal.open);
        desk.order = Some(Order { number: self.number, sections, closes });
        desk.saving = true;
        self.office.bell.notify_all();
        true
    }

    /// Waits until all is durable: the state written, the journal synced. Errors: it is not after `limit`, or cannot be.
    pub fn settle(&mut self, limit: Duration) -> Result<(), StateError> {
        let end = Instant::now() + limit;
        self.leave_broken_journal();
        if !self.waiting.is_empty() {
            self.catch_up();
        }
        let mut desk = self.office.desk();
        desk.hurry = true;
        self.office.bell.notify_all();
        while desk.saving || desk.syncing || !desk.unsynced.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                desk.hurry = false;
                let what =
                    format!("checkpoint and journal are not on disk after {} s: {}", limit.as_secs_f64(), self.storage.folder().display());
                return Err(StateError::new(what, "the file system hangs or is slow: look at its server's state"));
            }
            desk = self.office.bell.wait_timeout(desk, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        desk.hurry = false;
        desk.troubles.any().map_or(Ok(()), Err)
    }

    /// What went wrong, or works again, since the last call: each kind of trouble once until it is over.
    pub fn troubles(&mut self) -> Vec<String> {
        self.office.desk().troubles.news()
    }

    /// Records were lost (the folder was removed, a sync failed): a checkpoint now makes things whole again.
    pub fn wants_checkpoint(&self) -> bool {
        let desk = self.office.desk();
        desk.need.is_some() && !desk.saving && desk.not_before.is_none_or(|time| Instant::now() >= time)
    }

    /// Number of the checkpoint that was begun last; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What writing the last state took, and its bytes; zero before the first.
    pub fn cost(&self) -> (Duration, u64) {
        self.office.desk().cost
    }

    /// What is written to a file that cannot be synced, or is gone, does not count.
    fn leave_broken_journal(&mut self) {
        if self.journal.take_if(|journal| journal.open.broken.load(Ordering::SeqCst)).is_some()
            && self.office.desk().troubles.lasts(Kind::Journal)
        {
            self.retry_at = Instant::now() + PAUSE;
        }
    }

    /// Tries to write what could not be written.
    fn catch_up(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if self.append(&waiting) {
            let mut desk = self.office.desk();
            desk.stuck = false;
            desk.mend();
        } else if waiting.len() > MOST_WAITING {
            self.office.desk().give_up(self.number);
        } else {
            self.waiting = waiting;
        }
    }

    /// Whether all were written; if not, none were.
    fn append(&mut self, evaluations: &[Evaluation]) -> bool {
        let written = self.try_append(evaluations);
        if let Err(e) = &written {
            self.retry_at = Instant::now() + RETRY;
            let path = self.storage.folder().join(journal_name(self.number));
            self.office.desk().troubles.begin(Kind::Journal, StateError::cannot("write the journal", &path, e));
        }
        written.is_ok()
    }

    fn try_append(&mut self, evaluations: &[Evaluation]) -> io::Result<()> {
        let mut journal = match self.journal.take() {
            Some(journal) => journal,
            None => self.begin()?,
        };
        self.buffer.clear();
        if journal.length == 0 {
            self.buffer.extend(journal::header(journal.head));
        }
        for evaluation in evaluations {
            let at = journal.length + self.buffer.len() as u64;
            journal::encode(&mut self.buffer, journal.head, at, evaluation);
        }
        let handle = &journal.open.handle;
        if let Err(e) = handle.append(&self.buffer) {
            // Good records must not follow a part of one. If the part stays, the next records go to another file.
            if handle.truncate(journal.length).is_ok() {
                self.journal = Some(journal);
            }
            return Err(e);
        }
        journal.length += self.buffer.len() as u64;
        if !journal.open.dirty.swap(true, Ordering::SeqCst) {
            self.office.desk().unsynced.push(journal.open.clone());
            self.office.bell.notify_all();
        }
        self.journal = Some(journal);
        Ok(())
    }

    /// A new journal file. A number that another process has taken (which should not be) is left to it.
    fn begin(&mut self) -> io::Result<Writing> {
        loop {
            let number = self.reserved.unwrap_or(self.number + 1);
            match keeper::create(&*self.storage, &journal_name(number)) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
                Ok(handle) => {
                    self.reserved = None;
                    self.number = number;
                    let open = Arc::new(OpenJournal::new(number, handle));
                    return Ok(Writing { open, head: Head { number, job: self.job }, length: 0 });
                }
            }
            self.reserved = None;
            self.number = self.number.max(number);
        }
    }
}

impl Drop for Vault {
    /// Waits for what is being written, but not for a file system that hangs.
    fn drop(&mut self) {
        let end = Instant::now() + FAREWELL;
        let mut desk = self.office.desk();
        desk.quit = true;
        self.office.bell.notify_all();
        while !desk.gone && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            desk = self.office.bell.wait_timeout(desk, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        let gone = desk.gone;
        drop(desk);
        if let Some(thread) = self.thread.take().filter(|_| gone) {
            let _ = thread.join();
        }
    }
}

/// Half-written states of writers that are dead. If they cannot be removed, they only take room.
fn remove_leftovers(storage: &dyn Storage) {
    for name in storage.list().unwrap_or_default() {
        if Name::parse(&name) == Some(Name::Temporary) {
            let _ = storage.remove(&name);
        }
    }
}
