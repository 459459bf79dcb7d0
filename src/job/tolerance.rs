//! How finely the equations of a model must be solved: `rtol = "auto"`, and the tolerance that would do where one does not.

use super::Job;
use crate::model::Tolerances;
use crate::random::{Purpose, stream};

/// Error of log L that does not matter.
pub const FINE: f64 = 0.01;
/// Prior draws that are looked at, and how many of them, of the highest log L, stand for the posterior.
const DRAWS: u64 = 32;
const BEST: usize = 8;
/// Tolerances that are tried: 10^-4 to 10^-11.
const POWERS: std::ops::RangeInclusive<i32> = 4..=11;

/// The largest power of ten at which the best of some prior draws have log L right to [`FINE`]. The same for every seed of the job; None where the
/// model solves nothing, or not at any draw.
pub fn found(job: &Job) -> Option<f64> {
    let solver = job.model.solver()?;
    let mut density = job.model.bind(job.space.names()).ok()?;
    let mut draws: Vec<(f64, Vec<f64>)> = (0..DRAWS)
        .map(|k| job.space.draw(&mut stream(0, Purpose::Check, 1, k)).1)
        .filter_map(|theta| Some((density.log_like(&theta).ok().filter(|value| value.is_finite())?, theta)))
        .collect();
    draws.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best: Vec<Vec<f64>> = draws.into_iter().take(BEST).map(|(_, theta)| theta).collect();
    enough(solver, job.space.names(), &best, POWERS)
}

/// The largest power of ten at which most of `thetas` have log L right to [`FINE`]; the least tried where none does.
pub fn enough(solver: &dyn Tolerances, names: &[String], thetas: &[Vec<f64>], powers: std::ops::RangeInclusive<i32>) -> Option<f64> {
    let least = power(*powers.end());
    let fine = |rtol: &f64| most(solver.errors(names, thetas, *rtol).unwrap_or_default()).is_some_and(|error| error <= FINE);
    (!thetas.is_empty()).then(|| powers.map(power).find(fine).unwrap_or(least))
}

fn power(k: i32) -> f64 {
    // Read, not computed: 1e-7 is then that number on every machine.
    format!("1e-{k}").parse().unwrap_or(1e-6)
}

/// The error that three quarters do not exceed, of those that there are.
fn most(mut errors: Vec<f64>) -> Option<f64> {
    errors.retain(|error| error.is_finite());
    errors.sort_by(f64::total_cmp);
    errors.get((3 * errors.len()).div_ceil(4).saturating_sub(1)).copied()
}
