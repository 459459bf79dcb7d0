//! Curved and heavy-tailed posteriors: bananas, hybrid Rosenbrock, funnels, a shell, products of heavy tails.

use super::quadrature::{Axis, Grid};
use super::{Entry, Marginal, Problem, half_cauchy, ln_normal, uniform};
use fitjob::stats::special::normal_tails;
use std::f64::consts::PI;

pub fn list() -> Vec<Entry> {
    vec![
        Entry::new("banana-2", banana),
        Entry::new("hybrid-rosenbrock-9", rosenbrock),
        Entry::new("funnel-10", |fine| funnel(fine, 10, 3.0)),
        Entry::new("funnel-mild-5", |fine| funnel(fine, 5, 1.2)),
        Entry::new("shell-5", shell),
        Entry::new("heavy-tails-5", heavy),
    ]
}

/// A standard normal as parts of mass: (weight, value).
fn parts_of_normal(n: usize) -> impl Iterator<Item = (f64, f64)> + Clone {
    let step = 17.0 / n as f64;
    (0..n).map(move |i| -8.5 + step * (i as f64 + 0.5)).map(move |z| (step * ln_normal(z, 0.0, 1.0).exp(), z))
}

/// x standard normal, y within .1 of its square.
fn banana(fine: f64) -> Problem {
    let parts: Vec<(f64, f64, f64)> = parts_of_normal((1000.0 * fine) as usize).map(|(w, z)| (w, z * z, 0.1)).collect();
    Problem::new(vec![uniform(-10.0, 10.0), uniform(-5.0, 110.0)], |x| ln_normal(x[0], 0.0, 1.0) + ln_normal(x[1], x[0] * x[0], 0.1))
        .with_log_z(-(20.0f64 * 115.0).ln())
        .with(Marginal::normal(0, 0.0, 1.0))
        .with(Marginal::mixture(1, &parts))
}

/// Pagani, Wiegand & Nadarajah (2019): one stem, four branches of two; normalised over all space, of which the box cuts off nothing.
fn rosenbrock(fine: f64) -> Problem {
    const SD: f64 = 0.3;
    let log_like = |x: &[f64]| -> f64 {
        let branch = |b: &[f64]| ln_normal(b[0], x[0] * x[0], SD) + ln_normal(b[1], b[0] * b[0], SD);
        ln_normal(x[0], 1.0, 1.0) + x[1..].chunks_exact(2).map(branch).sum::<f64>()
    };
    let gradient = |x: &[f64]| -> Vec<f64> {
        let (mut by, v) = (vec![1.0 - x[0]], SD * SD);
        for b in x[1..].chunks_exact(2) {
            let (first, second) = ((b[0] - x[0] * x[0]) / v, (b[1] - b[0] * b[0]) / v);
            by[0] += 2.0 * x[0] * first;
            by.extend([2.0 * b[0] * second - first, -second]);
        }
        by
    };
    let n = (400.0 * fine) as usize;
    let first: Vec<(f64, f64, f64)> = parts_of_normal(n).map(|(w, z)| (w, (1.0 + z).powi(2), SD)).collect();
    let second: Vec<(f64, f64, f64)> = first
        .iter()
        .flat_map(|(w, m, _)| parts_of_normal(60).map(move |(v, e)| (w * v, (m + SD * e).powi(2), SD)))
        .filter(|p| p.0 > 1e-14)
        .collect();
    let mut priors = vec![uniform(-9.0, 11.0)];
    (0..4).for_each(|_| priors.extend([uniform(-4.0, 125.0), uniform(-4.0, 15000.0)]));
    Problem::new(priors, log_like)
        .with_gradient(gradient)
        .with_log_z(-20f64.ln() - 4.0 * (129.0f64 * 15004.0).ln())
        .with(Marginal::normal(0, 1.0, 1.0))
        .with(Marginal::mixture(1, &first))
        .with(Marginal::mixture(2, &second))
}

/// Neal (2003): ln of the variance v with this sd, and the others with that variance, in a box that cuts wide ones off.
fn funnel(fine: f64, d: usize, sd: f64) -> Problem {
    const BOX: f64 = 60.0;
    let log_like =
        move |x: &[f64]| -> f64 { ln_normal(x[0], 0.0, sd) + x[1..].iter().map(|y| ln_normal(*y, 0.0, (0.5 * x[0]).exp())).sum::<f64>() };
    let gradient = move |x: &[f64]| -> Vec<f64> {
        let w = (-x[0]).exp();
        let by_v = -x[0] / (sd * sd) + x[1..].iter().map(|y| 0.5 * (y * y * w - 1.0)).sum::<f64>();
        std::iter::once(by_v).chain(x[1..].iter().map(|y| -y * w)).collect()
    };
    let inside = move |v: f64| (-2.0 * normal_tails(BOX * (-0.5 * v).exp()).1).ln_1p();
    let (others, ends) = ((d - 1) as f64, 8.0 * sd);
    let density = |v: &[f64]| ln_normal(v[0], 0.0, sd) + others * (inside(v[0]) - (2.0 * BOX).ln()) - (2.0 * ends).ln();
    let grid = Grid::over(&[Axis::plain(-ends, ends, 1000.0 * fine)], &density);
    let mut priors = vec![uniform(-ends, ends)];
    priors.resize(d, uniform(-BOX, BOX));
    Problem::new(priors, log_like).with_gradient(gradient).by_grid(&grid, &[(0, 0)])
}

/// Within .05 of the surface of a ball of radius 2.
fn shell(fine: f64) -> Problem {
    let radius = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let log_like = move |x: &[f64]| ln_normal(radius(x), 2.0, 0.05);
    // The surface of the unit ball of five dimensions.
    let surface = 2.0 * PI.powf(2.5) / libm::tgamma(2.5);
    let density = |r: &[f64]| ln_normal(r[0], 2.0, 0.05) + 4.0 * r[0].ln() + surface.ln() - 5.0 * 12f64.ln();
    let grid = Grid::over(&[Axis::plain(1.5, 2.5, 500.0 * fine)], &density);
    let line = grid.marginal(0);
    let square: f64 = grid.points().map(|(r, w)| w * r[0] * r[0]).sum();
    let first = Marginal::new("x0".into(), |x| x[0], (0.0, (square / 5.0).sqrt()), [(f64::NAN, f64::NAN); 2]);
    Problem::new(vec![uniform(-6.0, 6.0); 5], log_like)
        .with_log_z(grid.log_z)
        .with(Marginal::new("radius".into(), radius, line.mean_and_sd(), line.tails()))
        .with(first)
}

/// Half-Cauchy priors, each with one datum of Student's law with two degrees of freedom.
fn heavy(fine: f64) -> Problem {
    let data = [0.5, 1.0, 3.0, 10.0, 30.0];
    let ln_student = |z: f64| -1.5 * (0.5 * z * z).ln_1p() - (2.0 * 2f64.sqrt()).ln();
    let scale = half_cauchy(1.0);
    let lines = data.map(|y| Grid::over(&[Axis::log(1e-12, 1e12, 4000.0 * fine)], &|x| ln_student(x[0] - y) + scale.ln_density(x[0])));
    let problem = Problem::new(vec![scale.clone(); 5], move |x| x.iter().zip(data).map(|(x, y)| ln_student(x - y)).sum())
        .with_log_z(lines.iter().map(|g| g.log_z).sum());
    // The density falls with the fifth power: there is a sd, but its estimates have none.
    let known = |j: usize| Marginal { sd: f64::NAN, ..Marginal::of_grid(j, &lines[j], 0) };
    [0, 2, 4].into_iter().fold(problem, |problem, j| problem.with(known(j)))
}
