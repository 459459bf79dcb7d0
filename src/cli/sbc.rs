//! `fitjob sbc JOB`: simulation-based calibration of a job, its fits dealt out to all threads of all ranks.

use super::run::{Stop, agree, job_error, share_package, threads};
use super::{JobArgs, Resume, exit};
use crate::job::{self, Job, Package};
use crate::output::{Opening, RunDir, print, text};
use crate::sbc::{About, Kept, Plan, Trial};
use crate::stop::{self, TimeLimit};
use crate::world::{Role, Root, World};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct SbcArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Run directory [default: the job file's name with -sbc.run, in the current folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace an earlier calibration in the run directory
    #[arg(long)]
    pub force: bool,
    /// Go on with the calibration in the run directory, also to more simulations; with =auto, start if there is none
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "yes", conflicts_with = "force")]
    pub resume: Option<Resume>,
    /// Simulations, each with a fit of its own
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(20..))]
    pub sims: u64,
    /// Draws from each posterior that the truth is ranked among: 10 k - 1 of them
    #[arg(long, value_name = "L", default_value_t = 99)]
    pub draws: usize,
    /// Draw true values and data from this job instead: what does the fit make of data that are otherwise than it assumes?
    #[arg(long, value_name = "JOB")]
    pub truth: Option<PathBuf>,
    /// A fault is a p-value, corrected for their number, below this
    #[arg(long, value_name = "P", default_value_t = 0.01)]
    pub alpha: f64,
    /// Start no fit that would not be done after this time: seconds, or 90m, "1h 30m", 12:00:00
    #[arg(long, value_name = "TIME")]
    pub time_limit: Option<TimeLimit>,
    /// Fits at a time on this machine, or in each rank under MPI
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub ncores: Option<u32>,
}

/// Seconds between two lines of progress.
const TALK: Duration = Duration::from_secs(5);

/// The exit code says whether the job is calibrated.
pub fn run(args: &SbcArgs) -> i32 {
    let begun = Instant::now();
    stop::listen();
    let mut world = World::init().unwrap_or_else(|refusal| refusal.exit());
    let code = calibrate(&mut world, args, begun).unwrap_or_else(|stop| {
        if world.is_root() {
            eprintln!("{}", stop.message.trim_end());
        }
        stop.code
    });
    world.leave(code)
}

fn calibrate(world: &mut World, args: &SbcArgs, begun: Instant) -> Result<i32, Stop> {
    agree(world, exit::JOB, check(args))?;
    let package = share_package(world, &args.job)?;
    let job = agree(world, exit::JOB, job::resolve(&package).map_err(job_error))?;
    let truth = truth(world, args)?;
    let about = about(&package, &job, truth.as_ref(), args);
    let threads = threads(world, args.ncores, &job);
    let (out, resolved) = (place(args, &job), job.resolved_toml.clone());
    let plan = agree(world, exit::JOB, Plan::new(job, truth, args.draws).map_err(|why| format!("error: {why}")))?;
    let about = About { quantities: plan.quantities().to_vec(), ..about };

    let opened = match world.is_root() {
        true => open(world, args, &out, about, &resolved).map(Some),
        false => Ok(None),
    };
    let mut mine = agree(world, exit::STORAGE, opened)?;
    let numbers = mine.as_ref().map(|(_, kept)| postcard::to_stdvec(&kept.to_do()).expect("numbers can be encoded"));
    let to_do: Vec<u64> = postcard::from_bytes(&world.broadcast_bytes(numbers)).expect("the root sent numbers");

    let clock = Clock { begun, limit: args.time_limit.map(TimeLimit::duration), longest: Duration::ZERO, talked: begun };
    rounds(world, &plan, &to_do, threads, &mut mine, clock)?;
    let code = mine.map(|(dir, kept)| close(world, dir.path(), &kept).to_le_bytes().to_vec());
    Ok(i32::from_le_bytes(*world.broadcast_bytes(code).first_chunk().expect("the root sent a code")))
}

/// As many fits at a time as there are threads on all ranks; what is done is kept after each round.
fn rounds(
    world: &mut World,
    plan: &Plan,
    to_do: &[u64],
    threads: usize,
    mine: &mut Option<(RunDir, Kept)>,
    mut clock: Clock,
) -> Result<(), Stop> {
    // Ranks that wait for another's fit hear nothing of it until it is done.
    world.set_silence_limit(Duration::MAX);
    for round in to_do.chunks(world.size() * threads) {
        let started = Instant::now();
        let share = round.chunks(threads).nth(world.rank()).unwrap_or_default();
        let done = agree(world, exit::MODEL, fits(plan, share))?;
        let all = world.gather_bytes(postcard::to_stdvec(&done).expect("trials can be encoded"));
        let kept = match (world.enter(), &mut *mine) {
            (Role::Root(root), Some((dir, kept))) => keep(&root, &all, dir, kept),
            _ => Ok(false),
        };
        let stopped = agree(world, exit::STORAGE, kept)?;
        let stop = mine.as_ref().map(|(_, kept)| vec![u8::from(stopped || clock.up(started, kept))]);
        if world.broadcast_bytes(stop) == [1] {
            break;
        }
    }
    Ok(())
}

fn check(args: &SbcArgs) -> Result<(), String> {
    if !(args.draws + 1).is_multiple_of(10) {
        let (draws, near) = (args.draws, (args.draws / 10 + 1) * 10 - 1);
        return Err(format!("error: --draws {draws} gives ranks 0 to {draws}, which no bins share evenly: take {near}"));
    }
    if !(args.alpha > 0.0 && args.alpha < 1.0) {
        return Err(format!("error: --alpha {} must lie between 0 and 1", args.alpha));
    }
    Ok(())
}

fn truth(world: &mut World, args: &SbcArgs) -> Result<Option<Job>, Stop> {
    let Some(file) = args.truth.clone() else { return Ok(None) };
    let package = share_package(world, &JobArgs { file: Some(file), seed: None, set: Vec::new() })?;
    agree(world, exit::JOB, job::resolve(&package).map_err(job_error)).map(Some)
}

fn about(package: &Package, job: &Job, truth: Option<&Job>, args: &SbcArgs) -> About {
    About {
        job: package.source.name.clone(),
        job_digest: job.digest.clone(),
        truth_digest: truth.map(|job| job.digest.clone()).unwrap_or_default(),
        method: job.engine.method().into(),
        seed: job.seed,
        draws: args.draws,
        quantities: Vec::new(),
    }
}

fn place(args: &SbcArgs, job: &Job) -> PathBuf {
    args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}-sbc.run", job.name)))
}

/// The run directory with what an earlier calibration left there.
fn open(world: &mut World, args: &SbcArgs, out: &Path, about: About, resolved: &str) -> Result<(RunDir, Kept), String> {
    let Role::Root(root) = world.enter() else { unreachable!("only the root opens") };
    let opening = match (args.force, args.resume) {
        (true, _) => Opening::Force,
        (_, Some(Resume::Yes)) => Opening::Resume,
        (_, Some(Resume::Auto)) => Opening::Auto,
        _ => Opening::New,
    };
    let (dir, _) = RunDir::open(&root, out, opening).map_err(|e| e.report())?;
    let before = RunDir::calibration(out).map(|text| serde_json::from_str::<Kept>(&text));
    let mut kept = Kept { about, sims: args.sims, alpha: args.alpha, trials: Vec::new() };
    match before {
        Some(Ok(before)) if before.about == kept.about => kept.add(before.trials.into_iter().filter(|t| t.number < args.sims).collect()),
        Some(Ok(_)) => {
            let shown = out.display();
            return Err(format!(
                "error: {shown} holds a calibration of another job, truth or number of draws\n  help: elsewhere: --out DIR; replace it: --force"
            ));
        }
        Some(Err(why)) => {
            return Err(format!("error: {}/sbc.json cannot be understood: {why}\n  help: replace it: --force", out.display()));
        }
        None if dir.summary().exists() || dir.log().exists() => {
            return Err(format!("error: {} holds a run of `fitjob run`\n  help: elsewhere: --out DIR", out.display()));
        }
        None => {}
    }
    dir.write_job(resolved).map_err(|e| e.report())?;
    Ok((dir, kept))
}

/// Each on a thread of its own. True: a signal stopped at least one.
fn fits(plan: &Plan, numbers: &[u64]) -> Result<(Vec<Trial>, bool), String> {
    let done: Vec<Result<Option<Trial>, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = numbers.iter().map(|number| scope.spawn(|| plan.run(*number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a fit panicked (a defect of fitjob)".into()))).collect()
    });
    let done = done.into_iter().collect::<Result<Vec<_>, _>>().map_err(|why| format!("error: {why}"))?;
    let stopped = done.iter().any(Option::is_none);
    Ok((done.into_iter().flatten().collect(), stopped))
}

/// Takes in the trials of all ranks, and writes them; true where a signal stopped one.
fn keep(root: &Root, all: &[Vec<u8>], dir: &RunDir, kept: &mut Kept) -> Result<bool, String> {
    let mut any = false;
    for bytes in all {
        let (trials, stopped): (Vec<Trial>, bool) = postcard::from_bytes(bytes).expect("ranks run the same build of fitjob");
        kept.add(trials);
        any |= stopped;
    }
    let n = kept.trials.len();
    if n > 0 && kept.short() == n {
        let (draws, worth) = (kept.about.draws, kept.trials[0].n_eff);
        return Err(format!(
            "error: a fit is worth {worth:.0} independent draws, which is not more than the {draws} taken from it\n  help: raise \
             [sampler] n_eff, or lower --draws"
        ));
    }
    dir.write_calibration(root, &kept.to_json(), &kept.to_csv()).map_err(|e| e.report())?;
    Ok(any)
}

/// The root's: when to stop, when to say how far it is.
struct Clock {
    begun: Instant,
    limit: Option<Duration>,
    longest: Duration,
    talked: Instant,
}

impl Clock {
    /// Whether another round like those before would end too late.
    fn up(&mut self, started: Instant, kept: &Kept) -> bool {
        self.longest = self.longest.max(started.elapsed());
        if self.talked.elapsed() > TALK {
            self.talked = Instant::now();
            eprintln!("{} of {} simulations after {}", kept.trials.len(), kept.sims, text::duration(self.begun.elapsed().as_secs_f64()));
        }
        let late = self.limit.is_some_and(|limit| self.begun.elapsed() + self.longest > limit);
        stop::signalled().is_some() || late
    }
}

/// The report, and the exit code.
fn close(world: &mut World, dir: &Path, kept: &Kept) -> i32 {
    let Role::Root(root) = world.enter() else { unreachable!("only the root has a directory") };
    let shown = dir.display();
    print(&root, &format!("{}written to {shown}: sbc.json, ranks.csv, job.toml\n", kept.to_text()));
    match (kept.finished(), kept.calibrated()) {
        (false, _) => {
            eprintln!("stopped after {} of {} simulations; go on: the same command with --resume", kept.trials.len(), kept.sims);
            exit::STOPPED
        }
        (true, true) => exit::DONE,
        (true, false) => exit::UNCALIBRATED,
    }
}
