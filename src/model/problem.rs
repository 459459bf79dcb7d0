//! Test problems with known evidence: the likelihoods that samplers are measured on.
//!
//! Priors are uniform on a box; log Z is the log of the mean likelihood over it. Likelihoods are normalised
//! as stated at each. Sources: nautilus's tutorial and paper (Lange 2023), Beaujean & Caldwell 2013,
//! Neal 2003 (funnel), Feroz et al. 2009 (shells, egg box), Skilling 2006 (spike and slab), Rosenbrock 1960.

mod slopes;

use self::slopes::Slope;
use super::{Density, Model, ModelError, ProblemSpec, positions};
use crate::expr::{exp, nearest};
use crate::task::EvalError;
use libm::{cos, log as ln};
use std::f64::consts::PI;

const LN_2PI: f64 = 1.8378770664093453;

/// One test problem.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    pub name: &'static str,
    /// Number of parameters x1, x2, ...
    pub dim: usize,
    /// Each parameter's box.
    pub low: f64,
    pub high: f64,
    log_like: fn(&[f64]) -> f64,
    /// Its gradient, where it has a simple one.
    slope: Option<Slope>,
    /// Natural log of the evidence, from closed forms or quadrature (good to 1e-9 at least; eggbox5 and
    /// the Rosenbrocks to 1e-6).
    log_z: f64,
}

const fn problem(name: &'static str, dim: usize, low: f64, high: f64, log_like: fn(&[f64]) -> f64, log_z: f64) -> Problem {
    Problem { name, dim, low, high, log_like, slope: None, log_z }
}

/// All of them.
pub const PROBLEMS: [Problem; 15] = [
    problem("gauss3tut", 3, 0.0, 1.0, gauss_tutorial, -4.150941399278).with(slopes::gauss_tutorial),
    problem("gauss10c", 10, -10.0, 10.0, gauss_correlated, -29.957322735540).with(slopes::gauss_correlated),
    problem("eggbox2", 2, 0.0, 10.0 * PI, egg_box, 235.855940332254),
    problem("eggbox5", 5, 0.0, 10.0 * PI, egg_box, 226.190568904480),
    problem("rosen2", 2, -5.0, 5.0, rosenbrock, -5.804132363794).with(slopes::rosenbrock),
    problem("rosen5", 5, -5.0, 5.0, rosenbrock, -19.732428735056).with(slopes::rosenbrock),
    problem("loggamma10", 10, 0.0, 1.0, log_gamma, -0.000022708982),
    problem("shells2", 2, -6.0, 6.0, shells, -1.745641872047),
    problem("shells10", 10, -6.0, 6.0, shells, -14.590491074385),
    problem("shells20", 20, -6.0, 6.0, shells, -36.086547640810),
    problem("funnel10", 10, 0.0, 1.0, funnel, -0.050113500304).with(slopes::funnel),
    problem("gauss20", 20, -10.0, 10.0, gauss_unit, -59.914645471080).with(slopes::gauss_unit),
    problem("gauss50", 50, -10.0, 10.0, gauss_unit, -149.786613677700).with(slopes::gauss_unit),
    problem("spike10", 10, -0.5, 0.5, spike_and_slab, 4.615120460079),
    problem("spike20", 20, -0.5, 0.5, spike_and_slab, 4.615120403316),
];

impl Problem {
    const fn with(self, slope: Slope) -> Problem {
        Problem { slope: Some(slope), ..self }
    }

    /// The problem of this name.
    pub fn named(name: &str) -> Option<&'static Problem> {
        PROBLEMS.iter().find(|p| p.name == name)
    }

    /// The point of the box at `u` of the unit cube.
    pub fn at(&self, u: &[f64]) -> Vec<f64> {
        u.iter().map(|u| self.low + (self.high - self.low) * u).collect()
    }

    /// Natural log of the likelihood at `x` (`dim` values).
    pub fn log_like(&self, x: &[f64]) -> f64 {
        (self.log_like)(x)
    }

    /// d log L / dx at `x`, where it has a simple form.
    pub fn gradient(&self, x: &[f64]) -> Option<Vec<f64>> {
        let mut slope = vec![0.0; self.dim];
        self.slope?(x, &mut slope);
        Some(slope)
    }

    /// The true log evidence under the uniform prior on the box.
    pub fn log_z_true(&self) -> f64 {
        self.log_z
    }
}

pub(super) fn build(spec: &ProblemSpec) -> Result<Box<dyn Model>, ModelError> {
    let names = PROBLEMS.iter().map(|p| p.name);
    let problem = Problem::named(&spec.name).ok_or_else(|| {
        let hint = nearest(&spec.name, names.clone()).map(|near| format!("did you mean \"{near}\"? "));
        let help = format!("{}known: {}", hint.unwrap_or_default(), names.collect::<Vec<_>>().join(", "));
        ModelError::new(&["name"], format!("unknown problem \"{}\"", spec.name)).help(help)
    })?;
    Ok(Box::new(problem))
}

impl Model for &'static Problem {
    fn parameters(&self) -> Vec<String> {
        (1..=self.dim).map(|i| format!("x{i}")).collect()
    }

    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        Ok(Box::new(Bound {
            problem: self,
            places: positions(&self.parameters(), names)?,
            x: vec![0.0; self.dim],
            by_x: vec![0.0; self.dim],
        }))
    }

    fn default_box(&self) -> Option<Vec<(String, f64, f64)>> {
        Some(self.parameters().into_iter().map(|name| (name, self.low, self.high)).collect())
    }

    fn has_gradient(&self) -> bool {
        self.slope.is_some()
    }

    fn fingerprint(&self) -> Vec<u8> {
        format!("problem {}", self.name).into_bytes()
    }
}

struct Bound {
    problem: &'static Problem,
    /// Where in theta each parameter stands.
    places: Vec<usize>,
    x: Vec<f64>,
    by_x: Vec<f64>,
}

impl Density for Bound {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        for (x, &place) in self.x.iter_mut().zip(&self.places) {
            *x = theta[place];
        }
        Ok(self.problem.log_like(&self.x))
    }

    fn log_like_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        let slope = self.problem.slope?;
        let log_like = self.log_like(theta);
        slope(&self.x, &mut self.by_x);
        gradient.fill(0.0);
        self.places.iter().zip(&self.by_x).for_each(|(&place, slope)| gradient[place] = *slope);
        Some(log_like)
    }
}

fn sum_squares(x: &[f64], centre: f64) -> f64 {
    x.iter().map(|v| (v - centre) * (v - centre)).sum()
}

fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    high + libm::log1p(exp(low - high))
}

/// Log density of the normal distribution.
fn ln_normal(x: f64, mean: f64, sd: f64) -> f64 {
    let z = (x - mean) / sd;
    -0.5 * z * z - 0.5 * LN_2PI - ln(sd)
}

/// Gaussian of sd 0.1 about 0.5, peak value 1 (not normalised).
fn gauss_tutorial(x: &[f64]) -> f64 {
    -sum_squares(x, 0.5) / 0.02
}

/// Unit Gaussian.
fn gauss_unit(x: &[f64]) -> f64 {
    -0.5 * sum_squares(x, 0.0) - 0.5 * x.len() as f64 * LN_2PI
}

/// Gaussian with unit variances and all correlations 0.95, normalised: C = (1 - r) I + r 1 1' has
/// the inverse (I - r / (1 + (d-1) r) 1 1') / (1 - r) and the determinant (1 - r)^(d-1) (1 + (d-1) r).
fn gauss_correlated(x: &[f64]) -> f64 {
    const R: f64 = 0.95;
    let others = x.len() as f64 - 1.0;
    let sum: f64 = x.iter().sum();
    let quadratic = (sum_squares(x, 0.0) - R / (1.0 + others * R) * sum * sum) / (1.0 - R);
    let log_det = others * ln(1.0 - R) + ln(1.0 + others * R);
    -0.5 * (quadratic + log_det + x.len() as f64 * LN_2PI)
}

/// (2 + prod cos(x_i / 2))^5
fn egg_box(x: &[f64]) -> f64 {
    let base = 2.0 + x.iter().map(|v| cos(v / 2.0)).product::<f64>();
    let square = base * base;
    square * square * base
}

/// -sum 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2
fn rosenbrock(x: &[f64]) -> f64 {
    let term = |p: &[f64]| {
        let (bend, along) = (p[1] - p[0] * p[0], 1.0 - p[0]);
        100.0 * bend * bend + along * along
    };
    -x.windows(2).map(term).sum::<f64>()
}

/// Beaujean & Caldwell 2013: log-gamma and normal factors of scale 1/30, four modes of equal mass.
fn log_gamma(x: &[f64]) -> f64 {
    const S: f64 = 1.0 / 30.0;
    const NEAR: f64 = 1.0 / 3.0;
    const FAR: f64 = 2.0 / 3.0;
    let gamma = |v: f64, at: f64| {
        let y = (v - at) / S;
        y - exp(y) - ln(S)
    };
    let two = log_add(gamma(x[0], NEAR), gamma(x[0], FAR)) + log_add(ln_normal(x[1], NEAR, S), ln_normal(x[1], FAR, S)) - 2.0 * ln(2.0);
    // dimensions counted from 1: log-gamma up to (d + 2) / 2, normal beyond
    let rest = x.iter().enumerate().skip(2).map(|(i, &v)| if 2 * (i + 1) <= x.len() + 2 { gamma(v, FAR) } else { ln_normal(v, FAR, S) });
    two + rest.sum::<f64>()
}

/// Two Gaussian shells of radius 2 and width 0.1 about (-3.5, 0, ...) and (3.5, 0, ...).
fn shells(x: &[f64]) -> f64 {
    let rest = sum_squares(&x[1..], 0.0);
    let shell = |centre: f64| ln_normal(((x[0] - centre) * (x[0] - centre) + rest).sqrt(), 2.0, 0.1);
    log_add(shell(-3.5), shell(3.5))
}

/// Neal's funnel in the unit cube: x1 ~ N(0.5, 0.1), the others N(0.5, exp(20 (x1 - 0.5)) / 100).
fn funnel(x: &[f64]) -> f64 {
    let log_sd = 20.0 * (x[0] - 0.5) - ln(100.0);
    let others = x.len() as f64 - 1.0;
    ln_normal(x[0], 0.5, 0.1) - 0.5 * sum_squares(&x[1..], 0.5) * exp(-2.0 * log_sd) - others * (log_sd + 0.5 * LN_2PI)
}

/// 100 x a Gaussian of sd 0.01 about 0.031 plus one of sd 0.1 about 0: the spike holds 100/101 of the mass.
fn spike_and_slab(x: &[f64]) -> f64 {
    let d = x.len() as f64;
    let gauss = |centre: f64, sd: f64| -0.5 * sum_squares(x, centre) / (sd * sd) - d * (ln(sd) + 0.5 * LN_2PI);
    log_add(ln(100.0) + gauss(0.031, 0.01), gauss(0.0, 0.1))
}
