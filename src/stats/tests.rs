//! Weighted statistics against figures worked out by hand or by numpy.

use super::*;

#[test]
fn weights_sum_to_one_whatever_their_normalisation() {
    let w = weights(&[-1000.0, -1000.0 + 3f64.ln(), f64::NEG_INFINITY]);
    assert!((w[0] - 0.25).abs() < 1e-13 && (w[1] - 0.75).abs() < 1e-13 && w[2] == 0.0);
    assert_eq!(weights(&[f64::NEG_INFINITY; 2]), [0.0; 2]);
}

#[test]
fn equal_weights_count_in_full_and_one_heavy_weight_counts_once() {
    assert!((kish(&[0.1; 10]) - 10.0).abs() < 1e-12);
    assert_eq!(kish(&[0.0, 1.0, 0.0]), 1.0);
    assert!((kish(&[1.0, 2.0, 3.0]) - 36.0 / 14.0).abs() < 1e-14);
    assert_eq!(kish(&[]), 0.0);
}

#[test]
fn mean_and_sd_ignore_samples_without_weight() {
    let (mean, sd) = mean_sd(&[1.0, 2.0, 4.0, f64::INFINITY], &[1.0, 2.0, 1.0, 0.0]);
    assert_eq!(mean, 2.25);
    assert!((sd - (4.75f64 / 4.0).sqrt()).abs() < 1e-14);
}

#[test]
fn a_quantile_is_the_smallest_value_with_enough_weight_below_it() {
    // numpy.quantile(..., method="inverted_cdf", weights=...)
    let values = [3.0, 1.0, 2.0, 5.0, 4.0];
    let w = [0.1, 0.2, 0.4, 0.05, 0.25];
    assert_eq!(quantiles(&values, &w, &[0.0, 0.16, 0.2, 0.21, 0.5, 0.7, 0.84, 1.0]), [1., 1., 1., 2., 2., 3., 4., 5.]);
}

#[test]
fn a_level_that_equals_a_step_is_not_pushed_past_it_by_rounding() {
    let values: Vec<f64> = (1..=10).map(f64::from).collect();
    let deciles: Vec<f64> = (1..=10).map(|k| f64::from(k) / 10.0).collect();
    assert_eq!(quantiles(&values, &[0.1; 10], &deciles), values);
}

#[test]
fn a_value_that_is_not_a_number_spoils_a_quantile_only_if_it_has_weight() {
    assert_eq!(quantiles(&[1.0, f64::NAN], &[1.0, 0.0], &[0.5]), [1.0]);
    assert!(quantiles(&[1.0, f64::NAN], &[1.0, 0.1], &[0.5])[0].is_nan());
    assert!(quantiles(&[], &[], &[0.5])[0].is_nan());
    assert_eq!(quantiles(&[f64::NEG_INFINITY, 0.0, f64::INFINITY], &[1.0; 3], &[0.1, 0.5, 0.9])[1], 0.0);
}

#[test]
fn a_row_is_drawn_in_proportion_to_its_weight_within_one() {
    let w = [0.05, 0.0, 0.5, 0.25, 0.2];
    for seed in 0..20 {
        let rows = systematic(&w, 37, seed);
        assert_eq!(rows.len(), 37);
        for (row, weight) in w.iter().enumerate() {
            let count = rows.iter().filter(|r| **r == row).count() as f64;
            assert!((count - 37.0 * weight).abs() < 1.0, "row {row} came {count} times, seed {seed}");
        }
    }
}

#[test]
fn resampling_depends_on_the_seed_alone_and_is_shuffled() {
    let w = vec![1e-3; 1000];
    let rows = systematic(&w, 1000, 7);
    assert_eq!(rows, systematic(&w, 1000, 7));
    assert_ne!(rows, systematic(&w, 1000, 8));
    let rises = rows.windows(2).filter(|pair| pair[1] > pair[0]).count();
    assert!((400..600).contains(&rises), "{rises} of 999 steps rise");
    assert!(systematic(&[0.0; 3], 5, 1).is_empty());
}
