//! The bound of importance nested sampling: a union to draw from, and learned cells that say what to keep.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::ellipsoid::Ellipsoid;
use super::emulator::{Emulator, Standard, fit_quadratic, rank_scores};
use super::periodic::Shift;
use super::union::{Enclosing, Union, partition};

/// Part of the unit cube: in the union, and in at least one cell (if there are any).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    pub n_dim: usize,
    pub shift: Shift,
    pub union: Union,
    pub cells: Vec<Cell>,
}

/// An ellipsoid, and what was learned about the threshold inside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub ellipsoid: Ellipsoid,
    pub emulator: Option<Emulator>,
}

/// Evaluated points, and the threshold that a bound is to separate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    pub n_dim: usize,
    pub periodic: Vec<usize>,
    /// Evaluated points, n x n_dim, in the cube.
    pub u: Vec<f64>,
    pub log_like: Vec<f64>,
    /// Points at or above it are live.
    pub l_min: f64,
    /// Log volume that the live points stand for.
    pub log_target: f64,
    pub how: Enclosing,
    /// Whether scores are learned, or the ellipsoids alone decide.
    pub learn: bool,
}

/// What networks of one cell are to learn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSet {
    pub cell: usize,
    pub standard: Standard,
    /// scores.len() x n_dim, standardised.
    pub x: Vec<f32>,
    pub scores: Vec<f32>,
}

impl Region {
    pub fn cube(n_dim: usize) -> Region {
        Region { n_dim, shift: Shift::default(), union: Union::cube(n_dim), cells: Vec::new() }
    }

    /// Encloses the live points; returns what networks are still to learn, if a quadratic is not enough.
    pub fn draft(lesson: &Lesson, rng: &mut ChaCha8Rng) -> (Region, Vec<TrainingSet>) {
        let d = lesson.n_dim;
        let mut u = lesson.u.clone();
        let is_live = |at: &usize| lesson.log_like[*at] >= lesson.l_min;
        let live = |u: &[f64]| -> Vec<f64> {
            (0..lesson.log_like.len()).filter(is_live).flat_map(|at| u[at * d..(at + 1) * d].iter().copied()).collect()
        };
        let shift = Shift::of(&live(&u), d, &lesson.periodic);
        u.chunks_exact_mut(d).for_each(|p| shift.apply(p));
        let live = live(&u);
        let mut ellipsoids = partition(&live, d, lesson.how, rng);
        let union = Union::around(&live, d, lesson.log_target, lesson.how, rng);
        // In a fixed order, whatever order the splits came in.
        ellipsoids.sort_by(|a, b| b.log_volume.total_cmp(&a.log_volume));
        let mut sets = Vec::new();
        let mut cells = Vec::new();
        for ellipsoid in ellipsoids {
            let emulator = if lesson.learn { learn(&ellipsoid, &u, lesson, cells.len(), &mut sets) } else { None };
            cells.push(Cell { ellipsoid, emulator });
        }
        (Region { n_dim: d, shift, union, cells }, sets)
    }

    /// Whether the points `u` (out.len() x n_dim, in the cube) are inside.
    pub fn contains(&self, u: &[f64], out: &mut [bool]) {
        if self.shift.is_none() {
            return self.contains_shifted(u, out);
        }
        let mut moved = u.to_vec();
        moved.chunks_exact_mut(self.n_dim).for_each(|p| self.shift.apply(p));
        self.contains_shifted(&moved, out);
    }

    fn contains_shifted(&self, x: &[f64], out: &mut [bool]) {
        let d = self.n_dim;
        x.chunks_exact(d).zip(out.iter_mut()).for_each(|(p, out)| *out = self.union.contains(p));
        if !self.cells.is_empty() {
            let open: Vec<usize> = (0..out.len()).filter(|at| out[*at]).collect();
            out.fill(false);
            self.admit(x, &open, out);
        }
    }

    /// Marks those of the points numbered `open` that some cell admits.
    fn admit(&self, x: &[f64], open: &[usize], out: &mut [bool]) {
        let d = self.n_dim;
        let mut open = open.to_vec();
        for cell in &self.cells {
            let inside: Vec<usize> = open.iter().copied().filter(|at| cell.ellipsoid.contains(&x[at * d..(at + 1) * d])).collect();
            let mut admitted = vec![true; inside.len()];
            if let Some(emulator) = &cell.emulator {
                let mut white = vec![0.0; inside.len() * d];
                let rooms = white.chunks_exact_mut(d);
                inside.iter().zip(rooms).for_each(|(at, y)| cell.ellipsoid.whiten(&x[at * d..(at + 1) * d], y));
                emulator.admits(&white, d, &mut admitted);
            }
            inside.iter().zip(&admitted).for_each(|(at, a)| out[*at] |= a);
            open.retain(|at| !out[*at]);
        }
    }

    /// `tries` tries at a uniform point: those that are inside, in order.
    pub fn draw(&self, rng: &mut ChaCha8Rng, tries: usize) -> Vec<f64> {
        let d = self.n_dim;
        let (mut room, mut point) = (vec![0.0; 2 * d], vec![0.0; d]);
        let mut drawn = Vec::with_capacity(tries * d);
        for _ in 0..tries {
            if self.union.try_draw(rng, &mut room, &mut point) {
                drawn.extend_from_slice(&point);
            }
        }
        let n = drawn.len() / d;
        let mut inside = vec![true; n];
        if !self.cells.is_empty() {
            inside.fill(false);
            self.admit(&drawn, &(0..n).collect::<Vec<usize>>(), &mut inside);
        }
        let mut kept: Vec<f64> = drawn.chunks_exact(d).zip(&inside).filter(|(_, i)| **i).flat_map(|(p, _)| p.iter().copied()).collect();
        kept.chunks_exact_mut(d).for_each(|p| self.shift.undo(p));
        kept
    }

    /// Log of the volume from which [`Region::draw`] tries: times the share of tries that came back, it is the region's.
    pub fn log_tried(&self) -> f64 {
        self.union.log_volume
    }
}

/// A quadratic emulator of one cell, or a training set for networks.
fn learn(ellipsoid: &Ellipsoid, u: &[f64], lesson: &Lesson, cell: usize, sets: &mut Vec<TrainingSet>) -> Option<Emulator> {
    let d = lesson.n_dim;
    let inside: Vec<usize> = (0..lesson.log_like.len()).filter(|at| ellipsoid.contains(&u[at * d..(at + 1) * d])).collect();
    let log_like: Vec<f64> = inside.iter().map(|at| lesson.log_like[*at]).collect();
    if log_like.iter().all(|l| *l >= lesson.l_min) {
        return None;
    }
    let points: Vec<f64> = inside.iter().flat_map(|at| u[at * d..(at + 1) * d].iter().copied()).collect();
    let white = ellipsoid.whiten_all(&points);
    let quadratic = fit_quadratic(&white, d, &log_like, lesson.l_min);
    if quadratic.is_none() {
        let standard = Standard::of(&white, d);
        let x = standard.apply(&white);
        sets.push(TrainingSet { cell, standard, x, scores: rank_scores(&log_like, lesson.l_min) });
    }
    quadratic
}
