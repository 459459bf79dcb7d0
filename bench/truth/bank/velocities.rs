//! Radial velocities: one planet on a circle, two on circles, one on an ellipse.

use super::linear::Linear;
use super::quadrature::{Axis, Grid};
use super::{Entry, MODES, Marginal, Problem, half_normal, log_uniform, normal, normals, prior, uniform, uniforms};
use fitjob::prior::{Law, Prior};
use std::f64::consts::TAU;

pub fn list() -> Vec<Entry> {
    vec![
        Entry::new("planet-circle-5", |fine| circles(fine, 91, 18, &[(2.0, 40.0, 6.3)], 6000.0)),
        Entry::new("planets-circles-8", |fine| circles(fine, 92, 35, &[(9.0, 11.0, 10.1), (27.0, 33.0, 29.5)], 50.0)),
        Entry::new("planet-ellipse-8", |_| ellipse()),
    ]
}

/// Standard error of each velocity.
const ERROR: f64 = 3.0;

/// Planets with periods from, to and in truth; each has the amplitudes of cosine and sine, then come the level, the periods, and a jitter.
fn circles(fine: f64, seed: u64, n: usize, planets: &'static [(f64, f64, f64)], points: f64) -> Problem {
    let (t, e) = (uniforms(seed, n), normals(seed, n));
    let t: Vec<f64> = t.iter().map(|t| 150.0 * t).collect();
    let row = |t: f64, periods: &[f64]| -> Vec<f64> {
        let waves = periods.iter().flat_map(|p| [(TAU * t / p).cos(), (TAU * t / p).sin()]);
        waves.chain([1.0]).collect()
    };
    let truth: Vec<f64> = planets.iter().map(|p| p.2).collect();
    let signal = |t: f64| row(t, &truth).iter().enumerate().map(|(k, x)| x * [8.0, -5.0, 3.0, 6.0, 4.0][k]).sum::<f64>();
    let y: Vec<f64> = t.iter().zip(&e).map(|(t, e)| signal(*t) + 3.6 * e).collect();
    let k = planets.len();
    let linear_prior = [vec![(0.0, 15.0); 2 * k], vec![(0.0, 30.0)]].concat();
    let given = |periods: &[f64], jitter: f64| {
        let rows: Vec<Vec<f64>> = t.iter().map(|t| row(*t, periods)).collect();
        Linear::new(&rows, &y, linear_prior.clone()).given(ERROR.hypot(jitter))
    };
    let periods: Vec<Prior> = planets.iter().map(|p| log_uniform(p.0, p.1)).collect();
    let jitter = half_normal(5.0);
    let mut axes: Vec<Axis> = planets.iter().map(|p| Axis::log(p.0, p.1, points * fine)).collect();
    axes.push(Axis::plain(0.0, 25.0, 40.0 * fine));
    let density = |x: &[f64]| {
        let log_prior: f64 = periods.iter().zip(x).map(|(p, x)| p.ln_density(*x)).sum();
        given(&x[..k], x[k]).log_z + log_prior + jitter.ln_density(x[k])
    };
    // A wide range of periods has aliases everywhere; narrow ones have one peak.
    let grid = if k == 1 { Grid::over(&axes, &density) } else { Grid::around(&axes, &density) };
    let parts: Vec<(f64, f64, f64)> =
        grid.points().filter(|(_, w)| *w > 1e-10).map(|(x, w)| (w, given(&x[..k], x[k]).of(0))).map(|(w, g)| (w, g.0, g.1)).collect();
    let mut priors: Vec<Prior> = linear_prior.iter().map(|(mean, sd)| normal(*mean, *sd)).collect();
    priors.extend(periods.clone());
    priors.push(jitter.clone());
    let at = 2 * k + 1;
    let log_like = move |x: &[f64]| -> f64 {
        let v = ERROR * ERROR + x[at + k] * x[at + k];
        let one = |(t, y): (&f64, &f64)| {
            let mut model = x[2 * k];
            for (p, period) in x[at..at + k].iter().enumerate() {
                let (sin, cos) = (TAU * t / period).sin_cos();
                model += x[2 * p] * cos + x[2 * p + 1] * sin;
            }
            (y - model).powi(2)
        };
        -0.5 * t.iter().zip(&y).map(one).sum::<f64>() / v - 0.5 * t.len() as f64 * (TAU * v).ln()
    };
    let axes: Vec<(usize, usize)> = (0..=k).map(|i| (i, at + i)).collect();
    Problem::new(priors, log_like).by_grid(&grid, &axes).with(Marginal::mixture(0, &parts)).not_for(MODES)
}

/// Forty-five velocities of two instruments: period, amplitude, eccentricity, two angles, two levels, jitter. log Z is that of the main peak, by
/// importance sampling with 40 000 draws of a Student's t about it (2026-11-27); no other peak comes near.
fn ellipse() -> Problem {
    let data: Vec<[f64; 4]> = include_str!("rv_planet.csv")
        .lines()
        .skip(1)
        .map(|line| {
            let mut words = line.split(',').map(|word| word.parse().expect("a number"));
            [(); 4].map(|()| words.next().expect("four columns"))
        })
        .collect();
    let log_like = move |x: &[f64]| -> f64 {
        let [period, amplitude, e, omega, start] = [x[0], x[1], x[2], x[3], x[4]];
        let one = |[t, v, error, instrument]: &[f64; 4]| {
            let anomaly = kepler((TAU * t / period + start).rem_euclid(TAU), e);
            let (sin, cos) = (0.5 * anomaly).sin_cos();
            let true_anomaly = 2.0 * ((1.0 + e).sqrt() * sin).atan2((1.0 - e).sqrt() * cos);
            let level = if *instrument == 0.0 { x[5] } else { x[6] };
            let variance = error * error + x[7] * x[7];
            let model = amplitude * ((true_anomaly + omega).cos() + e * omega.cos()) + level;
            -0.5 * ((v - model).powi(2) / variance + (TAU * variance).ln())
        };
        data.iter().map(one).sum()
    };
    let priors = vec![
        log_uniform(1.0, 100.0),
        log_uniform(1.0, 200.0),
        prior(Law::Beta { a: 0.867, b: 3.03 }),
        uniform(0.0, TAU),
        uniform(0.0, TAU),
        uniform(-100.0, 100.0),
        uniform(-100.0, 100.0),
        half_normal(10.0),
    ];
    let mut problem = Problem::new(priors, log_like).with_log_z(-157.544).not_for(MODES);
    (problem.log_z_error, problem.periodic) = (0.004, vec![3, 4]);
    problem
}

/// Eccentric anomaly by Newton's method, from a mean anomaly in [0, 2 pi).
fn kepler(mean: f64, e: f64) -> f64 {
    let mut anomaly = mean + 0.85 * e * (std::f64::consts::PI - mean).signum();
    for _ in 0..30 {
        let (sin, cos) = anomaly.sin_cos();
        let step = (anomaly - e * sin - mean) / (1.0 - e * cos);
        anomaly -= step;
        if step.abs() < 1e-13 {
            break;
        }
    }
    anomaly
}
