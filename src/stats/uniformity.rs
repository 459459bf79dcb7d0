//! Tests of uniformity and of two samples: what the p-values of `fitjob sbc` and `fitjob compare` are made of.

use super::special::gamma_tails;

/// Pearson's chi-squared statistic of counts that should all be equal, and its p-value (tail of chi-squared with one degree of freedom
/// less than there are counts; good where 5 or more are expected in each).
pub fn chi_squared(counts: &[u64]) -> (f64, f64) {
    let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let statistic: f64 = counts.iter().map(|n| (*n as f64 - expected).powi(2) / expected).sum();
    let freedom = counts.len() as f64 - 1.0;
    (statistic, gamma_tails(freedom / 2.0, statistic / 2.0).1)
}

/// Kuiper's statistic of values that should be uniform on (0, 1), and its p-value (Stephens 1970, J. R. Stat. Soc. B 32, 115). Unlike
/// that of Kolmogorov and Smirnov it is as sensitive to values that crowd at both ends, or in the middle, as to a shift.
pub fn kuiper(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let above = sorted.iter().enumerate().map(|(i, u)| (i + 1) as f64 / n - u).fold(0.0, f64::max);
    let below = sorted.iter().enumerate().map(|(i, u)| u - i as f64 / n).fold(0.0, f64::max);
    let root = n.sqrt();
    (above + below, kuiper_tail((root + 0.155 + 0.24 / root) * (above + below)))
}

/// 2 sum_j (4 j^2 x^2 - 1) exp(-2 j^2 x^2).
fn kuiper_tail(x: f64) -> f64 {
    if x < 0.4 {
        return 1.0; // to 7 digits, where the series converges slowly
    }
    let term = |j: i32| {
        let square = f64::from(j * j) * x * x;
        2.0 * (4.0 * square - 1.0) * libm::exp(-2.0 * square)
    };
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// The largest distance between the distribution functions of two weighted samples (Smirnov 1939). Weights sum to 1.
pub fn smirnov(a: (&[f64], &[f64]), b: (&[f64], &[f64])) -> f64 {
    let signed = |(values, weights): (&[f64], &[f64]), sign: f64| -> Vec<(f64, f64)> {
        values.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(x, w)| (*x, sign * w)).collect()
    };
    let mut steps = [signed(a, 1.0), signed(b, -1.0)].concat();
    steps.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut difference, mut largest) = (0.0, 0.0f64);
    for (i, (x, step)) in steps.iter().enumerate() {
        difference += step;
        // Between equal values there is no distance to see.
        if steps.get(i + 1).is_none_or(|next| next.0 != *x) {
            largest = largest.max(f64::abs(difference));
        }
    }
    largest
}

/// Probability of a [`smirnov`] distance at least this large between samples of the same distribution that are worth `n` and `m`
/// independent draws: 2 sum_j (-1)^(j-1) exp(-2 j^2 x^2) (Stephens 1970).
pub fn smirnov_tail(distance: f64, n: f64, m: f64) -> f64 {
    let root = (n * m / (n + m)).sqrt();
    let x = (root + 0.12 + 0.11 / root) * distance;
    if x < 0.2 {
        return 1.0; // to 11 digits
    }
    let term = |j: i32| 2.0 * f64::from(1 - 2 * ((j + 1) % 2)) * libm::exp(-2.0 * f64::from(j * j) * x * x);
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// p-values made fit for being looked at together (Holm 1979): the chance that any of all would be so small if all were uniform.
/// NaN stays NaN and counts as none.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|i| !p[*i].is_nan()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let (mut corrected, mut least) = (vec![f64::NAN; p.len()], 0.0f64);
    for (k, &i) in order.iter().enumerate() {
        least = least.max((p[i] * (order.len() - k) as f64).min(1.0));
        corrected[i] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream, uniform};

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() < tolerance, "{a} is not {b}");
    }

    #[test]
    fn p_values_are_those_of_the_tables() {
        // chi-squared with 9 degrees of freedom: 5% at 16.919 (Abramowitz & Stegun, table 26.8)
        let (statistic, p) = chi_squared(&[10, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
        assert_eq!((statistic, p), (0.0, 1.0));
        near(gamma_tails(4.5, 16.919 / 2.0).1, 0.05, 1e-5);
        // asymptotic 5% and 1% points: Kuiper 1.747, 2.001 (Stephens 1970); Smirnov 1.358, 1.628
        near(kuiper_tail(1.747), 0.05, 2e-4);
        near(kuiper_tail(2.001), 0.01, 2e-4);
        near(smirnov_tail(1.3581 / 1e4, 2e8, 2e8), 0.05, 2e-4);
        near(smirnov_tail(1.6276 / 1e4, 2e8, 2e8), 0.01, 2e-4);
    }

    #[test]
    fn uniform_values_have_uniform_p_values_and_others_have_not() {
        let mut rng = stream(1, Purpose::Check, 3, 0);
        let mut p: Vec<f64> = (0..400).map(|_| kuiper(&(0..60).map(|_| uniform(&mut rng)).collect::<Vec<_>>()).1).collect();
        p.sort_by(f64::total_cmp);
        // Of 400: 40 +- 6 below 0.1, 200 +- 10 below 0.5.
        let below = |level: f64| p.iter().filter(|p| **p < level).count();
        assert!((16..64).contains(&below(0.1)) && (160..240).contains(&below(0.5)), "{} {}", below(0.1), below(0.5));
        let crowded: Vec<f64> = (0..60).map(|_| uniform(&mut rng)).map(|u| if u < 0.5 { 0.4 * u } else { 0.6 + 0.4 * u }).collect();
        assert!(kuiper(&crowded).1 < 1e-3, "{}", kuiper(&crowded).1);
    }

    #[test]
    fn the_distance_of_samples_counts_weights_and_equal_values_once() {
        let (even, skew) = ([0.5, 0.5], [0.9, 0.1]);
        near(smirnov((&[1.0, 2.0], &even), (&[1.0, 2.0], &skew)), 0.4, 1e-15);
        assert_eq!(smirnov((&[1.0, 2.0], &even), (&[2.0, 1.0], &even)), 0.0);
        assert_eq!(smirnov((&[1.0, 2.0], &even), (&[3.0, 4.0], &even)), 1.0);
    }

    #[test]
    fn corrected_p_values_keep_their_order_and_never_exceed_one() {
        assert_eq!(holm(&[0.5, 0.01, f64::NAN, 0.02])[..2], [0.5, 0.03]);
        assert_eq!(holm(&[0.5, 0.01, 0.6, 0.02]), [1.0, 0.04, 1.0, 0.06]);
        assert!(holm(&[f64::NAN])[0].is_nan());
    }
}
