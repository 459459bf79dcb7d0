//! Importance nested sampling ends by itself, and says so when it has failed.

use crate::support::{run, spec};

/// A needle in a haystack with a second needle inside the first: nothing leads from one to the other.
fn needles(u: &[f64]) -> f64 {
    let far: f64 = u.iter().map(|u| ((u - 0.37) / 1e-4).powi(2)).sum();
    let rough: f64 = u.iter().map(|u| (4000.0 * u).sin()).sum();
    8.0 * rough - (1.0 + far).ln() * 20.0
}

#[test]
fn a_run_whose_effective_sample_size_does_not_grow_ends_and_says_what_may_help() {
    let p = run(&spec("importance-nested", "n_live = 200\nn_eff = 1000"), 3, 8, &needles).unwrap();
    assert!(p.n_like < 400_000, "{}", p.n_like);
    assert!(p.n_eff >= 995.0 || p.warnings.iter().any(|w| w.contains("nested")), "{} {:?}", p.n_eff, p.warnings);
}

#[test]
fn noise_for_a_likelihood_ends_with_a_warning() {
    // As different from point to point as can be: forty nats of noise without any shape.
    let noise = |u: &[f64]| {
        let bits = u.iter().fold(17u64, |h, u| (h ^ u.to_bits()).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
        -40.0 * ((bits >> 11) as f64 / (1u64 << 53) as f64 + 1e-12).ln().abs().sqrt()
    };
    let p = run(&spec("importance-nested", "n_live = 200\nn_eff = 1000"), 1, 4, &noise).unwrap();
    assert!(p.n_like < 400_000, "{}", p.n_like);
    assert!(!p.warnings.is_empty(), "n_eff {} of {} calls", p.n_eff, p.n_like);
}
