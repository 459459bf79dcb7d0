//! Walkers that move by where the others are (Goodman & Weare 2010), in standard coordinates, where every prior is a standard normal:
//! a group at a time, until the chains are long against their autocorrelation time. `moves` are the steps, `chain` what is kept of
//! them, `outcome` what is said at the end.

mod chain;
mod moves;
mod outcome;
mod settings;

pub use settings::Settings;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use self::chain::{Chain, Look};
use super::standard::{log_prior, to_cube};
use super::{Ask, Engine, EngineSettings, EngineSpec, Posterior, Problem, Progress, Sampler, SamplerError, saved};
use crate::random::{Purpose, fill_normal, stream, uniform};
use crate::task::{Answer, Task, TaskId, Work};

/// Rounds of draws from the prior after which walkers without a likelihood are an error.
const ROUNDS: u64 = 20;
/// Steps before the first look, and growth from one look to the next.
const FIRST_LOOK: u64 = 200;
const GROWTH: f64 = 1.2;
/// The autocorrelation time is stable when it changed by less than this since the look before; halves of a chain agree within so many errors.
const STABLE: f64 = 0.1;
const DRIFT: f64 = 5.0;
/// Times that walkers left behind are fetched at most.
const FETCHES: u32 = 6;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    /// So many rounds of draws from the prior were answered.
    Starting(u64),
    Walking,
    /// And why.
    Finished(String),
}

/// A point whose likelihood is awaited.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Awaited {
    walker: usize,
    z: Vec<f64>,
    log_factor: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ensemble {
    settings: Settings,
    seed: u64,
    n_dim: usize,
    phase: Phase,
    /// Walkers x n_dim, and log L of each; -inf where a walker has no place yet.
    z: Vec<f64>,
    log_like: Vec<f64>,
    awaited: Vec<Awaited>,
    answers: Vec<f64>,
    mail: VecDeque<Task>,
    calls: u64,
    /// Whole steps of all walkers; the group that moves next.
    steps: u64,
    group: usize,
    /// Proposals of walking walkers, and those that were accepted.
    proposed: u64,
    accepted: u64,
    chain: Chain,
    next_look: u64,
    look: Option<Look>,
    stable: bool,
    /// Times that walkers were fetched from where they were left behind.
    fetched: u32,
}

impl Engine for Ensemble {
    type Settings = Settings;

    fn start(settings: Settings, seed: u64, problem: &Problem) -> Result<Ensemble, SamplerError> {
        let n_dim = problem.n_dim;
        settings.check(n_dim)?;
        if !problem.periodic.is_empty() {
            let what = "the method ensemble walks on lines and cannot go round: leave `periodic` away, or take importance-nested";
            return Err(SamplerError(what.into()));
        }
        let n = settings.walkers(n_dim);
        let mut ensemble = Ensemble {
            chain: Chain::new(n, n_dim),
            settings,
            seed,
            n_dim,
            phase: Phase::Starting(0),
            z: vec![0.0; n * n_dim],
            log_like: vec![f64::NEG_INFINITY; n],
            awaited: vec![],
            answers: vec![],
            mail: VecDeque::new(),
            calls: 0,
            steps: 0,
            group: 0,
            proposed: 0,
            accepted: 0,
            next_look: FIRST_LOOK,
            look: None,
            stable: false,
            fetched: 0,
        };
        ensemble.draw(0);
        Ok(ensemble)
    }
}

impl Ensemble {
    fn n(&self) -> usize {
        self.log_like.len()
    }

    fn walker(&self, w: usize) -> &[f64] {
        &self.z[w * self.n_dim..(w + 1) * self.n_dim]
    }

    fn send(&mut self, awaited: Vec<Awaited>) {
        let id = |at: usize| TaskId { lane: 0, seq: self.calls + at as u64 };
        self.mail.extend(awaited.iter().enumerate().map(|(at, a)| Task { id: id(at), work: Work::LogLike(to_cube(&a.z)) }));
        self.calls += awaited.len() as u64;
        self.awaited = awaited;
    }

    /// Draws from the prior for walkers that have no place.
    fn draw(&mut self, round: u64) {
        let mut awaited = Vec::new();
        for walker in (0..self.n()).filter(|w| self.log_like[*w] == f64::NEG_INFINITY) {
            let mut rng = stream(self.seed, Purpose::WalkerStart, walker as u64, round);
            for _ in 0..self.settings.n_tries {
                let mut z = vec![0.0; self.n_dim];
                fill_normal(&mut rng, &mut z);
                awaited.push(Awaited { walker, z, log_factor: 0.0 });
            }
        }
        self.send(awaited);
    }

    /// Each walker begins at the best of its draws.
    fn placed(&mut self, round: u64) -> Result<(), SamplerError> {
        for (draw, log_like) in std::mem::take(&mut self.awaited).into_iter().zip(std::mem::take(&mut self.answers)) {
            if log_like > self.log_like[draw.walker] {
                self.place(draw, log_like);
            }
        }
        let homeless = self.log_like.iter().filter(|l| **l == f64::NEG_INFINITY).count();
        if homeless == 0 {
            self.phase = Phase::Walking;
            return Ok(());
        }
        if round + 1 == ROUNDS {
            let (n, draws) = (self.n(), self.settings.n_tries as u64 * ROUNDS);
            let what = "check the model and the priors, or raise n_tries";
            return Err(SamplerError(format!(
                "{homeless} of {n} walkers found no likelihood above zero in {draws} draws from the prior each: {what}"
            )));
        }
        self.phase = Phase::Starting(round + 1);
        self.draw(round + 1);
        Ok(())
    }

    fn place(&mut self, at: Awaited, log_like: f64) {
        self.z[at.walker * self.n_dim..(at.walker + 1) * self.n_dim].copy_from_slice(&at.z);
        self.log_like[at.walker] = log_like;
    }

    /// Proposals for the walkers of the group whose turn it is, by where all others are.
    fn propose(&mut self) {
        let (groups, group) = (self.settings.n_groups, self.group);
        let others: Vec<&[f64]> = (0..self.n()).filter(|w| w % groups != group).map(|w| self.walker(w)).collect();
        let step = |walker: usize| {
            let mut rng = stream(self.seed, Purpose::Walkers, walker as u64, self.steps);
            let moves::Proposal { z, log_factor } = moves::propose(&self.settings, self.walker(walker), &others, &mut rng);
            Awaited { walker, z, log_factor }
        };
        let awaited = (group..self.n()).step_by(groups).map(step).collect();
        self.send(awaited);
    }

    /// Metropolis and Hastings: accepted or not, each by its own draw.
    fn settle(&mut self) {
        for (to, log_like) in std::mem::take(&mut self.awaited).into_iter().zip(std::mem::take(&mut self.answers)) {
            let (walker, here) = (to.walker, self.walker(to.walker));
            let ratio = log_like + log_prior(&to.z) - self.log_like[walker] - log_prior(here) + to.log_factor;
            let draw = uniform(&mut stream(self.seed, Purpose::Acceptance, walker as u64, self.steps));
            self.proposed += 1;
            if libm::log(1.0 - draw) < ratio {
                self.accepted += 1;
                self.place(to, log_like);
            }
        }
        self.group = (self.group + 1) % self.settings.n_groups;
        if self.group == 0 {
            self.steps += 1;
            self.chain.note(self.steps, &self.z, &self.log_like);
            self.judge();
        }
    }

    /// Looks at the chains now and then, and ends when they are long enough.
    fn judge(&mut self) {
        let most = self.settings.n_like_max.unwrap_or(u64::MAX);
        let spent = self.calls + self.n() as u64 > most || self.steps >= self.settings.n_steps;
        if self.steps < self.next_look && !spent {
            return;
        }
        if self.steps >= self.next_look {
            let length = self.chain.len() as u64 * self.chain.stride;
            self.next_look = self.steps + (length as f64 * (GROWTH - 1.0)) as u64 + 1;
        }
        let before = self.look.take();
        let look = self.chain.look(before.as_ref());
        self.stable = before.is_some_and(|before| (look.steps() / before.steps() - 1.0).abs() < STABLE);
        let enough = self.stable && look.used as f64 > self.settings.n_times * look.longest && look.drift < DRIFT;
        if !spent && self.fetched < FETCHES && (look.used as f64) < 0.5 * self.settings.n_times * look.longest && self.fetch() {
            return;
        }
        let reached = enough && self.worth(&look) >= self.settings.n_eff;
        let (times, steps) = (look.used as f64 / look.longest, look.steps());
        self.look = Some(look);
        if reached {
            let why = format!("the chains are {times:.0} autocorrelation times of {steps:.1} steps long, and n_eff is reached");
            self.phase = Phase::Finished(why);
        } else if spent {
            self.phase = Phase::Finished("the limit of calls or steps was reached".into());
        }
    }

    /// Moves walkers that were left behind on the way to places of others, and begins the chain anew: what was before is no part of the sample.
    /// False where none was.
    fn fetch(&mut self) -> bool {
        let (outliers, others) = self.chain.outliers();
        for &walker in &outliers {
            let mut rng = stream(self.seed, Purpose::WalkerStart, walker as u64, (1 << 32) + self.steps);
            let to = others[(uniform(&mut rng) * others.len() as f64) as usize];
            let z = self.walker(to).to_vec();
            self.place(Awaited { walker, z, log_factor: 0.0 }, self.log_like[to]);
        }
        if !outliers.is_empty() {
            self.fetched += 1;
            self.chain = Chain::new(self.n(), self.n_dim);
            self.next_look = self.steps + FIRST_LOOK;
        }
        !outliers.is_empty()
    }

    /// Effective sample size.
    fn worth(&self, look: &Look) -> f64 {
        if look.longest.is_nan() { 0.0 } else { (self.n() * look.used) as f64 / look.longest }
    }

    fn advance(&mut self) -> Result<(), SamplerError> {
        if self.answers.len() == self.awaited.len() && !self.awaited.is_empty() {
            match self.phase {
                Phase::Starting(round) => self.placed(round)?,
                _ => self.settle(),
            }
        }
        if self.awaited.is_empty() && self.phase == Phase::Walking {
            self.propose();
        }
        Ok(())
    }
}

impl Sampler for Ensemble {
    fn ask(&mut self, room: usize) -> Ask {
        let tasks: Vec<Task> = self.mail.drain(..room.min(self.mail.len())).collect();
        match &self.phase {
            _ if !tasks.is_empty() => Ask::Work { publish: vec![], tasks, retire: vec![] },
            Phase::Finished(why) => Ask::Done(why.clone()),
            _ => Ask::Wait,
        }
    }

    fn tell(&mut self, answer: Answer) -> Result<(), SamplerError> {
        let log_like = super::log_like(&answer)?;
        if self.answers.len() == self.awaited.len() {
            return Err(SamplerError("a likelihood came that was not asked for".into()));
        }
        self.answers.push(log_like);
        self.advance()
    }

    fn progress(&self) -> Progress {
        self.standing()
    }

    fn posterior(&self) -> Result<Posterior, SamplerError> {
        self.outcome()
    }

    fn save(&self) -> Vec<u8> {
        saved::write(self)
    }

    fn extend(&mut self, spec: &EngineSpec) -> bool {
        let EngineSpec::Ensemble(asked) = spec else { return false };
        let targets = |s: &Settings| (s.n_eff, s.n_like_max);
        if !matches!(self.phase, Phase::Finished(_)) || targets(asked) == targets(&self.settings) {
            return false;
        }
        (self.settings.n_eff, self.settings.n_like_max) = targets(asked);
        let room = self.calls + self.n() as u64 <= asked.n_like_max.unwrap_or(u64::MAX) && self.steps < self.settings.n_steps;
        let reached = self.converged() && self.look.as_ref().is_some_and(|look| self.worth(look) >= asked.n_eff);
        if reached || !room {
            return false;
        }
        self.phase = Phase::Walking;
        self.propose();
        true
    }
}
