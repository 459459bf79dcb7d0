//! Reading what a run left: the newest readable state, and the journals since.

use super::container::{self, Damage};
use super::journal::{self, Tail};
use super::storage::{Disk, Storage, gone};
use super::{Name, StateError, journal_name, state_name};
use crate::task::{Evaluation, TaskId};
use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

/// What a run left in its folder.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The newest readable one; none if there is none, and then the journal alone replays the run.
    pub state: Option<FoundState>,
    /// All finished calls since that state.
    pub evaluations: HashMap<TaskId, Evaluation>,
    /// Damaged files and torn tails, in plain words.
    pub notes: Vec<String>,
    /// States that are there and cannot be read.
    pub damaged: usize,
    /// Whether there are journals of another job, which were left out.
    pub foreign: bool,
    /// Of all files, also those that cannot be read; 0 if there are none.
    pub(super) highest: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FoundState {
    pub number: u64,
    /// Time of its last change.
    pub written: SystemTime,
    /// Name and content, as they were saved.
    pub sections: Vec<(String, Vec<u8>)>,
}

/// Reads the folder and changes nothing, also while a run is writing to it. Journals are taken as this job's own.
/// A folder that is absent holds nothing. Errors: it cannot be listed, or is not for us to read.
pub fn peek(folder: &Path) -> Result<Recovered, StateError> {
    recover(&Disk::new(folder), None)
}

/// Files may vanish between listing and reading while a run goes on: then the folder is read again.
const TRIES: usize = 5;

/// `job`: journals of other jobs are left out.
pub(super) fn recover(storage: &dyn Storage, job: Option<[u8; 16]>) -> Result<Recovered, StateError> {
    for _ in 1..TRIES {
        if let Some(recovered) = attempt(storage, job, false)? {
            return Ok(recovered);
        }
    }
    // What keeps vanishing now is noted, not waited for.
    Ok(attempt(storage, job, true)?.unwrap_or_default())
}

/// None: a file vanished; the `last` attempt goes on without it.
fn attempt(storage: &dyn Storage, job: Option<[u8; 16]>, last: bool) -> Result<Option<Recovered>, StateError> {
    let names = match storage.list() {
        Err(e) if gone(&e) => Vec::new(),
        result => result.map_err(|e| StateError::cannot("list", storage.folder(), &e))?,
    };
    let (mut states, mut journals) = (BTreeSet::new(), BTreeSet::new());
    for name in names {
        match Name::parse(&name) {
            Some(Name::State(number)) => _ = states.insert(number),
            Some(Name::Journal(number)) => _ = journals.insert(number),
            _ => {}
        }
    }
    let highest = states.last().max(journals.last()).copied().unwrap_or(0);
    let mut found = Recovered { highest, ..Recovered::default() };
    for number in states.into_iter().rev() {
        match read_file(storage, &state_name(number), &mut found.notes)? {
            File::Vanished if !last => return Ok(None),
            File::Read(bytes, written) => take_state(storage, number, &bytes, written, &mut found)?,
            _ => found.damaged += 1,
        }
        if found.state.is_some() {
            break;
        }
    }
    let since = found.state.as_ref().map_or(0, |state| state.number);
    for number in journals.range(since..) {
        match read_file(storage, &journal_name(*number), &mut found.notes)? {
            File::Vanished if !last => return Ok(None),
            File::Read(bytes, _) => take_journal(storage, *number, &bytes, job, &mut found)?,
            _ => {}
        }
    }
    Ok(Some(found))
}

enum File {
    Read(Vec<u8>, SystemTime),
    Vanished,
    /// Noted.
    Unreadable,
}

/// Errors: a file that we may not read. To go on without it would be to start anew in silence.
fn read_file(storage: &dyn Storage, name: &str, notes: &mut Vec<String>) -> Result<File, StateError> {
    let cannot = |e: &io::Error| StateError::cannot("read", &storage.folder().join(name), e);
    match storage.read(name) {
        Ok((bytes, written)) => Ok(File::Read(bytes, written)),
        Err(e) if gone(&e) => Ok(File::Vanished),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(cannot(&e)),
        Err(e) => {
            notes.push(format!("{name} cannot be read: {e}"));
            Ok(File::Unreadable)
        }
    }
}

fn take_state(storage: &dyn Storage, number: u64, bytes: &[u8], written: SystemTime, found: &mut Recovered) -> Result<(), StateError> {
    let name = state_name(number);
    match container::read(bytes) {
        Ok(sections) => found.state = Some(FoundState { number, written, sections }),
        Err(newer @ Damage::Newer { .. }) => return Err(newer_format(storage, &name, &newer.to_string())),
        Err(damage) => {
            found.damaged += 1;
            found.notes.push(format!("the checkpoint {name} ({} bytes) is damaged: {damage}; the one before it is used", bytes.len()));
        }
    }
    Ok(())
}

fn take_journal(storage: &dyn Storage, number: u64, bytes: &[u8], job: Option<[u8; 16]>, found: &mut Recovered) -> Result<(), StateError> {
    let name = journal_name(number);
    let content = journal::read(bytes);
    if let Tail::Newer { .. } = content.tail {
        return Err(newer_format(storage, &name, &content.tail.to_string()));
    }
    let wrong = |head: journal::Head| head.number != number || job.is_some_and(|job| job != head.job);
    if content.head.is_some_and(wrong) {
        found.foreign = true;
        found.notes.push(format!("the journal {name} was written by another job, or is a renamed file: it is not used"));
        return Ok(());
    }
    if content.tail != Tail::Clean {
        let calls = content.evaluations.len();
        found.notes.push(format!("the journal {name}: {}; the {calls} calls before are used", content.tail));
    }
    found.evaluations.extend(content.evaluations.into_iter().map(|evaluation| (evaluation.id, evaluation)));
    Ok(())
}

fn newer_format(storage: &dyn Storage, name: &str, what: &str) -> StateError {
    StateError::new(
        format!("cannot use {}: {what}", storage.folder().join(name).display()),
        "resume with the fitjob that wrote it, or a newer one (each reads all older formats)",
    )
}
