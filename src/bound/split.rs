//! Splits points in two with a mixture of two Gaussians.

use rand_chacha::ChaCha8Rng;

use super::linalg::{invert_lower, moments, robust_cholesky};
use crate::random::uniform;

const RESTARTS: usize = 3;
const K_MEANS_STEPS: usize = 8;
const EM_STEPS: usize = 40;

/// For each of the points `x` (n x d, whitened), whether it is on the second side. Both sides have at least `least`
/// members (the most probable ones of the other side make up for a lack), so 2 * least <= n.
pub fn split(x: &[f64], d: usize, least: usize, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let mut best: Option<(f64, Vec<f64>)> = None;
    for _ in 0..RESTARTS {
        let mut second = two_means(x, d, rng);
        let fit = expect_maximise(x, d, &mut second);
        if best.as_ref().is_none_or(|(so_far, _)| fit > *so_far) {
            best = Some((fit, second));
        }
    }
    let (_, second) = best.expect("there is at least one restart");
    fill_up(&second, least)
}

/// Log odds of the second side become labels, after handing the poorer side its most probable members.
fn fill_up(odds: &[f64], least: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..odds.len()).collect();
    order.sort_by(|a, b| odds[*b].total_cmp(&odds[*a]).then(a.cmp(b)));
    let seconds = odds.iter().filter(|o| **o > 0.0).count().clamp(least, odds.len() - least);
    let mut labels = vec![false; odds.len()];
    order[..seconds].iter().for_each(|at| labels[*at] = true);
    labels
}

/// Two-means from two random points: +1 for the second side, -1 for the first, as rough log odds.
fn two_means(x: &[f64], d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let n = x.len() / d;
    let mut pick = || (uniform(rng) * n as f64) as usize;
    let (a, b) = (pick(), pick());
    let mut centres = [x[a * d..(a + 1) * d].to_vec(), x[b * d..(b + 1) * d].to_vec()];
    if a == b {
        centres[1].iter_mut().for_each(|v| *v += 1e-3);
    }
    let distance = |p: &[f64], c: &[f64]| p.iter().zip(c).map(|(p, c)| (p - c) * (p - c)).sum::<f64>();
    let mut side = vec![0.0; n];
    for _ in 0..K_MEANS_STEPS {
        for (p, s) in x.chunks_exact(d).zip(&mut side) {
            *s = if distance(p, &centres[1]) < distance(p, &centres[0]) { 1.0 } else { -1.0 };
        }
        for (which, centre) in centres.iter_mut().enumerate() {
            let sign = if which == 0 { -1.0 } else { 1.0 };
            let members = x.chunks_exact(d).zip(&side).filter(|(_, s)| **s == sign);
            let mut total = vec![0.0; d];
            let mut count = 0.0;
            for (p, _) in members {
                total.iter_mut().zip(p).for_each(|(t, v)| *t += v);
                count += 1.0;
            }
            if count > 0.0 {
                *centre = total.iter().map(|t| t / count).collect();
            }
        }
    }
    side.iter_mut().for_each(|s| *s *= 20.0);
    side
}

/// Expectation maximisation of two full Gaussians; `odds` in and out. The mean log-likelihood reached.
fn expect_maximise(x: &[f64], d: usize, odds: &mut [f64]) -> f64 {
    let n = odds.len() as f64;
    let mut before = f64::NEG_INFINITY;
    for _ in 0..EM_STEPS {
        let share: Vec<f64> = odds.iter().map(|o| 1.0 / (1.0 + libm::exp(-o))).collect();
        let rest: Vec<f64> = share.iter().map(|s| 1.0 - s).collect();
        let first = Gaussian::fit(x, d, &rest);
        let second = Gaussian::fit(x, d, &share);
        let mut total = 0.0;
        for (p, o) in x.chunks_exact(d).zip(odds.iter_mut()) {
            let (a, b) = (first.log_density(p), second.log_density(p));
            *o = (b - a).clamp(-700.0, 700.0);
            total += a.max(b) + libm::log1p(libm::exp(-(b - a).abs()));
        }
        let now = total / n;
        if now.is_nan() || now - before < 1e-4 {
            return now;
        }
        before = now;
    }
    before
}

struct Gaussian {
    mean: Vec<f64>,
    inverse: Vec<f64>,
    /// Log of the weight times the normalisation.
    log_scale: f64,
}

impl Gaussian {
    fn fit(x: &[f64], d: usize, weights: &[f64]) -> Gaussian {
        let total = weights.iter().sum::<f64>().max(1e-9);
        let (mean, mut covariance) = moments(x, d, weights);
        // As much as points spread over a thousandth of the frame: a side never collapses onto a few of them.
        (0..d).for_each(|i| covariance[i * d + i] += 1e-6);
        let axes = robust_cholesky(&covariance, d);
        let log_det: f64 = (0..d).map(|i| libm::log(axes[i * d + i])).sum();
        let log_scale = libm::log(total / weights.len() as f64) - log_det;
        Gaussian { mean, inverse: invert_lower(&axes, d), log_scale }
    }

    fn log_density(&self, x: &[f64]) -> f64 {
        let d = x.len();
        let mut total = 0.0;
        for i in 0..d {
            let row = &self.inverse[i * d..i * d + i + 1];
            let y: f64 = row.iter().zip(x).zip(&self.mean).map(|((a, x), m)| a * (x - m)).sum();
            total += y * y;
        }
        self.log_scale - 0.5 * total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, fill_normal, stream};

    #[test]
    fn two_clouds_are_told_apart_and_a_poor_side_is_filled_up() {
        let mut rng = stream(3, Purpose::Decisions, 0, 0);
        let mut x = vec![0.0; 300 * 2];
        fill_normal(&mut rng, &mut x);
        x[..200].iter_mut().for_each(|v| *v = *v * 0.1 + 5.0);
        let labels = split(&x, 2, 50, &mut rng);
        assert!(labels[..100].iter().all(|l| *l == labels[0]) && labels[100..].iter().all(|l| *l != labels[0]));
        let filled = split(&x, 2, 140, &mut rng);
        assert_eq!(filled.iter().filter(|l| **l == filled[0]).count(), 140);
    }
}
