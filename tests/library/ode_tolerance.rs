//! Tolerances of solvers: what they do to log L, the one that `rtol = "auto"` finds, and a fit that needs it.

use fitjob::fit::Fit;
use fitjob::job::{self, Job, Source};
use fitjob::session::{self, Outcome};
use fitjob::world::World;
use std::path::Path;

/// An oscillator over many periods: the error of its phase grows with time.
fn oscillator(keys: &str, sampler: &str) -> Source {
    let t: Vec<f64> = (0..100).map(|k| 0.6 * f64::from(k)).collect();
    let y: Vec<f64> = t.iter().enumerate().map(|(k, t)| (1.3 * t).cos() + 0.02 * (k as f64 * 2.7).sin()).collect();
    let text = format!(
        r#"
seed = 1
[model]
kind = "ode"
code = """
in_i {{ w = 1 }}
u_i {{ x = 1, v = 0 }}
F_i {{ v, -w*w*x }}
"""
time = "t"
data = {{ t = {t:?}, y = {y:?} }}
{keys}
[[model.observe]]
output = "x"
column = "y"
sigma = 0.02
[parameters]
w = {{ prior = "uniform", min = 1.2, max = 1.4 }}
[sampler]
{sampler}
"#
    );
    source(text)
}

fn source(text: String) -> Source {
    Source { name: "job.toml".into(), text, base: std::env::temp_dir(), overrides: vec![], json: false }
}

fn resolved(source: Source) -> Job {
    job::resolve(&job::load(source).unwrap()).unwrap()
}

fn fit(job: &Job) -> Fit {
    match session::fit(&mut World::solo(), job, 1, None).unwrap().0 {
        Outcome::Done(fit) => *fit,
        Outcome::Stopped(stop) => panic!("{stop:?}"),
    }
}

#[test]
fn the_tolerance_that_is_found_is_small_enough_and_is_written_into_the_job() {
    for method in ["bdf", "tsit45"] {
        let found = resolved(oscillator(&format!("method = \"{method}\"\nrtol = \"auto\""), ""));
        let line = |key: &str| found.resolved_toml.lines().find(|line| line.starts_with(key)).unwrap().to_string();
        let rtol: f64 = line("rtol").split(" = ").nth(1).unwrap().parse().unwrap();
        let atol: f64 = line("atol").split(" = ").nth(1).unwrap().parse().unwrap();
        assert!((1e-11..1e-4).contains(&rtol) && (atol / rtol - 0.01).abs() < 1e-9, "{method}: {rtol} {atol}");
        // Found again, and by a job with another seed: the same question.
        let again = resolved(oscillator(&format!("method = \"{method}\"\nrtol = \"auto\""), ""));
        assert_eq!(found.digest, again.digest);
        let solver = found.model.solver().unwrap();
        let error = |rtol: f64| solver.errors(found.space.names(), &[vec![1.3]], rtol).unwrap()[0];
        assert!(
            solver.rtol() == rtol && error(rtol) < 0.02 && error(100.0 * rtol) > 2.0 * error(rtol),
            "{method}: {} {}",
            error(rtol),
            error(100.0 * rtol)
        );
        // What is given stands.
        let typed = resolved(oscillator("rtol = \"auto\"\natol = 3e-5", ""));
        assert!(typed.resolved_toml.contains("atol = 3e-5") || typed.resolved_toml.contains("atol = 0.00003"), "{}", typed.resolved_toml);
    }
}

#[test]
fn a_run_says_by_how_much_its_solver_puts_log_l_off_and_what_would_do() {
    let of = |keys: &str| fit(&resolved(oscillator(keys, "method = \"lbfgs\"")));
    let error = |fit: &Fit| fit.diagnostics.iter().find(|d| d.0 == "solver_error").unwrap().1;
    let (coarse, fine) = (of("rtol = 1e-3\natol = 1e-5"), of("rtol = \"auto\""));
    assert!(error(&coarse) > 0.5 && error(&fine) < 0.02, "{} {}", error(&coarse), error(&fine));
    let told = |fit: &Fit| fit.warnings.iter().find(|w| w.contains("tolerances of the solver")).cloned();
    let warning = told(&coarse).unwrap();
    assert!(told(&fine).is_none() && warning.contains("would do"), "{warning}");
    // The tolerance that is named does.
    let rtol: f64 = warning.split("): rtol = ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    let named = of(&format!("rtol = {rtol:e}\natol = {:e}", 0.01 * rtol));
    assert!(told(&named).is_none(), "{:?}", named.warnings);
    assert!(fine.optimum.as_ref().unwrap().errors[0] > 0.0);
}

#[test]
fn words_in_place_of_a_tolerance_are_refused() {
    let error = job::load(oscillator("rtol = \"fine\"", "")).err().unwrap().to_string();
    assert!(error.contains("a number, or \"auto\""), "{error}");
}

/// Lotka & Volterra through the data of diffid's tutorial, whose truth is a solution of low accuracy: the best point of an accurate one, by DOP853 at
/// 1e-11, has a sum of squares of 313.5119.
const BEST: [f64; 4] = [1.1148, 0.422714, 0.094861, 0.389522];

fn lotka_volterra(method: &str, seed: u64) -> Option<Fit> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/diffid_lv/lv_data.npy");
    let Ok(bytes) = std::fs::read(&file) else {
        println!("SKIPPED: {} is not there", file.display());
        return None;
    };
    let numbers: Vec<f64> = bytes[128..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    let column = |k: usize| numbers.iter().skip(k).step_by(3).copied().collect::<Vec<f64>>();
    let text = format!(
        r#"
seed = {seed}
[model]
kind = "ode"
method = "tsit45"
rtol = "auto"
code = """
in_i {{ alpha = 1, beta = 0.4, delta = 0.1, gamma = 0.4 }}
u_i {{ x = 10, y = 5 }}
F_i {{ alpha*x - beta*x*y, delta*x*y - gamma*y }}
"""
time = "t"
data = {{ t = {:?}, prey = {:?}, predator = {:?} }}
[[model.observe]]
output = "x"
column = "prey"
sigma = 0.56
[[model.observe]]
output = "y"
column = "predator"
sigma = 0.56
[parameters]
alpha = {{ prior = "uniform", min = 0.1, max = 3 }}
beta = {{ prior = "uniform", min = 0.05, max = 1.5 }}
delta = {{ prior = "uniform", min = 0.01, max = 0.5 }}
gamma = {{ prior = "uniform", min = 0.05, max = 1.5 }}
[sampler]
method = "{method}"
"#,
        column(0),
        column(1),
        column(2)
    );
    Some(fit(&resolved(source(text))))
}

fn finds_the_best_point(method: &str, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let Some(fit) = lotka_volterra(method, seed) else { return };
        let (best, x) = (fit.optimum.as_ref().unwrap(), &fit.theta[..4]);
        let off = |k: usize| (x[k] / BEST[k] - 1.0).abs();
        assert!((0..4).all(|k| off(k) < 1e-4), "{method} {seed}: {x:?}");
        // Standard deviations of 1000 data with sigma 0.56: 1.5 % of each parameter.
        assert!((0..4).all(|k| (best.errors[k] / x[k] - 0.015).abs() < 0.006), "{method} {seed}: {:?} {:?}", best.errors, fit.warnings);
    }
}

#[test]
#[ignore = "ten minutes"]
fn lotka_and_volterra_are_fitted_from_every_seed() {
    for method in ["lbfgs", "cmaes"] {
        finds_the_best_point(method, 100..130);
    }
}
