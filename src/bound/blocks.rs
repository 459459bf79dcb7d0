//! Points side by side, so that loops over them become vector instructions without any sum changing its order.

use super::ellipsoid::Ellipsoid;

/// Points of a block.
pub const WIDE: usize = 8;

/// Points in blocks of eight, coordinate by coordinate; the last block is filled up with the last point.
pub struct Blocks {
    pub n: usize,
    d: usize,
    x: Vec<[f64; WIDE]>,
}

impl Blocks {
    /// Of `points`, n x d with n >= 1.
    pub fn of(points: &[f64], d: usize) -> Blocks {
        let n = points.len() / d;
        let mut x = Vec::with_capacity(n.div_ceil(WIDE) * d);
        for block in points.chunks(WIDE * d) {
            let last = block.len() / d - 1;
            x.extend((0..d).map(|j| -> [f64; WIDE] { std::array::from_fn(|lane| block[lane.min(last) * d + j]) }));
        }
        Blocks { n, d, x }
    }

    /// d rows a block.
    pub fn iter(&self) -> impl Iterator<Item = &[[f64; WIDE]]> {
        self.x.chunks_exact(self.d)
    }

    /// [`Ellipsoid::radius2`] of every point, n, to the same bits.
    pub fn radii2(&self, shape: &Ellipsoid) -> Vec<f64> {
        let mut radii = Vec::with_capacity(self.n + WIDE);
        let mut off = vec![[0.0; WIDE]; self.d];
        for block in self.iter() {
            for ((off, x), c) in off.iter_mut().zip(block).zip(&shape.centre) {
                *off = x.map(|x| x - c);
            }
            let mut total = [0.0; WIDE];
            for (i, row) in shape.inverse.chunks_exact(self.d).enumerate() {
                let mut y = [0.0; WIDE];
                for (a, off) in row[..=i].iter().zip(&off) {
                    (0..WIDE).for_each(|lane| y[lane] += a * off[lane]);
                }
                (0..WIDE).for_each(|lane| total[lane] += y[lane] * y[lane]);
            }
            radii.extend(total);
        }
        radii.truncate(self.n);
        radii
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream, uniform};

    #[test]
    fn radii_of_blocks_are_those_of_points_to_the_bit() {
        let mut rng = stream(1, Purpose::Decisions, 0, 0);
        for (n, d) in [(1, 1), (8, 2), (19, 3), (64, 10)] {
            let points: Vec<f64> = (0..n * d).map(|_| uniform(&mut rng)).collect();
            let shape = Ellipsoid::around(&points, d, 1.1);
            let one_by_one: Vec<f64> = points.chunks_exact(d).map(|p| shape.radius2(p)).collect();
            assert_eq!(Blocks::of(&points, d).radii2(&shape), one_by_one);
        }
    }
}
