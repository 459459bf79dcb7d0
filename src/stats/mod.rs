//! Statistics of weighted samples: pure functions, sums in the order of the samples.

pub mod autocorrelation;
pub mod chains;
pub mod circle;
mod resample;
pub mod special;
pub mod uniformity;

use std::borrow::Borrow;

pub use resample::{independent, systematic};

/// Scalar product of slices of one length.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums side by side: the order is fixed, and the processor need not wait for each.
    let (a4, b4) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in a4.0.iter().zip(b4.0) {
        (0..4).for_each(|k| sums[k] += a[k] * b[k]);
    }
    let rest: f64 = a4.1.iter().zip(b4.1).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// ln(e^a + e^b).
pub fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + libm::log1p(libm::exp(low - high)) }
}

/// ln of the sum of e^x, of a slice or an iterator; -inf for none.
pub fn log_sum<X: Borrow<f64>>(x: impl IntoIterator<Item = X, IntoIter: Clone>) -> f64 {
    let x = x.into_iter().map(|x| *x.borrow());
    let top = x.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY { top } else { top + libm::log(x.map(|x| libm::exp(x - top)).sum::<f64>()) }
}

/// Weights that sum to 1 from log weights of any normalisation, n. All zero when every log weight is -inf.
pub fn weights(log_weight: &[f64]) -> Vec<f64> {
    let top = log_weight.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return vec![0.0; log_weight.len()];
    }
    let raw: Vec<f64> = log_weight.iter().map(|w| (w - top).exp()).collect();
    let total: f64 = raw.iter().sum();
    raw.iter().map(|w| w / total).collect()
}

/// Kish's effective sample size, (sum w)^2 / sum w^2 (Kish 1965, Survey Sampling, section 11.7).
pub fn kish(weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    if squares > 0.0 { total * total / squares } else { 0.0 }
}

/// Mean and standard deviation about it (divisor: the sum of weights). Samples of no weight are left out, so that
/// an infinite value there does no harm. Sums are of differences from one of the values, so that digits are kept where a
/// parameter is large against its spread (GPS seconds, Julian dates).
pub fn mean_sd(values: &[f64], weights: &[f64]) -> (f64, f64) {
    let weighted = || values.iter().zip(weights).filter(|(_, w)| **w > 0.0);
    let reference = weighted().map(|(x, _)| *x).find(|x| x.is_finite()).unwrap_or(0.0);
    let total: f64 = weighted().map(|(_, w)| w).sum();
    let offset = weighted().map(|(x, w)| w * (x - reference)).sum::<f64>() / total;
    let variance = weighted().map(|(x, w)| w * (x - reference - offset) * (x - reference - offset)).sum::<f64>() / total;
    (reference + offset, variance.sqrt())
}

/// Quantiles at `levels` (0 to 1) by the inverted distribution function: the smallest value whose cumulative weight
/// is at least the level. All NaN when a sample of positive weight is NaN, or when there is no weight at all.
pub fn quantiles(values: &[f64], weights: &[f64], levels: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<(f64, f64)> = values.iter().copied().zip(weights.iter().copied()).filter(|(_, w)| *w > 0.0).collect();
    if sorted.is_empty() || sorted.iter().any(|(x, _)| x.is_nan()) {
        return vec![f64::NAN; levels.len()];
    }
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    let cumulative: Vec<f64> = sorted
        .iter()
        .map(|(_, w)| {
            sum += w;
            sum
        })
        .collect();
    levels
        .iter()
        .map(|level| {
            // Rounding must not push a level past a step that it equals: 0.5 of ten tenths is the fifth value.
            let target = level * sum * (1.0 - 1e-12);
            let index = cumulative.partition_point(|c| *c < target);
            sorted[index.min(sorted.len() - 1)].0
        })
        .collect()
}

#[cfg(test)]
mod tests;
