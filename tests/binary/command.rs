//! A program as likelihood, in runs of the built binary.

use crate::common::children::{job, nothing_is_left_of, run, wait_for};
use crate::common::{fitjob, summary, text, write};
use std::process::Stdio;

#[test]
fn what_a_child_prints_is_told_with_rank_and_worker_and_not_too_much_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(fitjob().args(["--ncores", "1"]), folder.path(), "prints", &job("prints", "", ""));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}");
    assert!(err.contains("[rank 0 worker 0] value -") && err.contains("[rank 0 worker 0] to stderr"), "{err}");
    assert!(!out.contains("to stderr") && err.lines().count() < 1000, "{} lines", err.lines().count());
}

#[test]
fn a_run_ends_at_a_point_that_breaks_the_program_or_goes_on_as_the_job_says() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(fitjob().args(["--ncores", "1"]), folder.path(), "ends", &job("segfault", "", ""));
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("rank 0: the model failed at x = 0.") && err.contains("SIGSEGV"), "{err}");
    for how in ["failed", "nan"] {
        let job = job(how, "batch = 10", "on_error = \"reject\"");
        let output = run(fitjob().args(["--ncores", "2"]), folder.path(), how, &job);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(summary(&folder.path().join(how))["rejected"].as_u64().unwrap() > 5);
    }
}

#[test]
fn calls_that_hang_are_given_up_and_their_children_killed() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("sleep given-up", "", "call_limit_s = 0.4\non_error = \"reject\"").replace("max = 1", "max = 0.72");
    let output = run(fitjob().args(["--ncores", "2"]), folder.path(), "hangs", &job);
    assert!(output.status.success(), "{}", text(&output.stderr));
    nothing_is_left_of("child.py sleep given-up");
}

#[test]
fn check_shows_what_is_wrong_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("check.toml");
    write(&file, &job("exits-at-once", "", ""));
    let checked = fitjob().arg("check").arg(&file).output().unwrap();
    let err = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(3), "{err}");
    assert!(err.contains("no licence found"), "{err}");
}

#[test]
fn children_end_when_their_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("job.toml"), &job("sleep orphan-alone", "", ""));
    let mut alone = fitjob().arg("job.toml").current_dir(folder.path()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("child.py sleep orphan-alone", 1);
    alone.kill().unwrap();
    alone.wait().unwrap();
    nothing_is_left_of("child.py sleep orphan-alone");
}
