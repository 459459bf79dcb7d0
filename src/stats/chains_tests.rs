//! Chain diagnostics against ArviZ 0.19 and against what is known of simple processes.

use super::*;
use crate::random::{Purpose, fill_normal, stream};

/// Chains x_j = phi x_(j-1) + e_j about shift x chain, where e is uniform by a linear congruential generator, so that Python repeats them.
fn process(m: usize, n: usize, phi: f64, shift: f64, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut all = Vec::new();
    for chain in 0..m {
        let mut x = 0.0;
        for _ in 0..n {
            x = phi * x + (uniform() - 0.5);
            all.push(x + shift * chain as f64);
        }
    }
    all
}

#[test]
fn the_figures_are_those_of_arviz() {
    // arviz.rhat(x), .ess(x, method="bulk"), .ess(x, method="tail"), .mcse(x, method="mean") of version 0.19
    let known = [
        ((4, 101, 0.5, 0.0, 1), [1.0129639045572796, 159.81641911308785, 180.02046939971746, 0.024920754938310738]),
        ((2, 250, 0.95, 0.3, 2), [1.2751778450308846, 6.030389826825127, 20.934991852911523, 0.42715476137802705]),
        ((3, 64, -0.6, 0.0, 3), [1.0040578635864268, 438.39383591108157, 155.0983321395683, 0.01579407605939104]),
        // R-hat of one chain is that of its halves; ArviZ refuses to give it.
        ((1, 40, 0.0, 0.0, 4), [f64::NAN, 46.73074926951316, 44.679600235155775, 0.04433905574404474]),
    ];
    for ((m, n, phi, shift, seed), known) in known {
        let mixing = Mixing::of(&process(m, n, phi, shift, seed), m, 0);
        for (found, known) in [mixing.r_hat, mixing.ess_bulk, mixing.ess_tail, mixing.mcse_mean].iter().zip(known) {
            assert!(known.is_nan() || (found / known - 1.0).abs() < 1e-9, "{mixing:?}, known {known}");
        }
        assert!(mixing.r_hat > 0.9);
    }
}

#[test]
fn the_bulk_does_not_depend_on_the_scale_of_the_values() {
    let x = process(4, 100, 0.5, 0.0, 7);
    let stretched: Vec<f64> = x.iter().map(|x| (3.0 * x).exp()).collect();
    assert_eq!(ess_bulk(&x, 4), ess_bulk(&stretched, 4));
    assert_eq!(ess_tail(&x, 4), ess_tail(&stretched, 4));
}

#[test]
fn an_autoregressive_process_has_the_effective_size_of_theory() {
    // Draws of a normal AR(1) process are worth (1 - phi) / (1 + phi) each.
    let (m, n, phi) = (8, 4000, 0.7);
    let mut x = vec![0.0; m * n];
    for (chain, x) in x.chunks_exact_mut(n).enumerate() {
        fill_normal(&mut stream(1, Purpose::Decisions, chain as u64, 0), x);
        for j in 1..n {
            x[j] = phi * x[j - 1] + f64::sqrt(1.0 - phi * phi) * x[j];
        }
    }
    let expected = (m * n) as f64 * (1.0 - phi) / (1.0 + phi);
    assert!((ess_bulk(&x, m) / expected - 1.0).abs() < 0.1, "{} {expected}", ess_bulk(&x, m));
    assert!((r_hat(&x, m) - 1.0).abs() < 0.005);
}

#[test]
fn what_cannot_be_told_is_not_a_number() {
    assert!(r_hat(&[1.0; 40], 2).is_nan() && ess_bulk(&[1.0; 40], 2).is_nan(), "constant");
    let mut x = process(2, 20, 0.0, 0.0, 1);
    assert!(ess_tail(&x[..6], 2).is_nan(), "short");
    x[3] = f64::INFINITY;
    assert!(mcse_mean(&x, 2).is_nan() && r_hat(&x, 2).is_nan(), "infinite");
    assert!(ess_bulk(&x, 0).is_nan() && ess_bulk(&[], 1).is_nan());
}

#[test]
fn chains_that_differ_show_only_between_groups_in_the_nested_r_hat() {
    let x = process(8, 50, 0.0, 0.0, 5);
    assert!((nested_r_hat(&x, 8, 4) - 1.0).abs() < 0.05);
    let apart: Vec<f64> = x.chunks_exact(100).enumerate().flat_map(|(group, x)| x.iter().map(move |x| x + group as f64)).collect();
    assert!(nested_r_hat(&apart, 8, 4) > 1.5);
    assert!(nested_r_hat(&x, 8, 3).is_nan() && nested_r_hat(&x, 8, 1).is_nan());
    // Two groups of one chain of two draws: means 1 and 4, variances 2 and 2: sqrt(1 + 4.5/2).
    let x = [0.0, 2.0, 0.0, 2.0, 3.0, 5.0, 3.0, 5.0];
    let within = 4.0 / 3.0;
    assert!((nested_r_hat(&x, 2, 2) - f64::sqrt(1.0 + 4.5 / within)).abs() < 1e-14);
}

#[test]
fn energies_that_barely_move_have_a_small_fraction() {
    assert!((e_bfmi(&[1.0, -1.0, 1.0, -1.0]) - 3.0).abs() < 1e-14, "three steps of 2 over a sum of squares of 4");
    let slow: Vec<f64> = (0..100).map(f64::from).collect();
    assert!(e_bfmi(&slow) < 0.01);
}
