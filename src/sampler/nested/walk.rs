//! A walk inside {L > threshold}: a state machine that names the next point to evaluate and is told its likelihood.
//!
//! Every kind of walk leaves the uniform distribution there unchanged: directions and steps never depend on where the walk stands.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::line::Line;
use super::region::Region;
use super::settings::{Interval, Proposal};
use crate::bound::linalg::lower_times;
use crate::random::{fill_normal, uniform};

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
    pub fn new(rng: ChaCha8Rng, x: Vec<f64>, log_like: f64, steps: usize, quota: u64) -> Walk {
        Walk {
            rng,
            start: x.clone(),
            trial: x.clone(),
            x,
            log_like,
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
            let ellipsoid = ground.region.pick(&mut self.rng);
            ellipsoid.draw(&mut self.rng, &mut y, &mut v);
            for (((trial, x), v), centre) in self.trial.iter_mut().zip(&self.x).zip(&v).zip(&ellipsoid.centre) {
                *trial = x + ground.scale * (v - centre);
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
        let ellipsoid = ground.region.pick(&mut self.rng);
        let white = match ground.proposal {
            Proposal::WhitenedSlice => orthonormal(d, &mut self.rng),
            Proposal::Slice => axes_in_random_order(d, &mut self.rng),
            _ => unit_vector(d, &mut self.rng),
        };
        let mut mapped = vec![0.0; white.len()];
        white.chunks_exact(d).zip(mapped.chunks_exact_mut(d)).for_each(|(w, m)| lower_times(&ellipsoid.axes, d, w, m));
        mapped
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
