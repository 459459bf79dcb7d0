//! `fitjob run`: from job file to run directory, on all ranks.

use super::desk::{Desk, Doorway, Opened, Start};
use super::{JobArgs, RunArgs, exit};
use crate::job::{self, Job, JobError, Package};
use crate::launch::{cores, seats};
use crate::sampler::verdict::Level;
use crate::session::{self, Effort, Identity, Lead, Outcome};
use crate::stop;
use crate::world::{Disagreement, Role, Root, World};
use std::fmt::Display;
use std::time::Instant;

/// Why the run ended early: what the root prints, and the exit code of every rank.
pub(super) struct Stop {
    pub code: i32,
    pub message: String,
    /// HDF5 has a file that it could neither write nor close: it would crash in MPI_Finalize, so MPI is aborted.
    torn: bool,
}

/// Runs the job and gives the exit code. Errors are printed once, by the root.
pub fn run(args: &RunArgs) -> i32 {
    let begun = Instant::now();
    stop::listen();
    let mut world = match World::init() {
        Ok(world) => world,
        Err(refusal) => refusal.exit(),
    };
    let code = match fit(&mut world, args, begun) {
        Ok(code) => code,
        Err(stop) => {
            if world.is_root() {
                eprintln!("{}", stop.message.trim_end());
                if stop.torn {
                    world.abort(stop.code);
                }
            }
            stop.code
        }
    };
    world.leave(code)
}

/// `begun`: the program's start. Gives the exit code of a run that ended in good order.
fn fit(world: &mut World, args: &RunArgs, begun: Instant) -> Result<i32, Stop> {
    let package = share_package(world, &args.job)?;
    let job = agree(world, exit::JOB, job::resolve(&package).map_err(job_error))?;
    let threads = threads(world, args.ncores, &job);
    let mut warnings = seats::warnings(&world.seats(threads));
    warnings.extend(too_narrow(&job, world.size() * threads));
    let start =
        Start { begun, threads, identity: Identity::of(&job, &package), warnings, limit: args.time_limit, same_model: args.same_model };
    let opened = prepare(world, args, &package, &job, start)?;

    let startup_s = begun.elapsed().as_secs_f64();
    let (mut desk, lead) = opened.map_or((None, None), |(desk, keeper, state)| (Some(desk), Some((keeper, state))));
    let lead = lead.zip(desk.as_mut()).map(|((keeper, state), desk)| Lead { keeper, state, watch: desk });
    let (outcome, effort) = match session::fit(world, &job, threads, lead) {
        Ok(done) => done,
        Err(why) => {
            let stop = Stop::new(exit::MODEL, why);
            desk.into_iter().for_each(|desk| desk.failed(&stop.message));
            return Err(stop);
        }
    };
    let wall_s = begun.elapsed().as_secs_f64();
    let close = |root: &Root, desk: Desk, effort: Effort| match &outcome {
        Outcome::Done(fit) => desk.close(root, fit, &effort, startup_s, wall_s).map_err(|e| e.report()),
        Outcome::Stopped(stop) => desk.stopped(root, *stop, &effort),
    };
    let written = match (world.enter(), desk, effort) {
        (Role::Root(root), Some(desk), Some(effort)) => close(&root, desk, effort),
        _ => Ok(()),
    };
    let done = matches!(outcome, Outcome::Done(_));
    agree(world, exit::STORAGE, written).map_err(|stop| Stop { torn: done, ..stop })?;
    Ok(match &outcome {
        Outcome::Stopped(_) => exit::STOPPED,
        Outcome::Done(fit) if fit.verdict.level == Level::Failed => exit::NOT_CONVERGED,
        Outcome::Done(_) => exit::DONE,
    })
}

/// More evaluators than the engine has calls for.
fn too_narrow(job: &Job, evaluators: usize) -> Option<String> {
    let (width, method) = (job.engine.width(&job.problem()), job.engine.method());
    (evaluators > width).then(|| {
        format!(
            "{method} with these settings has about {width} calls under way at a time, and there are {evaluators} evaluators (ranks x threads): \
             {} of them will mostly wait. Use fewer, or raise {} in [sampler] (other draws, the same posterior).",
            evaluators - width,
            job.engine.widened_by()
        )
    })
}

/// The run directory: opened and locked, compared with the job, taken into use. All ranks go through this together.
fn prepare(world: &mut World, args: &RunArgs, package: &Package, job: &Job, start: Start) -> Result<Option<Opened>, Stop> {
    let doorway = match world.enter() {
        Role::Root(root) => Doorway::open(&root, args, job, &start.identity).map(Some),
        Role::Worker(_) => Ok(None),
    };
    let mut doorway = agree(world, exit::STORAGE, doorway)?;
    let saved = doorway.as_mut().map_or(Ok(None), |doorway| doorway.saved(&start.identity, start.same_model));
    let saved = agree(world, exit::JOB, saved)?;
    let entered = match (world.enter(), doorway) {
        (Role::Root(root), Some(doorway)) => doorway.enter(&root, package, job, start, saved).map(Some),
        _ => Ok(None),
    };
    agree(world, exit::STORAGE, entered)
}

/// The root reads the job and its data; every rank gets the same bytes.
pub(super) fn share_package(world: &mut World, args: &JobArgs) -> Result<Package, Stop> {
    let read = match world.is_root() {
        true => args.load().map(Some).map_err(job_error),
        false => Ok(None),
    };
    let mine = agree(world, exit::JOB, read)?;
    let bytes = mine.map(|package| postcard::to_stdvec(&package).expect("a package is plain data"));
    let bytes = world.broadcast_bytes(bytes);
    Ok(postcard::from_bytes(&bytes).expect("the root sent a package"))
}

/// Threads in each rank: as asked, else what the scheduler gave each task, else all cores granted to a
/// process that is alone and one to a rank among many.
pub(super) fn threads(world: &World, ncores: Option<u32>, job: &Job) -> usize {
    let asked = ncores.map(|n| n as usize).or(job.run.ncores);
    let given = || ["SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"].iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
    asked.or_else(given).unwrap_or_else(|| if world.size() == 1 { cores::granted().granted } else { 1 })
}

pub(super) fn agree<T>(world: &mut World, code: i32, result: Result<T, String>) -> Result<T, Stop> {
    world.agree(result).map_err(|e: Disagreement| Stop::new(code, e))
}

impl Stop {
    pub fn new(code: i32, message: impl Display) -> Stop {
        Stop { code, message: message.to_string(), torn: false }
    }
}

pub(super) fn job_error(error: JobError) -> String {
    error.report(std::io::IsTerminal::is_terminal(&std::io::stderr()))
}
