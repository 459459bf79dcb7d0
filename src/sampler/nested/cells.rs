//! Ellipsoids around groups of live points: how points fall into groups, and how much larger than their group the ellipsoids must be.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::bound::ellipsoid::Ellipsoid;
use crate::bound::linalg::{moments, robust_cholesky};
use crate::random::uniform;
use crate::stats::log_sum;

const LLOYD_STEPS: usize = 10;
const POWER_STEPS: usize = 20;
/// Above so many dimensions splits are tried along the longest direction only.
const MOST_STARTS: usize = 12;

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
    let products = with_products(points, d);
    let mut largest = 1.0f64;
    for _ in 0..n_bootstrap {
        let mut taken = vec![false; n];
        (0..n).for_each(|_| taken[(uniform(rng) * n as f64) as usize] = true);
        let shape = around_taken(&products, &taken, d);
        let mut farthest = [0.0f64; 2];
        for (p, taken) in points.chunks_exact(d).zip(&taken) {
            let side = &mut farthest[usize::from(*taken)];
            *side = side.max(shape.radius2(p));
        }
        let [outside, inside] = farthest;
        largest = largest.max(if inside > 0.0 { outside / inside } else { outside });
    }
    largest.sqrt()
}

/// Of each point its coordinates and their products, so that the moments of many resamples are sums.
fn with_products(points: &[f64], d: usize) -> Vec<f64> {
    let mut rows = Vec::with_capacity(points.len() / d * (d + d * (d + 1) / 2));
    for p in points.chunks_exact(d) {
        rows.extend_from_slice(p);
        (0..d).for_each(|i| rows.extend(p[..=i].iter().map(|v| v * p[i])));
    }
    rows
}

/// The shape of the covariance of the points that were taken, from the rows of [`with_products`].
fn around_taken(products: &[f64], taken: &[bool], d: usize) -> Ellipsoid {
    let mut sums = vec![0.0; products.len() / taken.len()];
    for (row, _) in products.chunks_exact(sums.len()).zip(taken).filter(|(_, taken)| **taken) {
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += v);
    }
    let count = taken.iter().filter(|taken| **taken).count() as f64;
    sums.iter_mut().for_each(|s| *s /= count);
    let (mean, squares) = sums.split_at(d);
    let mut covariance = vec![0.0; d * d];
    for i in 0..d {
        let row = i * (i + 1) / 2;
        (0..=i).for_each(|j| covariance[i * d + j] = squares[row + j] - mean[i] * mean[j]);
    }
    Ellipsoid::new(mean.to_vec(), robust_cholesky(&covariance, d))
}

/// The ellipsoid of the points' covariance, scaled to hold them all.
pub fn enclose(x: &[f64], d: usize) -> Ellipsoid {
    let (mean, covariance) = moments(x, d, &vec![1.0; x.len() / d]);
    let shape = Ellipsoid::new(mean, robust_cholesky(&covariance, d));
    let farthest = x.chunks_exact(d).map(|p| shape.radius2(p)).fold(0.0, f64::max);
    // A trifle more, so that rounding leaves no point outside.
    super::region::scaled(&shape, if farthest > 0.0 { farthest.sqrt() * (1.0 + 1e-9) } else { 1.0 })
}

/// Groups of the points `x` (n x d), all of which are in `whole`, for which the enlarged ellipsoids are smallest: splits go on while
/// there are points enough, and those that do not pay are taken back.
pub fn partition(whole: Cell, x: &[f64], d: usize, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> Vec<Cell> {
    let Some(sides) = best_split(x, d) else { return vec![whole] };
    let mut parts = Vec::new();
    for side in &sides {
        let share = side.len() as f64 / x.len() as f64;
        let cell = Cell::around(side, d, n_bootstrap, rng);
        let cells = partition(cell, side, d, n_bootstrap, rng).into_iter();
        parts.extend(cells.map(|cell| Cell { share: cell.share * share, ..cell }));
    }
    let volumes: Vec<f64> = parts.iter().map(Cell::log_volume).collect();
    if log_sum(&volumes) < whole.log_volume() {
        return parts;
    }
    vec![whole]
}

/// Fewest points of a group.
fn least(d: usize) -> usize {
    2 * d + 6
}

/// Of the splits found from several starts, the one with the smallest two ellipsoids.
fn best_split(x: &[f64], d: usize) -> Option<[Vec<f64>; 2]> {
    let n = x.len() / d;
    if n < 2 * least(d) {
        return None;
    }
    let white = standardised(x, d);
    let mut starts = vec![longest(&white, d)];
    if d <= MOST_STARTS && d > 1 {
        starts.extend((0..d).map(|j| (0..d).map(|i| if i == j { 1.0 } else { 0.0 }).collect()));
    }
    let mut best: Option<(f64, [Vec<f64>; 2])> = None;
    for start in starts {
        let labels = two_means(&white, d, &start);
        let side = |which: bool| -> Vec<f64> {
            x.chunks_exact(d).zip(&labels).filter(|(_, l)| **l == which).flat_map(|(p, _)| p.iter().copied()).collect()
        };
        let sides = [side(false), side(true)];
        if sides.iter().all(|s| s.len() / d >= least(d)) {
            let volume = log_sum(sides.each_ref().map(|s| enclose(s, d).log_volume));
            if best.as_ref().is_none_or(|(least, _)| volume < *least) {
                best = Some((volume, sides));
            }
        }
    }
    best.map(|(_, sides)| sides)
}

/// Centred, each coordinate divided by its standard deviation.
fn standardised(x: &[f64], d: usize) -> Vec<f64> {
    let (mean, covariance) = moments(x, d, &vec![1.0; x.len() / d]);
    let scale: Vec<f64> = (0..d).map(|j| covariance[j * d + j].sqrt().max(1e-300)).collect();
    let mut white = x.to_vec();
    for p in white.chunks_exact_mut(d) {
        p.iter_mut().zip(&mean).zip(&scale).for_each(|((p, m), s)| *p = (*p - m) / s);
    }
    white
}

/// The unit vector along which the centred points are spread most, by power iteration.
fn longest(white: &[f64], d: usize) -> Vec<f64> {
    let (_, covariance) = moments(white, d, &vec![1.0; white.len() / d]);
    // No coordinate is left out of the start, and none ties with another.
    let mut v: Vec<f64> = (0..d).map(|j| 1.0 + 0.1 * j as f64).collect();
    for _ in 0..POWER_STEPS {
        let next: Vec<f64> = (0..d).map(|i| (0..d).map(|j| covariance[i * d + j] * v[j]).sum()).collect();
        let norm = next.iter().map(|x: &f64| x * x).sum::<f64>().sqrt();
        if norm < 1e-300 {
            break;
        }
        v = next.iter().map(|x| x / norm).collect();
    }
    v
}

/// Two-means (Lloyd 1982) of centred points from centres at `start` and opposite to it.
fn two_means(white: &[f64], d: usize, start: &[f64]) -> Vec<bool> {
    let mut centres = [start.iter().map(|v| -v).collect::<Vec<f64>>(), start.to_vec()];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut labels = Vec::new();
    for _ in 0..LLOYD_STEPS {
        let apart: Vec<f64> = centres[1].iter().zip(&centres[0]).map(|(b, a)| b - a).collect();
        let halfway = 0.5 * (dot(&centres[0], &apart) + dot(&centres[1], &apart));
        let now: Vec<bool> = white.chunks_exact(d).map(|p| dot(p, &apart) > halfway).collect();
        if now == labels {
            break;
        }
        labels = now;
        for (which, centre) in centres.iter_mut().enumerate() {
            let mut total = vec![0.0; d];
            let mut count = 0.0;
            for (p, _) in white.chunks_exact(d).zip(&labels).filter(|(_, l)| **l == (which == 1)) {
                total.iter_mut().zip(p).for_each(|(t, v)| *t += v);
                count += 1.0;
            }
            if count > 0.0 {
                *centre = total.iter().map(|t| t / count).collect();
            }
        }
    }
    labels
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
