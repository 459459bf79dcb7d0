//! Equal-weight resampling.

use crate::random::{Purpose, stream, uniform};
use rand_chacha::ChaCha8Rng;

/// `n` rows drawn in proportion to their weights: systematic resampling (one random offset, n equal steps through the
/// cumulative weights: Kitagawa 1996, J. Comput. Graph. Stat. 5, 1), then shuffled, so that neighbours in the result
/// are unrelated. A row of weight w comes floor(n w) or ceil(n w) times. Draws from a stream of its own, so taking a
/// resample changes nothing else.
pub fn systematic(weights: &[f64], n: usize, seed: u64) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let Some(last) = weights.iter().rposition(|w| *w > 0.0) else { return Vec::new() };
    let mut rng = stream(seed, Purpose::Resample, 0, 0);
    let offset = uniform(&mut rng);
    let mut rows = Vec::with_capacity(n);
    let (mut row, mut reached) = (0, weights[0]);
    for k in 0..n {
        let target = (k as f64 + offset) / n as f64 * total;
        while reached <= target && row < last {
            row += 1;
            reached += weights[row];
        }
        rows.push(row);
    }
    // Fisher and Yates; the bias of the product rounded down is below 2^-40 for any n that fits in memory.
    for k in (1..n).rev() {
        rows.swap(k, (uniform(&mut rng) * (k + 1) as f64) as usize);
    }
    rows
}

/// `n` rows, each drawn in proportion to the weights and independently of the others.
pub fn independent(weights: &[f64], n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let Some(last) = weights.iter().rposition(|w| *w > 0.0) else { return Vec::new() };
    let mut total = 0.0;
    let reached: Vec<f64> = weights
        .iter()
        .map(|w| {
            total += w;
            total
        })
        .collect();
    (0..n)
        .map(|_| {
            let target = uniform(rng) * total;
            reached.partition_point(|sum| *sum <= target).min(last)
        })
        .collect()
}
