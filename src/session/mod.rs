//! One fit on all ranks, from job to posterior: what `fitjob run` does, and what a library user calls.
//!
//! ```no_run
//! use fitjob::{job, session::{self, Outcome}, world::World};
//!
//! let mut world = World::init().unwrap_or_else(|refusal| refusal.exit());
//! let source = job::Source::read("fit.toml".as_ref(), vec![]).unwrap();
//! let job = job::resolve(&job::load(source).unwrap()).unwrap();
//! if let (Outcome::Done(fit), _) = session::fit(&mut world, &job, 1, None).unwrap() {
//!     println!("rank {} holds {} samples, log Z = {}", world.rank(), fit.len(), fit.log_z);
//! }
//! ```

mod computed;
mod goodness;
mod identity;
mod keeper;
mod probe;
mod resolution;
mod snapshot;
mod specimens;
mod watchdog;

pub use computed::Computed;
pub use goodness::{solver_error, warning as misfit};
pub use identity::{Change, Identity, PROGRAM};
pub use keeper::Keeper;
pub use probe::not_reproducible;
pub use snapshot::{About, Saved, Snapshot, Totals};
pub use specimens::Specimens;
pub use watchdog::Alarm;

use crate::driver::{Driver, End, UnderWay};
use crate::exec::{self, Coordinates, Evaluator, ExecStats, Site};
use crate::fit::Fit;
use crate::job::Job;
use crate::prior::Space;
use crate::sampler::{self, Gives, Progress, Sampler, SamplerError};
use crate::stop::Stop;
use crate::task::Evaluation;
use crate::world::{Disagreement, Role, Root, World};
use keeper::Attendant;
use probe::{Probed, probe};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use watchdog::Watched;

/// The cube of an optimiser: plain quantiles, and log L alone.
impl Coordinates for Space {
    fn n_free(&self) -> usize {
        self.n_free()
    }
    fn names(&self) -> &[String] {
        self.names()
    }
    fn transform(&self, u: &[f64], theta: &mut [f64]) {
        self.quantiles(u, theta);
    }
    fn pull_back(&self, u: &[f64], theta: &[f64], by_theta: &[f64], by_u: &mut [f64]) {
        self.pull_back(u, theta, by_theta, false, by_u);
    }
}

/// The cube of an engine that samples: with the far tails of open priors, and their weight in log L.
struct Weighted(Arc<Space>);

impl Coordinates for Weighted {
    fn n_free(&self) -> usize {
        self.0.n_free()
    }
    fn names(&self) -> &[String] {
        self.0.names()
    }
    fn transform(&self, u: &[f64], theta: &mut [f64]) {
        self.0.transform(u, theta);
    }
    fn log_weight(&self, u: &[f64]) -> f64 {
        self.0.log_weight(u)
    }
    fn pull_back(&self, u: &[f64], theta: &[f64], by_theta: &[f64], by_u: &mut [f64]) {
        self.0.pull_back(u, theta, by_theta, true, by_u);
    }
}

fn coordinates(job: &Job) -> Arc<dyn Coordinates> {
    match job.engine.gives() {
        Gives::Optimum => job.space.clone(),
        Gives::Evidence | Gives::Sample => Arc::new(Weighted(job.space.clone())),
    }
}

/// How a fit ended in good order; the same on every rank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Outcome {
    Done(Box<Fit>),
    /// Before its end, with a checkpoint where one is kept.
    Stopped(Stop),
}

/// What the run cost: known to the root, which reports it.
pub struct Effort {
    /// Why the sampler stopped, in its words; empty where it was stopped.
    pub reason: String,
    /// Time the root spent in the sampler.
    pub sampling: Duration,
    /// Of this life of the run.
    pub stats: ExecStats,
    /// Of all.
    pub totals: Totals,
    /// Where the sampler stood at its end.
    pub progress: Progress,
}

/// Hears of what happens, on the root; may look, not touch.
#[allow(unused_variables)]
pub trait Watch {
    /// After each round of answers, and several times a second; may have a reason to stop.
    fn round(&mut self, sampler: &dyn Sampler, evaluator: &dyn Evaluator) -> Option<Stop> {
        None
    }
    /// A point that counts as impossible although the model gave no such value.
    fn rejected(&mut self, call: &Evaluation, reason: &str) {}
    /// A checkpoint was begun: what it took of the root's time, and what writing the one before took, with its bytes.
    fn checkpoint(&mut self, number: u64, taking: Duration, before: (Duration, u64)) {}
    fn warn(&mut self, text: &str) {
        log::warn!("{text}");
    }
    /// Who speaks and decides while the sampler does not come back from a call; asked for once, at the beginning. None: a sampler
    /// takes as long as it takes, and no signal is heard meanwhile.
    fn alarm(&mut self) -> Option<Box<dyn Alarm>> {
        None
    }
}

impl Watch for () {}

/// What the root brings to a fit beside the job.
pub struct Lead<'a> {
    pub keeper: Keeper,
    /// Of the checkpoint that the run is taken up from.
    pub state: Option<(Vec<u8>, UnderWay)>,
    pub watch: &'a mut dyn Watch,
}

/// Collective: runs the job with `threads` threads in each rank, and gives every rank the same outcome,
/// the root its cost too. All ranks fail together, with the message of the first that failed.
/// `lead` is the root's; without one nothing is kept or shown.
pub fn fit(world: &mut World, job: &Job, threads: usize, lead: Option<Lead>) -> Result<(Outcome, Option<Effort>), Disagreement> {
    fit_by(world, job, threads, lead, &start)
}

/// Makes the sampler of a job on the root: anew, or from its saved state.
pub type Start<'a> = &'a dyn Fn(&Job, Option<&[u8]>) -> Result<Box<dyn Sampler>, SamplerError>;

/// The engine that the job names.
fn start(job: &Job, state: Option<&[u8]>) -> Result<Box<dyn Sampler>, SamplerError> {
    match state {
        Some(state) => sampler::restore(job.engine.method(), state),
        None => sampler::build(&job.engine, job.seed, &job.problem()),
    }
}

/// The same as [`fit`], by a sampler of the caller's own.
pub fn fit_by(
    world: &mut World,
    job: &Job,
    threads: usize,
    lead: Option<Lead>,
    start: Start,
) -> Result<(Outcome, Option<Effort>), Disagreement> {
    let seconds = |s: f64| Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX);
    let site = Site {
        space: coordinates(job),
        model: job.model.clone(),
        toolbox: sampler::toolbox,
        on_error: job.run.on_error,
        gradients: job.problem().gradient,
        call_limit: job.run.call_limit_s.map(seconds),
        silence_limit: seconds(job.run.silence_limit_s),
    };
    world.set_silence_limit(site.silence_limit);
    let mine = match world.enter() {
        Role::Root(root) => {
            let lead = match lead {
                Some(lead) => self::lead(&root, job, &site, threads, lead, start),
                None => self::lead(&root, job, &site, threads, Lead { keeper: Keeper::none(job), state: None, watch: &mut () }, start),
            };
            lead.map(Some)
        }
        Role::Worker(worker) => exec::serve(&worker, &site, threads).map(|()| None).map_err(|e| e.to_string()),
    };
    let done = world.agree(mine)?;
    let bytes = done.as_ref().map(|(outcome, _)| postcard::to_stdvec(outcome).expect("an outcome is plain data"));
    let bytes = world.broadcast_bytes(bytes);
    Ok(match done {
        Some((outcome, effort)) => (outcome, Some(effort)),
        None => (postcard::from_bytes(&bytes).expect("the root sent an outcome"), None),
    })
}

/// The root's part: drive the sampler, and turn its posterior into physical values.
fn lead(root: &Root, job: &Job, site: &Site, threads: usize, lead: Lead, start: Start) -> Result<(Outcome, Effort), String> {
    let Lead { mut keeper, state, watch } = lead;
    let mut evaluator = exec::evaluator(root, site, threads, job.run.dispatch);
    let fresh = state.is_none() && keeper.is_new();
    let (state, under_way) = state.map_or((None, UnderWay::default()), |(state, under_way)| (Some(state), under_way));
    let sampler = start(job, state.as_deref()).map_err(|e| e.to_string())?;
    let mut sampler = Watched::new(sampler, keeper.curfew().clone(), watch.alarm(), root.ending());
    keeper.verify(&mut *evaluator, &job.space, watch)?;
    let probed = match fresh {
        true => probe(&mut *evaluator, &job.space, || keeper.told_to_stop())?,
        false => Probed::Told(None),
    };
    let (doubt, early) = match probed {
        Probed::Told(doubt) => (doubt, None),
        Probed::Stopped(stop) => (None, Some(stop)),
    };
    doubt.iter().for_each(|doubt| watch.warn(doubt));
    let mut attendant = Attendant { keeper: &mut keeper, watch };
    let mut driver = Driver::resume(under_way, &mut *evaluator, &mut attendant).map_err(|e| e.to_string())?;
    let end = loop {
        if let Some(stop) = early {
            break End::Stopped(stop);
        }
        let end = driver.run(&mut sampler, &mut *evaluator, &mut attendant).map_err(|e| e.to_string())?;
        // A run that was taken up with higher targets first ends as it would have ended without them.
        if !(matches!(end, End::Done(_)) && sampler.extend(&job.engine)) {
            break end;
        }
    };
    let stats = evaluator.stats();
    drop(evaluator);
    let (reason, stop) = match end {
        End::Done(reason) => (reason, None),
        End::Stopped(stop) => (String::new(), Some(stop)),
    };
    keeper.finish(&sampler, &mut driver, stop.is_none().then_some(reason.as_str()), stop, watch);
    let effort = Effort { reason, sampling: driver.sampling, stats, totals: keeper.totals(), progress: sampler.progress() };
    if let Some(why) = keeper.refusal() {
        return Err(why.into());
    }
    if let Some(stop) = stop {
        return Ok((Outcome::Stopped(stop), effort));
    }
    let posterior = sampler.posterior().map_err(|e| e.to_string())?;
    let extra = keeper.computed.of(&posterior);
    let mut fit = Fit::new(posterior, &job.space, &extra).map_err(|e| e.to_string())?;
    goodness::goodness(job, &mut fit);
    goodness::solved(job, &mut fit);
    fit.warnings.extend(doubt);
    Ok((Outcome::Done(Box::new(fit)), effort))
}
