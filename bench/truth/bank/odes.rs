//! Solutions of differential equations that are known in closed form: drugs with heavy-tailed priors, growth, a chain of reactions.

use super::quadrature::{Axis, Grid};
use super::{Entry, MODES, Problem, half_cauchy, half_normal, ln_normal, log_normal, log_prior, normals};
use fitjob::prior::Prior;

pub fn list() -> Vec<Entry> {
    vec![
        Entry::new("drug-swallowed-3", swallowed),
        Entry::new("drug-injected-3", injected),
        Entry::new("growth-3", growth),
        Entry::new("reactions-3", reactions),
    ]
}

/// (exp(-a t) - exp(-b t)) / (b - a), also where a = b.
fn between(a: f64, b: f64, t: f64) -> f64 {
    let (a, b) = (a.min(b), a.max(b));
    let x = (b - a) * t;
    if x == 0.0 { t * (-a * t).exp() } else { (-a * t).exp() * t * -(-x).exp_m1() / x }
}

fn solved(priors: Vec<Prior>, log_like: impl Fn(&[f64]) -> f64 + Send + Sync + 'static, axes: &[Axis]) -> Problem {
    let problem = Problem::new(priors, log_like);
    let grid = Grid::around(axes, &|x| (problem.log_like)(x) + log_prior(&problem.priors, x));
    problem.by_grid(&grid, &[(0, 0), (1, 1), (2, 2)])
}

/// One compartment with absorption: rates in and out, and volume; half-Cauchy priors, errors of 15%. Rates may change places (with another volume).
fn swallowed(fine: f64) -> Problem {
    let e = normals(81, 8);
    let level = |t: f64, x: &[f64]| 100.0 * x[0] / x[2] * between(x[1], x[0], t);
    let times = [0.5, 1.0, 1.5, 2.5, 4.0, 7.0, 12.0, 20.0];
    let data: Vec<(f64, f64)> = times.iter().zip(e).map(|(t, e)| (*t, level(*t, &[0.9, 0.15, 20.0]).ln() + 0.15 * e)).collect();
    let log_like = move |x: &[f64]| -> f64 { data.iter().map(|(t, y)| ln_normal(*y, level(*t, x).max(1e-300).ln(), 0.15)).sum() };
    let priors = vec![half_cauchy(1.0), half_cauchy(0.5), half_cauchy(20.0)];
    let n = 90.0 * fine;
    solved(priors, log_like, &[Axis::log(1e-3, 1e3, 1.5 * n), Axis::log(1e-3, 1e3, 1.5 * n), Axis::log(1e-2, 1e4, n)]).not_for(MODES)
}

/// A single decay from five data, of errors unknown: volume, rate, and sd of the logarithm, all half-Cauchy.
fn injected(fine: f64) -> Problem {
    let e = normals(82, 5);
    let times = [1.0, 3.0, 5.0, 8.0, 12.0];
    let data: Vec<(f64, f64)> = times.iter().zip(e).map(|(t, e)| (*t, (100.0f64 / 12.0).ln() - 0.3 * t + 0.25 * e)).collect();
    let log_like = move |x: &[f64]| -> f64 { data.iter().map(|(t, y)| ln_normal(*y, 100f64.ln() - x[0].ln() - x[1] * t, x[2])).sum() };
    let n = 160.0 * fine;
    let axes = [Axis::log(1e-4, 1e6, n), Axis::log(1e-6, 1e3, 2.0 * n), Axis::log(1e-2, 1e4, n)];
    solved(vec![half_cauchy(10.0), half_cauchy(0.5), half_cauchy(0.5)], log_like, &axes)
}

/// Logistic growth that has not yet come to its end: capacity, rate, start.
fn growth(fine: f64) -> Problem {
    let e = normals(83, 12);
    let size = |t: f64, x: &[f64]| x[0] / (1.0 + (x[0] / x[2] - 1.0) * (-x[1] * t).exp());
    let data: Vec<(f64, f64)> = (0..12).map(|i| i as f64).zip(e).map(|(t, e)| (t, size(t, &[60.0, 0.5, 2.0]) + 2.0 * e)).collect();
    let log_like = move |x: &[f64]| -> f64 { data.iter().map(|(t, y)| ln_normal(*y, size(*t, x), 2.0)).sum() };
    let priors = vec![log_normal(100.0, 1.5), log_normal(0.5, 1.0), log_normal(2.0, 1.0)];
    let n = 90.0 * fine;
    solved(priors, log_like, &[Axis::log(5.0, 1e6, 2.0 * n), Axis::log(0.01, 10.0, n), Axis::log(0.01, 100.0, n)])
}

/// A to B to C with B measured: two rates, half-Cauchy, and the noise.
fn reactions(fine: f64) -> Problem {
    let e = normals(84, 16);
    let middle = |t: f64, x: &[f64]| x[0] * between(x[0], x[1], t);
    let data: Vec<(f64, f64)> = (0..16).map(|i| 0.5 * i as f64).zip(e).map(|(t, e)| (t, middle(t, &[0.8, 0.5]) + 0.05 * e)).collect();
    let log_like = move |x: &[f64]| -> f64 { data.iter().map(|(t, y)| ln_normal(*y, middle(*t, x), x[2])).sum() };
    let n = 120.0 * fine;
    let axes = [Axis::log(1e-3, 1e3, n), Axis::log(1e-3, 1e3, n), Axis::log(1e-3, 10.0, n)];
    // The rates may change places where the noise is larger: a second mode, of little mass.
    solved(vec![half_cauchy(1.0), half_cauchy(1.0), half_normal(1.0)], log_like, &axes).not_for(MODES)
}
