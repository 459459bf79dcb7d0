//! Ellipsoids around groups of live points: which groups pay, and how much larger than their group the ellipsoids must be.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::halves::best_split;
use crate::bound::blocks::Blocks;
use crate::bound::ellipsoid::Ellipsoid;
use crate::bound::linalg::{moments, robust_cholesky};
use crate::random::uniform;
use crate::stats::log_sum;

/// Resamples that tell whether a split may pay at all: most do not, and need no more.
const FIRST_RESAMPLES: usize = 2;

/// A group of live points and the ellipsoid around it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    pub ellipsoid: Ellipsoid,
    /// Share of all points.
    pub share: f64,
    /// Mean squared distance from the centre in the ellipsoid's frame.
    pub spread: f64,
    /// By how much the semi-axes must be enlarged to hold points that the ellipsoid was not made from.
    pub factor: f64,
}

impl Cell {
    pub fn around(points: &[f64], d: usize, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> Cell {
        let ellipsoid = enclose(points, d);
        let white = ellipsoid.whiten_all(points);
        let spread = white.iter().map(|y| y * y).sum::<f64>() / (points.len() / d) as f64;
        Cell { ellipsoid, share: 1.0, spread, factor: left_out(&white, d, n_bootstrap, rng) }
    }

    /// Log volume of the enlarged ellipsoid.
    fn log_volume(&self) -> f64 {
        self.ellipsoid.log_volume + self.ellipsoid.d() as f64 * libm::log(self.factor)
    }
}

/// Of the points (n x d, best in the frame of their ellipsoid) the largest distance of a left-out one over `n_bootstrap` resamples, in units of the ellipsoid around the others (Buchner 2016,
/// section 3; Speagle 2020). Leaving out a twentieth at a time was measured too: a third fewer calls on small groups, and log Z high.
fn left_out(points: &[f64], d: usize, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> f64 {
    let n = points.len() / d;
    let (blocks, rows) = (Blocks::of(points, d), ProductRows::of(points, d));
    let mut largest = 1.0f64;
    for _ in 0..n_bootstrap {
        let mut taken = vec![false; n];
        (0..n).for_each(|_| taken[(uniform(rng) * n as f64) as usize] = true);
        let mut farthest = [0.0f64; 2];
        for (radius2, taken) in blocks.radii2(&rows.sums(|at| taken[at]).shape(d)).iter().zip(&taken) {
            let side = &mut farthest[usize::from(*taken)];
            *side = side.max(*radius2);
        }
        let [outside, inside] = farthest;
        largest = largest.max(if inside > 0.0 { outside / inside } else { outside });
    }
    largest.sqrt()
}

/// Of each point its coordinates and their products, so that the moments of many subsets are sums of rows.
pub struct ProductRows {
    d: usize,
    rows: Vec<f64>,
}

/// Of some points: how many, and the sum of their rows.
pub struct Sums {
    count: f64,
    rows: Vec<f64>,
}

impl ProductRows {
    pub fn of(points: &[f64], d: usize) -> ProductRows {
        let mut rows = Vec::with_capacity(points.len() / d * width(d));
        for p in points.chunks_exact(d) {
            rows.extend_from_slice(p);
            (0..d).for_each(|i| rows.extend(p[..=i].iter().map(|v| v * p[i])));
        }
        ProductRows { d, rows }
    }

    /// Over the points that are `chosen`, by number.
    pub fn sums(&self, chosen: impl Fn(usize) -> bool) -> Sums {
        let mut sums = Sums { count: 0.0, rows: vec![0.0; width(self.d)] };
        for (_, row) in self.rows.chunks_exact(width(self.d)).enumerate().filter(|(at, _)| chosen(*at)) {
            sums.rows.iter_mut().zip(row).for_each(|(s, v)| *s += v);
            sums.count += 1.0;
        }
        sums
    }
}

impl Sums {
    /// Of the points that are in `self` and not in `others`.
    pub fn without(&self, others: &Sums) -> Sums {
        Sums { count: self.count - others.count, rows: self.rows.iter().zip(&others.rows).map(|(all, other)| all - other).collect() }
    }

    /// Mean and lower triangle of the covariance.
    pub fn moments(&self, d: usize) -> (Vec<f64>, Vec<f64>) {
        let of_one: Vec<f64> = self.rows.iter().map(|s| s / self.count).collect();
        let (mean, squares) = of_one.split_at(d);
        let mut covariance = vec![0.0; d * d];
        for i in 0..d {
            let row = i * (i + 1) / 2;
            (0..=i).for_each(|j| covariance[i * d + j] = squares[row + j] - mean[i] * mean[j]);
        }
        (mean.to_vec(), covariance)
    }

    /// The ellipsoid of the covariance.
    pub fn shape(&self, d: usize) -> Ellipsoid {
        let (mean, covariance) = self.moments(d);
        Ellipsoid::new(mean, robust_cholesky(&covariance, d))
    }
}

fn width(d: usize) -> usize {
    d + d * (d + 1) / 2
}

/// The ellipsoid of the points' covariance, scaled to hold them all.
fn enclose(x: &[f64], d: usize) -> Ellipsoid {
    let (mean, covariance) = moments(x, d, &vec![1.0; x.len() / d]);
    let shape = Ellipsoid::new(mean, robust_cholesky(&covariance, d));
    let farthest = Blocks::of(x, d).radii2(&shape).into_iter().fold(0.0, f64::max);
    // A trifle more, so that rounding leaves no point outside.
    super::region::scaled(&shape, if farthest > 0.0 { farthest.sqrt() * (1.0 + 1e-9) } else { 1.0 })
}

/// Groups of the points `x` (n x d), all of which are in `whole`, for which the enlarged ellipsoids are smallest: splits go on while
/// there are points enough, and those that do not pay are taken back.
pub fn partition(whole: Cell, x: &[f64], d: usize, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> Vec<Cell> {
    let halves = Group::halves(x, d, n_bootstrap, rng);
    settle(whole, halves, d, n_bootstrap, rng)
}

/// Points split as far as they can be.
struct Group {
    points: Vec<f64>,
    halves: Option<Box<[Group; 2]>>,
    /// Log volume of the ellipsoids around it or its parts, whichever is smallest, by few resamples: rarely too large.
    promise: f64,
}

impl Group {
    fn of(points: Vec<f64>, d: usize, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> Group {
        let own = Cell::around(&points, d, n_bootstrap.min(FIRST_RESAMPLES), rng).log_volume();
        let halves = Group::halves(&points, d, n_bootstrap, rng);
        let promise = halves.as_ref().map_or(own, |halves| own.min(promise(halves)));
        Group { points, halves, promise }
    }

    fn halves(x: &[f64], d: usize, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> Option<Box<[Group; 2]>> {
        best_split(x, d).map(|sides| Box::new(sides.map(|side| Group::of(side, d, n_bootstrap, rng))))
    }
}

fn promise(halves: &[Group; 2]) -> f64 {
    log_sum(halves.each_ref().map(|half| half.promise))
}

/// `whole`, or the parts of its halves where they are smaller together.
fn settle(whole: Cell, halves: Option<Box<[Group; 2]>>, d: usize, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> Vec<Cell> {
    let Some(halves) = halves.filter(|halves| promise(halves) < whole.log_volume()) else { return vec![whole] };
    let n: usize = halves.iter().map(|half| half.points.len()).sum();
    let mut parts = Vec::new();
    for half in *halves {
        let share = half.points.len() as f64 / n as f64;
        let cell = Cell::around(&half.points, d, n_bootstrap, rng);
        let cells = settle(cell, half.halves, d, n_bootstrap, rng).into_iter();
        parts.extend(cells.map(|cell| Cell { share: cell.share * share, ..cell }));
    }
    let volumes: Vec<f64> = parts.iter().map(Cell::log_volume).collect();
    if log_sum(&volumes) < whole.log_volume() { parts } else { vec![whole] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    fn clouds(centres: &[[f64; 2]], n: usize) -> Vec<f64> {
        let mut rng = stream(3, Purpose::NestedBounds, 0, 0);
        let ball = Ellipsoid::new(vec![0.0; 2], vec![0.05, 0.0, 0.0, 0.05]);
        let mut x = Vec::new();
        for at in 0..n {
            let (mut y, mut p) = ([0.0; 2], [0.0; 2]);
            ball.draw(&mut rng, &mut y, &mut p);
            x.extend((0..2).map(|j| centres[at % centres.len()][j] + p[j]));
        }
        x
    }

    #[test]
    fn modes_get_an_ellipsoid_each_and_one_cloud_keeps_its_own() {
        for (centres, count) in [(vec![[0.5, 0.5]], 1), (vec![[0.2, 0.5], [0.8, 0.5]], 2), (vec![[0.2, 0.2], [0.8, 0.2], [0.5, 0.9]], 3)] {
            let x = clouds(&centres, 300);
            let mut rng = stream(5, Purpose::NestedBounds, 0, 0);
            let whole = Cell::around(&x, 2, 20, &mut rng);
            let cells = partition(whole, &x, 2, 20, &mut rng);
            assert_eq!(cells.len(), count);
            assert!(x.chunks_exact(2).all(|p| cells.iter().any(|c| c.ellipsoid.contains(p))));
            assert!((cells.iter().map(|c| c.share).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_enlargement_is_small_for_many_points_and_large_for_few() {
        let mut rng = stream(4, Purpose::NestedBounds, 0, 0);
        let factor = |n: usize, rng: &mut ChaCha8Rng| {
            let x = clouds(&[[0.5, 0.5]], n);
            left_out(&x, 2, 20, rng)
        };
        let (many, few) = (factor(1000, &mut rng), factor(20, &mut rng));
        assert!(many > 1.0 && many < 1.1 && few > many && few < 5.0, "{many} {few}");
    }
}
