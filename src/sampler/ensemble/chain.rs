//! Where the walkers have been, in bounded memory, and how long they remember it.

use serde::{Deserialize, Serialize};

use super::walkers::Place;
use crate::sampler::standard::log_prior;
use crate::stats::autocorrelation;

/// Steps kept at most: then every other one goes, and from then on only every second, fourth, ... step is kept.
const MOST: usize = 4096;
/// Window of the autocorrelation time, in times (Sokal 1997).
const WINDOW: f64 = 5.0;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Chain {
    n_walkers: usize,
    n_dim: usize,
    /// Steps from one kept to the next.
    pub stride: u64,
    /// Kept steps x walkers x n_dim, and log L of each.
    #[serde(with = "crate::bulk::reals")]
    z: Vec<f64>,
    #[serde(with = "crate::bulk::reals")]
    log_like: Vec<f64>,
}

/// What can be said of a chain without its first `burn` kept steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Steps from one kept step to the next when it was taken.
    pub stride: u64,
    /// Kept steps discarded, and used.
    pub burn: usize,
    pub used: usize,
    /// Longest and shortest autocorrelation time of the parameters, in kept steps.
    pub longest: f64,
    pub shortest: f64,
    /// Largest difference of the means of two halves of the chain, in its standard errors.
    pub drift: f64,
    /// Walkers that moved less than a tenth as often as the median walker.
    pub stuck: usize,
}

impl Look {
    /// Longest autocorrelation time in steps of the walkers.
    pub fn steps(&self) -> f64 {
        self.longest * self.stride as f64
    }
}

impl Chain {
    pub fn new(n_walkers: usize, n_dim: usize) -> Chain {
        Chain { n_walkers, n_dim, stride: 1, ..Chain::default() }
    }

    /// Kept steps.
    pub fn len(&self) -> usize {
        self.log_like.len() / self.n_walkers
    }

    /// Step number `step` (from 1) of all walkers.
    pub fn note<'a>(&mut self, step: u64, places: impl Iterator<Item = &'a Place>) {
        if step.is_multiple_of(self.stride) {
            for place in places {
                self.z.extend_from_slice(&place.z);
                self.log_like.push(place.log_like);
            }
        }
        if self.len() == MOST {
            self.stride *= 2;
            self.z = every_second(&self.z, self.n_walkers * self.n_dim);
            self.log_like = every_second(&self.log_like, self.n_walkers);
        }
    }

    /// One coordinate of every `stride`-th kept step from `burn` on, walker after walker.
    fn series(&self, i: usize, burn: usize, stride: usize) -> Vec<f64> {
        let row = self.n_walkers * self.n_dim;
        let mut series = Vec::with_capacity(self.log_like.len());
        for w in 0..self.n_walkers {
            let own = self.z[burn * row..].iter().skip(w * self.n_dim + i);
            series.extend(own.step_by(stride * row));
        }
        series
    }

    /// `last`: the look before, whose time says what to discard (20 times, and a quarter at most) and how finely to look (ten a time).
    pub fn look(&self, last: Option<&Look>) -> Look {
        let quarter = self.len() / 4;
        let known = last.map(|look| look.steps() / self.stride as f64).filter(|time| time.is_finite());
        let burn = known.map_or(quarter, |time| quarter.min((20.0 * time) as usize));
        let stride = known.map_or(1, |time| ((time / 10.0) as usize).max(1));
        let used = self.len() - burn;
        let mut look = Look { stride: self.stride, burn, used, shortest: f64::INFINITY, stuck: self.stuck(burn), ..Look::default() };
        for i in 0..self.n_dim {
            let series = self.series(i, burn, stride);
            let time = stride as f64 * autocorrelation::time(&series, self.n_walkers, WINDOW);
            // f64::max would pass over a NaN.
            look.longest = if time.is_nan() { f64::NAN } else { look.longest.max(time) };
            look.shortest = look.shortest.min(time);
            look.drift = look.drift.max(drift(&series, self.n_walkers, time / stride as f64));
        }
        look
    }

    /// Walkers whose log posterior density, over the last half, lies far below the others': by more than four interquartile ranges under the first
    /// quartile (Vrugt et al. 2009, section 3.2, with a wider margin); and the others.
    pub fn outliers(&self) -> (Vec<usize>, Vec<usize>) {
        let steps = self.len() / 2..self.len();
        let density = |k: usize| self.log_like[k] + log_prior(&self.z[k * self.n_dim..(k + 1) * self.n_dim]);
        let height = |w: usize| steps.clone().map(|t| density(t * self.n_walkers + w)).sum::<f64>() / steps.len() as f64;
        let heights: Vec<f64> = (0..self.n_walkers).map(height).collect();
        let mut sorted = heights.clone();
        sorted.sort_by(f64::total_cmp);
        let (first, third) = (sorted[self.n_walkers / 4], sorted[self.n_walkers * 3 / 4]);
        (0..self.n_walkers).partition(|w| heights[*w] < first - 4.0 * (third - first))
    }

    fn stuck(&self, burn: usize) -> usize {
        let row = self.n_walkers * self.n_dim;
        let at = |t: usize, w: usize| &self.z[t * row + w * self.n_dim..][..self.n_dim];
        let moves = |w: usize| (burn + 1..self.len()).filter(|t| at(*t, w) != at(t - 1, w)).count();
        let counts: Vec<usize> = (0..self.n_walkers).map(moves).collect();
        let mut sorted = counts.clone();
        sorted.sort();
        counts.iter().filter(|count| **count * 10 < sorted[sorted.len() / 2]).count()
    }

    /// z and log L of the kept steps from `burn` on, every `thin`-th, walker after walker.
    pub fn rows(&self, burn: usize, thin: usize) -> impl Iterator<Item = (&[f64], f64)> {
        let steps = move || (burn..self.len()).step_by(thin);
        (0..self.n_walkers).flat_map(move |w| {
            steps().map(move |t| {
                let k = t * self.n_walkers + w;
                (&self.z[k * self.n_dim..(k + 1) * self.n_dim], self.log_like[k])
            })
        })
    }
}

/// The second, fourth, ... row.
fn every_second(rows: &[f64], width: usize) -> Vec<f64> {
    rows.chunks_exact(width).skip(1).step_by(2).flatten().copied().collect()
}

/// Difference of the means of the two halves of the chains, in standard errors.
fn drift(series: &[f64], n_chains: usize, time: f64) -> f64 {
    let n = series.len() / n_chains;
    let total = series.len() as f64;
    let mean = series.iter().sum::<f64>() / total;
    let variance = series.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / total;
    let half = |second: bool| series.chunks_exact(n).flat_map(|c| if second { &c[n - n / 2..] } else { &c[..n / 2] }).sum::<f64>();
    let difference = (half(true) - half(false)) / (n_chains * (n / 2)) as f64;
    difference.abs() / (4.0 * variance * time / total).sqrt()
}
