//! Gaussian processes: amplitude, length and noise, alone and about a line.

use super::linear::Linear;
use super::quadrature::{Axis, Grid};
use super::{Entry, Marginal, Problem, half_normal, log_normal, log_prior, normal, normals, uniforms};
use nalgebra::{Cholesky, DMatrix, DVector, SymmetricEigen};
use std::cell::RefCell;
use std::f64::consts::TAU;

pub fn list() -> Vec<Entry> {
    vec![Entry::new("process-3", |fine| process(fine, false)), Entry::new("process-line-5", |fine| process(fine, true))]
}

const N: usize = 18;

/// Smooth (squared exponential) with white noise: length, amplitude, noise; and with level and slope.
fn process(fine: f64, line: bool) -> Problem {
    let (t, e) = (uniforms(101, N), normals(102, N));
    let mut t: Vec<f64> = t.iter().map(|t| 10.0 * t).collect();
    t.sort_by(f64::total_cmp);
    let trend = |t: f64| if line { 1.0 + 0.5 * t } else { 0.0 };
    let y: Vec<f64> = t.iter().zip(&e).map(|(t, e)| (1.1 * t).sin() + 0.3 * e + trend(*t)).collect();
    let correlation = |t: &[f64], length: f64| DMatrix::from_fn(N, N, |i, j| (-0.5 * ((t[i] - t[j]) / length).powi(2)).exp());
    let priors = vec![log_normal(1.0, 0.8), half_normal(2.0), half_normal(1.0)];
    let line_prior = if line { vec![(0.0, 5.0), (0.0, 2.0)] } else { Vec::new() };
    let rows = DMatrix::from_fn(N, line_prior.len(), |i, k| if k == 0 { 1.0 } else { t[i] });
    // In the basis of the correlations of one length everything is diagonal.
    struct Turned {
        length: f64,
        values: DVector<f64>,
        y: Vec<f64>,
        rows: Vec<Vec<f64>>,
    }
    let kept: RefCell<Option<Turned>> = RefCell::new(None);
    let given = |x: &[f64]| {
        let mut kept = kept.borrow_mut();
        if kept.as_ref().is_none_or(|k| k.length != x[0]) {
            let eigen = SymmetricEigen::new(correlation(&t, x[0]));
            let turn = eigen.eigenvectors.transpose();
            let turned = &turn * &rows;
            *kept = Some(Turned {
                length: x[0],
                values: eigen.eigenvalues,
                y: (&turn * DVector::from_column_slice(&y)).as_slice().to_vec(),
                rows: (0..N).map(|i| turned.row(i).iter().copied().collect()).collect(),
            });
        }
        let Turned { values, y, rows, .. } = kept.as_ref().expect("just made");
        let variances: Vec<f64> = values.iter().map(|v| x[1] * x[1] * v.max(0.0) + x[2] * x[2]).collect();
        let weights: Vec<f64> = variances.iter().map(|v| 1.0 / v).collect();
        let mut given = Linear::weighted(rows, y, &weights, line_prior.clone()).given(1.0);
        given.log_z -= 0.5 * variances.iter().map(|v| v.ln()).sum::<f64>();
        given
    };
    let n = 60.0 * fine;
    let axes = [Axis::log(1e-3, 1e3, n), Axis::log(1e-4, 12.0, n), Axis::log(1e-4, 6.0, n)];
    let grid = Grid::around(&axes, &|x| given(x).log_z + log_prior(&priors, x));
    let part = |i: usize| -> Vec<(f64, f64, f64)> {
        grid.points().filter(|(_, w)| *w > 1e-9).map(|(x, w)| (w, given(&x).of(i))).map(|(w, g)| (w, g.0, g.1)).collect()
    };
    let slope = line.then(|| part(1));
    let (t, y) = (t.clone(), y.clone());
    let log_like = move |x: &[f64]| -> f64 {
        let mut covariance = correlation(&t, x[0]) * (x[1] * x[1]);
        // What is added is below what the noise's prior holds, and keeps the matrix positive.
        (0..N).for_each(|i| covariance[(i, i)] += x[2] * x[2] + 1e-12 * x[1] * x[1]);
        let Some(cholesky) = Cholesky::new(covariance) else { return f64::NEG_INFINITY };
        let residual = DVector::from_fn(N, |i, _| y[i] - if line { x[3] + x[4] * t[i] } else { 0.0 });
        let lower = cholesky.l_dirty();
        let solved = lower.solve_lower_triangular(&residual).expect("a triangle without zeros");
        -0.5 * solved.norm_squared() - (0..N).map(|i| lower[(i, i)].ln()).sum::<f64>() - 0.5 * N as f64 * TAU.ln()
    };
    let mut all = priors.clone();
    all.extend(line_prior.iter().map(|(mean, sd)| normal(*mean, *sd)));
    let problem = Problem::new(all, log_like).by_grid(&grid, &[(0, 0), (1, 1), (2, 2)]);
    match slope {
        Some(parts) => problem.with(Marginal::mixture(4, &parts)),
        None => problem,
    }
}
