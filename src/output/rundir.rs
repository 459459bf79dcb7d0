//! The run directory: made once, never overwritten unless told to.

use super::{Log, OutputError, Root, RunFacts, Summary, atomic, write_result};
use crate::fit::Fit;
use std::fs;
use std::path::{Path, PathBuf};

const JOB: &str = "job.toml";
const RESULT: &str = "result.h5";
const SUMMARY: &str = "summary.json";
const LOG: &str = "log.jsonl";
/// In the order in which a run writes them.
const FILES: [&str; 4] = [LOG, JOB, RESULT, SUMMARY];

/// A directory of one run: `job.toml` (resolved), `log.jsonl`, `result.h5`, `summary.json`.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

/// What is in a directory that may hold a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunState {
    /// No file of a run (the folder itself may be absent).
    Absent,
    /// Started, and not finished: still running, or killed.
    Unfinished { files: Vec<&'static str>, started: Option<String> },
    /// With a summary.
    Finished { made: Option<String> },
}

impl RunDir {
    /// Makes the directory, with `job.toml` (the resolved job) and an empty log in it. A directory that holds a run
    /// is refused, unless `force`, which removes that run's files (and no others).
    pub fn create(root: &Root, path: &Path, force: bool, resolved_job: &str) -> Result<(RunDir, Log), OutputError> {
        match RunDir::state(path) {
            RunState::Absent => {}
            state if !force => return Err(occupied(path, &state)),
            _ => remove_run(path)?,
        }
        fs::create_dir_all(path).map_err(|e| {
            OutputError::cannot("make the run directory", path, e).help("choose another place with --out DIR or `dir` in [output]")
        })?;
        // The log's exclusive creation decides between two runs that start here at the same time.
        let log = Log::create(root, &path.join(LOG))?;
        let dir = RunDir { path: path.to_path_buf() };
        atomic::write(&dir.job(), with_newline(resolved_job).as_bytes())?;
        // So that the folder itself outlives a power cut; a file system that cannot sync a folder is no reason to stop.
        let _ = atomic::sync_folder(path);
        Ok((dir, log))
    }

    /// What is at `path` now.
    pub fn state(path: &Path) -> RunState {
        let files: Vec<&str> = FILES.into_iter().filter(|name| path.join(name).exists()).collect();
        match files.last() {
            None => RunState::Absent,
            Some(&SUMMARY) => RunState::Finished { made: modified(&path.join(SUMMARY)) },
            Some(_) => RunState::Unfinished { started: modified(&path.join(files[0])), files },
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
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

    /// Writes `result.h5`, then `summary.json`: a summary on disk means that the run is complete.
    pub fn finish(&self, root: &Root, fit: &Fit, facts: &RunFacts) -> Result<Summary, OutputError> {
        write_result(root, &self.result(), fit, facts)?;
        let summary = Summary::new(fit, facts);
        atomic::write(&self.summary(), with_newline(&summary.to_json()).as_bytes())?;
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
}

fn unfinished(path: &Path, files: &[&str], started: Option<String>) -> OutputError {
    let when = started.map_or(String::new(), |t| format!(", started {t}"));
    let (shown, log) = (path.display(), path.join(LOG));
    match Log::failure(&log) {
        Some(why) => OutputError::new(format!("the run in {shown}{when}, failed: {why}"))
            .help("remove the cause, and run the job again with --force"),
        None => OutputError::new(format!("the run in {shown} is not finished{when}: it holds {} and no {SUMMARY}", files.join(", ")))
            .help(format!("if it is still running, wait (tail -f {}); if it was killed, run the job again with --force", log.display())),
    }
}

fn occupied(path: &Path, state: &RunState) -> OutputError {
    let what = match state {
        RunState::Finished { made: Some(made) } => format!("a finished run, made {made}"),
        RunState::Unfinished { started: Some(started), .. } => format!("an unfinished run, started {started}"),
        _ => "a run".to_string(),
    };
    OutputError::new(format!("{} already holds {what}", path.display()))
        .help("choose another place with --out DIR, or let this run replace that one with --force")
}

/// Newest first, so that a kill in between leaves an unfinished run and never a summary without its job.
fn remove_run(path: &Path) -> Result<(), OutputError> {
    for name in FILES.iter().rev() {
        let file = path.join(name);
        match fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(OutputError::cannot("remove", &file, e)),
            _ => {}
        }
    }
    Ok(())
}

/// Time of the last change, e.g. "2026-11-21 03:06 UTC".
fn modified(file: &Path) -> Option<String> {
    let time = jiff::Timestamp::try_from(fs::metadata(file).ok()?.modified().ok()?).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn with_newline(text: &str) -> String {
    format!("{}\n", text.trim_end())
}
