//! Several modes: of unequal mass, of unequal width, and the components of a fitted mixture.

use super::quadrature::{Axis, Grid, mixture_tails, moments};
use super::{Entry, MODES, Marginal, Problem, log_prior, normal, normals, uniform, uniforms};
use fitjob::stats::log_sum;

pub fn list() -> Vec<Entry> {
    vec![
        // (share, centre, sd) of Gaussians in a cube of [-10, 10].
        Entry::new("two-modes-2", |_| modes(2, &[(0.85, -4.0, 0.5), (0.15, 4.0, 0.5)])),
        Entry::new("two-modes-8", |_| modes(8, &[(0.7, -3.0, 0.4), (0.3, 3.0, 0.4)])),
        // A hundredth of the volume of the wide one: with an sd of .05 no live point would ever see it.
        Entry::new("narrow-and-wide-5", |_| modes(5, &[(0.4, -5.0, 0.4), (0.6, 3.0, 1.0)])),
        Entry::new("five-modes-4", |_| {
            modes(4, &[(0.3, -8.0, 0.3), (0.1, -4.0, 0.5), (0.25, 0.0, 0.2), (0.2, 4.0, 0.4), (0.15, 8.0, 0.3)])
        }),
        Entry::new("mixture-fit-3", |fine| components(fine, (1.0, 1.0))),
        Entry::new("mixture-fit-unequal-3", |fine| components(fine, (0.3, 3.0))),
    ]
}

/// Gaussians on the diagonal, every second coordinate of the other sign.
fn modes(d: usize, parts: &'static [(f64, f64, f64)]) -> Problem {
    let centre = |j: usize, c: f64| if j.is_multiple_of(2) { c } else { -0.7 * c };
    let log_like = move |x: &[f64]| -> f64 {
        let each = parts.iter().map(|(share, c, sd)| {
            let chi2: f64 = x.iter().enumerate().map(|(j, x)| ((x - centre(j, *c)) / sd).powi(2)).sum();
            share.ln() - 0.5 * chi2 - d as f64 * (sd.ln() + 0.5 * std::f64::consts::TAU.ln())
        });
        log_sum(each.collect::<Vec<_>>())
    };
    Problem::new(vec![uniform(-10.0, 10.0); d], log_like)
        .with_log_z(-(d as f64) * 20f64.ln())
        .with(Marginal::new("x0".into(), |x| x[0], moments(parts.iter().copied()), mixture_tails(parts)))
        .not_for(MODES)
}

/// Share and centres of two normals of sd 1, from 40 data; sds of the priors of the centres: equal ones make two equal modes.
fn components(fine: f64, (first, second): (f64, f64)) -> Problem {
    let (which, e) = (uniforms(51, 40), normals(52, 40));
    let y: Vec<f64> = which.iter().zip(e).map(|(u, e)| e + if *u < 0.3 { -1.5 } else { 1.5 }).collect();
    let log_like = move |x: &[f64]| -> f64 {
        let one = |y: &f64| {
            let (a, b) = ((-0.5 * (y - x[1]).powi(2)).exp(), (-0.5 * (y - x[2]).powi(2)).exp());
            (x[0] * a + (1.0 - x[0]) * b).max(1e-300).ln()
        };
        y.iter().map(one).sum::<f64>() - 20.0 * std::f64::consts::TAU.ln()
    };
    let problem = Problem::new(vec![uniform(0.0, 1.0), normal(0.0, 2.0 * first), normal(0.0, 2.0 * second)], log_like);
    let n = 64.0 * fine;
    let axes = [Axis::plain(0.0, 1.0, n), Axis::plain(-7.0, 7.0, 1.5 * n), Axis::plain(-7.0, 7.0, 1.5 * n)];
    let grid = Grid::over(&axes, &|x| (problem.log_like)(x) + log_prior(&problem.priors, x));
    problem.by_grid(&grid, &[(0, 0), (1, 1)]).not_for(MODES)
}
