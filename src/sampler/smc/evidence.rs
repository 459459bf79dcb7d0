//! log Z three ways, each with an error that counts the correlation of the states: from the tempered states, from fresh draws of
//! the fitted law, and from both ends of the bridge between the two.

use super::archive::{Archive, CLANS, Stage};
use super::geometry::Geometry;
use super::run::{Draw, Measured};
use crate::random::{Purpose, stream, uniform};
use crate::stats::{log_add, log_sum};

/// Replicates of the bootstrap: the error is known to a tenth.
const REPLICATES: u64 = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub log_z: f64,
    pub error: f64,
}

/// Of the recursion over stages. Its error is the larger of two: by the Bayesian bootstrap (Rubin 1981) over chains, where each chain, and each prior
/// draw, gets an exponential weight and the recursion is done anew; and by the shares of Z that clans have in the end (Chan & Lai 2013, Ann. Stat.
/// 41, 2877; Lee & Whiteley 2018, Biometrika 105, 609), which sees what chains of one stage took over from a few ancestors.
pub fn smc(archive: &Archive, seed: u64) -> Estimate {
    let log_z = archive.log_z(1.0);
    let table = Table::of(archive);
    let spread: Vec<f64> = (0..REPLICATES).map(|replicate| table.replicate(archive, seed, replicate)).collect();
    let mean = spread.iter().sum::<f64>() / spread.len() as f64;
    let variance = spread.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (spread.len() - 1) as f64;
    Estimate { log_z, error: variance.max(clan_variance(archive)).sqrt() }
}

/// Relative variance of Z from the clans' shares of it: 1 where all came of one clan.
fn clan_variance(archive: &Archive) -> f64 {
    let clans = CLANS as f64;
    let off = |share: f64| (share - 1.0 / clans) * (share - 1.0 / clans);
    archive.clan_shares(1.0).into_iter().map(off).sum::<f64>() * clans / (clans - 1.0)
}

/// L_i^beta_s / (Z_s mix_i) of every state i, stage by stage, and last at beta = 1.
struct Table {
    columns: Vec<Vec<f32>>,
}

impl Table {
    fn of(archive: &Archive) -> Table {
        let end = Stage { beta: 1.0, log_z: archive.log_z(1.0), first: archive.len(), len: 0, n: 0.0, empty: 0.0 };
        let column = |s: &Stage| {
            let each = archive.log_like.iter().zip(&archive.log_mix);
            each.map(|(l, mix)| libm::exp(s.beta * l - s.log_z - mix) as f32).collect()
        };
        Table { columns: archive.stages.iter().chain([&end]).map(column).collect() }
    }

    /// ln of the ratio of a replicate's Z to the run's.
    fn replicate(&self, archive: &Archive, seed: u64, replicate: u64) -> f64 {
        let (mut counts, mut mix) = (Vec::<f64>::new(), vec![0f64; archive.len()]);
        for (number, stage) in archive.stages.iter().enumerate() {
            let own = &self.columns[number];
            // Z of a stage comes from the states of those before it.
            let ratio = if number > 0 { mean_ratio(own, &counts, &mix) } else { 1.0 };
            let n = reweigh(archive, stage, number as u64, seed, replicate, &mut counts);
            mix.iter_mut().zip(own).for_each(|(m, g)| *m += n / ratio * f64::from(*g));
            if number > 0 {
                self.settle(number, n, ratio, &counts, &mut mix);
            }
        }
        libm::log(mean_ratio(&self.columns[archive.stages.len()], &counts, &mix).max(f64::MIN_POSITIVE))
    }

    /// A stage's Z agrees with its own states and all before it, as in the run.
    fn settle(&self, number: usize, n: f64, first: f64, counts: &[f64], mix: &mut [f64]) {
        let (own, mut ratio) = (&self.columns[number], first);
        for _ in 0..30 {
            let next = mean_ratio(own, counts, mix);
            let change = n / next - n / ratio;
            mix.iter_mut().zip(own).for_each(|(m, g)| *m += change * f64::from(*g));
            let step = (next / ratio - 1.0).abs();
            ratio = next;
            if step < 1e-4 {
                break;
            }
        }
    }
}

/// Sum of count x column / mixture: a replicate's Z over the run's.
fn mean_ratio(column: &[f32], counts: &[f64], mix: &[f64]) -> f64 {
    let each = column.iter().zip(counts).zip(mix);
    each.map(|((g, n), m)| if *m > 0.0 { n * f64::from(*g) / m } else { 0.0 }).sum()
}

/// The counts of a stage's states, times a weight a chain; gives their sum, with the empty draws.
fn reweigh(archive: &Archive, stage: &Stage, number: u64, seed: u64, replicate: u64, counts: &mut Vec<f64>) -> f64 {
    let mut rng = stream(seed, Purpose::SmcBootstrap, replicate, number);
    let range = stage.first..stage.first + stage.len;
    let owners = archive.owner[range.clone()].iter().max().map_or(0, |o| *o as usize + 1);
    let weights: Vec<f64> = (0..owners).map(|_| -libm::log(1.0 - uniform(&mut rng))).collect();
    let before = counts.len();
    counts.extend(range.map(|i| archive.count[i] * weights[archive.owner[i] as usize]));
    let empty = if stage.empty >= 1.0 { super::student::gamma(stage.empty, &mut rng) } else { 0.0 };
    counts[before..].iter().sum::<f64>() + empty
}

/// Mean of L prior / q over the draws of the fitted law q, and their effective number.
pub fn importance(measured: &Measured) -> (Estimate, f64) {
    let Measured { geometry, draws, n } = measured;
    let log_w: Vec<f64> = draws.iter().map(|d| log_ratio(geometry, d)).collect();
    let log_sum_w = log_sum(&log_w);
    let log_squares = log_sum(log_w.iter().map(|w| 2.0 * w));
    let n_eff = libm::exp(2.0 * log_sum_w - log_squares);
    let error = (1.0 / n_eff - 1.0 / *n as f64).max(0.0).sqrt();
    (Estimate { log_z: log_sum_w - libm::log(*n as f64), error }, n_eff)
}

/// Shape of the generalised Pareto law that the largest importance weights follow (Vehtari et al. 2024, JMLR 25, 72; fitted as by Zhang & Stephens
/// 2009, Technometrics 51, 316): above 0.7 the mean of the weights is not to be trusted, for the fitted law hardly reaches where the posterior has mass.
pub fn pareto_shape(measured: &Measured) -> f64 {
    tail_shape(measured.draws.iter().map(|d| log_ratio(&measured.geometry, d)).filter(|w| w.is_finite()).collect(), measured.n)
}

/// Of `n` weights, given the logs of those that are not zero.
fn tail_shape(mut log_w: Vec<f64>, n: usize) -> f64 {
    log_w.sort_by(f64::total_cmp);
    let most = (n as f64 / 5.0).min(3.0 * (n as f64).sqrt()) as usize;
    let tail = most.min(log_w.len().saturating_sub(1));
    if tail < 5 {
        return f64::INFINITY;
    }
    let (top, threshold) = (log_w[log_w.len() - 1], log_w[log_w.len() - tail - 1]);
    let excess = |w: &f64| libm::exp(w - top) - libm::exp(threshold - top);
    let x: Vec<f64> = log_w[log_w.len() - tail..].iter().map(excess).collect();
    let (n, quartile) = (tail as f64, x[(tail as f64 / 4.0 + 0.5) as usize - 1]);
    // As many draws of the same weight: nothing is heavy.
    if quartile <= 0.0 {
        return if x[tail - 1] > 0.0 { 1.0 } else { f64::NEG_INFINITY };
    }
    let m = 30.0 + n.sqrt().floor();
    let shape = |theta: f64| x.iter().map(|x| libm::log1p(-theta * x)).sum::<f64>() / n;
    let theta: Vec<f64> = (1..=m as usize).map(|j| 1.0 / x[tail - 1] + (1.0 - (m / (j as f64 - 0.5)).sqrt()) / (3.0 * quartile)).collect();
    let log_like: Vec<f64> = theta.iter().map(|t| (*t, shape(*t))).map(|(t, k)| n * (libm::log(-t / k) - k - 1.0)).collect();
    let total = log_sum(&log_like);
    let mean: f64 = theta.iter().zip(&log_like).map(|(t, l)| t * libm::exp(l - total)).sum();
    (n * shape(mean) + 5.0) / (n + 10.0)
}

/// ln [L prior / q] by z.
fn log_ratio(geometry: &Geometry, draw: &Draw) -> f64 {
    draw.log_like + crate::sampler::standard::log_prior(&draw.place.z) - geometry.log_law(&draw.place)
}

/// The optimal bridge (Meng & Wong 1996, Stat. Sinica 6, 831) between the chains at beta = 1, each step of which is worth `pace` draws, and draws of
/// the fitted law; error by the delta method, with chains as the units of the first sample (Fruehwirth-Schnatter 2004, Econometrics J. 7, 143).
///
/// The chains must have had no part in fitting the law: it fits what taught it better than other states, and Z would be too small (Overstall & Forster 2010).
pub fn bridge(chains: &Archive, pace: f64, measured: &Measured) -> Option<Estimate> {
    let Measured { geometry, draws, n } = measured;
    if chains.len() == 0 || draws.is_empty() {
        return None;
    }
    let ends = Ends {
        far: draws.iter().map(|d| log_ratio(geometry, d)).collect(),
        near: (0..chains.len()).map(|i| log_ratio(geometry, &state(chains, geometry, i))).collect(),
        log_count: chains.stays.iter().map(|n| libm::log(n * pace)).collect(),
        log_p: libm::log(chains.stays.iter().sum::<f64>() * pace),
        log_q: libm::log(*n as f64),
    };
    let log_z = ends.solve(importance(measured).0.log_z);
    let terms: Vec<f64> = ends.far.iter().map(|l| ends.above(*l, log_z)).collect();
    let variance = relative_variance(&terms, *n) + ends.chain_variance(&chains.owner, log_z);
    Some(Estimate { log_z, error: variance.sqrt() })
}

fn state(archive: &Archive, geometry: &Geometry, i: usize) -> Draw {
    Draw { place: geometry.place(archive.at(i)), log_like: archive.log_like[i] }
}

/// The two ends of a bridge: ln [L prior / q] at draws of q and at states of the chains, and the sizes of the samples.
struct Ends {
    far: Vec<f64>,
    near: Vec<f64>,
    /// Effective draws that each state stands for.
    log_count: Vec<f64>,
    log_p: f64,
    log_q: f64,
}

impl Ends {
    /// Log of a term of the numerator (mean over draws), given log Z = r.
    fn above(&self, l: f64, r: f64) -> f64 {
        l + self.below(l, r)
    }

    /// Of the denominator (mean over chains).
    fn below(&self, l: f64, r: f64) -> f64 {
        -log_add(self.log_p + l, self.log_q + r)
    }

    /// Fixed point of Z = numerator / denominator.
    fn solve(&self, first: f64) -> f64 {
        let mut log_z = first;
        for _ in 0..1000 {
            let top = log_sum(self.far.iter().map(|l| self.above(*l, log_z))) - self.log_q;
            let bottom = log_sum(self.near.iter().zip(&self.log_count).map(|(l, n)| n + self.below(*l, log_z))) - self.log_p;
            let step = (top - bottom - log_z).abs();
            log_z = top - bottom;
            if step < 1e-9 || !log_z.is_finite() {
                break;
            }
        }
        log_z
    }

    /// Relative variance of the denominator, chains as units.
    fn chain_variance(&self, owner: &[u32], log_z: f64) -> f64 {
        let mut chains = vec![0.0; owner.iter().max().map_or(0, |o| *o as usize + 1)];
        for ((l, log_n), owner) in self.near.iter().zip(&self.log_count).zip(owner) {
            chains[*owner as usize] += libm::exp(log_n + self.below(*l, log_z) + self.log_q + log_z);
        }
        let logs: Vec<f64> = chains.iter().map(|c| libm::log(*c)).collect();
        relative_variance(&logs, chains.len())
    }
}

/// Variance of the mean of `n` terms over its square, given the logs of those that are not zero.
fn relative_variance(logs: &[f64], n: usize) -> f64 {
    let (sum, squares) = (log_sum(logs), log_sum(logs.iter().map(|l| 2.0 * l)));
    (libm::exp(squares - 2.0 * sum) - 1.0 / n as f64).max(0.0) * n as f64 / (n as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_weights_that_follow_a_pareto_law_has_its_shape() {
        for shape in [0.3, 0.9] {
            // Quantiles in place of draws.
            let log_w = (0..2048).map(|k| -shape * libm::log((k as f64 + 0.5) / 2048.0)).collect();
            let found = tail_shape(log_w, 2048);
            assert!((found - shape).abs() < 0.1, "{shape}: {found}");
        }
        assert!(tail_shape(vec![0.0; 1000], 1000) < 0.1, "all are of one weight");
    }
}
