//! Any engine over many seeds: `evidence PROBLEM [--method M] [--seeds N] [--first S] [--set key=value]... [--json FILE]`.
//!
//! One line a run: calls, log Z, its error, z = (log Z - true) / error, effective sample size, CPU. Then mean and standard deviation of
//! z, and of the posterior means: their spread over the seeds in units of sd / sqrt(n_eff), root mean square over parameters (1 is honest).
//! Everything runs on one thread without the driver; engines that use gradients get exact ones where the problem has them.

#[path = "../bench/runner.rs"]
mod runner;

use std::io::Write;

use fitjob::model::problem::Problem;
use fitjob::sampler::{self, EngineSpec, Posterior, SamplerError};
use runner::{cpu_seconds, fit};

/// What is kept of a run.
struct Row {
    log_z_off: f64,
    z: f64,
    log_z_err: f64,
    n_eff: f64,
    calls: f64,
    cpu_s: f64,
    /// Of each parameter, in units of its range.
    mean: Vec<f64>,
    sd: Vec<f64>,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| usage("a problem is missing"));
    let problem = Problem::named(&name).unwrap_or_else(|| usage("there is no such problem"));
    let (mut method, mut seeds, mut first, mut json, mut set) = ("importance-nested".to_string(), 1, 0, None, toml::Table::new());
    while let Some(flag) = args.next() {
        let value = args.next().unwrap_or_else(|| usage("a value is missing"));
        match flag.as_str() {
            "--method" => method = value,
            "--seeds" => seeds = value.parse().unwrap_or_else(|_| usage("--seeds wants a number")),
            "--first" => first = value.parse().unwrap_or_else(|_| usage("--first wants a number")),
            "--json" => json = Some(value),
            "--set" => set.extend(value.parse::<toml::Table>().unwrap_or_else(|e| usage(&e.to_string()))),
            _ => usage("there is no such option"),
        }
    }
    let settings = set.to_string().trim_end().replace('\n', ", ");
    let spec = EngineSpec::changed(&method, set).unwrap_or_else(|e| usage(&e.to_string()));
    println!("{:>4} {:>8} {:>10} {:>8} {:>6} {:>7} {:>7} {:>8}", "seed", "calls", "log Z", "err", "z", "n_eff", "CPU s", "us/call");
    let mut rows = Vec::new();
    for seed in first..first + seeds {
        let start = cpu_seconds();
        let posterior = match run(problem, &spec, seed) {
            Ok(posterior) => posterior,
            Err(why) => {
                println!("{seed:>4} failed: {why}");
                continue;
            }
        };
        let row = Row::of(&posterior, problem.log_z_true(), cpu_seconds() - start);
        println!(
            "{seed:>4} {:>8} {:>10.4} {:>8.4} {:>6.2} {:>7.0} {:>7.2} {:>8.2}",
            row.calls,
            posterior.log_z,
            row.log_z_err,
            row.z,
            row.n_eff,
            row.cpu_s,
            1e6 * row.cpu_s / row.calls
        );
        posterior.warnings.iter().for_each(|w| println!("     {w}"));
        if let Some(path) = &json {
            let line = serde_json::json!({"problem": name, "method": method, "settings": settings, "seed": seed, "calls": posterior.n_like, "log_z": posterior.log_z,
                "log_z_err": row.log_z_err, "z": row.z, "n_eff": row.n_eff, "cpu_s": row.cpu_s, "mean": row.mean, "sd": row.sd,
                "warnings": posterior.warnings.len()});
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.and_then(|mut f| writeln!(f, "{line}")).expect("the file of figures can be written");
        }
        rows.push(row);
    }
    let over = |value: &dyn Fn(&Row) -> f64| mean_and_sd(&rows, value);
    let (z, z_sd) = over(&|r| r.z);
    println!(
        "{name} by {method}: {} seeds, z mean {z:+.2} sd {z_sd:.2}; calls {:.0}, error {:.4}, bias {:+.4}, n_eff {:.0}, means {:.2}, CPU {:.2} s, {:.2} us a call",
        rows.len(),
        over(&|r| r.calls).0,
        over(&|r| r.log_z_err).0,
        over(&|r| r.log_z_off).0,
        over(&|r| r.n_eff).0,
        spread_of_means(&rows),
        over(&|r| r.cpu_s).0,
        1e6 * over(&|r| r.cpu_s).0 / over(&|r| r.calls).0
    );
}

fn usage(why: &str) -> ! {
    eprintln!("{why}\nevidence PROBLEM [--method M] [--seeds N] [--first S] [--set key=value]... [--json FILE]");
    std::process::exit(2)
}

/// A whole run, by the problem's own gradient where the engine uses one.
fn run(problem: &Problem, spec: &EngineSpec, seed: u64) -> Result<Posterior, SamplerError> {
    let middle = vec![0.5 * (problem.low + problem.high); problem.dim];
    let gradient = spec.wants_gradient() && problem.gradient(&middle).is_some();
    let range = problem.high - problem.low;
    fit(spec, seed, &sampler::Problem { n_dim: problem.dim, periodic: vec![], gradient }, &|u, slopes| {
        let x = problem.at(u);
        if gradient {
            *slopes = problem.gradient(&x).expect("it has one").into_iter().map(|slope| slope * range).collect();
        }
        problem.log_like(&x)
    })
}

impl Row {
    fn of(posterior: &Posterior, log_z_true: f64, cpu_s: f64) -> Row {
        let off = posterior.log_z - log_z_true;
        let weighted = |value: &dyn Fn(&[f64]) -> f64| -> f64 {
            posterior.u.chunks(posterior.n_dim).zip(&posterior.log_weight).map(|(u, w)| w.exp() * value(u)).sum()
        };
        let mean: Vec<f64> = (0..posterior.n_dim).map(|i| weighted(&|u| u[i])).collect();
        let sd = (0..posterior.n_dim).map(|i| weighted(&|u| (u[i] - mean[i]).powi(2)).sqrt()).collect();
        let (log_z_err, n_eff) = (posterior.log_z_err, posterior.n_eff);
        Row { log_z_off: off, z: off / log_z_err, log_z_err, n_eff, calls: posterior.n_like as f64, cpu_s, mean, sd }
    }
}

fn mean_and_sd(rows: &[Row], value: &dyn Fn(&Row) -> f64) -> (f64, f64) {
    let n = rows.len() as f64;
    let mean = rows.iter().map(value).sum::<f64>() / n;
    (mean, (rows.iter().map(|r| (value(r) - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

fn spread_of_means(rows: &[Row]) -> f64 {
    let n_dim = rows.first().map_or(0, |row| row.mean.len());
    let expected = |row: &Row, i: usize| row.sd[i] / row.n_eff.sqrt();
    let squares = (0..n_dim).map(|i| (mean_and_sd(rows, &|r| r.mean[i]).1 / mean_and_sd(rows, &|r| expected(r, i)).0).powi(2));
    (squares.sum::<f64>() / n_dim as f64).sqrt()
}
