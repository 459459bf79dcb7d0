//! Opening a run directory: who may, what is refused, what is removed.

use super::lock::{LOCK, Lock};
use super::rundir::{CHECKPOINT, FILES, RunDir, RunState};
use super::{OutputError, Root, atomic};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// What to do with a run that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Opening {
    /// Refuse it.
    #[default]
    New,
    /// `--force`: remove it.
    Force,
    /// `--resume`: go on with it; refuse where there is none.
    Resume,
    /// `--resume=auto`: go on with it, or start anew where there is none.
    Auto,
}

/// Temporary files of a lock younger than this may be another process's, about to be refused.
const YOUNG: Duration = Duration::from_secs(600);

impl RunDir {
    /// Makes or finds the directory and takes its lock. The state says what is there to go on with: `Absent` for a new run.
    pub fn open(_root: &Root, path: &Path, opening: Opening) -> Result<(RunDir, RunState), OutputError> {
        allowed(path, opening)?;
        fs::create_dir_all(path).map_err(|e| {
            OutputError::cannot("make the run directory", path, e).help("choose another place with --out DIR or `dir` in [output]")
        })?;
        let lock = Lock::take(path)?;
        // Another run may have begun or ended here until the lock was ours.
        let mut state = allowed(path, opening)?;
        if opening == Opening::Force {
            remove_run(path)?;
            state = RunState::Absent;
        }
        sweep(path);
        // So that the folder itself outlives a power cut; a file system that cannot sync a folder is no reason to stop.
        let _ = atomic::sync_folder(path);
        Ok((RunDir::new(path, lock), state))
    }
}

fn allowed(path: &Path, opening: Opening) -> Result<RunState, OutputError> {
    match (opening, RunDir::state(path)) {
        (Opening::Resume, RunState::Absent) => Err(OutputError::new(format!("{} holds no run to go on with", path.display())).help(
            "start it: the same command without --resume, or with --resume=auto, which goes on if there is something and starts if not",
        )),
        (Opening::New, state) if state != RunState::Absent => Err(occupied(path, &state)),
        (_, state) => Ok(state),
    }
}

fn occupied(path: &Path, state: &RunState) -> OutputError {
    let what = match state {
        RunState::Finished { made: Some(made) } => format!("a finished run, made {made}"),
        RunState::Unfinished { started: Some(started), .. } => format!("an unfinished run, started {started}"),
        _ => "a run".to_string(),
    };
    let user = Lock::seen(path).map_or(String::new(), |user| format!(", in the hands of {user}"));
    OutputError::new(format!("{} already holds {what}{user}", path.display()))
        .help("go on with it: --resume; replace it: --force; elsewhere: --out DIR")
}

/// Newest first, so that a kill in between leaves an unfinished run and never a summary without its job.
fn remove_run(path: &Path) -> Result<(), OutputError> {
    for name in FILES.iter().rev() {
        let file = path.join(name);
        let removed = match *name {
            // Under another name at once: a part of a checkpoint must never be taken for one.
            CHECKPOINT => fs::rename(&file, path.join(doomed())),
            _ => fs::remove_file(&file),
        };
        match removed {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(OutputError::cannot("remove", &file, e)),
            _ => {}
        }
    }
    Ok(())
}

fn doomed() -> String {
    format!("{CHECKPOINT}.{}.tmp", std::process::id())
}

/// Removes what killed runs left half-done: `NAME.*.tmp` of our own names. Whatever cannot be removed does no harm.
fn sweep(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".tmp"));
        let old = || entry.metadata().is_ok_and(|m| m.modified().is_ok_and(|t| t.elapsed().is_ok_and(|age| age > YOUNG)));
        if FILES.iter().any(|known| ours(known)) || (ours(LOCK) && old()) {
            let _ = if entry.path().is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        }
    }
}
