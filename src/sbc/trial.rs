//! One simulation: draw the truth, draw data, fit them, rank the truth among the posterior's draws.

use crate::exec::OnError;
use crate::fit::{Fit, Role};
use crate::job::{Job, OutputSpec, RunSpec};
use crate::model::{Model, Simulator};
use crate::prior::Space;
use crate::random::{Purpose, stream, uniform};
use crate::session::{self, Outcome};
use crate::stats;
use crate::task::EvalError;
use crate::world::World;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What is simulated and fitted.
pub struct Plan {
    /// What fits.
    job: Job,
    /// What draws true values and data, where that is another job.
    truth: Option<Job>,
    /// Draws from each posterior that a true value is ranked among.
    draws: usize,
    seed: u64,
    quantities: Vec<String>,
}

/// What came of one simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub number: u64,
    /// Points drawn from the prior until one could be simulated.
    pub attempts: u64,
    pub n_eff: f64,
    pub n_like: u64,
    /// Of each quantity: draws below the true value, 0 to the number of draws.
    pub ranks: Vec<u64>,
}

/// A truth, and what it looks like.
struct Simulated {
    /// Parameters, then derived quantities, of the job that draws them.
    truth: Vec<f64>,
    /// With data drawn there.
    model: Box<dyn Model>,
    /// Points that it took.
    attempts: u64,
}

/// The name of the rank of the likelihood at the true values: as a function of parameters and data together it finds faults that no
/// parameter alone shows (Modrak et al. 2023, arXiv:2211.02383).
const LOG_LIKE: &str = "log L";

/// Points drawn from the prior until one must be possible.
const MOST_ATTEMPTS: u64 = 1000;

impl Plan {
    /// # Errors
    /// A model that cannot draw data; a sampler that is not asked for enough of a sample; a truth that observes other data.
    pub fn new(job: Job, truth: Option<Job>, draws: usize) -> Result<Plan, String> {
        for (of, which) in [(Some(&job), "this job"), (truth.as_ref(), "the job of --truth")] {
            of.map_or(Ok(()), |job| job.model.simulator().map(drop)).map_err(|why| format!("{which} cannot be calibrated: {why}"))?;
        }
        let target = job.engine.table().ok().and_then(|table| table.get("n_eff")?.as_float());
        if let Some(target) = target.filter(|target| *target <= draws as f64) {
            return Err(format!(
                "[sampler] n_eff = {target} is too few for {draws} independent draws: set n_eff above it (ten times is good), or lower --draws"
            ));
        }
        let mut plan = Plan { seed: job.seed, job, truth, draws, quantities: Vec::new() };
        plan.quantities = plan.ranked();
        if plan.quantities.is_empty() {
            return Err("the job of --truth has no parameter or derived quantity by a name that this job fits".into());
        }
        Ok(plan)
    }

    /// Free and tied parameters and derived quantities that have a true value, and the likelihood.
    fn ranked(&self) -> Vec<String> {
        let (space, true_space) = (&self.job.space, &self.source().space);
        let known = |name: &&String| true_space.names().contains(name) || true_space.derived_names().contains(name);
        let fixed = |name: &String| space.parameters().iter().any(|p| p.name == *name && matches!(p.role, crate::prior::Role::Fixed(_)));
        let names = space.names().iter().filter(|name| !fixed(name)).chain(space.derived_names()).filter(known).cloned();
        let all_known = space.names().iter().all(|name| true_space.names().contains(name));
        names.chain(all_known.then(|| LOG_LIKE.to_string())).collect()
    }

    pub fn quantities(&self) -> &[String] {
        &self.quantities
    }

    /// The job that draws true values and data.
    fn source(&self) -> &Job {
        self.truth.as_ref().unwrap_or(&self.job)
    }

    /// Runs simulation `number` on this thread; None where a signal stopped it.
    ///
    /// # Errors
    /// What ended the fit, or a prior from which nothing can be simulated; with the number.
    pub fn run(&self, number: u64) -> Result<Option<Trial>, String> {
        self.simulate(number).map_err(|why| format!("simulation {number}: {why}"))
    }

    fn simulate(&self, number: u64) -> Result<Option<Trial>, String> {
        let Simulated { truth, model, attempts } = self.draw(number)?;
        let job = self.fitting(model, number);
        let outcome = session::fit(&mut World::solo(), &job, 1, None).map_err(|e| e.message)?.0;
        let Outcome::Done(fit) = outcome else { return Ok(None) };
        let ranks = self.ranks(&truth, &job, &fit, number)?;
        Ok(Some(Trial { number, attempts, n_eff: fit.n_eff, n_like: fit.n_like, ranks }))
    }

    /// Where the model is impossible the likelihood is 0 whatever the data, so that such points are no part of the prior in effect.
    fn draw(&self, number: u64) -> Result<Simulated, String> {
        let (source, observer) = (self.source(), self.job.model.simulator()?);
        let simulator: &dyn Simulator = source.model.simulator()?;
        let mut last = String::new();
        for attempt in 0..MOST_ATTEMPTS {
            let theta = prior_draw(&source.space, self.seed, number, attempt);
            let mut rng = stream(self.seed, Purpose::SbcData, number, attempt);
            match simulator.draw(source.space.names(), &theta, &mut rng) {
                Ok(data) => {
                    let model = observer.with_data(&data).map_err(|e| e.to_string())?;
                    return Ok(Simulated { truth: with_derived(&source.space, theta), model, attempts: attempt + 1 });
                }
                Err(EvalError::Reject(why)) => last = why,
                Err(EvalError::Failed(why)) if source.run.on_error == OnError::Reject => last = why,
                Err(why) => return Err(format!("data could not be drawn: {why}")),
            }
        }
        Err(format!("none of {MOST_ATTEMPTS} points from the prior can be simulated; the last: {last}"))
    }

    /// The job with simulated data and a seed of its own.
    fn fitting(&self, mut model: Box<dyn Model>, number: u64) -> Job {
        if let Some(limit) = self.job.run.call_limit_s.and_then(|s| Duration::try_from_secs_f64(s).ok()) {
            model.limit_calls(limit);
        }
        Job {
            name: format!("{}, simulation {number}", self.job.name),
            seed: stream(self.seed, Purpose::SbcSeed, number, 0).next_u64(),
            space: self.job.space.clone(),
            model: Arc::from(model),
            engine: self.job.engine.clone(),
            run: RunSpec { time_limit: None, ..self.job.run.clone() },
            output: OutputSpec::default(),
            resolved_toml: String::new(),
            digest: String::new(),
            question: String::new(),
            program: String::new(),
        }
    }

    fn ranks(&self, truth: &[f64], job: &Job, fit: &Fit, number: u64) -> Result<Vec<u64>, String> {
        let space = &self.source().space;
        let value = |name: &String| {
            let all = space.names().iter().chain(space.derived_names());
            all.zip(truth).find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value)
        };
        let mut rng = stream(self.seed, Purpose::SbcDraws, number, 0);
        let rows = stats::independent(&fit.weights(), self.draws, &mut rng);
        let columns = fit.columns();
        let mut ranks = Vec::new();
        for name in &self.quantities {
            let (own, values) = match columns.iter().find(|c| c.name == name.as_str() && c.role != Role::Fixed) {
                Some(column) => (value(name), &column.values),
                None => (log_like(job, job.space.names().iter().map(value).collect())?, &fit.log_like),
            };
            let below = rows.iter().filter(|row| values[**row] < own).count();
            let equal = rows.iter().filter(|row| values[**row] == own).count();
            ranks.push((below + (uniform(&mut rng) * (equal + 1) as f64) as usize) as u64);
        }
        Ok(ranks)
    }
}

fn prior_draw(space: &Space, seed: u64, number: u64, attempt: u64) -> Vec<f64> {
    space.draw(&mut stream(seed, Purpose::SbcTruth, number, attempt)).1
}

fn with_derived(space: &Space, mut theta: Vec<f64>) -> Vec<f64> {
    let mut derived = vec![0.0; space.derived_names().len()];
    space.derived(&theta, &mut derived);
    theta.extend(derived);
    theta
}

/// The log-likelihood at the true values.
fn log_like(job: &Job, theta: Vec<f64>) -> Result<f64, String> {
    let mut density = job.model.bind(job.space.names()).map_err(|e| e.to_string())?;
    match density.log_like(&theta) {
        Ok(value) => Ok(value),
        Err(EvalError::Reject(_)) => Ok(f64::NEG_INFINITY),
        Err(why) => Err(format!("the likelihood at the true values: {why}")),
    }
}
