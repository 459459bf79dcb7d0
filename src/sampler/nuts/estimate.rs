//! A metric from draws of a chain and the gradients there.
//!
//! By draws alone: the covariance, drawn towards a small multiple of the unit matrix as in Stan. By draws and gradients: the matrix S
//! for which the covariance of S^-1 x and that of the gradients agree, S C_g S = C_x, the geometric mean of C_x and C_g^-1, exact
//! for a normal law from few draws (Seyboldt, Carlson & Carpenter 2025, minimal Fisher divergence).

use super::metric::Metric;
use super::settings::{Adaptation, Shape};
use crate::stats::dot;

/// Directions whose variance is within these factors of what the diagonal says are left to it by a metric of low rank.
const ORDINARY: std::ops::RangeInclusive<f64> = 0.5..=2.0;
/// Weight of the prior guess, in draws: of covariances by draws alone, as in Stan, and by gradients too, where the guess only
/// stands for directions that no draw has shown.
const GUESS: f64 = 5.0;
const FAINT_GUESS: f64 = 0.1;
/// Of a normal law gradients are a linear function of the draw. What they have beyond it, in units of what they have by it and a
/// coordinate, says how far the law is from normal, or the chain from its place; above this directions are not trusted.
const BEYOND_NORMAL: f64 = 0.75;
/// More coordinates than this, and directions cost more time than they are worth.
const MANY: usize = 100;

/// n draws and gradients of d coordinates each, row-major.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    pub d: usize,
    pub x: &'a [f64],
    pub gradient: &'a [f64],
}

impl Sample<'_> {
    fn n(&self) -> usize {
        self.x.len() / self.d
    }

    /// The metric of the given shape; none where the draws do not say enough.
    pub fn metric(&self, by: Adaptation, shape: Shape) -> Option<Metric> {
        if self.n() < 3 {
            return None;
        }
        let scale = self.scale(by)?;
        // Windows know no gradients to judge by.
        let auto_diagonal = self.d > MANY || by == Adaptation::Windows;
        if shape == Shape::Diagonal || (shape == Shape::Auto && auto_diagonal) {
            return Some(Metric::diagonal(scale));
        }
        let correlated = match by {
            Adaptation::Windows => self.covariance(self.x, |i| 1.0 / scale[i], GUESS),
            Adaptation::Gradients => {
                let c_x = self.covariance(self.x, |i| 1.0 / scale[i], FAINT_GUESS);
                let c_g = self.covariance(self.gradient, |i| scale[i], FAINT_GUESS);
                let matrix = geometric_mean(&c_x, &c_g, self.d);
                // The trace of C_g S: of the gradients' covariance where S is the unit.
                if shape == Shape::Auto && dot(&c_g, &matrix) > (1.0 + BEYOND_NORMAL) * self.d as f64 {
                    return Some(Metric::diagonal(scale));
                }
                matrix
            }
        };
        let (factors, columns) = eigen(correlated, self.d);
        let kept: Vec<usize> = (0..self.d).filter(|k| shape == Shape::Dense || !ORDINARY.contains(&factors[*k])).collect();
        let columns = kept.iter().flat_map(|k| columns[k * self.d..(k + 1) * self.d].iter().copied()).collect();
        let factors: Vec<f64> = kept.iter().map(|k| factors[*k]).collect();
        factors.iter().all(|f| f.is_finite() && *f > 0.0).then(|| Metric::new(scale, columns, factors))
    }

    /// Standard deviations.
    fn scale(&self, by: Adaptation) -> Option<Vec<f64>> {
        let n = self.n() as f64;
        let variance = |of: &[f64], i: usize| {
            let values = || of.iter().skip(i).step_by(self.d);
            let mean = values().sum::<f64>() / n;
            values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0)
        };
        let one = |i: usize| match by {
            Adaptation::Windows => (n * variance(self.x, i) + GUESS * 1e-3) / (n + GUESS),
            Adaptation::Gradients => (variance(self.x, i) / variance(self.gradient, i)).sqrt(),
        };
        let scale: Vec<f64> = (0..self.d).map(|i| one(i).sqrt()).collect();
        scale.iter().all(|s| s.is_finite() && *s > 0.0).then_some(scale)
    }

    /// Covariance of the columns of `of`, each multiplied by `times`, drawn towards the unit matrix with the `weight` of so many draws.
    fn covariance(&self, of: &[f64], times: impl Fn(usize) -> f64, weight: f64) -> Vec<f64> {
        let (n, d) = (self.n(), self.d);
        let columns: Vec<Vec<f64>> = (0..d).map(|i| centred(of.iter().skip(i).step_by(d).map(|x| x * times(i)))).collect();
        let mut matrix = vec![0.0; d * d];
        for i in 0..d {
            for j in 0..=i {
                let guess = if i == j { weight } else { 0.0 };
                let value = (dot(&columns[i], &columns[j]) * n as f64 / (n as f64 - 1.0) + guess) / (n as f64 + weight);
                (matrix[i * d + j], matrix[j * d + i]) = (value, value);
            }
        }
        matrix
    }
}

fn centred(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|x| *x -= mean);
    values
}

/// S with S C_g S = C_x, for symmetric positive definite d x d matrices.
fn geometric_mean(c_x: &[f64], c_g: &[f64], d: usize) -> Vec<f64> {
    let (values, vectors) = eigen(c_g.to_vec(), d);
    let root = assemble(&values, &vectors, d, f64::sqrt);
    let inverse = assemble(&values, &vectors, d, |v| 1.0 / v.sqrt());
    let (values, vectors) = eigen(sandwich(&root, c_x, d), d);
    sandwich(&inverse, &assemble(&values, &vectors, d, f64::sqrt), d)
}

/// Sum of f(value) v v' over eigenvectors v.
fn assemble(values: &[f64], vectors: &[f64], d: usize, f: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut matrix = vec![0.0; d * d];
    for (value, v) in values.iter().zip(vectors.chunks_exact(d)) {
        let factor = f(*value);
        for (row, vi) in matrix.chunks_exact_mut(d).zip(v) {
            row.iter_mut().zip(v).for_each(|(m, vj)| *m += factor * vi * vj);
        }
    }
    matrix
}

/// A B A for symmetric matrices.
fn sandwich(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    // rows of symmetric matrices are their columns
    let product =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.chunks_exact(d).flat_map(|a| b.chunks_exact(d).map(move |b| dot(a, b))).collect() };
    let ab = product(a, b);
    product(&ab, a)
}

/// Eigenvalues of a symmetric matrix and its eigenvectors, one after another, by Jacobi's rotations: square roots only, so the
/// same bits on any machine.
fn eigen(mut a: Vec<f64>, d: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors: Vec<f64> = (0..d * d).map(|k| f64::from(u8::from(k / d == k % d))).collect();
    for _ in 0..30 {
        let off: f64 = (0..d).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * d + j] * a[i * d + j]).sum();
        let on: f64 = (0..d).map(|i| a[i * d + i] * a[i * d + i]).sum();
        if off.is_nan() || off <= 1e-26 * on {
            break;
        }
        for i in 0..d {
            for j in 0..i {
                rotate(&mut a, &mut vectors, d, j, i);
            }
        }
    }
    ((0..d).map(|i| a[i * d + i]).collect(), vectors)
}

/// Makes a[p][q] zero.
fn rotate(a: &mut [f64], vectors: &mut [f64], d: usize, p: usize, q: usize) {
    let apq = a[p * d + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * d + q] - a[p * d + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    let turn = |x: &mut [f64], i: usize, j: usize| (x[i], x[j]) = (c * x[i] - s * x[j], s * x[i] + c * x[j]);
    for k in 0..d {
        turn(a, k * d + p, k * d + q);
    }
    for k in 0..d {
        turn(a, p * d + k, q * d + k);
        turn(vectors, p * d + k, q * d + k);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, fill_normal, stream};

    /// Normal draws of covariance M M', and the gradients of their log density there.
    fn normal_sample(n: usize) -> (Vec<f64>, Vec<f64>, [f64; 9]) {
        // M lower triangular, with its inverse worked out by hand.
        let (m, inverse) = ([2.0, 0.0, 0.0, 1.8, 0.6, 0.0, 0.0, 0.0, 0.01], [0.5, 0.0, 0.0, -1.5, 1.0 / 0.6, 0.0, 0.0, 0.0, 100.0]);
        let (mut x, mut gradient) = (Vec::new(), Vec::new());
        for draw in 0..n as u64 {
            let mut e = [0.0; 3];
            fill_normal(&mut stream(3, Purpose::NutsStart, 1, draw), &mut e);
            x.extend((0..3).map(|i| (0..3).map(|j| m[i * 3 + j] * e[j]).sum::<f64>()));
            gradient.extend((0..3).map(|i| -(0..3).map(|j| inverse[j * 3 + i] * e[j]).sum::<f64>()));
        }
        let covariance = std::array::from_fn(|k| (0..3).map(|j| m[k / 3 * 3 + j] * m[k % 3 * 3 + j]).sum());
        (x, gradient, covariance)
    }

    fn errors(metric: &Metric, covariance: &[f64; 9]) -> f64 {
        let mut worst = 0.0;
        for j in 0..3 {
            let (mut unit, mut column) = ([0.0; 3], [0.0; 3]);
            unit[j] = 1.0;
            metric.velocity(&unit, &mut column);
            for i in 0..3 {
                let scale = (covariance[i * 4] * covariance[j * 4]).sqrt();
                worst = f64::max(worst, (column[i] - covariance[i * 3 + j]).abs() / scale);
            }
        }
        worst
    }

    #[test]
    fn gradients_give_the_covariance_of_a_normal_law_from_few_draws_and_draws_alone_from_many() {
        let (x, gradient, covariance) = normal_sample(2000);
        let sample = |n: usize| Sample { d: 3, x: &x[..3 * n], gradient: &gradient[..3 * n] };
        let error = |n, by, shape| errors(&sample(n).metric(by, shape).unwrap(), &covariance);
        let few = error(60, Adaptation::Gradients, Shape::Dense);
        assert!(few < 0.12, "{few}");
        assert!(error(2000, Adaptation::Gradients, Shape::Dense) < 0.01);
        assert!(error(2000, Adaptation::Gradients, Shape::LowRank) < 0.5);
        assert!(error(2000, Adaptation::Windows, Shape::Dense) < 0.1);
        assert!(error(2000, Adaptation::Windows, Shape::Diagonal) > 0.5, "the correlation is 0.95");
        assert!(sample(2).metric(Adaptation::Windows, Shape::Dense).is_none());
    }

    #[test]
    fn auto_takes_directions_from_a_normal_law_and_not_from_a_banana() {
        let rank = |sample: Sample, shape| sample.metric(Adaptation::Gradients, shape).unwrap().rank();
        let (x, gradient, _) = normal_sample(60);
        assert!(rank(Sample { d: 3, x: &x, gradient: &gradient }, Shape::Auto) > 0);
        // a about 1, and b about 3 a^2.
        let (mut x, mut gradient) = (Vec::new(), Vec::new());
        for draw in 0..200 {
            let mut e = [0.0; 2];
            fill_normal(&mut stream(3, Purpose::NutsStart, 2, draw), &mut e);
            let a = 1.0 + e[0];
            x.extend([a, 3.0 * a * a + 0.1 * e[1]]);
            gradient.extend([-e[0] + 60.0 * a * e[1], -10.0 * e[1]]);
        }
        let banana = Sample { d: 2, x: &x, gradient: &gradient };
        assert!(rank(banana, Shape::LowRank) > 0);
        assert_eq!(rank(banana, Shape::Auto), 0);
    }

    #[test]
    fn momenta_have_the_inverse_of_the_metric_as_their_covariance() {
        let (x, gradient, _) = normal_sample(500);
        let metric = Sample { d: 3, x: &x, gradient: &gradient }.metric(Adaptation::Gradients, Shape::Dense).unwrap();
        // p = A e with A A' the inverse of C, so that C A A' e = e.
        for k in 0..3 {
            let rows: Vec<[f64; 3]> = (0..3)
                .map(|j| {
                    let mut e = [0.0; 3];
                    e[j] = 1.0;
                    metric.momentum(&mut e);
                    e
                })
                .collect();
            let column: [f64; 3] = std::array::from_fn(|i| rows.iter().map(|a| a[i] * a[k]).sum());
            let mut back = [0.0; 3];
            metric.velocity(&column, &mut back);
            (0..3).for_each(|i| assert!((back[i] - f64::from(u8::from(i == k))).abs() < 1e-8, "{back:?}"));
        }
        let deviations = metric.deviations();
        assert!((deviations[0] / 2.0 - 1.0).abs() < 0.1 && (deviations[2] / 0.01 - 1.0).abs() < 0.1, "{deviations:?}");
    }
}
