//! rejected.csv: the points that count as impossible although the model gave no such value, as they come.

use super::lines::Lines;
use super::{OutputError, Root};
use crate::task::TaskId;
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Further points are only counted.
const ROWS: usize = 10_000;

#[derive(Debug)]
pub struct Rejected {
    path: PathBuf,
    names: Vec<String>,
    /// Opened at the first row, so that a run without rejections has no such file.
    lines: Option<Lines>,
    /// Ids of the rows.
    known: HashSet<TaskId>,
    count: u64,
    told: bool,
}

impl Rejected {
    /// The table at `path`, made at the first rejection. `resume`: keeps the rows that are there, cuts an unfinished last one.
    pub fn open(_root: &Root, path: &Path, names: &[String], resume: bool) -> Result<Rejected, OutputError> {
        let known = match resume {
            true => known_rows(path).map_err(|e| OutputError::cannot("read", path, e).help("remove it to go on without it"))?,
            false => HashSet::new(),
        };
        let names = names.iter().map(|name| one_line(name)).collect();
        Ok(Rejected { path: path.into(), names, lines: None, count: known.len() as u64, known, told: false })
    }

    /// Notes a rejected point, once for each id. `theta`: all parameters in the job's order.
    pub fn add(&mut self, id: TaskId, reason: &str, theta: &[f64]) {
        if self.known.contains(&id) {
            return;
        }
        self.count += 1;
        if self.known.len() == ROWS {
            return;
        }
        let (lane, call) = (id.lane.to_string(), id.seq.to_string());
        // Debug is the shortest text that reads back to the same bits.
        let values = theta.iter().map(|x| format!("{x:?}"));
        let row = row([lane, call, one_line(reason)].into_iter().chain(values));
        self.write(row);
        self.known.insert(id);
    }

    /// Points noted: the rows found, and those added since.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn write(&mut self, row: Vec<u8>) {
        if self.lines.is_none() {
            match self.begin() {
                Ok(lines) => self.lines = Some(lines),
                Err(cause) => {
                    if !std::mem::replace(&mut self.told, true) {
                        log::warn!("{}: {cause}; the run goes on without it", self.path.display());
                    }
                    return;
                }
            }
        }
        if let Some(lines) = &mut self.lines {
            lines.append(&row);
        }
    }

    fn begin(&self) -> std::io::Result<Lines> {
        let resumed = !self.known.is_empty();
        let mut lines = Lines::open(&self.path, "the table of rejected points", resumed)?;
        if !resumed {
            lines.append(&row(["lane", "call", "reason"].map(String::from).into_iter().chain(self.names.iter().cloned())));
        }
        Ok(lines)
    }
}

/// Ids of the rows at `path`, whose unfinished last line is cut off.
fn known_rows(path: &Path) -> std::io::Result<HashSet<TaskId>> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(HashSet::new()),
        bytes => bytes?,
    };
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    if whole < bytes.len() {
        OpenOptions::new().write(true).open(path)?.set_len(whole as u64)?;
    }
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(&bytes[..whole]);
    let id = |row: csv::ByteRecord| {
        let number = |j: usize| std::str::from_utf8(row.get(j)?).ok();
        Some(TaskId { lane: number(0)?.parse().ok()?, seq: number(1)?.parse().ok()? })
    };
    Ok(rows.byte_records().filter_map(|row| id(row.ok()?)).collect())
}

fn row(cells: impl Iterator<Item = String>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).and_then(|()| Ok(writer.flush()?)).expect("memory takes all");
    writer.into_inner().expect("flushed")
}

/// A row is a line, so that a torn one is known by its end.
fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ").replace('\r', " ")
}
