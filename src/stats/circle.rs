//! Means and quantiles of angles: values on a circle, unrolled onto a line where their distribution leaves most room.

use super::{kish, mean_sd};

/// A circle of values from `min` up to `max`, which is the same point.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Circle {
    pub min: f64,
    pub max: f64,
}

impl Circle {
    fn turn(&self) -> f64 {
        self.max - self.min
    }

    /// The same point in [min, max).
    pub fn wrap(&self, x: f64) -> f64 {
        let wrapped = x - self.turn() * ((x - self.min) / self.turn()).floor();
        if wrapped >= self.max { self.min } else { wrapped }
    }

    /// Direction of the resultant of all values (Mardia & Jupp 2000, section 2.2), in [min, max); the middle, where the values have no
    /// direction beyond chance.
    pub fn centre(&self, values: &[f64], weights: &[f64]) -> f64 {
        let (mut cos, mut sin, mut total) = (0.0, 0.0, 0.0);
        for (x, w) in values.iter().zip(weights).filter(|(_, w)| **w > 0.0) {
            let (s, c) = libm::sincos(std::f64::consts::TAU * (x - self.min) / self.turn());
            (cos, sin, total) = (cos + w * c, sin + w * s, total + w);
        }
        // The squared length of the resultant of n random directions is 1 / n.
        let directed = (cos * cos + sin * sin) / (total * total) > 4.0 / kish(weights);
        let angle = if directed { libm::atan2(sin, cos) } else { std::f64::consts::PI };
        self.wrap(self.min + self.turn() * angle / std::f64::consts::TAU)
    }

    /// Values as numbers within half a turn of `centre`: some may lie beyond an end.
    pub fn unroll(&self, values: &[f64], centre: f64) -> Vec<f64> {
        let turns = |x: f64| ((x - centre) / self.turn()).round();
        values.iter().map(|x| x - self.turn() * turns(*x)).collect()
    }

    /// Unrolled about their own direction, so that their mean is in [min, max).
    pub fn unrolled(&self, values: &[f64], weights: &[f64]) -> Vec<f64> {
        let values = self.unroll(values, self.centre(values, weights));
        let mean = mean_sd(&values, weights).0;
        let shift = self.wrap(mean) - mean;
        if shift.abs() < 0.5 * self.turn() { values } else { values.iter().map(|x| x + self.turn() * shift.signum()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, fill_normal, stream};
    use std::f64::consts::TAU;

    /// Angles of N(centre, sd) on [0, 2 pi).
    fn angles(centre: f64, sd: f64) -> Vec<f64> {
        let mut z = vec![0.0; 4000];
        fill_normal(&mut stream(1, Purpose::Check, 9, 0), &mut z);
        z.iter().map(|z| (centre + sd * z).rem_euclid(TAU)).collect()
    }

    #[test]
    fn mean_and_sd_do_not_depend_on_where_the_circle_is_cut() {
        let (circle, w) = (Circle { min: 0.0, max: TAU }, vec![1.0; 4000]);
        let inside = mean_sd(&circle.unrolled(&angles(3.0, 0.2), &w), &w);
        for centre in [0.0, 0.05, 6.2, 1.0, 5.0] {
            let (mean, sd) = mean_sd(&circle.unrolled(&angles(centre, 0.2), &w), &w);
            let off = (mean - centre - (inside.0 - 3.0) + 3.0).rem_euclid(TAU) - 3.0;
            assert!(off.abs() < 1e-12 && (sd - inside.1).abs() < 1e-12, "{centre}: {mean} {sd}");
            assert!((0.0..TAU).contains(&mean), "{mean}");
        }
    }

    #[test]
    fn values_without_a_direction_are_left_as_they_are() {
        let (circle, w) = (Circle { min: -180.0, max: 180.0 }, vec![1.0; 3600]);
        let even: Vec<f64> = (0..3600).map(|k| -179.95 + 0.1 * f64::from(k)).collect();
        assert_eq!(circle.unrolled(&even, &w), even);
    }

    #[test]
    fn a_point_beyond_an_end_comes_back_inside() {
        let circle = Circle { min: 1.0, max: 3.0 };
        assert_eq!([0.5, 1.0, 2.5, 3.0, 7.25].map(|x| circle.wrap(x)), [2.5, 1.0, 2.5, 1.0, 1.25]);
    }
}
