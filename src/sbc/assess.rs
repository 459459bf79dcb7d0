//! Are the ranks uniform? Histograms, p-values, and what a failure looks like in words.

use super::Trial;
use crate::random::{Purpose, stream, uniform};
use crate::stats::uniformity::{chi_squared, holm, kuiper};
use serde::Serialize;

/// The ranks of one quantity over all simulations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantity {
    pub name: String,
    /// Ranks 0 to `draws` in bins of equal width.
    pub histogram: Vec<u64>,
    /// Of the histogram being even, and its p-value.
    pub chi2: f64,
    pub chi2_p: f64,
    /// Kuiper's statistic of all ranks, and its p-value.
    pub kuiper: f64,
    pub kuiper_p: f64,
    /// The smaller of the two p-values, corrected for all tests of the report (Holm 1979).
    pub p: f64,
    /// Mean rank, in standard errors from the middle: above 0 the truth lies above the posterior too often.
    pub shift: f64,
    /// Spread of the ranks about the middle, in standard errors from that of uniform ranks: above 0 the posterior is too narrow.
    pub spread: f64,
    /// Empty where `p` is not small.
    pub fault: String,
}

/// Bins of a histogram of `n` ranks: at least 5 expected in each, and each as many of the `draws` + 1 ranks.
fn bins(n: usize, draws: usize) -> usize {
    let fits = |bins: &usize| (draws + 1).is_multiple_of(*bins) && n >= 5 * bins;
    [20, 10, 5].into_iter().find(fits).unwrap_or(2)
}

/// What the trials say of each quantity; those whose corrected p is below `alpha` are at fault.
pub fn assess(names: &[String], trials: &[Trial], draws: usize, seed: u64, alpha: f64) -> Vec<Quantity> {
    let mut all: Vec<Quantity> = names.iter().enumerate().map(|(k, name)| quantity(name, k, trials, draws, seed)).collect();
    let p: Vec<f64> = all.iter().flat_map(|q| [q.chi2_p, q.kuiper_p]).collect();
    for (quantity, p) in all.iter_mut().zip(holm(&p).chunks_exact(2)) {
        quantity.p = p[0].min(p[1]);
        if quantity.p < alpha {
            quantity.fault = fault(quantity).into();
        }
    }
    all
}

fn quantity(name: &str, k: usize, trials: &[Trial], draws: usize, seed: u64) -> Quantity {
    let bins = bins(trials.len(), draws);
    let mut histogram = vec![0; bins];
    let within = |trial: &Trial| {
        let place = uniform(&mut stream(seed, Purpose::SbcWithin, k as u64, trial.number));
        (trial.ranks[k] as f64 + place) / (draws + 1) as f64
    };
    trials.iter().for_each(|trial| histogram[trial.ranks[k] as usize * bins / (draws + 1)] += 1);
    let u: Vec<f64> = trials.iter().map(within).collect();
    let n = u.len() as f64;
    let (chi2, chi2_p) = chi_squared(&histogram);
    let (kuiper, kuiper_p) = kuiper(&u);
    // Uniform u: (u - 1/2) has variance 1/12, and (u - 1/2)^2 has mean 1/12 and variance 1/180.
    let shift = (u.iter().map(|u| u - 0.5).sum::<f64>() / n) * (12.0 * n).sqrt();
    let spread = (u.iter().map(|u| (u - 0.5) * (u - 0.5)).sum::<f64>() / n - 1.0 / 12.0) * (180.0 * n).sqrt();
    Quantity { name: name.into(), histogram, chi2, chi2_p, kuiper, kuiper_p, p: f64::NAN, shift, spread, fault: String::new() }
}

fn fault(quantity: &Quantity) -> &'static str {
    match (quantity.shift, quantity.spread) {
        (shift, spread) if spread > 3.0 && spread > shift.abs() => "too narrow: the truth is in its tails too often",
        (shift, spread) if spread < -3.0 && -spread > shift.abs() => "too wide: the truth is in its middle too often",
        (shift, _) if shift > 3.0 => "too low: the truth lies above it too often",
        (shift, _) if shift < -3.0 => "too high: the truth lies below it too often",
        _ => "not uniform: see the histogram",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a posterior N(shift, width) about a truth that is N(0, 1): ranks among 99 draws.
    fn trials(n: u64, shift: f64, width: f64) -> Vec<Trial> {
        let one = |number| {
            let mut rng = stream(7, Purpose::Check, 9, number);
            let mut normals = [0.0; 100];
            crate::random::fill_normal(&mut rng, &mut normals);
            let rank = normals[1..].iter().filter(|z| shift + width * **z < normals[0]).count();
            Trial { number, attempts: 1, n_eff: 1e4, n_like: 1, ranks: vec![rank as u64] }
        };
        (0..n).map(one).collect()
    }

    fn assessed(shift: f64, width: f64) -> Quantity {
        assess(&["a".into()], &trials(200, shift, width), 99, 1, 0.01).remove(0)
    }

    #[test]
    fn a_right_posterior_is_at_no_fault_and_wrong_ones_are_named_by_it() {
        let right = assessed(0.0, 1.0);
        assert!(right.p > 0.01 && right.fault.is_empty() && right.histogram.iter().sum::<u64>() == 200, "{right:?}");
        for (shift, width, word) in [(0.0, 0.6, "narrow"), (0.0, 1.8, "wide"), (-0.6, 1.0, "too low"), (0.6, 1.0, "too high")] {
            let wrong = assessed(shift, width);
            assert!(wrong.p < 1e-3 && wrong.fault.contains(word), "{word}: {wrong:?}");
        }
    }

    #[test]
    fn bins_hold_as_many_ranks_each_and_enough_simulations() {
        assert_eq!([(60, 99), (100, 99), (30, 99), (12, 99), (400, 49)].map(|(n, draws)| bins(n, draws)), [10, 20, 5, 2, 10]);
    }
}
