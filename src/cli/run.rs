//! `fitjob run`: from job file to run directory, on all ranks.

use super::desk::Desk;
use super::{RunArgs, exit};
use crate::job::{self, Job, JobError, Package};
use crate::launch::{cores, seats};
use crate::sampler::Sampler;
use crate::session;
use crate::world::{Disagreement, Role, Root, World};
use std::fmt::Display;
use std::time::Instant;

/// Why the run ended early: what the root prints, and the exit code of every rank.
struct Stop {
    code: i32,
    message: String,
    /// HDF5 has a file that it could neither write nor close: it would crash in MPI_Finalize, so MPI is aborted.
    torn: bool,
}

/// Runs the job and gives the exit code. Errors are printed once, by the root.
pub fn run(args: &RunArgs) -> i32 {
    let begun = Instant::now();
    let mut world = match World::init() {
        Ok(world) => world,
        Err(refusal) => refusal.exit(),
    };
    match fit(&mut world, args, begun) {
        Ok(()) => exit::DONE,
        Err(stop) => {
            if world.is_root() {
                eprintln!("{}", stop.message.trim_end());
                if stop.torn {
                    world.abort(stop.code);
                }
            }
            stop.code
        }
    }
}

/// `begun`: the program's start.
fn fit(world: &mut World, args: &RunArgs, begun: Instant) -> Result<(), Stop> {
    let package = share_package(world, args)?;
    let job = agree(world, exit::JOB, job::resolve(&package).map_err(job_error))?;
    let threads = threads(world, args, &job);
    let crowding = seats::warnings(&world.seats(threads));
    let desk = match world.enter() {
        Role::Root(root) => Desk::open(&root, args, &package, &job, threads, crowding).map(Some).map_err(|e| e.report()),
        Role::Worker(_) => Ok(None),
    };
    let mut desk = agree(world, exit::STORAGE, desk)?;

    let startup_s = begun.elapsed().as_secs_f64();
    let mut watch = |_: &Root, sampler: &dyn Sampler, _: &dyn crate::exec::Evaluator| {
        if let Some(desk) = &mut desk {
            desk.watch(sampler);
        }
    };
    let (fit, effort) = match session::fit(world, &job, threads, &mut watch) {
        Ok(done) => done,
        Err(why) => {
            let stop = Stop::new(exit::MODEL, why);
            desk.into_iter().for_each(|desk| desk.failed(&stop.message));
            return Err(stop);
        }
    };
    let wall_s = begun.elapsed().as_secs_f64();
    let written = match (world.enter(), desk, effort) {
        (Role::Root(root), Some(desk), Some(effort)) => desk.close(&root, &fit, &effort, startup_s, wall_s).map_err(|e| e.report()),
        _ => Ok(()),
    };
    agree(world, exit::STORAGE, written).map_err(|stop| Stop { torn: true, ..stop })
}

/// The root reads the job and its data; every rank gets the same bytes.
fn share_package(world: &mut World, args: &RunArgs) -> Result<Package, Stop> {
    let read = match world.is_root() {
        true => args.job.load().map(Some).map_err(job_error),
        false => Ok(None),
    };
    let mine = agree(world, exit::JOB, read)?;
    let bytes = mine.map(|package| postcard::to_stdvec(&package).expect("a package is plain data"));
    let bytes = world.broadcast_bytes(bytes);
    Ok(postcard::from_bytes(&bytes).expect("the root sent a package"))
}

/// Threads in each rank: as asked, else what the scheduler gave each task, else all cores granted to a
/// process that is alone and one to a rank among many.
fn threads(world: &World, args: &RunArgs, job: &Job) -> usize {
    let asked = args.ncores.map(|n| n as usize).or(job.run.ncores);
    let given = || ["SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"].iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
    asked.or_else(given).unwrap_or_else(|| if world.size() == 1 { cores::granted().granted } else { 1 })
}

fn agree<T>(world: &mut World, code: i32, result: Result<T, String>) -> Result<T, Stop> {
    world.agree(result).map_err(|e: Disagreement| Stop::new(code, e))
}

impl Stop {
    fn new(code: i32, message: impl Display) -> Stop {
        Stop { code, message: message.to_string(), torn: false }
    }
}

fn job_error(error: JobError) -> String {
    error.report(std::io::IsTerminal::is_terminal(&std::io::stderr()))
}
