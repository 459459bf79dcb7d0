//! The best point that an optimiser found, with errors in physical values.

use crate::prior::Space;
use crate::sampler::Optimum;
use serde::{Deserialize, Serialize};

/// At which end of its prior a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    Lower,
    Upper,
}

/// Errors at the best point, which is row 0 of the [`Fit`](super::Fit): from the curvature of log L there, parameters at an end of their prior held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestFit {
    /// One standard deviation for each of all parameters, then of the job's derived quantities (NaN for the model's own): linear
    /// propagation. 0 for what is fixed; NaN at an end of the prior, and where the curvature could not be had.
    pub errors: Vec<f64>,
    /// Of the free parameters, n_free x n_free; NaN at an end of the prior; empty where it could not be had.
    pub covariance: Vec<f64>,
    /// One for each free parameter.
    pub at_bound: Vec<Option<End>>,
    /// Searches that were started, and those that ended at this log L.
    pub starts: usize,
    pub agree: usize,
}

/// Step of the derivatives of physical values by unit coordinates, in standard deviations.
const STEP: f64 = 1e-3;
/// The least step, in spacings of the doubles there.
const GRAIN: f64 = 64.0;

impl BestFit {
    /// `extra`: quantities that the model computed, after the job's derived ones.
    pub fn new(optimum: &Optimum, space: &Space, extra: usize) -> BestFit {
        let n = space.n_free();
        let end = |i: usize| if optimum.u[i] < 0.5 { End::Lower } else { End::Upper };
        let at_bound: Vec<Option<End>> = (0..n).map(|i| optimum.at_bound.contains(&i).then(|| end(i))).collect();
        let inside: Vec<usize> = (0..n).filter(|i| at_bound[*i].is_none()).collect();
        let (starts, agree) = (optimum.starts, optimum.agree);
        let n_columns = space.names().len() + space.derived_names().len();
        if optimum.covariance.is_empty() {
            return BestFit { errors: vec![f64::NAN; n_columns + extra], covariance: vec![], at_bound, starts, agree };
        }
        let slopes: Vec<Vec<f64>> = inside.iter().map(|i| slopes(optimum, space, *i)).collect();
        let of = |a: usize, b: usize| -> f64 {
            let term = |j: usize, k: usize| slopes[j][a] * optimum.covariance[inside[j] * n + inside[k]] * slopes[k][b];
            (0..inside.len()).flat_map(|j| (0..inside.len()).map(move |k| (j, k))).map(|(j, k)| term(j, k)).sum()
        };
        let mut errors: Vec<f64> = (0..n_columns).map(|c| of(c, c).sqrt()).collect();
        let free = space.free();
        (0..n).filter(|i| at_bound[*i].is_some()).for_each(|i| errors[free[i]] = f64::NAN);
        errors.extend(vec![f64::NAN; extra]);
        let known = |i: usize, j: usize| at_bound[i].is_none() && at_bound[j].is_none();
        let covariance = (0..n * n).map(|k| if known(k / n, k % n) { of(free[k / n], free[k % n]) } else { f64::NAN }).collect();
        BestFit { errors, covariance, at_bound, starts, agree }
    }

    /// In plain words: which parameters are at an end of their prior.
    pub fn warnings(&self, space: &Space, theta: &[f64]) -> Vec<String> {
        let named = self.at_bound.iter().zip(space.free()).filter_map(|(end, k)| Some(((*end)?, *k)));
        let text = |(end, k): (End, usize)| {
            let (name, value, side) = (&space.names()[k], theta[k], if end == End::Lower { "lower" } else { "upper" });
            format!("`{name}` = {value:.6} is at the {side} end of its prior and has no error: widen the prior if that end is not meant")
        };
        named.map(text).collect()
    }
}

/// d (parameters, then derived quantities) / d u_i: the parameter's own is exact, the others are differences per step of the parameter
/// as it came out, so that its rounding (a large value with a small error) is no error of theirs.
fn slopes(optimum: &Optimum, space: &Space, i: usize) -> Vec<f64> {
    let (n, own) = (space.names().len(), space.free()[i]);
    let at = |x: f64| {
        let mut u = optimum.u.clone();
        u[i] = x;
        let (mut theta, mut derived) = (vec![0.0; n], vec![0.0; space.derived_names().len()]);
        space.quantiles(&u, &mut theta);
        space.derived(&theta, &mut derived);
        [theta, derived].concat()
    };
    let x = at(optimum.u[i])[own];
    let by_u = space.priors().nth(i).map_or(f64::NAN, |prior| 1.0 / libm::exp(prior.ln_density(x)));
    let h = (STEP * optimum.covariance[i * space.n_free() + i].sqrt()).max(GRAIN * f64::EPSILON * x.abs() / by_u);
    let (low, high) = (at((optimum.u[i] - h).max(0.0)), at((optimum.u[i] + h).min(1.0)));
    let moved = high[own] - low[own];
    (0..high.len()).map(|k| if k == own { by_u } else { (high[k] - low[k]) / moved * by_u }).collect()
}
