//! The far tails of open priors, as the unit cube of a run sees them.
//!
//! A double next to 1 is 2^-53 away from it, so that quantiles of a normal prior end at +8.2 standard deviations; a posterior further out
//! (prior and data disagree) would be cut off there, and otherwise on either side, since doubles next to 0 are finer. So the last 2^-22
//! of the cube at an open end (beyond 5 sd of a normal) belong to a wider law q, with the density q = p at its beginning and a tail
//! that falls as 1 / distance; ln p / q is added to log L there. Evidence and posterior are those of the prior p, and both tails reach
//! as far (docs/decisions/0008-far-tails-of-open-priors.md). Points nearer than that are plain quantiles, and nothing is added.

use super::{Law, Prior};
use libm::{exp, log as ln};

/// Probability of each far tail.
const FAR: f64 = 1.0 / (1u64 << 22) as f64;
/// How far the wider law is followed, in units of the length on which the prior falls (200 sd of a normal, all told): farther out a
/// likelihood is asked for values that no prior meant, by searches for a step size among others.
const REACH: f64 = 1e3;
/// Coordinates nearer to an open end than this count as this far: what a double below 1 can be.
const LEAST: f64 = f64::EPSILON / 2.0;

/// A point in a far tail, on the line where the law has its tails: x, or ln x for log-normal priors.
struct Far {
    /// +1: the upper tail.
    side: f64,
    /// Where the tail begins, and the density of the prior there over [`FAR`].
    start: f64,
    hazard: f64,
    /// Distance from there.
    beyond: f64,
}

impl Far {
    fn place(&self) -> f64 {
        self.start + self.side * self.beyond
    }

    fn stretch(&self) -> f64 {
        1.0 + self.hazard * self.beyond
    }

    /// Of the wider law.
    fn ln_density(&self) -> f64 {
        ln(self.hazard * FAR) - 2.0 * ln(self.stretch())
    }
}

impl Prior {
    /// The value at unit coordinate `u` of a run: the quantile, or a point of the far tail.
    pub fn value(&self, u: f64) -> f64 {
        match self.far(u) {
            None => self.quantile(u),
            Some(far) => off_line(self.law(), far.place()).clamp(self.support().0, self.support().1),
        }
    }

    /// ln of the prior's density over that of the cube at `u`, to be added to log L: 0 but in a far tail.
    pub fn log_weight(&self, u: f64) -> f64 {
        self.far(u).map_or(0.0, |far| self.ln_density_on_line(far.place()) - far.ln_density())
    }

    /// The cube's density du/dx and d [`log_weight`](Prior::log_weight) / du at `u`, where the value is `x`.
    pub fn slopes(&self, u: f64, x: f64) -> (f64, f64) {
        let Some(far) = self.far(u) else { return (exp(self.ln_density(x)), 0.0) };
        let density = exp(far.ln_density());
        // The prior's log density is smooth over a thousandth of the length on which it falls.
        let step = 1e-3 / far.hazard;
        let (above, below) = (self.ln_density_on_line(far.place() + step), self.ln_density_on_line(far.place() - step));
        let of_wider = -2.0 * far.side * far.hazard / far.stretch();
        let x_by_line = if matches!(self.law(), Law::LogNormal { .. }) { x } else { 1.0 };
        (density / x_by_line, ((above - below) / (2.0 * step) - of_wider) / density)
    }

    /// Whether the lower and the upper end are open, with tails that fall faster than 1 / distance^2 (or are log-normal).
    pub fn open_ends(&self) -> (bool, bool) {
        let (min, max) = self.support();
        match self.law() {
            Law::StudentT { df, .. } if *df <= 2.0 => (false, false),
            Law::Normal { .. } | Law::SplitNormal { .. } | Law::StudentT { .. } => (min == f64::NEG_INFINITY, max == f64::INFINITY),
            Law::LogNormal { .. } => (min == 0.0, max == f64::INFINITY),
            Law::HalfNormal { .. } | Law::Gamma { .. } | Law::Exponential { .. } => (false, max == f64::INFINITY),
            _ => (false, false),
        }
    }

    fn far(&self, u: f64) -> Option<Far> {
        // Nearly all points are not.
        if (FAR..=1.0 - FAR).contains(&u) {
            return None;
        }
        let (side, tail, edge) = if u < 0.5 { (-1.0, u, FAR) } else { (1.0, 1.0 - u, 1.0 - FAR) };
        let (low, high) = self.open_ends();
        if !(if side < 0.0 { low } else { high }) {
            return None;
        }
        let start = on_line(self.law(), self.quantile(edge));
        let hazard = exp(self.ln_density_on_line(start)) / FAR;
        let room = match self.law() {
            Law::LogNormal { .. } => LARGEST_LOG - side * start,
            _ => 0.5 * f64::MAX - side * start,
        };
        let beyond = ((FAR / tail.max(LEAST) - 1.0).min(REACH) / hazard).min(room.max(0.0));
        Some(Far { side, start, hazard, beyond })
    }

    /// ln of the density by the line's coordinate.
    fn ln_density_on_line(&self, y: f64) -> f64 {
        match self.law() {
            Law::LogNormal { mu, sigma } => (Law::Normal { mean: *mu, sd: *sigma }).ln_density(y) - ln(self.mass()),
            law => law.ln_density(y) - ln(self.mass()),
        }
    }
}

/// Of values that are neither infinite nor zero.
const LARGEST_LOG: f64 = 700.0;

fn on_line(law: &Law, x: f64) -> f64 {
    if matches!(law, Law::LogNormal { .. }) { ln(x) } else { x }
}

fn off_line(law: &Law, y: f64) -> f64 {
    if matches!(law, Law::LogNormal { .. }) { exp(y) } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Vec<(Prior, &'static str)> {
        let laws = [
            (Law::Normal { mean: 3.0, sd: 0.5 }, "both"),
            (Law::SplitNormal { mode: 1.0, sd_low: 0.5, sd_high: 2.0 }, "both"),
            (Law::LogNormal { mu: 0.5, sigma: 0.7 }, "both"),
            (Law::StudentT { df: 20.0, location: 1.0, scale: 2.0 }, "both"),
            (Law::HalfNormal { sd: 3.0 }, "upper"),
            (Law::Exponential { scale: 2.0 }, "upper"),
            (Law::Gamma { shape: 2.5, scale: 0.7 }, "upper"),
        ];
        laws.into_iter().map(|(law, ends)| (Prior::new(law, None, None).unwrap(), ends)).collect()
    }

    #[test]
    fn far_tails_join_the_quantiles_without_a_step() {
        for (prior, ends) in open() {
            let edges = if ends == "both" { vec![FAR, 1.0 - FAR] } else { vec![1.0 - FAR] };
            for edge in edges {
                let outside = if edge < 0.5 { edge * (1.0 - 1e-9) } else { 1.0 - (1.0 - edge) * (1.0 - 1e-9) };
                let (inner, outer) = (prior.value(edge), prior.value(outside));
                assert!((inner - outer).abs() < 1e-7 * inner.abs().max(1.0), "{prior:?}: {inner} {outer}");
                assert!(prior.log_weight(outside).abs() < 1e-7 && prior.log_weight(edge) == 0.0, "{prior:?} {}", prior.log_weight(outside));
            }
        }
    }

    /// The integral over the far tail of weight x dx(u): p must come back.
    #[test]
    fn the_weighted_tail_has_the_probability_of_the_prior() {
        for (prior, _) in open() {
            let n = 200_000;
            let cell = |k: usize| FAR * (k as f64 + 0.5) / n as f64;
            let mass: f64 = (0..n).map(|k| exp(prior.log_weight(1.0 - cell(k)))).sum::<f64>() / n as f64;
            assert!((mass - 1.0).abs() < 1e-4, "{prior:?}: {mass}");
        }
    }

    #[test]
    fn both_tails_reach_alike_and_mirrored_points_have_mirrored_values() {
        let prior = Prior::new(Law::Normal { mean: 0.0, sd: 1.0 }, None, None).unwrap();
        for k in [1.0, 3.0, 1e7, 1e9] {
            let tail = k * LEAST;
            assert_eq!(prior.value(tail), -prior.value(1.0 - tail));
            assert_eq!(prior.log_weight(tail), prior.log_weight(1.0 - tail));
        }
        assert!((150.0..250.0).contains(&prior.value(1.0)) && prior.value(0.0) == -prior.value(1.0));
    }

    #[test]
    fn slopes_are_those_of_value_and_weight() {
        for (prior, _) in open() {
            for tail in [0.3 * FAR, 1e-2 * FAR, 2.0 * FAR] {
                let (u, h) = (1.0 - tail, 1e-5 * tail);
                let (density, weight_by_u) = prior.slopes(u, prior.value(u));
                let numeric = |f: &dyn Fn(f64) -> f64| (f(u + h) - f(u - h)) / ((u + h) - (u - h));
                let (value, weight) = (numeric(&|u| prior.value(u)), numeric(&|u| prior.log_weight(u)));
                assert!((density * value - 1.0).abs() < 1e-4, "{prior:?} {tail}: {density} {value}");
                assert!((weight_by_u - weight).abs() <= 1e-3 * weight.abs(), "{prior:?} {tail}: {weight_by_u} {weight}");
            }
        }
    }

    #[test]
    fn values_are_finite_and_rise_even_where_a_law_is_very_wide() {
        for prior in [
            Prior::new(Law::LogNormal { mu: 0.0, sigma: 60.0 }, None, None).unwrap(),
            Prior::new(Law::Normal { mean: 0.0, sd: 1e300 }, None, None).unwrap(),
            Prior::new(Law::Normal { mean: 0.0, sd: 1.0 }, Some(12.0), None).unwrap(),
        ] {
            let values: Vec<f64> = [0.0, 1e-300, 1e-17, 1e-9, 0.5, 1.0 - 1e-9, 1.0 - LEAST, 1.0].map(|u| prior.value(u)).to_vec();
            assert!(values.is_sorted() && values.iter().all(|x| x.is_finite()), "{values:?}");
        }
    }
}
