//! Integrals in a few dimensions by the midpoint rule on a grid, and mixtures of normals over it: what truths are made of.

use fitjob::prior::Prior;
use fitjob::stats::log_sum;
use fitjob::stats::special::normal_tails;

/// Points with less than exp(-DEPTH) of the highest density are left out of a grid's range.
const DEPTH: f64 = 25.0;
/// Points an axis while the range is looked for.
const COARSE: [usize; 3] = [400, 48, 24];

/// A coordinate of the integral: t, and the parameter x(t) with ln dx/dt.
#[derive(Clone)]
pub struct Axis {
    low: f64,
    high: f64,
    n: usize,
    log: bool,
}

impl Axis {
    pub fn plain(low: f64, high: f64, n: f64) -> Axis {
        Axis { low, high, n: n as usize, log: false }
    }

    /// t = ln x.
    pub fn log(low: f64, high: f64, n: f64) -> Axis {
        Axis { low: low.ln(), high: high.ln(), n: n as usize, log: true }
    }

    /// t = ln x, between the quantiles 1e-12 and 1 - 1e-12 of a prior.
    pub fn log_of(prior: &Prior, n: f64) -> Axis {
        Axis::log(prior.quantile(1e-12), prior.quantile(1.0 - 1e-12), n)
    }

    fn step(&self) -> f64 {
        (self.high - self.low) / self.n as f64
    }

    fn x(&self, t: f64) -> f64 {
        if self.log { t.exp() } else { t }
    }
}

/// Masses of the cells of a grid, and their sum.
pub struct Grid {
    axes: Vec<Axis>,
    pub log_z: f64,
    /// Of each cell, last axis fastest; sum 1.
    mass: Vec<f64>,
}

impl Grid {
    /// Integral of exp(`log_density`), a density in x, over the axes as they are.
    pub fn over(axes: &[Axis], log_density: &dyn Fn(&[f64]) -> f64) -> Grid {
        let values = evaluate(axes, log_density);
        let log_z = log_sum(&values);
        Grid { axes: axes.to_vec(), log_z, mass: values.iter().map(|v| (v - log_z).exp()).collect() }
    }

    /// The same over the part of the axes that matters, found on coarse grids first: for one connected peak.
    pub fn around(axes: &[Axis], log_density: &dyn Fn(&[f64]) -> f64) -> Grid {
        let mut axes = axes.to_vec();
        for _ in 0..4 {
            let n = COARSE[(axes.len() - 1).min(2)];
            let coarse: Vec<Axis> = axes.iter().map(|a| Axis { n, ..a.clone() }).collect();
            let values = evaluate(&coarse, log_density);
            let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for (k, axis) in axes.iter_mut().enumerate() {
                let stride = n.pow((coarse.len() - 1 - k) as u32);
                let mut best = vec![f64::NEG_INFINITY; n];
                values.iter().enumerate().for_each(|(at, v)| best[at / stride % n] = best[at / stride % n].max(*v));
                let inside = |v: &f64| *v > top - DEPTH;
                let (first, last) = (best.iter().position(inside).unwrap_or(0), best.iter().rposition(inside).unwrap_or(n - 1));
                let (low, step) = (axis.low, coarse[k].step());
                (axis.low, axis.high) = (low + step * first.saturating_sub(1) as f64, low + step * (last + 2).min(n) as f64);
            }
        }
        Grid::over(&axes, log_density)
    }

    /// The points of the grid with their masses.
    pub fn points(&self) -> impl Iterator<Item = (Vec<f64>, f64)> + '_ {
        self.mass.iter().enumerate().map(|(at, mass)| (point(&self.axes, at), *mass))
    }

    /// Centres in x, edges in x (one more) and masses along an axis.
    pub fn marginal(&self, k: usize) -> Line {
        let axis = &self.axes[k];
        let stride: usize = self.axes[k + 1..].iter().map(|a| a.n).product();
        let mut mass = vec![0.0; axis.n];
        self.mass.iter().enumerate().for_each(|(at, m)| mass[at / stride % axis.n] += m);
        let t = |cells: f64| axis.x(axis.low + axis.step() * cells);
        Line { centre: (0..axis.n).map(|i| t(i as f64 + 0.5)).collect(), edge: (0..=axis.n).map(|i| t(i as f64)).collect(), mass }
    }
}

/// A density along one axis.
pub struct Line {
    pub centre: Vec<f64>,
    pub edge: Vec<f64>,
    pub mass: Vec<f64>,
}

impl Line {
    pub fn mean_and_sd(&self) -> (f64, f64) {
        moments(self.mass.iter().zip(&self.centre).map(|(w, x)| (*w, *x, 0.0)))
    }

    /// An edge with about 1% below it, and how much exactly; the same above.
    pub fn tails(&self) -> [(f64, f64); 2] {
        let mut below = 0.0;
        // Midpoint sums to an edge, with the first term of Euler and Maclaurin.
        let cumulative: Vec<f64> = (0..self.mass.len())
            .map(|k| {
                below += self.mass[k];
                below + (self.mass.get(k + 1).unwrap_or(&0.0) - self.mass[k]) / 24.0
            })
            .collect();
        let nearest = |level: f64| {
            let off = |k: &usize| (cumulative[*k] - level).abs();
            (0..cumulative.len()).min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(0)
        };
        let (low, high) = (nearest(0.01), nearest(0.99));
        [(self.edge[low + 1], cumulative[low]), (self.edge[high + 1], 1.0 - cumulative[high])]
    }
}

/// Mean and sd of a mixture of (weight, mean, sd).
pub fn moments(parts: impl Iterator<Item = (f64, f64, f64)> + Clone) -> (f64, f64) {
    let total: f64 = parts.clone().map(|p| p.0).sum();
    let mean = parts.clone().map(|(w, m, _)| w * m).sum::<f64>() / total;
    (mean, (parts.map(|(w, m, s)| w * ((m - mean).powi(2) + s * s)).sum::<f64>() / total).sqrt())
}

/// Where a mixture of normals (weight, mean, sd) has 1% below, and 1% above.
pub fn mixture_tails(parts: &[(f64, f64, f64)]) -> [(f64, f64); 2] {
    let (mean, sd) = moments(parts.iter().copied());
    let total: f64 = parts.iter().map(|p| p.0).sum();
    let tail = |x: f64, upper: bool| {
        let one = |z: f64| if upper { normal_tails(z).1 } else { normal_tails(z).0 };
        parts.iter().map(|(w, m, s)| w * one((x - m) / s)).sum::<f64>() / total
    };
    [false, true].map(|upper| {
        let (mut near, mut far) = (mean, if upper { mean + 60.0 * sd } else { mean - 60.0 * sd });
        for _ in 0..50 {
            let middle = 0.5 * (near + far);
            if tail(middle, upper) > 0.01 { near = middle } else { far = middle }
        }
        (near, tail(near, upper))
    })
}

fn point(axes: &[Axis], mut at: usize) -> Vec<f64> {
    let mut x = vec![0.0; axes.len()];
    for (x, axis) in x.iter_mut().zip(axes).rev() {
        *x = axis.x(axis.low + axis.step() * ((at % axis.n) as f64 + 0.5));
        at /= axis.n;
    }
    x
}

/// ln of the mass of each cell.
fn evaluate(axes: &[Axis], log_density: &dyn Fn(&[f64]) -> f64) -> Vec<f64> {
    let cell: f64 = axes.iter().map(|a| a.step().ln()).sum();
    let one = |at: usize| {
        let x = point(axes, at);
        let jacobian: f64 = axes.iter().zip(&x).filter(|(a, _)| a.log).map(|(_, x)| x.ln()).sum();
        let value = log_density(&x) + jacobian + cell;
        if value.is_nan() { f64::NEG_INFINITY } else { value }
    };
    (0..axes.iter().map(|a| a.n).product()).map(one).collect()
}
