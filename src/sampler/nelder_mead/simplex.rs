//! One simplex search in the cube: reflect, expand, contract, shrink; and once more from a fresh simplex before it is believed.

use serde::{Deserialize, Serialize};

use crate::sampler::optimise::{Cube, Ending, Reply, Search};

/// What a search is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Brief {
    pub cube: Cube,
    pub size: f64,
    pub tolerance: f64,
    /// Most calls.
    pub calls: u64,
}

/// What the answers that are awaited are for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Step {
    /// The corners of a fresh simplex beside its best one.
    Build,
    Reflect,
    /// Holds the reflected point.
    Expand(Vec<f64>, f64),
    /// Holds what the contracted point must be better than.
    Contract(f64),
    Shrink,
}

/// A simplex that has shrunk so far has no extent left in 53 bits.
const FLAT: f64 = 1e-14;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Simplex {
    brief: Brief,
    /// Corners (not wrapped where periodic) and their costs, best first.
    corners: Vec<(Vec<f64>, f64)>,
    step: Step,
    /// Points awaited, before they are put into the cube.
    tried: Vec<Vec<f64>>,
    calls: u64,
    /// Cost at which the last simplex ended, and how many have.
    before: f64,
    ended: u32,
}

impl Simplex {
    fn n(&self) -> usize {
        self.brief.cube.n_dim
    }

    /// Coefficients of expansion, contraction and shrinking that grow milder with the dimension (Gao & Han 2012).
    fn coefficients(&self) -> (f64, f64, f64) {
        let n = self.n().max(2) as f64;
        (1.0 + 2.0 / n, 0.75 - 0.5 / n, 1.0 - 1.0 / n)
    }

    /// Ends are closed; a periodic coordinate may run on, and is wrapped where it is evaluated.
    fn inside(&self, x: Vec<f64>) -> Vec<f64> {
        let periodic = &self.brief.cube.periodic;
        x.into_iter().zip(periodic).map(|(x, round)| if *round { x } else { x.clamp(0.0, 1.0) }).collect()
    }

    /// The centre of all corners but the worst, moved by `by` of its distance from the worst.
    fn through_centre(&self, by: f64) -> Vec<f64> {
        let (worst, rest) = (&self.corners[self.n()].0, &self.corners[..self.n()]);
        let centre = |i: usize| rest.iter().map(|corner| corner.0[i]).sum::<f64>() / self.n() as f64;
        let moved = (0..self.n()).map(|i| centre(i) + by * (centre(i) - worst[i])).collect();
        self.inside(moved)
    }

    /// Corners beside the best one, a step to the roomier side along each coordinate; the other way each time.
    fn fresh(&mut self) {
        let best = self.corners[0].0.clone();
        let size = self.brief.size * if self.ended == 0 { 1.0 } else { 0.1 };
        let corner = |i: usize| {
            let mut x = best.clone();
            let up = if self.ended.is_multiple_of(2) { x[i] + size <= 1.0 } else { x[i] - size < 0.0 };
            x[i] += if up { size } else { -size };
            x
        };
        self.tried = (0..self.n()).map(corner).collect();
        self.corners.truncate(1);
        self.step = Step::Build;
    }

    fn sort(&mut self) {
        // Stable: of equals the older one stays ahead.
        self.corners.sort_by(|a, b| a.1.total_cmp(&b.1));
    }

    fn next(&mut self) {
        self.sort();
        self.step = Step::Reflect;
        self.tried = vec![self.through_centre(1.0)];
    }

    fn replace_worst(&mut self, x: Vec<f64>, cost: f64) {
        let worst = self.n();
        self.corners[worst] = (x, cost);
        self.next();
    }

    fn reflected(&mut self, x: Vec<f64>, cost: f64) {
        let n = self.n();
        let (expand, contract, _) = self.coefficients();
        let (best, second, worst) = (self.corners[0].1, self.corners[n - 1].1, self.corners[n].1);
        if cost < best {
            self.tried = vec![self.through_centre(expand)];
            self.step = Step::Expand(x, cost);
        } else if cost < second {
            self.replace_worst(x, cost);
        } else {
            let outside = cost < worst;
            self.tried = vec![self.through_centre(if outside { contract } else { -contract })];
            self.step = Step::Contract(cost.min(worst));
        }
    }

    fn shrink(&mut self) {
        let by = self.coefficients().2;
        let best = self.corners[0].0.clone();
        let nearer = |corner: &(Vec<f64>, f64)| best.iter().zip(&corner.0).map(|(b, x)| b + by * (x - b)).collect();
        self.tried = self.corners[1..].iter().map(nearer).collect();
        self.corners.truncate(1);
        self.step = Step::Shrink;
    }

    /// Longest edge from the best corner.
    fn extent(&self) -> f64 {
        let best = &self.corners[0].0;
        let apart = |corner: &(Vec<f64>, f64)| best.iter().zip(&corner.0).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        self.corners[1..].iter().map(apart).fold(0.0, f64::max)
    }

    /// Whether this simplex is done, and with it the search.
    fn look(&mut self) -> Option<Ending> {
        let (best, worst) = (self.corners[0].1, self.corners[self.n()].1);
        let tolerance = self.brief.tolerance.max(1e-12 * best.abs());
        let quiet = worst - best <= tolerance;
        if !quiet && self.extent() > FLAT {
            return None;
        }
        let gain = self.before - best;
        self.before = best;
        self.ended += 1;
        if self.ended > 1 && gain <= 10.0 * tolerance {
            return Some(match quiet {
                true => Ending::converged("two simplexes in a row ended at the same log L"),
                false => Ending::short("the simplex shrank to a point between others of lower or no likelihood"),
            });
        }
        self.fresh();
        None
    }
}

impl Search for Simplex {
    type Brief = Brief;

    fn begin(brief: &Brief, u: Vec<f64>, reply: Reply) -> Simplex {
        let before = f64::INFINITY;
        let corners = vec![(u, reply.cost)];
        let mut simplex = Simplex { brief: brief.clone(), corners, step: Step::Build, tried: vec![], calls: 1, before, ended: 0 };
        simplex.fresh();
        simplex
    }

    fn batch(&mut self) -> Result<Vec<Vec<f64>>, Ending> {
        if self.step == Step::Reflect
            && let Some(ending) = self.look()
        {
            return Err(ending);
        }
        if self.calls >= self.brief.calls {
            return Err(Ending::short("n_like_start calls were made"));
        }
        self.calls += self.tried.len() as u64;
        Ok(self.tried.iter().map(|x| self.brief.cube.hold_all(x)).collect())
    }

    fn take(&mut self, _: &[Vec<f64>], replies: &[Reply]) {
        let tried = std::mem::take(&mut self.tried);
        let mut told = tried.into_iter().zip(replies.iter().map(|reply| reply.cost));
        let step = std::mem::replace(&mut self.step, Step::Build);
        if matches!(step, Step::Build | Step::Shrink) {
            self.corners.extend(told);
            return self.next();
        }
        let Some((x, cost)) = told.next() else { return };
        match step {
            Step::Expand(_, reflected) if cost < reflected => self.replace_worst(x, cost),
            Step::Expand(at, reflected) => self.replace_worst(at, reflected),
            Step::Contract(limit) if cost < limit => self.replace_worst(x, cost),
            Step::Contract(_) => self.shrink(),
            _ => self.reflected(x, cost),
        }
    }
}
