//! Time series: autoregression, a sinusoid of unknown frequency, trend and season, sums of exponentials, a phase.

use super::linear::Linear;
use super::quadrature::{Axis, Grid};
use super::regressions::unknown_noise;
use super::{Entry, MODES, Marginal, Problem, half_normal, log_normal, log_prior, normal, normals, uniform, uniforms};
use std::f64::consts::TAU;

pub fn list() -> Vec<Entry> {
    vec![
        Entry::new("autoregression-3", autoregression),
        Entry::new("sinusoid-4", sinusoid),
        Entry::new("trend-season-7", |fine| unknown_noise(&season(), half_normal(1.0), fine)),
        Entry::new("exponentials-4", exponentials),
        Entry::new("phase-2", phase),
    ]
}

/// x_t = m + phi (x_(t-1) - m) + s e, from its stationary law; phi near 1.
fn autoregression(fine: f64) -> Problem {
    let e = normals(41, 60);
    let mut x = vec![2.0 + e[0] * 0.5 / (1.0f64 - 0.81).sqrt()];
    for e in &e[1..] {
        x.push(2.0 + 0.9 * (x[x.len() - 1] - 2.0) + 0.5 * e);
    }
    let log_like = move |p: &[f64]| -> f64 {
        let (m, phi, s) = (p[0], p[1], p[2]);
        let first = (x[0] - m).powi(2) * (1.0 - phi * phi);
        let rest: f64 = x.windows(2).map(|x| (x[1] - m - phi * (x[0] - m)).powi(2)).sum();
        -0.5 * (first + rest) / (s * s) + 0.5 * (1.0 - phi * phi).ln() - 60.0 * (s.ln() + 0.5 * TAU.ln())
    };
    let priors = vec![normal(0.0, 5.0), uniform(-1.0, 1.0), half_normal(2.0)];
    let problem = Problem::new(priors, log_like);
    let axes = [Axis::plain(-15.0, 19.0, 90.0 * fine), Axis::plain(0.0, 1.0, 130.0 * fine), Axis::log(0.2, 1.5, 50.0 * fine)];
    let grid = Grid::around(&axes, &|x| (problem.log_like)(x) + log_prior(&problem.priors, x));
    problem.by_grid(&grid, &[(0, 0), (1, 1), (2, 2)])
}

/// An offset, two amplitudes and a frequency, seen at 12 uneven times: aliases.
fn sinusoid(fine: f64) -> Problem {
    let (t, e) = (uniforms(42, 12), normals(43, 12));
    let t: Vec<f64> = t.iter().map(|t| 10.0 * t).collect();
    let y: Vec<f64> = t.iter().zip(&e).map(|(t, e)| 0.3 + 1.2 * (TAU * 1.3 * t).sin() + 0.6 * e).collect();
    let rows = |f: f64, t: &[f64]| -> Vec<Vec<f64>> { t.iter().map(|t| vec![1.0, (TAU * f * t).cos(), (TAU * f * t).sin()]).collect() };
    let prior = vec![(0.0, 1.0); 3];
    let given = |f: f64| Linear::new(&rows(f, &t), &y, prior.clone()).given(0.6);
    let grid = Grid::over(&[Axis::plain(0.1, 3.0, 3000.0 * fine)], &|f| given(f[0]).log_z - 2.9f64.ln());
    let parts: Vec<(f64, f64, f64)> = grid.points().map(|(f, w)| (w, given(f[0]).of(2))).map(|(w, g)| (w, g.0, g.1)).collect();
    let (t, y) = (t.clone(), y.clone());
    let log_like = move |x: &[f64]| -> f64 {
        let one = |(t, y): (&f64, &f64)| {
            let (sin, cos) = (TAU * x[3] * t).sin_cos();
            -0.5 * ((y - x[0] - x[1] * cos - x[2] * sin) / 0.6).powi(2)
        };
        t.iter().zip(&y).map(one).sum::<f64>() - 12.0 * (0.6f64.ln() + 0.5 * TAU.ln())
    };
    Problem::new(vec![normal(0.0, 1.0), normal(0.0, 1.0), normal(0.0, 1.0), uniform(0.1, 3.0)], log_like)
        .by_grid(&grid, &[(0, 3)])
        .with(Marginal::mixture(2, &parts))
        .not_for(MODES)
}

/// Level, slope, curvature and a season of two harmonics (one of them by its sine alone).
fn season() -> Linear {
    let e = normals(44, 48);
    let rows: Vec<Vec<f64>> = (0..48)
        .map(|i| {
            let (t, w) = (i as f64 / 12.0, TAU * i as f64 / 12.0);
            vec![1.0, t, t * t, w.cos(), w.sin(), (2.0 * w).sin()]
        })
        .collect();
    let truth = [5.0, 1.0, -0.2, 0.8, -0.3, 0.1];
    let y: Vec<f64> = rows.iter().zip(&e).map(|(r, e)| r.iter().zip(truth).map(|(r, b)| r * b).sum::<f64>() + 0.3 * e).collect();
    Linear::new(&rows, &y, vec![(0.0, 10.0), (0.0, 3.0), (0.0, 3.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0)])
}

/// a exp(-k t) + b exp(-l t) with priors of k and l that overlap: a long bent ridge.
fn exponentials(fine: f64) -> Problem {
    let e = normals(45, 24);
    let t: Vec<f64> = (0..24).map(|i| 0.25 * i as f64).collect();
    let y: Vec<f64> = t.iter().zip(&e).map(|(t, e)| 2.0 * (-0.4 * t).exp() + 1.0 * (-1.5 * t).exp() + 0.03 * e).collect();
    let priors = vec![normal(1.0, 2.0), normal(1.0, 2.0), log_normal(0.5, 0.7), log_normal(2.0, 0.7)];
    let given = |k: f64, l: f64| {
        let rows: Vec<Vec<f64>> = t.iter().map(|t| vec![(-k * t).exp(), (-l * t).exp()]).collect();
        Linear::new(&rows, &y, vec![(1.0, 2.0); 2]).given(0.03)
    };
    let (k, l) = (priors[2].clone(), priors[3].clone());
    // On the rates' logarithms two peaks: the faster one is either.
    let axes = [Axis::log(0.05, 20.0, 300.0 * fine), Axis::log(0.05, 20.0, 300.0 * fine)];
    let grid = Grid::over(&axes, &|x| given(x[0], x[1]).log_z + k.ln_density(x[0]) + l.ln_density(x[1]));
    let parts: Vec<(f64, f64, f64)> =
        grid.points().filter(|(_, w)| *w > 1e-12).map(|(x, w)| (w, given(x[0], x[1]).of(0))).map(|(w, g)| (w, g.0, g.1)).collect();
    let (t, y) = (t.clone(), y.clone());
    let log_like = move |x: &[f64]| -> f64 {
        let one = |(t, y): (&f64, &f64)| -0.5 * ((y - x[0] * (-x[2] * t).exp() - x[1] * (-x[3] * t).exp()) / 0.03).powi(2);
        t.iter().zip(&y).map(one).sum::<f64>() - 24.0 * (0.03f64.ln() + 0.5 * TAU.ln())
    };
    Problem::new(priors, log_like).by_grid(&grid, &[(0, 2), (1, 3)]).with(Marginal::mixture(0, &parts)).not_for(MODES)
}

/// Amplitude and phase of a weak signal of known period; the phase is a circle, and its peak lies across the ends.
fn phase(fine: f64) -> Problem {
    let e = normals(46, 20);
    let data: Vec<(f64, f64)> = (0..20).map(|i| 0.7 * i as f64).zip(&e).map(|(t, e)| (t, 0.7 * (t + 0.1).cos() + e)).collect();
    let log_like = move |x: &[f64]| -> f64 { data.iter().map(|(t, y)| -0.5 * (y - x[0] * (t + x[1]).cos()).powi(2)).sum() };
    let mut problem = Problem::new(vec![half_normal(1.0), uniform(0.0, TAU)], log_like);
    problem.periodic = vec![1];
    let axes = [Axis::plain(0.0, 5.0, 400.0 * fine), Axis::plain(0.0, TAU, 300.0 * fine)];
    let grid = Grid::over(&axes, &|x| (problem.log_like)(x) + log_prior(&problem.priors, x));
    problem.by_grid(&grid, &[(0, 0)]).not_for(&["ensemble"])
}
