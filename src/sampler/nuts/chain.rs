//! A chain: a lane of its own, which asks for one point at a time. It looks for a beginning, finds a step size, warms up, and draws.

use super::adaptation::{Lesson, Warmup};
use super::coordinates::Coordinates;
use super::evaluation::{Evaluation, Slope};
use super::metric::Metric;
use super::settings::Settings;
use super::state::{Shared, State};
use super::step_size::{Averaging, Search};
use super::trajectory::{Limits, Outcome, Trajectory};
use crate::random::{Purpose, stream};
use crate::sampler::SamplerError;
use crate::task::Task;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Most doublings in the early part of the warm-up, where steps are too small for the way to go.
const EARLY_DEPTH: u32 = 6;
/// Weight of the newest transition in the running mean of the log density.
const NEWEST: f64 = 0.1;
/// Times `starts` points of the prior are tried for one that is possible.
const ROUNDS: u64 = 64;

#[derive(Debug, Serialize, Deserialize)]
pub struct Chain {
    lane: u32,
    seed: u64,
    coordinates: Coordinates,
    slope: Slope,
    difference_step: f64,
    limits: Limits,
    starts: u64,
    /// Chains of a group have the same.
    start_key: u64,
    /// Likelihood calls made or under way.
    calls: u64,
    /// The point that is being asked about, and the one that waits for leave to be.
    open: Option<Evaluation>,
    wanted: Option<(Vec<f64>, Slope)>,
    phase: Phase,
    here: Option<Shared>,
    metric: Metric,
    averaging: Averaging,
    warmup: Warmup,
    /// Running mean of the log density.
    level: f64,
    /// Has been compared with the other chains, after the early part of the warm-up.
    compared: bool,
    pub moved: bool,
    /// Transitions and searches so far: each has a random stream.
    events: u64,
    pub draws: Draws,
    /// Draws at which it rests.
    goal: usize,
    /// Most calls of this chain.
    budget: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Phase {
    /// Points tried, and the best possible one: log posterior density and point.
    Starting {
        tried: u64,
        best: Option<(f64, Vec<f64>)>,
    },
    /// The gradient at the beginning is on its way.
    Begun,
    Searching(Box<Search>),
    Moving(Box<Trajectory>),
    /// Until all chains have the early part of the warm-up behind them.
    Waiting,
    Resting,
}

/// What a chain keeps: one entry each a draw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Draws {
    /// Unit-cube coordinates, row-major.
    #[serde(with = "crate::bulk::reals")]
    pub u: Vec<f64>,
    #[serde(with = "crate::bulk::reals")]
    pub log_like: Vec<f64>,
    #[serde(with = "crate::bulk::reals")]
    pub energy: Vec<f64>,
    pub diverging: Vec<bool>,
    pub depth: Vec<u32>,
    pub n_steps: Vec<u32>,
    /// Sum of mean acceptances.
    pub accept: f64,
}

impl Chain {
    pub fn new(settings: &Settings, seed: u64, lane: u32, coordinates: &Coordinates, slope: Slope) -> Chain {
        let d = coordinates.len();
        let of_group = settings.chains.checked_div(settings.groups).unwrap_or(1);
        let group = lane as usize / of_group;
        let mut chain = Chain {
            lane,
            seed,
            coordinates: coordinates.clone(),
            slope,
            difference_step: settings.difference_step,
            limits: Limits { depth: settings.max_depth, energy_error: settings.max_energy_error },
            starts: settings.starts as u64,
            start_key: group as u64,
            calls: 0,
            open: None,
            wanted: None,
            phase: Phase::Starting { tried: 0, best: None },
            here: None,
            metric: Metric::diagonal(vec![1.0; d]),
            averaging: Averaging::from(1.0, settings.target_accept),
            warmup: Warmup::new(settings, d),
            level: f64::NEG_INFINITY,
            compared: false,
            moved: false,
            events: 0,
            draws: Draws::default(),
            goal: 0,
            budget: 0,
        };
        chain.try_start();
        chain
    }

    /// Goes on up to so many draws, and so many calls.
    pub fn aim(&mut self, goal: usize, budget: u64) {
        (self.goal, self.budget) = (goal, budget);
        if matches!(self.phase, Phase::Resting) && self.draws.log_like.len() < goal {
            self.move_on();
        }
        self.open_wanted();
    }

    pub fn waits(&self) -> bool {
        matches!(self.phase, Phase::Waiting)
    }

    /// Natural log of the posterior mass about here, as if the law were normal (Laplace), but for a constant.
    pub fn log_mass(&self) -> f64 {
        self.level + self.metric.log_volume()
    }

    /// After the comparison: goes on with the warm-up.
    pub fn go_on(&mut self) {
        self.compared = true;
        self.move_on();
        self.open_wanted();
    }

    /// Goes on from where `other` is, with what that has learned.
    pub fn move_to(&mut self, other: &Chain) {
        (self.here, self.metric, self.level) = (other.here.clone(), other.metric.clone(), other.level);
        (self.warmup, self.averaging) = (other.warmup.clone(), other.averaging.clone());
        self.moved = true;
    }

    /// Has all draws, or no calls left for more.
    pub fn rests(&self) -> bool {
        self.open.is_none()
    }

    pub fn is_warming(&self) -> bool {
        !self.warmup.is_over()
    }

    /// 0 to 1.
    pub fn warmed(&self) -> f64 {
        self.warmup.fraction()
    }

    pub fn calls(&self) -> u64 {
        self.calls
    }

    pub fn step_size(&self) -> f64 {
        self.averaging.average()
    }

    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    pub fn next_task(&mut self) -> Option<Task> {
        self.open.as_mut()?.next_task(self.lane, &self.coordinates)
    }

    /// A log-likelihood that may be -inf; `by_u`: the gradient that came with it.
    pub fn tell(&mut self, log_like: f64, by_u: impl FnOnce() -> Vec<f64>) -> Result<(), SamplerError> {
        let Some(open) = &mut self.open else { return Err(SamplerError("a likelihood came that was not asked for".into())) };
        if open.tell(log_like, by_u)
            && let Some(known) = self.open.take()
        {
            self.learn(known)?;
            self.open_wanted();
        }
        Ok(())
    }

    fn want(&mut self, x: Vec<f64>, slope: Slope) {
        self.wanted = Some((x, slope));
    }

    /// Asks for the wanted point, where the calls for it are left.
    fn open_wanted(&mut self) {
        let affordable = |slope| self.calls + Evaluation::calls(slope, &self.coordinates) <= self.budget;
        if self.open.is_none()
            && let Some((x, slope)) = self.wanted.take_if(|(_, slope)| affordable(*slope))
        {
            let spacing = || self.metric.deviations().iter().map(|sd| sd * self.difference_step).collect();
            self.open = Some(Evaluation::new(x, slope, self.calls, spacing));
            self.calls += Evaluation::calls(slope, &self.coordinates);
        }
    }

    fn learn(&mut self, known: Evaluation) -> Result<(), SamplerError> {
        if matches!(self.phase, Phase::Starting { .. }) {
            return self.tried(known);
        }
        let state = known.state(&self.coordinates);
        match &mut self.phase {
            Phase::Begun => self.begin(state),
            Phase::Searching(search) => match search.go_on(state, &self.metric) {
                Ok(next) => self.want(next, self.slope),
                Err(step) => self.start_averaging(step),
            },
            Phase::Moving(trajectory) => match trajectory.go_on(state, &self.metric) {
                Ok(next) => self.want(next, self.slope),
                Err(outcome) => self.arrive(outcome),
            },
            Phase::Starting { .. } | Phase::Waiting | Phase::Resting => {}
        }
        Ok(())
    }

    /// The next point of the prior.
    fn try_start(&mut self) {
        let Phase::Starting { tried, .. } = self.phase else { return };
        let mut rng = stream(self.seed, Purpose::NutsStart, self.start_key, tried);
        self.want(self.coordinates.draw(&mut rng), Slope::None);
    }

    fn tried(&mut self, known: Evaluation) -> Result<(), SamplerError> {
        let x = known.x().to_vec();
        let density = known.state(&self.coordinates).log_density;
        let Phase::Starting { tried, best } = &mut self.phase else { return Ok(()) };
        *tried += 1;
        if density > best.as_ref().map_or(f64::NEG_INFINITY, |best| best.0) {
            *best = Some((density, x));
        }
        if *tried < self.starts || (best.is_none() && *tried < ROUNDS * self.starts) {
            self.try_start();
            return Ok(());
        }
        let Some((_, x)) = best.take() else {
            let n = *tried;
            return Err(SamplerError(format!(
                "none of the first {n} points of the prior has a likelihood above zero, so no chain can begin: look at the priors and the \
                 model (`fitjob check` tries some points)"
            )));
        };
        self.phase = Phase::Begun;
        self.want(x, self.slope);
        Ok(())
    }

    /// A first metric from the slope alone: no wider than the prior, and narrower where the slope is steep.
    fn begin(&mut self, state: State) {
        let width = |slope: &f64| if slope.is_finite() { 1.0 / slope.abs().max(1.0).sqrt() } else { 1.0 };
        self.metric = Metric::diagonal(state.gradient().iter().map(width).collect());
        self.level = state.log_density;
        self.here = Some(Shared::new(state));
        self.search(1.0);
    }

    fn rng(&mut self) -> ChaCha8Rng {
        self.events += 1;
        stream(self.seed, Purpose::Nuts, u64::from(self.lane), self.events)
    }

    fn search(&mut self, step: f64) {
        let Some(here) = self.here.clone() else { return };
        let rng = self.rng();
        let (search, next) = Search::begin(&here, &self.metric, step, rng);
        self.phase = Phase::Searching(Box::new(search));
        self.want(next, self.slope);
    }

    fn start_averaging(&mut self, step: f64) {
        self.averaging.restart(step);
        self.move_on();
    }

    /// The next transition, or rest.
    fn move_on(&mut self) {
        let enough = !self.is_warming() && self.draws.log_like.len() >= self.goal;
        let Some(here) = self.here.clone().filter(|_| !enough) else {
            self.phase = Phase::Resting;
            return;
        };
        if !self.compared && self.warmup.ends_early() {
            self.phase = Phase::Waiting;
            return;
        }
        let step = if self.is_warming() { self.averaging.step() } else { self.averaging.average() };
        let rng = self.rng();
        let depth = if self.compared || !self.is_warming() { self.limits.depth } else { self.limits.depth.min(EARLY_DEPTH) };
        let limits = Limits { depth, ..self.limits };
        let (trajectory, next) = Trajectory::begin(&here, &self.metric, step, limits, rng);
        self.phase = Phase::Moving(Box::new(trajectory));
        self.want(next, self.slope);
    }

    fn arrive(&mut self, outcome: Outcome) {
        self.here = Some(outcome.state.clone());
        if !self.is_warming() {
            self.draws.push(&outcome, self.coordinates.to_cube(outcome.state.x()));
            return self.move_on();
        }
        self.level += NEWEST * (outcome.state.log_density - self.level);
        self.averaging.learn(outcome.accept);
        match self.warmup.learn(outcome.state.x(), outcome.state.gradient(), outcome.diverging) {
            Lesson::Nothing => self.move_on(),
            Lesson::Metric(metric) => {
                self.metric = metric;
                self.move_on();
            }
            Lesson::Fresh(metric) => {
                self.metric = metric.unwrap_or_else(|| self.metric.clone());
                self.search(self.averaging.step());
            }
        }
    }
}

impl Draws {
    fn push(&mut self, outcome: &Outcome, u: Vec<f64>) {
        self.u.extend(u);
        self.log_like.push(outcome.state.log_like);
        self.energy.push(outcome.energy);
        self.diverging.push(outcome.diverging);
        self.depth.push(outcome.depth);
        self.n_steps.push(outcome.n_steps);
        self.accept += outcome.accept;
    }
}
