//! A job that is quick to calibrate, and `fitjob sbc` of it.

use super::{text, write};
use std::path::Path;
use std::process::{Command, Output};

/// A line with a normal posterior, known in closed form; quick to fit.
pub const LINE: &str = concat!("\nseed = 4\n", include_str!("../line.toml"), "[sampler]\nn_live = 100\nn_eff = 600\nn_networks = 0\n");

pub fn sbc(mut command: Command, folder: &Path, job: &str, out: &str, extra: &[&str]) -> Output {
    let file = folder.join("job.toml");
    write(&file, job);
    command.arg("sbc").arg(&file).arg("--out").arg(folder.join(out)).args(extra).output().unwrap()
}

pub fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}
