//! `fitjob run`: from job file to run directory, on all ranks.

use super::{RunArgs, exit};
use crate::job::{self, Job, JobError, Package, Source};
use crate::launch::cores;
use crate::output::{self, OutputError, Progress, RunDir, RunFacts, Style};
use crate::sampler::Sampler;
use crate::session::{self, Effort};
use crate::world::{Disagreement, Role, Root, World};
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Instant;

/// Why the run ended early: what the root prints, and the exit code of every rank.
struct Stop {
    code: i32,
    message: String,
}

/// What the root has and the other ranks have not.
struct Desk {
    dir: RunDir,
    progress: Progress,
    warnings: Vec<String>,
}

/// Runs the job and gives the exit code. Errors are printed once, by the root.
pub fn run(args: &RunArgs) -> i32 {
    let mut world = match World::init() {
        Ok(world) => world,
        Err(refusal) => refusal.exit(),
    };
    match fit(&mut world, args) {
        Ok(()) => exit::DONE,
        Err(stop) => {
            if world.is_root() {
                eprintln!("{}", stop.message.trim_end());
            }
            stop.code
        }
    }
}

fn fit(world: &mut World, args: &RunArgs) -> Result<(), Stop> {
    let begun = Instant::now();
    let package = share_package(world, args)?;
    let job = agree(world, exit::JOB, job::resolve(&package).map_err(job_error))?;
    let threads = threads(world, args, &job);
    let crowding = crowding(world, threads);
    let desk = match world.enter() {
        Role::Root(root) => open(&root, args, &job, crowding).map(Some).map_err(|e| e.report()),
        Role::Worker(_) => Ok(None),
    };
    let mut desk = agree(world, exit::STORAGE, desk)?;

    let startup_s = begun.elapsed().as_secs_f64();
    let mut watch = |_: &Root, sampler: &dyn Sampler, _: &dyn crate::exec::Evaluator| {
        if let Some(desk) = desk.as_mut().filter(|desk| desk.progress.due()) {
            desk.progress.update(&sampler.progress());
        }
    };
    let (fit, effort) = session::fit(world, &job, threads, &mut watch).map_err(|e| Stop::new(exit::MODEL, e))?;
    let wall_s = begun.elapsed().as_secs_f64();
    let written = match (world.enter(), desk, effort) {
        (Role::Root(root), Some(desk), Some(effort)) => {
            let facts = facts(&root, &package, &job, threads, &effort, &desk, startup_s, wall_s);
            close(&root, desk, &fit, &effort, &facts).map_err(|e| e.report())
        }
        _ => Ok(()),
    };
    agree(world, exit::STORAGE, written)
}

/// The root reads the job and its data; every rank gets the same bytes.
fn share_package(world: &mut World, args: &RunArgs) -> Result<Package, Stop> {
    let read = match world.is_root() {
        true => read_package(args).map(Some).map_err(job_error),
        false => Ok(None),
    };
    let mine = agree(world, exit::JOB, read)?;
    let bytes = mine.map(|package| postcard::to_stdvec(&package).expect("a package is plain data"));
    let bytes = world.broadcast_bytes(bytes);
    Ok(postcard::from_bytes(&bytes).expect("the root sent a package"))
}

fn read_package(args: &RunArgs) -> Result<Package, JobError> {
    let mut overrides = args.set.clone();
    overrides.extend(args.seed.map(|seed| format!("seed={seed}")));
    job::load(Source::find(args.job.as_deref(), overrides)?)
}

/// Threads in each rank: as asked, else what the scheduler gave each task, else all cores granted to a
/// process that is alone and one to a rank among many.
fn threads(world: &World, args: &RunArgs, job: &Job) -> usize {
    let asked = args.ncores.map(|n| n as usize).or(job.run.ncores);
    let given = || ["SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"].iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
    asked.or_else(given).unwrap_or_else(|| if world.size() == 1 { cores::granted().granted } else { 1 })
}

/// A warning where the ranks of this host have more threads than cores.
fn crowding(world: &World, threads: usize) -> Option<String> {
    let cores = cores::granted();
    let ranks = world.launch().local_size.unwrap_or(world.size());
    (ranks * threads > cores.affinity.len()).then(|| {
        format!(
            "{ranks} ranks with {threads} threads each share the {} cores that this host grants: they will wait for each other; \
             start fewer ranks, give fewer --ncores, or ask the scheduler for more cores",
            cores.affinity.len()
        )
    })
}

fn open(root: &Root, args: &RunArgs, job: &Job, crowding: Option<String>) -> Result<Desk, OutputError> {
    let path = args.out.clone().or(job.output.dir.clone()).unwrap_or_else(|| PathBuf::from(format!("{}.run", job.name)));
    let (dir, log) = RunDir::create(root, &path, args.force, &job.resolved_toml)?;
    let mut progress = Progress::new(root, Style::Auto, Some(log));
    let warnings: Vec<String> = crowding.into_iter().collect();
    warnings.iter().for_each(|warning| progress.warn(warning));
    Ok(Desk { dir, progress, warnings })
}

#[allow(clippy::too_many_arguments)]
fn facts(
    root: &Root,
    package: &Package,
    job: &Job,
    threads: usize,
    effort: &Effort,
    desk: &Desk,
    startup_s: f64,
    wall_s: f64,
) -> RunFacts {
    RunFacts {
        job: package.source.name.clone(),
        job_digest: job.digest.clone(),
        method: job.engine.method().into(),
        seed: job.seed,
        ranks: root.ranks(),
        threads,
        wall_s,
        startup_s,
        sampler_s: effort.driven.sampling.as_secs_f64(),
        busy_s: effort.stats.ranks.iter().map(|rank| rank.busy).collect(),
        compute_s: effort.stats.ranks.iter().map(|rank| rank.computing).collect(),
        rejected: effort.stats.rejected + effort.stats.nan + effort.stats.plus_infinity,
        warnings: desk.warnings.clone(),
    }
}

fn close(root: &Root, desk: Desk, fit: &crate::fit::Fit, effort: &Effort, facts: &RunFacts) -> Result<(), OutputError> {
    let summary = desk.dir.finish(root, fit, facts)?;
    if let Some(mut log) = desk.progress.finish(&effort.progress) {
        log.record("end", serde_json::json!({ "reason": effort.driven.reason, "log_z": fit.log_z, "digest": fit.digest }));
    }
    output::print(root, &output::report(&summary, desk.dir.path()));
    Ok(())
}

fn agree<T>(world: &mut World, code: i32, result: Result<T, String>) -> Result<T, Stop> {
    world.agree(result).map_err(|e: Disagreement| Stop::new(code, e))
}

impl Stop {
    fn new(code: i32, message: impl Display) -> Stop {
        Stop { code, message: message.to_string() }
    }
}

fn job_error(error: JobError) -> String {
    error.report(std::io::IsTerminal::is_terminal(&std::io::stderr()))
}
