//! Counts and classes: logistic and Poisson regression, overdispersed counts, a signal above a background.

use super::quadrature::{Axis, Grid};
use super::{Entry, Problem, half_cauchy, log_prior, normal, normals, uniform, uniforms};
use fitjob::prior::Prior;

pub fn list() -> Vec<Entry> {
    vec![
        Entry::new("logistic-3", logistic),
        Entry::new("separated-2", separated),
        Entry::new("poisson-3", poisson),
        Entry::new("overdispersed-3", overdispersed),
        Entry::new("signal-background-2", signal),
    ]
}

fn solved(priors: Vec<Prior>, log_like: impl Fn(&[f64]) -> f64 + Send + Sync + 'static, axes: &[Axis]) -> Problem {
    let problem = Problem::new(priors, log_like);
    let grid = Grid::around(axes, &|x| (problem.log_like)(x) + log_prior(&problem.priors, x));
    let all: Vec<(usize, usize)> = (0..axes.len()).map(|k| (k, k)).collect();
    problem.by_grid(&grid, &all)
}

/// ln of the probability of yes (or no).
fn ln_logistic(x: f64, yes: bool) -> f64 {
    let x = if yes { -x } else { x };
    -(if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() })
}

/// An intercept and two slopes from forty answers.
fn logistic(fine: f64) -> Problem {
    let (x, u) = (normals(111, 80), uniforms(112, 40));
    let data: Vec<(f64, f64, bool)> =
        (0..40).map(|i| (x[2 * i], x[2 * i + 1], u[i].ln() < ln_logistic(-0.5 + 1.5 * x[2 * i] - 1.0 * x[2 * i + 1], true))).collect();
    let log_like = move |b: &[f64]| -> f64 { data.iter().map(|(x, z, yes)| ln_logistic(b[0] + b[1] * x + b[2] * z, *yes)).sum() };
    let axes = vec![Axis::plain(-15.0, 15.0, 60.0 * fine); 3];
    solved(vec![normal(0.0, 2.5); 3], log_like, &axes)
}

/// Answers that a threshold separates without exception: the likelihood has no highest point, and the prior decides.
fn separated(fine: f64) -> Problem {
    let data: Vec<(f64, bool)> = (0..12).map(|i| 0.3 * i as f64 - 1.5).map(|x| (x, x > 0.2)).collect();
    let log_like = move |b: &[f64]| -> f64 { data.iter().map(|(x, yes)| ln_logistic(b[0] + b[1] * x, *yes)).sum() };
    let axes = [Axis::plain(-70.0, 70.0, 300.0 * fine), Axis::plain(-70.0, 70.0, 300.0 * fine)];
    solved(vec![normal(0.0, 10.0); 2], log_like, &axes)
}

/// A draw of a Poisson law from one uniform number.
fn poisson_draw(rate: f64, u: f64) -> f64 {
    let (mut k, mut p, mut below) = (0.0, (-rate).exp(), (-rate).exp());
    while below < u && k < 1e4 {
        k += 1.0;
        p *= rate / k;
        below += p;
    }
    k
}

/// Counts whose logarithm of the rate is a parabola.
fn poisson(fine: f64) -> Problem {
    let u = uniforms(113, 25);
    let data: Vec<(f64, f64)> =
        (0..25).map(|i| i as f64 / 6.0 - 2.0).zip(u).map(|(x, u)| (x, poisson_draw((1.0 + 0.6 * x - 0.3 * x * x).exp(), u))).collect();
    let log_like = move |b: &[f64]| -> f64 {
        let one = |(x, k): &(f64, f64)| {
            let eta = b[0] + b[1] * x + b[2] * x * x;
            k * eta - eta.exp() - libm::lgamma(k + 1.0)
        };
        data.iter().map(one).sum()
    };
    let axes = vec![Axis::plain(-10.0, 10.0, 60.0 * fine); 3];
    solved(vec![normal(0.0, 3.0); 3], log_like, &axes)
}

/// Negative binomial counts: level, slope, and a size that the data hardly bound from above.
fn overdispersed(fine: f64) -> Problem {
    let u = uniforms(114, 60);
    let data: Vec<(f64, f64)> = (0..30)
        .map(|i| {
            let x = i as f64 / 15.0 - 1.0;
            // Rates scattered by a factor.
            (x, poisson_draw((1.5 + 0.8 * x).exp() * (0.3 + 1.4 * u[2 * i]), u[2 * i + 1]))
        })
        .collect();
    let log_like = move |b: &[f64]| -> f64 {
        let size = b[2];
        let one = |(x, k): &(f64, f64)| {
            let mean = (b[0] + b[1] * x).exp();
            // k ln(mean / (size + mean)) + size ln(size / (size + mean)), without cancellation for a large size.
            let of_counts = if *k == 0.0 { 0.0 } else { -k * (size / mean).ln_1p() };
            libm::lgamma(k + size) - libm::lgamma(size) - libm::lgamma(k + 1.0) - size * (mean / size).ln_1p() + of_counts
        };
        data.iter().map(one).sum()
    };
    let n = 60.0 * fine;
    let axes = [Axis::plain(-10.0, 10.0, n), Axis::plain(-10.0, 10.0, n), Axis::log(1e-2, 1e7, 2.0 * n)];
    solved(vec![normal(0.0, 3.0), normal(0.0, 3.0), half_cauchy(5.0)], log_like, &axes).without_moments("x2")
}

/// Four counts where the background, known from a region ten times as large, brings three: an upper limit.
fn signal(fine: f64) -> Problem {
    let ln_poisson = |k: f64, rate: f64| k * rate.ln() - rate - libm::lgamma(k + 1.0);
    let log_like = move |x: &[f64]| -> f64 { ln_poisson(4.0, x[0] + x[1]) + ln_poisson(30.0, 10.0 * x[1]) };
    let axes = [Axis::plain(0.0, 60.0, 500.0 * fine), Axis::plain(0.0, 20.0, 300.0 * fine)];
    solved(vec![uniform(0.0, 1000.0), uniform(0.0, 1000.0)], log_like, &axes)
}
