//! MLFriends: a ball around each live point, as large as points left out ask for, in a frame whitened cluster by cluster
//! (Buchner 2016, Stat. Comput. 26, 383; 2019, PASP 131, 108005).

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::bound::ellipsoid::Ellipsoid;
use crate::bound::linalg::{moments, robust_cholesky};
use crate::random::uniform;

/// Rounds of: radius, clusters at that radius, frame that whitens within clusters.
const ROUNDS: usize = 2;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Friends {
    d: usize,
    /// Unit balls of this frame are the neighbourhoods (its centre is not used).
    frame: Ellipsoid,
    /// n x d, in the frame.
    #[serde(with = "crate::bulk::reals")]
    centres: Vec<f64>,
    radius2: f64,
}

impl Friends {
    /// Around the points `x` (n x d).
    pub fn around(x: &[f64], d: usize, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> Friends {
        let n = x.len() / d;
        let mut clusters = vec![0; n];
        let mut friends = Friends { d, frame: within(x, d, &clusters), centres: Vec::new(), radius2: 0.0 };
        for _ in 0..ROUNDS {
            friends.frame = within(x, d, &clusters);
            friends.centres = friends.frame.whiten_all(x);
            friends.radius2 = friends.left_out(n_bootstrap, rng);
            clusters = friends.clusters();
        }
        friends
    }

    fn n(&self) -> usize {
        self.centres.len() / self.d
    }

    fn centre(&self, at: usize) -> &[f64] {
        &self.centres[at * self.d..(at + 1) * self.d]
    }

    /// The largest squared distance of a left-out point to its nearest kept one.
    fn left_out(&self, n_bootstrap: usize, rng: &mut ChaCha8Rng) -> f64 {
        let n = self.n();
        let mut largest = 0.0f64;
        for _ in 0..n_bootstrap {
            let mut taken = vec![false; n];
            (0..n).for_each(|_| taken[(uniform(rng) * n as f64) as usize] = true);
            let kept: Vec<&[f64]> = (0..n).filter(|at| taken[*at]).map(|at| self.centre(at)).collect();
            let nearest = |at: usize| kept.iter().map(|k| distance2(k, self.centre(at))).fold(f64::INFINITY, f64::min);
            largest = (0..n).filter(|at| !taken[*at]).map(nearest).fold(largest, f64::max);
        }
        // Points that are all the same still get some room.
        largest.max(1e-12)
    }

    /// For each point the number of its cluster: chains of neighbours within the radius.
    fn clusters(&self) -> Vec<usize> {
        let n = self.n();
        let mut of = vec![usize::MAX; n];
        let mut count = 0;
        for first in 0..n {
            if of[first] != usize::MAX {
                continue;
            }
            let mut open = vec![first];
            of[first] = count;
            while let Some(at) = open.pop() {
                for (other, cluster) in of.iter_mut().enumerate() {
                    if *cluster == usize::MAX && distance2(self.centre(at), self.centre(other)) <= self.radius2 {
                        *cluster = count;
                        open.push(other);
                    }
                }
            }
            count += 1;
        }
        of
    }

    /// Log volume from which [`Friends::try_draw`] tries.
    pub fn log_tried(&self) -> f64 {
        libm::log(self.n() as f64) + self.frame.log_volume + 0.5 * self.d as f64 * libm::log(self.radius2)
    }

    /// One try at a uniform point of the union of balls and of the cube.
    pub fn try_draw(&self, rng: &mut ChaCha8Rng, x: &mut [f64]) -> bool {
        let around = self.centre((uniform(rng) * self.n() as f64) as usize);
        let unit = Ellipsoid::new(vec![0.0; self.d], identity(self.d));
        let (mut room, mut y) = (vec![0.0; self.d], vec![0.0; self.d]);
        unit.draw(rng, &mut room, &mut y);
        let radius = self.radius2.sqrt();
        y.iter_mut().zip(around).for_each(|(y, c)| *y = *y * radius + c);
        crate::bound::linalg::lower_times(&self.frame.axes, self.d, &y, x);
        x.iter_mut().zip(&self.frame.centre).for_each(|(x, c)| *x += c);
        if x.iter().any(|v| !(0.0..1.0).contains(v)) {
            return false;
        }
        let covers = self.centres.chunks_exact(self.d).filter(|c| distance2(c, &y) <= self.radius2).count();
        uniform(rng) * (covers.max(1) as f64) < 1.0
    }
}

fn identity(d: usize) -> Vec<f64> {
    (0..d * d).map(|k| if k % (d + 1) == 0 { 1.0 } else { 0.0 }).collect()
}

fn distance2(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The frame of the covariance of points about the means of their clusters.
fn within(x: &[f64], d: usize, clusters: &[usize]) -> Ellipsoid {
    let count = clusters.iter().max().map_or(0, |most| most + 1);
    let (mut sums, mut sizes) = (vec![0.0; count * d], vec![0.0; count]);
    for (p, k) in x.chunks_exact(d).zip(clusters) {
        sizes[*k] += 1.0;
        sums[k * d..(k + 1) * d].iter_mut().zip(p).for_each(|(s, v)| *s += v);
    }
    let centred: Vec<f64> = x
        .chunks_exact(d)
        .zip(clusters)
        .flat_map(|(p, k)| (0..d).map(|j| p[j] - sums[k * d + j] / sizes[*k]).collect::<Vec<f64>>())
        .collect();
    let (_, covariance) = moments(&centred, d, &vec![1.0; clusters.len()]);
    let (mean, _) = moments(x, d, &vec![1.0; clusters.len()]);
    Ellipsoid::new(mean, robust_cholesky(&covariance, d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn a_ring_is_covered_hole_left_out_and_drawn_from_uniformly() {
        let mut rng = stream(1, Purpose::NestedBounds, 0, 0);
        let mut ring = |n: usize| -> Vec<f64> {
            let mut x = Vec::new();
            while x.len() < 2 * n {
                let p = [uniform(&mut rng), uniform(&mut rng)];
                let r = ((p[0] - 0.5).powi(2) + (p[1] - 0.5).powi(2)).sqrt();
                if (0.3..0.35).contains(&r) {
                    x.extend(p);
                }
            }
            x
        };
        let (x, fresh) = (ring(400), ring(400));
        let mut rng = stream(2, Purpose::NestedBounds, 0, 0);
        let friends = Friends::around(&x, 2, 30, &mut rng);
        let holds = |p: &[f64]| {
            let mut y = [0.0; 2];
            friends.frame.whiten(p, &mut y);
            friends.centres.chunks_exact(2).any(|c| distance2(c, &y) <= friends.radius2)
        };
        assert!(fresh.chunks_exact(2).filter(|p| holds(p)).count() >= 398);
        assert!(!holds(&[0.5, 0.5]));
        let (mut p, mut taken, mut right) = ([0.0; 2], 0, 0);
        for _ in 0..20_000 {
            if friends.try_draw(&mut rng, &mut p) {
                taken += 1;
                right += usize::from(p[0] > 0.5);
            }
        }
        let volume = friends.log_tried().exp() * taken as f64 / 20_000.0;
        assert!(volume > 0.1 && volume < 0.35, "{volume}");
        assert!((right as f64 / taken as f64 - 0.5).abs() < 0.03);
    }
}
