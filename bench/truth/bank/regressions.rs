//! Regressions of 3 to 26 parameters: evidence in closed form given the noise, the noise by quadrature.

use super::linear::Linear;
use super::quadrature::{Axis, Grid};
use super::{Entry, Marginal, Problem, half_cauchy, half_normal, log_prior, normal, normals, uniform, uniforms};
use fitjob::prior::Prior;

pub fn list() -> Vec<Entry> {
    vec![
        Entry::new("line-3", |fine| unknown_noise(&line(), half_cauchy(1.0), fine)),
        Entry::new("line-far-prior-2", |_| known_noise(&far_line(), 0.5)),
        Entry::new("polynomial-8", |fine| unknown_noise(&polynomial(), half_normal(2.0), fine)),
        Entry::new("collinear-6", |_| known_noise(&collinear(), 0.5)),
        Entry::new("regression-12", |_| known_noise(&random(12, 40, 31), 1.0)),
        Entry::new("regression-13", |fine| unknown_noise(&random(12, 30, 32), half_cauchy(3.0), fine)),
        Entry::new("regression-26", |_| known_noise(&random(26, 60, 33), 1.0)),
        Entry::new("regression-21-few-data", |fine| unknown_noise(&random(20, 24, 34), half_normal(3.0), fine)),
        Entry::new("robust-line-3", robust),
    ]
}

fn line() -> Linear {
    let noise = normals(21, 20);
    let rows: Vec<Vec<f64>> = (0..20).map(|i| vec![1.0, i as f64]).collect();
    let y: Vec<f64> = rows.iter().zip(&noise).map(|(r, e)| 3.0 + 0.5 * r[1] + 0.8 * e).collect();
    Linear::new(&rows, &y, vec![(0.0, 10.0), (0.0, 2.0)])
}

/// Priors five and more sd away from the data.
fn far_line() -> Linear {
    let noise = normals(22, 15);
    let rows: Vec<Vec<f64>> = (0..15).map(|i| vec![1.0, i as f64 / 5.0]).collect();
    let y: Vec<f64> = rows.iter().zip(&noise).map(|(r, e)| 9.0 - 3.0 * r[1] + 0.5 * e).collect();
    Linear::new(&rows, &y, vec![(0.0, 1.0), (0.0, 0.5)])
}

/// Powers of t up to the sixth, not centred: coefficients hang together.
fn polynomial() -> Linear {
    let noise = normals(23, 40);
    let rows: Vec<Vec<f64>> = (0..40).map(|i| (0..7).map(|k| (i as f64 / 20.0).powi(k)).collect()).collect();
    let truth = [1.0, -2.0, 0.5, 1.5, -0.7, 0.2, 0.1];
    let y: Vec<f64> = rows.iter().zip(&noise).map(|(r, e)| r.iter().zip(truth).map(|(r, b)| r * b).sum::<f64>() + 0.4 * e).collect();
    Linear::new(&rows, &y, vec![(0.0, 5.0); 7])
}

/// Six regressors that are one another within 3%.
fn collinear() -> Linear {
    let (common, own, noise) = (normals(24, 50), normals(25, 300), normals(26, 50));
    let rows: Vec<Vec<f64>> = (0..50).map(|i| (0..6).map(|k| common[i] + 0.03 * own[6 * i + k]).collect()).collect();
    let y: Vec<f64> = (0..50).map(|i| rows[i][0] + rows[i][3] - rows[i][5] + 0.5 * noise[i]).collect();
    Linear::new(&rows, &y, vec![(0.0, 3.0); 6])
}

/// An intercept and regressors of scales 0.1 to 10, neighbours correlated.
fn random(p: usize, n: usize, seed: u64) -> Linear {
    let (x, noise, b) = (normals(seed, n * p), normals(seed + 100, n), normals(seed + 200, p));
    let scale = |k: usize| libm::pow(10.0, -1.0 + 2.0 * k as f64 / (p - 1) as f64);
    let rows: Vec<Vec<f64>> =
        (0..n).map(|i| (0..p).map(|k| if k == 0 { 1.0 } else { scale(k) * (x[i * p + k] + 0.9 * x[i * p + k - 1]) }).collect()).collect();
    let y: Vec<f64> = (0..n).map(|i| (0..p).map(|k| rows[i][k] * b[k]).sum::<f64>() + noise[i]).collect();
    Linear::new(&rows, &y, vec![(0.0, 2.0); p])
}

fn known_noise(linear: &Linear, sigma: f64) -> Problem {
    let given = linear.given(sigma);
    let (like, slope) = (linear.clone(), linear.clone());
    let problem = Problem::new(linear.priors(), move |b| like.log_like(b, sigma))
        .with_gradient(move |b| slope.pull(b).into_iter().map(|s| s / (sigma * sigma)).collect())
        .with_log_z(given.log_z);
    let p = linear.prior.len();
    [0, p / 2, p - 1].into_iter().fold(problem, |problem, i| problem.with(Marginal::normal(i, given.of(i).0, given.of(i).1)))
}

/// The last parameter is the noise.
pub fn unknown_noise(linear: &Linear, noise: Prior, fine: f64) -> Problem {
    let p = linear.prior.len();
    let grid = Grid::around(&[Axis::log_of(&noise, 300.0 * fine)], &|s| linear.given(s[0]).log_z + noise.ln_density(s[0]));
    let parts: Vec<(f64, super::linear::Given)> = grid.points().map(|(s, w)| (w, linear.given(s[0]))).collect();
    let (like, slope) = (linear.clone(), linear.clone());
    let mut priors = linear.priors();
    priors.push(noise);
    let problem = Problem::new(priors, move |x| like.log_like(&x[..p], x[p])).with_gradient(move |x| {
        let (b, s) = (&x[..p], x[p]);
        let mut by: Vec<f64> = slope.pull(b).into_iter().map(|f| f / (s * s)).collect();
        by.push((slope.chi2(b) / (s * s) - slope.n) / s);
        by
    });
    let coefficient = |i: usize| {
        let parts: Vec<(f64, f64, f64)> = parts.iter().map(|(w, g)| (*w, g.of(i).0, g.of(i).1)).collect();
        Marginal::mixture(i, &parts)
    };
    problem.by_grid(&grid, &[(0, p)]).with(coefficient(0)).with(coefficient(p - 1))
}

/// A line with Student's noise of three degrees of freedom, and three outliers.
fn robust(fine: f64) -> Problem {
    let (t, e) = (uniforms(27, 30), normals(28, 30));
    let data: Vec<(f64, f64)> =
        (0..30).map(|i| (10.0 * t[i], 1.0 + 2.0 * t[i] * 10.0 + 0.5 * e[i] + if i % 10 == 3 { 8.0 } else { 0.0 })).collect();
    let constant = libm::lgamma(2.0) - libm::lgamma(1.5) - 0.5 * (3.0 * std::f64::consts::PI).ln();
    let log_like = move |x: &[f64]| -> f64 {
        let one = |(t, y): &(f64, f64)| -2.0 * (((y - x[0] - x[1] * t) / x[2]).powi(2) / 3.0).ln_1p();
        data.iter().map(one).sum::<f64>() + 30.0 * (constant - x[2].ln())
    };
    let priors = vec![normal(0.0, 10.0), uniform(-10.0, 10.0), half_cauchy(1.0)];
    let problem = Problem::new(priors, log_like);
    let n = 50.0 * fine;
    let axes = [Axis::plain(-3.0, 5.0, n), Axis::plain(1.0, 3.0, n), Axis::log(0.05, 10.0, n)];
    let grid = Grid::around(&axes, &|x| (problem.log_like)(x) + log_prior(&problem.priors, x));
    problem.by_grid(&grid, &[(0, 0), (1, 1), (2, 2)])
}
