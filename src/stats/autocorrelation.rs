//! How long chains remember: the integrated autocorrelation time of several chains of one quantity.

use super::dot;

/// Integrated autocorrelation time of `n_chains` chains of equal length (one after another in `values`), in steps, at least 1: 1 + 2 sum of the
/// autocorrelations up to the window of Sokal (1997, section 3), the first lag that is at least `window` times the sum so far.
///
/// Autocovariances are taken about the mean of all chains (Goodman & Weare 2010 average over walkers; the common mean makes the time
/// long where chains stay in regions of their own). NaN where nothing moves.
pub fn time(values: &[f64], n_chains: usize, window: f64) -> f64 {
    let n = values.len() / n_chains.max(1);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let off: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let at = |lag: usize| -> f64 { off.chunks_exact(n).map(|c| dot(&c[..n - lag], &c[lag..])).sum() };
    let variance = if n == 0 { 0.0 } else { at(0) };
    if variance.is_nan() || variance <= 0.0 {
        return f64::NAN;
    }
    let mut time: f64 = 1.0;
    for lag in 1..n {
        time += 2.0 * at(lag) / variance;
        if lag as f64 >= window * time {
            break;
        }
    }
    time.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, fill_normal, stream};

    /// Chains x' = a x + noise, about `centre`, whose time is (1 + a) / (1 - a).
    fn chains(a: f64, n: usize, centres: &[f64]) -> Vec<f64> {
        let one = |(k, centre): (usize, &f64)| {
            let mut noise = vec![0.0; n];
            fill_normal(&mut stream(1, Purpose::Check, k as u64, 0), &mut noise);
            let mut x = 0.0;
            noise.iter().map(|e| (x = a * x + e, centre + x).1).collect::<Vec<f64>>()
        };
        centres.iter().enumerate().flat_map(one).collect()
    }

    #[test]
    fn the_time_of_autoregressive_chains_is_known() {
        for a in [0.0, 0.5, 0.9] {
            let (found, truth) = (time(&chains(a, 5000, &[0.0; 8]), 8, 5.0), (1.0 + a) / (1.0 - a));
            assert!((found / truth - 1.0).abs() < 0.1, "{a}: {found} {truth}");
        }
    }

    #[test]
    fn chains_that_stay_apart_have_a_time_of_the_order_of_their_length() {
        assert!(time(&chains(0.5, 1000, &[0.0, 9.0]), 2, 5.0) > 150.0);
        assert!(time(&[1.0; 100], 2, 5.0).is_nan());
    }
}
