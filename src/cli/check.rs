//! `fitjob check`: validates a job, evaluates prior draws on this core, and says what a run would meet.

mod doubts;

use super::{JobArgs, exit};
use crate::exec::OnError;
use crate::job::{self, Job, JobError};
use crate::launch::cores;
use crate::model::Density;
use crate::prior::Role;
use crate::random::{Purpose, stream};
use crate::task::EvalError;
use clap::Args;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Prior draws to evaluate
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub draws: u32,
    /// Cores (ranks times threads) that the run is meant for [default: those granted to this process]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub ncores: Option<u32>,
}

/// What came of one prior draw.
enum Outcome {
    Finite(f64),
    /// log L = -inf, or a reject, with its reason.
    Impossible(String),
    /// What ends a run that does not say `on_error = "reject"`.
    Bad(String),
    Broken(String),
}

struct Draw {
    theta: Vec<f64>,
    outcome: Outcome,
    seconds: f64,
}

impl Draw {
    /// Log L, where it is finite.
    fn value(&self) -> Option<f64> {
        if let Outcome::Finite(value) = self.outcome { Some(value) } else { None }
    }
}

/// Points of each sort that are shown in full.
const SHOWN: usize = 3;
/// Rough sampler seconds a call, on the root: more cores than (seconds a call) / this wait for the sampler.
const SAMPLER_SECONDS: f64 = 5e-5;

/// Prints the report and gives the exit code: 2 for a bad job, 3 for a model that cannot be run.
pub fn run(args: &CheckArgs) -> i32 {
    let job = match read(args) {
        Ok(job) => job,
        Err(error) => {
            eprint!("{}", error.report(std::io::stderr().is_terminal()));
            return exit::JOB;
        }
    };
    let draws = match draw(&job, args.draws) {
        Ok(draws) => draws,
        Err(error) => {
            eprintln!("error: the model cannot be bound to the job's parameters: {error}");
            return exit::MODEL;
        }
    };
    let cores = args.ncores.map_or_else(|| cores::granted().granted, |n| n as usize);
    // A closed pipe is the reader's business.
    let _ = std::io::stdout().write_all(report(&job, &draws, cores).as_bytes());
    match verdict(&job, &draws) {
        Ok(()) => exit::DONE,
        Err(why) => {
            eprintln!("error: {why}");
            exit::MODEL
        }
    }
}

fn read(args: &CheckArgs) -> Result<Job, JobError> {
    job::resolve(&args.job.load()?)
}

/// Evaluates `n` draws one after another.
fn draw(job: &Job, n: u32) -> Result<Vec<Draw>, EvalError> {
    let mut density = job.model.bind(job.space.names())?;
    // Once before the clock runs: the first call pages code in.
    evaluate(density.as_mut(), &prior_draw(job, 0).1);
    let one = |k: u32| {
        let theta = prior_draw(job, k).1;
        let start = Instant::now();
        let outcome = evaluate(density.as_mut(), &theta);
        Draw { theta, outcome, seconds: start.elapsed().as_secs_f64() }
    };
    Ok((0..n).map(one).collect())
}

/// Prior quantiles of the free parameters, and the values of all.
fn prior_draw(job: &Job, k: u32) -> (Vec<f64>, Vec<f64>) {
    job.space.draw(&mut stream(job.seed, Purpose::Check, 0, k.into()))
}

fn evaluate(density: &mut dyn Density, theta: &[f64]) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| density.log_like(theta))) {
        Err(_) => Outcome::Broken("the model panicked".into()),
        Ok(Err(EvalError::Fatal(why))) => Outcome::Broken(why),
        Ok(Err(EvalError::Failed(why))) => Outcome::Bad(why),
        Ok(Err(EvalError::Reject(why))) => Outcome::Impossible(why),
        Ok(Ok(f64::NEG_INFINITY)) => Outcome::Impossible("log L = -inf".into()),
        Ok(Ok(value)) if value.is_finite() => Outcome::Finite(value),
        Ok(Ok(value)) => Outcome::Bad(format!("log L = {value}")),
    }
}

fn report(job: &Job, draws: &[Draw], cores: usize) -> String {
    let mut text = format!("{}: the job is valid\n  {}\n", job.name, parameters(job));
    let _ = writeln!(text, "  sampler {}, seed {}, job digest {}", job.engine.method(), job.seed, &job.digest[..16]);
    let mut finite: Vec<f64> = draws.iter().filter_map(Draw::value).collect();
    finite.sort_by(f64::total_cmp);
    let _ = write!(text, "\n{} prior draws: {} with a finite log L", draws.len(), finite.len());
    if let (Some(low), Some(high)) = (finite.first(), finite.last()) {
        // Where a peak is very narrow, draws have hundreds of digits.
        let shown = |x: f64| if x.abs() < 1e9 { format!("{x:.6}") } else { format!("{x:.6e}") };
        let _ = write!(text, ", from {} to {}", shown(*low), shown(*high));
    }
    text.push('\n');
    text += &told(job, draws, "impossible (log L = -inf or rejected)", |o| if let Outcome::Impossible(why) = o { Some(why) } else { None });
    text += &told(job, draws, "NaN or +inf", |o| if let Outcome::Bad(why) = o { Some(why) } else { None });
    text += &told(job, draws, "failed", |o| if let Outcome::Broken(why) = o { Some(why) } else { None });
    text += &cost(job, draws, cores);
    text.extend(doubts::doubts(job, draws, times(draws).1).into_iter().map(|doubt| format!("\nwarning: {doubt}\n")));
    text
}

/// Sorted times of the calls, and their median.
fn times(draws: &[Draw]) -> (Vec<f64>, f64) {
    let mut seconds: Vec<f64> = draws.iter().map(|d| d.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    (seconds, median)
}

fn parameters(job: &Job) -> String {
    let count = |what: &str, n: usize| (n > 0).then(|| format!("{n} {what}"));
    let roles = |wanted: fn(&Role) -> bool| job.space.parameters().iter().filter(|p| wanted(&p.role)).count();
    let parts = [
        Some(format!("{} free parameters", job.space.n_free())),
        count("periodic", job.space.periodic().len()),
        count("fixed", roles(|r| matches!(r, Role::Fixed(_)))),
        count("tied", roles(|r| matches!(r, Role::Tied(_)))),
        count("derived", job.space.derived_names().len()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// How many draws ended so, and the first few of them with their parameter values.
fn told(job: &Job, draws: &[Draw], what: &str, sort: impl Fn(&Outcome) -> Option<&String>) -> String {
    let those: Vec<(&Draw, &String)> = draws.iter().filter_map(|d| Some((d, sort(&d.outcome)?))).collect();
    if those.is_empty() {
        return String::new();
    }
    let mut text = format!("  {} of {} {what}:\n", those.len(), draws.len());
    for (draw, why) in those.iter().take(SHOWN) {
        let values = job.space.names().iter().zip(&draw.theta).map(|(name, value)| format!("{name} = {value:.6e}"));
        let _ = writeln!(text, "    {}\n      {why}", values.collect::<Vec<_>>().join(", "));
    }
    if those.len() > SHOWN {
        let _ = writeln!(text, "    and {} more", those.len() - SHOWN);
    }
    text
}

fn cost(job: &Job, draws: &[Draw], cores: usize) -> String {
    let (seconds, median) = times(draws);
    let longest = seconds[seconds.len() - 1];
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    let mut text = format!("\na call takes {} (median; longest {})\n", human(median), human(longest));
    let width = job.engine.width(&job.problem()).max(1);
    let useful = (mean / SAMPLER_SECONDS).floor().clamp(1.0, width as f64) as usize;
    let limit = if useful == width { "what the method can have under way at a time" } else { "the sampler's own work" };
    let _ = match useful {
        1 => writeln!(text, "one core is enough: the sampler's own work takes about as long as the calls"),
        _ => writeln!(text, "up to about {useful} cores (ranks x threads) are worth it; the limit is {limit}"),
    };
    if cores > useful {
        let _ = writeln!(text, "of the {cores} cores asked for, about {} would wait", cores - useful);
    }
    if useful == width {
        let _ = writeln!(text, "(more can be under way with a higher {} in [sampler])", job.engine.widened_by());
    }
    text
}

fn human(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.3} us", s * 1e6),
        s if s < 1.0 => format!("{:.3} ms", s * 1e3),
        s => format!("{s:.3} s"),
    }
}

/// Whether a run of this job would go on beyond points like these.
fn verdict(job: &Job, draws: &[Draw]) -> Result<(), String> {
    let n = |sort: fn(&Outcome) -> bool| draws.iter().filter(|d| sort(&d.outcome)).count();
    let broken = n(|o| matches!(o, Outcome::Broken(_)));
    let bad = n(|o| matches!(o, Outcome::Bad(_)));
    if broken > 0 {
        return Err(format!("the model fails at {broken} of {} prior draws: a run would end there", draws.len()));
    }
    if bad > 0 && job.run.on_error == OnError::Abort {
        return Err(format!(
            "log L is NaN or +inf at {bad} of {} prior draws: a run would end there \
             (narrow the priors, mend the model, or say on_error = \"reject\" in [run])",
            draws.len()
        ));
    }
    if n(|o| matches!(o, Outcome::Finite(_))) == 0 {
        return Err(format!("none of {} prior draws has a likelihood above zero: the priors miss the data", draws.len()));
    }
    Ok(())
}
