//! Sequential Monte Carlo: right answers where they are known.

use crate::support::known::{
    FUNNEL, crescent, funnel, funnel_v, gauss, gauss_log_z, half_gauss, noise, regression, regression_truth, ring, ring_log_z, steps,
    steps_log_z,
};
use crate::support::{self, LogLike, diagnostic, finish, mean, scores, within};
use fitjob::sampler::smc::Settings;
use fitjob::sampler::verdict::{Level, Verdict};
use fitjob::sampler::{EngineSettings, EngineSpec, Posterior, Sampler, SamplerError, canonical};

/// Small and quick.
const QUICK: &str = "n_active = 64\nn_prior = 256\nn_ladder = 128\nn_eff = 500\nn_evidence = 500\nprecondition = \"affine\"";

fn settings(text: &str) -> Settings {
    toml::from_str(text).expect("the test's settings are valid")
}

fn engine(text: &str, seed: u64, n_dim: usize, periodic: &[usize]) -> Box<dyn Sampler> {
    support::engine(&EngineSpec::Smc(settings(text)), seed, n_dim, periodic)
}

fn run(mut sampler: Box<dyn Sampler>, log_like: LogLike) -> Result<Posterior, SamplerError> {
    finish(&mut *sampler, log_like)
}

#[test]
fn by_default_a_flow_is_trained_on_a_crescent_and_not_on_a_gaussian() {
    let auto = QUICK.replace("affine", "auto");
    let trainings = |n_dim, log_like: LogLike| diagnostic(&run(engine(&auto, 1, n_dim, &[]), log_like).unwrap(), "trainings");
    assert_eq!(trainings(5, &gauss), 0.0);
    assert!(trainings(2, &crescent) >= 1.0, "walkers are slow there");
}

#[test]
fn both_kernels_find_evidence_and_moments_of_a_gaussian_in_one_and_five_dimensions() {
    for kernel in ["tpcn", "rwm"] {
        for d in [1, 5] {
            let p = run(engine(&format!("{QUICK}\nkernel = \"{kernel}\""), 1, d, &[]), &gauss).unwrap();
            within(p.log_z, gauss_log_z(d), p.log_z_err);
            within(mean(&p, |u| u[0]), 0.4, 0.05 / p.n_eff.sqrt());
            within(mean(&p, |u| (u[d - 1] - 0.4).powi(2)), 0.0025, 0.0025 * (2.0 / p.n_eff).sqrt());
            assert!(p.n_eff >= 500.0 && p.warnings.is_empty(), "{kernel} {d}: {:?}", p.warnings);
            assert!((p.log_weight.iter().map(|w| w.exp()).sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }
}

#[test]
fn the_noise_of_a_regression_is_as_wide_as_it_should_be() {
    // Seven parameters; the noise and the widths of the coefficients are a funnel on the way to the posterior, and none in it.
    let (log_z, centre, sd) = regression_truth();
    for seed in 0..5 {
        let p = run(engine(QUICK, seed, 7, &[]), &regression).unwrap();
        assert_eq!(Verdict::of(&p).level, Level::Converged, "{:?}", p.warnings);
        within(p.log_z, log_z, p.log_z_err);
        within(mean(&p, noise), centre, sd / p.n_eff.sqrt());
        let spread = mean(&p, |u| (noise(u) - centre).powi(2)).sqrt() / sd;
        assert!((0.8..1.25).contains(&spread), "seed {seed}: sd {spread} of what it should be");
    }
}

#[test]
fn a_funnel_is_right_or_not_converged() {
    let (log_z, centre, sd) = FUNNEL;
    for seed in 0..3 {
        let p = run(engine(&format!("{QUICK}\nn_like_max = 60000"), seed, 4, &[]), &funnel).unwrap();
        let off = (mean(&p, funnel_v) - centre) / (sd / p.n_eff.sqrt());
        let right = (p.log_z - log_z).abs() < 3.5 * p.log_z_err && off.abs() < 4.0;
        assert!(
            right || Verdict::of(&p).level > Level::Converged,
            "seed {seed}: log Z {} +- {}, v off by {off} errors",
            p.log_z,
            p.log_z_err
        );
    }
}

#[test]
fn points_of_likelihood_zero_keep_their_volume() {
    let p = run(engine(QUICK, 3, 2, &[]), &half_gauss).unwrap();
    within(p.log_z, gauss_log_z(2) - 2f64.ln(), p.log_z_err);
    assert!(p.u.chunks_exact(2).all(|u| u[1] >= 0.4));
    for evidence in ["smc", "importance", "bridge"] {
        let mostly = |u: &[f64]| if u[0] < 0.95 { f64::NEG_INFINITY } else { 0.0 };
        let p = run(engine(&format!("{QUICK}\nevidence = \"{evidence}\""), 3, 2, &[]), &mostly).unwrap();
        within(p.log_z, 0.05f64.ln(), p.log_z_err);
    }
}

#[test]
fn a_peak_across_the_seam_of_a_periodic_parameter_is_one_peak() {
    let p = run(engine(QUICK, 4, 2, &[0]), &ring).unwrap();
    within(p.log_z, ring_log_z(), p.log_z_err);
    let split = run(engine(QUICK, 4, 2, &[]), &ring).unwrap();
    assert!(p.n_like < split.n_like, "known to be periodic it takes fewer calls: {} {}", p.n_like, split.n_like);
}

#[test]
fn a_flat_likelihood_and_one_of_steps_end_with_their_evidence() {
    let p = run(engine(QUICK, 1, 2, &[]), &|_| -3.0).unwrap();
    within(p.log_z, -3.0, p.log_z_err.max(1e-6));
    assert!(p.n_eff >= 500.0);
    let p = run(engine(QUICK, 1, 2, &[]), &steps).unwrap();
    within(p.log_z, steps_log_z(), p.log_z_err + 1e-4);
}

#[test]
fn the_limit_of_calls_is_kept_and_said_and_a_higher_one_goes_on() {
    let limited = format!("{QUICK}\nn_like_max = 1500");
    let mut sampler = engine(&limited, 1, 5, &[]);
    let cut = finish(&mut *sampler, &gauss).unwrap();
    assert!(cut.n_like <= 1500 && cut.warnings.iter().any(|w| w.contains("not converged")), "{} {:?}", cut.n_like, cut.warnings);
    assert!(!sampler.extend(&EngineSpec::Smc(settings(&limited))), "it has reached this");
    assert!(sampler.extend(&EngineSpec::Smc(settings(QUICK))));
    let whole = finish(&mut *sampler, &gauss).unwrap();
    assert!(whole.n_eff >= 500.0 && whole.n_like > cut.n_like && whole.warnings.is_empty(), "{:?}", whole.warnings);
    within(whole.log_z, gauss_log_z(5), whole.log_z_err);
    assert!(sampler.extend(&EngineSpec::Smc(Settings { n_eff: 2000.0, ..settings(QUICK) })));
    let more = finish(&mut *sampler, &gauss).unwrap();
    assert!(more.n_eff >= 2000.0 && more.n_like > whole.n_like, "{} {}", more.n_eff, more.n_like);
}

#[test]
fn a_model_that_is_never_possible_is_an_error_in_plain_words() {
    let error = run(engine(QUICK, 1, 2, &[]), &|_| f64::NEG_INFINITY).unwrap_err();
    assert!(error.0.contains("none of the") && error.0.contains("priors"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    for (text, key) in [
        ("n_active = 5", "n_active"),
        ("n_prior = 100", "n_prior"),
        ("n_ladder = 20", "n_ladder"),
        ("n_ladder = 2000", "n_prior"),
        ("n_steps = 0", "n_steps"),
        ("n_evidence = 5", "n_evidence"),
        ("n_like_max = 10", "n_like_max"),
    ] {
        let error = settings(text).check(3).unwrap_err();
        assert!(error.0.contains(&format!("[sampler] {key} = ")), "{error}");
    }
    assert!(toml::from_str::<Settings>("n_walkers = 5").is_err());
    assert_eq!(canonical("pocomc"), Some("smc"));
    assert!(settings("").check(0).is_err());
}

const AFFINE: &str = "precondition = \"affine\"";

#[test]
fn errors_of_log_z_and_means_are_honest_on_the_tutorial_problem() {
    let found = scores("gauss3tut", "smc", AFFINE, 8);
    // Eight seeds: four standard deviations of a true mean of 0 and spread of 1.
    assert!(found.z.0.abs() < 1.45 && (0.25..2.1).contains(&found.z.1), "{found:?}");
    assert!(found.calls < 20_000.0 && found.n_eff >= 4096.0 && (0.4..1.8).contains(&found.means), "{found:?}");
}

#[test]
#[ignore = "ten minutes"]
fn errors_of_log_z_and_means_are_honest_over_40_seeds() {
    for (name, text, most) in
        [("gauss3tut", AFFINE, 23_000.0), ("gauss10c", AFFINE, 110_000.0), ("rosen2", "", 36_000.0), ("shells2", "", 31_000.0)]
    {
        let found = scores(name, "smc", text, 40);
        println!("{name}: {found:?}");
        // Errors may be somewhat too large (gauss10c: .73), not too small.
        assert!(found.z.0.abs() < 0.4 && (0.65..1.3).contains(&found.z.1) && found.calls < most, "{name}: {found:?}");
        assert!(found.n_eff >= 4096.0 && found.means < 1.4, "{name}: {found:?}");
    }
}
