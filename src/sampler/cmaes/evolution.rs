//! One CMA-ES search with active update (Hansen 2016, arXiv:1604.00772): sample, rank, move the mean, adapt the covariance and the step.

use serde::{Deserialize, Serialize};

use super::bounds::{fold, unfold};
use super::constants::Constants;
use super::stop::{Past, Tolerances};
use crate::random::{Purpose, fill_normal, stream};
use crate::sampler::optimise::{Cube, Ending, Reply, Search, eigen};

/// A standard deviation is at most this share of a coordinate's range.
const WIDEST: f64 = 1.0 / 3.0;
/// Generations one after another in which every point failed, before the search is given up.
const PATIENCE: u32 = 20;

/// What a search is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Brief {
    pub cube: Cube,
    pub seed: u64,
    /// Names its random streams.
    pub search: u64,
    pub lambda: usize,
    pub sigma: f64,
    pub active: bool,
    /// Most generations.
    pub generations: u64,
    pub tolerances: Tolerances,
}

/// The search's whole state: the normal distribution (mean, sigma^2 C), its paths and its past.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evolution {
    brief: Brief,
    k: Constants,
    pub(super) mean: Vec<f64>,
    pub(super) sigma: f64,
    pub(super) covariance: Vec<f64>,
    path_sigma: Vec<f64>,
    pub(super) path: Vec<f64>,
    /// C = B D^2 B' when last taken, at this generation.
    pub(super) axes: Vec<f64>,
    pub(super) lengths: Vec<f64>,
    refreshed: f64,
    pub(super) generation: u64,
    past: Past,
    /// Generations in a row in which every point failed.
    barren: u32,
    ending: Option<Ending>,
    /// The mean is looked at last of all.
    last: bool,
}

impl Evolution {
    fn n(&self) -> usize {
        self.mean.len()
    }

    /// Standard normals of this generation's points, lambda x n.
    fn draws(&self) -> Vec<f64> {
        let mut z = vec![0.0; self.k.lambda * self.n()];
        fill_normal(&mut stream(self.brief.seed, Purpose::Evolution, self.brief.search, self.generation), &mut z);
        z
    }

    /// B D z.
    fn shape(&self, z: &[f64]) -> Vec<f64> {
        let n = self.n();
        (0..n).map(|i| (0..n).map(|j| self.axes[i * n + j] * self.lengths[j] * z[j]).sum()).collect()
    }

    /// B z: C^(-1/2) times the shape of z.
    fn turn(&self, z: &[f64]) -> Vec<f64> {
        self.axes.chunks_exact(self.n()).map(|row| row.iter().zip(z).map(|(b, z)| b * z).sum()).collect()
    }

    fn place(&self, g: &[f64]) -> Vec<f64> {
        let cube = &self.brief.cube;
        g.iter().enumerate().map(|(i, g)| if cube.periodic[i] { cube.hold(i, *g) } else { fold(*g) }).collect()
    }

    /// Learns from a generation whose draws were `z`, best first in `order`.
    fn update(&mut self, z: &[f64], order: &[usize]) {
        let n = self.n();
        let draw = |rank: usize| &z[order[rank] * n..(order[rank] + 1) * n];
        let mut step = vec![0.0; n];
        for (rank, w) in self.k.weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            step.iter_mut().zip(draw(rank)).for_each(|(s, z)| *s += w * z);
        }
        let moved = self.shape(&step);
        self.mean.iter_mut().zip(&moved).for_each(|(m, y)| *m += self.sigma * y);
        let whitened = self.turn(&step);
        let (cs, cc, mu_eff) = (self.k.cs, self.k.cc, self.k.mu_eff);
        blend(&mut self.path_sigma, 1.0 - cs, (cs * (2.0 - cs) * mu_eff).sqrt(), &whitened);
        let square: f64 = self.path_sigma.iter().map(|p| p * p).sum();
        let begun = 1.0 - libm::pow(1.0 - cs, 2.0 * (self.generation + 1) as f64);
        let steady = square / n as f64 / begun < 2.0 + 4.0 / (n as f64 + 1.0);
        blend(&mut self.path, 1.0 - cc, if steady { (cc * (2.0 - cc) * mu_eff).sqrt() } else { 0.0 }, &moved);
        self.adapt(steady, (0..order.len()).map(draw));
        self.sigma *= libm::exp((cs / self.k.damping * (square.sqrt() / self.k.chi - 1.0)).min(1.0));
        self.generation += 1;
        self.narrow();
        if self.generation as f64 - self.refreshed > self.k.lag {
            self.refresh();
        }
    }

    /// The covariance: rank one from the path, rank mu from the points, the worse half with negative weights.
    fn adapt<'a>(&mut self, steady: bool, draws: impl Iterator<Item = &'a [f64]>) {
        let n = self.n();
        let (c1, cmu, cc) = (self.k.c1, self.k.cmu, self.k.cc);
        let total: f64 = self.k.weights.iter().sum();
        let lost = if steady { 0.0 } else { c1 * cc * (2.0 - cc) };
        let keep = 1.0 - c1 + lost - cmu * total;
        self.covariance.iter_mut().for_each(|c| *c *= keep);
        add_square(&mut self.covariance, c1, &self.path);
        for (w, z) in self.k.weights.clone().into_iter().zip(draws) {
            // |C^(-1/2) y| = |z|: a long bad step must not make C indefinite.
            let length: f64 = z.iter().map(|z| z * z).sum();
            let w = if w < 0.0 { w * n as f64 / length.max(1e-300) } else { w };
            if w != 0.0 {
                let y = self.shape(z);
                add_square(&mut self.covariance, cmu * w, &y);
            }
        }
    }

    pub(super) fn deviation(&self, i: usize) -> f64 {
        self.sigma * self.covariance[i * self.n() + i].sqrt()
    }

    /// No coordinate may be wider than a third of its range.
    fn narrow(&mut self) {
        let n = self.n();
        let wide: Vec<(usize, f64)> = (0..n).map(|i| (i, WIDEST / self.deviation(i))).filter(|(_, by)| *by < 1.0).collect();
        for (i, by) in &wide {
            for j in 0..n {
                self.covariance[i * n + j] *= by;
                self.covariance[j * n + i] *= by;
            }
            self.path[*i] *= by;
        }
        if !wide.is_empty() {
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        let (values, axes) = eigen::symmetric(&self.covariance, self.n());
        // Rounding can leave a trifle below zero.
        let top = values.iter().copied().fold(0.0, f64::max);
        self.lengths = values.iter().map(|v| v.max(1e-30 * top).sqrt()).collect();
        self.axes = axes;
        self.refreshed = self.generation as f64;
    }

    /// Every point of a generation failed: nothing is learned, and the next draws are others.
    fn skip(&mut self) {
        self.barren += 1;
        self.generation += 1;
        if self.barren == PATIENCE {
            self.ending = Some(Ending::short("no point of 20 generations in a row had a likelihood above zero"));
        }
    }
}

impl Search for Evolution {
    type Brief = Brief;

    fn begin(brief: &Brief, u: Vec<f64>, first: Reply) -> Evolution {
        let n = u.len();
        let unit: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k % (n + 1) == 0))).collect();
        let mean = u.iter().enumerate().map(|(i, u)| if brief.cube.periodic[i] { *u } else { unfold(*u) }).collect();
        Evolution {
            k: Constants::new(n, brief.lambda, brief.active),
            mean,
            sigma: brief.sigma,
            axes: unit.clone(),
            covariance: unit,
            path_sigma: vec![0.0; n],
            path: vec![0.0; n],
            lengths: vec![1.0; n],
            refreshed: 0.0,
            generation: 0,
            past: Past::new(first.cost),
            barren: 0,
            ending: None,
            last: false,
            brief: brief.clone(),
        }
    }

    fn batch(&mut self) -> Result<Vec<Vec<f64>>, Ending> {
        match &self.ending {
            Some(ending) if self.last => Err(ending.clone()),
            Some(_) => {
                self.last = true;
                Ok(vec![self.place(&self.mean)])
            }
            None => {
                let point = |z: &[f64]| {
                    let y = self.shape(z);
                    self.place(&self.mean.iter().zip(y).map(|(m, y)| m + self.sigma * y).collect::<Vec<_>>())
                };
                Ok(self.draws().chunks_exact(self.n()).map(point).collect())
            }
        }
    }

    fn take(&mut self, _: &[Vec<f64>], replies: &[Reply]) {
        if self.last {
            return;
        }
        let costs: Vec<f64> = replies.iter().map(|reply| reply.cost).collect();
        if costs.iter().all(|cost| *cost == f64::INFINITY) {
            return self.skip();
        }
        self.barren = 0;
        let mut order: Vec<usize> = (0..costs.len()).collect();
        order.sort_by(|a, b| costs[*a].total_cmp(&costs[*b]).then(a.cmp(b)));
        let z = self.draws();
        self.update(&z, &order);
        self.past.note(order.iter().map(|at| costs[*at]).collect());
        self.ending = self.past.ending(self, &self.brief.tolerances, self.brief.generations);
    }
}

/// v <- keep v + gain w
fn blend(v: &mut [f64], keep: f64, gain: f64, w: &[f64]) {
    v.iter_mut().zip(w).for_each(|(v, w)| *v = keep * *v + gain * w);
}

/// m <- m + factor v v'
fn add_square(m: &mut [f64], factor: f64, v: &[f64]) {
    for (row, a) in m.chunks_exact_mut(v.len()).zip(v) {
        row.iter_mut().zip(v).for_each(|(m, b)| *m += factor * (a * b));
    }
}
