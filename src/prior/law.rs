//! The laws a prior can have: tails, quantile and log density of each, untruncated.

use crate::stats::special::*;
use libm::{atan2, exp, expm1 as exp_m1, log as ln, log1p as ln_1p, tan};
use std::f64::consts::{FRAC_PI_2, LN_2, PI, TAU};

/// A one-dimensional distribution without truncation.
#[derive(Clone, Debug, PartialEq)]
pub enum Law {
    Uniform {
        min: f64,
        max: f64,
    },
    Normal {
        mean: f64,
        sd: f64,
    },
    /// |x| of a normal about zero.
    HalfNormal {
        sd: f64,
    },
    /// ln x is normal.
    LogNormal {
        mu: f64,
        sigma: f64,
    },
    /// Two half-normals that meet at the mode with equal height (Fechner 1897).
    SplitNormal {
        mode: f64,
        sd_low: f64,
        sd_high: f64,
    },
    Cauchy {
        location: f64,
        scale: f64,
    },
    HalfCauchy {
        scale: f64,
    },
    StudentT {
        df: f64,
        location: f64,
        scale: f64,
    },
    Beta {
        a: f64,
        b: f64,
    },
    /// `scale` is 1 / rate.
    Gamma {
        shape: f64,
        scale: f64,
    },
    Exponential {
        scale: f64,
    },
    /// p(x) proportional to x^exponent; -1 is log-uniform.
    PowerLaw {
        exponent: f64,
        min: f64,
        max: f64,
    },
    /// ln x has a power law with this exponent: p(x) proportional to (ln x)^exponent / x, 1 <= min.
    LogPowerLaw {
        exponent: f64,
        min: f64,
        max: f64,
    },
}

impl Law {
    /// The interval outside which the density is zero.
    pub fn support(&self) -> (f64, f64) {
        match *self {
            Law::Uniform { min, max } | Law::PowerLaw { min, max, .. } | Law::LogPowerLaw { min, max, .. } => (min, max),
            Law::HalfNormal { .. } | Law::LogNormal { .. } | Law::HalfCauchy { .. } | Law::Gamma { .. } | Law::Exponential { .. } => {
                (0.0, f64::INFINITY)
            }
            Law::Beta { .. } => (0.0, 1.0),
            Law::Normal { .. } | Law::SplitNormal { .. } | Law::Cauchy { .. } | Law::StudentT { .. } => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// Whether its own ends are finite, and its quantiles are closed forms that reach both.
    pub fn is_bounded(&self) -> bool {
        matches!(self, Law::Uniform { .. } | Law::PowerLaw { .. } | Law::LogPowerLaw { .. })
    }

    /// Lower and upper tail at `x`, each with its own full relative precision where it is the smaller.
    pub fn tails(&self, x: f64) -> (f64, f64) {
        let (low, high) = self.support();
        if x <= low || x >= high {
            return if x <= low { (0.0, 1.0) } else { (1.0, 0.0) };
        }
        match *self {
            Law::Uniform { min, max } => ((x - min) / (max - min), (max - x) / (max - min)),
            Law::Normal { mean, sd } => normal_tails((x - mean) / sd),
            Law::HalfNormal { sd } => {
                let z = x / sd / std::f64::consts::SQRT_2;
                (libm::erf(z), libm::erfc(z))
            }
            Law::LogNormal { mu, sigma } => normal_tails((ln(x) - mu) / sigma),
            Law::SplitNormal { mode, sd_low, sd_high } => {
                let (below, above) = (2.0 * sd_low / (sd_low + sd_high), 2.0 * sd_high / (sd_low + sd_high));
                if x < mode {
                    let p = below * normal_tails((x - mode) / sd_low).0;
                    (p, 1.0 - p)
                } else {
                    let q = above * normal_tails((x - mode) / sd_high).1;
                    (1.0 - q, q)
                }
            }
            Law::Cauchy { location, scale } => {
                let z = (x - location) / scale;
                (atan2(1f64, -z) / PI, atan2(1f64, z) / PI)
            }
            Law::HalfCauchy { scale } => (atan2(x, scale) / FRAC_PI_2, atan2(scale, x) / FRAC_PI_2),
            Law::StudentT { df, location, scale } => student_tails(df, (x - location) / scale),
            Law::Beta { a, b } => beta_tails(a, b, x, 1.0 - x),
            Law::Gamma { shape, scale } => gamma_tails(shape, x / scale),
            Law::Exponential { scale } => (-exp_m1(-x / scale), exp(-x / scale)),
            Law::PowerLaw { exponent, min, max } => power_tails(exponent, min, max, x),
            Law::LogPowerLaw { exponent, min, max } => power_tails(exponent, ln(min), ln(max), ln(x)),
        }
    }

    /// The x whose tails are `p` and `q` (p + q = 1).
    pub fn quantile(&self, p: f64, q: f64) -> f64 {
        match *self {
            Law::Uniform { min, max } => {
                if p <= q {
                    min + p * (max - min)
                } else {
                    max - q * (max - min)
                }
            }
            Law::Normal { mean, sd } => mean + sd * normal_quantile(p, q),
            Law::HalfNormal { sd } => {
                let z = if p < 0.85 { normal_quantile_central(0.5 * p) } else { -normal_quantile(0.5 * q, 1.0 - 0.5 * q) };
                sd * z
            }
            Law::LogNormal { mu, sigma } => exp(mu + sigma * normal_quantile(p, q)),
            Law::SplitNormal { mode, sd_low, sd_high } => {
                let (below, above) = (2.0 * sd_low / (sd_low + sd_high), 2.0 * sd_high / (sd_low + sd_high));
                if 2.0 * p < below {
                    mode + sd_low * normal_quantile(p / below, 1.0 - p / below)
                } else {
                    mode - sd_high * normal_quantile(q / above, 1.0 - q / above)
                }
            }
            Law::Cauchy { location, scale } => location + scale * cauchy_quantile(p, q),
            Law::HalfCauchy { scale } => {
                if p < q {
                    scale * tan(FRAC_PI_2 * p)
                } else {
                    scale / tan(FRAC_PI_2 * q)
                }
            }
            Law::StudentT { df, location, scale } => location + scale * student_quantile(df, p, q),
            Law::Beta { a, b } => 1.0 / (1.0 + exp(-logit_beta_quantile(a, b, p, q))),
            Law::Gamma { shape, scale } => scale * exp(ln_gamma_quantile(shape, p, q)),
            Law::Exponential { scale } => -scale * if p < q { ln_1p(-p) } else { ln(q) },
            Law::PowerLaw { exponent, min, max } => power_quantile(exponent, min, max, p, q),
            Law::LogPowerLaw { exponent, min, max } => exp(power_quantile(exponent, ln(min), ln(max), p, q)),
        }
    }

    /// Natural log of the density; -inf outside the support.
    pub fn ln_density(&self, x: f64) -> f64 {
        let (low, high) = self.support();
        if !(x >= low && x <= high) {
            return f64::NEG_INFINITY;
        }
        let gauss = |z: f64, sd: f64| -0.5 * z * z - ln(sd) - 0.5 * ln(TAU);
        match *self {
            Law::Uniform { min, max } => -ln(max - min),
            Law::Normal { mean, sd } => gauss((x - mean) / sd, sd),
            Law::HalfNormal { sd } => LN_2 + gauss(x / sd, sd),
            Law::LogNormal { .. } if x == 0.0 => f64::NEG_INFINITY,
            Law::LogNormal { mu, sigma } => gauss((ln(x) - mu) / sigma, sigma) - ln(x),
            Law::SplitNormal { mode, sd_low, sd_high } => {
                let sd = if x < mode { sd_low } else { sd_high };
                gauss((x - mode) / sd, 0.5 * (sd_low + sd_high))
            }
            Law::Cauchy { location, scale } => -ln_1p(((x - location) / scale).powi(2)) - ln(PI * scale),
            Law::HalfCauchy { scale } => -ln_1p((x / scale).powi(2)) - ln(FRAC_PI_2 * scale),
            Law::StudentT { df, location, scale } => student_ln_density(df, (x - location) / scale) - ln(scale),
            Law::Beta { a, b } => beta_ln_density(a, b, x),
            Law::Gamma { shape, scale } => gamma_ln_density(shape, x / scale) - ln(scale),
            Law::Exponential { scale } => -x / scale - ln(scale),
            Law::PowerLaw { exponent, min, max } => power_ln_density(exponent, min, max, x),
            Law::LogPowerLaw { exponent, min, max } => power_ln_density(exponent, ln(min), ln(max), ln(x)) - ln(x),
        }
    }
}

fn cauchy_quantile(p: f64, q: f64) -> f64 {
    if p < 0.25 {
        -1.0 / tan(PI * p)
    } else if q < 0.25 {
        1.0 / tan(PI * q)
    } else {
        tan(PI * if p < q { p - 0.5 } else { 0.5 - q })
    }
}

fn student_tails(df: f64, t: f64) -> (f64, f64) {
    let (x, y) = (df / (df + t * t), t * t / (df + t * t));
    let tail = 0.5 * beta_tails(0.5 * df, 0.5, x, y).0;
    if t < 0.0 { (tail, 1.0 - tail) } else { (1.0 - tail, tail) }
}

/// |t|^2 = df (1 - x)/x with x of the beta law (df/2, 1/2) at twice the smaller tail.
fn student_quantile(df: f64, p: f64, q: f64) -> f64 {
    let tail = p.min(q);
    if tail == 0.5 {
        return 0.0;
    }
    let logit = logit_beta_quantile(0.5 * df, 0.5, 2.0 * tail, 1.0 - 2.0 * tail);
    let t = exp(0.5 * (ln(df) - logit));
    if p < q { -t } else { t }
}

fn student_ln_density(df: f64, t: f64) -> f64 {
    // The beta density of x = df/(df + t^2), by |t|: x^(df/2) y^(1/2) / (B |t|), free of 0/0 at t = 0.
    let (x, y) = (df / (df + t * t), t * t / (df + t * t));
    if t == 0.0 {
        let tiny = 1e-150;
        return ln_beta_term(0.5 * df, 0.5, 1.0, tiny * tiny / df) - ln(tiny);
    }
    ln_beta_term(0.5 * df, 0.5, x, y) - ln(t.abs())
}

fn beta_ln_density(a: f64, b: f64, x: f64) -> f64 {
    let at_end = |shape: f64, other: f64| match shape.total_cmp(&1.0) {
        std::cmp::Ordering::Less => f64::INFINITY,
        std::cmp::Ordering::Equal => ln(other),
        std::cmp::Ordering::Greater => f64::NEG_INFINITY,
    };
    if x == 0.0 {
        return at_end(a, b);
    }
    if x == 1.0 {
        return at_end(b, a);
    }
    ln_beta_term(a, b, x, 1.0 - x) - ln(x) - ln_1p(-x)
}

fn gamma_ln_density(shape: f64, x: f64) -> f64 {
    if x == 0.0 {
        return match shape.total_cmp(&1.0) {
            std::cmp::Ordering::Less => f64::INFINITY,
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Greater => f64::NEG_INFINITY,
        };
    }
    ln_gamma_term(shape, x) - ln(x)
}

/// ln(a / b) of positive numbers, also where the ratio is no double.
fn ln_ratio(a: f64, b: f64) -> f64 {
    let ratio = a / b;
    if ratio.is_normal() { ln(ratio) } else { ln(a) - ln(b) }
}

/// A power law seen from the end where it is steepest, so that ratios stay below one:
/// (b, e) with b = |exponent + 1| and e = (min/max)^b.
fn power_shape(exponent: f64, min: f64, max: f64) -> (f64, f64) {
    let b = (exponent + 1.0).abs();
    (b, exp(-b * ln_ratio(max, min)))
}

fn power_tails(exponent: f64, min: f64, max: f64, x: f64) -> (f64, f64) {
    let (b, e) = power_shape(exponent, min, max);
    if b == 0.0 {
        let range = ln_ratio(max, min);
        return (ln_ratio(x, min) / range, ln_ratio(max, x) / range);
    }
    let span = -exp_m1(b * ln_ratio(min, max));
    // logs of the distance from the steep end, and of that from the other
    let (near, far) = if exponent > -1.0 { (ln_ratio(x, max), ln_ratio(x, min)) } else { (ln_ratio(min, x), ln_ratio(max, x)) };
    let from_steep = -exp_m1(b * near) / span;
    let rise = b * far;
    let from_flat = if rise < 1.0 { e * exp_m1(rise) / span } else { (exp(b * near) - e) / span };
    if exponent > -1.0 { (from_flat, from_steep) } else { (from_steep, from_flat) }
}

fn power_quantile(exponent: f64, min: f64, max: f64, p: f64, q: f64) -> f64 {
    let (b, e) = power_shape(exponent, min, max);
    if b == 0.0 {
        let range = ln_ratio(max, min);
        return if p < q { times_exp(min, p * range) } else { times_exp(max, -q * range) };
    }
    let (flat, steep) = if exponent > -1.0 { (p, q) } else { (q, p) };
    let drop = -exp_m1(b * ln_ratio(min, max)) * steep;
    let ln_ratio = if drop < 0.5 { ln_1p(-drop) } else { ln(flat + steep * e) } / b;
    if exponent > -1.0 { times_exp(max, ln_ratio) } else { times_exp(min, -ln_ratio) }
}

/// x e^y, also where e^y alone is no double.
fn times_exp(x: f64, y: f64) -> f64 {
    if y.abs() < 700.0 { x * exp(y) } else { exp(ln(x) + y) }
}

fn power_ln_density(exponent: f64, min: f64, max: f64, x: f64) -> f64 {
    let b = exponent + 1.0;
    if b == 0.0 {
        return -ln(x) - ln(ln_ratio(max, min));
    }
    // ln of the integral of x^exponent, with the larger end taken out
    let (top, drop) = if b > 0.0 { (max, ln_ratio(min, max)) } else { (min, ln_ratio(max, min)) };
    let integral = ln(-exp_m1(b * drop) / b.abs()) + b * ln(top);
    exponent * ln(x) - integral
}
