//! log.jsonl: one JSON object a line, as the run goes on.

use super::{OutputError, Root, RunFacts, Summary, number};
use crate::sampler::Progress;
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// An open log. Each record is one `write` of a whole line, so that a killed run leaves whole lines.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    started: Instant,
    /// A full disk must not end a run whose samples are still in memory: say it once and go on.
    broken: bool,
}

impl Log {
    /// Refuses a file that exists: another run started in the same directory at the same time.
    pub fn create(_root: &Root, path: &Path) -> Result<Log, OutputError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => OutputError::new(format!("{} was made by another run this instant", path.display()))
                .help("two jobs write to one directory: give each its own with --out DIR"),
            _ => OutputError::cannot("write", path, e).help("look at free space (df), quota and permissions of that folder"),
        })?;
        Ok(Log { file, path: path.to_path_buf(), started: Instant::now(), broken: false })
    }

    /// `{"record": kind, "time": ..., "elapsed_s": ..., ...fields}`; `fields` must be an object.
    pub fn record(&mut self, kind: &str, fields: Value) {
        let mut line = Map::new();
        line.insert("record".into(), kind.into());
        line.insert("time".into(), super::text::now().into());
        line.insert("elapsed_s".into(), number::json(self.started.elapsed().as_secs_f64()));
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        let text = format!("{}\n", Value::Object(line));
        if let Err(cause) = self.file.write_all(text.as_bytes())
            && !std::mem::replace(&mut self.broken, true)
        {
            log::warn!("{}: {cause}; the run goes on without its log", self.path.display());
        }
    }

    /// The first record; of `facts`, what is known before the run.
    pub fn start(&mut self, facts: &RunFacts) {
        self.record(
            "start",
            json!({
                "version": env!("CARGO_PKG_VERSION"),
                "job": facts.job,
                "job_digest": facts.job_digest,
                "method": facts.method,
                "seed": facts.seed,
                "ranks": facts.ranks,
                "threads": facts.threads,
                "pid": std::process::id(),
            }),
        );
    }

    /// The last record of a run that ended well.
    pub fn end(&mut self, s: &Summary, reason: &str) {
        self.record(
            "end",
            json!({
                "status": "done",
                "reason": reason,
                "log_z": number::json(s.log_z),
                "log_z_err": number::json(s.log_z_err),
                "n_eff": number::json(s.n_eff),
                "n_like": s.n_like,
                "digest": s.digest,
                "wall_s": number::json(s.wall_s),
                "warnings": s.warnings,
            }),
        );
    }

    /// The last record of a run that did not.
    pub fn failed(&mut self, why: &str) {
        self.record("end", json!({ "status": "failed", "why": why }));
    }

    /// Why the run that wrote the log at `path` failed, if its last record says so.
    pub fn failure(path: &Path) -> Option<String> {
        let text = std::fs::read_to_string(path).ok()?;
        let last: Value = serde_json::from_str(text.lines().last()?).ok()?;
        (last["status"] == "failed").then(|| last["why"].as_str().unwrap_or("?").to_string())
    }

    /// A point that counts as impossible although the model gave no such value.
    pub fn rejected(&mut self, names: &[String], theta: &[f64], reason: &str) {
        let point: Map<String, Value> = names.iter().zip(theta).map(|(name, x)| (name.clone(), number::json(*x))).collect();
        self.record("rejected", json!({ "reason": reason, "parameters": point }));
    }

    pub fn warning(&mut self, text: &str) {
        self.record("warning", json!({ "text": text }));
    }

    pub fn progress(&mut self, p: &Progress, calls_per_s: f64) {
        let details: Map<String, Value> = p.details.iter().map(|(k, v)| (k.clone(), number::json(*v))).collect();
        self.record(
            "progress",
            json!({
                "phase": p.phase,
                "fraction": p.fraction,
                "n_like": p.n_like,
                "calls_per_s": number::json(calls_per_s),
                "n_eff": number::json(p.n_eff),
                "log_z": number::json(p.log_z),
                "log_z_err": number::json(p.log_z_err),
                "details": details,
            }),
        );
    }
}
