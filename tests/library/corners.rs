//! Importance nested sampling where the posterior sits at faces, edges and corners of the cube, at all scales.

use crate::support::{mean, run, spec};
use fitjob::sampler::Posterior;

/// Small and quick.
const QUICK: &str = "n_live = 1000\nn_eff = 2000";

/// (log Z - truth) / error over seeds: mean and standard deviation.
fn z_of(log_like: &dyn Fn(&[f64]) -> f64, d: usize, log_z: f64, seeds: std::ops::Range<u64>) -> (f64, f64) {
    let z = |p: Posterior| (p.log_z - log_z) / p.log_z_err;
    let z: Vec<f64> = seeds.map(|seed| z(run(&spec("importance-nested", QUICK), seed, d, log_like).unwrap())).collect();
    let n = z.len() as f64;
    let mean = z.iter().sum::<f64>() / n;
    (mean, (z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// Five seeds: four standard deviations of a true mean of 0 and spread of 1.
fn is_honest(what: &str, (mean, sd): (f64, f64)) {
    assert!(mean.abs() < 1.8 && (0.2..2.4).contains(&sd), "{what}: z {mean} +- {sd}");
}

#[test]
fn a_slope_down_from_a_corner_has_its_evidence_at_any_scale_and_in_any_corner() {
    for (d, scale) in [(1, 1e-12), (2, 1e-8), (3, 1e-1), (5, 1e-4)] {
        let at = |u: &[f64], j: usize| if j.is_multiple_of(2) { u[j] } else { 1.0 - u[j] };
        let slope = |u: &[f64]| -(0..d).map(|j| at(u, j)).sum::<f64>() / scale;
        let log_z = d as f64 * (scale * (1.0 - (-1.0 / scale).exp())).ln();
        is_honest(&format!("d {d}, scale {scale}"), z_of(&slope, d, log_z, 0..5));
    }
}

#[test]
fn four_upper_limits_have_their_evidence_and_their_means() {
    let cut = |u: &[f64]| u.iter().map(|u| -0.5 * ((u + 0.03) / 0.01).powi(2)).sum::<f64>();
    // sd sqrt(2 pi) Phi(-3) each; the mean is -3 sd + sd phi(3) / Phi(-3).
    let log_z = 4.0 * (0.01 * std::f64::consts::TAU.sqrt() * 1.349_898_031_630_095e-3).ln();
    is_honest("four upper limits", z_of(&cut, 4, log_z, 0..5));
    let p = run(&spec("importance-nested", QUICK), 7, 4, &cut).unwrap();
    let sd = mean(&p, |u| (u[2] - 0.002_831).powi(2)).sqrt();
    assert!((mean(&p, |u| u[2]) - 0.002_831).abs() < 4.0 * sd / p.n_eff.sqrt());
    assert!(p.log_like.iter().zip(p.u.chunks(4)).all(|(l, u)| *l == cut(u)), "log L is the model's own, to the bit");
    assert!(p.warnings.is_empty(), "{:?}", p.warnings);
}

#[test]
fn a_face_far_from_the_rest_of_the_mass_and_leaning_neighbours_are_right() {
    // One axis at a wall; three others are Gaussians whose middles move with it.
    let lean = |u: &[f64]| -u[0] / 1e-3 - u[1..].iter().map(|v| 0.5 * ((v - 0.4 - 20.0 * u[0]) / 0.05).powi(2)).sum::<f64>();
    let log_z = 1e-3f64.ln() + 3.0 * (0.05 * std::f64::consts::TAU.sqrt()).ln();
    is_honest("a face", z_of(&lean, 4, log_z, 0..5));
}

#[test]
fn a_peak_inside_is_explored_once() {
    let peak = |u: &[f64]| u.iter().map(|u| -0.5 * ((u - 0.4) / 0.05).powi(2)).sum::<f64>();
    let p = run(&spec("importance-nested", QUICK), 1, 3, &peak).unwrap();
    // Kept points and those of the exploration are all there is: none were given up with their coordinates.
    assert!(p.n_like < 12_000, "{}", p.n_like);
}
