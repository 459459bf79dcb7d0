//! What a flow does to one coordinate, given numbers from the coordinates before it: a straight line, or a monotone spline.

use serde::{Deserialize, Serialize};

use super::dual::Dual;
use libm::{exp, log as ln, log1p};

/// Bins of a spline.
const BINS: usize = 8;
/// Splines act within +-REACH; beyond, they are the identity.
const REACH: f64 = 5.0;
/// Least width and height of a bin as a share of the whole, and least slope.
const LEAST: f64 = 1e-3;
/// Softplus of this, and LEAST, is a slope of 1.
const UNIT_SLOPE: f64 = 0.539_742_417_236_951_9;
/// Log of the strongest stretch of a straight line.
const STRONGEST: f64 = 3.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Element {
    /// y = (x - shift) exp(-s).
    Line,
    /// Rational-quadratic spline (Gregory & Delbourgo 1982; Durkan et al. 2019, NeurIPS 32).
    Spline,
}

/// Knots of a spline: BINS + 1 each. Slopes there are had by [`slope`]: only those at two of them are ever needed.
#[derive(Clone)]
struct Knots {
    x: [f64; BINS + 1],
    y: [f64; BINS + 1],
    widths: [f64; BINS],
    heights: [f64; BINS],
}

/// What the way forward through a spline leaves for the way back: the knots, the bin that x is in, and its [`Knots::piece`].
#[derive(Clone)]
pub struct Bend {
    knots: Knots,
    bin: usize,
    piece: [f64; 6],
}

impl Element {
    /// Numbers that say what to do; all zero: nothing.
    pub fn parameters(self) -> usize {
        match self {
            Element::Line => 2,
            Element::Spline => 3 * BINS - 1,
        }
    }

    /// y and ln dy/dx.
    pub fn forward(self, x: f64, p: &[f64]) -> (f64, f64) {
        let (y, log, _) = self.forward_and_bend(x, p);
        (y, log)
    }

    /// y, ln dy/dx and, where x is bent, what [`Element::back`] needs.
    pub fn forward_and_bend(self, x: f64, p: &[f64]) -> (f64, f64, Option<Bend>) {
        match self {
            Element::Line => {
                let s = STRONGEST * p[0] / (STRONGEST + p[0].abs());
                ((x - p[1]) * exp(-s), -s, None)
            }
            Element::Spline if x.abs() >= REACH => (x, 0.0, None),
            Element::Spline => {
                let knots = Knots::of(p);
                let bin = bin(&knots.x, x);
                let piece = knots.piece(bin, p);
                let [x0, w, y0, h, d0, d1] = piece;
                let (y, slope) = quotient(x, x0, w, y0, h, d0, d1);
                (y, ln(slope), Some(Bend { knots, bin, piece }))
            }
        }
    }

    /// x and ln dy/dx at the x that has this y.
    pub fn inverse(self, y: f64, p: &[f64]) -> (f64, f64) {
        match self {
            Element::Line => {
                let s = STRONGEST * p[0] / (STRONGEST + p[0].abs());
                (y * exp(s) + p[1], -s)
            }
            Element::Spline if y.abs() >= REACH => (y, 0.0),
            Element::Spline => {
                let knots = Knots::of(p);
                let k = bin(&knots.y, y);
                let [x0, w, y0, h, d0, d1] = knots.piece(k, p);
                let x = solve(y, x0, w, y0, h, d0, d1);
                let (_, slope) = quotient(x, x0, w, y0, h, d0, d1);
                (x, ln(slope))
            }
        }
    }

    /// Slope by x of a quantity whose slopes by y and by ln dy/dx are given (`by`); `slopes` gets those by the parameters.
    pub fn back(self, x: f64, p: &[f64], bend: Option<&Bend>, by: (f64, f64), slopes: &mut [f64]) -> f64 {
        let (by_y, by_log) = by;
        match (self, bend) {
            (Element::Line, _) => {
                let tame = STRONGEST / (STRONGEST + p[0].abs());
                let (y, log) = self.forward(x, p);
                slopes[0] = (-by_y * y - by_log) * tame * tame;
                slopes[1] = -by_y * exp(log);
                by_y * exp(log)
            }
            (Element::Spline, Some(bend)) => bend.back(x, p, by, slopes),
            (Element::Spline, None) => {
                slopes.fill(0.0);
                by_y
            }
        }
    }
}

/// Value and slope of the spline in the bin that starts at (x0, y0), w wide and h high, with slopes d0 and d1 at its ends.
fn quotient<T: super::dual::Number>(x: T, x0: T, w: T, y0: T, h: T, d0: T, d1: T) -> (T, T) {
    let (t, s) = ((x - x0) / w, h / w);
    let rest = T::from(1.0) - t;
    let both = t * rest;
    let below = s + (d1 + d0 - s - s) * both;
    let y = y0 + h * (s * t * t + d0 * both) / below;
    let slope = s * s * (d1 * t * t + (s + s) * both + d0 * rest * rest) / (below * below);
    (y, slope)
}

/// The x of a bin where the spline is y: the root of the quadratic equation in the form that does not cancel.
fn solve(y: f64, x0: f64, w: f64, y0: f64, h: f64, d0: f64, d1: f64) -> f64 {
    let (s, up) = (h / w, y - y0);
    let bend = d1 + d0 - 2.0 * s;
    let (a, b, c) = (h * (s - d0) + up * bend, h * d0 - up * bend, -s * up);
    let t = 2.0 * c / (-b - (b * b - 4.0 * a * c).max(0.0).sqrt());
    x0 + w * t.clamp(0.0, 1.0)
}

fn bin(edges: &[f64; BINS + 1], at: f64) -> usize {
    edges[1..BINS].partition_point(|e| *e <= at)
}

/// Shares that sum to 1, none below LEAST.
fn shares(p: &[f64]) -> [f64; BINS] {
    let top = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let raw: [f64; BINS] = std::array::from_fn(|k| exp(p[k] - top));
    let total: f64 = raw.iter().sum();
    raw.map(|r| LEAST + (1.0 - BINS as f64 * LEAST) * r / total)
}

/// Slope at knot `k`: 1 at both ends.
fn slope(p: &[f64], k: usize) -> f64 {
    if k == 0 || k == BINS { 1.0 } else { LEAST + softplus(p[2 * BINS + k - 1] + UNIT_SLOPE) }
}

fn softplus(a: f64) -> f64 {
    if a > 0.0 { a + log1p(exp(-a)) } else { log1p(exp(a)) }
}

impl Knots {
    fn of(p: &[f64]) -> Knots {
        let edges = |sizes: &[f64; BINS]| {
            let mut at = -REACH;
            std::array::from_fn(|k| {
                let here = at;
                at += if k < BINS { sizes[k] } else { 0.0 };
                here
            })
        };
        let widths = shares(&p[..BINS]).map(|s| 2.0 * REACH * s);
        let heights = shares(&p[BINS..2 * BINS]).map(|s| 2.0 * REACH * s);
        Knots { x: edges(&widths), y: edges(&heights), widths, heights }
    }

    /// Bin `k`: where it starts and its size in x, in y, and the slopes at its ends.
    fn piece(&self, k: usize, p: &[f64]) -> [f64; 6] {
        [self.x[k], self.widths[k], self.y[k], self.heights[k], slope(p, k), slope(p, k + 1)]
    }
}

impl Bend {
    fn back(&self, x: f64, p: &[f64], (by_y, by_log): (f64, f64), slopes: &mut [f64]) -> f64 {
        let k = self.bin;
        let [x0, w, y0, h, d0, d1] = std::array::from_fn(|j| Dual::variable(self.piece[j], j + 1));
        let (y, slope) = quotient(Dual::variable(x, 0), x0, w, y0, h, d0, d1);
        let by: [f64; 7] = std::array::from_fn(|j| by_y * y.slopes[j] + by_log * slope.slopes[j] / slope.value);
        // A bin starts where those before it end.
        let sizes = |by_start: f64, by_size: f64| -> [f64; BINS] {
            std::array::from_fn(|j| {
                if j < k {
                    by_start
                } else if j == k {
                    by_size
                } else {
                    0.0
                }
            })
        };
        back_shares(&self.knots.widths, sizes(by[1], by[2]), &mut slopes[..BINS]);
        back_shares(&self.knots.heights, sizes(by[3], by[4]), &mut slopes[BINS..2 * BINS]);
        slopes[2 * BINS..].fill(0.0);
        for (knot, by) in [(k, by[5]), (k + 1, by[6])] {
            if knot > 0 && knot < BINS {
                slopes[2 * BINS + knot - 1] = by / (1.0 + exp(-p[2 * BINS + knot - 1] - UNIT_SLOPE));
            }
        }
        by[0]
    }
}

/// From slopes by the sizes of bins to slopes by the numbers that [`shares`] made them of.
fn back_shares(sizes: &[f64; BINS], by: [f64; BINS], slopes: &mut [f64]) {
    let scale = 2.0 * REACH * (1.0 - BINS as f64 * LEAST);
    let share: [f64; BINS] = std::array::from_fn(|k| (sizes[k] / (2.0 * REACH) - LEAST) / (1.0 - BINS as f64 * LEAST));
    let mean: f64 = (0..BINS).map(|k| share[k] * by[k]).sum();
    for k in 0..BINS {
        slopes[k] = scale * share[k] * (by[k] - mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream, uniform};

    #[test]
    fn elements_are_undone_and_their_slopes_are_those_of_differences() {
        let mut rng = stream(3, Purpose::Decisions, 0, 0);
        for element in [Element::Line, Element::Spline] {
            for _ in 0..300 {
                let p: Vec<f64> = (0..element.parameters()).map(|_| 3.0 * uniform(&mut rng) - 1.5).collect();
                let x = 12.0 * uniform(&mut rng) - 6.0;
                let (y, log) = element.forward(x, &p);
                let (back, same) = element.inverse(y, &p);
                assert!((back - x).abs() < 1e-9 && (same - log).abs() < 1e-7, "{element:?} {x} {back} {log} {same}");
                check_slopes(element, x, &p);
            }
        }
    }

    fn check_slopes(element: Element, x: f64, p: &[f64]) {
        // ln dy/dx bends at the knots: differences there are no slopes.
        let value = |x: f64, p: &[f64]| {
            let (y, log) = element.forward(x, p);
            0.7 * y + 0.3 * log
        };
        let mut slopes = vec![0.0; p.len()];
        let (_, _, bend) = element.forward_and_bend(x, p);
        let by_x = element.back(x, p, bend.as_ref(), (0.7, 0.3), &mut slopes);
        let step = 1e-6;
        let (left, right) = ((value(x, p) - value(x - step, p)) / step, (value(x + step, p) - value(x, p)) / step);
        if (left - right).abs() < 1e-3 {
            assert!((by_x - 0.5 * (left + right)).abs() < 2e-4 * (1.0 + by_x.abs()), "{element:?} at {x}: {by_x} {left}");
        }
        for j in 0..p.len() {
            let moved = |by: f64| {
                let mut p = p.to_vec();
                p[j] += by;
                value(x, &p)
            };
            let (left, right) = ((value(x, p) - moved(-step)) / step, (moved(step) - value(x, p)) / step);
            if (left - right).abs() < 1e-3 {
                assert!((slopes[j] - 0.5 * (left + right)).abs() < 2e-4 * (1.0 + slopes[j].abs()), "{element:?} {j}: {} {left}", slopes[j]);
            }
        }
    }

    #[test]
    fn with_all_parameters_zero_nothing_is_changed() {
        for element in [Element::Line, Element::Spline] {
            let p = vec![0.0; element.parameters()];
            for x in [-7.0, -4.9, 0.0, 1.3, 4.0] {
                let (y, log) = element.forward(x, &p);
                assert!((y - x).abs() < 1e-9 && log.abs() < 1e-9, "{element:?} {x} {y} {log}");
            }
        }
    }
}
