//! Invariant 1: the same seed and job give the same bits, whatever the ranks, threads, delays and dispatch.

use crate::common::engines::{ENGINES, Engine};
use crate::common::{fitjob, fitjob_on, succeed, summary, write};
use std::path::Path;
use std::process::Command;

const JOB: &str = r#"
seed = 7
[model]
kind = "problem"
name = "rosen2"
[sampler]
method = "nautilus"
n_live = 400
n_eff = 1500
"#;

const DELAYED: &str = "\n[model.delay]\nms = 0.2\nsigma = 1.0\n";

/// Runs `job` in `folder` and gives its digest.
fn digest(mut command: Command, folder: &Path, name: &str, job: &str, extra: &[&str]) -> String {
    let (file, out) = (folder.join(format!("{name}.toml")), folder.join(name));
    write(&file, job);
    succeed(command.arg(&file).arg("--out").arg(&out).args(extra));
    summary(&out)["digest"].as_str().expect("summary.json has a digest").to_owned()
}

fn job_with_delay() -> String {
    JOB.replacen("[sampler]", &format!("{DELAYED}\n[sampler]"), 1)
}

#[test]
fn threads_and_delays_do_not_change_a_bit() {
    let folder = tempfile::tempdir().unwrap();
    let one = digest(fitjob(), folder.path(), "one", JOB, &["--ncores", "1"]);
    for (name, job, cores) in [("four", JOB.to_owned(), "4"), ("delayed", job_with_delay(), "1"), ("delayed-four", job_with_delay(), "4")] {
        assert_eq!(digest(fitjob(), folder.path(), name, &job, &["--ncores", cores]), one, "{name}");
    }
}

#[test]
fn another_seed_gives_another_digest() {
    let folder = tempfile::tempdir().unwrap();
    let one = digest(fitjob(), folder.path(), "seven", JOB, &[]);
    let other = digest(fitjob(), folder.path(), "eight", JOB, &["--seed", "8"]);
    assert_ne!(one, other);
}

/// A line through data whose likelihood is NaN for half of the prior.
const HALF: &str = r#"
seed = 3
[model]
kind = "curve"
y = "y"
formula = "a * x + b + 0 * log(a)"
sigma = 0.5
data = { x = [1, 2, 3, 4], y = [1.1, 2.3, 2.9, 4.2] }
[parameters]
a = { prior = "uniform", min = -5, max = 5 }
b = { prior = "uniform", min = -5, max = 5 }
[sampler]
n_live = 200
n_eff = 400
[run]
on_error = "reject"
"#;

#[test]
fn points_without_a_value_give_the_same_bits_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let one = digest(fitjob(), folder.path(), "one", HALF, &["--ncores", "1"]);
    assert!(summary(&folder.path().join("one"))["rejected"].as_u64().unwrap() > 50);
    assert_eq!(digest(fitjob(), folder.path(), "three", HALF, &["--ncores", "3"]), one);
    #[cfg(feature = "mpi")]
    for dispatch in ["static", "dynamic"] {
        let set = format!("run.dispatch=\"{dispatch}\"");
        assert_eq!(digest(fitjob_on(3), folder.path(), dispatch, HALF, &["--ncores", "1", "--set", &set]), one, "{dispatch}");
    }
}

#[cfg(feature = "mpi")]
#[test]
fn ranks_do_not_change_a_bit() {
    let folder = tempfile::tempdir().unwrap();
    let one = digest(fitjob(), folder.path(), "alone", JOB, &["--ncores", "1"]);
    for (ranks, cores) in [(1, "1"), (2, "1"), (3, "1"), (8, "1"), (2, "2")] {
        let name = format!("ranks{ranks}x{cores}");
        assert_eq!(digest(fitjob_on(ranks), folder.path(), &name, JOB, &["--ncores", cores]), one, "{name}");
    }
    assert_eq!(digest(fitjob_on(3), folder.path(), "delayed", &job_with_delay(), &["--ncores", "1"]), one, "3 ranks, log-normal delays");
}

#[test]
fn every_engine_gives_the_same_bits_on_threads_and_ranks() {
    let folder = tempfile::tempdir().unwrap();
    for Engine { name, problem, settings } in ENGINES {
        let job = format!("seed = 5\n[model]\nkind = \"problem\"\nname = \"{problem}\"\n[sampler]\n{settings}\n");
        let one = digest(fitjob(), folder.path(), name, &job, &["--ncores", "1"]);
        assert_eq!(digest(fitjob(), folder.path(), &format!("{name}-three"), &job, &["--ncores", "3"]), one, "{name}: threads");
        #[cfg(feature = "mpi")]
        for (ranks, cores) in [(2, "2"), (5, "1")] {
            let out = format!("{name}-{ranks}x{cores}");
            assert_eq!(digest(fitjob_on(ranks), folder.path(), &out, &job, &["--ncores", cores]), one, "{out}");
        }
    }
}
