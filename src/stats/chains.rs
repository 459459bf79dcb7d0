//! Convergence of Markov chains: rank-normalised R-hat and effective sample sizes (Vehtari, Gelman, Simpson, Carpenter & Bürkner
//! 2021, Bayesian Analysis 16, 667), E-BFMI (Betancourt 2016), nested R-hat (Margossian et al. 2024, Bayesian Analysis).
//!
//! Samples of one quantity are M chains of N draws, chain after chain in one slice. A quantity that is constant or not
//! finite somewhere, and chains too short to tell, give NaN. The functions are libm's, so the figures are the same everywhere.

use super::dot;
use super::special::normal_quantile;

/// What the chains say of one quantity.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Mixing {
    /// The larger of bulk and folded rank-normalised split R-hat: near 1 where the chains agree.
    pub r_hat: f64,
    /// Effective sample size for the centre of the distribution.
    pub ess_bulk: f64,
    /// The smaller of those for the 5 and 95% quantiles.
    pub ess_tail: f64,
    /// Monte Carlo standard error of the mean, in units of the quantity.
    pub mcse_mean: f64,
}

impl Mixing {
    /// `n_groups` > 0: so many groups of chains with a common start, whose R-hat is the nested one.
    pub fn of(values: &[f64], n_chains: usize, n_groups: usize) -> Mixing {
        // Of a quantity that is large against its spread, sums would keep no digits.
        let values: Vec<f64> = values.iter().map(|x| x - values[0]).collect();
        Mixing {
            r_hat: r_hat_of(&values, n_chains, n_groups),
            ess_bulk: ess_bulk(&values, n_chains),
            ess_tail: ess_tail(&values, n_chains),
            mcse_mean: mcse_mean(&values, n_chains),
        }
    }
}

/// That of the chains, or with `n_groups` > 0 the nested one.
pub fn r_hat_of(values: &[f64], n_chains: usize, n_groups: usize) -> f64 {
    if n_groups > 0 { nested_r_hat(values, n_chains, n_groups) } else { r_hat(values, n_chains) }
}

/// Above this R-hat chains disagree, and are not to be trusted (Vehtari et al. 2021).
pub const R_HAT_LIMIT: f64 = 1.01;
/// Fewest draws of a chain that say anything.
const FEWEST: usize = 4;

/// Rank-normalised split R-hat: the larger of that of the values and that of their distances from the median.
pub fn r_hat(values: &[f64], n_chains: usize) -> f64 {
    let Some(halves) = Halves::of(values, n_chains) else { return f64::NAN };
    let mut order = halves.order();
    let bulk = halves.by_rank(&order).r_hat();
    let middle = interpolated(&order, 0.5);
    order.iter_mut().for_each(|(x, _)| *x = (*x - middle).abs());
    // Falling and then rising, which a stable sort is quick with.
    order.sort_by(by_value);
    let tail = halves.by_rank(&order).r_hat();
    if bulk.is_nan() || tail.is_nan() { f64::NAN } else { bulk.max(tail) }
}

/// Effective sample size of the rank-normalised values.
pub fn ess_bulk(values: &[f64], n_chains: usize) -> f64 {
    Halves::of(values, n_chains).map_or(f64::NAN, |halves| halves.by_rank(&halves.order()).ess())
}

/// The smaller effective sample size of the shares below the 5 and the 95% quantile.
pub fn ess_tail(values: &[f64], n_chains: usize) -> f64 {
    let Some(halves) = Halves::of(values, n_chains) else { return f64::NAN };
    let order = sorted(values);
    let below = |level: f64| {
        let limit = interpolated(&order, level);
        halves.map(|x| f64::from(u8::from(x <= limit))).ess()
    };
    let (low, high) = (below(0.05), below(0.95));
    if low.is_nan() || high.is_nan() { f64::NAN } else { low.min(high) }
}

/// Standard deviation over the root of the effective sample size of the values themselves.
pub fn mcse_mean(values: &[f64], n_chains: usize) -> f64 {
    let ess = Halves::of(values, n_chains).map_or(f64::NAN, |halves| halves.ess());
    (variance(values) / ess).sqrt()
}

/// R-hat for many short chains: `n_groups` groups of equally many chains, each begun from one point, are compared by the
/// means of the groups; what chains of one group differ by is no lack of convergence (Margossian et al., eq. 6).
pub fn nested_r_hat(values: &[f64], n_chains: usize, n_groups: usize) -> f64 {
    if n_groups < 2 || !n_chains.is_multiple_of(n_groups) || !usable(values, n_chains) {
        return f64::NAN;
    }
    let n = values.len() / n_chains;
    let groups: Vec<(f64, f64)> = values.chunks_exact(n * (n_chains / n_groups)).map(|group| within_group(group, n)).collect();
    let means: Vec<f64> = groups.iter().map(|g| g.0).collect();
    let within = mean(&groups.iter().map(|g| g.1).collect::<Vec<_>>());
    (1.0 + variance(&means) / within).sqrt()
}

/// Mean of a group of chains of `n` draws, and its variance: between the chains and inside them.
fn within_group(group: &[f64], n: usize) -> (f64, f64) {
    let means: Vec<f64> = group.chunks_exact(n).map(mean).collect();
    let inside: Vec<f64> = group.chunks_exact(n).map(variance).collect();
    let between = if means.len() > 1 { variance(&means) } else { 0.0 };
    (mean(&means), between + mean(&inside))
}

/// Estimated Bayesian fraction of missing information of one chain, from the total energy at the start of each transition:
/// below 0.3 momenta change the energy too little to reach the tails.
pub fn e_bfmi(energy: &[f64]) -> f64 {
    let steps: f64 = energy.windows(2).map(|e| (e[1] - e[0]) * (e[1] - e[0])).sum();
    steps / (variance(energy) * (energy.len() as f64 - 1.0))
}

/// All chains cut in two, chain after chain.
struct Halves {
    values: Vec<f64>,
    /// Draws of each half.
    n: usize,
}

impl Halves {
    fn of(values: &[f64], n_chains: usize) -> Option<Halves> {
        if !usable(values, n_chains) {
            return None;
        }
        let whole = values.len() / n_chains;
        let n = whole / 2;
        let mut halves = Vec::with_capacity(2 * n * n_chains);
        for chain in values.chunks_exact(whole) {
            halves.extend_from_slice(&chain[..n]);
            halves.extend_from_slice(&chain[whole - n..]);
        }
        Some(Halves { values: halves, n })
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Halves {
        Halves { values: self.values.iter().map(|x| f(*x)).collect(), n: self.n }
    }

    fn order(&self) -> Vec<Placed> {
        sorted(&self.values)
    }

    /// In place of each value the normal quantile of its rank in `order` (equal values share the mean rank).
    fn by_rank(&self, order: &[Placed]) -> Halves {
        let (mut values, mut first) = (vec![0.0; order.len()], 0);
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let rank = first as f64 + 0.5 * (group.len() as f64 + 1.0);
            let p = (rank - 0.375) / (order.len() as f64 + 0.25);
            let quantile = normal_quantile(p, 1.0 - p);
            group.iter().for_each(|(_, at)| values[*at] = quantile);
            first += group.len();
        }
        Halves { values, n: self.n }
    }

    fn r_hat(&self) -> f64 {
        let chains = || self.values.chunks_exact(self.n);
        let within = mean(&chains().map(variance).collect::<Vec<_>>());
        let between = variance(&chains().map(mean).collect::<Vec<_>>());
        let n = self.n as f64;
        (((n - 1.0) / n * within + between) / within).sqrt()
    }

    /// Geyer's initial monotone sequence over the autocorrelations of all halves together.
    fn ess(&self) -> f64 {
        let chains = || self.values.chunks_exact(self.n);
        let (n, total) = (self.n as f64, self.values.len() as f64);
        let means: Vec<f64> = chains().map(mean).collect();
        let mut off = self.values.clone();
        off.chunks_exact_mut(self.n).zip(&means).for_each(|(x, m)| x.iter_mut().for_each(|x| *x -= m));
        // at lag t, divided by n, mean of all halves
        let covariance = |lag: usize| off.chunks_exact(self.n).map(|x| dot(&x[..self.n - lag], &x[lag..])).sum::<f64>() / total;
        let within = covariance(0) * n / (n - 1.0);
        let all = within * (n - 1.0) / n + variance(&means);
        if all.is_nan() || all <= 0.0 {
            return f64::NAN;
        }
        let tau = initial_sequence(self.n, |lag| 1.0 - (within - covariance(lag)) / all);
        total / tau.max(1.0 / libm::log10(total))
    }
}

/// -1 + 2 x the sum of autocorrelations up to where pairs of them turn negative, each pair held to be no larger than the one before.
fn initial_sequence(n: usize, correlation: impl Fn(usize) -> f64) -> f64 {
    let (mut even, mut odd) = (1.0, correlation(1));
    let (mut sum, mut least, mut lag) = (0.0, f64::INFINITY, 0);
    // The last pair is looked at and, unless its first member is positive, left out.
    while lag + 4 < n && even + odd > 0.0 {
        least = f64::min(least, even + odd);
        sum += least;
        lag += 2;
        (even, odd) = (correlation(lag), correlation(lag + 1));
    }
    2.0 * sum - 1.0 + f64::max(even, 0.0)
}

fn usable(values: &[f64], n_chains: usize) -> bool {
    let whole = n_chains > 0 && values.len().is_multiple_of(n_chains) && values.len() / n_chains >= FEWEST;
    whole && values.iter().all(|x| x.is_finite()) && values.iter().any(|x| *x != values[0])
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// With the divisor n - 1.
fn variance(x: &[f64]) -> f64 {
    let m = mean(x);
    x.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / (x.len() as f64 - 1.0)
}

/// A value, and where it stands in the slice that it is from.
type Placed = (f64, usize);

fn by_value(a: &Placed, b: &Placed) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0)
}

fn sorted(values: &[f64]) -> Vec<Placed> {
    let mut order: Vec<Placed> = values.iter().copied().zip(0..).collect();
    order.sort_unstable_by(by_value);
    order
}

/// Quantile by linear interpolation between order statistics (type 7 of Hyndman & Fan 1996), as the definition of the tail takes it.
fn interpolated(sorted: &[Placed], level: f64) -> f64 {
    let at = level * (sorted.len() - 1) as f64;
    let below = at as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below].0 + (at - below as f64) * (sorted[above].0 - sorted[below].0)
}

#[cfg(test)]
#[path = "chains_tests.rs"]
mod tests;
