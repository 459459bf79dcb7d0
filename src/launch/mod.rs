//! Who am I: launcher, rank and size as pure functions of the environment, one file a launcher.
//!
//! The MPI library knows its own size; what the launcher meant is in the environment. Where the two
//! disagree, N processes each think they are alone ([`mismatch`]).

pub mod cores;
mod intel;
pub mod mismatch;
mod mpich;
mod openmpi;
pub mod seats;
mod slurm;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How long a launcher is given to pass on the last words of a process that ends badly: it drops what it has not passed on by then.
pub const WORDS: Duration = Duration::from_millis(300);

/// Environment variables by name.
#[derive(Clone, Debug, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// This process's own; variables that are not UTF-8 are left out.
    pub fn of_process() -> Env {
        Env(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }

    /// The output of `env`: one `NAME=value` a line; lines without `=` and comments are passed over.
    pub fn parse(text: &str) -> Env {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Env(lines.filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The first number at the start of the value ("8", "4(x2)").
    pub fn number(&self, name: &str) -> Option<usize> {
        let value = self.get(name)?.trim();
        let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        value[..digits].parse().ok()
    }
}

/// What started this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Launcher {
    /// Started by hand, or the body of a batch script.
    Alone,
    /// `mpiexec`/`mpirun` of Open MPI.
    OpenMpi,
    /// Hydra, the `mpiexec` of MPICH and its kin.
    Hydra,
    /// Intel MPI's `mpiexec.hydra`.
    IntelMpi,
    /// `srun --mpi=pmix`.
    SrunPmix,
    /// `srun --mpi=pmi2` (or cray_shasta and others that set PMI variables).
    SrunPmi,
    /// `srun --mpi=none`: processes that no MPI library can connect.
    SrunNone,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Launcher::Alone => "none",
            Launcher::OpenMpi => "mpiexec of Open MPI",
            Launcher::Hydra => "mpiexec of MPICH (Hydra)",
            Launcher::IntelMpi => "mpiexec of Intel MPI (Hydra)",
            Launcher::SrunPmix => "srun --mpi=pmix",
            Launcher::SrunPmi => "srun --mpi=pmi2",
            Launcher::SrunNone => "srun --mpi=none",
        })
    }
}

/// What the launcher meant this process to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    pub launcher: Launcher,
    /// Processes in all.
    pub size: usize,
    pub rank: usize,
    /// Number of this process on its host, where the launcher tells.
    pub local_rank: Option<usize>,
    /// Processes on this host, where the launcher tells.
    pub local_size: Option<usize>,
    /// Slurm's job number.
    pub slurm_job: Option<String>,
}

/// Reads the environment. An mpiexec goes before Slurm: inside an allocation its ranks inherit the
/// Slurm variables of the shell it ran in, all with the same SLURM_PROCID.
pub fn detect(env: &Env) -> Launch {
    let found = openmpi::detect(env).or_else(|| intel::detect(env)).or_else(|| mpich::detect(env)).or_else(|| slurm::detect(env));
    let mut launch = found.unwrap_or(Launch::alone());
    launch.slurm_job = env.get("SLURM_JOB_ID").map(str::to_string);
    launch
}

impl Launch {
    /// One process, started by hand.
    pub fn alone() -> Launch {
        Launch { launcher: Launcher::Alone, size: 1, rank: 0, local_rank: None, local_size: None, slurm_job: None }
    }
}
