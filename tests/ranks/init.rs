//! What `fitjob init` writes runs on ranks as it is.

use crate::common::scaffold::{DECAY, range, range_by, recovers_the_truth, run, same, scaffold};
use crate::common::{self, fitjob};
use std::path::Path;

#[test]
#[cfg(feature = "mpi")]
fn every_kind_runs_on_two_ranks_and_recovers_what_the_data_were_made_with() {
    for kind in DECAY {
        let Some((_home, folder)) = scaffold(kind) else { continue };
        recovers_the_truth(&run(&mut common::fitjob_on(2), kind, &folder, "two.run"));
    }
}

#[test]
fn the_rust_program_builds_as_written_and_runs_the_job_by_itself_and_on_two_ranks() {
    let (_home, folder) = scaffold("rust").unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_fitjob")).ancestors().nth(2).unwrap();
    common::cargo_build(&folder, built);
    let program = built.join("release/decay");
    same(range_by(common::alone(&program), &folder), range(&scaffold("curve").unwrap().1), "rust");
    let alone = run(&mut common::alone(&program), "rust", &folder, "alone.run");
    recovers_the_truth(&alone);
    #[cfg(feature = "mpi")]
    assert_eq!(run(&mut common::on(2, &program), "rust", &folder, "two.run")["digest"], alone["digest"]);
    let script = std::fs::read_to_string(folder.join("fit.slurm")).unwrap();
    assert!(script.contains("\nfitjob=${FITJOB:-./target/release/decay}\n"));
}

#[test]
#[cfg(all(feature = "mpi", feature = "ode"))]
fn the_equations_run_on_two_ranks_and_ask_what_the_built_in_job_asks() {
    let (home, folder) = scaffold("ode").unwrap();
    assert_eq!(range(&folder), range(home.path()), "check without a job takes the built-in one");
    run(&mut common::fitjob_on(2), "ode", &folder, "two.run");
}

#[test]
fn two_threads_give_the_bits_of_one() {
    let (_home, folder) = scaffold("c").unwrap();
    let digest = |out: &str, threads: &str| run(fitjob().args(["--ncores", threads]), "c", &folder, out)["digest"].clone();
    assert_eq!(digest("one", "1"), digest("two", "2"));
    #[cfg(feature = "mpi")]
    assert_eq!(run(&mut common::fitjob_on(3), "c", &folder, "ranks")["digest"], digest("again", "1"));
}
