//! Statistics of the evidence over seeds: `evidence PROBLEM [--seeds N] [--first S] [--set key=value]... [--json FILE]`.
//!
//! One line a run: calls, log Z, its error, z = (log Z - true) / error, effective sample size, CPU of the sampler;
//! then mean and standard deviation of z. Everything runs on one thread without the driver.

use std::io::Write;

use fitjob::model::problem::Problem;
use fitjob::sampler::importance_nested::{ImportanceNested, Settings};
use fitjob::sampler::{Ask, Posterior, Sampler, toolbox};
use fitjob::task::{Answer, Shared, Task, Toolbox, Value, Work};

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| usage());
    let problem = Problem::named(&name).unwrap_or_else(|| usage());
    let (mut seeds, mut first, mut json, mut table) = (1, 0, None, toml::Table::new());
    while let Some(flag) = args.next() {
        let value = args.next().unwrap_or_else(|| usage());
        match flag.as_str() {
            "--seeds" => seeds = value.parse().unwrap_or_else(|_| usage()),
            "--first" => first = value.parse().unwrap_or_else(|_| usage()),
            "--json" => json = Some(value),
            "--set" => table.extend(value.parse::<toml::Table>().unwrap_or_else(|_| usage())),
            _ => usage(),
        }
    }
    let settings: Settings = table.try_into().unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(2)
    });
    println!(
        "{:>4} {:>7} {:>10} {:>8} {:>6} {:>7} {:>7} {:>6} bounds rounds halves occupation",
        "seed", "calls", "log Z", "err", "z", "n_eff", "CPU s", "ms/c"
    );
    let mut rows = Vec::new();
    for seed in first..first + seeds {
        let start = cpu_seconds();
        let posterior = fit(problem, &settings, seed);
        let cpu = cpu_seconds() - start;
        let z = (posterior.log_z - problem.log_z_true()) / posterior.log_z_err;
        let look = |key: &str| posterior.diagnostics.iter().find(|d| d.0 == key).map_or(f64::NAN, |d| d.1);
        println!(
            "{seed:>4} {:>7} {:>10.4} {:>8.4} {z:>6.2} {:>7.0} {cpu:>7.2} {:>6.3} {:>4} {:>4} {:>6.2} {:.3} x{:+.4}",
            posterior.n_like,
            posterior.log_z,
            posterior.log_z_err,
            posterior.n_eff,
            1e3 * cpu / posterior.n_like as f64,
            look("bounds"),
            look("rounds"),
            look("split_half_z"),
            look("occupation"),
            look("log_z_explored") - problem.log_z_true()
        );
        posterior.warnings.iter().for_each(|w| println!("     {w}"));
        if let Some(path) = &json {
            let line = serde_json::json!({"problem": name, "seed": seed, "calls": posterior.n_like, "log_z": posterior.log_z,
                "log_z_err": posterior.log_z_err, "z": z, "n_eff": posterior.n_eff, "cpu_s": cpu, "bounds": look("bounds")});
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.and_then(|mut f| writeln!(f, "{line}")).expect("the file of figures can be written");
        }
        rows.push((z, posterior.n_like as f64, cpu, posterior.log_z_err, posterior.log_z - problem.log_z_true(), posterior.n_eff));
    }
    let n = rows.len() as f64;
    type Row = (f64, f64, f64, f64, f64, f64);
    let mean = |f: &dyn Fn(&Row) -> f64| rows.iter().map(f).sum::<f64>() / n;
    let z = mean(&|r| r.0);
    let sd = (rows.iter().map(|r| (r.0 - z).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    println!(
        "{name}: {n} seeds, z mean {z:+.2} sd {sd:.2}; calls {:.0}, error {:.4}, bias {:+.4}, n_eff {:.0}, CPU {:.2} s, {:.3} ms a call",
        mean(&|r| r.1),
        mean(&|r| r.3),
        mean(&|r| r.4),
        mean(&|r| r.5),
        mean(&|r| r.2),
        1e3 * mean(&|r| r.2 / r.1)
    );
}

fn usage() -> ! {
    eprintln!("evidence PROBLEM [--seeds N] [--first S] [--set key=value]... [--json FILE]");
    std::process::exit(2)
}

/// A whole run on this thread.
fn fit(problem: &Problem, settings: &Settings, seed: u64) -> Posterior {
    let mut sampler = ImportanceNested::new(settings.clone(), seed, problem.dim, &[]).unwrap_or_else(|e| panic!("{e}"));
    let mut toolbox = toolbox();
    let mut shared: Vec<Shared> = Vec::new();
    loop {
        match sampler.ask(usize::MAX) {
            Ask::Done(_) => return sampler.posterior().unwrap_or_else(|e| panic!("{e}")),
            Ask::Wait => panic!("the sampler waits although nothing is outstanding"),
            Ask::Work { publish, tasks, retire } => {
                shared.extend(publish);
                for task in tasks {
                    let answer = answer(problem, toolbox.as_mut(), &shared, task);
                    sampler.tell(answer).unwrap_or_else(|e| panic!("{e}"));
                }
                shared.retain(|s| !retire.contains(&s.key));
            }
        }
    }
}

fn answer(problem: &Problem, toolbox: &mut dyn Toolbox, shared: &[Shared], task: Task) -> Answer {
    let outcome = match &task.work {
        Work::LogLike(u) => {
            let x: Vec<f64> = u.iter().map(|u| problem.low + (problem.high - problem.low) * u).collect();
            Ok(Value::LogLike(problem.log_like(&x)))
        }
        Work::Compute { kind, needs, input } => {
            let needed: Vec<&Shared> = needs.iter().map(|key| shared.iter().find(|s| s.key == *key).expect("published")).collect();
            toolbox.compute(*kind, &needed, input).map(Value::Bytes)
        }
    };
    Answer { id: task.id, outcome, derived: Vec::new(), seconds: 0.0 }
}

/// User CPU time of this process.
fn cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct it is given.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_utime.tv_sec as f64 + 1e-6 * usage.ru_utime.tv_usec as f64
}
