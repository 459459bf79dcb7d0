//! A walk inside {L > threshold}: a state machine that names the next point to evaluate and is told its likelihood.
//!
//! Every kind of walk leaves the uniform distribution there unchanged: directions and steps never depend on where the walk stands. Nor on where it
//! began: a cell's ellipsoid was made from its points, so the start is taken out of it ([`without`]).

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::cells::Cell;
use super::line::Line;
use super::region::Region;
use super::settings::{Interval, Proposal};
use crate::bound::linalg::lower_times;
use crate::random::{fill_normal, uniform};

/// Of the variance towards a point, this much is left at least without it: few points may lie in a plane but for one.
const LEAST_LEFT: f64 = 0.1;

/// What all walks of a generation share.
pub struct Ground<'a> {
    pub region: &'a Region,
    pub threshold: f64,
    pub proposal: Proposal,
    pub interval: Interval,
    /// Of random-walk steps, and of first intervals of stepping out.
    pub scale: f64,
    /// Live points, n x d, shifted.
    pub live: &'a [f64],
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Walk {
    rng: ChaCha8Rng,
    /// Where it began and where it stands, shifted.
    pub start: Vec<f64>,
    pub x: Vec<f64>,
    pub log_like: f64,
    /// That of the point where it began.
    pub family: u32,
    /// To be evaluated.
    pub trial: Vec<f64>,
    left: usize,
    /// Calls it may still ask for.
    quota: u64,
    line: Option<Line>,
    /// Directions still to be taken, row by row.
    directions: Vec<f64>,
    pub count: Count,
}

/// What steps came to: of random walks those that moved; of slices stepping out and shrinking.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Count {
    pub calls: u64,
    pub tried: u64,
    pub moved: u64,
    pub out: u64,
    pub shrunk: u64,
}

/// What a walk wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The value of log L at `trial`.
    Value,
    Done,
    /// It may make no more calls, and is not done.
    OutOfCalls,
}

impl Walk {
    pub fn new(rng: ChaCha8Rng, x: Vec<f64>, log_like: f64, family: u32, steps: usize, quota: u64) -> Walk {
        Walk {
            rng,
            start: x.clone(),
            trial: x.clone(),
            x,
            log_like,
            family,
            left: steps,
            quota,
            line: None,
            directions: Vec::new(),
            count: Count::default(),
        }
    }

    /// Names the next point.
    pub fn next(&mut self, ground: &Ground) -> Next {
        let wants = if ground.proposal == Proposal::RandomWalk { self.step(ground) } else { self.slice(ground) };
        if !wants {
            return Next::Done;
        }
        if self.quota == 0 {
            return Next::OutOfCalls;
        }
        self.quota -= 1;
        self.count.calls += 1;
        Next::Value
    }

    pub fn told(&mut self, log_like: f64, ground: &Ground) {
        let above = log_like > ground.threshold;
        let lands = self.line.as_mut().is_none_or(|line| line.told(above, &mut self.count));
        if above && lands {
            self.x.copy_from_slice(&self.trial);
            self.log_like = log_like;
            self.count.moved += 1;
            self.line = None;
        }
    }

    /// A Metropolis step; those that leave the cube are steps too, without a call.
    fn step(&mut self, ground: &Ground) -> bool {
        let d = self.x.len();
        let (mut y, mut v) = (vec![0.0; d], vec![0.0; d]);
        while self.left > 0 {
            self.left -= 1;
            self.count.tried += 1;
            let cell = ground.region.pick(&mut self.rng);
            cell.ellipsoid.draw(&mut self.rng, &mut y, &mut v);
            self.take_out_start(ground, cell, &mut y);
            lower_times(&cell.ellipsoid.axes, d, &y, &mut v);
            for ((trial, x), v) in self.trial.iter_mut().zip(&self.x).zip(&v) {
                *trial = x + ground.scale * v;
            }
            if self.trial.iter().all(|v| (0.0..1.0).contains(v)) {
                return true;
            }
        }
        false
    }

    fn slice(&mut self, ground: &Ground) -> bool {
        loop {
            let line = match self.line.take() {
                Some(line) => line,
                None if self.left == 0 => return false,
                None => {
                    self.left -= 1;
                    self.count.tried += 1;
                    let direction = self.direction(ground);
                    Line::new(&self.x, direction, ground, &mut self.rng)
                }
            };
            let line = self.line.insert(line);
            if let Some(t) = line.next(&mut self.rng) {
                line.point(&self.x, t, &mut self.trial);
                if ground.interval == Interval::StepOut || ground.region.reaches(&self.trial) {
                    return true;
                }
                line.told(false, &mut self.count);
                continue;
            }
            // The interval has shrunk to nothing: the walk stays for this slice.
            self.line = None;
        }
    }

    fn direction(&mut self, ground: &Ground) -> Vec<f64> {
        let d = self.x.len();
        if ground.proposal == Proposal::Differential
            && let Some(apart) = self.difference(ground.live)
        {
            return apart;
        }
        if self.directions.is_empty() {
            self.directions = self.basis(ground);
        }
        self.directions.split_off(self.directions.len() - d)
    }

    /// The difference of two live points; none where they are the same.
    fn difference(&mut self, live: &[f64]) -> Option<Vec<f64>> {
        let d = self.x.len();
        let n = (live.len() / d) as f64;
        let mut pick = || {
            let at = (uniform(&mut self.rng) * n) as usize;
            &live[at * d..(at + 1) * d]
        };
        let (a, b) = (pick(), pick());
        let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        apart.iter().any(|v| *v != 0.0).then_some(apart)
    }

    /// Directions for the next slices, mapped by the axes of a cell: one at random, or a basis.
    fn basis(&mut self, ground: &Ground) -> Vec<f64> {
        let d = self.x.len();
        let cell = ground.region.pick(&mut self.rng);
        let mut white = match ground.proposal {
            Proposal::WhitenedSlice => orthonormal(d, &mut self.rng),
            Proposal::Slice => axes_in_random_order(d, &mut self.rng),
            _ => unit_vector(d, &mut self.rng),
        };
        self.take_out_start(ground, cell, &mut white);
        let mut mapped = vec![0.0; white.len()];
        white.chunks_exact(d).zip(mapped.chunks_exact_mut(d)).for_each(|(w, m)| lower_times(&cell.ellipsoid.axes, d, w, m));
        mapped
    }

    /// Vectors of the frame of a cell (rows of `white`) as they would be in the frame of its points without the start of this walk, where that is one
    /// of them. With the start among them the frame is longer towards it, by d / n in the mean; over many contours that makes volumes too small:
    /// log Z of a Gaussian in 30 dimensions of three decades of scales was 3.3 low (500 live points).
    fn take_out_start(&self, ground: &Ground, cell: &Cell, white: &mut [f64]) {
        let d = self.x.len();
        let n = cell.share * (ground.live.len() / d) as f64;
        if ground.region.is_cube() || !std::ptr::eq(ground.region.home(&self.start), cell) || n < 2.0 {
            return;
        }
        let mut towards = vec![0.0; d];
        cell.ellipsoid.whiten(&self.start, &mut towards);
        without(&towards, d as f64 / cell.spread, n, white);
    }
}

/// Rows of `white`, in a frame that n points have made, in that of the other n - 1: `towards` is the point that leaves, `scale` the square of what makes the points' covariance
/// there the identity. With y of length |y| in units of it the covariance of the others is I - y y' / (n - 1), but for a factor.
fn without(towards: &[f64], scale: f64, n: f64, white: &mut [f64]) {
    let square: f64 = towards.iter().map(|y| y * y).sum();
    let left = (1.0 - scale * square / (n - 1.0)).max(LEAST_LEFT).sqrt();
    if square > 0.0 {
        for row in white.chunks_exact_mut(towards.len()) {
            let along: f64 = row.iter().zip(towards).map(|(w, y)| w * y).sum::<f64>() / square;
            row.iter_mut().zip(towards).for_each(|(w, y)| *w -= (1.0 - left) * along * y);
        }
    }
}

fn unit_vector(d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut v = vec![0.0; d];
    fill_normal(rng, &mut v);
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    v.iter_mut().for_each(|x| *x /= norm);
    v
}

/// d random unit vectors at right angles (Gram and Schmidt).
fn orthonormal(d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut basis: Vec<f64> = Vec::with_capacity(d * d);
    while basis.len() < d * d {
        let mut v = unit_vector(d, rng);
        for b in basis.chunks_exact(d) {
            let along: f64 = b.iter().zip(&v).map(|(b, v)| b * v).sum();
            v.iter_mut().zip(b).for_each(|(v, b)| *v -= along * b);
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        // What is left of a vector almost in the span of the others is rounding.
        if norm > 1e-6 {
            basis.extend(v.iter().map(|x| x / norm));
        }
    }
    basis
}

fn axes_in_random_order(d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut order: Vec<usize> = (0..d).collect();
    for last in (1..d).rev() {
        order.swap(last, (uniform(rng) * (last + 1) as f64) as usize);
    }
    order.iter().flat_map(|axis| (0..d).map(move |j| if j == *axis { 1.0 } else { 0.0 })).collect()
}

impl Count {
    pub fn add(&mut self, other: &Count) {
        self.calls += other.calls;
        self.tried += other.tried;
        self.moved += other.moved;
        self.out += other.out;
        self.shrunk += other.shrunk;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::ellipsoid::Ellipsoid;
    use crate::bound::linalg::{moments, robust_cholesky};
    use crate::random::{Purpose, stream};
    use crate::sampler::nested::Bound;

    /// Uniform in a ball of radius 0.3 about the middle of the cube, n x d.
    fn in_ball(n: usize, d: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let axes = (0..d * d).map(|k| if k % (d + 1) == 0 { 0.3 } else { 0.0 }).collect();
        let ball = Ellipsoid::new(vec![0.5; d], axes);
        let (mut y, mut x) = (vec![0.0; d], vec![0.0; n * d]);
        x.chunks_exact_mut(d).for_each(|x| ball.draw(rng, &mut y, x));
        x
    }

    #[test]
    fn a_frame_without_a_point_is_that_of_the_others() {
        let (n, d) = (12, 3);
        let mut rng = stream(1, Purpose::NestedBounds, 0, 0);
        let points = in_ball(n, d, &mut rng);
        let shape = |x: &[f64]| {
            let (mean, covariance) = moments(x, d, &vec![1.0; x.len() / d]);
            Ellipsoid::new(mean, robust_cholesky(&covariance, d))
        };
        let (all, others) = (shape(&points), shape(&points[d..]));
        let mut towards = vec![0.0; d];
        all.whiten(&points[..d], &mut towards);
        let mut rows: Vec<f64> = (0..d * d).map(|k| f64::from(k % (d + 1) == 0)).collect();
        without(&towards, 1.0, n as f64, &mut rows);
        // axes * rows * (axes * rows)' is the others' covariance, but for n / (n - 1).
        let mut mapped = vec![0.0; d * d];
        rows.chunks_exact(d).zip(mapped.chunks_exact_mut(d)).for_each(|(w, m)| lower_times(&all.axes, d, w, m));
        let product = |a: &dyn Fn(usize, usize) -> f64, i: usize, j: usize| (0..d).map(|k| a(i, k) * a(j, k)).sum::<f64>();
        for (i, j) in [(0, 0), (1, 0), (2, 1), (2, 2)] {
            let found = product(&|i, k| mapped[k * d + i], i, j) * n as f64 / (n - 1) as f64;
            let right = product(&|i, k| others.axes[i * d + k], i, j);
            assert!((found - right).abs() < 1e-9, "{found} {right}");
        }
    }

    #[test]
    fn walks_from_the_points_that_made_the_region_end_uniformly_above_the_contour() {
        let (n, d, sets) = (40, 10, 1000);
        let log_like = |x: &[f64]| -x.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>();
        let mut total = 0.0;
        for set in 0..sets {
            let mut rng = stream(7, Purpose::NestedBounds, set, 0);
            let live = in_ball(n, d, &mut rng);
            let region = Region::around(&live, d, &[], Bound::Single, 1, &mut rng);
            let (proposal, interval) = (Proposal::WhitenedSlice, Interval::StepOut);
            let ground = Ground { region: &region, threshold: -0.09, proposal, interval, scale: 1.0, live: &live };
            for (at, start) in live.chunks_exact(d).enumerate() {
                let rng = stream(7, Purpose::NestedWalks, set, at as u64);
                let mut walk = Walk::new(rng, start.to_vec(), log_like(start), 0, d + 1, u64::MAX);
                while walk.next(&ground) == Next::Value {
                    let value = log_like(&walk.trial);
                    walk.told(value, &ground);
                }
                total += libm::pow(-walk.log_like / 0.09, 0.5 * d as f64);
            }
        }
        // Uniform numbers; with the start in the frame their mean is .510.
        let (mean, error) = (total / (n as u64 * sets) as f64, (12.0 * (n as u64 * sets) as f64).sqrt().recip());
        assert!((mean - 0.5).abs() < 4.0 * error, "{mean} +- {error}");
    }
}
