//! `mpiexec` of Open MPI (any version since 1.3): OMPI_COMM_WORLD_* variables.

use super::{Env, Launch, Launcher};

pub fn detect(env: &Env) -> Option<Launch> {
    Some(Launch {
        launcher: Launcher::OpenMpi,
        size: env.number("OMPI_COMM_WORLD_SIZE")?,
        rank: env.number("OMPI_COMM_WORLD_RANK")?,
        local_rank: env.number("OMPI_COMM_WORLD_LOCAL_RANK"),
        local_size: env.number("OMPI_COMM_WORLD_LOCAL_SIZE"),
        slurm_job: None,
    })
}
