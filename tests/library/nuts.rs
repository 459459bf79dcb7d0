//! The No-U-Turn sampler: right answers where they are known.

use crate::support::{self, Site, diagnostic};
use fitjob::model::problem::Problem as Known;
use fitjob::sampler::{EngineSpec, Posterior, Problem, Sampler, SamplerError, build};
use fitjob::stats::chains::Mixing;

/// log L at a point of the unit cube, and its gradient where there is one; None: the point is impossible.
type Target<'a> = &'a dyn Fn(&[f64]) -> Option<(f64, Vec<f64>)>;

/// Small and quick.
const QUICK: &str = "chains = 3\nwarmup = 60\nblock = 50\nn_eff = 60";

fn spec(text: &str) -> EngineSpec {
    support::spec("nuts", text)
}

fn engine(text: &str, seed: u64, problem: &Problem) -> Box<dyn Sampler> {
    build(&spec(text), seed, problem).expect("the test's settings work")
}

fn problem(n_dim: usize, gradient: bool) -> Problem {
    Problem { n_dim, gradient, ..Problem::default() }
}

/// Every task at once, in the order asked.
fn go(sampler: &mut dyn Sampler, target: Target) -> Result<Posterior, SamplerError> {
    let value = |u: &[f64]| target(u).map_or(f64::NEG_INFINITY, |(value, _)| value);
    let slopes = |u: &[f64]| target(u).expect("of a finite log L").1;
    Site::new(&value).with_slopes(&slopes).run(sampler)
}

fn run(text: &str, seed: u64, problem: &Problem, target: Target) -> Posterior {
    go(&mut *engine(text, seed, problem), target).unwrap()
}

fn draws(p: &Posterior) -> Vec<u64> {
    p.u.iter().chain(&p.log_like).chain(&p.log_weight).chain([&p.n_eff]).map(|x| x.to_bits()).collect()
}

/// Standard deviation 0.05 about 0.4 in each coordinate, correlation 0.8 of the first two.
fn gauss(u: &[f64]) -> Option<(f64, Vec<f64>)> {
    let y: Vec<f64> = u.iter().map(|u| (u - 0.4) / 0.05).collect();
    let c = 1.0 / (1.0 - 0.64);
    let mut gradient: Vec<f64> = y.iter().map(|y| -y / 0.05).collect();
    let mut log_like = -0.5 * y.iter().map(|y| y * y).sum::<f64>();
    if u.len() > 1 {
        log_like += 0.5 * (y[0] * y[0] + y[1] * y[1]) - 0.5 * c * (y[0] * y[0] - 1.6 * y[0] * y[1] + y[1] * y[1]);
        (gradient[0], gradient[1]) = (-c * (y[0] - 0.8 * y[1]) / 0.05, -c * (y[1] - 0.8 * y[0]) / 0.05);
    }
    Some((log_like, gradient))
}

/// What `target` gives, without its gradient.
fn values_only(target: Target) -> impl Fn(&[f64]) -> Option<(f64, Vec<f64>)> {
    move |u| target(u).map(|(log_like, _)| (log_like, Vec::new()))
}

fn column(p: &Posterior, i: usize, f: impl Fn(f64) -> f64) -> Vec<f64> {
    p.u.iter().skip(i).step_by(p.n_dim).map(|u| f(*u)).collect()
}

/// (mean - truth) in Monte Carlo standard errors.
fn off(values: &[f64], n_chains: usize, truth: f64) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean - truth) / Mixing::of(values, n_chains, 0).mcse_mean
}

#[test]
fn a_finished_run_goes_on_to_a_higher_target_with_the_draws_of_a_run_that_had_it_from_the_start() {
    let (low, high) = (format!("{QUICK}\nmax_draws = 4000"), "chains = 3\nwarmup = 60\nblock = 50\nmax_draws = 4000\nn_eff = 500");
    let mut sampler = engine(&low, 5, &problem(2, true));
    let first = go(&mut *sampler, &gauss).unwrap();
    assert!(!sampler.extend(&spec(&low)), "it has reached this");
    assert!(sampler.extend(&spec(high)));
    let further = go(&mut *sampler, &gauss).unwrap();
    assert!(first.n_eff >= 60.0 && first.n_eff < 500.0 && further.n_eff >= 500.0);
    assert_eq!(draws(&further), draws(&run(high, 5, &problem(2, true), &gauss)));
}

#[test]
fn the_limit_of_calls_is_kept_and_a_higher_one_goes_on_in_the_middle_of_a_trajectory() {
    let limited = |most: u64| format!("chains = 3\nwarmup = 60\nblock = 50\nn_eff = 1e6\nn_like_max = {most}");
    let mut sampler = engine(&limited(3000), 1, &problem(2, false));
    let cut = go(&mut *sampler, &values_only(&gauss));
    assert!(cut.is_err_and(|e| e.0.contains("warming up")));
    assert!(sampler.extend(&spec(&limited(20_000))));
    let more = go(&mut *sampler, &values_only(&gauss)).unwrap();
    // A chain whose share lasts beyond the last block that all can finish leaves the rest of it.
    assert!(more.n_like <= 20_000 && more.n_like > 18_000 && more.warnings.iter().any(|w| w.contains("not converged")), "{}", more.n_like);
    assert_eq!(draws(&more), draws(&run(&limited(20_000), 1, &problem(2, false), &values_only(&gauss))));
}

#[test]
fn means_and_spreads_are_right_with_gradients_and_with_differences_and_by_every_metric() {
    let plain = values_only(&gauss);
    let mut worst = 0.0;
    for adaptation in ["gradients", "windows"] {
        for metric in ["auto", "diagonal", "low-rank", "dense"] {
            for (gradient, target) in [(true, &gauss as Target), (false, &plain)] {
                let text = format!("n_eff = 1500\nadaptation = \"{adaptation}\"\nmetric = \"{metric}\"");
                let p = run(&text, 7, &problem(3, gradient), target);
                assert!(p.log_z.is_nan() && p.n_chains == 4 && p.n_eff >= 1500.0 && p.warnings.is_empty(), "{:?}", p.warnings);
                for i in 0..3 {
                    let mean = off(&column(&p, i, |u| u), 4, 0.4);
                    let square = off(&column(&p, i, |u| ((u - 0.4) / 0.05).powi(2)), 4, 1.0);
                    worst = f64::max(worst, mean.abs().max(square.abs()));
                }
            }
        }
    }
    // The largest of 96 normal deviates.
    assert!(worst < 4.2, "{worst}");
}

#[test]
fn a_periodic_parameter_is_sampled_across_its_ends() {
    // von Mises of concentration 3 about u = 0: mean cosine I1(3)/I0(3).
    let vonmises = |u: &[f64]| {
        let angle = std::f64::consts::TAU * u[0];
        Some((3.0 * angle.cos() - 50.0 * (u[1] - 0.5).powi(2), vec![-3.0 * std::f64::consts::TAU * angle.sin(), -100.0 * (u[1] - 0.5)]))
    };
    let ring = Problem { n_dim: 2, periodic: vec![0], gradient: true };
    let p = run("n_eff = 3000", 3, &ring, &vonmises);
    let (sine, cosine) = (|u: f64| (std::f64::consts::TAU * u).sin(), |u: f64| (std::f64::consts::TAU * u).cos());
    assert!(off(&column(&p, 0, sine), 4, 0.0).abs() < 4.0);
    assert!(off(&column(&p, 0, cosine), 4, 0.809_985_293_956_660_1).abs() < 4.0);
    // Nothing is known of the angle: uniform, and no trajectory goes round and round.
    let flat = run("n_eff = 2000", 3, &ring, &|u| Some((-50.0 * (u[1] - 0.5).powi(2), vec![0.0, -100.0 * (u[1] - 0.5)])));
    assert!(off(&column(&flat, 0, |u| u), 4, 0.5).abs() < 4.0 && off(&column(&flat, 0, |u| (u - 0.5).powi(2)), 4, 1.0 / 12.0).abs() < 4.0);
    assert!(flat.transitions.unwrap().tree_depth.iter().all(|depth| *depth < 8));
}

#[test]
fn impossible_regions_plateaus_and_one_dimension_are_no_obstacle() {
    // Half of the prior is rejected: what is left is uniform on [1/2, 1].
    let half = |u: &[f64]| (u[0] >= 0.5).then(|| (0.0, vec![0.0]));
    let p = run("n_eff = 2000\nmetric = \"diagonal\"", 2, &problem(1, true), &half);
    assert!(p.u.iter().all(|u| *u >= 0.5) && off(&column(&p, 0, |u| u), 4, 0.75).abs() < 4.0);
    let flat = run("n_eff = 2000", 2, &problem(1, false), &|_| Some((-3.0, vec![])));
    assert!(off(&column(&flat, 0, |u| u), 4, 0.5).abs() < 4.0 && off(&column(&flat, 0, |u| u * u), 4, 1.0 / 3.0).abs() < 4.0);
    let error = go(&mut *engine("starts = 2", 1, &problem(2, true)), &|_| None).unwrap_err();
    assert!(error.0.contains("no chain can begin"), "{error}");
    let error = go(&mut *engine("starts = 2", 1, &problem(2, true)), &|_| Some((f64::NAN, vec![0.0; 2]))).unwrap_err();
    assert!(error.0.contains("NaN"), "{error}");
}

#[test]
fn divergences_and_chains_in_different_modes_are_told() {
    let funnel = Known::named("funnel10").unwrap();
    let target = |u: &[f64]| Some((funnel.log_like(u), vec![]));
    let p = run("n_eff = 1e9\nmax_draws = 250\nwarmup = 300", 1, &problem(10, false), &target);
    assert!(p.warnings.iter().any(|w| w.contains("diverged")), "{:?}", p.warnings);
    let modes = |u: &[f64]| {
        let (a, b) = ((u[0] - 0.1) / 0.01, (u[0] - 0.9) / 0.01);
        let near = if a * a < b * b { a } else { b };
        Some((-0.5 * near * near, vec![-near / 0.01]))
    };
    let p = run("n_eff = 1e9\nmax_draws = 250\nchains = 8\nstarts = 4", 1, &problem(1, true), &modes);
    assert!(Mixing::of(&p.u, 8, 0).r_hat > 1.5, "the chains are in two modes");
}

#[test]
fn a_chain_that_begins_in_a_mode_of_no_mass_is_moved_and_one_in_a_mode_of_some_mass_stays() {
    // Two peaks of one width, the second lower by so much.
    let peaks = |lower: f64| {
        move |u: &[f64]| {
            let (a, b) = ((u[0] - 0.1) / 0.01, (u[0] - 0.9) / 0.01);
            let first = -0.5 * a * a > -0.5 * b * b - lower;
            let near = if first { a } else { b };
            Some((-0.5 * near * near - if first { 0.0 } else { lower }, vec![-near / 0.01]))
        }
    };
    let text = "n_eff = 1e9\nmax_draws = 250\nchains = 8\nstarts = 1";
    let moved = |p: &Posterior| diagnostic(p, "chains_moved");
    let p = run(text, 1, &problem(1, true), &peaks(60.0));
    assert!(moved(&p) > 0.0 && Mixing::of(&p.u, 8, 0).r_hat < 1.03, "{:?}", p.diagnostics);
    let p = run(text, 1, &problem(1, true), &peaks(5.0));
    assert!(moved(&p) == 0.0 && Mixing::of(&p.u, 8, 0).r_hat > 1.5, "{:?}", p.diagnostics);
}

#[test]
fn many_short_chains_in_groups_are_told_apart_by_the_nested_r_hat() {
    let text = "chains = 32\ngroups = 8\nwarmup = 150\nblock = 20\nn_eff = 400";
    let p = run(text, 1, &problem(2, true), &gauss);
    assert_eq!((p.n_chains, p.n_groups), (32, 8));
    let mixing = Mixing::of(&column(&p, 0, |u| u), 32, 8);
    assert!(mixing.r_hat < 1.03, "{mixing:?}");
    assert!(off(&column(&p, 0, |u| u), 32, 0.4).abs() < 4.0);
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let cases =
        [("chains = 0", "chains"), ("groups = 3", "groups"), ("target_accept = 1", "target_accept"), ("max_depth = 0", "max_depth")];
    for (text, key) in cases.into_iter().chain([("block = 1", "block"), ("difference_step = 0", "difference_step")]) {
        let error = build(&spec(text), 0, &problem(2, true)).err().unwrap();
        assert!(error.0.contains(key), "{error}");
    }
    let error = build(&spec("gradient = \"exact\""), 0, &problem(2, false)).err().unwrap();
    assert!(error.0.contains("no gradient"), "{error}");
    assert!(toml::from_str::<fitjob::sampler::nuts::Settings>("chain = 5").is_err());
    assert!(build(&spec(""), 0, &problem(0, true)).is_err());
}

#[test]
fn errors_of_the_mean_are_honest_over_seeds() {
    honest("gauss10c", "n_eff = 400\nmetric = \"low-rank\"\nwarmup = 400", 8, 1.45, 0.4..1.9);
}

#[test]
#[ignore = "a minute"]
fn errors_of_the_mean_are_honest_over_40_seeds() {
    honest("gauss10c", "metric = \"low-rank\"", 40, 0.4, 0.75..1.3);
    honest("gauss3tut", "", 40, 0.4, 0.75..1.3);
    honest("gauss20", "", 40, 0.4, 0.75..1.3);
}

/// (mean of x1 - truth) and (mean of its square - truth) in Monte Carlo errors have mean 0 and spread 1 over seeds.
fn honest(name: &str, text: &str, seeds: u64, most: f64, spread: std::ops::Range<f64>) {
    let known = Known::named(name).unwrap();
    let (centre, sd) = if name == "gauss3tut" { (0.5, 0.1) } else { (0.0, 1.0) };
    let x = |u: f64| (known.low + (known.high - known.low) * u - centre) / sd;
    let target = |u: &[f64]| {
        let x = known.at(u);
        let by_u = known.gradient(&x).unwrap().iter().map(|slope| slope * (known.high - known.low)).collect();
        Some((known.log_like(&x), by_u))
    };
    let runs: Vec<Posterior> = (0..seeds).map(|seed| run(text, seed, &problem(known.dim, true), &target)).collect();
    for (what, f) in [("mean", &x as &dyn Fn(f64) -> f64), ("square", &|u| x(u) * x(u) - 1.0)] {
        let z: Vec<f64> = runs.iter().map(|p| off(&column(p, 0, f), 4, 0.0)).collect();
        let mean = z.iter().sum::<f64>() / z.len() as f64;
        let sd = (z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (z.len() - 1) as f64).sqrt();
        assert!(mean.abs() < most && spread.contains(&sd), "{name}, {what}: {mean} {sd}");
    }
}
