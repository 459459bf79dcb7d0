//! Hydra, the `mpiexec` of MPICH and its kin (MVAPICH2, ParaStation): PMI_* and MPI_LOCAL* variables.

use super::{Env, Launch, Launcher};

/// srun's pmi2 plugin sets PMI_RANK and PMI_SIZE as well; Hydra alone sets MPI_LOCALNRANKS.
pub fn detect(env: &Env) -> Option<Launch> {
    let local_size = env.number("MPI_LOCALNRANKS")?;
    Some(Launch {
        launcher: Launcher::Hydra,
        size: env.number("PMI_SIZE")?,
        rank: env.number("PMI_RANK")?,
        local_rank: env.number("MPI_LOCALRANKID"),
        local_size: Some(local_size),
        slurm_job: None,
    })
}
