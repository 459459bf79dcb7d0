//! The thread behind the vault: syncs journals, writes states, removes what is superseded, notices that the folder is gone.

use super::storage::{Handle, Storage, gone};
use super::trouble::{Kind, StateError, Troubles};
use super::{Name, container, journal_name, state_name};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Between two syncs of the journal.
const SYNC: Duration = Duration::from_secs(1);
/// After a checkpoint that failed, before another is wanted.
const RETRY: Duration = Duration::from_secs(5);

/// A journal that is being written. The vault appends, the keeper syncs.
pub(super) struct OpenJournal {
    pub(super) number: u64,
    pub(super) handle: Box<dyn Handle>,
    /// Has records that are not synced, and is in [`Desk::unsynced`].
    pub(super) dirty: AtomicBool,
    /// Its name is synced too, so that it outlives a power cut.
    entered: AtomicBool,
    /// A sync failed, or the file is gone: nothing that is written to it counts.
    pub(super) broken: AtomicBool,
}

impl OpenJournal {
    pub(super) fn new(number: u64, handle: Box<dyn Handle>) -> OpenJournal {
        let no = || AtomicBool::new(false);
        OpenJournal { number, handle, dirty: no(), entered: no(), broken: no() }
    }
}

/// A checkpoint to write.
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) sections: Vec<(String, Vec<u8>)>,
    /// The journal that it closes.
    pub(super) closes: Option<Arc<OpenJournal>>,
}

/// What lies between the vault and its keeper.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) unsynced: Vec<Arc<OpenJournal>>,
    pub(super) order: Option<Order>,
    /// An order is on the desk or in work.
    pub(super) saving: bool,
    /// Syncing journals just now.
    pub(super) syncing: bool,
    /// Somebody waits: sync at once.
    pub(super) hurry: bool,
    pub(super) quit: bool,
    pub(super) gone: bool,
    /// Newest state that is known to be whole and durable; 0 for none.
    pub(super) durable: u64,
    /// Records were lost: only a state of this number or a later one makes things whole.
    pub(super) need: Option<u64>,
    pub(super) not_before: Option<Instant>,
    /// The vault holds records that it could not write yet.
    pub(super) stuck: bool,
    pub(super) troubles: Troubles,
    pub(super) cost: (Duration, u64),
}

impl Desk {
    /// The records of journal `number` cannot be counted on.
    pub(super) fn lost(&mut self, number: u64) {
        self.need = self.need.max(Some(number + 1));
    }

    /// What waits to be written to journal `number` will not be.
    pub(super) fn give_up(&mut self, number: u64) {
        self.lost(number);
        self.stuck = false;
    }

    /// Says that the journal works again, if it does.
    pub(super) fn mend(&mut self) {
        self.need = self.need.filter(|need| *need > self.durable);
        if self.need.is_none() && !self.stuck {
            self.troubles.end(Kind::Journal);
            self.troubles.end(Kind::Folder);
        }
    }
}

#[derive(Default)]
pub(super) struct Office {
    desk: Mutex<Desk>,
    /// Rung on every change that the other side may wait for.
    pub(super) bell: Condvar,
}

impl Office {
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The keeper's life.
pub(super) fn keep(office: &Office, storage: &dyn Storage) {
    let mut last_sync = Instant::now();
    let mut desk = office.desk();
    loop {
        let due = SYNC.saturating_sub(last_sync.elapsed());
        if let Some(order) = desk.order.take() {
            let unsynced = std::mem::take(&mut desk.unsynced);
            drop(desk);
            sync(office, storage, unsynced);
            save(office, storage, order);
            desk = office.desk();
            desk.saving = false;
        } else if !desk.unsynced.is_empty() && (due.is_zero() || desk.hurry || desk.quit) {
            let unsynced = std::mem::take(&mut desk.unsynced);
            desk.syncing = true;
            drop(desk);
            sync(office, storage, unsynced);
            last_sync = Instant::now();
            desk = office.desk();
            desk.syncing = false;
        } else if desk.quit {
            desk.gone = true;
            office.bell.notify_all();
            return;
        } else {
            let wait = if desk.unsynced.is_empty() { Duration::from_secs(3600) } else { due };
            desk = office.bell.wait_timeout(desk, wait).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
            continue;
        }
        office.bell.notify_all();
    }
}

fn sync(office: &Office, storage: &dyn Storage, journals: Vec<Arc<OpenJournal>>) {
    for journal in journals {
        if journal.broken.load(Ordering::SeqCst) {
            continue;
        }
        journal.dirty.store(false, Ordering::SeqCst);
        match sync_one(storage, &journal) {
            Ok(()) if journal.handle.in_place() => office.desk().mend(),
            Err(e) if journal.handle.in_place() => {
                journal.broken.store(true, Ordering::SeqCst);
                let mut desk = office.desk();
                let path = storage.folder().join(journal_name(journal.number));
                desk.lost(journal.number);
                desk.troubles.begin(Kind::Journal, StateError::cannot("sync the journal", &path, &e));
            }
            _ => vanished(office, storage, &journal),
        }
    }
}

fn sync_one(storage: &dyn Storage, journal: &OpenJournal) -> io::Result<()> {
    journal.handle.sync()?;
    if !journal.entered.load(Ordering::SeqCst) {
        storage.sync_folder()?;
        journal.entered.store(true, Ordering::SeqCst);
    }
    Ok(())
}

/// The open journal leads to nowhere: somebody removed it, or the whole folder.
fn vanished(office: &Office, storage: &dyn Storage, journal: &OpenJournal) {
    journal.broken.store(true, Ordering::SeqCst);
    let path = storage.folder().join(journal_name(journal.number));
    let mut desk = office.desk();
    desk.lost(journal.number);
    desk.durable = 0;
    desk.troubles.begin(
        Kind::Folder,
        StateError::new(
            format!("{} was removed while the run was writing to it", path.display()),
            "the folder is made again and a new checkpoint is taken: there is nothing to do but to find out who removes files there",
        ),
    );
}

fn save(office: &Office, storage: &dyn Storage, order: Order) {
    let begun = Instant::now();
    if let Some(journal) = order.closes.filter(|journal| !journal.broken.load(Ordering::SeqCst) && !journal.handle.in_place()) {
        vanished(office, storage, &journal);
    }
    let bytes = container::write(&order.sections);
    drop(order.sections);
    let written = write_state(storage, order.number, &bytes);
    let mut desk = office.desk();
    desk.cost = (begun.elapsed(), bytes.len() as u64);
    match written {
        Ok(()) => {
            let before = std::mem::replace(&mut desk.durable, order.number);
            desk.not_before = None;
            desk.troubles.end(Kind::State);
            desk.mend();
            drop(desk);
            retire(storage, order.number, before);
        }
        Err(e) => {
            let path = storage.folder().join(state_name(order.number));
            desk.not_before = Some(Instant::now() + RETRY);
            let mut error = StateError::cannot("write the checkpoint", &path, &e);
            let kept = "the checkpoint before it is kept, the run goes on, and the next checkpoint tries again";
            error.help = error.help.map(|help| format!("{help}; {kept}"));
            desk.troubles.begin(Kind::State, error);
        }
    }
}

/// Complete or absent: temporary name, sync, rename, sync of the folder.
fn write_state(storage: &dyn Storage, number: u64, bytes: &[u8]) -> io::Result<()> {
    let name = state_name(number);
    let temporary = format!("{name}.{}.tmp", std::process::id());
    let written = create(storage, &temporary).and_then(|file| {
        file.append(bytes)?;
        file.sync()?;
        drop(file);
        storage.rename(&temporary, &name)
    });
    if written.is_err() {
        // Of no use to anybody; if it cannot be removed either, the first cause says more.
        let _ = storage.remove(&temporary);
    }
    written.and_then(|()| storage.sync_folder())
}

/// A new file, in a folder that is made again if it is gone.
pub(super) fn create(storage: &dyn Storage, name: &str) -> io::Result<Box<dyn Handle>> {
    match storage.create(name) {
        Err(e) if gone(&e) => {
            storage.make_folder()?;
            storage.create(name)
        }
        result => result,
    }
}

/// State `newest` is durable: keeps it and the one `before`, and the journals since that. What cannot be removed now will be next time.
fn retire(storage: &dyn Storage, newest: u64, before: u64) {
    for name in storage.list().unwrap_or_default() {
        let superseded = match Name::parse(&name) {
            Some(Name::State(number)) => number < newest && number != before,
            Some(Name::Journal(number)) => number < before,
            _ => false,
        };
        if superseded {
            let _ = storage.remove(&name);
        }
    }
}
