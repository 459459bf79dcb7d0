//! The order of events: draw from the prior; then, generation by generation, delete the lowest block and replace it above its contour.
//!
//! All that is done follows from answers told. Draws are taken in their order, and the walks of a generation in the order of their
//! lanes once all of them have ended; so timing, ranks and room decide nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Settings;
use super::book::{Book, PRIOR, ZERO};
use super::generation::{Draws, Generation, Work};
use super::health::Health;
use super::pass::Pass;
use crate::random::{Purpose, stream, uniform};
use crate::sampler::{self, Problem, SamplerError};
use crate::task::{Answer, Task, TaskId, Work as TaskWork};

/// Rounds of draws from the prior while less than half of the live points are above the lowest likelihood: where that is zero, and else.
const ROUNDS_AT_ZERO: u64 = 1000;
const ROUNDS_ON_PLATEAU: u64 = 20;
/// A coordinate of the cube has no more nats than this: the exponent and the digits of a float.
const LEAST_NATS: f64 = 800.0;
pub const BOTTOMLESS: &str = "log L still rises where the cube's points are as close together as numbers can be";

/// Everything a checkpoint must hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub settings: Settings,
    pub seed: u64,
    pub n_dim: usize,
    pub periodic: Vec<usize>,
    pub book: Book,
    pub pass: Pass,
    pub generation: Generation,
    pub work: Work,
    pub health: Health,
    /// Why the run ended; none while it goes on.
    pub end: Option<String>,
    pub out_of_calls: bool,
    pub n_like: u64,
    /// Number of the next task of each lane.
    seqs: Vec<u64>,
    pub mail: VecDeque<Task>,
}

impl Run {
    pub fn new(settings: Settings, seed: u64, problem: &Problem) -> Run {
        let mut run = Run {
            pass: Pass::new(0, settings.n_live, PRIOR, f64::INFINITY, 0.0, f64::NEG_INFINITY),
            settings,
            seed,
            n_dim: problem.n_dim,
            periodic: problem.periodic.clone(),
            book: Book { n_dim: problem.n_dim, ..Book::default() },
            generation: Generation::new(problem.n_dim),
            work: Work::None,
            health: Health::default(),
            end: None,
            out_of_calls: false,
            n_like: 0,
            seqs: Vec::new(),
            mail: VecDeque::new(),
        };
        run.begin_pass();
        run
    }

    pub fn begin_pass(&mut self) {
        self.generation.spare.clear();
        if self.pass.floor == PRIOR { self.draw_prior() } else { self.seed_batch() }
    }

    /// Likelihood calls that may still be made.
    pub fn calls_left(&self) -> u64 {
        self.settings.n_like_max.map_or(u64::MAX, |most| most.saturating_sub(self.n_like))
    }

    pub fn post(&mut self, lane: usize, u: Vec<f64>) {
        if self.seqs.len() <= lane {
            self.seqs.resize(lane + 1, 0);
        }
        let id = TaskId { lane: lane as u32, seq: self.seqs[lane] };
        self.seqs[lane] += 1;
        self.mail.push_back(Task { id, work: TaskWork::LogLike(u) });
    }

    /// Puts points of the cube on the way, all in one lane: their order is that of their answers.
    pub fn post_draws(&mut self, u: Vec<f64>) -> Draws {
        u.chunks_exact(self.n_dim).for_each(|p| self.post(0, p.to_vec()));
        Draws { u, log_like: Vec::new() }
    }

    fn draw_prior(&mut self) {
        let n = (self.settings.n_live as u64).min(self.calls_left()) as usize;
        if n == 0 {
            return self.finish_out_of_calls();
        }
        self.generation.number += 1;
        let mut rng = stream(self.seed, Purpose::NestedDraws, self.generation.number, 0);
        let draws = self.post_draws((0..n * self.n_dim).map(|_| uniform(&mut rng)).collect());
        self.work = Work::Prior(draws);
    }

    pub fn tell(&mut self, answer: Answer) -> Result<(), SamplerError> {
        let lane = answer.id.lane as usize;
        let log_like = sampler::log_like(&answer)?.max(ZERO);
        self.n_like += 1;
        match &mut self.work {
            Work::Prior(draws) | Work::Uniform(draws) => {
                draws.log_like.push(log_like);
                if draws.log_like.len() * self.n_dim == draws.u.len() {
                    match std::mem::replace(&mut self.work, Work::None) {
                        Work::Prior(draws) => self.end_prior(draws),
                        Work::Uniform(draws) => self.end_block(draws),
                        _ => {}
                    }
                }
            }
            Work::Walks { .. } => self.tell_walk(lane, log_like),
            Work::None => return Err(SamplerError("a likelihood came that was not asked for".into())),
        }
        Ok(())
    }

    fn end_prior(&mut self, draws: Draws) {
        for (u, l) in draws.u.chunks_exact(self.n_dim).zip(&draws.log_like) {
            let id = self.book.push(u, *l, PRIOR, self.pass.number, None);
            self.pass.live.push(id);
        }
        let value = |id: &u32| self.book.log_like[*id as usize];
        let lowest = self.pass.live.iter().map(value).fold(f64::INFINITY, f64::min);
        let above = self.pass.live.iter().filter(|id| value(id) > lowest).count();
        let rounds = (self.pass.live.len() / self.settings.n_live) as u64;
        let most = if lowest == ZERO { ROUNDS_AT_ZERO } else { ROUNDS_ON_PLATEAU };
        if 2 * above < self.settings.n_live && rounds < most {
            return self.draw_prior();
        }
        self.next_generation();
    }

    /// Deletes the lowest blocks until there is room for new points.
    pub fn next_generation(&mut self) {
        loop {
            if self.pass.is_over(&self.book, self.settings.f_live) {
                return self.end_pass();
            }
            if self.is_bottomless() {
                return self.end = Some(BOTTOMLESS.into());
            }
            let block = self.settings.deleted(self.pass.live.len().min(self.pass.n_live));
            let Some(cut) = self.pass.cut(&self.book, block) else { return self.end_pass() };
            if cut.wanted > 0 {
                let seeds = self.pass.live.clone();
                return self.begin_generation(cut.threshold, cut.wanted, &seeds);
            }
        }
    }

    /// Live points stand for less than the smallest volume that numbers can tell apart.
    pub fn is_bottomless(&self) -> bool {
        self.pass.log_x < -LEAST_NATS * self.n_dim as f64
    }

    /// What follows a pass: another run, a batch where it helps most, or the end.
    fn end_pass(&mut self) {
        let next = self.pass.number + 1;
        if (next as usize) < self.settings.n_runs {
            self.pass = Pass::new(next, self.settings.n_live, PRIOR, f64::INFINITY, 0.0, f64::NEG_INFINITY);
            return self.begin_pass();
        }
        match self.plan_batch(next) {
            Some(batch) => {
                self.pass = batch;
                self.begin_pass();
            }
            None => self.end = Some(self.why_converged()),
        }
    }

    pub fn finish_out_of_calls(&mut self) {
        self.work = Work::None;
        self.mail.clear();
        self.out_of_calls = true;
        self.end = Some(format!("n_like_max = {} likelihood calls are spent", self.settings.n_like_max.unwrap_or(0)));
    }

    /// Takes up a finished run again, towards other targets; false when it has reached them.
    pub fn extend(&mut self, settings: &Settings) -> bool {
        if self.end.is_none() {
            return false;
        }
        self.settings = settings.clone();
        if self.out_of_calls && self.calls_left() == 0 {
            return false;
        }
        if self.out_of_calls {
            (self.out_of_calls, self.end) = (false, None);
            if self.pass.live.is_empty() {
                self.begin_pass()
            } else {
                self.next_generation()
            }
            return self.end.is_none();
        }
        let Some(batch) = self.plan_batch(self.pass.number + 1) else { return false };
        self.end = None;
        self.pass = batch;
        self.begin_pass();
        self.end.is_none()
    }
}
