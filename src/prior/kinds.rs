//! Priors as a job file writes them, one struct a kind, and what they mean.

use super::{Law, Prior};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A prior that cannot be, and the key of its table that is to blame.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct PriorError {
    pub key: &'static str,
    pub message: String,
}

impl PriorError {
    pub fn at(key: &'static str, message: String) -> Self {
        PriorError { key, message }
    }
}

/// The struct of one kind: its own keys, then `min` and `max` (needed where the law is `bounded`), `periodic`.
macro_rules! kind_struct {
    (bounded $(#[$doc:meta])* $kind:ident $($fields:tt)*) => {
        kind_struct! { @ $(#[$doc])* $kind [] f64, $($fields)* }
    };
    (open $(#[$doc:meta])* $kind:ident $($fields:tt)*) => {
        kind_struct! { @ $(#[$doc])* $kind
            [#[serde(default, skip_serializing_if = "Option::is_none")]] Option<f64>, $($fields)* }
    };
    (@ $(#[$doc:meta])* $kind:ident [$(#[$bound_meta:meta])*] $bound:ty,
        $( $(#[$field_meta:meta])* $field:ident : $type:ty, )*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $kind {
            $( $(#[$field_meta])* pub $field: $type, )*
            /// Smallest possible value.
            $(#[$bound_meta])*
            pub min: $bound,
            /// Largest possible value.
            $(#[$bound_meta])*
            pub max: $bound,
            /// True where the two ends are the same point (an angle, a phase); needs both ends.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub periodic: bool,
        }
    };
}

/// Declares the kinds: struct and enum variant, name, aliases, whether its ends are its own keys.
macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident = $name:literal $( | $alias:literal )* if $ends:ident { $($fields:tt)* } )*) => {
        $( kind_struct! { $ends $(#[$doc])* $kind $($fields)* } )*

        /// The prior of a free parameter: `prior` names the distribution, the other keys are its own.
        #[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
        #[serde(tag = "prior")]
        pub enum PriorSpec { $( #[serde(rename = $name)] $kind($kind), )* }

        /// Names of the kinds, each with its aliases.
        pub const KINDS: &[(&str, &[&str])] = &[ $( ($name, &[$($alias),*]), )* ];

        impl PriorSpec {
            /// Reads the keys of the kind called `name` (without `prior` itself); None if there is no such kind.
            pub fn read<'de, D: serde::Deserializer<'de>>(name: &str, from: D) -> Option<Result<PriorSpec, D::Error>> {
                match name {
                    $( $name $( | $alias )* => Some($kind::deserialize(from).map(PriorSpec::$kind)), )*
                    _ => None,
                }
            }

            /// (min, max, periodic) as typed.
            fn ends(&self) -> (Option<f64>, Option<f64>, bool) {
                match self { $( PriorSpec::$kind(it) => (it.min.into(), it.max.into(), it.periodic), )* }
            }
        }
    };
}

/// The own name of a kind, from a name or an alias.
pub fn kind_named(name: &str) -> Option<&'static str> {
    KINDS.iter().find(|(own, aliases)| *own == name || aliases.contains(&name)).map(|(own, _)| *own)
}

kinds! {
    /// Equal density between `min` and `max`.
    Uniform = "uniform" if bounded {
    }
    /// Equal density in ln x between `min` > 0 and `max`.
    LogUniform = "log-uniform" | "loguniform" | "reciprocal" if bounded {
    }
    /// Normal; with `min` or `max`, truncated there.
    Normal = "normal" | "gaussian" | "truncated-normal" | "truncnormal" if open {
        /// Mean (before truncation).
        mean: f64,
        /// Standard deviation (before truncation).
        sd: f64,
    }
    /// |x| of a normal about zero: values from zero up.
    HalfNormal = "half-normal" | "halfnormal" if open {
        /// Standard deviation of the whole normal.
        sd: f64,
    }
    /// ln x is normal. Give the mean of ln x as `mu`, or `median` = exp(mu).
    LogNormal = "log-normal" | "lognormal" if open {
        /// Mean of ln x.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mu: Option<f64>,
        /// Median of x, in place of `mu`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        median: Option<f64>,
        /// Standard deviation of ln x.
        sigma: f64,
    }
    /// Two half-normals that meet at the mode: a measured value with unequal errors.
    SplitNormal = "split-normal" | "splitnormal" | "two-piece-normal" if open {
        mode: f64,
        /// Standard deviation below the mode.
        sd_low: f64,
        /// Standard deviation above the mode.
        sd_high: f64,
    }
    /// Cauchy (Lorentz).
    Cauchy = "cauchy" if open {
        /// The median.
        #[serde(default)]
        location: f64,
        /// Half width at half maximum.
        scale: f64,
    }
    /// |x| of a Cauchy about zero: values from zero up.
    HalfCauchy = "half-cauchy" | "halfcauchy" if open {
        /// The median.
        scale: f64,
    }
    /// Student's t, shifted and scaled.
    StudentT = "student-t" | "student" | "t" if open {
        /// Degrees of freedom, at least 0.1.
        df: f64,
        /// The median.
        #[serde(default)]
        location: f64,
        /// Scale (not the standard deviation).
        #[serde(default = "one")]
        scale: f64,
    }
    /// Beta on [0, 1]: density proportional to x^(a-1) (1-x)^(b-1).
    Beta = "beta" if open {
        a: f64,
        b: f64,
    }
    /// Gamma: density proportional to x^(shape-1) exp(-rate x). Give `rate`, or `scale` = 1/rate.
    Gamma = "gamma" if open {
        shape: f64,
        /// Mean is shape / rate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
        /// 1 / rate, in its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale: Option<f64>,
    }
    /// Exponential: density proportional to exp(-rate x). Give `rate`, or `scale` = 1/rate, the mean.
    Exponential = "exponential" if open {
        /// 1 / mean.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
        /// The mean, in place of `rate`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale: Option<f64>,
    }
    /// Density proportional to x^exponent between `min` and `max`, both positive (`min` = 0 if exponent > -1).
    PowerLaw = "power-law" | "powerlaw" if bounded {
        exponent: f64,
    }
    /// ln x has a power law: density proportional to (ln x)^exponent / x, 1 <= `min` < `max`.
    LogPowerLaw = "log-power-law" | "logpowerlaw" if bounded {
        exponent: f64,
    }
}

fn one() -> f64 {
    1.0
}

impl PriorSpec {
    /// Errors: values outside the law's domain, an impossible interval, a periodic prior with open ends.
    pub fn build(&self) -> Result<Prior, PriorError> {
        let (min, max, periodic) = self.ends();
        for (key, bound) in [("min", min), ("max", max)] {
            if bound.is_some_and(f64::is_nan) {
                return Err(PriorError::at(key, format!("{key} is not a number")));
            }
        }
        let prior = Prior::new(self.law()?, min, max)?;
        let (min, max) = prior.support();
        if periodic && !(min.is_finite() && max.is_finite()) {
            return Err(PriorError::at("periodic", "a periodic parameter needs both ends: give min and max".into()));
        }
        Ok(prior)
    }

    pub fn periodic(&self) -> bool {
        self.ends().2
    }

    fn law(&self) -> Result<Law, PriorError> {
        Ok(match self {
            PriorSpec::Uniform(it) => {
                let (min, max) = interval(it.min, it.max, f64::NEG_INFINITY)?;
                Law::Uniform { min, max }
            }
            PriorSpec::LogUniform(it) => {
                let (min, max) = interval(positive("min", it.min)?, it.max, 0.0)?;
                Law::PowerLaw { exponent: -1.0, min, max }
            }
            PriorSpec::Normal(it) => Law::Normal { mean: finite("mean", it.mean)?, sd: positive("sd", it.sd)? },
            PriorSpec::HalfNormal(it) => Law::HalfNormal { sd: positive("sd", it.sd)? },
            PriorSpec::LogNormal(it) => Law::LogNormal { mu: log_mean(it)?, sigma: positive("sigma", it.sigma)? },
            PriorSpec::SplitNormal(it) => Law::SplitNormal {
                mode: finite("mode", it.mode)?,
                sd_low: positive("sd_low", it.sd_low)?,
                sd_high: positive("sd_high", it.sd_high)?,
            },
            PriorSpec::Cauchy(it) => Law::Cauchy { location: finite("location", it.location)?, scale: positive("scale", it.scale)? },
            PriorSpec::HalfCauchy(it) => Law::HalfCauchy { scale: positive("scale", it.scale)? },
            PriorSpec::StudentT(it) => Law::StudentT {
                df: shape("df", it.df, 0.1)?,
                location: finite("location", it.location)?,
                scale: positive("scale", it.scale)?,
            },
            PriorSpec::Beta(it) => Law::Beta { a: shape("a", it.a, 1e-3)?, b: shape("b", it.b, 1e-3)? },
            PriorSpec::Gamma(it) => Law::Gamma { shape: shape("shape", it.shape, 1e-3)?, scale: rate_or_scale(it.rate, it.scale)? },
            PriorSpec::Exponential(it) => Law::Exponential { scale: rate_or_scale(it.rate, it.scale)? },
            PriorSpec::PowerLaw(it) => {
                let lowest = if it.exponent > -1.0 { 0.0 } else { f64::MIN_POSITIVE };
                let (min, max) = interval(it.min, it.max, lowest)?;
                Law::PowerLaw { exponent: finite("exponent", it.exponent)?, min, max }
            }
            PriorSpec::LogPowerLaw(it) => {
                let lowest = if it.exponent > -1.0 { 1.0 } else { 1.0 + f64::EPSILON };
                let (min, max) = interval(it.min, it.max, lowest)?;
                Law::LogPowerLaw { exponent: finite("exponent", it.exponent)?, min, max }
            }
        })
    }
}

fn finite(key: &'static str, value: f64) -> Result<f64, PriorError> {
    if value.is_finite() { Ok(value) } else { Err(PriorError::at(key, format!("{key} = {value} is not a finite number"))) }
}

fn positive(key: &'static str, value: f64) -> Result<f64, PriorError> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(PriorError::at(key, format!("{key} = {value} must be greater than zero")))
}

/// A shape parameter between `least` and 1e5, where the incomplete functions converge.
fn shape(key: &'static str, value: f64, least: f64) -> Result<f64, PriorError> {
    if (least..=1e5).contains(&value) {
        return Ok(value);
    }
    Err(PriorError::at(key, format!("{key} = {value} must lie between {least} and 1e5")))
}

fn interval(min: f64, max: f64, lowest: f64) -> Result<(f64, f64), PriorError> {
    let (min, max) = (finite("min", min)?, finite("max", max)?);
    if min < lowest {
        return Err(PriorError::at("min", format!("min = {min} must be at least {lowest} for this prior")));
    }
    if min >= max {
        return Err(PriorError::at("max", format!("max = {max} must be greater than min = {min}")));
    }
    if !(max - min).is_finite() {
        return Err(PriorError::at("max", "max - min overflows".into()));
    }
    Ok((min, max))
}

fn log_mean(it: &LogNormal) -> Result<f64, PriorError> {
    match (it.mu, it.median) {
        (Some(mu), None) => finite("mu", mu),
        (None, Some(median)) => Ok(libm::log(positive("median", median)?)),
        (None, None) => Err(PriorError::at("prior", "a log-normal prior needs mu (mean of ln x) or median".into())),
        (Some(_), Some(_)) => Err(PriorError::at("median", "give mu or median, not both".into())),
    }
}

fn rate_or_scale(rate: Option<f64>, scale: Option<f64>) -> Result<f64, PriorError> {
    match (rate, scale) {
        (Some(rate), None) => Ok(1.0 / positive("rate", rate)?),
        (None, Some(scale)) => positive("scale", scale),
        (None, None) => Err(PriorError::at("prior", "this prior needs rate, or scale = 1/rate".into())),
        (Some(_), Some(_)) => Err(PriorError::at("scale", "give rate or scale, not both".into())),
    }
}
