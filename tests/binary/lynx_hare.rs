//! The built-in job as a user calls it, against the reference posterior of posteriordb.

use crate::common::lynx_hare::agrees_with_the_reference;
use crate::common::{fitjob, succeed, summary, write};

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

#[test]
fn fit_toml_in_the_current_folder_takes_precedence() {
    let folder = tempfile::tempdir().unwrap();
    let job = "[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n[sampler]\nn_live = 200\nn_eff = 300\n";
    write(&folder.path().join("fit.toml"), job);
    succeed(fitjob().current_dir(folder.path()).args(["--out", "run"]));
    assert!(summary(&folder.path().join("run"))["parameters"]["x1"].is_object());
}
