//! The command line: one file a command.

mod alarm;
pub mod check;
pub mod compare;
mod desk;
pub mod info;
pub mod init;
pub mod methods;
pub mod run;
pub mod sbc;
pub mod schema;
pub mod summary;

use crate::job::{self, JobError, Package, Source};
use crate::launch::{self, Env};
use crate::model::{self, Likelihood};
use crate::stop::TimeLimit;
use crate::world::World;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};

/// How a process ends. Documented in README.md; scripts rely on the numbers.
pub mod exit {
    pub const DONE: i32 = 0;
    /// `fitjob sbc`: the posterior is not calibrated.
    pub const UNCALIBRATED: i32 = 1;
    /// Usage or job file.
    pub const JOB: i32 = 2;
    /// The model failed.
    pub const MODEL: i32 = 3;
    /// Launch or MPI mismatch, or a lost rank.
    pub const LAUNCH: i32 = 4;
    /// Files could not be read or written.
    pub const STORAGE: i32 = 5;
    /// The result is written, and not converged: `--resume` with other limits goes on.
    pub const NOT_CONVERGED: i32 = 6;
    /// Stopped in good order before the end (time limit, signal): run it again with --resume. EX_TEMPFAIL of sysexits.h.
    pub const STOPPED: i32 = 75;
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done (a doubtful result says so in its last lines, and as `verdict` in summary.json)
  1   sbc: the posterior is not calibrated
  2   usage or job file
  3   the model failed
  4   launch, MPI mismatch, or a lost rank
  5   files: disk full, no permission, the run directory is another job's
  6   not converged: the files are written, and --resume with other limits goes on
  75  stopped in good order before the end (time limit, signal): run it again with --resume";

/// Bayesian fits on one core or ten thousand, from one binary, with the same answer.
///
/// Without a command, runs a job: JOB, else ./fit.toml, else the lynx and hare example.
#[derive(Debug, Parser)]
#[command(name = "fitjob", version, args_conflicts_with_subcommands = true, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job (the default command)
    Run(RunArgs),
    /// Write a job with its likelihood and a Slurm script, all ready to run: the start of your own
    Init(init::InitArgs),
    /// Validate a job, evaluate prior draws, report the time a call takes
    Check(check::CheckArgs),
    /// Say what this process sees: launcher, MPI, HDF5, cores, features
    Info,
    /// Print the result of a run
    Summary(summary::SummaryArgs),
    /// Compare finished runs: evidences, Bayes factors, and whether methods agree
    Compare(compare::CompareArgs),
    /// List the sampling methods: what each is for, gives, needs, and how it scales
    Methods(methods::MethodsArgs),
    /// Simulate data from the model, fit them, and test whether the posteriors are right: simulation-based calibration
    Sbc(sbc::SbcArgs),
    /// Print the JSON schema of the job file
    Schema,
}

/// Which job, and what to change in it.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// Job file (TOML or JSON) or run directory; default: ./fit.toml, else the built-in lynx and hare fit
    #[arg(value_name = "JOB")]
    pub file: Option<PathBuf>,
    /// Seed of every random choice (overrides the job file)
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Override a key of the job file, e.g. --set sampler.n_live=1000 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl JobArgs {
    /// Reads the job and the files it names.
    fn load(&self) -> Result<Package, JobError> {
        let mut overrides = self.set.clone();
        overrides.extend(self.seed.map(|seed| format!("seed={seed}")));
        let inside = self.run_dir().map(|dir| dir.join("job.toml"));
        job::load(Source::find(inside.as_deref().or(self.file.as_deref()), overrides)?)
    }

    /// The run directory that was given in place of a job file.
    fn run_dir(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| path.is_dir())
    }
}

/// Whether a run must be there to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resume {
    /// There must be one
    Yes,
    /// Start if there is none
    Auto,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Run directory [default: the job file's name with .run, in the current folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the results of an earlier run in the run directory
    #[arg(long)]
    pub force: bool,
    /// Go on with the run in the run directory: after a kill or a stop, or to a higher n_eff; with =auto, start if there is none
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "yes", conflicts_with = "force")]
    pub resume: Option<Resume>,
    /// With --resume: a recompiled model gives the values that it gave before. Up to 32 stored points must agree to the last bit
    #[arg(long, requires = "resume")]
    pub same_model: bool,
    /// Stop with a checkpoint and exit code 75 after this time: seconds, or 90m, "1h 30m", 12:00:00, 2-00:00:00
    #[arg(long, value_name = "TIME")]
    pub time_limit: Option<TimeLimit>,
    /// Threads that evaluate on this machine, or in each rank under MPI
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub ncores: Option<u32>,
}

/// The same for a program with a likelihood of its own, `kind = "rust"` in its job files.
pub fn main_with<L: Likelihood>() -> i32 {
    model::register::<L>();
    main()
}

/// What to call the program in commands that are proposed: `fitjob`, or a program with a likelihood of its own.
fn program() -> String {
    let own = model::own().and_then(|_| Some(std::env::current_exe().ok()?.file_name()?.to_string_lossy().into_owned()));
    own.unwrap_or_else(|| "fitjob".into())
}

/// Does what the command line asks for, and gives the exit code.
pub fn main() -> i32 {
    // SAFETY: nothing has run yet, so there is one thread and no HDF5.
    unsafe { crate::output::no_hdf5_locks() };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).format_timestamp(None).init();
    let cli = Cli::parse();
    match cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Sbc(args)) => sbc::run(&args),
        Some(Command::Info) => info(),
        // The others need no second rank: under mpiexec the first one does it, and prints once.
        Some(_) if launch::detect(&Env::of_process()).rank != 0 => exit::DONE,
        Some(Command::Init(args)) => init::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Summary(args)) => summary::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Methods(args)) => methods::run(&args),
        Some(Command::Schema) => schema::run(),
    }
}

fn info() -> i32 {
    let mut world = World::init().unwrap_or_else(|refusal| refusal.exit());
    info::run(&mut world);
    world.leave(exit::DONE)
}
