//! Every state ever visited, and what each is worth at any temperature: nothing that was paid for is thrown away.
//!
//! Karamanis & Seljak 2024 (persistent sampling, arXiv:2407.20722), with whole chains instead of their ends (waste-free:
//! Dau & Chopin 2022, JRSS B 84, 114). A stage s of n_s effective draws from L^beta_s / Z_s (times the prior) gives, in the mixture of
//! all stages, each state the weight L^beta / sum_s n_s L^beta_s / Z_s (balance heuristic: Veach & Guibas 1995); Z is the sum of them.

use crate::stats::{log_add, log_sum};
use serde::{Deserialize, Serialize};

/// States of one stage are neighbours in the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub beta: f64,
    pub log_z: f64,
    /// Range in the archive.
    pub first: usize,
    pub len: usize,
    /// Effective independent draws, those of likelihood zero too.
    pub n: f64,
    /// Draws of likelihood zero: they have no weight at any beta above 0, and are not kept.
    pub empty: f64,
}

/// Clans of states: each is all that came of the same draws of the prior, so what one clan taught can be tried on another.
pub const CLANS: usize = 16;

/// A state: where, its log L, how many steps a walker stayed there, and its clan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub u: Vec<f64>,
    pub log_like: f64,
    pub stays: f64,
    pub clan: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    pub n_dim: usize,
    #[serde(with = "crate::bulk::reals")]
    pub u: Vec<f64>,
    #[serde(with = "crate::bulk::reals")]
    pub log_like: Vec<f64>,
    /// Steps that a walker stayed.
    #[serde(with = "crate::bulk::reals")]
    pub stays: Vec<f64>,
    /// Effective draws that the state stands for: stays times the stage's draws a step.
    #[serde(with = "crate::bulk::reals")]
    pub count: Vec<f64>,
    /// Whose chain: states of the same stage and owner are not independent.
    pub owner: Vec<u32>,
    pub clan: Vec<u8>,
    /// ln sum_s n_s L^beta_s / Z_s.
    #[serde(with = "crate::bulk::reals")]
    pub log_mix: Vec<f64>,
    pub stages: Vec<Stage>,
}

impl Archive {
    pub fn len(&self) -> usize {
        self.log_like.len()
    }

    pub fn at(&self, i: usize) -> &[f64] {
        &self.u[i * self.n_dim..(i + 1) * self.n_dim]
    }

    /// Those of some states, one after another.
    pub fn points(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().flat_map(|i| self.at(*i)).copied().collect()
    }

    pub fn state(&self, i: usize) -> State {
        State { u: self.at(i).to_vec(), log_like: self.log_like[i], stays: self.stays[i], clan: self.clan[i] }
    }

    /// Puts the chains of a stage in, `each`: effective draws a step. Its Z takes what they say into account: earlier states alone know too little of it
    /// where much of the mass lies at few of them.
    pub fn append(&mut self, beta: f64, each: f64, empty: f64, chains: impl Iterator<Item = Vec<State>>) {
        let (first, log_z) = (self.len(), if self.len() > 0 { self.log_z(beta) } else { 0.0 });
        self.put(each, chains);
        let n = self.count[first..].iter().sum::<f64>() + empty * each;
        self.log_mix.resize(self.len(), 0.0);
        self.stages.push(Stage { beta, log_z, first, len: self.len() - first, n, empty });
        self.remix_new(first);
        if first > 0 {
            self.settle_last();
        }
    }

    /// States of chains, each at so many effective draws a step; without a stage they have no weights.
    pub fn put(&mut self, each: f64, chains: impl Iterator<Item = Vec<State>>) {
        for (owner, chain) in chains.enumerate() {
            for state in chain {
                self.u.extend_from_slice(&state.u);
                self.log_like.push(state.log_like);
                self.stays.push(state.stays);
                self.count.push(state.stays * each);
                self.owner.push(owner as u32);
                self.clan.push(state.clan);
            }
        }
    }

    fn remix_new(&mut self, first: usize) {
        let Some(new) = self.stages.last() else { return };
        for i in 0..first {
            self.log_mix[i] = log_add(self.log_mix[i], libm::log(new.n) + new.beta * self.log_like[i] - new.log_z);
        }
        for i in first..self.len() {
            self.log_mix[i] = self.mixture(i, self.stages.len());
        }
    }

    /// ln sum_s n_s L^beta_s / Z_s over the first `stages`.
    fn mixture(&self, i: usize, stages: usize) -> f64 {
        log_sum(self.stages[..stages].iter().map(|s| libm::log(s.n) + s.beta * self.log_like[i] - s.log_z))
    }

    /// Fixed point of the last stage's Z (the two-sample bridge of Meng & Wong 1996, with all earlier stages as one sample).
    fn settle_last(&mut self) {
        let Some(mut last) = self.stages.pop() else { return };
        let others: Vec<f64> = (0..self.len()).map(|i| self.mixture(i, self.stages.len())).collect();
        for _ in 0..200 {
            let own = libm::log(last.n) - last.log_z;
            for (i, other) in others.iter().enumerate() {
                self.log_mix[i] = log_add(*other, own + last.beta * self.log_like[i]);
            }
            let next = self.log_z(last.beta);
            let step = (next - last.log_z).abs();
            last.log_z = next;
            if step < 1e-6 {
                break;
            }
        }
        self.stages.push(last);
    }

    /// Log weights of all states at `beta`; the sum of the weights is Z.
    pub fn log_weights(&self, beta: f64) -> Vec<f64> {
        let each = self.log_like.iter().zip(&self.log_mix).zip(&self.count);
        each.map(|((l, mix), n)| libm::log(*n) + beta * l - mix).collect()
    }

    /// Running estimate of ln Z at `beta`.
    pub fn log_z(&self, beta: f64) -> f64 {
        log_sum(self.log_weights(beta))
    }

    /// Log of the steps that walkers stayed at each state: its weight in a chain.
    pub fn log_stays(&self) -> Vec<f64> {
        self.stays.iter().map(|n| libm::log(*n)).collect()
    }

    pub fn clear(&mut self) {
        *self = Archive { n_dim: self.n_dim, ..Archive::default() };
    }

    /// Each clan's share of Z at `beta`.
    pub fn clan_shares(&self, beta: f64) -> [f64; CLANS] {
        let log_weights = self.log_weights(beta);
        let log_z = log_sum(&log_weights);
        let mut shares = [0.0; CLANS];
        log_weights.iter().zip(&self.clan).for_each(|(w, clan)| shares[usize::from(*clan)] += libm::exp(w - log_z));
        shares
    }

    /// Effective sample size at `beta`: Kish's, where a state counts as often as the effective draws that it stands for.
    pub fn n_eff(&self, beta: f64) -> f64 {
        let raw = || self.log_like.iter().zip(&self.log_mix).map(|(l, mix)| beta * l - mix);
        let top = raw().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut squares) = (0.0, 0.0);
        for (log_w, n) in raw().zip(&self.count) {
            let w = libm::exp(log_w - top);
            sum += n * w;
            squares += n * w * w;
        }
        if squares > 0.0 { sum * sum / squares } else { 0.0 }
    }

    /// The next beta: where `n_eff` is as wanted, between the last stage's and 1.
    pub fn next_beta(&self, n_wanted: f64) -> f64 {
        let last = self.stages.last().map_or(0.0, |s| s.beta);
        if self.n_eff(1.0) >= n_wanted {
            return 1.0;
        }
        // Above 0 points of likelihood zero have no weight: the least beta is that law, the prior where L > 0.
        let (mut low, mut high) = (last.max(f64::MIN_POSITIVE), 1.0);
        if self.n_eff(low) <= n_wanted {
            return low;
        }
        for _ in 0..200 {
            let middle = if low < 1e-3 * high { (low.max(1e-12 * high) * high).sqrt() } else { 0.5 * (low + high) };
            let n = self.n_eff(middle);
            if n >= n_wanted {
                low = middle
            } else {
                high = middle
            }
            if (n - n_wanted).abs() < 0.01 * n_wanted || high - low < 1e-9 * high {
                break;
            }
        }
        low
    }
}
