//! What many seeds of one problem say of an engine.

use super::{known::in_cube, mean, run, spec};
use fitjob::model::problem::Problem;
use fitjob::sampler::Posterior;
use fitjob::stats::mean_sd;

/// Over the seeds of one problem.
#[derive(Debug)]
pub struct Scores {
    /// Mean and standard deviation of (log Z - true) / error.
    pub z: (f64, f64),
    /// Mean number of likelihood calls, and of effective draws.
    pub calls: f64,
    pub n_eff: f64,
    /// Spread of the posterior means in units of what n_eff promises, root mean square over parameters: 1 is honest.
    pub means: f64,
}

/// Runs of `method` with these settings on a problem of known evidence, for seeds from 0 on.
pub fn scores(problem: &str, method: &str, settings: &str, seeds: u64) -> Scores {
    let (n_dim, log_like) = in_cube(problem);
    let log_z = Problem::named(problem).unwrap().log_z_true();
    let spec = spec(method, settings);
    let runs: Vec<Posterior> = (0..seeds).map(|seed| run(&spec, seed, n_dim, &log_like).unwrap()).collect();
    let over = |f: &dyn Fn(&Posterior) -> f64| {
        let (centre, sd) = mean_sd(&runs.iter().map(f).collect::<Vec<_>>(), &vec![1.0; runs.len()]);
        (centre, sd * (seeds as f64 / (seeds as f64 - 1.0)).sqrt())
    };
    let n_eff = over(&|p| p.n_eff).0;
    let square = |j: usize| {
        let sd = over(&|p| (mean(p, |u| u[j] * u[j]) - mean(p, |u| u[j]).powi(2)).sqrt()).0;
        (over(&|p| mean(p, |u| u[j])).1 / sd).powi(2) * n_eff
    };
    let means = ((0..n_dim).map(square).sum::<f64>() / n_dim as f64).sqrt();
    Scores { z: over(&|p| (p.log_z - log_z) / p.log_z_err), calls: over(&|p| p.n_like as f64).0, n_eff, means }
}
