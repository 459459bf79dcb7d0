//! Learned scores of points inside an ellipsoid: a quadratic where that is enough, else an ensemble of networks.

use serde::{Deserialize, Serialize};

use super::linalg::{cholesky, solve_lower, solve_upper};
use super::network::Network;

/// Tells points above the likelihood threshold from those below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Emulator {
    pub scorer: Scorer,
    /// A point is admitted when its score exceeds this.
    pub threshold: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scorer {
    /// Second-order polynomial of the whitened coordinates: 1, x_i, x_i x_j (j <= i).
    Quadratic(Vec<f64>),
    /// The mean score of several networks on standardised coordinates.
    Networks {
        standard: Standard,
        networks: Vec<Network>,
        /// Points that the first network scores at most this are not shown to the others.
        first: f64,
    },
}

/// Makes coordinates zero mean and unit variance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standard {
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Standard {
    pub fn of(x: &[f64], d: usize) -> Standard {
        let n = (x.len() / d) as f64;
        let column = |j: usize| x.iter().skip(j).step_by(d);
        let mean: Vec<f64> = (0..d).map(|j| column(j).sum::<f64>() / n).collect();
        let variance = |j: usize| column(j).map(|v| (v - mean[j]) * (v - mean[j])).sum::<f64>() / n;
        let scale = (0..d).map(|j| 1.0 / variance(j).sqrt().max(1e-12)).collect();
        Standard { mean, scale }
    }

    pub fn apply(&self, x: &[f64]) -> Vec<f32> {
        let d = self.mean.len();
        x.iter().enumerate().map(|(at, v)| ((v - self.mean[at % d]) * self.scale[at % d]) as f32).collect()
    }
}

/// Nautilus's slack: networks that predict one and the same score must not freeze the sampler (release 0.7.3).
const SLACK: f64 = 1e-9;

impl Emulator {
    /// Which of the whitened points `x` (out.len() x d) are admitted.
    pub fn admits(&self, x: &[f64], d: usize, out: &mut [bool]) {
        match &self.scorer {
            Scorer::Quadratic(coefficients) => {
                for (point, out) in x.chunks_exact(d).zip(out) {
                    *out = quadratic(coefficients, point) > self.threshold - SLACK;
                }
            }
            Scorer::Networks { standard, networks, first } => {
                let x = standard.apply(x);
                let mut score = vec![0f32; out.len()];
                networks[0].predict(&x, &mut score);
                let hopeful: Vec<usize> = (0..out.len()).filter(|at| f64::from(score[*at]) > first - SLACK).collect();
                let shown: Vec<f32> = hopeful.iter().flat_map(|at| x[at * d..(at + 1) * d].iter().copied()).collect();
                let mut total: Vec<f64> = hopeful.iter().map(|at| f64::from(score[*at])).collect();
                let mut room = vec![0f32; hopeful.len()];
                for network in &networks[1..] {
                    network.predict(&shown, &mut room);
                    total.iter_mut().zip(&room).for_each(|(t, s)| *t += f64::from(*s));
                }
                out.fill(false);
                let need = (self.threshold - SLACK) * networks.len() as f64;
                hopeful.iter().zip(&total).for_each(|(at, t)| out[*at] = *t > need);
            }
        }
    }
}

fn quadratic(c: &[f64], x: &[f64]) -> f64 {
    let mut total = c[0];
    let mut at = 1;
    for (i, xi) in x.iter().enumerate() {
        let row: f64 = c[at + 1..at + 2 + i].iter().zip(x).map(|(c, xj)| c * xj).sum();
        total += xi * (c[at] + row);
        at += i + 2;
    }
    total
}

/// Share of the points above the threshold that a quadratic may leave outside.
const LEAVE: f64 = 0.01;
/// Most points below the threshold that a quadratic may admit, as a share of those above, and still be enough.
const ADMIT: f64 = 0.03;

/// A quadratic fitted to log L, if it separates the points above `l_min` from those below about as well as networks do.
/// `x`: whitened, log_like.len() x d.
pub fn fit_quadratic(x: &[f64], d: usize, log_like: &[f64], l_min: f64) -> Option<Emulator> {
    let terms = (d + 1) * (d + 2) / 2;
    let n = log_like.len();
    let above = log_like.iter().filter(|l| **l >= l_min).count();
    if terms * 6 > n || above < 20 {
        return None;
    }
    let most = log_like.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let reach = most - l_min;
    if reach.is_nan() || reach <= 0.0 || reach.is_infinite() {
        return None;
    }
    let target: Vec<f64> = log_like.iter().map(|l| ((l - l_min) / reach).max(-2.0)).collect();
    let coefficients = least_squares(x, d, &target, terms)?;
    let score: Vec<f64> = x.chunks_exact(d).map(|p| quadratic(&coefficients, p)).collect();
    let mut high: Vec<f64> = score.iter().zip(log_like).filter(|(_, l)| **l >= l_min).map(|(s, _)| *s).collect();
    high.sort_by(f64::total_cmp);
    let threshold = high[(LEAVE * above as f64) as usize];
    let wrong = score.iter().zip(log_like).filter(|(s, l)| **l < l_min && **s > threshold).count();
    let enough = (wrong as f64) <= ADMIT * above as f64;
    enough.then_some(Emulator { scorer: Scorer::Quadratic(coefficients), threshold })
}

fn least_squares(x: &[f64], d: usize, target: &[f64], terms: usize) -> Option<Vec<f64>> {
    let mut normal = vec![0.0; terms * terms];
    let mut right = vec![0.0; terms];
    let mut features = vec![0.0; terms];
    for (point, y) in x.chunks_exact(d).zip(target) {
        features.clear();
        features.push(1.0);
        for (i, xi) in point.iter().enumerate() {
            features.push(*xi);
            features.extend(point[..=i].iter().map(|xj| xi * xj));
        }
        for i in 0..terms {
            let f = features[i];
            right[i] += f * y;
            for (sum, g) in normal[i * terms..i * terms + i + 1].iter_mut().zip(&features) {
                *sum += f * g;
            }
        }
    }
    for i in 0..terms {
        normal[i * terms + i] *= 1.0 + 1e-9;
        (0..i).for_each(|j| normal[j * terms + i] = normal[i * terms + j]);
    }
    let l = cholesky(&normal, terms)?;
    solve_lower(&l, terms, &mut right);
    solve_upper(&l, terms, &mut right);
    Some(right)
}

/// Scores that networks learn: uniform on (0, 1/2) below the threshold and on (1/2, 1) above, by rank (ties share theirs).
pub fn rank_scores(log_like: &[f64], l_min: f64) -> Vec<f32> {
    let mut order: Vec<usize> = (0..log_like.len()).collect();
    order.sort_by(|a, b| log_like[*a].total_cmp(&log_like[*b]));
    let below = log_like.iter().filter(|l| **l < l_min).count();
    let above = log_like.len() - below;
    let mut scores = vec![0f32; log_like.len()];
    let mut start = 0;
    while start < order.len() {
        let value = log_like[order[start]];
        let mut end = start + 1;
        while end < order.len() && log_like[order[end]] == value {
            end += 1;
        }
        // The mean of the ranks start + 1/2 .. end - 1/2.
        let rank = 0.5 * (start + end) as f64;
        let score = if start < below { 0.5 * rank / below as f64 } else { 0.5 + 0.5 * (rank - below as f64) / above as f64 };
        order[start..end].iter().for_each(|at| scores[*at] = score as f32);
        start = end;
    }
    scores
}

/// Networks and what each predicts for its training points become an emulator. It admits as many of those points as are
/// above the threshold: better than nautilus's cubic fit where networks are poor, as good elsewhere (bench/network).
pub fn assemble(standard: Standard, trained: Vec<(Network, Vec<f32>)>, scores: &[f32]) -> Emulator {
    let count = trained.len() as f64;
    let mean: Vec<f64> = (0..scores.len()).map(|at| trained.iter().map(|t| f64::from(t.1[at])).sum::<f64>() / count).collect();
    let above = scores.iter().filter(|s| **s > 0.5).count();
    let mut ranked = mean.clone();
    ranked.sort_by(f64::total_cmp);
    let threshold = ranked[scores.len() - above.max(1)];
    let mut first: Vec<f64> = (0..scores.len()).filter(|at| mean[*at] >= threshold).map(|at| f64::from(trained[0].1[at])).collect();
    first.sort_by(f64::total_cmp);
    let first = first.get(first.len() / 500).copied().unwrap_or(f64::NEG_INFINITY);
    let networks = trained.into_iter().map(|t| t.0).collect();
    Emulator { scorer: Scorer::Networks { standard, networks, first }, threshold }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream, uniform};

    #[test]
    fn scores_are_uniform_on_both_sides_and_ties_share_theirs() {
        let scores = rank_scores(&[5.0, 1.0, 7.0, 1.0, 6.0, 8.0], 5.0);
        assert_eq!(scores, [0.5625, 0.25, 0.8125, 0.25, 0.6875, 0.9375]);
    }

    #[test]
    fn a_quadratic_is_enough_for_a_gaussian_and_not_for_a_ring() {
        let mut rng = stream(2, Purpose::Decisions, 0, 0);
        let x: Vec<f64> = (0..4000).map(|_| 2.0 * uniform(&mut rng) - 1.0).collect();
        let gauss: Vec<f64> = x.chunks_exact(2).map(|p| -p[0] * p[0] - 2.0 * p[1] * p[1] + p[0] * p[1]).collect();
        let emulator = fit_quadratic(&x, 2, &gauss, -0.9).unwrap();
        let mut admitted = vec![false; 2000];
        emulator.admits(&x, 2, &mut admitted);
        let wrong = admitted.iter().zip(&gauss).filter(|(a, l)| **a != (**l >= -0.9)).count();
        assert!(wrong < 40, "{wrong}");
        let ring: Vec<f64> = x.chunks_exact(2).map(|p| -((p[0] * p[0] + p[1] * p[1]).sqrt() - 0.7).powi(2)).collect();
        assert!(fit_quadratic(&x, 2, &ring, -0.01).is_none());
    }
}
