//! Keeps a run: decides when to write a checkpoint, gives back what earlier lives of the run have paid for, and says when to stop.

use super::computed::Computed;
use super::resolution::Resolution;
use super::snapshot::{About, Snapshot, Totals};
use super::{Identity, Watch};
use crate::driver::{Driver, Witness};
use crate::exec::Evaluator;
use crate::job::Job;
use crate::prior::Space;
use crate::sampler::Sampler;
use crate::state::{StateError, Vault};
use crate::stop::{Curfew, Stop};
use crate::task::{Answer, EvalError, Evaluation, Task, TaskId, Value, Work};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The lane of the question whether the model is still the same; no sampler has so many.
const SPECIMEN: TaskId = TaskId { lane: u32::MAX, seq: 0 };
/// Another machine's libraries round otherwise; another model differs by more.
const ROUNDING: f64 = 1e-9;
/// How long a run that stops in good order waits for its disk.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same with the executioner waiting.
const HURRY: Duration = Duration::from_secs(5);

/// The root's side of checkpoint and journal.
pub struct Keeper {
    /// None where a run keeps nothing.
    vault: Option<Vault>,
    curfew: Curfew,
    begun: Instant,
    every: Duration,
    next: Instant,
    about: About,
    /// Calls of earlier lives that no checkpoint knows of.
    known: HashMap<TaskId, Evaluation>,
    /// At the last checkpoint that was read; none for a new run.
    before: Totals,
    /// Of all lives.
    pub computed: Computed,
    /// Taken from the journal, or made in this life.
    calls: u64,
    rejected: u64,
    /// No bit of the likelihood may differ.
    promised: bool,
    resolution: Resolution,
    refusal: Option<String>,
    /// The coordinates of this job.
    space: Arc<Space>,
}

impl Keeper {
    /// `begun`: the start of the program.
    pub fn new(vault: Option<Vault>, identity: Identity, job: &Job, curfew: Curfew, begun: Instant) -> Keeper {
        let every = Duration::from_secs_f64(job.run.checkpoint_s);
        let about = About { identity, method: job.engine.method().into(), ..About::default() };
        Keeper {
            vault,
            curfew,
            begun,
            every,
            next: Instant::now() + every,
            about,
            known: HashMap::new(),
            before: Totals::default(),
            computed: Computed::new(job.model.derived()),
            calls: 0,
            rejected: 0,
            promised: false,
            resolution: Resolution::default(),
            refusal: None,
            space: job.space.clone(),
        }
    }

    /// Without files, limits of time and signals only: for library users.
    pub fn none(job: &Job) -> Keeper {
        let now = Instant::now();
        Keeper::new(None, Identity::default(), job, Curfew::new(now, job.run.time_limit, None), now)
    }

    /// Whether no call is known of the run.
    pub fn is_new(&self) -> bool {
        self.before == Totals::default() && self.known.is_empty()
    }

    /// By a signal or the time limit.
    pub fn told_to_stop(&self) -> Option<Stop> {
        self.curfew.stop(Duration::ZERO)
    }

    /// Why the run was given up, where it was hopeless.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// When the run must have stopped.
    pub fn curfew(&self) -> &Curfew {
        &self.curfew
    }

    pub fn identity(&self) -> &Identity {
        &self.about.identity
    }

    /// Takes up a saved run: what is known of it, and the calls made since its checkpoint.
    pub fn take_up(&mut self, saved: About, computed: Option<Computed>, evaluations: HashMap<TaskId, Evaluation>) {
        self.computed = computed.unwrap_or_else(|| std::mem::take(&mut self.computed));
        self.before = saved.totals;
        self.known = evaluations;
        let finite = |call: &&Evaluation| call.outcome.as_ref().is_ok_and(|value| value.is_finite());
        let first = self.known.values().filter(finite).min_by_key(|call| call.id);
        let first = first.and_then(|call| Some((call.u.clone(), *call.outcome.as_ref().ok()?)));
        self.about.specimen = saved.specimen.or(first);
        self.about.specimens = saved.specimens;
    }

    /// Writes a checkpoint that only says which job this is, and waits for it: what fails here fails before the first call.
    pub fn begin(&mut self) -> Result<(), StateError> {
        let snapshot = Snapshot { about: self.describe(None), ..Snapshot::default() };
        let Some(vault) = &mut self.vault else { return Ok(()) };
        vault.save(snapshot.sections());
        vault.settle(PATIENCE)
    }

    /// Over all lives of the run.
    pub fn totals(&self) -> Totals {
        Totals {
            calls: self.before.calls + self.calls,
            rejected: self.before.rejected + self.rejected,
            wall_s: self.before.wall_s + self.begun.elapsed().as_secs_f64(),
            resumes: self.before.resumes,
        }
    }

    /// The user says that another program gives the same values: [`verify`](Keeper::verify) takes that at its word.
    pub fn promised(&mut self) {
        self.promised = true;
    }

    /// Evaluates one stored point again; many, if another program is said to give the same values.
    ///
    /// Errors: another value, with the point. A difference of the size of rounding is told to `watch`, unless no bit may differ.
    pub fn verify(&self, evaluator: &mut dyn Evaluator, space: &Space, watch: &mut dyn Watch) -> Result<(), String> {
        let points = self.evidence();
        let task =
            |(i, (u, _)): (usize, &(Vec<f64>, f64))| Task { id: TaskId { seq: i as u64, ..SPECIMEN }, work: Work::LogLike(u.clone()) };
        evaluator.submit(points.iter().enumerate().map(task).collect()).map_err(|e| e.to_string())?;
        let mut answers = Vec::new();
        while answers.len() < points.len() {
            answers.extend(evaluator.collect().map_err(|e| e.to_string())?);
        }
        answers.sort_by_key(|answer| answer.id);
        points.iter().zip(answers).try_for_each(|(point, answer)| self.compare(point, answer, space, watch))
    }

    /// Stored points and their values.
    fn evidence(&self) -> Vec<(Vec<f64>, f64)> {
        if !self.promised {
            return self.about.specimen.iter().cloned().collect();
        }
        let mut calls: Vec<&Evaluation> = self.known.values().collect();
        calls.sort_by_key(|call| call.id);
        let mut specimens = self.about.specimens.clone();
        for call in calls {
            call.outcome.iter().filter(|value| value.is_finite()).for_each(|value| specimens.offer(&call.u, *value));
        }
        specimens.points().to_vec()
    }

    fn compare(&self, (u, before): &(Vec<f64>, f64), answer: Answer, space: &Space, watch: &mut dyn Watch) -> Result<(), String> {
        let now = match answer.outcome {
            Ok(Value::LogLike(value)) if value.to_bits() == before.to_bits() => return Ok(()),
            Ok(Value::LogLike(value)) if !self.promised && (value - before).abs() <= ROUNDING * (1.0 + before.abs()) => {
                watch.warn(&format!(
                    "log L of a stored point is {value:?} here and was {before:?}: another machine or library rounds otherwise, so the \
                     answer will be as good, but not the same bits"
                ));
                return Ok(());
            }
            Ok(Value::LogLike(value)) => format!("{value:?}"),
            Err(why) => why.to_string(),
            Ok(_) => "no number".into(),
        };
        let mut theta = vec![0.0; space.names().len()];
        space.transform(u, &mut theta);
        Err(format!(
            "the likelihood is not what it was: at {} it gives {now}, and gave {before:?} when the run was saved.\n  help: the model, a \
             file or a library that it uses has changed, or it gives another value every time. Bring back what was used before, or start \
             anew with --force",
            crate::output::text::point(space.names(), &theta)
        ))
    }

    fn describe(&self, sampler: Option<&dyn Sampler>) -> About {
        About { totals: self.totals(), progress: sampler.map(|s| s.progress()).unwrap_or_default(), ..self.about.clone() }
    }

    /// The last checkpoint of this life, and waits for it. `done`: why the sampler stopped, if it did.
    pub fn finish(&mut self, sampler: &dyn Sampler, driver: &mut Driver, done: Option<&str>, stop: Option<Stop>, watch: &mut dyn Watch) {
        let patience = if matches!(stop, Some(Stop::Urgent(_))) { HURRY } else { PATIENCE };
        self.about.done = done.map(str::to_string);
        // Another job writes there now.
        let lost = stop == Some(Stop::Lost);
        let Some(vault) = self.vault.as_mut().filter(|_| !lost) else { return };
        // One that is being written now would be behind.
        let ready = vault.settle(patience);
        self.save(sampler, driver, watch);
        let Some(vault) = &mut self.vault else { return };
        if let Err(error) = ready.and_then(|()| vault.settle(patience)) {
            watch.warn(&format!("the last checkpoint could not be written: {error}"));
        }
    }

    fn save(&mut self, sampler: &dyn Sampler, driver: &mut Driver, watch: &mut dyn Watch) {
        let clock = Instant::now();
        let about = self.describe(Some(sampler));
        let Some(vault) = &mut self.vault else { return };
        let computed = (!self.computed.is_empty()).then(|| self.computed.clone());
        let snapshot = Snapshot { about, computed, state: Some((sampler.save(), driver.under_way())) };
        if vault.save(snapshot.sections()) {
            // Not asked for yet, so that the new state does not know them; it supersedes the journals that hold them.
            vault.record(&self.known.values().cloned().collect::<Vec<_>>());
            watch.checkpoint(vault.number(), clock.elapsed(), vault.cost());
        }
        self.next = Instant::now() + self.every.max(100 * clock.elapsed());
    }

    /// Checkpoint if it is time to, and whether to stop.
    fn look(&mut self, sampler: &dyn Sampler, driver: &mut Driver, watch: &mut dyn Watch) -> Option<Stop> {
        let Some(vault) = &mut self.vault else { return self.curfew.stop(Duration::ZERO) };
        let stop = self.curfew.stop(vault.cost().0);
        vault.troubles().iter().for_each(|trouble| watch.warn(trouble));
        if stop.is_none() && (Instant::now() >= self.next || vault.wants_checkpoint()) {
            self.save(sampler, driver, watch);
        }
        stop
    }

    fn count(&mut self, call: &Evaluation, watch: &mut dyn Watch) {
        self.calls += 1;
        self.computed.note(call);
        match &call.outcome {
            Ok(value) if value.is_finite() => {
                self.about.specimen.get_or_insert_with(|| (call.u.clone(), *value));
                self.about.specimens.offer(&call.u, *value);
                self.resolution.note(&call.u, *value);
            }
            Ok(_) => {}
            Err(reason) => {
                self.rejected += 1;
                watch.rejected(call, reason);
            }
        }
    }
}

/// A [`Keeper`] and who watches it, beside the driver's loop.
pub struct Attendant<'a> {
    pub keeper: &'a mut Keeper,
    pub watch: &'a mut dyn Watch,
}

impl Witness for Attendant<'_> {
    fn known(&mut self, task: &Task) -> Option<Answer> {
        let Work::LogLike(u) = &task.work else { return None };
        // Another point under the same number: another machine's rounding has led the sampler elsewhere.
        let call = self.keeper.known.remove(&task.id).filter(|call| call.u == *u)?;
        self.keeper.count(&call, self.watch);
        let outcome = call.outcome.map(Value::LogLike).map_err(EvalError::Reject);
        Some(Answer { id: call.id, outcome, derived: call.derived, seconds: call.seconds })
    }

    fn paid(&mut self, calls: &[Evaluation]) {
        if let Some(vault) = &mut self.keeper.vault {
            vault.record(calls);
        }
        calls.iter().for_each(|call| self.keeper.count(call, self.watch));
    }

    fn look(&mut self, sampler: &dyn Sampler, evaluator: &dyn Evaluator, driver: &mut Driver) -> Option<Stop> {
        let stop = self.watch.round(sampler, evaluator);
        self.keeper.refusal = self.keeper.resolution.refusal(&self.keeper.space);
        let hopeless = self.keeper.refusal.is_some().then_some(Stop::Hopeless);
        stop.or(hopeless).or_else(|| self.keeper.look(sampler, driver, self.watch))
    }
}
