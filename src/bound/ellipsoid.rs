//! Ellipsoids, and the smallest one around a set of points.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::linalg::{invert_lower, lower_product, lower_times, moments, robust_cholesky};
use crate::random::{fill_normal, uniform};

/// The points centre + axes * y with |y| <= 1, axes lower triangular.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ellipsoid {
    pub centre: Vec<f64>,
    /// d x d, row-major, lower triangular.
    pub axes: Vec<f64>,
    /// Inverse of `axes`.
    pub inverse: Vec<f64>,
    pub log_volume: f64,
}

/// How far from the optimum the ellipsoid may be: it is scaled to hold all points anyway, and enlarged after that.
const TOLERANCE: f64 = 0.01;
const MOST_STEPS: usize = 2000;

impl Ellipsoid {
    pub fn new(centre: Vec<f64>, axes: Vec<f64>) -> Ellipsoid {
        let d = centre.len();
        let inverse = invert_lower(&axes, d);
        let log_det: f64 = (0..d).map(|i| libm::log(axes[i * d + i])).sum();
        Ellipsoid { centre, axes, inverse, log_volume: log_det + log_ball(d) }
    }

    /// The smallest ellipsoid around the points `x` (n x d, n >= 1), each semi-axis then multiplied by `enlarge`.
    pub fn around(x: &[f64], d: usize, enlarge: f64) -> Ellipsoid {
        let weights = vec![1.0; x.len() / d];
        let (mean, covariance) = moments(x, d, &weights);
        let frame = Ellipsoid::new(mean, robust_cholesky(&covariance, d));
        let white = frame.whiten_all(x);
        let weights = smallest_weights(&white, d);
        let (middle, shape) = moments(&white, d, &weights);
        let shape = robust_cholesky(&shape, d);
        // Back from the whitened frame: x = frame.centre + frame.axes * (middle + shape * y).
        let mut centre = vec![0.0; d];
        lower_times(&frame.axes, d, &middle, &mut centre);
        centre.iter_mut().zip(&frame.centre).for_each(|(c, m)| *c += m);
        Ellipsoid::new(centre, lower_product(&frame.axes, &shape, d)).scaled_to(x, enlarge)
    }

    /// Scaled so that the farthest of the points `x` is on the surface, then enlarged.
    fn scaled_to(self, x: &[f64], enlarge: f64) -> Ellipsoid {
        let d = self.d();
        let farthest = x.chunks_exact(d).map(|point| self.radius2(point)).fold(0.0, f64::max);
        let factor = enlarge * if farthest > 0.0 { farthest.sqrt() } else { 1.0 };
        let axes = self.axes.iter().map(|a| a * factor).collect();
        Ellipsoid::new(self.centre, axes)
    }

    pub fn d(&self) -> usize {
        self.centre.len()
    }

    /// Squared distance from the centre in units of the surface: at most 1 inside.
    pub fn radius2(&self, x: &[f64]) -> f64 {
        let mut total = 0.0;
        for i in 0..self.d() {
            let y = self.whitened(i, x);
            total += y * y;
        }
        total
    }

    /// Stops at the first coordinate that is too far out.
    pub fn contains(&self, x: &[f64]) -> bool {
        let mut total = 0.0;
        for i in 0..self.d() {
            let y = self.whitened(i, x);
            total += y * y;
            if total > 1.0 {
                return false;
            }
        }
        true
    }

    /// Coordinate `i` of the point in the frame in which the ellipsoid is the unit ball.
    #[inline]
    fn whitened(&self, i: usize, x: &[f64]) -> f64 {
        let start = i * self.d();
        let row = &self.inverse[start..=start + i];
        row.iter().zip(x).zip(&self.centre).map(|((a, x), c)| a * (x - c)).sum()
    }

    /// The point in the frame in which the ellipsoid is the unit ball.
    pub fn whiten(&self, x: &[f64], y: &mut [f64]) {
        y.iter_mut().enumerate().take(self.d()).for_each(|(i, y)| *y = self.whitened(i, x));
    }

    pub fn whiten_all(&self, x: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        x.chunks_exact(self.d()).zip(y.chunks_exact_mut(self.d())).for_each(|(x, y)| self.whiten(x, y));
        y
    }

    /// A uniform point of the ellipsoid into `x`; `y` is room for d numbers.
    pub fn draw(&self, rng: &mut ChaCha8Rng, y: &mut [f64], x: &mut [f64]) {
        let d = self.d();
        fill_normal(rng, y);
        let norm = y.iter().map(|v| v * v).sum::<f64>().sqrt();
        let radius = libm::pow(uniform(rng), 1.0 / d as f64) / norm;
        y.iter_mut().for_each(|v| *v *= radius);
        lower_times(&self.axes, d, y, x);
        x.iter_mut().zip(&self.centre).for_each(|(x, c)| *x += c);
    }

    /// Whether two ellipsoids have a point in common (Gilitschenski & Hanebeck 2012): k(s) > 0 for all s in (0, 1).
    pub fn overlaps(&self, other: &Ellipsoid) -> bool {
        let d = self.d();
        let (a, b) = (gram(&self.axes, d), gram(&other.axes, d));
        let apart: Vec<f64> = other.centre.iter().zip(&self.centre).map(|(p, q)| p - q).collect();
        let k = |s: f64| {
            let mix: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a / (1.0 - s) + b / s).collect();
            let l = robust_cholesky(&mix, d);
            let mut y = apart.clone();
            super::linalg::solve_lower(&l, d, &mut y);
            1.0 - y.iter().map(|v| v * v).sum::<f64>()
        };
        golden_minimum(k) > 0.0
    }
}

/// L L^T.
fn gram(l: &[f64], d: usize) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..=i.min(j)).map(|k| l[i * d + k] * l[j * d + k]).sum();
    (0..d * d).map(|at| entry(at / d, at % d)).collect()
}

/// Least value of a convex function on (0, 1).
fn golden_minimum(f: impl Fn(f64) -> f64) -> f64 {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let (mut low, mut high) = (1e-6, 1.0 - 1e-6);
    let (mut p, mut q) = (high - RATIO * (high - low), low + RATIO * (high - low));
    let (mut fp, mut fq) = (f(p), f(q));
    for _ in 0..40 {
        if fp < fq {
            (high, q, fq) = (q, p, fp);
            p = high - RATIO * (high - low);
            fp = f(p);
        } else {
            (low, p, fp) = (p, q, fq);
            q = low + RATIO * (high - low);
            fq = f(q);
        }
    }
    fp.min(fq)
}

/// Log volume of the unit ball in d dimensions.
pub fn log_ball(d: usize) -> f64 {
    // V_d = V_(d-2) * 2 pi / d.
    let mut log_volume = if d.is_multiple_of(2) { 0.0 } else { std::f64::consts::LN_2 };
    let mut at = if d.is_multiple_of(2) { 2 } else { 3 };
    while at <= d {
        log_volume += libm::log(std::f64::consts::TAU / at as f64);
        at += 2;
    }
    log_volume
}

/// Weights of the points whose moments give the smallest enclosing ellipsoid, by Khachiyan's method with away steps and
/// rank-one updates (Todd & Yildirim 2007, Discrete Appl. Math. 155, 1731): O(n d) a step. `x` should be whitened.
fn smallest_weights(x: &[f64], d: usize) -> Vec<f64> {
    let n = x.len() / d;
    let lifted = d + 1;
    let mut weights = vec![1.0 / n as f64; n];
    if n <= lifted {
        return weights;
    }
    let target = lifted as f64;
    // The lifted second moment of whitened points is the unit matrix, but for rounding and jitter.
    let mut inverse: Vec<f64> = (0..lifted * lifted).map(|k| if k % (lifted + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let mut g: Vec<f64> = x.chunks_exact(d).map(|p| 1.0 + p.iter().map(|v| v * v).sum::<f64>()).collect();
    let mut direction = vec![0.0; lifted];
    for _ in 0..MOST_STEPS {
        let (far, near) = extremes(&g, &weights);
        let (too_far, too_near) = (g[far] / target - 1.0, 1.0 - g[near] / target);
        if too_far <= TOLERANCE {
            break;
        }
        let (pick, step) = if too_far >= too_near {
            (far, (g[far] - target) / (target * (g[far] - 1.0)))
        } else {
            let drop = weights[near] / (1.0 - weights[near]);
            let best = if g[near] > 1.0 { (target - g[near]) / (target * (g[near] - 1.0)) } else { f64::INFINITY };
            (near, -best.min(drop))
        };
        let point = &x[pick * d..(pick + 1) * d];
        for i in 0..lifted {
            let row = &inverse[i * lifted..(i + 1) * lifted];
            direction[i] = row[d] + row.iter().zip(point).map(|(a, b)| a * b).sum::<f64>();
        }
        let (keep, pull) = (1.0 / (1.0 - step), step / (1.0 - step + step * g[pick]));
        for (point, g) in x.chunks_exact(d).zip(&mut g) {
            let along = direction[d] + direction.iter().zip(point).map(|(a, b)| a * b).sum::<f64>();
            *g = keep * (*g - pull * along * along);
        }
        for i in 0..lifted {
            for j in 0..lifted {
                let entry = &mut inverse[i * lifted + j];
                *entry = keep * (*entry - pull * direction[i] * direction[j]);
            }
        }
        weights.iter_mut().for_each(|w| *w *= 1.0 - step);
        weights[pick] = (weights[pick] + step).max(0.0);
    }
    weights
}

/// The point with the largest g, and the one with the smallest g among those of positive weight.
fn extremes(g: &[f64], weights: &[f64]) -> (usize, usize) {
    let (mut far, mut near) = (0, usize::MAX);
    for (at, (value, weight)) in g.iter().zip(weights).enumerate() {
        if *value > g[far] {
            far = at;
        }
        if *weight > 0.0 && (near == usize::MAX || *value < g[near]) {
            near = at;
        }
    }
    (far, near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn the_ellipsoid_around_ball_points_holds_them_all_and_is_hardly_larger_than_the_ball() {
        for d in [1, 2, 5, 10] {
            let ball = Ellipsoid::new(vec![0.5; d], (0..d * d).map(|k| if k % (d + 1) == 0 { 0.2 } else { 0.0 }).collect());
            let mut rng = stream(1, Purpose::Decisions, d as u64, 0);
            let (mut y, mut x) = (vec![0.0; d], vec![0.0; 1000 * d]);
            x.chunks_exact_mut(d).for_each(|x| ball.draw(&mut rng, &mut y, x));
            let fit = Ellipsoid::around(&x, d, 1.0);
            assert!(x.chunks_exact(d).all(|p| fit.radius2(p) <= 1.0 + 1e-9));
            assert!((fit.log_volume - ball.log_volume).abs() < 0.35, "{d}: {} {}", fit.log_volume, ball.log_volume);
        }
    }

    #[test]
    fn the_smallest_ellipse_around_a_square_is_its_circle() {
        let fit = Ellipsoid::around(&[0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5, 0.4], 2, 1.0);
        assert!((fit.log_volume - (std::f64::consts::PI * 0.5).ln()).abs() < 0.02);
        assert!((fit.centre[0] - 0.5).abs() < 0.02 && (fit.centre[1] - 0.5).abs() < 0.02);
    }

    #[test]
    fn ellipsoids_overlap_when_they_touch_and_not_when_apart() {
        let circle = |x: f64, r: f64| Ellipsoid::new(vec![x, 0.0], vec![r, 0.0, 0.0, r]);
        assert!(circle(0.0, 1.0).overlaps(&circle(1.9, 1.0)));
        assert!(!circle(0.0, 1.0).overlaps(&circle(2.1, 1.0)));
        assert!(circle(0.0, 1.0).overlaps(&circle(0.1, 0.2)));
    }

    #[test]
    fn points_on_a_line_or_all_equal_get_a_thin_ellipsoid() {
        let line: Vec<f64> = (0..20).flat_map(|i| [i as f64 / 20.0, 0.5]).collect();
        let fit = Ellipsoid::around(&line, 2, 1.1);
        assert!(fit.log_volume.is_finite() && line.chunks_exact(2).all(|p| fit.contains(p)));
        assert!(Ellipsoid::around(&[0.3; 20], 2, 1.1).log_volume.is_finite());
    }
}
