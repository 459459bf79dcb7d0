//! One generation: the points above one contour that replace a block, by uniform draws from a region or by walks.

use serde::{Deserialize, Serialize};

use super::region::Region;
use super::run::Run;
use super::settings::{Bound, Interval, Proposal};
use super::walk::{Count, Ground, Next, Walk};
use crate::random::{Purpose, stream, uniform};

/// Share of random-walk steps that should move.
const GOOD_SHARE: f64 = 0.5;
/// A block of draws holds this many times what should do.
const SURPLUS: f64 = 1.1;
/// Draws of a block at most, in live points.
const MOST_DRAWS: usize = 16;
/// Where a split of the live points did not pay, it is tried again after so many generations: most of a region's cost is in splits.
const SPLIT_AGAIN: u64 = 4;
/// Tries of the region for each draw at most: they cost no likelihood, but time.
const MOST_TRIES: usize = 2000;
/// Blocks of draws of a generation at most: a bound that holds nothing above the threshold would be drawn from for ever.
const MOST_BLOCKS: u64 = 1000;

/// What is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Work {
    None,
    Prior(Draws),
    Uniform(Draws),
    Walks { walks: Vec<Walk>, open: usize, short: bool },
}

/// Points of the cube (n x d), and the answers so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Draws {
    pub u: Vec<f64>,
    pub log_like: Vec<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Generation {
    pub number: u64,
    threshold: f64,
    wanted: usize,
    region: Region,
    /// The live points that are left, n x d, shifted; their likelihoods.
    live: Vec<f64>,
    live_log_like: Vec<f64>,
    live_family: Vec<u32>,
    /// With the family of each.
    found: Vec<(Vec<f64>, f64, Option<u32>)>,
    /// Good draws beyond what was wanted: uniform above an older contour, so also above a newer one that they exceed.
    pub spare: Vec<(Vec<f64>, f64)>,
    blocks: u64,
    /// Share of draws that exceed the contour, as far as is known.
    efficiency: f64,
    /// Of steps, in units of the region's ellipsoids; learned from one generation for the next.
    scale: f64,
    pub steps: Count,
    /// Of one walk, in the last generation that had any.
    walk_calls: Option<f64>,
}

impl Generation {
    pub fn new(n_dim: usize) -> Generation {
        Generation {
            number: 0,
            threshold: 0.0,
            wanted: 0,
            region: Region::cube(n_dim),
            live: Vec::new(),
            live_log_like: Vec::new(),
            live_family: Vec::new(),
            found: Vec::new(),
            spare: Vec::new(),
            blocks: 0,
            efficiency: 1.0,
            scale: 1.0,
            steps: Count::default(),
            walk_calls: None,
        }
    }

    pub fn n_cells(&self) -> usize {
        self.region.cells.len()
    }

    fn missing(&self) -> usize {
        self.wanted - self.found.len()
    }

    /// Fills what is wanted from good draws, in their order.
    fn take(&mut self, good: impl Iterator<Item = (Vec<f64>, f64)>) {
        for (u, l) in good.filter(|(_, l)| *l > self.threshold).collect::<Vec<_>>() {
            if self.missing() > 0 { self.found.push((u, l, None)) } else { self.spare.push((u, l)) }
        }
    }

    fn learn_scale(&mut self, count: &Count, proposal: Proposal, interval: Interval) {
        if proposal == Proposal::RandomWalk {
            let share = count.moved as f64 / count.tried.max(1) as f64;
            self.scale = (self.scale * libm::exp(share - GOOD_SHARE)).clamp(1e-4, 4.0);
        } else if interval == Interval::StepOut {
            let (out, shrunk) = (count.out as f64, count.shrunk as f64);
            self.scale *= (2.0 * (out + 1.0) / (out + shrunk + 2.0)).clamp(0.5, 2.0);
        }
        let all = &mut self.steps;
        all.calls += count.calls;
        all.tried += count.tried;
        all.moved += count.moved;
    }
}

impl Run {
    /// Starts to look for `wanted` points above the threshold, from the points `seeds` of the book that are above it.
    pub fn begin_generation(&mut self, threshold: f64, wanted: usize, seeds: &[u32]) {
        let g = &mut self.generation;
        g.number += 1;
        let mut rng = stream(self.seed, Purpose::NestedBounds, g.number, 0);
        let u: Vec<f64> = seeds.iter().flat_map(|id| self.book.at(*id).iter().copied()).collect();
        let bound = match self.settings.bound {
            Bound::Multi if g.n_cells() == 1 && g.number % SPLIT_AGAIN != 1 => Bound::Single,
            bound => bound,
        };
        g.region = Region::around(&u, self.n_dim, &self.periodic, bound, self.settings.n_bootstrap, &mut rng);
        g.live = u;
        g.live.chunks_exact_mut(self.n_dim).for_each(|p| g.region.shift.apply(p));
        g.live_log_like = seeds.iter().map(|id| self.book.log_like[*id as usize]).collect();
        g.live_family = seeds.iter().map(|id| self.book.family[*id as usize]).collect();
        (g.threshold, g.wanted, g.blocks) = (threshold, wanted, 0);
        g.found.clear();
        let spare = std::mem::take(&mut g.spare);
        g.take(spare.into_iter());
        g.efficiency = libm::exp(self.pass.log_x - g.region.log_volume(&mut rng)).min(1.0);
        self.go_on();
    }

    /// Draws where that is cheaper, else walks; the next generation when all is found.
    fn go_on(&mut self) {
        if self.generation.missing() == 0 {
            return self.end_generation();
        }
        if self.calls_left() < self.generation.missing() as u64 {
            return self.finish_out_of_calls();
        }
        let drawn_enough = self.generation.blocks >= MOST_BLOCKS;
        if self.generation.efficiency < self.least_efficiency() || drawn_enough || !self.draw_block() {
            self.start_walks();
        }
    }

    /// Share of good draws below which walks cost fewer calls.
    fn least_efficiency(&self) -> f64 {
        let walk = || self.generation.walk_calls.unwrap_or(self.settings.walk_calls(self.n_dim));
        match self.settings.proposal {
            Proposal::Uniform => 0.0,
            _ => self.settings.min_efficiency.unwrap_or_else(|| 1.0 / walk()),
        }
    }

    /// Puts a block of candidates on the way; false when the region gives none.
    fn draw_block(&mut self) -> bool {
        let g = &mut self.generation;
        let enough = SURPLUS * g.missing() as f64 / g.efficiency.max(1e-6) + 2.0;
        let most = (MOST_DRAWS * self.settings.n_live) as f64;
        let left = self.settings.n_like_max.map_or(u64::MAX, |most| most.saturating_sub(self.n_like));
        let size = (enough.min(most) as u64).min(left) as usize;
        let mut rng = stream(self.seed, Purpose::NestedDraws, g.number, g.blocks);
        g.blocks += 1;
        let (mut u, mut x) = (Vec::new(), vec![0.0; self.n_dim]);
        for _ in 0..size * MOST_TRIES {
            if g.region.try_draw(&mut rng, &mut x) {
                g.region.shift.undo(&mut x);
                u.extend_from_slice(&x);
                if u.len() == size * self.n_dim {
                    break;
                }
            }
        }
        if u.is_empty() {
            return false;
        }
        self.work = Work::Uniform(self.post_draws(u));
        true
    }

    pub fn end_block(&mut self, draws: Draws) {
        let g = &mut self.generation;
        let n = draws.log_like.len();
        let hits = draws.log_like.iter().filter(|l| **l > g.threshold).count();
        let before = g.found.len();
        g.take(draws.u.chunks_exact(self.n_dim).map(<[f64]>::to_vec).zip(draws.log_like));
        g.efficiency = (hits as f64 + 0.5) / (n as f64 + 1.0);
        self.health.uniform += (g.found.len() - before) as u64;
        self.go_on();
    }

    /// One walk a missing point, each from another live point as far as there are enough.
    fn start_walks(&mut self) {
        let missing = self.generation.missing();
        let quota = self.calls_left() / missing as u64;
        let n = self.generation.live_log_like.len();
        let mut rng = stream(self.seed, Purpose::NestedStarts, self.generation.number, 0);
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|last| order.swap(last, (uniform(&mut rng) * (last + 1) as f64) as usize));
        let steps = self.settings.steps(self.n_dim);
        let walk = |lane: usize| {
            let at = order[lane % n];
            let rng = stream(self.seed, Purpose::NestedWalks, self.generation.number, lane as u64);
            let x = self.generation.live[at * self.n_dim..(at + 1) * self.n_dim].to_vec();
            Walk::new(rng, x, self.generation.live_log_like[at], self.generation.live_family[at], steps, quota)
        };
        let walks = (0..missing).map(walk).collect();
        self.work = Work::Walks { walks, open: missing, short: false };
        (0..missing).for_each(|lane| self.move_walk(lane, None));
    }

    pub fn tell_walk(&mut self, lane: usize, log_like: f64) {
        self.move_walk(lane, Some(log_like));
    }

    fn move_walk(&mut self, lane: usize, told: Option<f64>) {
        let g = &self.generation;
        let ground = Ground {
            region: &g.region,
            threshold: g.threshold,
            proposal: self.settings.proposal,
            interval: self.settings.interval,
            scale: g.scale,
            live: &g.live,
        };
        let Work::Walks { walks, open, short } = &mut self.work else { return };
        let walk = &mut walks[lane];
        if let Some(log_like) = told {
            walk.told(log_like, &ground);
        }
        match walk.next(&ground) {
            Next::Value => {
                let mut u = walk.trial.clone();
                g.region.shift.undo(&mut u);
                return self.post(lane, u);
            }
            Next::Done => {}
            Next::OutOfCalls => *short = true,
        }
        *open -= 1;
        if *open == 0 {
            self.end_walks();
        }
    }

    fn end_walks(&mut self) {
        let Work::Walks { walks, short, .. } = std::mem::replace(&mut self.work, Work::None) else { return };
        if short {
            return self.finish_out_of_calls();
        }
        let g = &mut self.generation;
        let (mut count, n) = (Count::default(), walks.len() as f64);
        for walk in walks {
            let home = g.region.home(&walk.start);
            let (mut a, mut b) = (vec![0.0; self.n_dim], vec![0.0; self.n_dim]);
            home.ellipsoid.whiten(&walk.start, &mut a);
            home.ellipsoid.whiten(&walk.x, &mut b);
            let distance2 = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
            self.health.jump(distance2, 2.0 * home.spread);
            count.add(&walk.count);
            let mut u = walk.x;
            g.region.shift.undo(&mut u);
            g.found.push((u, walk.log_like, Some(walk.family)));
        }
        g.walk_calls = Some(count.calls as f64 / n);
        g.learn_scale(&count, self.settings.proposal, self.settings.interval);
        self.end_generation();
    }

    fn end_generation(&mut self) {
        let g = &mut self.generation;
        let new: Vec<f64> = g.found.iter().map(|(_, l, _)| *l).collect();
        // The first points of a batch stand beside no others of it.
        if !self.pass.live.is_empty() {
            self.health.insertion(&g.live_log_like, &new);
        }
        for (u, l, family) in std::mem::take(&mut g.found) {
            let id = self.book.push(&u, l, g.threshold, self.pass.number, family);
            self.pass.live.push(id);
        }
        self.next_generation();
    }
}
