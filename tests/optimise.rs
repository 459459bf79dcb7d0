//! The optimisers: the best point and its errors where they are known, the same bits in any order, and no success where there is none.

mod common;
mod walker_support;

use common::{fitjob, succeed, summary, text, write};
use fitjob::sampler::{self, Posterior};
use walker_support::{LogLike, digest, engine, finish, in_cube, median, of_dim, run, run_broken, spec};

const ALL: [&str; 3] = ["cmaes", "lbfgs", "nelder-mead"];

fn warned(p: &Posterior, of: &str) -> bool {
    p.warnings.iter().any(|w| w.contains(of))
}

#[test]
fn answers_in_any_order_and_runs_broken_off_give_the_same_bits() {
    let (n_dim, log_like) = in_cube("rosen2");
    for (method, settings) in
        [("cmaes", ""), ("cmaes", "restarts = \"ipop\"\nn_starts = 3"), ("lbfgs", ""), ("nelder-mead", "n_starts = 3")]
    {
        let spec = spec(method, settings);
        let whole = digest(&run(&spec, 3, n_dim, &log_like).unwrap());
        for breaks in [0.0, 0.05] {
            assert_eq!(digest(&run_broken(&spec, 3, n_dim, &log_like, breaks)), whole, "{method} {breaks}");
        }
    }
}

#[test]
fn the_top_of_a_correlated_gaussian_and_its_covariance_are_found() {
    let (n_dim, log_like) = in_cube("gauss10c");
    for method in ALL {
        let text = if method == "cmaes" { "n_starts = 3\nrestarts = \"ipop\"" } else { "n_starts = 3" };
        let p = run(&spec(method, text), 1, n_dim, &log_like).unwrap();
        let best = p.optimum.as_ref().unwrap();
        assert!(best.u.iter().all(|u| (u - 0.5).abs() < 1e-4), "{method}: {:?}", best.u);
        // Variance 1 and covariance 0.95 on a range of 20.
        for (k, c) in best.covariance.iter().enumerate() {
            let truth = if k % 11 == 0 { 1.0 } else { 0.95 } / 400.0;
            assert!((c / truth - 1.0).abs() < 1e-3, "{method} {k}: {c} {truth}");
        }
        assert_eq!((best.agree, best.starts, best.at_bound.len()), (3, 3, 0), "{method}");
        assert!(p.warnings.is_empty() && p.log_z.is_nan() && p.log_weight[0] == 0.0, "{method}: {:?}", p.warnings);
    }
}

#[test]
fn the_end_of_the_curved_valley_is_found_by_all() {
    let (n_dim, log_like) = in_cube("rosen5");
    for method in ALL {
        for seed in 0..3 {
            let p = run(&spec(method, ""), seed, n_dim, &log_like).unwrap();
            assert!(p.log_like[0] > -1e-5, "{method} {seed}: {}", p.log_like[0]);
            assert!(p.optimum.unwrap().u.iter().all(|u| (u - 0.6).abs() < 1e-3), "{method}");
        }
    }
}

#[test]
fn exact_gradients_lead_to_the_same_point_with_far_fewer_calls() {
    let log_like = |u: &[f64]| -u.iter().enumerate().map(|(i, u)| (1 + i) as f64 * 200.0 * (u - 0.3).powi(2)).sum::<f64>();
    let numeric = run(&spec("lbfgs", ""), 1, 6, &|u| Some(log_like(u))).unwrap();
    let problem = sampler::Problem { gradient: true, ..of_dim(6) };
    let mut exact = engine(&spec("lbfgs", ""), 1, problem);
    let posterior = loop {
        let tasks = match exact.ask(usize::MAX) {
            sampler::Ask::Work { tasks, .. } => tasks,
            _ => break exact.posterior().unwrap(),
        };
        for task in tasks {
            let fitjob::task::Work::LogLike(u) = &task.work else { panic!("no likelihood") };
            let derived = u.iter().enumerate().map(|(i, u)| -2.0 * (1 + i) as f64 * 200.0 * (u - 0.3)).collect();
            let outcome = Ok(fitjob::task::Value::LogLike(log_like(u)));
            exact.tell(fitjob::task::Answer { id: task.id, outcome, derived, seconds: 0.0 }).unwrap();
        }
    };
    assert!(3 * posterior.n_like < numeric.n_like, "{} {}", posterior.n_like, numeric.n_like);
    let best = posterior.optimum.unwrap();
    assert!(best.u.iter().all(|u| (u - 0.3).abs() < 1e-5) && (best.covariance[0] * 400.0 - 1.0).abs() < 1e-6, "{best:?}");
}

#[test]
fn a_best_point_at_the_end_of_a_prior_is_flagged_and_has_no_error() {
    let slope: LogLike = &|u| Some(5.0 * u[0] - 50.0 * (u[1] - 0.4).powi(2));
    for method in ALL {
        let p = run(&spec(method, ""), 2, 2, slope).unwrap();
        let best = p.optimum.unwrap();
        assert_eq!(best.at_bound, [0], "{method}: {:?}", best.u);
        assert!(best.covariance[0].is_nan() && (best.covariance[3] * 100.0 - 1.0).abs() < 1e-2, "{method}: {:?}", best.covariance);
    }
}

#[test]
fn a_peak_across_the_seam_of_a_periodic_parameter_is_one_peak() {
    let turn: LogLike = &|u| Some(40.0 * (std::f64::consts::TAU * (u[0] - 0.99)).cos() - 30.0 * (u[1] - 0.5).powi(2));
    for method in ALL {
        let problem = sampler::Problem { periodic: vec![0], ..of_dim(2) };
        let p = finish(&mut *engine(&spec(method, ""), 1, problem), turn).unwrap();
        let best = p.optimum.as_ref().unwrap();
        assert!((best.u[0] - 0.99).abs() < 1e-4 && best.at_bound.is_empty() && best.agree == best.starts, "{method}: {best:?}");
    }
}

#[test]
fn failed_points_are_ranked_last_and_a_model_that_always_fails_is_an_error() {
    // Two thirds of the cube fail, the median among them.
    let third: LogLike = &|u| (u[0] > 0.67).then(|| -100.0 * (u[0] - 0.8).powi(2) - 100.0 * (u[1] - 0.2).powi(2));
    for method in ALL {
        let p = run(&spec(method, ""), 4, 2, third).unwrap();
        let best = p.optimum.unwrap();
        assert!((best.u[0] - 0.8).abs() < 1e-3 && (best.u[1] - 0.2).abs() < 1e-3, "{method}: {:?}", best.u);
        let never = run(&spec(method, "n_starts = 2"), 4, 2, &|_| None).unwrap_err().to_string();
        assert!(never.contains("none of the") && never.contains("likelihood above zero"), "{never}");
    }
}

#[test]
fn a_plateau_is_no_success() {
    for method in ALL {
        let p = run(&spec(method, "n_starts = 2"), 4, 2, &|_| Some(-1e5)).unwrap();
        assert!(warned(&p, "no errors"), "{method}: {:?}", p.warnings);
        assert!(method == "nelder-mead" || warned(&p, "plateau"), "{method}: {:?}", p.warnings);
    }
}

#[test]
fn starts_that_end_on_different_peaks_are_told() {
    let two: LogLike = &|u| Some((-200.0 * (u[0] - 0.2).powi(2)).max(-2.0 - 200.0 * (u[0] - 0.8).powi(2)));
    for method in ["lbfgs", "nelder-mead"] {
        let p = run(&spec(method, "start = \"random\""), 5, 1, two).unwrap();
        assert!((p.optimum.as_ref().unwrap().u[0] - 0.2).abs() < 1e-4 && warned(&p, "the starts disagree"), "{method} {:?}", p.warnings);
    }
}

#[test]
fn the_limit_of_calls_is_kept_and_a_run_goes_on_with_a_higher_one() {
    let (n_dim, log_like) = in_cube("rosen5");
    for method in ALL {
        let (short, long) = (spec(method, "n_like_max = 1200"), spec(method, "n_like_max = 60000"));
        let mut sampler = engine(&short, 1, of_dim(n_dim));
        let cut = finish(&mut *sampler, &log_like).unwrap();
        assert!(cut.n_like <= 1200 && warned(&cut, "not converged"), "{method}: {} {:?}", cut.n_like, cut.warnings);
        assert!(!sampler.extend(&short) && sampler.extend(&long), "{method}");
        let more = finish(&mut *sampler, &log_like).unwrap();
        assert!(more.log_like[0] > -1e-4 && more.n_like <= 60_000, "{method}: {}", more.log_like[0]);
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let bad = [
        ("cmaes", "sigma = 0"),
        ("cmaes", "n_starts = 30"),
        ("lbfgs", "points = [[0.5]]"),
        ("nelder-mead", "size = 2"),
        ("lbfgs", "n_like_max = 5"),
    ];
    for (method, settings) in bad {
        let key = settings.split(' ').next().unwrap();
        let error = sampler::build(&spec(method, settings), 1, &of_dim(2)).err().expect(settings).to_string();
        assert!(error.contains(&format!("[sampler] {key} = ")), "{error}");
    }
}

/// Evaluations that CMA-ES takes to come within 1e-8 of the top of `cost`, median of `seeds` (specs: pycma 4.5, start 1, first step 0.3).
fn evaluations(cost: fn(&[f64]) -> f64, n: usize, start: f64, active: bool, seeds: u64) -> f64 {
    const HALF: f64 = 40.0;
    let at = vec![0.5 + start / (2.0 * HALF); n];
    let sigma = 0.3 / (2.0 * HALF);
    let text =
        format!("n_starts = 1\npoints = [{at:?}]\nsigma = {sigma}\nactive = {active}\ntarget_log_like = -1e-8\ntol_log_like = 1e-14");
    let spec = spec("cmaes", &text);
    let one = |seed| {
        let (calls, reached) = (std::cell::Cell::new(0.0), std::cell::Cell::new(f64::NAN));
        let log_like = |u: &[f64]| {
            calls.set(calls.get() + 1.0);
            let value = cost(&u.iter().map(|u| 2.0 * HALF * (u - 0.5)).collect::<Vec<_>>());
            if value <= 1e-8 && reached.get().is_nan() {
                reached.set(calls.get());
            }
            Some(-value)
        };
        run(&spec, seed, n, &log_like).unwrap();
        reached.get()
    };
    median((0..seeds).map(one).collect())
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn ellipsoid(x: &[f64]) -> f64 {
    let last = x.len() as f64 - 1.0;
    x.iter().enumerate().map(|(i, x)| 1e6f64.powf(i as f64 / last) * x * x).sum()
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|p| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2)).sum()
}

#[test]
fn cma_es_takes_as_many_evaluations_as_pycma() {
    type Row = (fn(&[f64]) -> f64, usize, f64, f64, f64);
    let rows: [Row; 5] = [
        (sphere, 10, 1.0, 1360.0, 1380.0),
        (ellipsoid, 5, 1.0, 1480.0, 1984.0),
        (ellipsoid, 10, 1.0, 3980.0, 5390.0),
        (rosenbrock, 5, 0.0, 1704.0, 1896.0),
        (rosenbrock, 10, 0.0, 4820.0, 5770.0),
    ];
    for (cost, n, start, active, plain) in rows {
        for (on, truth) in [(true, active), (false, plain)] {
            let ratio = evaluations(cost, n, start, on, 15) / truth;
            assert!((0.85..1.15).contains(&ratio), "{n} parameters, active {on}: {ratio} times {truth}");
        }
    }
}

const JOB: &str = r#"
[model]
kind = "curve"
y = "y"
formula = "a*x + b"
sigma = 0.5
data = { x = [1, 2, 3, 4], y = [1.1, 2.3, 2.9, 4.2] }
[parameters]
a = { prior = "normal", mean = 0, sd = 3 }
b = { prior = "uniform", min = 0.5, max = 5 }
[derived]
twice = "2*a"
"#;

#[test]
fn report_and_summary_show_the_best_point_with_errors_and_what_is_at_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    for method in ALL {
        let (file, out) = (folder.path().join(format!("{method}.toml")), folder.path().join(method));
        write(&file, &format!("{JOB}[sampler]\nmethod = \"{method}\"\n"));
        let said = text(&succeed(fitjob().arg(&file).arg("--out").arg(&out)).stdout);
        let found = summary(&out);
        let a = &found["optimum"]["parameters"]["a"];
        // Least squares with b held at 0.5: a = sum x (y - b) / sum x^2, error 0.5 / sqrt(sum x^2).
        assert!((a["value"].as_f64().unwrap() - 26.2 / 30.0).abs() < 1e-4, "{method}: {a}");
        assert!((a["error"].as_f64().unwrap() / (0.5 / 30f64.sqrt()) - 1.0).abs() < 1e-2, "{method}: {a}");
        let twice = found["optimum"]["parameters"]["twice"]["error"].as_f64().unwrap();
        assert!((twice / a["error"].as_f64().unwrap() - 2.0).abs() < 1e-6, "{method}: {twice}");
        assert_eq!(found["optimum"]["parameters"]["b"]["at_bound"], "lower", "{method}");
        assert!(found["parameters"]["a"]["q50"].is_null() && found["log_z"].is_null(), "{method}");
        assert!(said.contains("± error") && said.contains("at the lower end of its prior") && said.contains("searches agree"), "{said}");
        assert!(!said.contains("median"), "{said}");
    }
}
