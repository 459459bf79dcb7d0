//! One fit on all ranks, from job to posterior: what `fitjob run` does, and what a library user calls.
//!
//! ```no_run
//! use fitjob::{job, session, world::World};
//!
//! let mut world = World::init().unwrap_or_else(|refusal| refusal.exit());
//! let source = job::Source::read("fit.toml".as_ref(), vec![]).unwrap();
//! let job = job::resolve(&job::load(source).unwrap()).unwrap();
//! let (fit, _) = session::fit(&mut world, &job, 1, &mut |_, _, _| {}).unwrap();
//! println!("rank {} holds {} samples, log Z = {}", world.rank(), fit.len(), fit.log_z);
//! ```

use crate::driver::{self, Driven};
use crate::exec::{self, Coordinates, Evaluator, ExecStats, Site};
use crate::fit::Fit;
use crate::job::Job;
use crate::prior::Space;
use crate::sampler::{self, Progress, Sampler};
use crate::world::{Disagreement, Role, Root, World};
use std::time::Duration;

impl Coordinates for Space {
    fn n_free(&self) -> usize {
        self.n_free()
    }
    fn names(&self) -> &[String] {
        self.names()
    }
    fn transform(&self, u: &[f64], theta: &mut [f64]) {
        self.transform(u, theta);
    }
}

/// What the run cost: known to the root, which reports it.
pub struct Effort {
    pub driven: Driven,
    pub stats: ExecStats,
    /// Where the sampler stood at its end.
    pub progress: Progress,
}

/// Called on the root after each round of answers; may look, not touch.
pub type Watch<'a> = dyn FnMut(&Root, &dyn Sampler, &dyn Evaluator) + 'a;

/// Collective: runs the job with `threads` threads in each rank, and gives every rank the same result,
/// the root its cost too. All ranks fail together, with the message of the first that failed.
pub fn fit(world: &mut World, job: &Job, threads: usize, watch: &mut Watch) -> Result<(Fit, Option<Effort>), Disagreement> {
    let seconds = |s: f64| Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX);
    let site = Site {
        space: job.space.clone(),
        model: job.model.clone(),
        toolbox: sampler::toolbox,
        on_error: job.run.on_error,
        call_limit: job.run.call_limit_s.map(seconds),
        silence_limit: seconds(job.run.silence_limit_s),
    };
    world.set_silence_limit(site.silence_limit);
    let mine = match world.enter() {
        Role::Root(root) => lead(&root, job, &site, threads, watch).map(Some),
        Role::Worker(worker) => exec::serve(&worker, &site, threads).map(|()| None).map_err(|e| e.to_string()),
    };
    let done = world.agree(mine)?;
    let bytes = done.as_ref().map(|(fit, _)| postcard::to_stdvec(fit).expect("a fit is plain data"));
    let bytes = world.broadcast_bytes(bytes);
    Ok(match done {
        Some((fit, effort)) => (fit, Some(effort)),
        None => (postcard::from_bytes(&bytes).expect("the root sent a fit"), None),
    })
}

/// The root's part: drive the sampler, and turn its posterior into physical values.
fn lead(root: &Root, job: &Job, site: &Site, threads: usize, watch: &mut Watch) -> Result<(Fit, Effort), String> {
    let mut sampler = sampler::build(&job.engine, job.seed, job.space.n_free(), &job.space.periodic()).map_err(|e| e.to_string())?;
    let mut evaluator = exec::evaluator(root, site, threads, job.run.dispatch);
    let driven = driver::drive(&mut *sampler, &mut *evaluator, &mut |s, e| watch(root, s, e)).map_err(|e| e.to_string())?;
    let stats = evaluator.stats();
    let posterior = sampler.posterior().map_err(|e| e.to_string())?;
    let fit = Fit::new(posterior, &job.space).map_err(|e| e.to_string())?;
    Ok((fit, Effort { driven, stats, progress: sampler.progress() }))
}
