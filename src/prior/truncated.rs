//! A law cut to an interval: what a free parameter really has.

use super::{Law, PriorError};

/// For quantiles the unit coordinate is kept inside [2^-60, 1 - 2^-53], so that none is infinite.
const U_MIN: f64 = 1.0 / (1u64 << 60) as f64;
const U_MAX: f64 = 1.0 - f64::EPSILON / 2.0;
/// Less probability than this between `min` and `max` is taken for a mistake.
const LEAST_MASS: f64 = 1e-280;

/// A law, renormalised on [min, max].
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    law: Law,
    min: f64,
    max: f64,
    /// Lower tail of the law at `min`, upper tail at `max`, and the probability between.
    below: f64,
    above: f64,
    mass: f64,
}

impl Prior {
    /// Errors: an empty interval, or one in which the law has (next to) no probability, or a law so
    /// wide that its quantiles overflow. The error names the key at fault.
    pub fn new(law: Law, min: Option<f64>, max: Option<f64>) -> Result<Prior, PriorError> {
        let (low, high) = law.support();
        let (min, max) = (min.map_or(low, |m| m.max(low)), max.map_or(high, |m| m.min(high)));
        if min >= max {
            return Err(PriorError::at("max", format!("nothing lies between {min} and {max}: no value is possible")));
        }
        let ((below, above_min), (below_max, above)) = (law.tails(min), law.tails(max));
        // The difference is taken in the tail where it does not cancel.
        let mass = if below > 0.5 {
            above_min - above
        } else if above > 0.5 {
            below_max - below
        } else {
            1.0 - below - above
        };
        let key = if below > above { "min" } else { "max" };
        if mass.is_nan() || mass < LEAST_MASS {
            return Err(PriorError::at(key, format!("the prior has no probability between {min} and {max}")));
        }
        let prior = Prior { law, min, max, below, above, mass };
        if !(prior.quantile(0.0).is_finite() && prior.quantile(1.0).is_finite()) {
            return Err(PriorError::at("prior", "the prior is so wide that its tails overflow".into()));
        }
        Ok(prior)
    }

    pub fn law(&self) -> &Law {
        &self.law
    }

    /// Probability that the law has on the interval.
    pub fn mass(&self) -> f64 {
        self.mass
    }

    /// The interval of possible values; infinite where the law is and no bound is set.
    pub fn support(&self) -> (f64, f64) {
        (self.min, self.max)
    }

    /// The value below which the prior has the probability `u`: finite for every `u` in [0, 1], inside `support()`.
    pub fn quantile(&self, u: f64) -> f64 {
        let least = if self.law.is_bounded() { f64::MIN_POSITIVE } else { U_MIN };
        let u = u.clamp(least, U_MAX);
        let p = self.below + u * self.mass;
        let q = self.above + (1.0 - u) * self.mass;
        self.law.quantile(p, q).clamp(self.min, self.max)
    }

    /// Probability of a value below `x`.
    pub fn cdf(&self, x: f64) -> f64 {
        if x <= self.min || x >= self.max {
            return if x <= self.min { 0.0 } else { 1.0 };
        }
        // Each half in the tail that is small there, so that differences keep their digits.
        let (p, q) = self.law.tails(x);
        if p <= 0.5 { (p - self.below) / self.mass } else { 1.0 - (q - self.above) / self.mass }
    }

    /// Natural log of the density, normalised on the interval; -inf outside.
    pub fn ln_density(&self, x: f64) -> f64 {
        if !(x >= self.min && x <= self.max) {
            return f64::NEG_INFINITY;
        }
        self.law.ln_density(x) - libm::log(self.mass)
    }
}
