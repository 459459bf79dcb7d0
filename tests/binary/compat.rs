//! Runs kept by earlier versions of the formats go on for ever.

use crate::common;
use std::path::Path;

/// Killed by SIGKILL after 471 calls, by the program that first wrote checkpoints. Never written again.
const RUN_1: &str = "tests/compat/run-1";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_run_kept_by_the_first_version_can_be_read_and_goes_on_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(RUN_1), &run);
    let shown = common::succeed(common::fitjob().arg("summary").arg(&run));
    let shown = common::text(&shown.stdout);
    assert!(shown.contains("checkpoint 4: 395 calls, 76 more") && shown.contains("log Z"), "{shown}");
    common::succeed(common::fitjob().arg("run").arg(&run).args(["--resume", "--set", "model.delay.ms=0"]));
    let summary = common::summary(&run);
    assert_eq!(summary["resumes"], 1);
    // Only if the engine itself has changed since may this one change, with a word in the changelog.
    assert_eq!(summary["digest"], "c25b3562f523e48a3e3956fbee4d276f");
}
