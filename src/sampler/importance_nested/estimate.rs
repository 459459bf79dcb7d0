//! Evidence, its error and the effective sample size from shells.

use super::ledger::{Ledger, Shell};
use crate::stats::log_sum;

/// Which points of a shell count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Those of the exploration, which taught the bounds.
    Explored,
    /// Those drawn since the bounds were frozen.
    Fresh,
    All,
}

/// One shell in numbers.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub log_volume: f64,
    /// Points evaluated.
    pub n: usize,
    /// Log of their mean likelihood.
    pub log_mean: f64,
    /// Kish effective number of them; n when all have likelihood zero.
    pub n_eff: f64,
    /// Relative variance of the volume.
    pub volume_variance: f64,
}

impl Summary {
    pub fn of(ledger: &Ledger, shell: &Shell, count: Count) -> Summary {
        let ids = counted(shell, count);
        let log_like = ids.clone().map(|id| ledger.points.log_like[id as usize]);
        let (n, log_mean, n_eff) = mean_and_effective(log_like);
        // Fresh: straight from the tries made since the bounds were frozen. Else through the whole bound: its volume from
        // all tries, and the shell's share of it from the draws that were used.
        let tried = shell.region.log_tried();
        let (hits, draws) = (shell.members.len() as u64, shell.draws);
        let (log_volume, volume_variance) = match count {
            Count::Fresh => share(shell.fresh_hits, shell.fresh_tries, tried),
            Count::Explored => share(hits, draws, shell.log_volume()),
            Count::All => share(hits + shell.fresh_hits, draws + shell.fresh_inside, shell.log_volume()),
        };
        let bound = if count == Count::Fresh { 0.0 } else { share(shell.inside, shell.tries, 0.0).1 };
        Summary { log_volume, n, log_mean, n_eff, volume_variance: volume_variance + bound }
    }

    /// Log of the shell's evidence; -inf when nothing is known of it.
    pub fn log_z(&self) -> f64 {
        if self.n == 0 { f64::NEG_INFINITY } else { self.log_volume + self.log_mean }
    }

    /// Relative variance of the mean likelihood, unbiased for the number of points.
    pub fn mean_variance(&self) -> f64 {
        match self.n {
            0 => 0.0,
            1 => 1.0,
            n => (1.0 / self.n_eff - 1.0 / n as f64).max(0.0) * n as f64 / (n as f64 - 1.0),
        }
    }
}

/// Ids of the points that count.
pub fn counted(shell: &Shell, count: Count) -> impl Iterator<Item = u32> + Clone + '_ {
    let old: &[u32] = if count == Count::Fresh { &[] } else { &shell.members };
    let new: &[u32] = if count == Count::Explored { &[] } else { &shell.fresh };
    old.iter().chain(new).copied()
}

/// Number, log mean and effective number of likelihoods given by their logs.
pub fn mean_and_effective(log_like: impl Iterator<Item = f64> + Clone) -> (usize, f64, f64) {
    let n = log_like.clone().count();
    let most = log_like.clone().fold(f64::NEG_INFINITY, f64::max);
    if n == 0 || most == f64::NEG_INFINITY {
        return (n, f64::NEG_INFINITY, n as f64);
    }
    let (mut sum, mut squares) = (0.0, 0.0);
    for l in log_like {
        let e = libm::exp(l - most);
        sum += e;
        squares += e * e;
    }
    (n, most + libm::log(sum / n as f64), sum * sum / squares)
}

/// `log_whole` times the share `hits` of `tries`, as a log volume with its relative variance.
fn share(hits: u64, tries: u64, log_whole: f64) -> (f64, f64) {
    if hits == 0 {
        return (f64::NEG_INFINITY, 0.0);
    }
    let share = hits as f64 / tries as f64;
    (log_whole + libm::log(share), (1.0 - share) / hits as f64)
}

/// What all shells together say.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub shells: Vec<Summary>,
    pub log_z: f64,
    /// Standard deviation of log Z: likelihood means and volumes (spec 7).
    pub error: f64,
    /// (sum Z_i)^2 / sum(Z_i^2 / n_eff,i).
    pub n_eff: f64,
}

impl Evidence {
    pub fn of(ledger: &Ledger, count: Count) -> Evidence {
        let shells: Vec<Summary> = ledger.shells.iter().map(|s| Summary::of(ledger, s, count)).collect();
        let log_zs: Vec<f64> = shells.iter().map(Summary::log_z).collect();
        let log_z = log_sum(&log_zs);
        let (mut variance, mut inverse) = (0.0, 0.0);
        for (shell, log_z_i) in shells.iter().zip(&log_zs) {
            if *log_z_i > f64::NEG_INFINITY {
                let share = libm::exp(log_z_i - log_z);
                variance += share * share * (shell.mean_variance() + shell.volume_variance);
                inverse += share * share / shell.n_eff;
            }
        }
        Evidence { shells, log_z, error: variance.sqrt(), n_eff: if inverse > 0.0 { 1.0 / inverse } else { 0.0 } }
    }

    /// Share of each shell in the evidence.
    pub fn shares(&self) -> Vec<f64> {
        self.shells.iter().map(|s| libm::exp(s.log_z() - self.log_z)).map(|s| if s.is_nan() { 0.0 } else { s }).collect()
    }
}
