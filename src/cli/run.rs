//! `fitjob run`: from job file to run directory, on all ranks.

use super::{RunArgs, exit};
use crate::job::{self, Job, Package, Source};
use crate::launch::cores;
use crate::output::{self, Log, Progress, RunDir, RunFacts, Style, Summary};
use crate::session::{self, Effort};
use crate::world::{Disagreement, Role, World};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Why the run ended early: what the root prints, and the exit code of every rank.
struct Stop {
    code: i32,
    message: String,
}

/// Runs the job and gives the exit code. Errors are printed once, by the root.
pub fn run(args: &RunArgs) -> i32 {
    let begun = Instant::now();
    let mut world = match World::init() {
        Ok(world) => world,
        Err(refusal) => refusal.exit(),
    };
    let startup_s = begun.elapsed().as_secs_f64();
    match fit(&mut world, args, startup_s) {
        Ok(()) => exit::DONE,
        Err(stop) => {
            if world.is_root() {
                eprintln!("{}", stop.message.trim_end());
            }
            stop.code
        }
    }
}

fn fit(world: &mut World, args: &RunArgs, startup_s: f64) -> Result<(), Stop> {
    let begun = Instant::now();
    let package = share_package(world, args)?;
    let job = agree(world, exit::JOB, job::resolve(&package).map_err(rendered))?;
    let threads = threads(world, args, &job);
    let files = world.is_root().then(|| open(world, args, &package, &job));
    let files = agree(world, exit::STORAGE, files.transpose().map_err(rendered))?;
    let (dir, mut progress) = files.unzip();
    warn_of_crowded_cores(world, threads, progress.as_mut());

    let mut watch = |_: &_, sampler: &dyn crate::sampler::Sampler, _: &_| {
        if let Some(progress) = progress.as_mut().filter(|p| p.due()) {
            progress.update(&sampler.progress());
        }
    };
    let (fit, effort) = session::fit(world, &job, threads, &mut watch).map_err(|e| Stop::new(exit::MODEL, e))?;
    let written = match (dir, progress, effort) {
        (Some(dir), Some(progress), Some(effort)) => {
            let facts = facts(world, &package, &job, threads, &effort, startup_s, begun.elapsed().as_secs_f64());
            let Role::Root(root) = world.enter() else { unreachable!("only the root has a run directory") };
            dir.finish(&root, &fit, &facts, progress).map_err(rendered)
        }
        _ => Ok(()),
    };
    agree(world, exit::STORAGE, written)
}
