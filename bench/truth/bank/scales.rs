//! Gaussians of 20 and 30 dimensions whose scales differ by decades, along the axes and turned.

use super::{Entry, Marginal, Problem, normals, uniform};
use nalgebra::DMatrix;
use std::f64::consts::TAU;

pub fn list() -> Vec<Entry> {
    vec![
        Entry::new("gauss-10", |_| gauss(10, 0.0, Some(61))),
        Entry::new("scales-20", |_| gauss(20, 2.0, Some(62))),
        Entry::new("scales-20-straight", |_| gauss(20, 4.0, None)),
        Entry::new("scales-30", |_| gauss(30, 3.0, Some(63))),
    ]
}

/// In a box of [-1, 1], about .1 in every coordinate; sds from .1 down by so many decades, along axes turned at random.
fn gauss(d: usize, decades: f64, turned: Option<u64>) -> Problem {
    let sd: Vec<f64> = (0..d).map(|i| 0.1 * libm::pow(10.0, -decades * i as f64 / (d - 1) as f64)).collect();
    let basis = match turned {
        Some(seed) => DMatrix::from_vec(d, d, normals(seed, d * d)).qr().q(),
        None => DMatrix::identity(d, d),
    };
    let variance = |j: usize| (0..d).map(|i| (basis[(j, i)] * sd[i]).powi(2)).sum::<f64>();
    let wide = variance(0).sqrt();
    let narrow = variance(d - 1).sqrt();
    // Rows: directions over their sds.
    let rows: Vec<f64> = (0..d * d).map(|at| basis[(at % d, at / d)] / sd[at / d]).collect();
    let slopes = rows.clone();
    let project = move |rows: &[f64], x: &[f64]| -> Vec<f64> {
        rows.chunks_exact(d).map(|row| row.iter().zip(x).map(|(r, x)| r * (x - 0.1)).sum()).collect()
    };
    let constant: f64 = sd.iter().map(|s| s.ln() + 0.5 * TAU.ln()).sum();
    Problem::new(vec![uniform(-1.0, 1.0); d], move |x| -0.5 * project(&rows, x).iter().map(|z| z * z).sum::<f64>() - constant)
        .with_gradient(move |x| {
            let z = project(&slopes, x);
            (0..d).map(|j| -(0..d).map(|i| z[i] * slopes[i * d + j]).sum::<f64>()).collect()
        })
        .with_log_z(-(d as f64) * 2f64.ln())
        .with(Marginal::normal(0, 0.1, wide))
        .with(Marginal::normal(d - 1, 0.1, narrow))
}
