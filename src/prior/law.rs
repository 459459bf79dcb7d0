//! The laws a prior can have: tails, quantile and log density of each, untruncated.

use super::special::*;
use std::f64::consts::{FRAC_PI_2, LN_2, PI, TAU};

/// A one-dimensional distribution without truncation.
#[derive(Clone, Debug, PartialEq)]
pub enum Law {
    Uniform { min: f64, max: f64 },
    Normal { mean: f64, sd: f64 },
    /// |x| of a normal about zero.
    HalfNormal { sd: f64 },
    /// ln x is normal.
    LogNormal { mu: f64, sigma: f64 },
    /// Two half-normals that meet at the mode with equal height (Fechner 1897).
    SplitNormal { mode: f64, sd_low: f64, sd_high: f64 },
    Cauchy { location: f64, scale: f64 },
    HalfCauchy { scale: f64 },
    StudentT { df: f64, location: f64, scale: f64 },
    Beta { a: f64, b: f64 },
    /// `scale` is 1 / rate.
    Gamma { shape: f64, scale: f64 },
    Exponential { scale: f64 },
    /// p(x) proportional to x^exponent; -1 is log-uniform.
    PowerLaw { exponent: f64, min: f64, max: f64 },
    /// ln x has a power law with this exponent: p(x) proportional to (ln x)^exponent / x, 1 <= min.
    LogPowerLaw { exponent: f64, min: f64, max: f64 },
}

impl Law {
    /// The interval outside which the density is zero.
    pub fn support(&self) -> (f64, f64) {
        match *self {
            Law::Uniform { min, max } | Law::PowerLaw { min, max, .. } | Law::LogPowerLaw { min, max, .. } => (min, max),
            Law::HalfNormal { .. }
            | Law::LogNormal { .. }
            | Law::HalfCauchy { .. }
            | Law::Gamma { .. }
            | Law::Exponential { .. } => (0.0, f64::INFINITY),
            Law::Beta { .. } => (0.0, 1.0),
            Law::Normal { .. } | Law::SplitNormal { .. } | Law::Cauchy { .. } | Law::StudentT { .. } => {
                (f64::NEG_INFINITY, f64::INFINITY)
            }
        }
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
                (statrs::function::erf::erf(z), statrs::function::erf::erfc(z))
            }
            Law::LogNormal { mu, sigma } => normal_tails((x.ln() - mu) / sigma),
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
                (1f64.atan2(-z) / PI, 1f64.atan2(z) / PI)
            }
            Law::HalfCauchy { scale } => (x.atan2(scale) / FRAC_PI_2, scale.atan2(x) / FRAC_PI_2),
            Law::StudentT { df, location, scale } => student_tails(df, (x - location) / scale),
            Law::Beta { a, b } => beta_tails(a, b, x, 1.0 - x),
            Law::Gamma { shape, scale } => gamma_tails(shape, x / scale),
            Law::Exponential { scale } => (-(-x / scale).exp_m1(), (-x / scale).exp()),
            Law::PowerLaw { exponent, min, max } => power_tails(exponent, min, max, x),
            Law::LogPowerLaw { exponent, min, max } => power_tails(exponent, min.ln(), max.ln(), x.ln()),
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
            Law::LogNormal { mu, sigma } => (mu + sigma * normal_quantile(p, q)).exp(),
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
                    scale * (FRAC_PI_2 * p).tan()
                } else {
                    scale / (FRAC_PI_2 * q).tan()
                }
            }
            Law::StudentT { df, location, scale } => location + scale * student_quantile(df, p, q),
            Law::Beta { a, b } => 1.0 / (1.0 + (-logit_beta_quantile(a, b, p, q)).exp()),
            Law::Gamma { shape, scale } => scale * ln_gamma_quantile(shape, p, q).exp(),
            Law::Exponential { scale } => -scale * if p < q { (-p).ln_1p() } else { q.ln() },
            Law::PowerLaw { exponent, min, max } => power_quantile(exponent, min, max, p, q),
            Law::LogPowerLaw { exponent, min, max } => power_quantile(exponent, min.ln(), max.ln(), p, q).exp(),
        }
    }

    /// Natural log of the density; -inf outside the support.
    pub fn ln_density(&self, x: f64) -> f64 {
        let (low, high) = self.support();
        if !(x >= low && x <= high) {
            return f64::NEG_INFINITY;
        }
        let gauss = |z: f64, sd: f64| -0.5 * z * z - sd.ln() - 0.5 * TAU.ln();
        match *self {
            Law::Uniform { min, max } => -(max - min).ln(),
            Law::Normal { mean, sd } => gauss((x - mean) / sd, sd),
            Law::HalfNormal { sd } => LN_2 + gauss(x / sd, sd),
            Law::LogNormal { .. } if x == 0.0 => f64::NEG_INFINITY,
            Law::LogNormal { mu, sigma } => gauss((x.ln() - mu) / sigma, sigma) - x.ln(),
            Law::SplitNormal { mode, sd_low, sd_high } => {
                let sd = if x < mode { sd_low } else { sd_high };
                gauss((x - mode) / sd, 0.5 * (sd_low + sd_high))
            }
            Law::Cauchy { location, scale } => -(((x - location) / scale).powi(2)).ln_1p() - (PI * scale).ln(),
            Law::HalfCauchy { scale } => -((x / scale).powi(2)).ln_1p() - (FRAC_PI_2 * scale).ln(),
            Law::StudentT { df, location, scale } => student_ln_density(df, (x - location) / scale) - scale.ln(),
            Law::Beta { a, b } => beta_ln_density(a, b, x),
            Law::Gamma { shape, scale } => gamma_ln_density(shape, x / scale) - scale.ln(),
            Law::Exponential { scale } => -x / scale - scale.ln(),
            Law::PowerLaw { exponent, min, max } => power_ln_density(exponent, min, max, x),
            Law::LogPowerLaw { exponent, min, max } => power_ln_density(exponent, min.ln(), max.ln(), x.ln()) - x.ln(),
        }
    }
}

fn cauchy_quantile(p: f64, q: f64) -> f64 {
    if p < 0.25 {
        -1.0 / (PI * p).tan()
    } else if q < 0.25 {
        1.0 / (PI * q).tan()
    } else {
        (PI * if p < q { p - 0.5 } else { 0.5 - q }).tan()
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
    let t = (0.5 * (df.ln() - logit)).exp();
    if p < q { -t } else { t }
}

fn student_ln_density(df: f64, t: f64) -> f64 {
    // The beta density of x = df/(df + t^2), by |t|: x^(df/2) y^(1/2) / (B |t|), free of 0/0 at t = 0.
    let (x, y) = (df / (df + t * t), t * t / (df + t * t));
    if t == 0.0 {
        let tiny = 1e-150;
        return ln_beta_term(0.5 * df, 0.5, 1.0, tiny * tiny / df) - f64::ln(tiny);
    }
    ln_beta_term(0.5 * df, 0.5, x, y) - t.abs().ln()
}

fn beta_ln_density(a: f64, b: f64, x: f64) -> f64 {
    let at_end = |shape: f64, other: f64| match shape.total_cmp(&1.0) {
        std::cmp::Ordering::Less => f64::INFINITY,
        std::cmp::Ordering::Equal => other.ln(),
        std::cmp::Ordering::Greater => f64::NEG_INFINITY,
    };
    if x == 0.0 {
        return at_end(a, b);
    }
    if x == 1.0 {
        return at_end(b, a);
    }
    ln_beta_term(a, b, x, 1.0 - x) - x.ln() - (-x).ln_1p()
}

fn gamma_ln_density(shape: f64, x: f64) -> f64 {
    if x == 0.0 {
        return match shape.total_cmp(&1.0) {
            std::cmp::Ordering::Less => f64::INFINITY,
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Greater => f64::NEG_INFINITY,
        };
    }
    ln_gamma_term(shape, x) - x.ln()
}

/// A power law seen from the end where it is steepest, so that ratios stay below one:
/// (b, e) with b = |exponent + 1| and e = (min/max)^b.
fn power_shape(exponent: f64, min: f64, max: f64) -> (f64, f64) {
    let b = (exponent + 1.0).abs();
    (b, (-b * (max / min).ln()).exp())
}

fn power_tails(exponent: f64, min: f64, max: f64, x: f64) -> (f64, f64) {
    let (b, e) = power_shape(exponent, min, max);
    if b == 0.0 {
        let range = (max / min).ln();
        return ((x / min).ln() / range, (max / x).ln() / range);
    }
    let span = -(b * (min / max).ln()).exp_m1();
    // tail away from the steep end, and the tail at it
    let (near, far) = if exponent > -1.0 { (x / max, x / min) } else { (min / x, max / x) };
    let from_steep = -(b * near.ln()).exp_m1() / span;
    let rise = b * far.ln();
    let from_flat = if rise < 1.0 { e * rise.exp_m1() / span } else { (near.powf(b) - e) / span };
    if exponent > -1.0 { (from_flat, from_steep) } else { (from_steep, from_flat) }
}

fn power_quantile(exponent: f64, min: f64, max: f64, p: f64, q: f64) -> f64 {
    let (b, e) = power_shape(exponent, min, max);
    if b == 0.0 {
        let range = (max / min).ln();
        return if p < q { min * (p * range).exp() } else { max * (-q * range).exp() };
    }
    let (flat, steep) = if exponent > -1.0 { (p, q) } else { (q, p) };
    let drop = -(b * (min / max).ln()).exp_m1() * steep;
    let ln_ratio = if drop < 0.5 { (-drop).ln_1p() } else { (flat + steep * e).ln() } / b;
    if exponent > -1.0 { max * ln_ratio.exp() } else { min * (-ln_ratio).exp() }
}

fn power_ln_density(exponent: f64, min: f64, max: f64, x: f64) -> f64 {
    let b = exponent + 1.0;
    if b == 0.0 {
        return -x.ln() - (max / min).ln().ln();
    }
    // ln of the integral of x^exponent, with the larger end taken out
    let (top, low_over_top) = if b > 0.0 { (max, min / max) } else { (min, max / min) };
    let integral = (-(b * low_over_top.ln()).exp_m1() / b.abs()).ln() + b * top.ln();
    exponent * x.ln() - integral
}
