//! The covariance at the best point: the inverse of the second derivatives of -log L there, by central differences.
//!
//! Each step is sized so that log L falls by about [`FALL`], whatever the width of the peak; then all pairs go out as one batch
//! (or the gradients' differences are taken, where the model has gradients). Coordinates at a bound are left out.

use serde::{Deserialize, Serialize};

use super::{Cube, Reply};
use crate::bound::linalg::{cholesky, invert_lower};

/// Fall of log L that a step aims at: large against rounding and the tolerances of solvers, small against the shape of a peak.
const FALL: f64 = 0.02;
const ENOUGH: std::ops::Range<f64> = FALL / 5.0..FALL * 5.0;
const ROUNDS: u32 = 8;
const FIRST_STEP: f64 = 1e-4;
const LEAST_STEP: f64 = 1e-13;

/// Calls that it may take.
pub fn most_calls(n_dim: usize) -> u64 {
    let n = n_dim as u64;
    u64::from(ROUNDS) * 2 * n + n * n.saturating_sub(1)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Sizing(u32),
    Pairs,
    Done,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curvature {
    cube: Cube,
    pub u: Vec<f64>,
    pub cost: f64,
    /// Coordinates that are not at a bound.
    inside: Vec<usize>,
    step: Vec<f64>,
    /// What came of a step up and a step down.
    sides: Vec<Option<[Reply; 2]>>,
    settled: Vec<bool>,
    stage: Stage,
    /// n_dim x n_dim; NaN for coordinates at a bound, empty where it could not be had.
    pub covariance: Vec<f64>,
    /// Rise of log L to the top of the parabola: 0 at a maximum.
    pub expected_gain: f64,
    /// Why there is no covariance.
    pub trouble: Option<String>,
}

impl Curvature {
    pub fn new(cube: Cube, u: Vec<f64>, cost: f64) -> Curvature {
        let n = cube.n_dim;
        let inside: Vec<usize> = (0..n).filter(|i| !cube.at_bound(*i, u[*i])).collect();
        let step = (0..n).map(|i| FIRST_STEP.min(cube.room(i, u[i]))).collect();
        let stage = if inside.is_empty() { Stage::Done } else { Stage::Sizing(0) };
        let (sides, settled) = (vec![None; n], vec![false; n]);
        let trouble = inside.is_empty().then(|| "every parameter is at an end of its prior".to_string());
        Curvature { cube, u, cost, inside, step, sides, settled, stage, covariance: vec![], expected_gain: 0.0, trouble }
    }

    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// ln Z by Laplace's approximation, where no parameter is at a bound: ln L + d/2 ln 2 pi + 1/2 ln |covariance|. The prior's density is 1 in the cube.
    pub fn laplace(&self) -> Option<f64> {
        let n = self.cube.n_dim;
        if self.covariance.is_empty() || self.inside.len() < n {
            return None;
        }
        let l = cholesky(&self.covariance, n)?;
        let log_volume: f64 = (0..n).map(|i| libm::log(l[i * n + i])).sum();
        Some(-self.cost + 0.5 * n as f64 * libm::log(std::f64::consts::TAU) + log_volume)
    }

    fn moved(&self, moves: &[(usize, f64)]) -> Vec<f64> {
        let mut u = self.u.clone();
        moves.iter().for_each(|(i, by)| u[*i] = self.cube.hold(*i, u[*i] + by));
        u
    }

    /// The points wanted next; none when done.
    pub fn batch(&self) -> Vec<Vec<f64>> {
        let h = &self.step;
        match self.stage {
            Stage::Sizing(_) => self.unsettled().flat_map(|i| [self.moved(&[(i, h[i])]), self.moved(&[(i, -h[i])])]).collect(),
            Stage::Pairs => {
                self.pairs().flat_map(|(i, j)| [self.moved(&[(i, h[i]), (j, h[j])]), self.moved(&[(i, -h[i]), (j, -h[j])])]).collect()
            }
            Stage::Done => vec![],
        }
    }

    fn unsettled(&self) -> impl Iterator<Item = usize> {
        self.inside.iter().copied().filter(|i| !self.settled[*i])
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.inside.iter().enumerate().flat_map(|(at, i)| self.inside[at + 1..].iter().map(|j| (*i, *j)))
    }

    pub fn take(&mut self, replies: &[Reply]) {
        match self.stage {
            Stage::Sizing(round) => self.size(round, replies),
            Stage::Pairs => {
                let second = self.by_values(replies);
                self.invert(second);
            }
            Stage::Done => {}
        }
    }

    fn size(&mut self, round: u32, replies: &[Reply]) {
        let moved: Vec<usize> = self.unsettled().collect();
        for (&i, sides) in moved.iter().zip(replies.chunks_exact(2)) {
            self.sides[i] = Some([sides[0].clone(), sides[1].clone()]);
            let fall = 0.5 * (sides[0].cost + sides[1].cost) - self.cost;
            let (now, most) = (self.step[i], self.cube.room(i, self.u[i]));
            let factor = if fall > 0.0 { (FALL / fall).sqrt().clamp(1e-2, 30.0) } else { 30.0 };
            let next = (factor * now).clamp(LEAST_STEP, most);
            // A step that cannot grow for want of room will do.
            self.settled[i] = ENOUGH.contains(&fall) || (next == now && fall < ENOUGH.end);
            if !self.settled[i] && round + 1 < ROUNDS {
                self.step[i] = next;
            }
        }
        if self.unsettled().next().is_some() && round + 1 < ROUNDS {
            self.stage = Stage::Sizing(round + 1);
        } else if self.sides().any(|(_, sides)| sides.iter().any(|side| side.cost == f64::INFINITY)) {
            self.end("points beside the best one have no likelihood");
        } else if self.sides().all(|(_, sides)| sides.iter().all(|side| side.slope.len() == self.cube.n_dim)) {
            let second = self.by_slopes();
            self.invert(second);
        } else {
            self.stage = Stage::Pairs;
            if self.inside.len() == 1 {
                self.take(&[]);
            }
        }
    }

    /// Coordinates that are not at a bound, with what came of their steps.
    fn sides(&self) -> impl Iterator<Item = (usize, &[Reply; 2])> {
        self.inside.iter().filter_map(|i| Some((*i, self.sides[*i].as_ref()?)))
    }

    fn end(&mut self, trouble: &str) {
        self.trouble = Some(trouble.into());
        self.stage = Stage::Done;
    }

    /// Second derivatives over `inside`, by differences of the cost.
    fn by_values(&self, replies: &[Reply]) -> Vec<f64> {
        let (n, c) = (self.inside.len(), self.cost);
        let sums: Vec<f64> = self.sides().map(|(_, [up, down])| up.cost + down.cost - 2.0 * c).collect();
        let h: Vec<f64> = self.inside.iter().map(|i| self.step[*i]).collect();
        let mut second = vec![0.0; n * n];
        (0..n).for_each(|a| second[a * n + a] = sums[a] / (h[a] * h[a]));
        let places = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        for ((a, b), both) in places.zip(replies.chunks_exact(2)) {
            let mixed = (both[0].cost + both[1].cost - 2.0 * c - sums[a] - sums[b]) / (2.0 * h[a] * h[b]);
            (second[a * n + b], second[b * n + a]) = (mixed, mixed);
        }
        second
    }

    /// The same by differences of the gradient.
    fn by_slopes(&self) -> Vec<f64> {
        let n = self.inside.len();
        let raw: Vec<f64> = self
            .sides()
            .flat_map(|(i, [up, down])| self.inside.iter().map(move |j| (up.slope[*j] - down.slope[*j]) / (2.0 * self.step[i])))
            .collect();
        (0..n * n).map(|k| 0.5 * (raw[k] + raw[k % n * n + k / n])).collect()
    }

    /// Inverts `second`, scaled to a diagonal of ones.
    fn invert(&mut self, second: Vec<f64>) {
        let n = self.inside.len();
        let scale: Vec<f64> = (0..n).map(|a| second[a * n + a].sqrt()).collect();
        let scaled: Vec<f64> = (0..n * n).map(|k| second[k] / (scale[k / n] * scale[k % n])).collect();
        let Some(l) = cholesky(&scaled, n) else {
            return self
                .end("log L does not fall off in all directions from the best point: it is flat or a ridge, or the point is no maximum");
        };
        let inverse = invert_lower(&l, n);
        let (d, inside) = (self.cube.n_dim, self.inside.clone());
        self.covariance = vec![f64::NAN; d * d];
        for (a, i) in inside.iter().enumerate() {
            for (b, j) in inside.iter().enumerate() {
                let dot: f64 = (a.max(b)..n).map(|k| inverse[k * n + a] * inverse[k * n + b]).sum();
                self.covariance[i * d + j] = dot / (scale[a] * scale[b]);
            }
        }
        self.expected_gain = self.gain();
        self.stage = Stage::Done;
    }

    /// 1/2 g' covariance g.
    fn gain(&self) -> f64 {
        let d = self.cube.n_dim;
        let slopes: Vec<(usize, f64)> = self.sides().map(|(i, [up, down])| (i, (up.cost - down.cost) / (2.0 * self.step[i]))).collect();
        let products = slopes.iter().flat_map(|(i, g)| slopes.iter().map(move |(j, h)| (i, j, g * h)));
        0.5 * products.map(|(i, j, gh)| gh * self.covariance[i * d + j]).sum::<f64>()
    }
}
