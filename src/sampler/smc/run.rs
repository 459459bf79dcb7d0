//! The order of events: prior draws; then temperature by temperature weigh, fit, resample, walk, keep; at last long chains at beta = 1.

use serde::{Deserialize, Serialize};

use super::archive::{Archive, CLANS, State};
use super::flow::{self, Flow};
use super::geometry::{Geometry, Place};
use super::settings::{EvidenceBy, Kernel, Precondition, Settings};
use super::student::Student;
use super::walker::{Walk, Walker, draws_a_step, drift};
use crate::bound::periodic::Shift;
use crate::random::{Purpose, stream, uniform};
use crate::sampler::standard::log_prior;
use crate::sampler::{self, Problem, SamplerError};
use crate::task::{Answer, Task, TaskId, Value, Work};

/// Times the prior draws are repeated where too few have a likelihood above zero.
const PRIOR_ROUNDS: usize = 50;
/// Temperatures on the way at most; a few dozen are usual.
const MOST_STAGES: usize = 5000;
/// Chains at beta = 1 end when they are this many times longer than n_steps_max, whatever they reached.
const LONGEST: usize = 20;
/// Three sevenths of what a flow is taught are of the target's density to this power, for thin tails, where few states of the target lie. Without them half the
/// runs had less than a third of the end of a crescent (rosen2, x > 2.2, half a percent of its mass), and one in ten took ten times the calls.
const FLAT: f64 = 0.35;
/// In more dimensions than this nothing is added: so flat a density lies elsewhere (lynx and hare, 8 parameters: means off by .23 sd after seven times the calls).
const FLAT_DIMENSIONS: usize = 3;
/// Acceptance that steps are sized for.
const ACCEPT: f64 = 0.3;
/// Walkers drift where both halves of their chains differ by more than this, in units of its error: by chance one run in five hundred, of ten parameters.
pub const DRIFT: f64 = 4.5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Prior,
    Training,
    Walking,
    Measuring,
    Finished,
}

/// How far walkers are at beta = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum There {
    /// Their first walk shows where the posterior is: the geometry is fitted to it.
    Arriving,
    /// The first walk after a fit forgets what taught it.
    Settling,
    /// Their states are the posterior.
    Staying,
}

/// A draw of the prior or of the fitted law, and its value when it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draw {
    pub place: Place,
    pub log_like: f64,
}

/// The fitted law, its draws that have prior mass, and how many were made in all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub geometry: Geometry,
    pub draws: Vec<Draw>,
    pub n: usize,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Run {
    pub settings: Settings,
    pub seed: u64,
    pub n_dim: usize,
    periodic: Vec<usize>,
    pub phase: Phase,
    pub archive: Archive,
    pub walkers: Vec<Walker>,
    pub walk: Walk,
    /// Temperatures and rounds so far.
    pub iteration: u64,
    pub n_steps: usize,
    /// Next task number of each lane; the last lane is for training.
    seqs: Vec<u64>,
    /// Task numbers at the start of the present draws.
    first_seqs: Vec<u64>,
    pub draws: Vec<Draw>,
    /// Answers still to come.
    open: usize,
    pub n_like: u64,
    pub n_prior: u64,
    /// Effective draws a step in the last stage: of the average quantity, and of the slowest.
    pub pace: (f64, f64),
    pub acceptance: f64,
    pub trainings: u64,
    /// States at beta = 1 since the last fit: the posterior, once the walkers have settled.
    pub chains: Archive,
    pub there: There,
    /// Steps of each walker at beta = 1, those too that are thrown away.
    pub spent: usize,
    /// Largest drift of the chains, in units of its error.
    pub drift: f64,
    pub measured: Option<Measured>,
    pub why_finished: String,
}

impl Run {
    pub fn new(settings: Settings, seed: u64, problem: &Problem) -> Run {
        let d = problem.n_dim;
        let kernel = settings.kernel;
        let sigma = sigma_cap(kernel).min(2.38 / (d as f64).sqrt());
        Run {
            archive: Archive { n_dim: d, ..Archive::default() },
            walkers: vec![Walker::default(); settings.n_active],
            walk: Walk { kernel, sigma, far: far_step(kernel, d), seed, ..Walk::default() },
            seqs: vec![0; settings.n_active + 1],
            first_seqs: Vec::new(),
            n_steps: settings.n_steps.unwrap_or(4.max(d / 2).min(settings.n_steps_max)),
            n_dim: d,
            periodic: problem.periodic.clone(),
            phase: Phase::Prior,
            iteration: 0,
            draws: Vec::new(),
            open: 0,
            n_like: 0,
            n_prior: 0,
            pace: (1.0, 1.0),
            acceptance: 1.0,
            trainings: 0,
            chains: Archive { n_dim: d, ..Archive::default() },
            there: There::Arriving,
            spent: 0,
            drift: 0.0,
            measured: None,
            why_finished: String::new(),
            settings,
            seed,
        }
    }

    fn task(&mut self, lane: usize, work: Work) -> Task {
        let seq = self.seqs[lane];
        self.seqs[lane] += 1;
        self.open += 1;
        Task { id: TaskId { lane: lane as u32, seq }, work }
    }

    /// Likelihood calls left below the limit.
    fn room(&self) -> usize {
        self.settings.n_like_max.map_or(usize::MAX, |most| most.saturating_sub(self.n_like) as usize)
    }

    pub fn begin(&mut self) -> Vec<Task> {
        self.phase = Phase::Prior;
        let n = self.settings.n_prior.min(self.room());
        if n == 0 {
            return self.finish("n_like_max was reached".into());
        }
        let first = self.n_prior;
        let places = (0..n as u64).map(|k| {
            let mut rng = stream(self.seed, Purpose::SmcPrior, 0, first + k);
            Place { u: (0..self.n_dim).map(|_| uniform(&mut rng)).collect(), ..Place::default() }
        });
        let places = places.collect();
        self.n_prior += n as u64;
        self.ask_draws(places)
    }

    fn ask_draws(&mut self, places: Vec<Place>) -> Vec<Task> {
        self.first_seqs = self.seqs.clone();
        self.draws = places.into_iter().map(|place| Draw { place, log_like: f64::NEG_INFINITY }).collect();
        let lanes = self.settings.n_active;
        (0..self.draws.len()).map(|k| self.task(k % lanes, Work::LogLike(self.draws[k].place.u.clone()))).collect()
    }

    pub fn tell(&mut self, answer: Answer) -> Result<Vec<Task>, SamplerError> {
        self.open = self.open.checked_sub(1).ok_or_else(|| SamplerError("an answer came that nothing had asked for".into()))?;
        if self.phase != Phase::Training {
            return Ok(self.value(answer.id, sampler::log_like(&answer)?));
        }
        match answer.outcome {
            Ok(Value::Bytes(bytes)) => {
                let flow: Flow = flow::decode(&bytes)?;
                Ok(self.set_out(Some(flow).filter(Flow::bends)))
            }
            Ok(_) => Err(SamplerError("an answer came that is not of the kind asked for".into())),
            Err(error) => Err(SamplerError(format!("training a flow failed: {error}"))),
        }
    }

    fn value(&mut self, id: TaskId, log_like: f64) -> Vec<Task> {
        self.n_like += 1;
        let lane = id.lane as usize;
        if self.phase == Phase::Walking {
            self.walkers[lane].told(&self.walk, log_like);
            if let Some(u) = self.walkers[lane].next(&self.walk, lane as u64) {
                return vec![self.task(lane, Work::LogLike(u))];
            }
        } else {
            let k = (id.seq - self.first_seqs[lane]) as usize * self.settings.n_active + lane;
            self.draws[k].log_like = log_like;
        }
        if self.open > 0 {
            return Vec::new();
        }
        match self.phase {
            Phase::Prior => self.prior_drawn(),
            Phase::Measuring => self.measured_all(),
            _ => self.walked(),
        }
    }

    fn prior_drawn(&mut self) -> Vec<Task> {
        let finite: Vec<State> = std::mem::take(&mut self.draws)
            .into_iter()
            .filter(|d| d.log_like > f64::NEG_INFINITY)
            .map(|d| State { u: d.place.u, log_like: d.log_like, stays: 1.0, clan: 0 })
            .collect();
        let possible = self.archive.len() + finite.len();
        // All prior draws are one stage, made anew with those of this round.
        let all: Vec<State> = (0..self.archive.len()).map(|i| self.archive.state(i)).chain(finite).collect();
        let chains = all.into_iter().enumerate().map(|(i, s)| vec![State { clan: (i % CLANS) as u8, ..s }]);
        self.archive = Archive { n_dim: self.n_dim, ..Archive::default() };
        self.archive.append(0.0, 1.0, (self.n_prior - possible as u64) as f64, chains);
        let enough = possible as f64 >= self.settings.n_ladder.min(self.settings.n_active as f64);
        if enough {
            return self.next_temperature();
        }
        if self.n_prior >= (PRIOR_ROUNDS * self.settings.n_prior) as u64 || self.room() == 0 {
            return self.finish(format!("only {possible} of {} draws of the prior have a likelihood above zero", self.n_prior));
        }
        self.begin()
    }

    fn next_temperature(&mut self) -> Vec<Task> {
        if self.archive.stages.len() >= MOST_STAGES {
            return self.finish(format!("{MOST_STAGES} temperatures led to beta = {:.3e} only", self.last_beta()));
        }
        self.iteration += 1;
        self.walk.beta = self.archive.next_beta(self.settings.n_ladder);
        if self.room() < self.settings.n_active {
            return self.finish(format!("n_like_max was reached at beta = {:.3e}", self.last_beta()));
        }
        self.fit()
    }

    pub fn last_beta(&self) -> f64 {
        self.archive.stages.last().map_or(0.0, |s| s.beta)
    }

    /// Fits the geometry to the states weighted at the present beta; a flow is trained elsewhere first.
    fn fit(&mut self) -> Vec<Task> {
        let (rows, d, pool) = (self.fit_set(), self.n_dim, self.pool());
        let mut states: Vec<State> = rows.iter().map(|i| pool.state(*i)).collect();
        self.walk.geometry.shift = Shift::of(&pool.points(&rows), d, &self.periodic);
        if !self.training_is_due() {
            let flow = self.walk.geometry.flow.take();
            return self.set_out(flow);
        }
        if d <= FLAT_DIMENSIONS {
            states.extend(self.flat_set(rows.len() * 3 / 4).iter().map(|i| self.archive.state(*i)));
        }
        let z = states.iter().flat_map(|s| self.walk.geometry.standard(&s.u)).collect();
        let clan = states.iter().map(|s| s.clan).collect();
        let spline = self.settings.precondition != Precondition::Maf;
        let lesson = flow::Lesson { seed: self.seed, training: self.trainings, d, z, clan, spline };
        self.trainings += 1;
        self.phase = Phase::Training;
        vec![self.task(self.settings.n_active, flow::work(&lesson))]
    }

    /// By default only while walkers are slow without a flow, or have one.
    fn training_is_due(&self) -> bool {
        let wanted = match self.settings.precondition {
            Precondition::Affine => false,
            Precondition::Auto => self.walk.geometry.flow.is_some() || self.pace.0 < self.slow_pace(),
            Precondition::Maf | Precondition::Spline => true,
        };
        let every = self.settings.train_every as u64;
        wanted && (self.trainings == 0 || self.iteration.is_multiple_of(every) || self.walk.beta == 1.0)
    }

    /// Effective draws a step, of the average quantity, below which walkers mix worse than they would on a Gaussian: in 3, 10, 20 dimensions they make .42, .13,
    /// .18 and more there, where the limits of "tpcn" are .25, .09, .05; on crescents, shells and long tails they fall to .03.
    pub fn slow_pace(&self) -> f64 {
        let d = self.n_dim as f64;
        match self.walk.kernel {
            Kernel::Tpcn => 1.0 / (1.0 + d),
            Kernel::Rwm => 0.1 / d,
        }
    }

    /// Equally weighted states at the present beta.
    fn fit_set(&self) -> Vec<usize> {
        self.resample((4 * self.settings.n_active).max(1024).max(10 * self.n_dim), 1)
    }

    /// States as if drawn from the density by z at the present beta to the power [`FLAT`].
    fn flat_set(&self, n: usize) -> Vec<usize> {
        let mut log_weights = self.archive.log_weights(FLAT * self.walk.beta);
        for (i, log_weight) in log_weights.iter_mut().enumerate() {
            *log_weight += (FLAT - 1.0) * log_prior(&self.walk.geometry.standard(self.archive.at(i)));
        }
        self.resample_by(&log_weights, n, 2)
    }

    /// Where states at a beta are, which is the present one or 1: in the chains, once there are some at beta = 1.
    pub fn pool(&self) -> &Archive {
        if self.chains.len() > 0 { &self.chains } else { &self.archive }
    }

    /// Logs of the weights of [`Run::pool`] there, up to a constant.
    pub fn log_weights(&self, beta: f64) -> Vec<f64> {
        if self.chains.len() > 0 { self.chains.log_stays() } else { self.archive.log_weights(beta) }
    }

    /// States of [`Run::pool`] at the present beta.
    fn resample(&self, n: usize, purpose: u64) -> Vec<usize> {
        self.resample_by(&self.log_weights(self.walk.beta), n, purpose)
    }

    /// Systematic resampling.
    fn resample_by(&self, log_weights: &[f64], n: usize, purpose: u64) -> Vec<usize> {
        let top = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = log_weights.iter().map(|w| libm::exp(w - top)).collect();
        let total: f64 = weights.iter().sum();
        let offset = uniform(&mut stream(self.seed, Purpose::SmcResample, purpose, self.iteration));
        let (mut rows, mut row, mut reached) = (Vec::with_capacity(n), 0, weights[0]);
        for k in 0..n {
            let target = (k as f64 + offset) / n as f64 * total;
            while reached <= target && row + 1 < weights.len() {
                row += 1;
                reached += weights[row];
            }
            rows.push(row);
        }
        rows
    }

    /// Walkers start, or go on when they are at beta = 1 already.
    fn set_out(&mut self, flow: Option<Flow>) -> Vec<Task> {
        let (rows, d, pool) = (self.fit_set(), self.n_dim, self.pool());
        let (u, log_like): (Vec<f64>, Vec<f64>) = (pool.points(&rows), rows.iter().map(|i| pool.log_like[*i]).collect());
        self.walk.geometry.flow = flow;
        let places: Vec<Place> = u.chunks_exact(d).map(|u| self.walk.geometry.place(u)).collect();
        let theta: Vec<f64> = places.iter().flat_map(|p| &p.theta).copied().collect();
        self.walk.geometry.law = match self.walk.kernel {
            Kernel::Tpcn => Student::fit(&theta, d),
            Kernel::Rwm => Student::normal(&theta, d),
        };
        self.walk.centre = vec![0.0; d + 1];
        for (place, log_like) in places.iter().zip(&log_like) {
            let target = self.walk.target(&place.z, *log_like);
            let values = place.z.iter().chain([&target]);
            self.walk.centre.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / places.len() as f64);
        }
        if self.chains.len() == 0 {
            for (walker, i) in (0..self.walkers.len()).zip(self.resample(self.walkers.len(), 0)) {
                self.walkers[walker].start(&self.walk.geometry, self.archive.state(i));
            }
        } else {
            self.chains.clear();
            self.walkers.iter_mut().for_each(|w| w.carry_on(&self.walk.geometry));
        }
        // As long as all walks at beta = 1 before.
        self.go(self.n_steps.max(self.spent))
    }

    fn go(&mut self, steps: usize) -> Vec<Task> {
        self.phase = Phase::Walking;
        let steps = steps.min(self.room() / self.walkers.len());
        self.spent += if self.walk.beta == 1.0 { steps } else { 0 };
        let mut tasks = Vec::new();
        for lane in 0..self.walkers.len() {
            self.walkers[lane].set_out(steps);
            if let Some(u) = self.walkers[lane].next(&self.walk, lane as u64) {
                tasks.push(self.task(lane, Work::LogLike(u)));
            }
        }
        if tasks.is_empty() {
            return self.finish("no walker could move: every step would have left the prior".into());
        }
        tasks
    }

    fn walked(&mut self) -> Vec<Task> {
        let beta = self.walk.beta;
        self.pace = draws_a_step(&self.walkers);
        let (steps, accepted) = self.walkers.iter().fold((0.0, 0.0), |(s, a), w| (s + w.tally.sized, a + w.tally.accepted));
        self.acceptance = if steps > 0.0 { accepted / steps } else { ACCEPT };
        let trails: Vec<Vec<State>> = self.walkers.iter_mut().map(Walker::take_trail).collect();
        if beta == 1.0 {
            self.chains.put(1.0, trails.into_iter());
            if self.there == There::Arriving {
                self.adapt();
            }
            return self.at_the_end();
        }
        // Walkers that drift find more at this temperature than the states before it told of: they walk on, and what they did so far does not count.
        let steps = self.walkers[0].tally.steps as usize;
        let longer = self.settings.n_steps.is_none() && 2 * steps <= self.settings.n_steps_max;
        if longer && drift(&self.walkers) >= DRIFT && self.room() >= self.walkers.len() {
            self.walkers.iter_mut().for_each(Walker::forget);
            return self.go(2 * steps);
        }
        self.archive.append(beta, self.pace.0, 0.0, trails.into_iter());
        self.adapt();
        self.next_temperature()
    }

    /// Step size by acceptance, number of steps by correlation.
    fn adapt(&mut self) {
        let cap = sigma_cap(self.walk.kernel);
        self.walk.sigma = (self.walk.sigma * libm::exp(2.0 * (self.acceptance - ACCEPT)).clamp(0.5, 2.0)).min(cap);
        if self.settings.n_steps.is_none() {
            let wanted = (self.settings.correlation_times / self.pace.0).ceil() as usize;
            self.n_steps = wanted.clamp(self.n_steps.div_ceil(2), 2 * self.n_steps).clamp(2, self.settings.n_steps_max.max(2));
        }
    }

    /// Effective draws of the posterior so far.
    pub fn n_eff(&self) -> f64 {
        match self.there {
            There::Staying => self.pace.0 * self.walkers[0].tally.steps * self.walkers.len() as f64,
            _ => 0.0,
        }
    }

    /// At beta = 1: a new fit after the first walk, and then long chains until the sample is large enough. Chains that drift have not
    /// reached the posterior yet: they teach the next fit, and are thrown away.
    fn at_the_end(&mut self) -> Vec<Task> {
        if self.there == There::Staying && self.walkers[0].tally.marks.len() > 1 {
            let long = self.spent >= LONGEST * self.settings.n_steps_max;
            self.drift = drift(&self.walkers);
            if long || self.drift < DRIFT && self.n_eff() >= self.settings.n_eff {
                return self.measure();
            }
            if self.drift >= DRIFT {
                self.there = There::Arriving;
            }
        }
        if self.room() < self.walkers.len() {
            return self.finish(format!("n_like_max was reached; effective sample size {:.0} of {:.0}", self.n_eff(), self.settings.n_eff));
        }
        match self.there {
            There::Arriving => {
                self.there = There::Settling;
                self.iteration += 1;
                return self.fit();
            }
            There::Settling => {
                self.there = There::Staying;
                self.chains.clear();
                self.walkers.iter_mut().for_each(Walker::forget);
            }
            There::Staying => {}
        }
        // In two pieces at least, which are compared.
        let steps = self.walkers[0].tally.steps as usize;
        let need = (self.settings.n_eff / (self.walkers.len() as f64 * self.pace.0)).ceil() as usize;
        let need = if steps == 0 { need.div_ceil(2) } else { need.saturating_sub(steps) };
        self.go(need.clamp(1, 2 * self.spent))
    }

    /// Fresh draws of the fitted law for log Z, once.
    fn measure(&mut self) -> Vec<Task> {
        let n = self.settings.n_evidence.min(self.room());
        if self.settings.evidence == EvidenceBy::Smc && self.settings.n_evidence == 0 || self.measured.is_some() || n == 0 {
            return self.finish(format!("effective sample size {:.0}", self.n_eff()));
        }
        self.phase = Phase::Measuring;
        self.measured = Some(Measured { geometry: self.walk.geometry.clone(), draws: Vec::new(), n });
        let draw = |k: usize| self.walk.geometry.draw(&mut stream(self.seed, Purpose::SmcEvidence, 0, k as u64));
        // Draws outside the prior are draws all the same: they count, with likelihood zero.
        let places: Vec<Place> = (0..n).filter_map(draw).collect();
        if places.is_empty() {
            self.draws.clear();
            return self.measured_all();
        }
        self.ask_draws(places)
    }

    fn measured_all(&mut self) -> Vec<Task> {
        if let Some(measured) = &mut self.measured {
            measured.draws = std::mem::take(&mut self.draws);
        }
        self.finish(format!("effective sample size {:.0}", self.n_eff()))
    }

    fn finish(&mut self, why: String) -> Vec<Task> {
        self.phase = Phase::Finished;
        self.why_finished = why;
        Vec::new()
    }

    /// Towards other targets, from where the run ended.
    pub fn extend(&mut self, settings: &Settings) -> Vec<Task> {
        self.settings = settings.clone();
        if self.archive.stages.is_empty() || self.last_beta() == 0.0 {
            return self.begin();
        }
        if self.chains.len() == 0 { self.next_temperature() } else { self.at_the_end() }
    }
}

/// The largest step: a tpcn step of 1 forgets where it came from.
fn sigma_cap(kernel: Kernel) -> f64 {
    match kernel {
        Kernel::Tpcn => 0.99,
        Kernel::Rwm => 5.0,
    }
}

/// For "rwm", twice the best step on a normal law.
fn far_step(kernel: Kernel, d: usize) -> f64 {
    match kernel {
        Kernel::Tpcn => 0.99,
        Kernel::Rwm => 4.76 / (d as f64).sqrt(),
    }
}
