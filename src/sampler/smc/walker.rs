//! One walker: a Markov chain that asks for its next point when it was told the last value. It shares nothing with the
//! others while it walks, so that none waits for another.

use serde::{Deserialize, Serialize};

use super::archive::State;
use super::geometry::{Geometry, Place};
use super::settings::Kernel;
use crate::random::{Purpose, stream, uniform};
use crate::sampler::standard::log_prior;

/// What all walkers have in common while they walk: nothing of it changes, so the chains are exactly invariant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Walk {
    pub geometry: Geometry,
    pub kernel: Kernel,
    pub beta: f64,
    /// Size of a step, adapted: for "tpcn" at most 1, a fresh draw of the fitted law's shape.
    pub sigma: f64,
    /// Size of every fourth step: as large as there is, so that a bent or divided target is crossed now and then.
    pub far: f64,
    pub seed: u64,
    /// Where the states that the law was fitted to have their means: of each coordinate z and of the log target density.
    pub centre: Vec<f64>,
}

impl Walk {
    /// Log of the target density by z.
    pub fn target(&self, z: &[f64], log_like: f64) -> f64 {
        self.beta * log_like + log_prior(z)
    }

    /// Size of the proposal number `made`: of four, two of the adapted size, one far, and one short, which gets a walker
    /// out of places that the fitted law holds for too unlikely. The mixture leaves the target as it is, as each part does.
    fn step(&self, made: u64) -> f64 {
        match made % 4 {
            1 => self.far,
            3 => 0.3 * self.sigma,
            _ => self.sigma,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Walker {
    place: Place,
    log_like: f64,
    clan: u8,
    proposal: Option<Proposal>,
    /// Steps still to do, and how many these are in the middle of the walk.
    left: usize,
    half: usize,
    /// Proposals ever made: key of the next one's random stream.
    made: u64,
    /// States since the last [`Walker::take_trail`].
    trail: Vec<State>,
    pub tally: Tally,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Proposal {
    place: Place,
    /// Log of the ratio of everything but the likelihood.
    log_ratio: f64,
    /// Log of the uniform number that decides.
    log_uniform: f64,
}

/// Sums over a chain, of each coordinate z and of the log target density, less their centres ([`Walk::centre`]), and then of the squares of all these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub steps: f64,
    /// Steps of the adapted size, every other one, and those of them that were accepted.
    pub sized: f64,
    pub accepted: f64,
    pub sums: Vec<f64>,
    pub squares: Vec<f64>,
    /// Steps and sums in the middle and at the end of each walk.
    pub marks: Vec<(f64, Vec<f64>)>,
}

impl Walker {
    /// A new chain from a state.
    pub fn start(&mut self, geometry: &Geometry, from: State) {
        self.place = geometry.place(&from.u);
        (self.log_like, self.clan) = (from.log_like, from.clan);
        self.forget();
        self.trail = vec![State { stays: 0.0, ..from }];
    }

    /// The same chain in other coordinates.
    pub fn carry_on(&mut self, geometry: &Geometry) {
        self.place = geometry.place(&self.place.u);
        self.forget();
    }

    /// What was tallied so far does not count.
    pub fn forget(&mut self) {
        let quantities = 2 * (self.place.z.len() + 1);
        self.tally = Tally { sums: vec![0.0; quantities], squares: vec![0.0; quantities], ..Tally::default() };
    }

    pub fn set_out(&mut self, steps: usize) {
        self.left = steps;
        self.half = steps / 2;
    }

    pub fn take_trail(&mut self) -> Vec<State> {
        let here = State { u: self.place.u.clone(), log_like: self.log_like, stays: 0.0, clan: self.clan };
        let trail = std::mem::replace(&mut self.trail, vec![here]);
        trail.into_iter().filter(|s| s.stays > 0.0).collect()
    }

    /// The next point whose likelihood is needed; none when all steps are done.
    pub fn next(&mut self, walk: &Walk, lane: u64) -> Option<Vec<f64>> {
        while self.left > 0 {
            self.left -= 1;
            self.made += 1;
            self.tally.sized += f64::from(u8::from(self.made.is_multiple_of(2)));
            self.proposal = self.propose(walk, lane);
            match &self.proposal {
                Some(proposal) => return Some(proposal.place.u.clone()),
                None => self.stay(walk),
            }
        }
        None
    }

    /// The value at the point asked for.
    pub fn told(&mut self, walk: &Walk, log_like: f64) {
        let Some(proposal) = self.proposal.take() else { return };
        let log_alpha = walk.beta * (log_like - self.log_like) + proposal.log_ratio;
        if log_like > f64::NEG_INFINITY && proposal.log_uniform < log_alpha {
            self.trail.push(State { u: proposal.place.u.clone(), log_like, stays: 0.0, clan: self.clan });
            self.place = proposal.place;
            self.log_like = log_like;
            self.tally.accepted += f64::from(u8::from(self.made.is_multiple_of(2)));
        }
        self.stay(walk);
    }

    /// Counts the present state once more.
    fn stay(&mut self, walk: &Walk) {
        if let Some(state) = self.trail.last_mut() {
            state.stays += 1.0;
        }
        let target = walk.target(&self.place.z, self.log_like);
        let Tally { steps, sums, squares, .. } = &mut self.tally;
        *steps += 1.0;
        let d = walk.centre.len();
        for ((j, value), centre) in self.place.z.iter().chain([&target]).enumerate().zip(&walk.centre) {
            let off = value - centre;
            for (k, quantity) in [(j, off), (d + j, off * off)] {
                sums[k] += quantity;
                squares[k] += quantity * quantity;
            }
        }
        if self.left == self.half || self.left == 0 {
            self.tally.marks.push((self.tally.steps, self.tally.sums.clone()));
        }
    }

    fn propose(&self, walk: &Walk, lane: u64) -> Option<Proposal> {
        let mut rng = stream(walk.seed, Purpose::SmcWalk, lane, self.made);
        let (law, theta) = (&walk.geometry.law, &self.place.theta);
        let sigma = walk.step(self.made);
        let log_uniform = libm::log(1.0 - uniform(&mut rng));
        let distance2 = law.distance2(theta);
        let (keep, spread) = match walk.kernel {
            Kernel::Rwm => (1.0, sigma),
            Kernel::Tpcn => ((1.0 - sigma * sigma).sqrt(), sigma / law.precision(distance2, &mut rng).sqrt()),
        };
        let noise = law.noise(&mut rng);
        let new: Vec<f64> = (0..theta.len()).map(|j| law.mean[j] + keep * (theta[j] - law.mean[j]) + spread * noise[j]).collect();
        // The proposal of tpcn leaves the fitted law as it is: the ratio of its densities takes the place of the asymmetry.
        let law_ratio = match walk.kernel {
            Kernel::Rwm => 0.0,
            Kernel::Tpcn => law.log_kernel(distance2) - law.log_kernel(law.distance2(&new)),
        };
        let place = walk.geometry.place_of_theta(new)?;
        Some(Proposal { log_ratio: place.log_prior - self.place.log_prior + law_ratio, place, log_uniform })
    }
}

/// Effective draws a step, from the spread of the chains' means: for each quantity the variance of its draws over that of the
/// means times the steps (as if the walkers were one another's replicas), put together by their harmonic mean; and the least.
///
/// A chain that does not move counts once, whatever its length: 1 / steps.
pub fn draws_a_step(walkers: &[Walker]) -> (f64, f64) {
    let (k, steps) = (walkers.len() as f64, walkers[0].tally.steps);
    let one = |j: usize| {
        let sum: f64 = walkers.iter().map(|w| w.tally.sums[j]).sum();
        let square: f64 = walkers.iter().map(|w| w.tally.squares[j]).sum();
        let mean = sum / (k * steps);
        let variance = square / (k * steps) - mean * mean;
        let between: f64 = walkers.iter().map(|w| w.tally.sums[j] / steps - mean).map(|m| m * m).sum::<f64>() / (k - 1.0);
        // A quantity that is constant is known after one draw.
        if between > 0.0 && variance > 0.0 { (variance / (between * steps)).clamp(1.0 / steps, 1.0) } else { 1.0 }
    };
    let n = walkers[0].tally.sums.len() / 2;
    let each: Vec<f64> = (0..n).map(one).collect();
    let harmonic = n as f64 / each.iter().map(|c| 1.0 / c).sum::<f64>();
    (harmonic, each.into_iter().fold(1.0, f64::min))
}

/// How far the walkers moved together between the first half of their chains and the second: of all quantities and their squares the largest
/// difference of means, in units of its error by its spread over the walkers. Chains of the target do not drift, wherever they are.
pub fn drift(walkers: &[Walker]) -> f64 {
    let (k, steps) = (walkers.len() as f64, walkers[0].tally.steps);
    let middle = |mark: &&(f64, Vec<f64>)| (mark.0 - 0.5 * steps).abs();
    let marks = walkers[0].tally.marks.iter().enumerate().filter(|(_, mark)| mark.0 < steps);
    let Some((at, (before, _))) = marks.min_by(|a, b| middle(&a.1).total_cmp(&middle(&b.1))) else { return 0.0 };
    let score = |j: usize| {
        let difference = |w: &Walker| {
            let first = w.tally.marks[at].1[j];
            (w.tally.sums[j] - first) / (steps - before) - first / before
        };
        let mean = walkers.iter().map(difference).sum::<f64>() / k;
        let spread = walkers.iter().map(difference).map(|x| (x - mean) * (x - mean)).sum::<f64>() / (k - 1.0);
        if spread > 0.0 { mean.abs() / (spread / k).sqrt() } else { 0.0 }
    };
    (0..walkers[0].tally.sums.len()).map(score).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fill_normal;

    #[test]
    fn walkers_that_move_on_together_drift_and_others_do_not() {
        let walk = |slope: f64| {
            let mut rng = stream(3, Purpose::Decisions, 0, 0);
            let mut walkers = vec![Walker::default(); 64];
            for walker in &mut walkers {
                let mut noise = [0.0; 40];
                fill_normal(&mut rng, &mut noise);
                walker.tally = Tally { sums: vec![0.0], ..Tally::default() };
                for (k, noise) in noise.iter().enumerate() {
                    walker.tally.sums[0] += noise + slope * k as f64;
                    walker.tally.steps += 1.0;
                    if k == 19 || k == 39 {
                        walker.tally.marks.push((walker.tally.steps, walker.tally.sums.clone()));
                    }
                }
            }
            drift(&walkers)
        };
        assert!(walk(0.0) < 3.0, "{}", walk(0.0));
        // The halves differ by .4, which is ten errors.
        assert!(walk(0.02) > 7.0, "{}", walk(0.02));
    }
}
