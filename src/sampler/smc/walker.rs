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
}

impl Walk {
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
    /// Steps still to do.
    left: usize,
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

/// Sums over a chain of each coordinate z and of the log target density.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub steps: f64,
    /// Steps of the adapted size, every other one, and those of them that were accepted.
    pub sized: f64,
    pub accepted: f64,
    pub sums: Vec<f64>,
    pub squares: Vec<f64>,
}

impl Walker {
    /// A new chain from a state.
    pub fn start(&mut self, geometry: &Geometry, from: State) {
        let quantities = from.u.len() + 1;
        self.place = geometry.place(&from.u);
        (self.log_like, self.clan) = (from.log_like, from.clan);
        self.tally = Tally { sums: vec![0.0; quantities], squares: vec![0.0; quantities], ..Tally::default() };
        self.trail = vec![State { stays: 0.0, ..from }];
    }

    /// The same chain in other coordinates.
    pub fn carry_on(&mut self, geometry: &Geometry) {
        self.place = geometry.place(&self.place.u);
    }

    pub fn set_out(&mut self, steps: usize) {
        self.left = steps;
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
                None => self.stay(walk.beta),
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
        self.stay(walk.beta);
    }

    /// Counts the present state once more.
    fn stay(&mut self, beta: f64) {
        if let Some(state) = self.trail.last_mut() {
            state.stays += 1.0;
        }
        let target = beta * self.log_like + log_prior(&self.place.z);
        let Tally { steps, sums, squares, .. } = &mut self.tally;
        *steps += 1.0;
        for ((sum, square), value) in sums.iter_mut().zip(squares).zip(self.place.z.iter().chain([&target])) {
            *sum += value;
            *square += value * value;
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
    let n = walkers[0].tally.sums.len();
    let each: Vec<f64> = (0..n).map(one).collect();
    let harmonic = n as f64 / each.iter().map(|c| 1.0 / c).sum::<f64>();
    (harmonic, each.into_iter().fold(1.0, f64::min))
}
