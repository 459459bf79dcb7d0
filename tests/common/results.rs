//! Result files: a small fit of the built program, and what Python reads of it.

use super::{succeed, write};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A result on disk as Python's readers see it; None, and a plain word on stderr, where they are not installed.
pub fn python_reads(path: &Path) -> Option<serde_json::Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_result.py");
    let run = Command::new("python3").arg(script).arg(path).output();
    let skip = |why: &str| {
        // Not eprintln!, which the test harness hides.
        let _ = writeln!(std::io::stderr(), "skipped: no python/arviz ({why})");
        None
    };
    let Ok(run) = run else { return skip("python3 is not installed") };
    let errors = String::from_utf8_lossy(&run.stderr);
    match run.status.code() {
        Some(77) => skip(&format!("no module {}", errors.lines().last().unwrap_or("?"))),
        Some(0) => Some(serde_json::from_slice(&run.stdout).unwrap()),
        _ => panic!("{errors}"),
    }
}

/// The run directory of a small fit by the built program.
pub fn fitted(mut command: Command, place: &Path) -> PathBuf {
    let (job, dir) = (place.join("small.toml"), place.join("small.run"));
    write(&job, &fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/small.toml")).unwrap());
    succeed(command.arg(&job).arg("--out").arg(&dir));
    dir
}
