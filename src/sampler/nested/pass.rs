//! One set of live points on its way up: the first run from the prior, another, or a batch between two contours.

use serde::{Deserialize, Serialize};

use super::book::Book;
use crate::stats::log_sum;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pass {
    pub number: u32,
    /// Rows of the book, and how many there should be.
    pub live: Vec<u32>,
    pub n_live: usize,
    /// Contours between which it runs: born above the first, and ended once all live points are above the second.
    pub floor: f64,
    pub ceiling: f64,
    /// Volume that the live points stand for, and evidence below them: rough sums for the rule of stopping.
    pub log_x: f64,
    pub log_z: f64,
}

/// The lowest live points, gone together.
pub struct Cut {
    /// Their highest likelihood: new points must exceed it.
    pub threshold: f64,
    pub wanted: usize,
}

impl Pass {
    pub fn new(number: u32, n_live: usize, floor: f64, ceiling: f64, log_x: f64, log_z: f64) -> Pass {
        Pass { number, live: Vec::new(), n_live, floor, ceiling, log_x, log_z }
    }

    /// Share of the evidence in the live points, all else as far as it is known.
    pub fn live_share(&self, book: &Book) -> f64 {
        if self.live.is_empty() {
            return 1.0;
        }
        let values: Vec<f64> = self.live.iter().map(|id| book.log_like[*id as usize]).collect();
        let inside = log_sum(&values) - libm::log(values.len() as f64) + self.log_x;
        self.share(inside)
    }

    /// Of the evidence below the live points and `log_inside` together, the share of the latter.
    fn share(&self, log_inside: f64) -> f64 {
        libm::exp(log_inside - log_sum([log_inside, self.log_z]))
    }

    /// Whether no more points need to die: all are above the ceiling, or would hold less than `f_live` of the evidence even if each
    /// were as good as the best (the rule of Skilling 2006 and of dynesty: where a peak still rises, the best is far above the mean).
    pub fn is_over(&self, book: &Book, f_live: f64) -> bool {
        let values = || self.live.iter().map(|id| book.log_like[*id as usize]);
        let most = values().fold(f64::NEG_INFINITY, f64::max) + self.log_x;
        values().fold(f64::INFINITY, f64::min) > self.ceiling || self.share(most) < f_live
    }

    /// Removes the `k` lowest, and whatever else has the likelihood of the last of them. None when all are equal: nothing is above.
    pub fn cut(&mut self, book: &Book, k: usize) -> Option<Cut> {
        let value = |id: &u32| book.log_like[*id as usize];
        self.live.sort_by(|a, b| value(a).total_cmp(&value(b)).then(a.cmp(b)));
        let top = value(self.live.last()?);
        let below_top = self.live.partition_point(|id| value(id) < top);
        let kth = *self.live.get(k.min(below_top).checked_sub(1)?)?;
        let threshold = value(&kth);
        let gone = self.live.partition_point(|id| value(id) <= threshold);
        for at in 0..gone {
            // A share 1/(n + 1) of the volume, log-shrinkage 1/n.
            let alive = (self.live.len() - at) as f64;
            self.log_z = log_sum([self.log_z, value(&self.live[at]) + self.log_x - libm::log(alive + 1.0)]);
            self.log_x -= 1.0 / alive;
        }
        self.live.drain(..gone);
        Some(Cut { threshold, wanted: self.n_live.saturating_sub(self.live.len()) })
    }
}
