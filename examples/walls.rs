//! Mass at faces, edges and corners of the unit cube: `walls [KIND] [D] [K] [SCALE] [--method M] [--seeds N] [--first S] [--set key=value]...`.
//!
//! K of D parameters have their mass at a wall, within SCALE of it; the others are Gaussians inside. Kinds: `slope` exp(-t / s), t the distance
//! from the wall; `cut` a Gaussian whose top is three sd beyond it; `tilt` the same with a pair of parameters of the inside leaning on the first;
//! `tension` a normal prior with a datum 10 +- 1 (SCALE is the sd of the datum); walls are the lower, the upper or by turns: `slope-low`, `slope-up`, `slope-turns`.
//! Left out: all of a table. Each line: |z| of log Z over seeds, calls, and the worst mean of a parameter in units of its error.

use fitjob::sampler::{self, Ask, EngineSpec, Posterior, SamplerError, build, toolbox};
use fitjob::task::{Answer, EvalError, Shared, Toolbox, Value, Work};

/// A log-likelihood on the cube with its evidence, and the mean distance of the first parameter from its wall.
struct Case {
    name: String,
    d: usize,
    log_like: Box<dyn Fn(&[f64]) -> f64>,
    log_z: f64,
    mean: f64,
    up: bool,
}

fn main() {
    let mut args = std::env::args().skip(1).peekable();
    let mut words = Vec::new();
    while let Some(word) = args.next_if(|a| !a.starts_with("--")) {
        words.push(word);
    }
    let (mut method, mut seeds, mut first, mut set) = ("importance-nested".to_string(), 4, 0, toml::Table::new());
    while let Some(flag) = args.next() {
        let value = args.next().unwrap_or_else(|| usage());
        match flag.as_str() {
            "--method" => method = value,
            "--seeds" => seeds = value.parse().unwrap_or_else(|_| usage()),
            "--first" => first = value.parse().unwrap_or_else(|_| usage()),
            "--set" => set.extend(value.parse::<toml::Table>().unwrap_or_else(|_| usage())),
            _ => usage(),
        }
    }
    let spec = EngineSpec::changed(&method, set).unwrap_or_else(|e| panic!("{e}"));
    let number = |at: usize| words[at].parse::<f64>().unwrap_or_else(|_| usage());
    let cases = match words.len() {
        0 => table(),
        4 => vec![case(&words[0], number(1) as usize, number(2) as usize, number(3))],
        _ => usage(),
    };
    for case in cases {
        measure(&case, &spec, first, seeds);
    }
}

fn usage() -> ! {
    eprintln!("walls [KIND D K SCALE] [--method M] [--seeds N] [--first S] [--set key=value]...");
    std::process::exit(2)
}

fn table() -> Vec<Case> {
    let rows = [
        ("slope-low", 1, 1, 1e-12),
        ("slope-up", 2, 2, 1e-8),
        ("slope-turns", 3, 3, 1e-1),
        ("slope-low", 4, 4, 1e-2),
        ("cut-low", 4, 4, 1e-2),
        ("slope-up", 5, 3, 1e-4),
        ("tilt-low", 6, 2, 1e-3),
        ("cut-turns", 8, 8, 1e-6),
        ("slope-low", 12, 12, 1e-1),
        ("slope-turns", 12, 12, 1e-12),
        ("cut-low", 12, 1, 1e-5),
        ("tension-up", 2, 2, 1.0),
        ("tension-turns", 4, 4, 1.0),
    ];
    rows.iter().map(|(kind, d, k, scale)| case(kind, *d, *k, *scale)).collect()
}

/// ln of the integral of exp(-(x - c)^2 / 2 s^2) over all x: the ends cut off nothing.
const INSIDE: (f64, f64) = (0.4, 0.05);

fn case(kind: &str, d: usize, k: usize, scale: f64) -> Case {
    let (shape, side) = kind.split_once('-').unwrap_or_else(|| usage());
    let up = match side {
        "low" => [false, false],
        "up" => [true, true],
        "turns" => [false, true],
        _ => usage(),
    };
    let inside = (INSIDE.1 * std::f64::consts::TAU.sqrt()).ln();
    let tail = 1.349898031630094526e-3; // Phi(-3)
    let (one, log_z, mean): (fn(f64, f64) -> f64, f64, f64) = match shape {
        "slope" => (|t, s| -t / s, (scale * (1.0 - (-1.0 / scale).exp())).ln(), scale - 1.0 / ((1.0 / scale).exp() - 1.0)),
        "cut" | "tilt" => (
            |t, s| -0.5 * (t / s + 3.0).powi(2),
            (scale * std::f64::consts::TAU.sqrt() * tail).ln(),
            scale * (4.431848411938008e-3 / tail - 3.0),
        ),
        // Prior N(0, 1), datum 10 +- s.
        "tension" => {
            let s2 = scale * scale;
            (|t, s| -0.5 * ((10.0 + quantile(t)) / s).powi(2), -50.0 / (1.0 + s2) + 0.5 * (s2 / (1.0 + s2)).ln(), f64::NAN)
        }
        _ => usage(),
    };
    let lean = if shape == "tilt" { 0.5 / scale * INSIDE.1 } else { 0.0 };
    let log_like = move |u: &[f64]| -> f64 {
        let at = |j: usize| if up[j % 2] { 1.0 - u[j] } else { u[j] };
        let walls: f64 = (0..k).map(|j| one(at(j), scale)).sum();
        let push = lean * at(0);
        walls + u[k..].iter().map(|u| -0.5 * ((u - INSIDE.0 - push) / INSIDE.1).powi(2)).sum::<f64>()
    };
    let log_z = k as f64 * log_z + (d - k) as f64 * inside;
    Case { name: format!("{kind} d {d} k {k} scale {scale:e}"), d, log_like: Box::new(log_like), log_z, mean, up: up[0] }
}

/// Standard normal quantile, by bisection of erfc: slow and sure.
fn quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -quantile(1.0 - p);
    }
    let (mut low, mut high) = (-40.0, 0.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

fn measure(case: &Case, spec: &EngineSpec, first: u64, seeds: u64) {
    let start = std::time::Instant::now();
    let (mut z, mut calls, mut error, mut means, mut notes) = (Vec::new(), Vec::new(), 0.0f64, Vec::new(), Vec::new());
    for seed in first..first + seeds {
        let p = match fit(case, spec, seed) {
            Ok(p) => p,
            Err(why) => {
                println!("{}: seed {seed} failed: {why}", case.name);
                continue;
            }
        };
        z.push((p.log_z - case.log_z) / p.log_z_err);
        calls.push(p.n_like as f64);
        error = error.max(p.log_z_err);
        let distance = |u: &[f64]| if case.up { 1.0 - u[0] } else { u[0] };
        let weighted = |f: &dyn Fn(f64) -> f64| p.u.chunks(case.d).zip(&p.log_weight).map(|(u, w)| w.exp() * f(distance(u))).sum::<f64>();
        let mean = weighted(&|t| t);
        means.push((mean - case.mean) / (weighted(&|t| (t - mean).powi(2)) / p.n_eff).sqrt());
        notes.extend(p.warnings);
    }
    let (z_mean, z_sd) = mean_and_sd(&z);
    let (m_mean, m_sd) = mean_and_sd(&means);
    let worst = z.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    println!(
        "{:<34} {} seeds: z {z_mean:+7.2} sd {z_sd:.2} worst {worst:.1}  err {error:.4}  mean off {m_mean:+.2} sd {m_sd:.2}  calls {:.0} {:.1} s a run",
        case.name,
        z.len(),
        mean_and_sd(&calls).0,
        start.elapsed().as_secs_f64() / seeds as f64
    );
    notes.sort();
    notes.dedup();
    notes.iter().for_each(|w| println!("    {w}"));
}

fn mean_and_sd(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (mean, (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// A whole run on this thread.
fn fit(case: &Case, spec: &EngineSpec, seed: u64) -> Result<Posterior, SamplerError> {
    let mut sampler = build(spec, seed, &sampler::Problem { n_dim: case.d, periodic: vec![], gradient: false })?;
    let mut toolbox = toolbox();
    let mut shared: Vec<Shared> = Vec::new();
    loop {
        match sampler.ask(usize::MAX) {
            Ask::Done(_) => return sampler.posterior(),
            Ask::Wait => panic!("the sampler waits although nothing is outstanding"),
            Ask::Work { publish, tasks, retire } => {
                shared.extend(publish);
                for task in tasks {
                    let outcome = compute(case, toolbox.as_mut(), &shared, &task.work);
                    sampler.tell(Answer { id: task.id, outcome, derived: Vec::new(), seconds: 0.0 })?;
                }
                shared.retain(|s| !retire.contains(&s.key));
            }
        }
    }
}

fn compute(case: &Case, toolbox: &mut dyn Toolbox, shared: &[Shared], work: &Work) -> Result<Value, EvalError> {
    match work {
        Work::LogLike(u) => Ok(Value::LogLike((case.log_like)(u))),
        Work::Compute { kind, needs, input } => {
            let needed: Vec<&Shared> = needs.iter().map(|key| shared.iter().find(|s| s.key == *key).expect("published")).collect();
            toolbox.compute(*kind, &needed, input).map(Value::Bytes)
        }
    }
}
