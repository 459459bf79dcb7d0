//! What `fitjob check` finds amiss with a likelihood that can be called: values that change, that do not, parameters without effect, and
//! where a quick search for the best point ends.

use super::{Draw, Outcome, evaluate, prior_draw};
use crate::fit::Fit;
use crate::job::{Job, OutputSpec, RunSpec};
use crate::model::Density;
use crate::output::text;
use crate::sampler::EngineSpec;
use crate::session::{self, misfit, not_reproducible, solver_error};
use crate::world::World;

/// Draws that are called once more.
const AGAIN: usize = 3;
/// Draws at which a parameter must have no effect to be told of.
const WITHOUT_EFFECT: usize = 20;
/// Seconds that each of the looks may take, by the median call.
const PATIENCE: f64 = 5.0;
/// Most calls of the search, and fewest that are of use, for each free parameter.
const SEARCH: u64 = 5000;
const LEAST: u64 = 60;

/// In plain words, each with what to look at.
pub fn doubts(job: &Job, draws: &[Draw], seconds: f64) -> Vec<String> {
    let finite: Vec<(usize, f64)> = draws.iter().enumerate().filter_map(|(k, d)| Some((k, d.value()?))).collect();
    let Ok(mut density) = job.model.bind(job.space.names()) else { return vec![] };
    if let Some(random) = changing(job, &mut *density, draws, &finite) {
        return vec![random];
    }
    if let (true, Some(constant)) = (finite.len() == draws.len(), constant(&finite)) {
        return vec![constant];
    }
    let mut found = without_effect(job, &mut *density, &finite, seconds);
    found.extend(best_point(job, seconds));
    found
}

/// A likelihood that gives another value for the same point, to this evaluator or to one made anew.
fn changing(job: &Job, density: &mut dyn Density, draws: &[Draw], finite: &[(usize, f64)]) -> Option<String> {
    finite.iter().take(AGAIN).find_map(|&(k, before)| {
        let now = match evaluate(density, &draws[k].theta) {
            Outcome::Finite(value) => value,
            _ => f64::NEG_INFINITY,
        };
        (now.to_bits() != before.to_bits()).then(|| not_reproducible(&text::point(job.space.names(), &draws[k].theta), before, now))
    })
}

fn constant(finite: &[(usize, f64)]) -> Option<String> {
    let first = finite.first()?.1;
    (finite.len() > 1 && finite.iter().all(|(_, value)| value.to_bits() == first.to_bits())).then(|| {
        format!(
            "log L is {first:?} at all {} prior draws: it does not depend on the parameters. Does the model use them, and the data? (An \
             `ode` may never see an input that is shorter than its steps: set max_step or breaks)",
            finite.len()
        )
    })
}

/// Free parameters that change no bit of log L when they alone are drawn anew.
fn without_effect(job: &Job, density: &mut dyn Density, finite: &[(usize, f64)], seconds: f64) -> Vec<String> {
    let affordable = ((PATIENCE / seconds) as usize / job.space.n_free().max(1)).min(WITHOUT_EFFECT);
    if affordable == 0 || finite.len() < 2 {
        return vec![];
    }
    let mut has_effect = |k: usize| {
        finite.iter().take(affordable).any(|&(draw, before)| {
            let (mut u, other) = (prior_draw(job, draw as u32).0, prior_draw(job, draw as u32 + 1).0);
            u[k] = other[k];
            let mut theta = vec![0.0; job.space.names().len()];
            job.space.quantiles(&u, &mut theta);
            !matches!(evaluate(density, &theta), Outcome::Finite(value) if value.to_bits() == before.to_bits())
        })
    };
    let silent: Vec<usize> = (0..job.space.n_free()).filter(|k| !has_effect(*k)).collect();
    let n = finite.len().min(affordable);
    let told = |k: usize| {
        let name = &job.space.names()[job.space.free()[k]];
        format!(
            "`{name}` changes no log L: at {n} prior draws it was drawn anew alone, and log L kept every bit. Does the model use it? (An \
             `ode` may never see an input that is shorter than its steps: set max_step or breaks)"
        )
    };
    silent.into_iter().map(told).collect()
}

/// Where a short search for the highest log L ends: at an end of a prior, or at a fit that does not describe the data.
fn best_point(job: &Job, seconds: f64) -> Vec<String> {
    let calls = ((PATIENCE / seconds) as u64).min(SEARCH);
    if calls < LEAST * job.space.n_free() as u64 {
        return vec![];
    }
    let Some(best) = search(job, calls) else { return vec![] };
    let mut found: Vec<String> = best.optimum.iter().flat_map(|optimum| optimum.warnings(&job.space, &best.theta)).collect();
    found
        .iter_mut()
        .for_each(|warning| *warning = format!("at the best point of a short search {warning} (a wrong sign in log L, or units?)"));
    let chi_squared = job.model.bind(job.space.names()).ok().and_then(|mut density| density.chi_squared(&best.theta)?.ok());
    found.extend(chi_squared.and_then(|(chi2, n)| misfit(chi2, n, job.space.n_free(), None)));
    let by_solver =
        job.model.solver().and_then(|solver| solver_error(solver, job.space.names(), &[best.theta[..job.space.names().len()].to_vec()]));
    found.extend(by_solver.and_then(|(_, warning)| warning));
    found
}

fn search(job: &Job, calls: u64) -> Option<Fit> {
    let limit = toml::Table::from_iter([("n_like_max".to_string(), toml::Value::Integer(calls as i64))]);
    let job = Job {
        name: job.name.clone(),
        seed: job.seed,
        space: job.space.clone(),
        model: job.model.clone(),
        engine: EngineSpec::changed("lbfgs", limit).ok()?,
        run: RunSpec { time_limit: None, ..job.run.clone() },
        output: OutputSpec::default(),
        resolved_toml: String::new(),
        digest: String::new(),
        question: String::new(),
        program: String::new(),
    };
    match session::fit(&mut World::solo(), &job, 1, None).ok()?.0 {
        session::Outcome::Done(fit) => Some(*fit),
        session::Outcome::Stopped(_) => None,
    }
}
