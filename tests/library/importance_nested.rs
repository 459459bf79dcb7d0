//! Importance nested sampling: right answers where they are known.

use crate::support::known::{CRESCENT_LOG_Z, crescent, gauss, gauss_log_z, half_gauss, ring, ring_log_z, steps, steps_log_z};
use crate::support::{self, LogLike, Site, finish, mean, of_dim, scores, within};
use fitjob::sampler::importance_nested::Settings;
use fitjob::sampler::{EngineSpec, Posterior, Sampler, SamplerError, build, canonical};

/// Small and quick.
const QUICK: &str = "n_live = 400\nn_eff = 1000";

fn settings(text: &str) -> Settings {
    toml::from_str(text).expect("the test's settings are valid")
}

fn engine(text: &str, seed: u64, n_dim: usize, periodic: &[usize]) -> Box<dyn Sampler> {
    support::engine(&EngineSpec::ImportanceNested(settings(text)), seed, n_dim, periodic)
}

fn run(mut sampler: Box<dyn Sampler>, log_like: LogLike) -> Result<Posterior, SamplerError> {
    finish(&mut *sampler, log_like)
}

#[test]
fn a_finished_run_goes_on_to_a_higher_target_and_no_further() {
    let spec = |n_eff: u32| EngineSpec::ImportanceNested(settings(&format!("n_live = 400\nn_eff = {n_eff}")));
    let (mut sampler, mut site) = (engine(QUICK, 5, 2, &[]), Site::new(&crescent));
    let first = site.run(&mut *sampler).unwrap();
    assert!(!sampler.extend(&spec(1000)), "it has reached this");
    assert!(sampler.extend(&spec(4000)));
    let second = site.run(&mut *sampler).unwrap();
    assert!(second.n_eff >= 4000.0 && second.n_like > first.n_like, "{} {}", second.n_eff, second.n_like);
    assert!(second.warnings.is_empty(), "{:?}", second.warnings);
    within(second.log_z, CRESCENT_LOG_Z, second.log_z_err);
}

#[test]
fn a_gaussian_in_one_dimension_has_its_evidence_and_moments() {
    let p = run(engine(QUICK, 1, 1, &[]), &gauss).unwrap();
    within(p.log_z, gauss_log_z(1), p.log_z_err);
    within(mean(&p, |u| u[0]), 0.4, 0.05 / p.n_eff.sqrt());
    assert!(p.n_eff >= 1000.0 && p.log_z_err < 0.04 && p.warnings.is_empty(), "{} {} {:?}", p.n_eff, p.log_z_err, p.warnings);
}

#[test]
fn a_gaussian_in_five_dimensions_has_its_evidence_and_moments() {
    let p = run(engine(QUICK, 2, 5, &[]), &gauss).unwrap();
    within(p.log_z, gauss_log_z(5), p.log_z_err);
    let variance = mean(&p, |u| (u[3] - 0.4).powi(2));
    within(variance, 0.0025, 0.0025 * (2.0 / p.n_eff).sqrt());
    assert!((p.log_weight.iter().map(|w| w.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn points_of_likelihood_zero_keep_their_volume() {
    let p = run(engine(QUICK, 3, 2, &[]), &half_gauss).unwrap();
    within(p.log_z, gauss_log_z(2) - 2f64.ln(), p.log_z_err);
    assert!(p.u.chunks_exact(2).all(|u| u[1] >= 0.4));
    let mostly = |u: &[f64]| if u[0] < 0.9 { f64::NEG_INFINITY } else { 0.0 };
    let p = run(engine(QUICK, 3, 2, &[]), &mostly).unwrap();
    within(p.log_z, 0.1f64.ln(), p.log_z_err);
}

#[test]
fn a_peak_across_the_seam_of_a_periodic_parameter_is_one_peak() {
    for periodic in [&[0][..], &[]] {
        let p = run(engine(QUICK, 4, 2, periodic), &ring).unwrap();
        within(p.log_z, ring_log_z(), p.log_z_err);
    }
}

#[test]
fn a_flat_likelihood_and_one_of_steps_end_with_their_evidence() {
    let p = run(engine(QUICK, 1, 2, &[]), &|_| -3.0).unwrap();
    assert!((p.log_z + 3.0).abs() < 1e-9 && p.n_eff >= 1000.0);
    let p = run(engine(QUICK, 1, 2, &[]), &steps).unwrap();
    within(p.log_z, steps_log_z(), p.log_z_err + 1e-4);
}

#[test]
fn points_that_taught_can_be_counted_as_nautilus_does() {
    let text = "n_live = 500\nn_eff = 2000\ndiscard_exploration = false";
    let p = run(engine(text, 1, 2, &[]), &crescent).unwrap();
    within(p.log_z, CRESCENT_LOG_Z, p.log_z_err + 0.01);
    let fewer = run(engine(&format!("{text}\nn_networks = 0"), 1, 2, &[]), &gauss).unwrap();
    within(fewer.log_z, gauss_log_z(2), fewer.log_z_err + 0.01);
    assert!(fewer.n_eff >= 2000.0);
}

#[test]
fn the_limit_of_calls_is_kept_and_said() {
    let p = run(engine(&format!("{QUICK}\nn_like_max = 900"), 1, 2, &[]), &gauss).unwrap();
    assert!(p.n_like <= 900 && p.warnings.iter().any(|w| w.contains("biased")), "{} {:?}", p.n_like, p.warnings);
    let full = run(engine(QUICK, 1, 2, &[]), &gauss).unwrap();
    let cut = run(engine(&format!("{QUICK}\nn_like_max = {}", full.n_like - 128), 1, 2, &[]), &gauss).unwrap();
    assert!(cut.n_like < full.n_like && cut.warnings.iter().any(|w| w.contains("not converged")), "{:?}", cut.warnings);
}

#[test]
fn a_model_that_is_never_possible_is_an_error_in_plain_words() {
    let text = "n_live = 100\nn_like_max = 3000";
    let error = run(engine(text, 1, 2, &[]), &|_| f64::NEG_INFINITY).unwrap_err();
    assert!(error.0.contains("none of the") && error.0.contains("priors"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    for (text, key) in [("n_live = 5", "n_live"), ("window = 3", "window"), ("f_live = 0", "f_live"), ("learn = 0", "learn")] {
        let error = build(&EngineSpec::ImportanceNested(settings(text)), 0, &of_dim(2)).err().unwrap();
        assert!(error.0.contains(key), "{error}");
    }
    assert!(toml::from_str::<fitjob::sampler::importance_nested::Settings>("n_lives = 5").is_err());
    assert_eq!(canonical("nautilus"), Some("importance-nested"));
    assert!(build(&EngineSpec::default(), 0, &of_dim(0)).is_err());
}

#[test]
fn errors_of_log_z_are_honest_on_the_tutorial_problem() {
    let found = scores("gauss3tut", "importance-nested", "", 6);
    // Six seeds: four standard deviations of a true mean of 0 and spread of 1.
    assert!(found.z.0.abs() < 1.7 && (0.2..2.2).contains(&found.z.1) && found.calls < 27_000.0, "{found:?}");
}

#[test]
#[ignore = "a minute"]
fn errors_of_log_z_are_honest_over_40_seeds_in_few_dimensions() {
    for (name, most) in [("gauss3tut", 27_000.0), ("rosen2", 33_000.0), ("shells2", 47_000.0)] {
        let found = scores(name, "importance-nested", "", 40);
        assert!(found.z.0.abs() < 0.4 && (0.75..1.3).contains(&found.z.1) && found.calls < most, "{name}: {found:?}");
    }
}

#[test]
fn bounds_that_lose_the_neck_of_a_funnel_are_told_of() {
    // v ~ N(0, 1.2^2), three x ~ N(0, e^v), in a box of 8 sd.
    let funnel = |u: &[f64]| {
        let (v, x) = (19.2 * (u[0] - 0.5), u[1..].iter().map(|u| 60.0 * (u - 0.5)));
        -0.5 * (v / 1.2).powi(2) - x.map(|x| 0.5 * (x * x * (-v).exp() + v)).sum::<f64>()
    };
    let posterior = run(engine("n_live = 1000\nn_eff = 2000", 0, 4, &[]), &funnel).unwrap();
    assert!(posterior.warnings.iter().any(|w| w.contains("a bound made on the way lost")), "{:?}", posterior.warnings);
}

#[test]
#[ignore = "several minutes"]
fn errors_of_log_z_are_honest_over_20_seeds_in_ten_dimensions() {
    for name in ["gauss10c", "loggamma10"] {
        let found = scores(name, "importance-nested", "", 20);
        assert!(found.z.0.abs() < 0.4 && (0.7..1.4).contains(&found.z.1), "{name}: {found:?}");
    }
}
