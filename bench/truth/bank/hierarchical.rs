//! Groups that share a law: in the values themselves (centred: funnels) and in their scores; rates of a beta law; a horseshoe.

use super::linear::{Given, Linear};
use super::quadrature::{Axis, Grid, mixture_tails, moments};
use super::{Entry, Marginal, Problem, half_cauchy, half_normal, ln_normal, log_uniform, normal, normals, uniform};
use std::f64::consts::TAU;

pub fn list() -> Vec<Entry> {
    vec![
        Entry::new("eight-schools-10", |fine| schools(fine, false)),
        Entry::new("eight-schools-centred-10", |fine| schools(fine, true)),
        Entry::new("groups-16", |fine| groups(fine, false)),
        Entry::new("groups-centred-16", |fine| groups(fine, true)),
        Entry::new("rates-10", rates),
        Entry::new("horseshoe-10", horseshoe),
    ]
}

/// Rubin (1981).
const EFFECTS: [(f64, f64); 8] =
    [(28.0, 15.0), (8.0, 10.0), (-3.0, 16.0), (7.0, 11.0), (-1.0, 9.0), (1.0, 11.0), (18.0, 10.0), (12.0, 18.0)];
/// Half the width of the box of effects where these are parameters themselves.
const BOX: f64 = 200.0;

/// Eight effects (or scores), their mean, and their scatter tau.
fn schools(fine: f64, centred: bool) -> Problem {
    let tau_prior = half_cauchy(5.0);
    // Given tau: the effects' mean is normal, and so is each effect.
    let given = |tau: f64| {
        let variances = EFFECTS.map(|(_, s)| s * s + tau * tau);
        let precision = 1.0 / 25.0 + variances.iter().map(|v| 1.0 / v).sum::<f64>();
        let pull: f64 = EFFECTS.iter().zip(variances).map(|((y, _), v)| y / v).sum();
        let log_z: f64 = EFFECTS.iter().zip(variances).map(|((y, _), v)| ln_normal(*y, 0.0, v.sqrt())).sum();
        (log_z - 5f64.ln() - 0.5 * precision.ln() + 0.5 * pull * pull / precision, pull / precision, 1.0 / precision)
    };
    let grid = Grid::around(&[Axis::log_of(&tau_prior, 500.0 * fine)], &|t| given(t[0]).0 + tau_prior.ln_density(t[0]));
    let mean: Vec<(f64, f64, f64)> = grid.points().map(|(t, w)| (w, given(t[0]))).map(|(w, g)| (w, g.1, g.2.sqrt())).collect();
    let first = |(t, w): (Vec<f64>, f64)| {
        let ((_, m, v), (y, s)) = (given(t[0]), EFFECTS[0]);
        let keep = s * s / (s * s + t[0] * t[0]);
        (w, keep * m + (1.0 - keep) * y, (s * s * (1.0 - keep) + keep * keep * v).sqrt())
    };
    let first: Vec<(f64, f64, f64)> = grid.points().map(first).collect();
    let data = |effect: &dyn Fn(usize) -> f64| (0..8).map(|j| ln_normal(EFFECTS[j].0, effect(j), EFFECTS[j].1)).sum::<f64>();
    let log_like = move |x: &[f64]| -> f64 {
        if centred { data(&|j| x[j]) + (0..8).map(|j| ln_normal(x[j], x[8], x[9])).sum::<f64>() } else { data(&|j| x[8] + x[9] * x[j]) }
    };
    let gradient = move |x: &[f64]| -> Vec<f64> {
        let mut by = vec![0.0; 10];
        for (j, (y, s)) in EFFECTS.iter().enumerate() {
            if centred {
                let q = (x[j] - x[8]) / x[9];
                by[j] = (y - x[j]) / (s * s) - q / x[9];
                by[8] += q / x[9];
                by[9] += (q * q - 1.0) / x[9];
            } else {
                let pull = (y - x[8] - x[9] * x[j]) / (s * s);
                by[j] = pull * x[9];
                by[8] += pull;
                by[9] += pull * x[j];
            }
        }
        by
    };
    let mut priors = vec![if centred { uniform(-BOX, BOX) } else { normal(0.0, 1.0) }; 8];
    priors.extend([normal(0.0, 5.0), tau_prior.clone()]);
    let effect = move |x: &[f64]| if centred { x[0] } else { x[8] + x[9] * x[0] };
    let mut problem = Problem::new(priors, log_like)
        .with_gradient(gradient)
        .by_grid(&grid, &[(0, 9)])
        .with(Marginal::mixture(8, &mean))
        .with(Marginal::new("effect 0".into(), effect, moments(first.iter().copied()), mixture_tails(&first)));
    if centred {
        problem.log_z -= 8.0 * (2.0 * BOX).ln();
    }
    problem
}

const GROUPS: usize = 12;

/// Twelve groups of three to seven data: levels (or their scores), common level and slope, scatter of levels, noise.
fn groups(fine: f64, centred: bool) -> Problem {
    let (u, x, e) = (normals(71, GROUPS), normals(72, 60), normals(73, 60));
    let mut rows = Vec::new();
    let mut y = Vec::new();
    for (j, level) in u.iter().enumerate() {
        for _ in 0..3 + j % 5 {
            let i = rows.len();
            let mut row = vec![0.0; GROUPS + 2];
            (row[j], row[GROUPS], row[GROUPS + 1]) = (1.0, 1.0, x[i]);
            rows.push(row);
            y.push(0.4 * level + 2.0 - 1.0 * x[i] + 0.8 * e[i]);
        }
    }
    let with_scatter = |tau: f64| [vec![(0.0, tau); GROUPS], vec![(0.0, 10.0), (0.0, 5.0)]].concat();
    let linear = Linear::new(&rows, &y, with_scatter(1.0));
    let given = |t: &[f64]| -> Given { Linear { prior: with_scatter(t[0]), ..linear.clone() }.given(t[1]) };
    let (scatter, noise) = (half_normal(2.0), half_normal(2.0));
    let axes = [Axis::log(1e-9, 12.0, 160.0 * fine), Axis::log(0.2, 4.0, 50.0 * fine)];
    let grid = Grid::around(&axes, &|t| given(t).log_z + scatter.ln_density(t[0]) + noise.ln_density(t[1]));
    let part = |i: usize| -> Vec<(f64, f64, f64)> {
        grid.points().filter(|(_, w)| *w > 1e-12).map(|(t, w)| (w, given(&t).of(i))).map(|(w, g)| (w, g.0, g.1)).collect()
    };
    let (level, slope) = (part(0), part(GROUPS + 1));
    let like = linear.clone();
    let log_like = move |x: &[f64]| -> f64 {
        let (tau, sigma) = (x[GROUPS + 2], x[GROUPS + 3]);
        let mut b = x[..GROUPS + 2].to_vec();
        if centred {
            like.log_like(&b, sigma) + b[..GROUPS].iter().map(|u| ln_normal(*u, 0.0, tau)).sum::<f64>()
        } else {
            b[..GROUPS].iter_mut().for_each(|u| *u *= tau);
            like.log_like(&b, sigma)
        }
    };
    let gradient = move |x: &[f64]| -> Vec<f64> {
        let (tau, sigma) = (x[GROUPS + 2], x[GROUPS + 3]);
        let mut b = x[..GROUPS + 2].to_vec();
        if !centred {
            b[..GROUPS].iter_mut().for_each(|u| *u *= tau);
        }
        let mut by: Vec<f64> = linear.pull(&b).into_iter().map(|f| f / (sigma * sigma)).collect();
        let by_tau = if centred {
            (0..GROUPS).for_each(|j| by[j] -= x[j] / (tau * tau));
            x[..GROUPS].iter().map(|u| (u * u / (tau * tau) - 1.0) / tau).sum()
        } else {
            let slope: f64 = (0..GROUPS).map(|j| by[j] * x[j]).sum();
            by[..GROUPS].iter_mut().for_each(|f| *f *= tau);
            slope
        };
        by.extend([by_tau, (linear.chi2(&b) / (sigma * sigma) - linear.n) / sigma]);
        by
    };
    let mut priors = vec![if centred { uniform(-20.0, 20.0) } else { normal(0.0, 1.0) }; GROUPS];
    priors.extend([normal(0.0, 10.0), normal(0.0, 5.0), scatter.clone(), noise.clone()]);
    let first = move |x: &[f64]| if centred { x[0] } else { x[0] * x[GROUPS + 2] };
    let mut problem = Problem::new(priors, log_like)
        .with_gradient(gradient)
        .by_grid(&grid, &[(0, GROUPS + 2), (1, GROUPS + 3)])
        .with(Marginal::mixture(GROUPS + 1, &slope))
        .with(Marginal::new("level 0".into(), first, moments(level.iter().copied()), mixture_tails(&level)));
    if centred {
        problem.log_z -= GROUPS as f64 * 40f64.ln();
    }
    problem
}

/// Successes of eight groups, their rates, and the mean and size of the rates' beta law.
fn rates(fine: f64) -> Problem {
    const HITS: [(f64, f64); 8] = [(3.0, 20.0), (5.0, 25.0), (1.0, 10.0), (9.0, 30.0), (4.0, 40.0), (0.0, 8.0), (7.0, 22.0), (6.0, 35.0)];
    let ln_beta = |a: f64, b: f64| libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let size = log_uniform(1.0, 1000.0);
    let log_like = move |x: &[f64]| -> f64 {
        let (a, b) = (x[8] * x[9], (1.0 - x[8]) * x[9]);
        let one = |((hits, n), p): (&(f64, f64), &f64)| (hits + a - 1.0) * p.ln() + (n - hits + b - 1.0) * (-p).ln_1p();
        HITS.iter().zip(x).map(one).sum::<f64>() - 8.0 * ln_beta(a, b)
    };
    let ln_choices: f64 = HITS.iter().map(|(hits, n)| -ln_beta(hits + 1.0, n - hits + 1.0) - (n + 1.0).ln()).sum();
    let axes = [Axis::plain(0.0, 1.0, 400.0 * fine), Axis::log(1.0, 1000.0, 300.0 * fine)];
    let given = |x: &[f64]| {
        let (a, b) = (x[0] * x[1], (1.0 - x[0]) * x[1]);
        HITS.iter().map(|(hits, n)| ln_beta(hits + a, n - hits + b) - ln_beta(a, b)).sum::<f64>()
    };
    let grid = Grid::over(&axes, &|x| given(x) + ln_choices + size.ln_density(x[1]));
    let mut priors = vec![uniform(0.0, 1.0); 9];
    priors.push(size.clone());
    Problem::new(priors, move |x| log_like(x) + ln_choices).by_grid(&grid, &[(0, 8), (1, 9)])
}

/// Five effects with half-Cauchy scales of their own, three of them small: pairs (score, scale), noise 1, common scale .3.
fn horseshoe(fine: f64) -> Problem {
    const Y: [f64; 5] = [0.1, -0.4, 1.0, 5.0, -8.0];
    const COMMON: f64 = 0.3;
    let scale = half_cauchy(1.0);
    let lines: Vec<Grid> = Y
        .iter()
        .map(|y| {
            let like = |l: f64| ln_normal(*y, 0.0, (1.0 + (COMMON * l).powi(2)).sqrt());
            Grid::over(&[Axis::log(1e-12, 1e12, 2000.0 * fine)], &|l| like(l[0]) + scale.ln_density(l[0]))
        })
        .collect();
    let mut problem = Problem::new([vec![normal(0.0, 1.0); 5], vec![scale.clone(); 5]].concat(), |x| {
        (0..5).map(|j| -0.5 * (Y[j] - COMMON * x[5 + j] * x[j]).powi(2) - 0.5 * TAU.ln()).sum()
    })
    .with_log_z(lines.iter().map(|g| g.log_z).sum());
    for j in [0, 3, 4] {
        let part = |(l, w): (Vec<f64>, f64)| {
            let kept = 1.0 - 1.0 / (1.0 + (COMMON * l[0]).powi(2));
            (w, kept * Y[j], kept.sqrt().max(1e-12))
        };
        let parts: Vec<(f64, f64, f64)> = lines[j].points().map(part).collect();
        let of = move |x: &[f64]| COMMON * x[5 + j] * x[j];
        problem = problem.with(Marginal::new(format!("effect {j}"), of, moments(parts.iter().copied()), mixture_tails(&parts)));
        problem = problem.with(Marginal::of_grid(5 + j, &lines[j], 0)).without_moments(&format!("x{}", 5 + j));
    }
    problem
}
