//! The built-in job as a user calls it, against the reference posterior of posteriordb.

mod common;

use common::{fitjob, succeed, summary};
use std::path::Path;
use std::process::Command;

/// Mean and standard deviation of each parameter: posteriordb, hudson_lynx_hare-lotka_volterra, 10 000 draws.
const REFERENCE: [(&str, f64, f64); 8] = [
    ("alpha", 0.546864, 0.063055),
    ("beta", 0.027747, 0.004155),
    ("gamma", 0.800095, 0.089370),
    ("delta", 0.024086, 0.003528),
    ("hare0", 34.035222, 2.916899),
    ("lynx0", 5.935897, 0.530552),
    ("sigma_hare", 0.248057, 0.043263),
    ("sigma_lynx", 0.251017, 0.043590),
];

/// Runs the built-in job in an empty folder and compares it with the reference: means within 0.1 sd, sds within 10%.
fn agrees_with_the_reference(mut command: Command, folder: &Path) {
    succeed(command.current_dir(folder).args(["--out", "run"]));
    let summary = summary(&folder.join("run"));
    for (name, mean, sd) in REFERENCE {
        let found = &summary["parameters"][name];
        let (m, s) = (found["mean"].as_f64().unwrap(), found["sd"].as_f64().unwrap());
        assert!((m - mean).abs() < 0.1 * sd, "{name}: mean {m}, reference {mean} +- {sd}");
        assert!((s / sd - 1.0).abs() < 0.1, "{name}: sd {s}, reference {sd}");
    }
}

#[test]
fn the_bare_command_fits_lynx_and_hare() {
    let folder = tempfile::tempdir().unwrap();
    agrees_with_the_reference(fitjob(), folder.path());
}

#[test]
#[ignore = "300 000 calls: run by make test-long"]
fn nested_sampling_fits_lynx_and_hare() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = fitjob();
    command.args(["--set", "sampler.method=nested", "--set", "sampler.n_eff=4000"]);
    agrees_with_the_reference(command, folder.path());
}

#[cfg(feature = "mpi")]
#[test]
fn the_bare_command_under_mpiexec_fits_lynx_and_hare() {
    let folder = tempfile::tempdir().unwrap();
    agrees_with_the_reference(common::fitjob_on(2), folder.path());
}

#[test]
fn fit_toml_in_the_current_folder_takes_precedence() {
    let folder = tempfile::tempdir().unwrap();
    let job = "[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n[sampler]\nn_live = 200\nn_eff = 300\n";
    common::write(&folder.path().join("fit.toml"), job);
    succeed(fitjob().current_dir(folder.path()).args(["--out", "run"]));
    assert!(summary(&folder.path().join("run"))["parameters"]["x1"].is_object());
}
