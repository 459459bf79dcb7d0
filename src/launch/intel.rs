//! Intel MPI's `mpiexec.hydra`: Hydra's variables, plus its own I_MPI_*.
//!
//! Source: Intel MPI Library Developer Reference, "Hydra Environment Variables" and "Global Hydra
//! Options"; the local rank is MPI_LOCALRANKID as in MPICH's Hydra. Not recorded from a real run.

use super::{Env, Launch, Launcher, mpich};

/// A module for Intel MPI sets I_MPI_ROOT in every shell; its mpiexec hands each rank I_MPI_HYDRA_* or
/// I_MPI_MPIRUN as well, which MPICH's Hydra does not.
pub fn detect(env: &Env) -> Option<Launch> {
    const OWN: [&str; 4] = ["I_MPI_MPIRUN", "I_MPI_HYDRA_TOPOLIB", "I_MPI_HYDRA_BOOTSTRAP", "I_MPI_INFO_NUMA_NODE_NUM"];
    if !OWN.iter().any(|name| env.has(name)) {
        return None;
    }
    mpich::detect(env).map(|launch| Launch { launcher: Launcher::IntelMpi, ..launch })
}
