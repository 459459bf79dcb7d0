//! From points with their contours of birth to volumes, weights, evidence and its error.

use super::book::{Book, ZERO};
use crate::random::{Purpose, stream, uniform};
use crate::stats::{log_sum, mean_sd};

/// Realisations of the volumes for the simulated error, which they give to an eighth: a check of the analytic one.
const REALISATIONS: u64 = 32;

/// The points from the lowest likelihood to the highest, with the number alive at each.
///
/// Points that die together (a block, or a plateau) do so one after another without replacement, with n, n - 1, ... alive: right for
/// both (Fowlie, Handley & Su 2021 for plateaus).
pub struct Ladder {
    /// Rows of the book.
    pub order: Vec<u32>,
    pub log_like: Vec<f64>,
    /// Alive just before each death, the dying one counted in.
    pub alive: Vec<f64>,
    /// E[log X] after each death: the mean of log t is -1/n for t ~ Beta(n, 1).
    pub log_x: Vec<f64>,
}

/// What the volumes' expectations make of a ladder.
pub struct Estimate {
    pub log_z: f64,
    /// Normalised, in the ladder's order; equal for equal likelihoods.
    pub log_weight: Vec<f64>,
    /// Kullback-Leibler divergence of the posterior from the prior, nats.
    pub information: f64,
    /// Standard deviation of log Z, by propagation of var log t = 1/n^2.
    pub error: f64,
}

impl Ladder {
    pub fn of(book: &Book) -> Ladder {
        let n = book.len();
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_by(|a, b| book.log_like[*a as usize].total_cmp(&book.log_like[*b as usize]).then(a.cmp(b)));
        let mut births = book.birth.clone();
        births.sort_by(f64::total_cmp);
        let log_like: Vec<f64> = order.iter().map(|id| book.log_like[*id as usize]).collect();
        let mut born = 0;
        let mut alive = Vec::with_capacity(n);
        for (dead, l) in log_like.iter().enumerate() {
            while born < n && births[born] < *l {
                born += 1;
            }
            alive.push((born - dead) as f64);
        }
        let mut reached = 0.0;
        let log_x = alive.iter().map(|n| {
            reached -= 1.0 / n;
            reached
        });
        Ladder { log_x: log_x.collect(), order, log_like, alive }
    }

    /// Log X at the contour `l`: what lies above it.
    pub fn log_x_above(&self, l: f64) -> f64 {
        let dead = self.log_like.partition_point(|own| *own <= l);
        if dead == 0 { 0.0 } else { self.log_x[dead - 1] }
    }

    pub fn estimate(&self) -> Estimate {
        let mut log_weight: Vec<f64> = log_widths(&self.log_x).iter().zip(&self.log_like).map(|(w, l)| w + l).collect();
        level(&self.log_like, &mut log_weight);
        let log_z = log_sum(&log_weight);
        log_weight.iter_mut().for_each(|w| *w -= log_z);
        let (mut variance, mut information, mut beyond) = (0.0, 0.0, 1.0);
        for (at, w) in log_weight.iter().enumerate() {
            let p = libm::exp(*w);
            beyond -= p;
            if p > 0.0 {
                information += p * (self.log_like[at] - log_z);
            }
            // d log Z / d log t: what is beyond, less what would be there at this point's own likelihood.
            let slope = (beyond - libm::exp(self.log_like[at] + self.log_x[at] - log_z)).max(0.0);
            variance += (slope / self.alive[at]) * (slope / self.alive[at]);
        }
        Estimate { log_z, log_weight, information, error: variance.sqrt() }
    }

    /// Mean and standard deviation of log Z over volumes drawn at random, t ~ Beta(n, 1) at each death. In stretches where the count
    /// falls this is the joint law of order statistics, which the ratios of neighbouring ones make independent.
    pub fn simulated(&self, seed: u64) -> (f64, f64) {
        let steps = self.steps();
        let all: Vec<f64> = (0..REALISATIONS).map(|k| self.realisation(&steps, seed, k)).collect();
        let weights = vec![1.0; all.len()];
        mean_sd(&all, &weights)
    }

    /// The evidence as a sum over volumes, Z = L_1 + sum_i X_i (L_{i+1} - L_{i-1}) / 2: the widths of [`log_widths`] summed by parts. The
    /// terms at the expected volumes, divided by `Z`; the log of `Z`; and L_1 / Z.
    fn steps(&self) -> (Vec<f64>, f64, f64) {
        let (l, n) = (&self.log_like, self.log_like.len());
        let log_z = log_sum(log_widths(&self.log_x).iter().zip(l).map(|(w, l)| w + l));
        let step = |at: usize| {
            let (below, above) = (l[at.max(1) - 1], l[(at + 1).min(n - 1)]);
            -0.5 * libm::exp(above + self.log_x[at] - log_z) * libm::expm1(below - above)
        };
        ((0..n).map(step).collect(), log_z, libm::exp(l[0] - log_z))
    }

    fn realisation(&self, (steps, log_z, lowest): &(Vec<f64>, f64, f64), seed: u64, number: u64) -> f64 {
        let mut rng = stream(seed, Purpose::NestedVolumes, number, 0);
        let (mut z, mut off) = (*lowest, 0.0);
        for (step, n) in steps.iter().zip(&self.alive) {
            // What log X is off its mean: that of -log t is 1/n.
            off += (1.0 + libm::log(1.0 - uniform(&mut rng))) / n;
            if *step > 0.0 {
                z += step * libm::exp(off);
            }
        }
        log_z + libm::log(z)
    }
}

/// Log of the prior volume that each point stands for, (X_{i-1} - X_{i+1}) / 2, with the ends reflected so that they add to one.
fn log_widths(log_x: &[f64]) -> Vec<f64> {
    let n = log_x.len();
    let shrink = |from: f64, to: f64| from + libm::log(-libm::expm1(to - from));
    let width = |at: usize| match at {
        _ if n == 1 => 0.0,
        0 => libm::log(-0.5 * (libm::expm1(log_x[0]) + libm::expm1(log_x[1]))),
        _ if at == n - 1 => log_x[at - 1] + libm::log(0.5 * (1.0 + libm::exp(log_x[at] - log_x[at - 1]))),
        _ => shrink(log_x[at - 1], log_x[at + 1]) - std::f64::consts::LN_2,
    };
    (0..n).map(width).collect()
}

/// Points of one likelihood share their weight.
fn level(log_like: &[f64], log_weight: &mut [f64]) {
    let mut start = 0;
    while start < log_like.len() {
        let end = start + log_like[start..].partition_point(|l| *l <= log_like[start]);
        if end - start > 1 && log_like[start] > ZERO {
            let each = log_sum(&log_weight[start..end]) - libm::log((end - start) as f64);
            log_weight[start..end].fill(each);
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(points: &[(f64, f64)]) -> Book {
        let mut book = Book { n_dim: 1, ..Book::default() };
        for (log_like, birth) in points {
            book.push(&[0.5], *log_like, *birth, 0, None);
        }
        book
    }

    #[test]
    fn those_born_below_and_not_yet_dead_are_alive() {
        use super::super::book::PRIOR;
        // Three from the prior; the two lowest are replaced at once by two above the second.
        let ladder = Ladder::of(&book(&[(1.0, PRIOR), (2.0, PRIOR), (3.0, PRIOR), (2.5, 2.0), (4.0, 2.0)]));
        assert_eq!(ladder.alive, [3.0, 2.0, 3.0, 2.0, 1.0]);
        let plateau = Ladder::of(&book(&[(0.0, PRIOR), (0.0, PRIOR), (1.0, PRIOR), (1.0, 0.0)]));
        assert_eq!(plateau.alive, [3.0, 2.0, 2.0, 1.0]);
        let zeros = Ladder::of(&book(&[(ZERO, PRIOR), (ZERO, PRIOR), (1.0, PRIOR), (1.0, ZERO)]));
        assert_eq!(zeros.alive, [3.0, 2.0, 2.0, 1.0]);
    }

    #[test]
    fn a_flat_likelihood_is_its_own_evidence_without_error() {
        let flat: Vec<(f64, f64)> = (0..50).map(|_| (-7.0, f64::NEG_INFINITY)).collect();
        let ladder = Ladder::of(&book(&flat));
        let estimate = ladder.estimate();
        assert!((estimate.log_z + 7.0).abs() < 1e-12 && estimate.error < 1e-6 && estimate.information.abs() < 1e-12);
        assert!(estimate.log_weight.iter().all(|w| (w.exp() - 0.02).abs() < 1e-12));
        let (mean, sd) = ladder.simulated(1);
        assert!((mean + 7.0).abs() < 1e-9 && sd < 1e-9, "{mean} {sd}");
    }
}
