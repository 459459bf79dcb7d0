//! `srun`: the variables of a job step, and which plugin connects the processes.

use super::{Env, Launch, Launcher};

/// Only a job step counts. A batch script's body has SLURM_PROCID=0 and SLURM_NTASKS=n without a step
/// (newer Slurm: SLURM_STEP_ID=4294967291, the "batch" step), and is one process.
pub fn detect(env: &Env) -> Option<Launch> {
    const FIRST_SPECIAL_STEP: usize = 4294967290;
    if env.number("SLURM_STEP_ID")? >= FIRST_SPECIAL_STEP {
        return None;
    }
    let launcher = if env.has("PMIX_RANK") {
        Launcher::SrunPmix
    } else if env.has("PMI_RANK") {
        Launcher::SrunPmi
    } else {
        Launcher::SrunNone
    };
    Some(Launch {
        launcher,
        size: env.number("SLURM_STEP_NUM_TASKS")?,
        rank: env.number("SLURM_PROCID")?,
        local_rank: env.number("SLURM_LOCALID"),
        // "2(x3),1" lists tasks a node; right for this node only where all are equal.
        local_size: env.get("SLURM_STEP_TASKS_PER_NODE").filter(|v| !v.contains(',')).and_then(|_| env.number("SLURM_STEP_TASKS_PER_NODE")),
        slurm_job: None,
    })
}
