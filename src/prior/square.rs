//! The integral of a prior's squared density: the "prior evidence" by which socca corrects Bayes factors, in closed form.
//!
//! The square of a law's density is, for most laws, a constant times another law of the same family. With both cut to the prior's
//! interval the integral follows from the probabilities there, so that truncated priors need no formulas of their own.

use super::{Law, Prior};
use libm::{exp, lgamma as ln_gamma, log as ln};
use std::f64::consts::{LN_2, PI, SQRT_2};

impl Prior {
    /// ln of the integral of the squared density, in units of 1 / parameter; None where it diverges.
    pub fn ln_square(&self) -> Option<f64> {
        let (min, max) = self.support();
        match square(self.law()) {
            // Only where the interval reaches the end at which the density is infinite.
            Square::Diverges if min == self.law().support().0 || max == 1.0 => None,
            Square::Diverges => Some(ln(mean_density(self))),
            Square::Law(constant, law) => {
                let between = Prior::new(law, Some(min), Some(max)).ok()?;
                Some(constant + ln(between.mass()) - 2.0 * ln(self.mass()))
            }
            Square::None => Some(ln(mean_density(self))),
        }
    }
}

/// What the square of a density is.
enum Square {
    /// exp of the constant times this law.
    Law(f64, Law),
    /// No law of the list.
    None,
    /// It has no integral.
    Diverges,
}

fn square(law: &Law) -> Square {
    let root_pi = PI.sqrt();
    match *law {
        Law::Uniform { min, max } => Square::Law(-ln(max - min), law.clone()),
        Law::Normal { mean, sd } => Square::Law(-ln(2.0 * sd * root_pi), Law::Normal { mean, sd: sd / SQRT_2 }),
        Law::HalfNormal { sd } => Square::Law(-ln(sd * root_pi), Law::HalfNormal { sd: sd / SQRT_2 }),
        Law::LogNormal { mu, sigma } => {
            let constant = 0.25 * sigma * sigma - mu - ln(2.0 * sigma * root_pi);
            Square::Law(constant, Law::LogNormal { mu: mu - 0.5 * sigma * sigma, sigma: sigma / SQRT_2 })
        }
        Law::SplitNormal { mode, sd_low, sd_high } => {
            let narrower = Law::SplitNormal { mode, sd_low: sd_low / SQRT_2, sd_high: sd_high / SQRT_2 };
            Square::Law(-ln(root_pi * (sd_low + sd_high)), narrower)
        }
        Law::Exponential { scale } => Square::Law(-ln(2.0 * scale), Law::Exponential { scale: scale / 2.0 }),
        // 1 / (1 + z^2)^2 is Student's t with three degrees of freedom.
        Law::Cauchy { location, scale } => {
            Square::Law(-ln(2.0 * PI * scale), Law::StudentT { df: 3.0, location, scale: scale / 3f64.sqrt() })
        }
        Law::StudentT { df, location, scale } => {
            let (wide, narrower) = (2.0 * df + 1.0, scale * (df / (2.0 * df + 1.0)).sqrt());
            let constant = 2.0 * ln_peak(df, scale) - ln_peak(wide, narrower);
            Square::Law(constant, Law::StudentT { df: wide, location, scale: narrower })
        }
        Law::Beta { a, b } => beta(a, b),
        Law::Gamma { shape, scale } => gamma(shape, scale),
        Law::PowerLaw { exponent, min, max } => power(exponent, min, max),
        Law::LogPowerLaw { exponent, min, .. } if min == 1.0 && exponent <= -0.5 => Square::Diverges,
        Law::HalfCauchy { .. } | Law::LogPowerLaw { .. } => Square::None,
    }
}

/// ln of the density of Student's t at its median.
fn ln_peak(df: f64, scale: f64) -> f64 {
    ln_gamma(0.5 * (df + 1.0)) - ln_gamma(0.5 * df) - 0.5 * ln(df * PI) - ln(scale)
}

fn beta(a: f64, b: f64) -> Square {
    let ln_beta = |a: f64, b: f64| ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    let law = Law::Beta { a: 2.0 * a - 1.0, b: 2.0 * b - 1.0 };
    if a > 0.5 && b > 0.5 { Square::Law(ln_beta(2.0 * a - 1.0, 2.0 * b - 1.0) - 2.0 * ln_beta(a, b), law) } else { Square::Diverges }
}

fn gamma(shape: f64, scale: f64) -> Square {
    let twice = 2.0 * shape - 1.0;
    let constant = ln_gamma(twice) - 2.0 * ln_gamma(shape) - twice * LN_2 - ln(scale);
    if twice > 0.0 { Square::Law(constant, Law::Gamma { shape: twice, scale: 0.5 * scale }) } else { Square::Diverges }
}

fn power(exponent: f64, min: f64, max: f64) -> Square {
    if min == 0.0 && exponent <= -0.5 {
        return Square::Diverges;
    }
    let law = Law::PowerLaw { exponent: 2.0 * exponent, min, max };
    // By the densities at the upper end, which both laws have.
    Square::Law(2.0 * Law::PowerLaw { exponent, min, max }.ln_density(max) - law.ln_density(max), law)
}

/// The integral of density(quantile(u)) over u, by the double exponential rule of Takahasi & Mori (1974).
fn mean_density(prior: &Prior) -> f64 {
    const STEP: f64 = 1.0 / 64.0;
    let node = |k: i32| {
        let t = f64::from(k) * STEP;
        let (u, weight) = (1.0 / (1.0 + exp(-PI * libm::sinh(t))), PI * libm::cosh(t));
        let density = exp(prior.ln_density(prior.quantile(u)));
        weight * u * (1.0 - u) * density
    };
    STEP * (-200..=200).map(node).filter(|x| x.is_finite()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(law: Law, min: Option<f64>, max: Option<f64>, tolerance: f64) {
        let prior = Prior::new(law, min, max).unwrap();
        let (closed, numeric) = (prior.ln_square().unwrap(), ln(mean_density(&prior)));
        assert!((closed - numeric).abs() < tolerance, "{prior:?}: {closed} {numeric}");
    }

    #[test]
    fn closed_forms_are_the_integrals_also_of_truncated_priors() {
        let bounded = [
            Law::Uniform { min: -2.0, max: 6.0 },
            Law::PowerLaw { exponent: -1.0, min: 0.01, max: 100.0 },
            Law::PowerLaw { exponent: 1.5, min: 0.0, max: 3.0 },
            Law::PowerLaw { exponent: -0.5, min: 1.0, max: 9.0 },
        ];
        bounded.into_iter().for_each(|law| close(law, None, None, 1e-9));
        let open = [
            Law::Normal { mean: 1.0, sd: 2.0 },
            Law::HalfNormal { sd: 3.0 },
            Law::LogNormal { mu: 0.5, sigma: 0.7 },
            Law::SplitNormal { mode: 1.0, sd_low: 0.5, sd_high: 2.0 },
            Law::Cauchy { location: 1.0, scale: 2.0 },
            Law::StudentT { df: 5.0, location: 1.0, scale: 2.0 },
            Law::Exponential { scale: 2.0 },
            Law::Gamma { shape: 2.5, scale: 0.7 },
        ];
        for law in open {
            // The rule has fewer digits where two halves meet (split normal).
            close(law.clone(), None, None, 1e-6);
            close(law, Some(0.3), Some(2.5), 1e-6);
        }
        close(Law::Beta { a: 2.0, b: 3.5 }, None, None, 1e-7);
        close(Law::Beta { a: 2.0, b: 3.5 }, Some(0.3), Some(0.6), 1e-7);
    }

    #[test]
    fn laws_without_a_formula_are_integrated() {
        // half-Cauchy: 1 / (pi scale); ln x uniform on (0, 1): (1 - 1/e) e^0 in x from 1 to e
        let half = Prior::new(Law::HalfCauchy { scale: 2.0 }, None, None).unwrap();
        assert!((half.ln_square().unwrap() + ln(2.0 * PI)).abs() < 1e-8);
        let flat = Prior::new(Law::LogPowerLaw { exponent: 0.0, min: 1.0, max: std::f64::consts::E }, None, None).unwrap();
        assert!((flat.ln_square().unwrap() - ln(1.0 - exp(-1.0))).abs() < 1e-8);
    }

    #[test]
    fn a_density_whose_square_has_no_integral_is_told() {
        for law in
            [Law::Beta { a: 0.5, b: 2.0 }, Law::Gamma { shape: 0.4, scale: 1.0 }, Law::PowerLaw { exponent: -0.6, min: 0.0, max: 1.0 }]
        {
            assert_eq!(Prior::new(law.clone(), None, None).unwrap().ln_square(), None);
            assert!(Prior::new(law, Some(0.1), Some(0.9)).unwrap().ln_square().is_some());
        }
    }
}
