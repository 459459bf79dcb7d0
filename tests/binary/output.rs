//! What a run of the built binary leaves: its log, and a summary for any reader.

use crate::common::results::fitted;
use crate::common::{fitjob, succeed, summary, text};
use std::fs;

#[test]
fn the_log_of_a_run_starts_shows_progress_and_ends() {
    let place = tempfile::tempdir().unwrap();
    let dir = fitted(fitjob(), place.path());
    let log = fs::read_to_string(dir.join("log.jsonl")).unwrap();
    let records: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = records.iter().map(|r| r["record"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 2], kinds[kinds.len() - 1]), ("start", "progress", "end"));
    let (last, summary) = (&records[records.len() - 1], summary(&dir));
    assert_eq!(last["status"], "done");
    assert_eq!((&last["digest"], &last["log_z"]), (&summary["digest"], &summary["log_z"]));
}

#[test]
fn a_reader_that_closes_the_pipe_early_is_no_error() {
    let place = tempfile::tempdir().unwrap();
    let dir = fitted(fitjob(), place.path());
    let whole = succeed(fitjob().arg("summary").arg(&dir));
    assert!(text(&whole.stdout).contains("x3"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let cut = fitjob().arg("summary").arg(&dir).stdout(writer).output().unwrap();
    assert!(cut.status.success(), "{}", text(&cut.stderr));
    assert_eq!(text(&cut.stderr), "");
}
