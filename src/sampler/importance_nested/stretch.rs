//! Coordinates in which a wall of the cube is far away: the engine works in w, the model is asked at u(w).
//!
//! Where the posterior sits at a wall, every set of points ends there with a sharp edge, and shapes fitted to points never quite reach it.
//! Half of each stretched axis w is therefore given to the logarithm of the distance t from the wall: w(u) = u / 2 + g(t) / 2 with
//! g(t) = ln(1 + t / e) / ln(1 + 1 / e), down to e: the spacing of u there, or more where only a thin tail reaches the wall. That is another prior, q = dw/du, and another likelihood, L / q: the
//! evidence is the same, the mass lies inside, and a scale of 1e-12 is found as easily as one of 1e-2.

use serde::{Deserialize, Serialize};

/// Share of an axis that is given to the logarithms.
const SHARE: f64 = 0.5;
/// Spacing of numbers at the lower wall (where u may be smaller, but no prior is asked below) and at the upper one.
pub const SPACING: [f64; 2] = [1.0 / (1u64 << 60) as f64, 1.0 / (1u64 << 53) as f64];

/// Which axes are stretched, at which ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Of each axis, the distance e from its lower and its upper wall down to which it is stretched there; 0: it is not. Empty: none is.
    pub ends: Vec<[f64; 2]>,
}

impl Stretch {
    pub fn is_none(&self) -> bool {
        self.ends.is_empty()
    }

    /// How far down the end is stretched; 0 where it is not.
    pub fn at(&self, axis: usize, side: usize) -> f64 {
        self.ends.get(axis).map_or(0.0, |ends| ends[side])
    }

    /// The same with the ends that are not 0 in `more` (two an axis) stretched so.
    pub fn with(&self, more: &[[f64; 2]]) -> Stretch {
        let both = |(axis, more): (usize, &[f64; 2])| [0, 1].map(|side| if more[side] > 0.0 { more[side] } else { self.at(axis, side) });
        Stretch { ends: more.iter().enumerate().map(both).collect() }
    }

    /// The point of the cube at `w`, and ln dw/du there.
    pub fn undo(&self, w: &[f64]) -> (Vec<f64>, f64) {
        let mut log_q = 0.0;
        let axis = |(w, ends): (&f64, &[f64; 2])| match Axis::of(*ends) {
            None => *w,
            Some(axis) => {
                let (u, density) = axis.undo(*w);
                log_q += libm::log(density);
                u
            }
        };
        (w.iter().zip(&self.ends).map(axis).collect(), log_q)
    }
}

/// An axis with at least one stretched end.
struct Axis {
    /// Distances e down to which the ends are stretched (or anything, at an end that is not).
    near: [f64; 2],
    /// Shares of the two ends' logarithms, each over its ln(1 + 1 / e).
    rate: [f64; 2],
}

impl Axis {
    fn of(ends: [f64; 2]) -> Option<Axis> {
        let count = ends.iter().filter(|e| **e > 0.0).count();
        let near = [0, 1].map(|side| if ends[side] > 0.0 { ends[side] } else { SPACING[side] });
        let rate = |side: usize| if ends[side] > 0.0 { SHARE / count as f64 / libm::log1p(1.0 / near[side]) } else { 0.0 };
        (count > 0).then(|| Axis { near, rate: [rate(0), rate(1)] })
    }

    /// How much of w lies between the wall `side` and a point at distance `t` from it.
    fn up_to(&self, side: usize, t: f64) -> f64 {
        let far = 1 - side;
        let from_far = libm::log1p(1.0 / self.near[far]) - libm::log1p((1.0 - t) / self.near[far]);
        (1.0 - SHARE) * t + self.rate[side] * libm::log1p(t / self.near[side]) + self.rate[far] * from_far
    }

    /// dw/du at distance `t` from the wall `side`.
    fn density(&self, side: usize, t: f64) -> f64 {
        let far = 1 - side;
        (1.0 - SHARE) + self.rate[side] / (t + self.near[side]) + self.rate[far] / (1.0 - t + self.near[far])
    }

    /// u(w), and dw/du there.
    fn undo(&self, w: f64) -> (f64, f64) {
        let middle = self.up_to(0, 0.5);
        let (side, w) = if w < middle { (0, w) } else { (1, 1.0 - w) };
        let t = self.distance(side, w);
        let u = if side == 0 { t } else { (1.0 - t).min(1.0 - SPACING[1]) };
        (u, self.density(side, t))
    }

    /// The distance from the wall `side`, at most 1/2, that has `w` up to it: Newton's method in y = ln(1 + t / e), kept in its bracket.
    fn distance(&self, side: usize, w: f64) -> f64 {
        let e = self.near[side];
        let (mut low, mut high) = (0.0, libm::log1p(0.5 / e));
        let mut y = if self.rate[side] > 0.0 { (w / self.rate[side]).min(high) } else { high };
        for _ in 0..200 {
            let t = e * libm::expm1(y);
            let off = self.up_to(side, t) - w;
            if off > 0.0 {
                high = y
            } else {
                low = y
            }
            let next = y - off / (self.density(side, t) * (t + e));
            let next = if next > low && next < high { next } else { 0.5 * (low + high) };
            if (next - y).abs() <= 1e-14 * y || next == low || next == high {
                y = next;
                break;
            }
            y = next;
        }
        e * libm::expm1(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEEP: [f64; 2] = SPACING;

    #[test]
    fn a_stretched_axis_goes_there_and_back_at_all_scales() {
        for ends in [[DEEP[0], 0.0], [0.0, DEEP[1]], DEEP, [1e-3, 0.0], [DEEP[0], 1e-3]] {
            let axis = Axis::of(ends).unwrap();
            for t in [1e-14, 1e-9, 1e-4, 0.03, 0.2, 0.4999] {
                for side in 0..2 {
                    let w = axis.up_to(side, t);
                    let least = if ends[side] == DEEP[side] { 1e-9 * t } else { 1e-12 };
                    assert!((axis.distance(side, w) - t).abs() <= least, "{ends:?} {side} {t} {}", axis.distance(side, w));
                }
            }
            assert!((axis.up_to(0, 1.0) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn equal_steps_of_w_add_up_to_the_length_of_the_axis() {
        let n = 200_000;
        for ends in [[DEEP[0], 0.0], DEEP, [0.0, 1e-3]] {
            let axis = Axis::of(ends).unwrap();
            let length: f64 = (0..n).map(|k| 1.0 / axis.undo((k as f64 + 0.5) / n as f64).1).sum::<f64>() / n as f64;
            assert!((length - 1.0).abs() < 1e-4, "{length}");
        }
    }
}
