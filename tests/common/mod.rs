//! What the three test programs share: the built binary, alone and under mpiexec.
#![allow(dead_code)]

pub mod calibration;
pub mod children;
pub mod engines;
pub mod lives;
pub mod lynx_hare;
pub mod plugins;
pub mod results;
pub mod scaffold;

use std::path::Path;
use std::process::{Command, Output};

/// The built binary, on one process, without the environment of any launcher.
pub fn fitjob() -> Command {
    alone(Path::new(env!("CARGO_BIN_EXE_fitjob")))
}

/// The same for any program.
pub fn alone(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (key, _) in std::env::vars() {
        if ["OMPI_", "PMI", "PMIX", "SLURM_", "HYDRA_", "MPI_"].iter().any(|prefix| key.starts_with(prefix))
            && !key.starts_with("OMPI_ALLOW")
        {
            command.env_remove(key);
        }
    }
    command
}

/// `mpiexec` of the MPI library the binary was built with: FITJOB_MPIEXEC, else by MPICC, else Debian's Open MPI.
pub fn mpiexec_name() -> String {
    let by_compiler = match std::env::var("MPICC") {
        Ok(mpicc) if mpicc.contains("mpich") => "mpiexec.mpich",
        _ => "mpiexec.openmpi",
    };
    std::env::var("FITJOB_MPIEXEC").unwrap_or_else(|_| by_compiler.into())
}

/// `mpiexec -n ranks fitjob`, allowed to run as root and with more ranks than cores.
pub fn fitjob_on(ranks: usize) -> Command {
    on(ranks, Path::new(env!("CARGO_BIN_EXE_fitjob")))
}

/// The same for any program.
pub fn on(ranks: usize, program: &Path) -> Command {
    let mut command = Command::new(mpiexec_name());
    command.args(["-n", &ranks.to_string()]).arg(program);
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1").env("OMPI_MCA_rmaps_base_oversubscribe", "1");
    command
}

/// Runs to the end; panics with both outputs unless it succeeded.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?} ended with {}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    output
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The summary.json of a run directory.
pub fn summary(run: &Path) -> serde_json::Value {
    let path = run.join("summary.json");
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// `cargo build` of a package that uses fitjob's library, into `target` and with the profile of what is built there already:
/// only fitjob itself and the package are compiled, and fitjob once for all that ask.
pub fn cargo_build(package: &Path, target: &Path) {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let profile = toml::Table::from_iter([("profile".into(), manifest.parse::<toml::Table>().unwrap()["profile"].clone())]);
    let config = package.join("profile.toml");
    write(&config, &profile.to_string());
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--offline", "--config"]).arg(&config).current_dir(package);
    succeed(cargo.env("CARGO_TARGET_DIR", target).env_remove("RUSTC_BOOTSTRAP"));
}
