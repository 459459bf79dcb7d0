//! The sampler as a sequential program with asynchronous inputs: what it does next never depends on timing.
//!
//! Events come in one fixed order: fill the first batches; then, for every batch c: commit c, perhaps switch to the bound
//! that was learned meanwhile, fill the batch that enters the window. An event whose inputs are not there yet waits, and
//! answers that come early are kept. So the content of every proposal depends on commits at fixed indices only.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::estimate::Count;
use super::explore::Explorer;
use super::ledger::Ledger;
use super::sample::Plan;
use super::stretch::Stretch;
use super::trainer::{Outbox, Trainer};
use super::wire::{DRAW, DrawFor, DrawJob, decode, encode};
use super::{Settings, trainer};
use crate::sampler::SamplerError;
use crate::task::{Answer, Task, TaskId, Value, Work};

pub const POINTS_LANE: u32 = 0;
pub const DRAW_LANE: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Exploring,
    Sampling,
    Finished,
}

/// Everything a checkpoint must hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub settings: Settings,
    pub seed: u64,
    pub n_dim: usize,
    pub periodic: Vec<usize>,
    pub phase: Phase,
    /// Axes whose ends are moved away; whenever one is added, the exploration begins anew.
    #[serde(default)]
    pub stretch: Stretch,
    /// Calls of explorations that were given up.
    #[serde(default)]
    pub dropped: u64,
    pub ledger: Ledger,
    pub explorer: Explorer,
    pub trainer: Trainer,
    pub plan: Plan,
    /// Filled, not yet committed.
    pub batches: VecDeque<Batch>,
    pub filling: Option<Batch>,
    pub filled: u64,
    pub committed: u64,
    /// Points in filled batches.
    pub n_like: u64,
    /// Filling had nothing to do after this many commits.
    idle_at: Option<u64>,
    /// Draw tasks not yet answered: bound number among those tried, and block.
    draws: VecDeque<(u64, u64)>,
    draws_issued: u64,
    /// Calls that failed and count as likelihood zero.
    pub rejected: u64,
}

/// Points that are committed together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// n x d.
    pub u: Vec<f64>,
    /// Shell whose bound each point was drawn from.
    pub from: Vec<u32>,
    /// Points with a known likelihood that took the place of a draw from the newest bound (exploring).
    pub paired: Vec<u32>,
    /// Answers so far, in order.
    pub log_like: Vec<f64>,
    /// ln dw/du of each point, where axes are stretched; else empty.
    #[serde(default)]
    pub log_q: Vec<f64>,
    pub sampling: bool,
    /// Asked for by an exploration that was given up.
    #[serde(default)]
    pub stale: bool,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.from.len()
    }
}

/// What became of an event.
pub enum Step {
    Done,
    /// Inputs are missing.
    Waits,
    /// There is nothing to do until more is committed.
    Nothing,
}

/// Messages to the outside, and points in lane order.
#[derive(Default, Serialize, Deserialize)]
pub struct Mail {
    pub out: Outbox,
    pub points: VecDeque<Task>,
}

impl Run {
    pub fn new(settings: Settings, seed: u64, n_dim: usize, periodic: &[usize], mail: &mut Mail) -> Run {
        let mut trainer = Trainer::new(seed, settings.n_networks);
        let cube = encode(&crate::bound::region::Region::cube(n_dim));
        let key = trainer.publish(cube, &mut mail.out);
        Run {
            explorer: Explorer::new(&settings),
            ledger: Ledger::new(n_dim, 0, key),
            stretch: Stretch::default(),
            dropped: 0,
            trainer,
            settings,
            seed,
            n_dim,
            periodic: periodic.to_vec(),
            phase: Phase::Exploring,
            plan: Plan::default(),
            batches: VecDeque::new(),
            filling: None,
            filled: 0,
            committed: 0,
            n_like: 0,
            idle_at: None,
            draws: VecDeque::new(),
            draws_issued: 0,
            rejected: 0,
        }
    }

    /// The estimate that the settings ask for.
    pub fn count(&self) -> Count {
        match (self.phase, self.settings.discard_exploration) {
            (Phase::Exploring, _) => Count::Explored,
            (_, false) => Count::All,
            (_, true) => Count::Fresh,
        }
    }

    /// The exploration begins again in coordinates that are stretched at `ends`. Its points lie in other coordinates: they taught where.
    pub fn explore_anew(&mut self, stretch: Stretch, mail: &mut Mail) {
        self.stretch = stretch;
        self.dropped += self.ledger.points.len() as u64;
        self.batches.iter_mut().for_each(|batch| batch.stale = true);
        self.filling = None;
        self.idle_at = None;
        self.explorer = Explorer::new(&self.settings);
        mail.out.retire.extend(self.ledger.shells[1..].iter().map(|shell| shell.key));
        // A cube of another number: what was drawn from the first and is still on its way is not for this one.
        let build = self.trainer.forget();
        self.ledger = Ledger::new(self.n_dim, build, self.ledger.shells[0].key);
    }

    /// Takes up a finished run again, towards higher targets.
    pub fn extend(&mut self, settings: &Settings) {
        self.settings = settings.clone();
        self.phase = Phase::Sampling;
        self.plan.stalled = false;
        self.idle_at = None;
    }

    /// Runs events until one waits.
    pub fn advance(&mut self, mail: &mut Mail) {
        while self.phase != Phase::Finished {
            if self.switch_is_due() {
                if !self.trainer.is_ready() {
                    return;
                }
                self.switch(mail);
            } else if self.filled < self.committed + self.ahead() && self.idle_at != Some(self.committed) {
                match self.fill(mail) {
                    Step::Done => {}
                    Step::Waits => return,
                    Step::Nothing => self.idle_at = Some(self.committed),
                }
            } else if let Some(batch) = self.batches.front() {
                if batch.log_like.len() < batch.len() {
                    return;
                }
                self.commit(mail);
            } else if self.drained() {
                self.phase = Phase::Finished;
            } else {
                return;
            }
        }
    }

    /// Batches outstanding at most: more when sampling, where nothing is learned from waiting.
    fn ahead(&self) -> u64 {
        let ahead = self.settings.batches_ahead();
        if self.phase == Phase::Sampling { 4 * ahead } else { ahead }
    }

    fn fill(&mut self, mail: &mut Mail) -> Step {
        if self.settings.n_like_max.is_some_and(|most| self.n_like + self.settings.n_batch as u64 > most) {
            return Step::Nothing;
        }
        let step = if self.phase == Phase::Exploring { self.fill_exploring(mail) } else { self.fill_sampling(mail) };
        if !matches!(step, Step::Done) {
            return step;
        }
        let mut batch = self.filling.take().unwrap_or_default();
        for (at, point) in batch.u.chunks_exact(self.n_dim).enumerate() {
            let id = TaskId { lane: POINTS_LANE, seq: self.n_like + at as u64 };
            let u = if self.stretch.is_none() {
                point.to_vec()
            } else {
                let (u, log_q) = self.stretch.undo(point);
                batch.log_q.push(log_q);
                u
            };
            mail.points.push_back(Task { id, work: Work::LogLike(u) });
        }
        self.n_like += batch.len() as u64;
        self.filled += 1;
        self.batches.push_back(batch);
        Step::Done
    }

    fn commit(&mut self, mail: &mut Mail) {
        let Some(mut batch) = self.batches.pop_front() else { return };
        self.committed += 1;
        if batch.stale {
            self.dropped += batch.len() as u64;
            return;
        }
        if !self.stretch.is_none() {
            self.ledger.points.told.extend(&batch.log_like);
            batch.log_like.iter_mut().zip(&batch.log_q).for_each(|(l, q)| *l -= q);
        }
        for ((point, from), log_like) in batch.u.chunks_exact(self.n_dim).zip(&batch.from).zip(&batch.log_like) {
            let id = self.ledger.points.push(point, *log_like);
            if batch.sampling {
                self.ledger.shells[*from as usize].fresh.push(id);
            } else {
                self.ledger.file(id, *from as usize);
            }
        }
        let newest = batch.from.first().copied().unwrap_or(0) as usize;
        batch.paired.iter().for_each(|id| self.ledger.file(*id, newest));
        if self.phase == Phase::Exploring {
            self.explore_on(&batch, mail);
        }
    }

    /// Asks for a block of candidates of shell `number`.
    pub fn ask_for_block(&mut self, number: usize, tries: u32, purpose: DrawFor, mail: &mut Mail) {
        let keys = |range: std::ops::Range<usize>| range.rev().map(|k| self.ledger.shells[k].key);
        let own = self.ledger.shells[number].key;
        let others: Vec<u64> = match purpose {
            DrawFor::Exploring => keys(0..number).collect(),
            DrawFor::Sampling => keys(number + 1..self.ledger.shells.len()).collect(),
        };
        let needs = std::iter::once(own).chain(others).collect();
        let shell = &mut self.ledger.shells[number];
        let (build, block) = (shell.build, shell.queue.issued);
        shell.queue.issued += 1;
        let job = DrawJob { seed: self.seed, build, block, tries, purpose };
        let id = TaskId { lane: DRAW_LANE, seq: self.draws_issued };
        self.draws_issued += 1;
        self.draws.push_back((build, block));
        mail.out.tasks.push(Task { id, work: Work::Compute { kind: DRAW, needs, input: encode(&job) } });
    }

    /// Files an answer; events run only in [`Run::advance`].
    pub fn tell(&mut self, answer: Answer, mail: &mut Mail) -> Result<(), SamplerError> {
        use crate::task::EvalError::Reject;
        match (answer.id.lane, answer.outcome) {
            (POINTS_LANE, Ok(Value::LogLike(value))) => self.tell_point(value),
            (POINTS_LANE, Err(Reject(_))) => {
                self.rejected += 1;
                self.tell_point(f64::NEG_INFINITY)
            }
            (DRAW_LANE, Ok(Value::Bytes(bytes))) => self.tell_block(&bytes),
            (trainer::LANE, Ok(Value::Bytes(bytes))) => self.trainer.tell(&bytes, &mut mail.out),
            (_, Err(why)) => Err(SamplerError(why.to_string())),
            (lane, Ok(_)) => Err(SamplerError(format!("an answer of lane {lane} has the wrong kind: all ranks must run the same build"))),
        }
    }

    fn tell_point(&mut self, log_like: f64) -> Result<(), SamplerError> {
        if log_like.is_nan() || log_like == f64::INFINITY {
            return Err(SamplerError(format!("a log-likelihood of {log_like} cannot be sampled")));
        }
        let open = self.batches.iter_mut().find(|b| b.log_like.len() < b.len());
        let Some(batch) = open else { return Err(SamplerError("a likelihood came that was not asked for".into())) };
        batch.log_like.push(log_like);
        Ok(())
    }

    fn tell_block(&mut self, bytes: &[u8]) -> Result<(), SamplerError> {
        let block = decode(bytes, "a block of candidates")?;
        let Some((build, number)) = self.draws.pop_front() else {
            return Err(SamplerError("candidates came that were not asked for".into()));
        };
        let shell = self.ledger.shells.iter_mut().find(|s| s.build == build);
        if let Some(shell) = shell
            && number >= shell.queue.consumed
        {
            shell.queue.told.insert(number, block);
        }
        Ok(())
    }
}
