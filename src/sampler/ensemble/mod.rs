//! Walkers that move by where the others are (Goodman & Weare 2010), in standard coordinates, where every prior is a standard normal:
//! a group at a time, until the chains are long against their autocorrelation time. `moves` are the steps, `chain` what is kept of
//! them, `outcome` what is said at the end.

mod chain;
mod moves;
mod outcome;
mod settings;
mod walkers;

pub use settings::Settings;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use self::chain::{Chain, Look};
use self::moves::{Move, Proposal};
use self::walkers::{Place, Walkers};
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

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ensemble {
    settings: Settings,
    seed: u64,
    n_dim: usize,
    phase: Phase,
    walkers: Walkers,
    /// Of each walker, which is a lane: what is awaited, in the order asked, and how many were asked for.
    awaited: Vec<VecDeque<Proposal>>,
    sent: Vec<u64>,
    mail: VecDeque<Task>,
    calls: u64,
    /// Steps at which all walkers wait for the next look.
    goal: u64,
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
            walkers: Walkers::new(n, settings.n_groups, n_dim),
            settings,
            seed,
            n_dim,
            phase: Phase::Starting(0),
            awaited: vec![VecDeque::new(); n],
            sent: vec![0; n],
            mail: VecDeque::new(),
            calls: 0,
            goal: 0,
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
    /// Asks for the likelihood there.
    fn send(&mut self, walker: usize, to: Proposal) {
        let id = TaskId { lane: walker as u32, seq: self.sent[walker] };
        self.mail.push_back(Task { id, work: Work::LogLike(to_cube(&to.z)) });
        self.awaited[walker].push_back(to);
        self.sent[walker] += 1;
        self.calls += 1;
    }

    /// Draws from the prior for walkers that have no place.
    fn draw(&mut self, round: u64) {
        for walker in 0..self.walkers.len() {
            if self.walkers.place(walker).log_like > f64::NEG_INFINITY {
                continue;
            }
            let mut rng = stream(self.seed, Purpose::WalkerStart, walker as u64, round);
            for _ in 0..self.settings.n_tries {
                let mut z = vec![0.0; self.n_dim];
                fill_normal(&mut rng, &mut z);
                self.send(walker, Proposal { z, log_factor: 0.0 });
            }
        }
    }

    /// All draws of a round are answered: walk, or draw again for those that have no place.
    fn begin(&mut self, round: u64) -> Result<(), SamplerError> {
        let n = self.walkers.len();
        let homeless = (0..n).filter(|w| self.walkers.place(*w).log_like == f64::NEG_INFINITY).count();
        if homeless == 0 {
            self.phase = Phase::Walking;
            self.go_on();
            return Ok(());
        }
        if round + 1 == ROUNDS {
            let draws = self.settings.n_tries as u64 * ROUNDS;
            let what = "check the model and the priors, or raise n_tries";
            return Err(SamplerError(format!(
                "{homeless} of {n} walkers found no likelihood above zero in {draws} draws from the prior each: {what}"
            )));
        }
        self.phase = Phase::Starting(round + 1);
        self.draw(round + 1);
        Ok(())
    }

    /// Sends all walkers on to where the next look may be: no walker goes beyond, so that the look sees the same on any machine.
    fn go_on(&mut self) {
        let steps = self.walkers.steps;
        let paid = self.settings.n_like_max.map_or(u64::MAX, |most| most.saturating_sub(self.calls) / self.walkers.len() as u64);
        self.goal = self.next_look.min(self.settings.n_steps).min(steps.saturating_add(paid)).max(steps + 1);
        (0..self.walkers.len()).for_each(|walker| self.propose(walker));
    }

    /// The next step of a walker, if those that it steps by are there already: else it is woken by them.
    fn propose(&mut self, walker: usize) {
        let made = self.walkers.made(walker);
        if made == self.goal {
            return;
        }
        let mut rng = stream(self.seed, Purpose::Walkers, walker as u64, made);
        let step = Move::draw(&self.settings, self.walkers.n_others(), &mut rng);
        let others = step.others().iter().map(|k| self.walkers.other(walker, *k));
        let mut at: Vec<&[f64]> = Vec::with_capacity(3);
        for other in others {
            match self.walkers.seen_by(walker, other) {
                Some(place) => at.push(&place.z),
                None => return self.walkers.wait(walker, other),
            }
        }
        let mut to = step.propose(&self.walkers.place(walker).z, &at, &mut rng);
        to.log_factor -= libm::log(1.0 - uniform(&mut rng));
        self.send(walker, to);
    }

    /// Metropolis and Hastings: accepted where the ratio of densities and the factor are above the draw, which is in the factor already. Who waited for that goes on.
    fn settle(&mut self, walker: usize, to: Proposal, log_like: f64) {
        let here = self.walkers.place(walker);
        let ratio = log_like + log_prior(&to.z) - here.log_like - log_prior(&here.z) + to.log_factor;
        let accepted = ratio > 0.0;
        self.proposed += 1;
        self.accepted += u64::from(accepted);
        let woken = self.walkers.step(walker, accepted.then_some(Place { z: to.z, log_like }));
        self.propose(walker);
        woken.into_iter().for_each(|other| self.propose(other));
        while self.walkers.all_stepped() {
            self.chain.note(self.walkers.steps, self.walkers.places());
        }
        if self.walkers.steps == self.goal {
            self.judge();
        }
    }

    /// No step of all walkers is left by the limits.
    fn spent(&self) -> bool {
        let after = self.calls + self.walkers.len() as u64;
        after > self.settings.n_like_max.unwrap_or(u64::MAX) || self.walkers.steps >= self.settings.n_steps
    }

    /// Looks at the chains, and ends when they are long enough.
    fn judge(&mut self) {
        let (spent, steps) = (self.spent(), self.walkers.steps);
        if steps >= self.next_look {
            let length = self.chain.len() as u64 * self.chain.stride;
            self.next_look = steps + (length as f64 * (GROWTH - 1.0)) as u64 + 1;
        }
        let before = self.look.take();
        let look = self.chain.look(before.as_ref());
        self.stable = before.is_some_and(|before| (look.steps() / before.steps() - 1.0).abs() < STABLE);
        let enough = self.stable && look.used as f64 > self.settings.n_times * look.longest && look.drift < DRIFT;
        if !spent && self.fetched < FETCHES && (look.used as f64) < 0.5 * self.settings.n_times * look.longest && self.fetch() {
            return self.go_on();
        }
        let reached = enough && self.worth(&look) >= self.settings.n_eff;
        let (times, steps) = (look.used as f64 / look.longest, look.steps());
        self.look = Some(look);
        if reached {
            let why = format!("the chains are {times:.0} autocorrelation times of {steps:.1} steps long, and n_eff is reached");
            self.phase = Phase::Finished(why);
        } else if spent {
            self.phase = Phase::Finished("the limit of calls or steps was reached".into());
        } else {
            self.go_on();
        }
    }

    /// Moves walkers that were left behind on the way to places of others, and begins the chain anew: what was before is no part of the sample.
    /// False where none was.
    fn fetch(&mut self) -> bool {
        let (outliers, others) = self.chain.outliers();
        for &walker in &outliers {
            let mut rng = stream(self.seed, Purpose::WalkerStart, walker as u64, (1 << 32) + self.walkers.steps);
            let to = others[(uniform(&mut rng) * others.len() as f64) as usize];
            self.walkers.put(walker, self.walkers.place(to).clone());
        }
        if !outliers.is_empty() {
            self.fetched += 1;
            self.chain = Chain::new(self.walkers.len(), self.n_dim);
            self.next_look = self.walkers.steps + FIRST_LOOK;
        }
        !outliers.is_empty()
    }

    /// Effective sample size.
    fn worth(&self, look: &Look) -> f64 {
        if look.longest.is_nan() { 0.0 } else { (self.walkers.len() * look.used) as f64 / look.longest }
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
        let walker = answer.id.lane as usize;
        let Some(to) = self.awaited.get_mut(walker).and_then(VecDeque::pop_front) else {
            return Err(SamplerError("a likelihood came that was not asked for".into()));
        };
        let Phase::Starting(round) = self.phase else {
            self.settle(walker, to, log_like);
            return Ok(());
        };
        // Each walker begins at the best of its draws.
        if log_like > self.walkers.place(walker).log_like {
            self.walkers.put(walker, Place { z: to.z, log_like });
        }
        if self.awaited.iter().all(VecDeque::is_empty) { self.begin(round) } else { Ok(()) }
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
        let reached = self.converged() && self.look.as_ref().is_some_and(|look| self.worth(look) >= asked.n_eff);
        if reached || self.spent() {
            return false;
        }
        self.phase = Phase::Walking;
        self.go_on();
        true
    }
}
