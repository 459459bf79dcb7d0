//! The No-U-Turn sampler: chains side by side, each a lane.
//!
//! `chain` is what a lane does, `trajectory` one transition, `adaptation`, `step_size`, `estimate` and `metric` the warm-up,
//! `coordinates` where chains move, `evaluation` how a point becomes known, `posterior` what came of it.

mod adaptation;
mod chain;
mod coordinates;
mod estimate;
mod evaluation;
mod metric;
mod posterior;
mod settings;
mod state;
mod step_size;
mod trajectory;

pub use settings::{Adaptation, Gradient, Settings, Shape};

use self::chain::Chain;
use self::coordinates::Coordinates;
use crate::sampler::{self, Ask, Engine, EngineSettings, EngineSpec, Posterior, Problem, Progress, Sampler, SamplerError, saved};
use crate::task::Answer;
use serde::{Deserialize, Serialize};

/// A chain is lost in a place whose posterior mass is estimated to be less than exp(-LOST) of what another chain's has.
const LOST: f64 = 20.0;
/// Chains that disagree go on to so many times the effective sample size asked for.
const PATIENCE: f64 = 4.0;

/// The engine: its chains, and the block of draws that they are in.
#[derive(Serialize, Deserialize)]
pub struct Nuts {
    settings: Settings,
    n_dim: usize,
    chains: Vec<Chain>,
    /// Draws of each chain at the end of the block.
    goal: usize,
    /// At the end of the last block: of the slowest coordinate, or of one that was found too slow already.
    n_eff: f64,
    slowest: usize,
    done: Option<String>,
}

impl Engine for Nuts {
    type Settings = Settings;

    fn start(settings: Settings, seed: u64, problem: &Problem) -> Result<Self, SamplerError> {
        settings.check(problem.n_dim)?;
        if settings.gradient == Gradient::Exact && !problem.gradient {
            return Err(SamplerError(
                "[sampler] gradient = \"exact\" cannot work: the model gives no gradient; use \"auto\" or \"differences\"".into(),
            ));
        }
        let (slope, coordinates) = (settings.slope(problem), Coordinates::new(problem));
        let chain = |lane| Chain::new(&settings, seed, lane as u32, &coordinates, slope);
        let chains = (0..settings.chains).map(chain).collect();
        let goal = settings.block.min(settings.max_draws);
        let mut nuts = Nuts { n_dim: problem.n_dim, chains, goal, n_eff: 0.0, slowest: 0, done: None, settings };
        nuts.aim();
        Ok(nuts)
    }
}

impl Sampler for Nuts {
    fn ask(&mut self, room: usize) -> Ask {
        if self.done.is_none() && self.chains.iter().all(Chain::waits) {
            self.compare();
        }
        if self.done.is_none() && self.chains.iter().all(Chain::rests) {
            self.end_block();
        }
        if let Some(why) = &self.done {
            return Ask::Done(why.clone());
        }
        let mut tasks = Vec::with_capacity(room.min(self.chains.len()));
        for chain in &mut self.chains {
            while tasks.len() < room
                && let Some(task) = chain.next_task()
            {
                tasks.push(task);
            }
        }
        if tasks.is_empty() { Ask::Wait } else { Ask::Work { publish: Vec::new(), tasks, retire: Vec::new() } }
    }

    fn tell(&mut self, answer: Answer) -> Result<(), SamplerError> {
        let Some(chain) = self.chains.get_mut(answer.id.lane as usize) else {
            return Err(SamplerError(format!("an answer came of lane {}, which there is not", answer.id.lane)));
        };
        let n_dim = self.n_dim;
        chain.tell(sampler::log_like(&answer)?, || answer.gradient(n_dim))
    }

    fn progress(&self) -> Progress {
        let draws = posterior::length(&self.chains);
        let warming = self.chains.iter().any(Chain::is_warming);
        let warmed = self.chains.iter().map(Chain::warmed).fold(1.0, f64::min);
        let diverged: usize = self.chains.iter().map(|c| c.draws.diverging.iter().filter(|d| **d).count()).sum();
        let share = if self.settings.n_eff > 0.0 { (self.n_eff / self.settings.n_eff).min(1.0) } else { 1.0 };
        Progress {
            phase: if warming { "warming up" } else { "sampling" }.into(),
            fraction: Some(if warming { 0.3 * warmed } else { 0.3 + 0.7 * share }),
            n_like: self.calls(),
            n_eff: self.n_eff,
            log_z: f64::NAN,
            log_z_err: f64::NAN,
            details: vec![
                ("chains".into(), self.chains.len() as f64),
                ("draws".into(), draws as f64),
                ("divergences".into(), diverged as f64),
            ],
        }
    }

    fn posterior(&self) -> Result<Posterior, SamplerError> {
        let n_eff = if self.done.is_some() { self.n_eff } else { posterior::effective(&self.chains, self.n_dim) };
        posterior::posterior(&self.chains, &self.settings, self.n_dim, n_eff)
    }

    fn save(&self) -> Vec<u8> {
        saved::write(self)
    }

    fn extend(&mut self, spec: &EngineSpec) -> bool {
        let EngineSpec::Nuts(settings) = spec else { return false };
        let Some(why) = self.done.take() else { return false };
        let before = std::mem::replace(&mut self.settings, settings.clone());
        let more = *settings != before && !self.enough();
        if more {
            self.aim();
        } else {
            self.done = Some(why);
        }
        more
    }
}

impl Nuts {
    fn calls(&self) -> u64 {
        self.chains.iter().map(Chain::calls).sum()
    }

    /// Sends the chains on to the end of the block; each has its share of the calls.
    fn aim(&mut self) {
        let share = self.settings.n_like_max.map_or(u64::MAX, |most| most / self.chains.len() as u64);
        self.chains.iter_mut().for_each(|chain| chain.aim(self.goal, share));
    }

    /// Every chain has the early part of its warm-up behind it: those that are nowhere near the posterior begin anew where others are.
    fn compare(&mut self) {
        let mass: Vec<f64> = self.chains.iter().map(Chain::log_mass).collect();
        let most = mass.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (kept, lost): (Vec<usize>, Vec<usize>) = (0..mass.len()).partition(|k| mass[*k] >= most - LOST);
        for (n, k) in lost.into_iter().enumerate() {
            let pair = self.chains.get_disjoint_mut([k, kept[n % kept.len()]]);
            let [chain, other] = pair.expect("a lost chain is not one that is kept");
            chain.move_to(other);
        }
        self.chains.iter_mut().for_each(Chain::go_on);
    }

    /// Every chain rests: looks whether that is enough, else begins the next block.
    fn end_block(&mut self) {
        let draws = posterior::length(&self.chains);
        // The slowest at the last look is likely to be too slow still: that is enough to know, but at the end.
        let last = draws < self.goal || draws >= self.settings.max_draws;
        let enough = if last { 0.0 } else { self.settings.n_eff };
        (self.slowest, self.n_eff) = posterior::slowest(&self.chains, self.n_dim, self.slowest, enough);
        if self.enough() {
            self.done = Some(format!("effective sample size {:.0}", self.n_eff));
        } else if draws < self.goal {
            self.done = Some(format!("n_like_max is reached with an effective sample size of {:.0}", self.n_eff));
        } else if draws >= self.settings.max_draws {
            self.done = Some(format!("max_draws = {} is reached with an effective sample size of {:.0}", draws, self.n_eff));
        } else {
            // By a quarter at least: looks at long chains cost time. The target has no say, so that a raised one finds the same draws.
            self.goal = (self.goal + self.settings.block.max(self.goal / 4)).min(self.settings.max_draws);
            self.aim();
        }
    }

    /// A block must be whole: the stop depends on the draws, and not on how many came for the calls that were left. Chains that do not
    /// agree yet are given more draws, but not for ever.
    fn enough(&self) -> bool {
        let patient = self.n_eff < PATIENCE * self.settings.n_eff;
        let whole = posterior::length(&self.chains) >= self.goal;
        let reached = whole && self.n_eff >= self.settings.n_eff;
        reached && (!patient || posterior::agree(&self.chains, self.n_dim, self.settings.groups))
    }
}
