//! Shifts periodic coordinates so that the points lie around the middle, and the widest gap at the ends.

use serde::{Deserialize, Serialize};

/// The middle of each periodic coordinate; empty when nothing is periodic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// (dimension, middle)
    middles: Vec<(usize, f64)>,
}

impl Shift {
    /// Middles for the points `x` (n x d, n >= 1).
    pub fn of(x: &[f64], d: usize, periodic: &[usize]) -> Shift {
        let middle = |j: &usize| {
            let mut values: Vec<f64> = x.iter().skip(*j).step_by(d).copied().collect();
            values.sort_by(f64::total_cmp);
            let wrap = values[0] + 1.0 - values[values.len() - 1];
            let (mut start, mut gap) = (values[values.len() - 1], wrap);
            for pair in values.windows(2) {
                if pair[1] - pair[0] > gap {
                    (start, gap) = (pair[0], pair[1] - pair[0]);
                }
            }
            (*j, (start + 0.5 * gap + 0.5).rem_euclid(1.0))
        };
        Shift { middles: periodic.iter().map(middle).collect() }
    }

    pub fn is_none(&self) -> bool {
        self.middles.is_empty()
    }

    /// Into the frame in which the gaps are at the ends.
    pub fn apply(&self, x: &mut [f64]) {
        for (j, middle) in &self.middles {
            x[*j] = wrapped(x[*j] - middle + 0.5);
        }
    }

    /// Back to the cube.
    pub fn undo(&self, x: &mut [f64]) {
        for (j, middle) in &self.middles {
            x[*j] = wrapped(x[*j] + middle - 0.5);
        }
    }
}

/// Into [0, 1), also where rounding would give 1.
fn wrapped(v: f64) -> f64 {
    let v = v.rem_euclid(1.0);
    if v < 1.0 { v } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_across_the_seam_come_together_and_go_back() {
        let x = [0.95, 0.3, 0.02, 0.4, 0.99, 0.5];
        let shift = Shift::of(&x, 2, &[0]);
        let mut moved = x;
        moved.chunks_exact_mut(2).for_each(|p| shift.apply(p));
        let firsts: Vec<f64> = moved.iter().step_by(2).copied().collect();
        assert!(firsts.iter().all(|v| (v - 0.5).abs() < 0.05), "{firsts:?}");
        moved.chunks_exact_mut(2).for_each(|p| shift.undo(p));
        assert!(moved.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-15));
    }
}
