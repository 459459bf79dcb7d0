//! What `fitjob init` writes, in a folder of its own, and short runs of it.

use super::{fitjob, succeed, summary, text};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Kinds with the same data, model and priors.
pub const DECAY: [&str; 4] = ["curve", "python", "c", "fortran"];

/// The kind as `fitjob init` writes it, in a new folder and built; none where its compiler is not installed.
pub fn scaffold(kind: &str) -> Option<(TempDir, PathBuf)> {
    if kind == "fortran" && Command::new("gfortran").arg("--version").output().is_err() {
        eprintln!("gfortran is not installed: skipped");
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("new");
    succeed(fitjob().args(["init", &format!("--{kind}")]).arg(&folder));
    if folder.join("Makefile").exists() {
        succeed(Command::new("make").current_dir(&folder));
    }
    Some((home, folder))
}

/// `python3` of the PATH by its full name: Open MPI's mpiexec may put another one first.
pub fn interpreter() -> String {
    let found = succeed(Command::new("python3").args(["-c", "import sys, numpy; print(sys.executable, end='')"]));
    format!("model.interpreter={:?}", text(&found.stdout))
}

/// A short run of the folder's fit.toml.
pub fn run(command: &mut Command, kind: &str, folder: &Path, out: &str) -> serde_json::Value {
    if kind == "python" {
        command.args(["--set", &interpreter()]);
    }
    let short = ["--set", "sampler.n_live=300", "--set", "sampler.n_eff=500", "--out", out];
    succeed(command.args(short).current_dir(folder));
    summary(&folder.join(out))
}

/// What `fitjob check` says of the same draws from the prior: the lowest and the highest log L.
pub fn range(folder: &Path) -> [f64; 2] {
    range_by(fitjob(), folder)
}

pub fn range_by(mut program: Command, folder: &Path) -> [f64; 2] {
    let said = text(&succeed(program.arg("check").current_dir(folder)).stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("100 prior draws: 100 with a finite log L, from ")).expect(&said);
    let (low, high) = line.split_once(" to ").expect(&said);
    [low, high].map(|value| value.parse().unwrap())
}

/// To 1e-9, and the six digits that are printed.
pub fn same(got: [f64; 2], wanted: [f64; 2], kind: &str) {
    for (got, wanted) in got.iter().zip(wanted) {
        assert!((got - wanted).abs() <= 1e-9 * wanted.abs() + 1e-6, "{kind}: {got} for {wanted}");
    }
}

/// Within 5 standard deviations of the posterior: data that were drawn elsewhere would be further off.
pub fn recovers_the_truth(summary: &serde_json::Value) {
    for (name, truth) in [("a", 100.0), ("tau", 5.0), ("background", 10.0), ("half_life", 5.0 * 2f64.ln())] {
        let figure = |key: &str| summary["parameters"][name][key].as_f64().unwrap_or_else(|| panic!("{summary:#}"));
        assert!((figure("mean") - truth).abs() < 5.0 * figure("sd") && figure("sd") < 0.4 * truth, "{name}: {summary:#}");
    }
}
