//! What a finished sample itself shows to be amiss with the question: in plain words, each with what to look at.

use super::{Fit, column, highest};
use crate::prior::{Prior, Space};
use crate::stats;

/// Fewer effective samples say nothing of shapes.
const ENOUGH: f64 = 20.0;
/// Spacings of doubles that a standard deviation must have to be one.
const GRAINS: f64 = 2.0;
/// A posterior is piled up at an end if so much of it ...
const SHARE: f64 = 0.1;
/// ... is in the last part of the prior, ...
const OUTER: f64 = 0.01;
/// ... its density does not fall towards the end (in the last tenth of that share's width there is at least this much; evenly 0.01), ...
const AT_END: f64 = 0.004;
/// ... and the last parts of both ends hold so much together.
const ENOUGH_AT_ENDS: f64 = 0.25;
/// Prior and data disagree where most of the posterior is beyond this quantile.
const TENSION: f64 = 1e-4;
/// Rounding of log L that is worth a word.
const COARSE: f64 = 0.01;

/// From a number to the next.
pub fn spacing(x: f64) -> f64 {
    x.abs().next_up() - x.abs()
}

impl Fit {
    /// Warnings about a sample of the posterior; none of an optimiser's point but for its resolution.
    pub(super) fn doubts(&self, space: &Space) -> Vec<String> {
        let mut doubts: Vec<String> = self.coarse().into_iter().collect();
        let weights = self.weights();
        if self.optimum.is_some() || stats::kish(&weights).min(self.n_eff) < ENOUGH {
            return doubts;
        }
        if let Some(constant) = self.constant(&weights) {
            doubts.push(constant);
            return doubts;
        }
        for (k, prior) in space.priors().enumerate() {
            let at = space.free()[k];
            let u = column(&self.u, k, self.n_free());
            let x = column(&self.theta, at, self.names.len());
            let name = &self.names[at];
            let own = unresolved(name, prior, &u, &x, &weights).or_else(|| match self.circles[at] {
                Some(_) => None,
                None => piled(name, prior, &u, &weights).or_else(|| tension(name, prior, &u, &weights)),
            });
            doubts.extend(own);
        }
        doubts
    }

    fn coarse(&self) -> Option<String> {
        let (size, apart) = (highest(&self.log_like), spacing(highest(&self.log_like)));
        (apart > COARSE).then(|| {
            format!(
                "log L is {size:.3e} at its highest, where numbers are {apart:.2} apart: log Z, weights and errors are no finer than that. \
                 Leave constants out of log L"
            )
        })
    }

    fn constant(&self, weights: &[f64]) -> Option<String> {
        let values = || self.log_like.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(l, _)| *l);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        (high - low <= 4.0 * f64::EPSILON * high.abs()).then(|| {
            format!(
                "log L is {high:.6} at every sample: it does not depend on the parameters, and the posterior is the prior. \
                 Does the model use its parameters and the data?"
            )
        })
    }
}

/// A peak narrower than numbers can tell apart.
fn unresolved(name: &str, prior: &Prior, u: &[f64], x: &[f64], weights: &[f64]) -> Option<String> {
    let ((middle, _), (mean, sd)) = (stats::mean_sd(u, weights), stats::mean_sd(x, weights));
    let apart = grain(prior, middle, mean);
    (sd < GRAINS * apart).then(|| too_narrow(name, mean, apart))
}

/// How far values are apart near `x`, whose unit coordinate is `u`: as numbers, and as what neighbouring coordinates give.
pub fn grain(prior: &Prior, u: f64, x: f64) -> f64 {
    spacing(x).max(spacing(u) / prior.slopes(u, x).0)
}

/// In plain words, with what helps.
pub fn too_narrow(name: &str, x: f64, apart: f64) -> String {
    format!(
        "the likelihood's peak in `{name}` at {x:?} is no wider than the distance between numbers there ({apart:.1e}): no sampler can tell \
         its width or log Z, and what is said of them means nothing. Look for errors of the data that are zero or in wrong units; else \
         narrow the prior of `{name}`, and shift the parameter so that the peak is near 0 (fit its difference from {x:.6})"
    )
}

fn piled(name: &str, prior: &Prior, u: &[f64], weights: &[f64]) -> Option<String> {
    let (min, max) = prior.support();
    let sides = [("lower", min, u.to_vec()), ("upper", max, u.iter().map(|u| 1.0 - u).collect())];
    let told: Vec<(&str, f64, f64)> = sides
        .iter()
        .filter(|(_, end, _)| end.is_finite())
        .filter_map(|(side, end, distance)| {
            let share = |within: f64| -> f64 { distance.iter().zip(weights).filter(|(d, _)| **d <= within).map(|(_, w)| w).sum() };
            let width = stats::quantiles(distance, weights, &[SHARE])[0];
            (width <= OUTER && share(0.1 * width) >= AT_END).then(|| (*side, *end, share(OUTER)))
        })
        .collect();
    let ends = told
        .iter()
        .map(|(side, end, share)| format!("{:.0}% of it is in the last hundredth of the prior at its {side} end, {end:?}", 100.0 * share));
    let ends = ends.collect::<Vec<_>>().join(", and ");
    (told.iter().map(|(_, _, share)| share).sum::<f64>() >= ENOUGH_AT_ENDS).then(|| {
        format!(
            "the posterior of `{name}` is piled up at the edge of its prior: {ends}. An upper limit looks like this; if the end is not \
             meant, widen the prior, and look for a wrong sign in log L or wrong units"
        )
    })
}

fn tension(name: &str, prior: &Prior, u: &[f64], weights: &[f64]) -> Option<String> {
    let (low, high) = prior.open_ends();
    let beyond = |in_tail: &dyn Fn(f64) -> bool| -> f64 { u.iter().zip(weights).filter(|(u, _)| in_tail(**u)).map(|(_, w)| w).sum() };
    let side = match () {
        _ if low && beyond(&|u| u < TENSION) > 0.5 => "lower",
        _ if high && beyond(&|u| 1.0 - u < TENSION) > 0.5 => "upper",
        _ => return None,
    };
    Some(format!(
        "the posterior of `{name}` is in the far {side} tail of its prior, where the prior has a probability below {TENSION}: prior and \
         data disagree. Look at units, outliers and the prior; the tail's shape decides the answer"
    ))
}
