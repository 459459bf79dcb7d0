//! One quasi-Newton search in the cube: coordinates that a bound holds are left out, the step goes along the path that is bent at
//! bounds (Bertsekas 1982), and its length is found by bracketing (weak Wolfe conditions, Lewis & Overton 2013).

use serde::{Deserialize, Serialize};

use super::memory::{Memory, dot};
use super::slopes::Slopes;
use crate::sampler::optimise::{Cube, Ending, Reply, Search};

/// Of the expected fall, what a step must reach; of the slope, what may remain.
const ARMIJO: f64 = 1e-4;
const WOLFE: f64 = 0.9;
/// Longest first step, in prior quantiles.
const FIRST: f64 = 0.1;
/// Lengths tried along one direction.
const TRIES: u32 = 25;
/// Expected gain of log L below which a search that cannot go on has arrived, as far as noise lets it.
const NOISE: f64 = 1e-3;

/// What a search is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Brief {
    pub cube: Cube,
    /// Replies carry slopes.
    pub exact: bool,
    pub difference: f64,
    pub memory: usize,
    pub tolerance: f64,
    pub steps: u64,
}

/// A direction, and what is known of lengths along it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    direction: Vec<f64>,
    length: f64,
    low: f64,
    high: f64,
    tries: u32,
    /// -slope along the direction: twice the gain that a parabola promises.
    promise: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Descent {
    brief: Brief,
    slopes: Slopes,
    /// Where it stands (not wrapped where periodic), the cost there, its slope, and which coordinates no bound holds.
    x: Vec<f64>,
    cost: f64,
    slope: Vec<f64>,
    free: Vec<bool>,
    memory: Memory,
    line: Option<Line>,
    steps: u64,
    /// Last gains that were below the tolerance, in a row.
    small: u32,
    /// The last batch had one and the same cost at several points.
    flat: bool,
    ending: Option<Ending>,
}

impl Descent {
    /// The path bent at the bounds.
    fn along(&self, line: &Line) -> Vec<f64> {
        let ends = self.brief.cube.periodic.iter().map(|round| if *round { f64::INFINITY } else { 1.0 });
        let moved = self.x.iter().zip(&line.direction).map(|(x, p)| x + line.length * p);
        moved.zip(ends).map(|(x, end)| x.clamp(1.0 - end, end)).collect()
    }

    fn tolerance(&self) -> f64 {
        self.brief.tolerance.max(1e-12 * self.cost.abs())
    }

    /// A direction from here, or the end.
    fn turn(&mut self) {
        let held = |i: usize| {
            let (x, g) = (self.x[i], self.slope[i]);
            !self.brief.cube.periodic[i] && ((x <= 0.0 && g >= 0.0) || (x >= 1.0 && g <= 0.0))
        };
        self.free = (0..self.x.len()).map(|i| !held(i)).collect();
        let mut direction = self.memory.direction(&self.slope, &self.free);
        let mut promise = -dot(&self.free, &self.slope, &direction);
        let square = dot(&self.free, &self.slope, &self.slope);
        if promise <= 1e-10 * (square * dot(&self.free, &direction, &direction)).sqrt() {
            self.memory.clear();
            direction = self.memory.direction(&self.slope, &self.free);
            promise = square;
        }
        if square == 0.0 {
            return self.ending = Some(self.at_rest());
        }
        if !self.memory.is_empty() && 0.5 * promise <= self.tolerance() && self.small > 0 {
            return self.ending = Some(Ending::converged("no step is expected to raise log L by tol_log_like"));
        }
        let length = if self.memory.is_empty() { (FIRST / square.sqrt()).min(1.0) } else { 1.0 };
        self.line = Some(Line { direction, length, low: 0.0, high: f64::INFINITY, tries: 0, promise });
    }

    /// No slope at all.
    fn at_rest(&self) -> Ending {
        match self.flat {
            true => Ending::short("log L is the same at all points about it: a plateau"),
            false => Ending::converged("log L has no slope there"),
        }
    }

    /// Cost and slope at the end of the line.
    fn judge(&mut self, mut line: Line, x: Vec<f64>, cost: f64, slope: Vec<f64>) {
        let step: Vec<f64> = x.iter().zip(&self.x).map(|(new, old)| new - old).collect();
        let all = vec![true; step.len()];
        let fall = -dot(&all, &self.slope, &step);
        let usable = cost.is_finite() && slope.iter().all(|s| s.is_finite());
        line.tries += 1;
        if !usable || cost > self.cost - ARMIJO * fall {
            line.high = line.length;
            line.length = self.shorter(&line, cost, fall);
        } else if -dot(&all, &slope, &step) > WOLFE * fall && line.tries < TRIES && self.can_go_on(&line, &x) {
            line.low = line.length;
            line.length = if line.high.is_finite() { 0.5 * (line.low + line.high) } else { 4.0 * line.length };
        } else {
            return self.arrive(x, cost, slope, step);
        }
        self.line = Some(line);
    }

    /// Longer steps would end elsewhere: not every coordinate that moves is at a bound.
    fn can_go_on(&self, line: &Line, x: &[f64]) -> bool {
        let stopped = |i: usize| !self.brief.cube.periodic[i] && (x[i] <= 0.0 || x[i] >= 1.0);
        (0..x.len()).any(|i| line.direction[i] != 0.0 && !stopped(i))
    }

    /// The lowest point of the parabola through what is known, kept off the ends of the bracket.
    fn shorter(&self, line: &Line, cost: f64, fall: f64) -> f64 {
        let width = line.high - line.low;
        let bend = cost - self.cost + fall;
        let vertex = if bend.is_finite() && bend > 0.0 { 0.5 * line.high * fall / bend } else { 0.0 };
        vertex.clamp(line.low + 0.1 * width, line.low + 0.5 * width)
    }

    fn arrive(&mut self, x: Vec<f64>, cost: f64, slope: Vec<f64>, step: Vec<f64>) {
        let change = slope.iter().zip(&self.slope).map(|(new, old)| new - old).collect();
        let small = self.cost - cost <= self.tolerance();
        self.small = if small { self.small + 1 } else { 0 };
        (self.x, self.cost, self.slope) = (x, cost, slope);
        self.memory.push(step, change);
        self.steps += 1;
        if self.small >= 3 {
            self.ending = Some(Ending::converged("three steps in a row changed log L by less than tol_log_like"));
        } else if self.steps >= self.brief.steps {
            self.ending = Some(Ending::short("n_steps steps were made"));
        } else {
            self.turn();
        }
    }

    /// No length along the line is any good: once more straight down the slope, then the end.
    fn give_up(&mut self, line: &Line) {
        if 0.5 * line.promise <= NOISE && self.steps > 0 && !self.memory.is_empty() {
            self.ending = Some(Ending::converged("no step raises log L, within its noise"));
        } else if self.memory.is_empty() {
            self.ending = Some(Ending::short("no step along the gradient raises log L: it is noisy or not smooth there"));
        } else {
            self.memory.clear();
            self.turn();
        }
    }
}

impl Search for Descent {
    type Brief = Brief;

    fn begin(brief: &Brief, u: Vec<f64>, reply: Reply) -> Descent {
        let n = u.len();
        Descent {
            slopes: Slopes::new(n, brief.exact, brief.difference),
            memory: Memory::new(brief.memory),
            brief: brief.clone(),
            x: u,
            cost: reply.cost,
            slope: vec![],
            free: vec![true; n],
            line: None,
            steps: 0,
            small: 0,
            flat: false,
            ending: None,
        }
    }

    fn batch(&mut self) -> Result<Vec<Vec<f64>>, Ending> {
        while let Some(line) = self.line.take() {
            if line.tries < TRIES && self.ending.is_none() {
                self.line = Some(line);
                break;
            }
            self.give_up(&line);
        }
        match &self.ending {
            Some(ending) => Err(ending.clone()),
            None => Ok(self.slopes.points(&self.brief.cube, &self.line.as_ref().map_or_else(|| self.x.clone(), |line| self.along(line)))),
        }
    }

    fn take(&mut self, _: &[Vec<f64>], replies: &[Reply]) {
        let line = self.line.take();
        self.flat = replies.len() > 1 && replies.iter().all(|reply| reply.cost == replies[0].cost);
        let x = line.as_ref().map_or_else(|| self.x.clone(), |line| self.along(line));
        let slope = self.slopes.take(&self.brief.cube, &x, replies);
        let cost = replies.first().map_or(f64::INFINITY, |reply| reply.cost);
        match line {
            Some(line) => self.judge(line, x, cost, slope),
            // The first time: slopes where it begins.
            None if slope.iter().all(|s| s.is_finite()) => {
                self.slope = slope;
                self.turn();
            }
            None => self.ending = Some(Ending::short("the gradient at the starting point is not a number")),
        }
    }
}
