//! Mass at faces, edges and corners of the unit cube: upper limits, and priors far from the data.
//!
//! `KIND-SIDE,D,K,SCALE`: K of D parameters have their mass at a wall, within SCALE of it; the others are Gaussians inside. Kinds: `slope` exp(-t / s), t the
//! distance from the wall; `cut` a Gaussian whose top is three sd beyond it; `tilt` the same with a pair of parameters of the inside leaning on the
//! first; `tension` a standard normal prior with a datum at 10 (SCALE is its error). Walls are the lower, the upper or by turns.

use super::quadrature::{Axis, Grid};
use super::{Entry, Marginal, Problem, normal, normals, uniform};
use fitjob::stats::special::normal_quantile;
use std::f64::consts::TAU;

pub fn list() -> Vec<Entry> {
    let walls = [
        "slope-low,1,1,1e-12",
        "slope-up,2,2,1e-8",
        "slope-turns,3,3,1e-1",
        "slope-low,4,4,1e-2",
        "cut-low,4,4,1e-2",
        "slope-up,5,3,1e-4",
        "tilt-low,6,2,1e-3",
        "cut-turns,8,8,1e-6",
        "slope-low,12,12,1e-1",
        "slope-turns,12,12,1e-12",
        "cut-low,12,1,1e-5",
        "tension-up,2,2,1",
        "tension-turns,4,4,1",
    ];
    let mut list: Vec<Entry> = walls.iter().filter_map(|name| wall(name)).collect();
    list.push(Entry::new("lines-three", lines));
    list
}

/// Centre and sd of parameters inside.
const INSIDE: (f64, f64) = (0.4, 0.05);

/// The problem of this name; none where it is not of the family.
pub fn wall(name: &str) -> Option<Entry> {
    let mut words = name.split(',');
    let (shape, side) = words.next()?.split_once('-')?;
    let (d, k, scale): (usize, usize, f64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let up = match side {
        "low" => [false, false],
        "up" => [true, true],
        "turns" => [false, true],
        _ => return None,
    };
    let shape = shape.to_string();
    match shape.as_str() {
        "tension" => Some(Entry::new(name, move |_| tension(d, up, scale))),
        "slope" | "cut" | "tilt" => Some(Entry::new(name, move |_| at_walls(&shape, d, k, up, scale))),
        _ => None,
    }
}

fn at_walls(shape: &str, d: usize, k: usize, up: [bool; 2], s: f64) -> Problem {
    let inside = (INSIDE.1 * TAU.sqrt()).ln();
    let slope = shape == "slope";
    // A Gaussian above three sd: phi(3) / Phi(-3), and Phi(-3).
    let (hazard, tail) = (4.431848411938008e-3 / 1.3498980316300945e-3, 1.3498980316300945e-3);
    let (log_z, mean, sd, cuts) = if slope {
        // Exponential, cut at 1.
        let all = -(-1.0 / s).exp_m1();
        let cut = |p: f64| -s * (-p * all).ln_1p();
        let spread = (s * s - 0.25 / (0.5 / s).sinh().powi(2)).sqrt();
        ((s * all).ln(), s - 1.0 / (1.0 / s).exp_m1(), spread, [cut(0.01), cut(0.99)])
    } else {
        let cut = |p: f64| s * (-normal_quantile((1.0 - p) * tail, 1.0 - (1.0 - p) * tail) - 3.0);
        ((s * TAU.sqrt() * tail).ln(), s * (hazard - 3.0), s * (1.0 + 3.0 * hazard - hazard * hazard).sqrt(), [cut(0.01), cut(0.99)])
    };
    let lean = if shape == "tilt" { 0.5 / s * INSIDE.1 } else { 0.0 };
    let log_like = move |u: &[f64]| -> f64 {
        let at = |j: usize| if up[j % 2] { 1.0 - u[j] } else { u[j] };
        let one = |t: f64| if slope { -t / s } else { -0.5 * (t / s + 3.0).powi(2) };
        let walls: f64 = (0..k).map(|j| one(at(j))).sum();
        let push = lean * at(0);
        walls + u[k..].iter().map(|u| -0.5 * ((u - INSIDE.0 - push) / INSIDE.1).powi(2)).sum::<f64>()
    };
    let first = up[0];
    let distance = move |x: &[f64]| if first { 1.0 - x[0] } else { x[0] };
    let last = up[(k - 1) % 2];
    let other = move |x: &[f64]| if last { 1.0 - x[k - 1] } else { x[k - 1] };
    let tails = [(cuts[0], 0.01), (cuts[1], 0.01)];
    let problem = Problem::new(vec![uniform(0.0, 1.0); d], log_like)
        .with_log_z(k as f64 * log_z + (d - k) as f64 * inside)
        .with(Marginal::new("distance of x0".into(), distance, (mean, sd), tails));
    if k == 1 { problem } else { problem.with(Marginal::new(format!("distance of x{}", k - 1), other, (mean, sd), tails)) }
}

fn tension(d: usize, up: [bool; 2], s: f64) -> Problem {
    let datum = move |j: usize| if up[j % 2] { 10.0 } else { -10.0 };
    let s2 = s * s;
    let log_like = move |x: &[f64]| -> f64 { x.iter().enumerate().map(|(j, x)| -0.5 * ((datum(j) - x) / s).powi(2)).sum() };
    Problem::new(vec![normal(0.0, 1.0); d], log_like)
        .with_gradient(move |x| x.iter().enumerate().map(|(j, x)| (datum(j) - x) / s2).collect())
        .with_log_z(d as f64 * (-50.0 / (1.0 + s2) + 0.5 * (s2 / (1.0 + s2)).ln()))
        .with(Marginal::normal(0, datum(0) / (1.0 + s2), (s2 / (1.0 + s2)).sqrt()))
        .with(Marginal::normal(d - 1, datum(d - 1) / (1.0 + s2), (s2 / (1.0 + s2)).sqrt()))
}

/// Three overlapping lines of a spectrum, two of which are not there: amplitudes from 0 to 1000, 0.1 known.
fn lines(fine: f64) -> Problem {
    let noise = normals(11, 40);
    let row = |t: f64| [9.0, 11.0, 14.0].map(|c: f64| (-0.5 * ((t - c) / 1.5).powi(2)).exp());
    let data: Vec<([f64; 3], f64)> = (0..40).map(|i| (row(0.5 * i as f64), 0.9 * row(0.5 * i as f64)[1] + 0.1 * noise[i])).collect();
    let log_like = move |x: &[f64]| -> f64 {
        data.iter().map(|(row, y)| -50.0 * (y - row[0] * x[0] - row[1] * x[1] - row[2] * x[2]).powi(2)).sum::<f64>()
    };
    let problem = Problem::new(vec![uniform(0.0, 1000.0); 3], log_like);
    let axes = vec![Axis::plain(0.0, 1.0, 90.0 * fine), Axis::plain(0.0, 2.0, 90.0 * fine), Axis::plain(0.0, 1.0, 90.0 * fine)];
    let grid = Grid::around(&axes, &|x| (problem.log_like)(x) - 3.0 * 1000f64.ln());
    problem.by_grid(&grid, &[(0, 0), (1, 1), (2, 2)])
}
