//! One slice (Neal 2003, Ann. Stat. 31, 705): an interval on a line, shrunk towards the start until a point above the threshold is found.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::settings::Interval;
use super::walk::{Count, Ground};
use crate::bound::ellipsoid::Ellipsoid;
use crate::bound::linalg::lower_times;
use crate::random::uniform;

/// Shrinkings after which the walk stays: the interval is then 1e-20 of what it was, or the likelihood not the same twice.
const MOST_SHRINKS: u32 = 100;
/// Steps outwards after which the interval is wide enough: the likelihood has no end there that a step size of use would reach.
const MOST_STEPS_OUT: f64 = 1000.0;
/// The largest number below one.
const BELOW_ONE: f64 = 1.0 - f64::EPSILON / 2.0;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    direction: Vec<f64>,
    /// The interval, in units of the direction; the start is at 0.
    low: f64,
    high: f64,
    /// Where the cube ends on either side.
    ends: (f64, f64),
    /// Of stepping out.
    step: f64,
    stage: Stage,
    /// Asked last.
    at: f64,
    shrinks: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    OutLow,
    OutHigh,
    Shrink,
}

impl Line {
    pub fn new(x: &[f64], direction: Vec<f64>, ground: &Ground, rng: &mut ChaCha8Rng) -> Line {
        let ends = in_cube(x, &direction);
        let mut line = Line { low: ends.0, high: ends.1, ends, direction, step: ground.scale, stage: Stage::Shrink, at: 0.0, shrinks: 0 };
        match (ground.interval, ground.region.hull()) {
            (Interval::StepOut, _) => {
                line.low = -uniform(rng) * ground.scale;
                line.high = line.low + ground.scale;
                line.stage = Stage::OutLow;
            }
            (Interval::Chord, Some(hull)) => line.cut(chord(hull, x, &line.direction)),
            (Interval::Chord, None) => {}
        }
        line
    }

    /// No longer than the chord through the hull, if the start is inside.
    fn cut(&mut self, chord: Option<(f64, f64)>) {
        if let Some((low, high)) = chord {
            self.low = self.low.max(low);
            self.high = self.high.min(high);
        }
    }

    /// Where to evaluate next; none when there is nothing left of the interval.
    pub fn next(&mut self, rng: &mut ChaCha8Rng) -> Option<f64> {
        // An end outside the cube has likelihood zero, without a call.
        let most = MOST_STEPS_OUT * self.step;
        if self.stage == Stage::OutLow && self.low <= self.ends.0.max(-most) {
            (self.low, self.stage) = (self.low.max(self.ends.0), Stage::OutHigh);
        }
        if self.stage == Stage::OutHigh && self.high >= self.ends.1.min(most) {
            (self.high, self.stage) = (self.high.min(self.ends.1), Stage::Shrink);
        }
        self.at = match self.stage {
            Stage::OutLow => self.low,
            Stage::OutHigh => self.high,
            Stage::Shrink if self.shrinks >= MOST_SHRINKS => return None,
            Stage::Shrink => self.low + uniform(rng) * (self.high - self.low),
        };
        Some(self.at)
    }

    /// True when the point asked for is one to move to.
    pub fn told(&mut self, above: bool, count: &mut Count) -> bool {
        match (self.stage, above) {
            (Stage::Shrink, true) => return true,
            (Stage::Shrink, false) => {
                count.shrunk += 1;
                self.shrinks += 1;
                if self.at < 0.0 { self.low = self.at } else { self.high = self.at }
            }
            (Stage::OutLow, true) => {
                count.out += 1;
                self.low -= self.step;
            }
            (Stage::OutHigh, true) => {
                count.out += 1;
                self.high += self.step;
            }
            (Stage::OutLow, false) => self.stage = Stage::OutHigh,
            (Stage::OutHigh, false) => self.stage = Stage::Shrink,
        }
        false
    }

    pub fn point(&self, x: &[f64], t: f64, trial: &mut [f64]) {
        for ((trial, x), v) in trial.iter_mut().zip(x).zip(&self.direction) {
            *trial = (x + t * v).clamp(0.0, BELOW_ONE);
        }
    }
}

/// Where the line leaves the cube on either side.
fn in_cube(x: &[f64], v: &[f64]) -> (f64, f64) {
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for (x, v) in x.iter().zip(v).filter(|(_, v)| **v != 0.0) {
        let (a, b) = (-x / v, (BELOW_ONE - x) / v);
        low = low.max(a.min(b));
        high = high.min(a.max(b));
    }
    (low, high)
}

/// Where the line is inside the ellipsoid; none if the start is not.
fn chord(hull: &Ellipsoid, x: &[f64], v: &[f64]) -> Option<(f64, f64)> {
    let d = x.len();
    let (mut y, mut w) = (vec![0.0; d], vec![0.0; d]);
    hull.whiten(x, &mut y);
    lower_times(&hull.inverse, d, v, &mut w);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (a, b, c) = (dot(&w, &w), dot(&y, &w), dot(&y, &y) - 1.0);
    let root = (b * b - a * c).sqrt();
    (c < 0.0 && a > 0.0).then(|| ((-b - root) / a, (-b + root) / a))
}
