//! How a group of live points is split in two: two-means from several starts, of which the two smallest ellipsoids win.

use super::cells::{ProductRows, Sums};
use crate::bound::blocks::{Blocks, WIDE};
use crate::stats::log_sum;

const LLOYD_STEPS: usize = 10;
const POWER_STEPS: usize = 20;
/// Above so many dimensions splits are tried along the longest direction only.
const MOST_STARTS: usize = 12;

/// Fewest points of a group.
fn least(d: usize) -> usize {
    2 * d + 6
}

/// Of the splits of `x` (n x d) found from several starts, the one with the smallest two ellipsoids.
pub fn best_split(x: &[f64], d: usize) -> Option<[Vec<f64>; 2]> {
    if x.len() / d < 2 * least(d) {
        return None;
    }
    let white = standardised(x, d);
    let (blocks, rows) = (Blocks::of(&white, d), ProductRows::of(&white, d));
    let all = rows.sums(|_| true);
    let mut starts = vec![longest(&all.moments(d).1, d)];
    if d <= MOST_STARTS && d > 1 {
        starts.extend((0..d).map(|j| (0..d).map(|i| if i == j { 1.0 } else { 0.0 }).collect()));
    }
    let mut best: Option<(f64, Vec<bool>)> = None;
    let mut seen: Vec<Vec<bool>> = Vec::new();
    for start in starts {
        let mut labels = two_means(&blocks, start);
        if labels[0] {
            labels.iter_mut().for_each(|label| *label = !*label);
        }
        let count = labels.iter().filter(|l| **l).count();
        if count.min(blocks.n - count) < least(d) || seen.contains(&labels) {
            continue;
        }
        let above = rows.sums(|at| labels[at]);
        let of = |which, sums: &Sums| log_volume(&side(&white, d, &labels, which), d, sums);
        let volume = log_sum([of(false, &all.without(&above)), of(true, &above)]);
        if best.as_ref().is_none_or(|(least, _)| volume < *least) {
            best = Some((volume, labels.clone()));
        }
        seen.push(labels);
    }
    best.map(|(_, labels)| [side(x, d, &labels, false), side(x, d, &labels, true)])
}

fn side(x: &[f64], d: usize, labels: &[bool], which: bool) -> Vec<f64> {
    let mut chosen = Vec::with_capacity(x.len());
    x.chunks_exact(d).zip(labels).filter(|(_, l)| **l == which).for_each(|(p, _)| chosen.extend_from_slice(p));
    chosen
}

/// Log volume of the ellipsoid of the covariance, scaled to hold the points.
fn log_volume(points: &[f64], d: usize, sums: &Sums) -> f64 {
    let shape = sums.shape(d);
    let farthest = Blocks::of(points, d).radii2(&shape).into_iter().fold(0.0, f64::max);
    shape.log_volume + 0.5 * d as f64 * libm::log(farthest.max(1e-300))
}

/// Centred, each coordinate divided by its standard deviation.
fn standardised(x: &[f64], d: usize) -> Vec<f64> {
    let n = (x.len() / d) as f64;
    let (mut white, mut mean, mut variance) = (x.to_vec(), vec![0.0; d], vec![0.0; d]);
    x.chunks_exact(d).for_each(|p| mean.iter_mut().zip(p).for_each(|(m, v)| *m += v / n));
    for p in white.chunks_exact_mut(d) {
        p.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m);
        variance.iter_mut().zip(p).for_each(|(s, v)| *s += *v * *v / n);
    }
    let scale: Vec<f64> = variance.iter().map(|v| 1.0 / v.sqrt().max(1e-300)).collect();
    white.chunks_exact_mut(d).for_each(|p| p.iter_mut().zip(&scale).for_each(|(v, s)| *v *= s));
    white
}

/// The unit vector along which points of this covariance (its lower triangle) are spread most, by power iteration.
fn longest(covariance: &[f64], d: usize) -> Vec<f64> {
    // No coordinate is left out of the start, and none ties with another.
    let mut v: Vec<f64> = (0..d).map(|j| 1.0 + 0.1 * j as f64).collect();
    for _ in 0..POWER_STEPS {
        let next: Vec<f64> = (0..d).map(|i| (0..d).map(|j| covariance[i.max(j) * d + i.min(j)] * v[j]).sum()).collect();
        let norm = next.iter().map(|x: &f64| x * x).sum::<f64>().sqrt();
        if norm < 1e-300 {
            break;
        }
        v = next.iter().map(|x| x / norm).collect();
    }
    v
}

/// Two-means (Lloyd 1982) of centred points from centres at `start` and opposite to it. With the points centred, the sum of one side is
/// that of the other with its sign changed, and so the centres are on one line.
fn two_means(blocks: &Blocks, start: Vec<f64>) -> Vec<bool> {
    let (mut sum, mut halfway) = (start, 0.0);
    let (mut labels, n) = (Vec::new(), blocks.n);
    for _ in 0..LLOYD_STEPS {
        let (now, total) = divide(blocks, &sum, halfway);
        let above = now.iter().filter(|l| **l).count();
        if now == labels || above % n == 0 {
            return now;
        }
        (labels, sum) = (now, total);
        halfway = 0.5 * (1.0 / above as f64 - 1.0 / (n - above) as f64) * sum.iter().map(|s| s * s).sum::<f64>();
    }
    labels
}

/// Which points are farther than `halfway` along `direction`, and their sum.
fn divide(blocks: &Blocks, direction: &[f64], halfway: f64) -> (Vec<bool>, Vec<f64>) {
    let mut labels = Vec::with_capacity(blocks.n + WIDE);
    let mut sums = vec![[0.0; WIDE]; direction.len()];
    for block in blocks.iter() {
        let mut along = [0.0; WIDE];
        for (x, v) in block.iter().zip(direction) {
            (0..WIDE).for_each(|lane| along[lane] += x[lane] * v);
        }
        // What fills up the last block counts for nothing.
        let here = blocks.n - labels.len();
        let weight: [f64; WIDE] = std::array::from_fn(|lane| if lane < here && along[lane] > halfway { 1.0 } else { 0.0 });
        for (sum, x) in sums.iter_mut().zip(block) {
            (0..WIDE).for_each(|lane| sum[lane] += weight[lane] * x[lane]);
        }
        labels.extend(weight.map(|w| w > 0.0));
    }
    labels.truncate(blocks.n);
    (labels, sums.iter().map(|s| s.iter().sum()).collect())
}
