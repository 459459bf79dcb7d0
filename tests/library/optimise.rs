//! The optimisers: the best point and its errors where they are known, and no success where there is none.

use crate::support::known::in_cube;
use crate::support::{LogLike, Site, engine, finish, of_dim, run, spec, warned};
use fitjob::sampler::{self, build};

const ALL: [&str; 3] = ["cmaes", "lbfgs", "nelder-mead"];

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
    let slopes = |u: &[f64]| u.iter().enumerate().map(|(i, u)| -2.0 * (1 + i) as f64 * 200.0 * (u - 0.3)).collect();
    let numeric = run(&spec("lbfgs", ""), 1, 6, &log_like).unwrap();
    let problem = sampler::Problem { gradient: true, ..of_dim(6) };
    let mut exact = build(&spec("lbfgs", ""), 1, &problem).unwrap();
    let posterior = Site::new(&log_like).with_slopes(&slopes).run(&mut *exact).unwrap();
    assert!(3 * posterior.n_like < numeric.n_like, "{} {}", posterior.n_like, numeric.n_like);
    let best = posterior.optimum.unwrap();
    assert!(best.u.iter().all(|u| (u - 0.3).abs() < 1e-5) && (best.covariance[0] * 400.0 - 1.0).abs() < 1e-6, "{best:?}");
}

#[test]
fn a_best_point_at_the_end_of_a_prior_is_flagged_and_has_no_error() {
    let slope: LogLike = &|u| 5.0 * u[0] - 50.0 * (u[1] - 0.4).powi(2);
    for method in ALL {
        let p = run(&spec(method, ""), 2, 2, slope).unwrap();
        let best = p.optimum.unwrap();
        assert_eq!(best.at_bound, [0], "{method}: {:?}", best.u);
        assert!(best.covariance[0].is_nan() && (best.covariance[3] * 100.0 - 1.0).abs() < 1e-2, "{method}: {:?}", best.covariance);
    }
}

#[test]
fn a_peak_across_the_seam_of_a_periodic_parameter_is_one_peak() {
    let turn: LogLike = &|u| 40.0 * (std::f64::consts::TAU * (u[0] - 0.99)).cos() - 30.0 * (u[1] - 0.5).powi(2);
    for method in ALL {
        let p = finish(&mut *engine(&spec(method, ""), 1, 2, &[0]), turn).unwrap();
        let best = p.optimum.as_ref().unwrap();
        assert!((best.u[0] - 0.99).abs() < 1e-4 && best.at_bound.is_empty() && best.agree == best.starts, "{method}: {best:?}");
    }
}

#[test]
fn failed_points_are_ranked_last_and_a_model_that_always_fails_is_an_error() {
    // Two thirds of the cube fail, the median among them.
    let peak = |u: &[f64]| -100.0 * (u[0] - 0.8).powi(2) - 100.0 * (u[1] - 0.2).powi(2);
    let third: LogLike = &|u| if u[0] > 0.67 { peak(u) } else { f64::NEG_INFINITY };
    for method in ALL {
        let p = run(&spec(method, ""), 4, 2, third).unwrap();
        let best = p.optimum.unwrap();
        assert!((best.u[0] - 0.8).abs() < 1e-3 && (best.u[1] - 0.2).abs() < 1e-3, "{method}: {:?}", best.u);
        let never = run(&spec(method, "n_starts = 2"), 4, 2, &|_| f64::NEG_INFINITY).unwrap_err().to_string();
        assert!(never.contains("none of the") && never.contains("likelihood above zero"), "{never}");
    }
}

#[test]
fn a_plateau_is_no_success() {
    for method in ALL {
        let p = run(&spec(method, "n_starts = 2"), 4, 2, &|_| -1e5).unwrap();
        assert!(warned(&p, "no errors"), "{method}: {:?}", p.warnings);
        assert!(method == "nelder-mead" || warned(&p, "plateau"), "{method}: {:?}", p.warnings);
    }
}

#[test]
fn starts_that_end_on_different_peaks_are_told() {
    let two: LogLike = &|u| (-200.0 * (u[0] - 0.2).powi(2)).max(-2.0 - 200.0 * (u[0] - 0.8).powi(2));
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
        let mut sampler = engine(&short, 1, n_dim, &[]);
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
            -value
        };
        run(&spec, seed, n, &log_like).unwrap();
        reached.get()
    };
    let mut calls: Vec<f64> = (0..seeds).map(one).collect();
    calls.sort_by(f64::total_cmp);
    calls[calls.len() / 2]
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

/// pycma 4.5: medians with and without active updates.
type Row = (fn(&[f64]) -> f64, usize, f64, f64, f64);
const PYCMA: [Row; 5] = [
    (sphere, 10, 1.0, 1360.0, 1380.0),
    (ellipsoid, 5, 1.0, 1480.0, 1984.0),
    (ellipsoid, 10, 1.0, 3980.0, 5390.0),
    (rosenbrock, 5, 0.0, 1704.0, 1896.0),
    (rosenbrock, 10, 0.0, 4820.0, 5770.0),
];

fn as_many_as_pycma(seeds: u64, within: f64) {
    for (cost, n, start, active, plain) in PYCMA {
        for (on, truth) in [(true, active), (false, plain)] {
            let ratio = evaluations(cost, n, start, on, seeds) / truth;
            assert!((ratio - 1.0).abs() < within, "{n} parameters, active {on}: {ratio} times {truth}");
        }
    }
}

#[test]
fn cma_es_takes_as_many_evaluations_as_pycma() {
    as_many_as_pycma(5, 0.2);
}

#[test]
#[ignore = "half a minute"]
fn cma_es_takes_as_many_evaluations_as_pycma_over_45_seeds() {
    as_many_as_pycma(45, 0.12);
}
