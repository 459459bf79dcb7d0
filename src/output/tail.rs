//! What log.jsonl says of a run that left no summary: where it stood, and how it ended.

use super::number;
use serde::Deserialize;
use std::path::Path;

/// The latest of each kind of record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tail {
    /// Time of the `start` record, RFC 3339.
    pub started: Option<String>,
    /// `resume` records.
    pub resumes: u64,
    pub progress: Option<Standing>,
    pub checkpoint: Option<Written>,
    /// None: still running, or killed.
    pub end: Option<End>,
}

/// A `progress` record.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Standing {
    /// RFC 3339.
    pub time: String,
    #[serde(with = "number")]
    pub elapsed_s: f64,
    pub phase: String,
    pub fraction: Option<f64>,
    pub n_like: u64,
    #[serde(with = "number")]
    pub n_eff: f64,
    #[serde(with = "number")]
    pub log_z: f64,
    #[serde(with = "number")]
    pub log_z_err: f64,
}

/// A `checkpoint` record: taken, and as a rule on disk a moment later.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Written {
    pub time: String,
    pub number: u64,
}

/// An `end` record.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct End {
    pub time: String,
    pub status: Status,
    #[serde(alias = "reason", default)]
    pub why: String,
    /// The command that goes on with a stopped run.
    #[serde(default)]
    pub next: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Done,
    Stopped,
    Failed,
}

#[derive(Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
enum Record {
    Start {
        time: String,
    },
    Resume,
    Progress(Standing),
    Checkpoint(Written),
    End(End),
    #[serde(other)]
    Other,
}

impl Tail {
    /// Reads the log at `path`. Lines that are torn or of an unknown kind say nothing; neither does a log that is absent.
    pub fn read(path: &Path) -> Tail {
        let bytes = std::fs::read(path).unwrap_or_default();
        let records = bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        records.fold(Tail::default(), Tail::then)
    }

    fn then(mut self, record: Record) -> Tail {
        if let Record::Start { .. } | Record::Resume | Record::Progress(_) = record {
            self.end = None;
        }
        match record {
            Record::Start { time } => self.started = Some(time),
            Record::Resume => self.resumes += 1,
            Record::Progress(standing) => self.progress = Some(standing),
            Record::Checkpoint(written) => self.checkpoint = Some(written),
            Record::End(end) => self.end = Some(end),
            Record::Other => {}
        }
        self
    }
}
