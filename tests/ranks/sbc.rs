//! Simulation-based calibration on ranks.

use crate::common::calibration::{LINE, said, sbc};
use crate::common::{fitjob, fitjob_on};
use std::fs;
use std::process::Command;

#[test]
fn ranks_are_the_same_on_any_number_of_threads_and_ranks_and_after_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let ranks = |command: Command, out: &str, extra: &[&str]| {
        let output = sbc(command, folder.path(), LINE, out, extra);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
        fs::read_to_string(folder.path().join(out).join("ranks.csv")).unwrap()
    };
    let one = ranks(fitjob(), "one", &["--sims", "30", "--ncores", "1"]);
    assert_eq!(ranks(fitjob(), "threads", &["--sims", "30", "--ncores", "4"]), one);
    #[cfg(feature = "mpi")]
    assert_eq!(ranks(fitjob_on(3), "ranks", &["--sims", "30", "--ncores", "1"]), one);
    let first = ranks(fitjob(), "parts", &["--sims", "20", "--ncores", "2"]);
    assert!(one.starts_with(&first), "{first}");
    assert_eq!(ranks(fitjob(), "parts", &["--sims", "30", "--resume", "--ncores", "3"]), one);
}
