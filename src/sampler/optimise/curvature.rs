//! The last steps to the top, and the covariance there: the inverse of the second derivatives of -log L.
//!
//! Derivatives are taken along axes on which log L falls by 1/2 a unit, at one step and at twice that (Richardson's extrapolation), or as
//! differences of gradients where the model has them. The axes begin as the coordinates; each pass turns and scales them by the second
//! derivatives that it found, so that those of the next are near the unit matrix: a wide direction is then measured along itself, and not as a small
//! difference of narrow ones. Steps grow with the noise of log L, which is measured too (More & Wild 2011, SIAM J. Sci. Comput. 33,
//! 1292). Newton's steps along the same axes go to the top, as far as log L rises. Coordinates at a bound are left out.

use serde::{Deserialize, Serialize};

use super::eigen;
use super::{Cube, Reply};

/// Fall of log L that the first steps along coordinates aim at.
const FALL: f64 = 0.02;
const ENOUGH: std::ops::Range<f64> = FALL / 5.0..FALL * 5.0;
const ROUNDS: u32 = 8;
const FIRST_STEP: f64 = 1e-4;
const LEAST_STEP: f64 = 1e-13;

/// Most passes over all axes.
const PASSES: u32 = 24;
/// Steps along axes, in standard deviations: the first, and the range of those that follow the noise.
const STEP: f64 = 0.2;
const STEPS: std::ops::RangeInclusive<f64> = 0.03..=0.5;
/// Noise of log L adds this many times itself, over the step squared, to a second derivative; the shape of a peak this many times the step squared.
const GAIN_OF_NOISE: f64 = 3.3;
const GAIN_OF_SHAPE: f64 = 0.1;
/// A step found too short grows so; one that leaves the parabola shrinks, by at most so much, until this is left of the difference.
const GROWTH: f64 = 3.0;
const SHRINKING: std::ops::RangeInclusive<f64> = 0.05..=0.5;
const BENT: f64 = 0.05;
/// Below this step a neighbourhood without likelihood is no neighbourhood.
const TOO_SHORT: f64 = 1e-3;
/// Distance between the points that show the noise, as a share of the step, and where they are.
const PROBE: f64 = 1.0 / 6.0;
const PROBES: [f64; 6] = [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0];
/// Axes will do if all second derivatives along them and between them are this near to the unit matrix.
const ROUND: f64 = 0.25;
/// Second derivatives by two steps may differ by this share before their errors are doubtful, and a matrix of gradients' differences from its transpose.
const APART: f64 = 0.2;
const ASKEW: f64 = 0.1;
/// Gains of log L that are not worth a step; that are no sign of a maximum; and the distance to the top, in steps, at which second derivatives
/// are those of the top.
const NO_GAIN: f64 = 1e-10;
const SMALL_GAIN: f64 = 1e-3;
const NEAR: f64 = 0.05;
/// Shares of Newton's step that are tried.
const SHARES: [f64; 5] = [1.0, 0.5, 0.2, 0.05, 0.01];
/// Longest step to the top, in standard deviations.
const FAR: f64 = 3.0;

/// Calls that are kept for it: to size the axes, and two passes.
pub fn reserve(n_dim: usize) -> u64 {
    let n = n_dim as u64;
    u64::from(ROUNDS) * 2 * n + 2 * (n * n + 3 * n + 6)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Sizing(u32),
    Pass,
    /// On the way to the top; the last step of all, or not.
    Climb(bool),
    Done,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curvature {
    cube: Cube,
    pub u: Vec<f64>,
    pub cost: f64,
    /// Replies carry slopes.
    exact: bool,
    /// Calls that may be made, and that were.
    limit: u64,
    calls: u64,
    /// Coordinates that are not at a bound.
    inside: Vec<usize>,
    step: Vec<f64>,
    settled: Vec<bool>,
    stage: Stage,
    passes: u32,
    /// Columns of an m x m matrix over `inside`: steps of a standard deviation, as far as known.
    axes: Vec<f64>,
    /// Step wanted along each axis; the least and the most that it may be, by what was seen.
    length: f64,
    shortest: f64,
    longest: f64,
    /// What the last pass found: second derivatives, where Newton's step leads, and its lowest point.
    spectrum: Spectrum,
    way: Vec<f64>,
    lowest: Option<(Vec<f64>, f64)>,
    /// n_dim x n_dim; NaN for coordinates at a bound, empty where it could not be had.
    pub covariance: Vec<f64>,
    /// Rise of log L to the top of the parabola: 0 at a maximum.
    pub expected_gain: f64,
    /// Standard deviation of log L from a smooth curve beside the best point.
    pub noise: f64,
    /// Why there is no covariance.
    pub trouble: Option<String>,
    /// Why it may be wrong.
    pub doubt: Option<String>,
}

/// Second derivatives along the axes of a pass: eigenvalues, eigenvectors as columns, and what is too small to be told from nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Spectrum {
    values: Vec<f64>,
    vectors: Vec<f64>,
    floor: f64,
}

/// Derivatives of the cost along axes.
struct Derivatives {
    slope: Vec<f64>,
    /// m x m.
    second: Vec<f64>,
    /// Largest difference between second derivatives along an axis by two steps, and of the matrix from its transpose.
    apart: f64,
    askew: f64,
    /// By how much they rise with the step, at most.
    bent: f64,
}

impl Derivatives {
    fn new(m: usize) -> Derivatives {
        Derivatives { slope: vec![0.0; m], second: vec![0.0; m * m], apart: 0.0, askew: 0.0, bent: 0.0 }
    }

    /// Second derivatives along an axis by a step and by twice that.
    fn see(&mut self, near: f64, far: f64) {
        self.apart = self.apart.max((near - far).abs());
        self.bent = self.bent.max((far.abs() - near.abs()) / near.abs().max(1.0));
    }
}

impl Curvature {
    /// `exact`: replies carry slopes. `limit`: most calls.
    pub fn new(cube: Cube, u: Vec<f64>, cost: f64, exact: bool, limit: u64) -> Curvature {
        let n = cube.n_dim;
        let mut curvature = Curvature {
            cube,
            u,
            cost,
            exact,
            limit,
            calls: 0,
            inside: vec![],
            step: vec![],
            settled: vec![false; n],
            stage: Stage::Done,
            passes: 0,
            axes: vec![],
            length: STEP,
            shortest: *STEPS.start(),
            longest: *STEPS.end(),
            spectrum: Spectrum::default(),
            way: vec![],
            lowest: None,
            covariance: vec![],
            expected_gain: 0.0,
            noise: f64::NAN,
            trouble: None,
            doubt: None,
        };
        curvature.begin();
        curvature
    }

    /// From the coordinates again.
    fn begin(&mut self) {
        let n = self.cube.n_dim;
        self.inside = (0..n).filter(|i| !self.cube.at_bound(*i, self.u[*i])).collect();
        self.step = (0..n).map(|i| FIRST_STEP.min(self.cube.room(i, self.u[i]))).collect();
        self.settled = vec![false; n];
        self.covariance = vec![];
        self.stage = Stage::Sizing(0);
        if self.inside.is_empty() {
            self.end("every parameter is at an end of its prior");
        }
    }

    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// It stands at a maximum, as far as second derivatives and the noise of log L can show.
    pub fn confirms(&self) -> bool {
        self.is_done() && self.trouble.is_none() && self.doubt.is_none() && self.expected_gain < SMALL_GAIN
    }

    /// ln Z by Laplace's approximation, where no parameter is at a bound: ln L + d/2 ln 2 pi + 1/2 ln |covariance|. The prior's density is 1 in the cube.
    pub fn laplace(&self) -> Option<f64> {
        let n = self.cube.n_dim;
        if self.covariance.is_empty() || self.inside.len() < n {
            return None;
        }
        let l = crate::bound::linalg::cholesky(&self.covariance, n)?;
        let log_volume: f64 = (0..n).map(|i| libm::log(l[i * n + i])).sum();
        Some(-self.cost + 0.5 * n as f64 * libm::log(std::f64::consts::TAU) + log_volume)
    }

    /// Distance of a point in standard deviations, squared, over the coordinates that are not at a bound; None where there is no covariance.
    pub fn distance(&self, u: &[f64]) -> Option<f64> {
        if self.covariance.is_empty() {
            return None;
        }
        let (n, m) = (self.cube.n_dim, self.inside.len());
        let from = |i: usize| {
            let by = u[i] - self.u[i];
            if self.cube.periodic[i] { by - by.round() } else { by }
        };
        let mut apart: Vec<f64> = self.inside.iter().map(|i| from(*i)).collect();
        let scale: Vec<f64> = self.inside.iter().map(|i| self.covariance[i * n + i].sqrt()).collect();
        let part = |k: usize| self.covariance[self.inside[k / m] * n + self.inside[k % m]] / (scale[k / m] * scale[k % m]);
        let l = crate::bound::linalg::cholesky(&(0..m * m).map(part).collect::<Vec<_>>(), m)?;
        apart.iter_mut().zip(&scale).for_each(|(x, s)| *x /= s);
        crate::bound::linalg::solve_lower(&l, m, &mut apart);
        Some(apart.iter().map(|x| x * x).sum())
    }

    /// The best point, moved along coordinates.
    fn beside(&self, i: usize, by: f64) -> Vec<f64> {
        let mut u = self.u.clone();
        u[i] = self.cube.hold(i, u[i] + by);
        u
    }

    /// The best point, moved by z along the axes.
    fn moved(&self, z: &[f64]) -> Vec<f64> {
        let m = self.inside.len();
        let mut u = self.u.clone();
        for (a, &i) in self.inside.iter().enumerate() {
            let by: f64 = (0..m).filter(|k| z[*k] != 0.0).map(|k| self.axes[a * m + k] * z[k]).sum();
            u[i] = self.cube.hold(i, u[i] + by);
        }
        u
    }

    /// How far one can go along z to both sides.
    fn room(&self, z: &[f64]) -> f64 {
        let m = self.inside.len();
        let room = self.inside.iter().enumerate().map(|(a, &i)| {
            let by: f64 = (0..m).map(|k| self.axes[a * m + k] * z[k]).sum();
            self.cube.room(i, self.u[i]) / by.abs()
        });
        room.fold(f64::INFINITY, f64::min)
    }

    fn along(&self, moves: &[(usize, f64)]) -> Vec<f64> {
        let mut z = vec![0.0; self.inside.len()];
        moves.iter().for_each(|(k, by)| z[*k] = *by);
        z
    }

    /// Steps along each axis: as wanted, and such that two of them fit into the cube.
    fn steps(&self) -> Vec<f64> {
        (0..self.inside.len()).map(|k| self.length.min(0.5 * self.room(&self.along(&[(k, 1.0)])))).collect()
    }

    /// Where the noise is looked for: along all axes at once.
    fn diagonal(&self) -> Vec<f64> {
        let m = self.inside.len();
        let z = vec![1.0 / (m as f64).sqrt(); m];
        let step = (PROBE * self.length).min(self.room(&z) / PROBES[5]);
        z.iter().map(|z| step * z).collect()
    }

    /// The points wanted next; none when done.
    pub fn batch(&mut self) -> Vec<Vec<f64>> {
        let batch = self.wanted();
        if self.calls + batch.len() as u64 > self.limit {
            self.cut_short("n_like_max calls were made");
            return vec![];
        }
        self.calls += batch.len() as u64;
        batch
    }

    fn wanted(&self) -> Vec<Vec<f64>> {
        match self.stage {
            Stage::Sizing(_) => self.unsettled().flat_map(|i| [self.beside(i, self.step[i]), self.beside(i, -self.step[i])]).collect(),
            Stage::Pass => {
                let h = self.steps();
                let at = |moves: &[(usize, f64)]| self.moved(&self.along(moves));
                let mut points: Vec<Vec<f64>> = (0..h.len()).flat_map(|k| [1.0, -1.0, 2.0, -2.0].map(|by| at(&[(k, by * h[k])]))).collect();
                if !self.exact {
                    points.extend(self.pairs().flat_map(|(a, b)| [1.0, -1.0].map(|by| at(&[(a, by * h[a]), (b, by * h[b])]))));
                }
                let diagonal = self.diagonal();
                points.extend(PROBES.map(|by| self.moved(&diagonal.iter().map(|z| by * z).collect::<Vec<_>>())));
                points
            }
            Stage::Climb(_) => SHARES.iter().map(|share| self.moved(&self.way.iter().map(|z| share * z).collect::<Vec<_>>())).collect(),
            Stage::Done => vec![],
        }
    }

    fn unsettled(&self) -> impl Iterator<Item = usize> {
        self.inside.iter().copied().filter(|i| !self.settled[*i])
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let m = self.inside.len();
        (0..m).flat_map(move |a| (a + 1..m).map(move |b| (a, b)))
    }

    pub fn take(&mut self, batch: &[Vec<f64>], replies: &[Reply]) {
        match self.stage {
            Stage::Sizing(round) => self.size(round, replies),
            Stage::Pass => self.pass(batch, replies),
            Stage::Climb(last) => self.climb(last, batch, replies),
            Stage::Done => {}
        }
    }

    fn size(&mut self, round: u32, replies: &[Reply]) {
        let moved: Vec<usize> = self.unsettled().collect();
        for (&i, sides) in moved.iter().zip(replies.chunks_exact(2)) {
            let fall = 0.5 * (sides[0].cost + sides[1].cost) - self.cost;
            let (now, most) = (self.step[i], self.cube.room(i, self.u[i]));
            let factor = if fall > 0.0 { (FALL / fall).sqrt().clamp(1e-2, 30.0) } else { 30.0 };
            let next = (factor * now).clamp(LEAST_STEP.min(most), most);
            // A step that cannot grow for want of room will do.
            self.settled[i] = ENOUGH.contains(&fall) || (next == now && fall < ENOUGH.end);
            self.step[i] = next;
        }
        if self.unsettled().next().is_some() && round + 1 < ROUNDS {
            return self.stage = Stage::Sizing(round + 1);
        }
        let (m, whole) = (self.inside.len(), (2.0 * FALL).sqrt());
        self.axes = (0..m * m).map(|k| if k / m == k % m { self.step[self.inside[k / m]] / whole } else { 0.0 }).collect();
        self.stage = Stage::Pass;
    }

    fn end(&mut self, trouble: &str) {
        self.trouble = Some(trouble.into());
        self.covariance = vec![];
        self.stage = Stage::Done;
    }

    /// With what is known by now.
    fn cut_short(&mut self, why: &str) {
        if self.covariance.is_empty() {
            return self.end(&format!("{why} before the second derivatives of log L were known"));
        }
        self.doubt.get_or_insert(format!("{why} before they settled"));
        self.stage = Stage::Done;
    }

    fn pass(&mut self, batch: &[Vec<f64>], replies: &[Reply]) {
        self.passes += 1;
        if replies.iter().any(|reply| reply.cost == f64::INFINITY) {
            self.length *= 0.25;
            self.longest = self.length;
            if self.length < TOO_SHORT || self.passes >= PASSES {
                self.end("points beside the best one have no likelihood");
            }
            return;
        }
        let h = self.steps();
        let (rows, probes) = replies.split_at(replies.len() - PROBES.len());
        let found = if self.exact { self.by_slopes(&h, rows) } else { Some(self.by_values(&h, rows)) };
        let Some(found) = found else {
            // Gradients that are none.
            self.exact = false;
            return;
        };
        // Along a bent axis the shape of the peak looks like noise: what was seen before is more.
        let noise = self.noise_of(probes);
        self.noise = if self.noise.is_nan() { noise } else { noise.min(2.0 * self.noise) };
        let least = h.iter().copied().fold(f64::INFINITY, f64::min);
        let by_noise = if self.exact { 0.0 } else { GAIN_OF_NOISE * self.noise / (least * least) };
        if found.bent > 2.0 * (BENT + by_noise) && self.passes < PASSES {
            // Straight axes leave a valley that bends: a shorter step stays in it.
            self.longest = self.length * (BENT / found.bent).sqrt().clamp(*SHRINKING.start(), *SHRINKING.end());
            self.length = self.longest;
            self.shortest = self.shortest.min(self.longest);
            return;
        }
        let error = (found.apart / 3.0).max(by_noise).max(found.askew) + GAIN_OF_SHAPE * least * least;
        let m = h.len();
        let (values, vectors) = eigen::symmetric(&found.second, m);
        let floor = error.clamp(1e-6, 0.1);
        self.spectrum = Spectrum { values, vectors, floor };
        self.aim(&found.slope);
        let lowest = (0..replies.len()).fold(0, |low, at| if replies[at].cost < replies[low].cost { at } else { low });
        self.lowest = Some((batch[lowest].clone(), replies[lowest].cost));

        let values = &self.spectrum.values;
        let solid = values.iter().all(|v| *v > error);
        let round = (0..m * m).all(|k| (found.second[k] - f64::from(u8::from(k / m == k % m))).abs() < ROUND);
        let saddle = values.iter().any(|v| *v < -error);
        self.covariance = if solid { self.invert() } else { vec![] };
        self.doubt = self.doubts(&found, by_noise);
        let (wanted, most) = (libm::pow(GAIN_OF_NOISE / GAIN_OF_SHAPE * self.noise, 0.25), self.longest);
        let used = self.length;
        if self.doubt.is_some() && solid && used <= 1.01 * wanted.max(self.shortest) {
            self.shortest = (GROWTH * used).min(most);
        }
        self.length = wanted.max(self.shortest).min(most);
        if self.is_flat() {
            self.end("log L does not fall off in all directions from the best point: it is flat or a ridge");
        } else if round && solid && (self.doubt.is_none() || used >= most) {
            self.stage = match self.expected_gain {
                gain if gain < NO_GAIN => Stage::Done,
                gain => Stage::Climb((2.0 * gain).sqrt() < NEAR * least || self.passes >= PASSES),
            };
        } else if self.passes >= PASSES && solid {
            self.cut_short("the passes allowed were made");
        } else if self.passes >= PASSES {
            self.end("log L does not fall off in all directions from the best point: it is flat or a ridge, or the point is no maximum");
        } else if self.expected_gain > SMALL_GAIN || saddle {
            self.stage = Stage::Climb(false);
        } else {
            self.turn();
        }
    }

    /// Newton's step along the axes, as far as a parabola can be believed, and the gain that it promises.
    fn aim(&mut self, slope: &[f64]) {
        let (m, Spectrum { values, vectors, floor }) = (slope.len(), &self.spectrum);
        let turned: Vec<f64> = (0..m).map(|k| (0..m).map(|a| vectors[a * m + k] * slope[a]).sum()).collect();
        let scaled: Vec<f64> = (0..m).map(|k| turned[k] / values[k].abs().max(*floor)).collect();
        let way: Vec<f64> = (0..m).map(|a| -(0..m).map(|k| vectors[a * m + k] * scaled[k]).sum::<f64>()).collect();
        let size = way.iter().map(|z| z * z).sum::<f64>().sqrt();
        self.expected_gain = 0.5 * (0..m).map(|k| turned[k] * scaled[k]).sum::<f64>();
        self.way = way.iter().map(|z| z * (FAR / size).min(1.0)).collect();
    }

    /// Nothing is seen along a direction although a step along it leaves the cube.
    fn is_flat(&self) -> bool {
        let (m, Spectrum { values, vectors, floor }) = (self.inside.len(), &self.spectrum);
        let axis = |k: usize| (0..m).map(|a| vectors[a * m + k]).collect::<Vec<f64>>();
        (0..m).any(|k| values[k].abs() <= *floor && self.room(&axis(k)) < self.length)
    }

    /// New axes by what was found along the old ones.
    fn turn(&mut self) {
        let Spectrum { values, vectors, floor } = &self.spectrum;
        let m = values.len();
        let new = |k: usize| {
            let (a, j) = (k / m, k % m);
            (0..m).map(|b| self.axes[a * m + b] * vectors[b * m + j]).sum::<f64>() / values[j].abs().max(*floor).sqrt()
        };
        self.axes = (0..m * m).map(new).collect();
    }

    /// After Newton's step: to the lowest point there is, then on.
    fn climb(&mut self, last: bool, batch: &[Vec<f64>], replies: &[Reply]) {
        let tried = batch.iter().cloned().zip(replies.iter().map(|reply| reply.cost));
        let known = if last { None } else { self.lowest.take() };
        let better = tried.chain(known).filter(|point| point.1 < self.cost).reduce(|best, next| if next.1 < best.1 { next } else { best });
        let moved = better.is_some();
        // More than a parabola promised: these derivatives were not those of the top.
        let surprising = better.as_ref().is_some_and(|(_, cost)| self.cost - cost > 2.0 * self.expected_gain + NO_GAIN);
        if let Some((u, cost)) = better {
            self.expected_gain = (self.expected_gain - (self.cost - cost)).max(0.0);
            (self.u, self.cost) = (u, cost);
        }
        if self.inside.iter().any(|i| self.cube.at_bound(*i, self.u[*i])) {
            return self.begin();
        }
        if (last && !surprising) || (!moved && !self.covariance.is_empty()) {
            return self.stage = Stage::Done;
        }
        if self.passes >= PASSES {
            return self.cut_short("the passes allowed were made");
        }
        self.turn();
        self.stage = Stage::Pass;
    }

    fn doubts(&self, found: &Derivatives, by_noise: f64) -> Option<String> {
        let percent = |share: f64| format!("{:.0}%", 100.0 * share);
        if found.askew > ASKEW {
            return Some(format!(
                "gradients' differences are a matrix that is not symmetric (by {}): are the gradients right?",
                percent(found.askew)
            ));
        }
        if found.apart > APART || by_noise > APART {
            let why = match by_noise > 0.5 * found.apart {
                true => format!("log L has noise of {:.1e} there", self.noise),
                false => "the peak is not smooth, or not like a parabola".into(),
            };
            let share = percent(found.apart.max(by_noise));
            return Some(format!("second derivatives of log L by two steps differ by {share}: {why}"));
        }
        None
    }

    /// Standard deviation of the noise, from fourth differences of equally spaced values (More & Wild 2011, section 2).
    fn noise_of(&self, probes: &[Reply]) -> f64 {
        let mut values: Vec<f64> = probes.iter().map(|reply| reply.cost - self.cost).collect();
        values.insert(PROBES.len() / 2, 0.0);
        for _ in 0..4 {
            values = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
        }
        // Of noise with variance 1 they have the variance 8! / 4!^2.
        (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64 / 70.0).sqrt()
    }

    /// By differences of the cost along axes and pairs of them.
    fn by_values(&self, h: &[f64], replies: &[Reply]) -> Derivatives {
        let (m, c) = (h.len(), self.cost);
        let (sides, pairs) = replies.split_at(4 * m);
        let mut found = Derivatives::new(m);
        let mut sums = vec![0.0; m];
        for (k, side) in sides.chunks_exact(4).enumerate() {
            let [up, down, far_up, far_down] = [0, 1, 2, 3].map(|at| side[at].cost - c);
            let (near, far) = ((up + down) / (h[k] * h[k]), (far_up + far_down) / (4.0 * h[k] * h[k]));
            sums[k] = up + down;
            found.slope[k] = (8.0 * (up - down) - (far_up - far_down)) / (12.0 * h[k]);
            found.second[k * m + k] = (4.0 * near - far) / 3.0;
            found.see(near, far);
        }
        for ((a, b), both) in self.pairs().zip(pairs.chunks_exact(2)) {
            let mixed = (both[0].cost - c + (both[1].cost - c) - sums[a] - sums[b]) / (2.0 * h[a] * h[b]);
            (found.second[a * m + b], found.second[b * m + a]) = (mixed, mixed);
        }
        found
    }

    /// By differences of gradients along axes; None where replies carry none.
    fn by_slopes(&self, h: &[f64], replies: &[Reply]) -> Option<Derivatives> {
        let m = h.len();
        if replies.iter().any(|reply| reply.slope.len() != self.cube.n_dim) {
            return None;
        }
        let turned = |reply: &Reply| -> Vec<f64> {
            (0..m).map(|k| self.inside.iter().enumerate().map(|(a, i)| self.axes[a * m + k] * reply.slope[*i]).sum()).collect()
        };
        let mut found = Derivatives::new(m);
        let mut raw = vec![0.0; m * m];
        for (k, side) in replies.chunks_exact(4).enumerate() {
            let [up, down, far_up, far_down] = [0, 1, 2, 3].map(|at| turned(&side[at]));
            for j in 0..m {
                let (near, far) = ((up[j] - down[j]) / (2.0 * h[k]), (far_up[j] - far_down[j]) / (4.0 * h[k]));
                raw[k * m + j] = (4.0 * near - far) / 3.0;
                let middle = (4.0 * (up[j] + down[j]) - (far_up[j] + far_down[j])) / 6.0;
                found.slope[j] += middle / m as f64;
                if j == k {
                    found.see(near, far);
                }
            }
        }
        for k in 0..m * m {
            let across = raw[k % m * m + k / m];
            found.second[k] = 0.5 * (raw[k] + across);
            found.askew = found.askew.max((raw[k] - across).abs());
        }
        Some(found)
    }

    /// The covariance in the cube of what was found along the axes.
    fn invert(&self) -> Vec<f64> {
        let Spectrum { values, vectors, .. } = &self.spectrum;
        let (m, d) = (values.len(), self.cube.n_dim);
        // Columns are independent steps of a standard deviation.
        let root = |a: usize, k: usize| (0..m).map(|b| self.axes[a * m + b] * vectors[b * m + k]).sum::<f64>() / values[k].sqrt();
        let roots: Vec<f64> = (0..m * m).map(|at| root(at / m, at % m)).collect();
        let mut covariance = vec![f64::NAN; d * d];
        for (a, i) in self.inside.iter().enumerate() {
            for (b, j) in self.inside.iter().enumerate() {
                covariance[i * d + j] = (0..m).map(|k| roots[a * m + k] * roots[b * m + k]).sum();
            }
        }
        covariance
    }
}
