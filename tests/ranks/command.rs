//! A program as likelihood, on ranks.

use crate::common::children::{alive, job, nothing_is_left_of, run, wait_for};
use crate::common::{self, fitjob, summary, text, write};
use std::process::{Command, Stdio};

#[test]
fn the_same_bits_on_threads_and_ranks_whatever_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let digest = |command: &mut Command, name: &str, batch: usize| {
        let output = run(command, folder.path(), name, &job("reject", &format!("batch = {batch}"), ""));
        assert!(output.status.success(), "{}", text(&output.stderr));
        summary(&folder.path().join(name))["digest"].as_str().unwrap().to_string()
    };
    let one = digest(fitjob().args(["--ncores", "1"]), "one", 1);
    assert_eq!(digest(fitjob().args(["--ncores", "3"]), "three", 16), one);
    #[cfg(feature = "mpi")]
    assert_eq!(digest(common::fitjob_on(2).args(["--ncores", "1"]), "ranks", 8), one);
}

#[cfg(feature = "mpi")]
#[test]
fn a_program_that_crashes_leaves_gives_nan_or_hangs_ends_the_run_on_two_ranks_and_one_that_prints_does_not() {
    let folder = tempfile::tempdir().unwrap();
    for (how, message, keys) in [
        ("segfault", "SIGSEGV", ""),
        ("exit", "out of luck", ""),
        ("nan", "is NaN", ""),
        ("sleep two-ranks", "0.5 s", "call_limit_s = 0.5"),
    ] {
        let output = run(common::fitjob_on(2).args(["--ncores", "1"]), folder.path(), how, &job(how, "", keys));
        let err = text(&output.stderr);
        assert!(!output.status.success() && err.contains(message) && err.contains("x = 0."), "{how}: {err}");
        assert!(err.contains("rank 0: ") || err.contains("rank 1: "), "{how}: {err}");
    }
    nothing_is_left_of("child.py sleep two-ranks");
    let output = run(common::fitjob_on(2).args(["--ncores", "1"]), folder.path(), "prints", &job("prints", "", ""));
    assert!(output.status.success() && text(&output.stderr).contains("worker 0] value -"), "{}", text(&output.stderr));
}

#[cfg(feature = "mpi")]
#[test]
fn children_end_when_a_rank_or_mpiexec_is_killed() {
    for (name, whom) in [("orphan-rank", "rank"), ("orphan-mpiexec", "mpiexec")] {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("{name}.toml");
        write(&folder.path().join(&file), &job(&format!("sleep {name}"), "", ""));
        let mut command = common::fitjob_on(2);
        command.arg(&file).args(["--ncores", "1"]).current_dir(folder.path());
        let mut mpiexec = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_for(&format!("child.py sleep {name}"), 2);
        match whom {
            "rank" => {
                let rank = alive(&file).into_iter().find(|line| !line.contains("mpiexec")).expect("a rank");
                let pid: i32 = rank.split(' ').next().unwrap().parse().unwrap();
                // SAFETY: plain system call; the process is a rank of this test.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            _ => mpiexec.kill().unwrap(),
        }
        mpiexec.wait().unwrap();
        nothing_is_left_of(&format!("child.py sleep {name}"));
        nothing_is_left_of(&file);
    }
}
