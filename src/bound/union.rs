//! Unions of cube-ellipsoid mixtures that one can draw from uniformly, and partitions into ellipsoids apart.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::ellipsoid::Ellipsoid;
use super::mixture::CubeEllipsoid;
use super::split::split;
use crate::random::uniform;
use crate::stats::log_sum;

/// How points are enclosed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enclosing {
    pub enlarge: f64,
    /// Members with fewer than twice as many points are not split.
    pub least: usize,
    /// The union is split until it is at most this many times (and enlarge^d) larger than its target.
    pub split_threshold: f64,
}

/// The part of the unit cube that some member covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Union {
    pub members: Vec<CubeEllipsoid>,
    /// Log of the summed volumes: overlaps and what sticks out of the cube counted in.
    pub log_volume: f64,
    /// Summed volumes up to each member, as shares of all.
    shares: Vec<f64>,
}

/// A component that is this many times less dense in points than the median of the others is dropped if need be.
const TRIM: f64 = 1000.0;

struct Part<T> {
    points: Vec<f64>,
    shape: T,
    blocked: bool,
}

impl Union {
    pub fn new(members: Vec<CubeEllipsoid>) -> Union {
        let log_volumes: Vec<f64> = members.iter().map(|m| m.log_volume()).collect();
        let log_volume = log_sum(&log_volumes);
        let mut total = 0.0;
        let shares = log_volumes.iter().map(|v| {
            total += libm::exp(v - log_volume);
            total
        });
        Union { shares: shares.collect(), members, log_volume }
    }

    pub fn cube(n_dim: usize) -> Union {
        Union::new(vec![CubeEllipsoid::cube(n_dim)])
    }

    /// Around the points `x` (n x d), split while it is too large for `log_target`.
    pub fn around(x: &[f64], d: usize, log_target: f64, how: Enclosing, rng: &mut ChaCha8Rng) -> Union {
        let shape = CubeEllipsoid::around(x, d, how.enlarge);
        let mut parts = vec![Part { points: x.to_vec(), shape, blocked: x.len() / d < 2 * how.least }];
        let most = log_target + libm::log(how.split_threshold) + d as f64 * libm::log(how.enlarge);
        while total(&parts) > most {
            let Some(at) = largest(&parts) else { break };
            let halves = halve(&parts[at].points, d, &parts[at].shape, how, rng);
            let smaller = log_sum([halves[0].shape.log_volume(), halves[1].shape.log_volume()]);
            if smaller < parts[at].shape.log_volume() {
                parts.swap_remove(at);
                parts.extend(halves);
            } else {
                parts[at].blocked = true;
            }
        }
        while total(&parts) > most && trim(&mut parts, d) {}
        Union::new(parts.into_iter().map(|p| p.shape).collect())
    }

    /// Whether a point of the cube is in some member.
    pub fn contains(&self, x: &[f64]) -> bool {
        self.members.iter().any(|m| m.contains(x))
    }

    /// Whether every try gives a point: `log_volume` is that of what is covered.
    pub fn is_one_inside_the_cube(&self) -> bool {
        match self.members.as_slice() {
            [CubeEllipsoid { ellipsoid: Some(e), .. }] => {
                let reach = |row: &[f64]| row.iter().map(|a| a * a).sum::<f64>().sqrt();
                e.axes.chunks_exact(e.d()).zip(&e.centre).all(|(row, c)| c - reach(row) >= 0.0 && c + reach(row) < 1.0)
            }
            members => members.len() == 1,
        }
    }

    /// One try at a uniform point into `x`: false when it fell outside the cube or into an overlap's share.
    pub fn try_draw(&self, rng: &mut ChaCha8Rng, room: &mut [f64], x: &mut [f64]) -> bool {
        let pick = if self.members.len() == 1 {
            0
        } else {
            let u = uniform(rng);
            self.shares.partition_point(|s| *s <= u).min(self.members.len() - 1)
        };
        self.members[pick].draw(rng, room, x);
        if x.iter().any(|v| !(0.0..1.0).contains(v)) {
            return false;
        }
        if self.members.len() == 1 {
            return true;
        }
        let covers = self.members.iter().enumerate().filter(|(at, m)| *at == pick || m.contains(x)).count();
        covers == 1 || uniform(rng) * (covers as f64) < 1.0
    }
}

/// The ellipsoids into which the points `x` (n x d) fall apart without overlap: usually one, unless modes are well apart.
pub fn partition(x: &[f64], d: usize, how: Enclosing, rng: &mut ChaCha8Rng) -> Vec<Ellipsoid> {
    let shape = CubeEllipsoid { n_dim: d, dims: (0..d).collect(), ellipsoid: Some(Ellipsoid::around(x, d, how.enlarge)) };
    let mut parts = vec![Part { points: x.to_vec(), shape, blocked: x.len() / d < 2 * how.least }];
    while let Some(at) = largest(&parts) {
        let [first, second] = halve_apart(&parts[at].points, d, &parts[at].shape, how, rng);
        let (a, b) = (inner(&first), inner(&second));
        let others = parts.iter().enumerate().filter(|(k, _)| *k != at).map(|(_, p)| inner(p));
        if a.overlaps(b) || others.into_iter().any(|o| o.overlaps(a) || o.overlaps(b)) {
            break;
        }
        if log_sum([a.log_volume, b.log_volume]) > inner(&parts[at]).log_volume {
            parts[at].blocked = true;
            continue;
        }
        parts.swap_remove(at);
        parts.extend([first, second]);
    }
    parts.into_iter().filter_map(|p| p.shape.ellipsoid).collect()
}

fn inner(part: &Part<CubeEllipsoid>) -> &Ellipsoid {
    part.shape.ellipsoid.as_ref().expect("a partition has ellipsoids in all dimensions")
}

/// Both sides of a split of the points of one member, each enclosed anew.
fn halve(x: &[f64], d: usize, shape: &CubeEllipsoid, how: Enclosing, rng: &mut ChaCha8Rng) -> [Part<CubeEllipsoid>; 2] {
    let sides = sides(x, d, shape, how, rng);
    sides.map(|points| Part { shape: CubeEllipsoid::around(&points, d, how.enlarge), blocked: points.len() / d < 2 * how.least, points })
}

fn halve_apart(x: &[f64], d: usize, shape: &CubeEllipsoid, how: Enclosing, rng: &mut ChaCha8Rng) -> [Part<CubeEllipsoid>; 2] {
    sides(x, d, shape, how, rng).map(|points| Part {
        shape: CubeEllipsoid { n_dim: d, dims: (0..d).collect(), ellipsoid: Some(Ellipsoid::around(&points, d, how.enlarge)) },
        blocked: points.len() / d < 2 * how.least,
        points,
    })
}

fn sides(x: &[f64], d: usize, shape: &CubeEllipsoid, how: Enclosing, rng: &mut ChaCha8Rng) -> [Vec<f64>; 2] {
    let white = match &shape.ellipsoid {
        Some(e) if e.d() == d => e.whiten_all(x),
        _ => x.to_vec(),
    };
    let labels = split(&white, d, how.least, rng);
    let side = |which: bool| {
        let members = x.chunks_exact(d).zip(&labels).filter(|(_, l)| **l == which);
        members.flat_map(|(p, _)| p.iter().copied()).collect()
    };
    [side(false), side(true)]
}

fn total(parts: &[Part<CubeEllipsoid>]) -> f64 {
    log_sum(parts.iter().map(|p| p.shape.log_volume()))
}

/// The largest part that may be split.
fn largest(parts: &[Part<CubeEllipsoid>]) -> Option<usize> {
    let free = parts.iter().enumerate().filter(|(_, p)| !p.blocked);
    free.max_by(|a, b| a.1.shape.log_volume().total_cmp(&b.1.shape.log_volume())).map(|(at, _)| at)
}

/// Drops the least dense member if it is far less dense than the median of the others.
fn trim(parts: &mut Vec<Part<CubeEllipsoid>>, d: usize) -> bool {
    if parts.len() < 2 {
        return false;
    }
    let density = |p: &Part<CubeEllipsoid>| libm::log((p.points.len() / d) as f64) - p.shape.log_volume();
    let lowest = (0..parts.len()).min_by(|a, b| density(&parts[*a]).total_cmp(&density(&parts[*b]))).unwrap_or(0);
    let mut others: Vec<f64> = (0..parts.len()).filter(|k| *k != lowest).map(|k| density(&parts[k])).collect();
    others.sort_by(f64::total_cmp);
    let sparse = density(&parts[lowest]) < others[others.len() / 2] - libm::log(TRIM);
    if sparse {
        parts.swap_remove(lowest);
    }
    sparse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    const HOW: Enclosing = Enclosing { enlarge: 1.1, least: 52, split_threshold: 2.0 };

    /// Points of an L: a foot and a stem.
    fn corner(n: usize) -> Vec<f64> {
        let mut rng = stream(7, Purpose::Decisions, 0, 0);
        let mut point = || {
            let (along, across) = (0.1 + 0.8 * uniform(&mut rng), 0.1 + 0.05 * uniform(&mut rng));
            if uniform(&mut rng) < 0.5 { [along, across] } else { [across, along] }
        };
        (0..n).flat_map(|_| point()).collect()
    }

    #[test]
    fn a_corner_is_covered_by_several_members_and_drawn_from_uniformly() {
        let x = corner(1000);
        let mut rng = stream(8, Purpose::Decisions, 0, 0);
        let union = Union::around(&x, 2, (0.05f64).ln(), HOW, &mut rng);
        assert!(union.members.len() >= 2, "{}", union.members.len());
        assert!(x.chunks_exact(2).all(|p| union.contains(p)));
        let (mut room, mut p, mut taken, mut right) = (vec![0.0; 4], vec![0.0; 2], 0.0, 0.0);
        for _ in 0..40_000 {
            if union.try_draw(&mut rng, &mut room, &mut p) {
                taken += 1.0;
                right += if p[0] > 0.12 { 1.0 } else { 0.0 };
            }
        }
        // By rejection from the square: the area, and the share of the right half.
        let (mut area, mut area_right) = (0.0, 0.0);
        for _ in 0..40_000 {
            let p = [uniform(&mut rng), uniform(&mut rng)];
            if union.contains(&p) {
                area += 1.0 / 40_000.0;
                area_right += if p[0] > 0.12 { 1.0 / 40_000.0 } else { 0.0 };
            }
        }
        let volume = union.log_volume.exp() * taken / 40_000.0;
        assert!((volume / area - 1.0).abs() < 0.06, "{volume} {area}");
        assert!((right / taken - area_right / area).abs() < 0.02);
    }

    #[test]
    fn modes_apart_get_an_ellipsoid_each_and_one_cloud_gets_one() {
        let mut rng = stream(9, Purpose::Decisions, 0, 0);
        let mut cloud = |c: f64| (0..200).flat_map(|_| [c + 0.05 * uniform(&mut rng), c + 0.05 * uniform(&mut rng)]).collect::<Vec<f64>>();
        let (a, b) = (cloud(0.2), cloud(0.7));
        let mut rng = stream(10, Purpose::Decisions, 0, 0);
        assert_eq!(partition(&[a.clone(), b].concat(), 2, HOW, &mut rng).len(), 2);
        assert_eq!(partition(&a, 2, HOW, &mut rng).len(), 1);
    }
}
