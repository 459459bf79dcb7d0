//! log.jsonl: one JSON object a line, as the run goes on.

use super::lines::Lines;
use super::{OutputError, Root, RunFacts, Summary, number};
use crate::sampler::Progress;
use serde_json::{Map, Value, json};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Instant;

/// An open log. Each record is one `write` of a whole line, so that a killed run leaves whole lines.
/// A full disk must not end a run whose samples are still in memory: it is told once, and the run goes on.
#[derive(Debug)]
pub struct Log {
    lines: Lines,
    started: Instant,
}

/// Where a run was taken up again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resumed {
    /// Number of the checkpoint; None: from the journal alone.
    pub checkpoint: Option<u64>,
    /// When that was written, RFC 3339.
    pub written: Option<String>,
    /// Likelihood calls in it.
    pub n_like: u64,
    /// Calls made since, which the journal holds and nobody makes again.
    pub from_journal: u64,
    /// Of damage found, in plain words.
    pub notes: Vec<String>,
}

impl Log {
    /// `resume`: goes on with the log that is there, if any; otherwise it begins anew.
    pub fn open(_root: &Root, path: &Path, resume: bool) -> Result<Log, OutputError> {
        let whole = || -> std::io::Result<Lines> {
            let torn = resume && ends_within_a_line(path);
            let mut lines = Lines::open(path, "the log", resume)?;
            if torn {
                lines.append(b"\n");
            }
            Ok(lines)
        };
        let lines = whole()
            .map_err(|e| OutputError::cannot("write", path, e).help("look at free space (df), quota and permissions of that folder"))?;
        Ok(Log { lines, started: Instant::now() })
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
        self.lines.append(format!("{}\n", Value::Object(line)).as_bytes());
    }

    /// The first record of a run; of `facts`, what is known before it.
    pub fn start(&mut self, facts: &RunFacts) {
        self.record("start", beginning(facts));
    }

    /// The first record of each later life of a run.
    pub fn resume(&mut self, facts: &RunFacts, from: &Resumed) {
        let mut fields = beginning(facts);
        fields["resumes"] = facts.resumes.into();
        fields["checkpoint"] = from.checkpoint.into();
        fields["written"] = from.written.clone().into();
        fields["n_like"] = from.n_like.into();
        fields["from_journal"] = from.from_journal.into();
        fields["notes"] = from.notes.clone().into();
        self.record("resume", fields);
    }

    /// A checkpoint was taken, and is being written. `seconds`: of taking it, and of writing the one before, which has `bytes`.
    pub fn checkpoint(&mut self, number: u64, seconds: f64, bytes: u64) {
        self.record("checkpoint", json!({ "number": number, "seconds": number::json(seconds), "bytes": bytes }));
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
                "verdict": s.verdict,
                "wall_s": number::json(s.wall_s),
                "warnings": s.warnings,
            }),
        );
    }

    /// The last record of a life that ended in good order before the run did. `next`: the command that goes on.
    pub fn stopped(&mut self, reason: &str, next: &str) {
        self.record("end", json!({ "status": "stopped", "reason": reason, "next": next }));
    }

    /// The last record of a run that did not.
    pub fn failed(&mut self, why: &str) {
        self.record("end", json!({ "status": "failed", "why": why }));
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

fn beginning(facts: &RunFacts) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "job": facts.job,
        "job_digest": facts.job_digest,
        "method": facts.method,
        "seed": facts.seed,
        "ranks": facts.ranks,
        "threads": facts.threads,
        "pid": std::process::id(),
    })
}

/// Whether the run that wrote the file was killed within a line.
fn ends_within_a_line(path: &Path) -> bool {
    let last = || -> std::io::Result<u8> {
        let mut file = std::fs::File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    last().is_ok_and(|byte| byte != b'\n')
}
