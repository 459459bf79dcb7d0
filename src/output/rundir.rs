//! The run directory: the files of one run, held by one process at a time.

use super::lock::{LOCK, Lock};
use super::tail::{End, Status, Tail};
use super::{OutputError, Root, RunFacts, Summary, atomic, text, write_result};
use crate::fit::Fit;
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const JOB: &str = "job.toml";
const RESULT: &str = "result.h5";
const SUMMARY: &str = "summary.json";
const LOG: &str = "log.jsonl";
const REJECTED: &str = "rejected.csv";
pub(super) const CHECKPOINT: &str = "checkpoint";
/// Of `fitjob sbc`.
pub(super) const RANKS: &str = "ranks.csv";
pub(super) const SBC: &str = "sbc.json";
/// In the order in which a run writes them.
pub(super) const FILES: [&str; 8] = [LOG, JOB, CHECKPOINT, REJECTED, RANKS, SBC, RESULT, SUMMARY];
/// From one look whether the folder is still there to the next.
const LOOK: Duration = Duration::from_secs(1);

/// A directory of one run, and its lock, which is dropped with this.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    lock: Lock,
    looked: Cell<Instant>,
    /// That the folder cannot be made again was told.
    told: Cell<bool>,
}

/// What is in a directory that may hold a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunState {
    /// No file of a run (the folder itself may be absent).
    Absent,
    /// Started, and not finished: still running, stopped or killed.
    Unfinished { files: Vec<&'static str>, started: Option<String> },
    /// With a summary. It may be going on all the same, if it was extended.
    Finished { made: Option<String> },
}

impl RunDir {
    pub(super) fn new(path: &Path, lock: Lock) -> RunDir {
        RunDir { path: path.to_path_buf(), lock, looked: Cell::new(Instant::now()), told: Cell::new(false) }
    }

    /// What is at `path` now.
    pub fn state(path: &Path) -> RunState {
        let files: Vec<&str> = FILES.into_iter().filter(|name| path.join(name).exists()).collect();
        match files.last() {
            None => RunState::Absent,
            Some(&SUMMARY) => RunState::Finished { made: modified(&path.join(SUMMARY)) },
            Some(_) => RunState::Unfinished { started: started(path, &files), files },
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory free for the next life of the run from another thread, as this process ends.
    pub fn opener(&self) -> impl FnOnce() + Send + 'static {
        self.lock.opener()
    }

    pub fn job(&self) -> PathBuf {
        self.path.join(JOB)
    }

    pub fn result(&self) -> PathBuf {
        self.path.join(RESULT)
    }

    pub fn summary(&self) -> PathBuf {
        self.path.join(SUMMARY)
    }

    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    pub fn rejected(&self) -> PathBuf {
        self.path.join(REJECTED)
    }

    /// Folder of states and journals; made by whoever writes there.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// Writes `job.toml`: the job with every default filled in.
    pub fn write_job(&self, resolved: &str) -> Result<(), OutputError> {
        atomic::write(&self.job(), with_newline(resolved).as_bytes())
    }

    /// An error once another process has taken the directory over: this one must stop and write nothing more. Costs nothing to ask;
    /// the answer is at most 20 s old. (A folder that was removed is nobody else's: see [`heal`](RunDir::heal).)
    pub fn still_ours(&self) -> Result<(), OutputError> {
        let Some(rival) = self.lock.rival() else { return Ok(()) };
        Err(OutputError::new(format!("the run directory {} was taken over by another run: {rival}", self.path.display())).help(
            "this process was silent for so long (suspended, or cut off from the file system) that it was taken for dead; \
             the other run goes on from the checkpoint, and this one stops without touching its files",
        ))
    }

    /// Makes again what was removed of folder, lock and `job.toml`, and says so (the log and `rejected.csv` come back by themselves
    /// with their next line). Where that cannot be done, it is said once, and tried again. True: something was made just now.
    /// To be called now and then; looks once a second at most, and at the files, since others may make the folder.
    pub fn heal(&self, resolved: &str) -> bool {
        if self.looked.get().elapsed() < LOOK || self.lock.rival().is_some() {
            return false;
        }
        self.looked.set(Instant::now());
        let files = [JOB, LOCK].map(|name| self.path.join(name));
        if !files.iter().any(|file| matches!(file.try_exists(), Ok(false))) {
            return false;
        }
        let made = self.make_again(resolved);
        if let Err(error) = &made
            && !self.told.replace(true)
        {
            log::warn!("files of the run directory were removed and cannot be made again now; the run goes on without them ({error})");
        }
        made.is_ok()
    }

    fn make_again(&self, resolved: &str) -> Result<(), OutputError> {
        fs::create_dir_all(&self.path).map_err(|e| OutputError::cannot("make", &self.path, e))?;
        // Says itself what it did.
        self.lock.look();
        self.still_ours()?;
        if !self.job().exists() {
            self.write_job(resolved)?;
            log::warn!("{} was removed; it is there again", self.job().display());
        }
        self.told.set(false);
        Ok(())
    }

    /// Writes `result.h5`, then `summary.json`: a summary on disk means that the run is complete. Those of an earlier life are
    /// replaced, each in one instant.
    pub fn finish(&self, root: &Root, fit: &Fit, facts: &RunFacts) -> Result<Summary, OutputError> {
        self.lock.look();
        self.still_ours()?;
        // If it is gone and cannot be made, the next line says so.
        let _ = fs::create_dir_all(&self.path);
        let summary = Summary::new(fit, facts);
        write_result(root, &self.result(), fit, facts)
            .and_then(|()| atomic::write(&self.summary(), with_newline(&summary.to_json()).as_bytes()))
            .map_err(|error| {
                error.help(format!(
                    "free space (df, quota) or mend the folder's permissions, then run the same command with --resume: it goes on from \
                     what is in {}, and makes only those calls again that it lacks",
                    self.checkpoint().display()
                ))
            })?;
        Ok(summary)
    }

    /// Reads the summary of the finished run at `path`; says what is there when there is none.
    pub fn read_summary(path: &Path) -> Result<Summary, OutputError> {
        let shown = path.display();
        if !path.exists() {
            return Err(OutputError::new(format!("there is no folder {shown}"))
                .help("give the run directory that `fitjob run` named in its last lines"));
        }
        match RunDir::state(path) {
            RunState::Finished { .. } => Summary::read(&path.join(SUMMARY)),
            RunState::Unfinished { files, started } => Err(unfinished(path, &files, started)),
            RunState::Absent if path.is_file() => Err(OutputError::new(format!("{shown} is a file, not a run directory"))
                .help("give the folder that holds result.h5 and summary.json")),
            RunState::Absent => Err(OutputError::new(format!("{shown} holds no run: none of {}", FILES.join(", ")))
                .help("give the run directory that `fitjob run` named in its last lines")),
        }
    }

    /// What the log of the run at `path` says last.
    pub fn tail(path: &Path) -> Tail {
        Tail::read(&path.join(LOG))
    }

    /// Who works in the directory at `path`, for people; "(that process is gone)" is said where that can be told from here.
    pub fn user(path: &Path) -> Option<String> {
        Lock::seen(path)
    }
}

fn unfinished(path: &Path, files: &[&str], started: Option<String>) -> OutputError {
    let when = started.map_or(String::new(), |t| format!(", started {t}"));
    let (shown, tail) = (path.display(), RunDir::tail(path));
    let again = format!("`fitjob run ... --out {shown} --resume`");
    let stood =
        tail.progress.map_or(String::new(), |p| format!("; at {} it had made {} calls ({})", p.time, text::count(p.n_like), p.phase));
    match tail.end {
        Some(End { status: Status::Failed, why, .. }) => OutputError::new(format!("the run in {shown}{when}, failed: {why}"))
            .help(format!("remove the cause and go on with {again}, or start anew with --force")),
        Some(End { status: Status::Stopped, why, next, .. }) => {
            OutputError::new(format!("the run in {shown}{when}, was stopped: {why}{stood}"))
                .help(format!("go on with it: {}", next.unwrap_or(again)))
        }
        _ => {
            let user = RunDir::user(path).map_or(String::new(), |user| format!("; in the hands of {user}"));
            let log = path.join(LOG);
            OutputError::new(format!(
                "the run in {shown} is not finished{when}: it holds {} and no {SUMMARY}{stood}{user}",
                files.join(", ")
            ))
            .help(format!("if it is still running, wait (tail -f {}); if it was killed, go on with {again}", log.display()))
        }
    }
}

/// By the first record of the log, else by the oldest file.
fn started(path: &Path, files: &[&str]) -> Option<String> {
    let by_log = RunDir::tail(path).started.and_then(|time| time.parse().ok()).map(minutes);
    by_log.or_else(|| modified(&path.join(files[0])))
}

/// Time of the last change.
fn modified(file: &Path) -> Option<String> {
    Some(minutes(jiff::Timestamp::try_from(fs::metadata(file).ok()?.modified().ok()?).ok()?))
}

/// "2026-11-21 03:06 UTC".
fn minutes(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn with_newline(text: &str) -> String {
    format!("{}\n", text.trim_end())
}
