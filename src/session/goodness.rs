//! Whether a model that knows its residuals describes the data at all: chi^2 at the best point, and a posterior predictive p-value.

use crate::fit::Fit;
use crate::job::{Job, tolerance};
use crate::model::Tolerances;
use crate::stats;
use crate::stats::special::gamma_tails;

/// Draws of the posterior for the predictive p-value.
const DRAWS: usize = 100;
/// A chi^2 less likely than this is worth a word.
const UNLIKELY: f64 = 1e-4;

/// Rows of the sample, beside the best one, at which the solver's error is looked for.
const SOLVED: usize = 8;
/// An error of log L by a solver that is worth a word, and one that makes a result doubtful.
const OFF: f64 = 0.05;
const FAR_OFF: f64 = 0.5;

/// Adds `solver_error` to the diagnostics, of a model that solves equations, and a warning where its tolerances are too large.
pub fn solved(job: &Job, fit: &mut Fit) {
    let Some(solver) = job.model.solver() else { return };
    let d = fit.names.len();
    let mut rows = vec![fit.best];
    if fit.optimum.is_none() {
        rows.extend(stats::systematic(&fit.weights(), SOLVED, job.seed));
    }
    let thetas: Vec<Vec<f64>> = rows.iter().map(|row| fit.theta[row * d..(row + 1) * d].to_vec()).collect();
    let Some((error, warning)) = solver_error(solver, job.space.names(), &thetas) else { return };
    fit.diagnostics.push(("solver_error".to_string(), error));
    if let Some(warning) = warning {
        if error > FAR_OFF {
            fit.verdict.doubt(warning.clone());
        }
        fit.warnings.push(warning);
    }
}

/// Largest error of log L by the solver's tolerances at `thetas`, and in plain words, where it matters, the tolerance that would do.
pub fn solver_error(solver: &dyn Tolerances, names: &[String], thetas: &[Vec<f64>]) -> Option<(f64, Option<String>)> {
    let errors = solver.errors(names, thetas, solver.rtol()).ok()?;
    let error = errors.into_iter().filter(|error| error.is_finite()).reduce(f64::max)?;
    let warning = (error > OFF).then(|| {
        let first = (1.0 - libm::log10(solver.rtol())).floor() as i32;
        let would_do = tolerance::enough(solver, names, thetas, first..=first.max(12)).unwrap_or(f64::NAN);
        format!(
            "log L is off by about {} by the tolerances of the solver (rtol = {:e}): rtol = {would_do:e}, and atol as much smaller, would do, or rtol = \"auto\"",
            crate::output::text::significant(error, 2),
            solver.rtol()
        )
    });
    Some((error, warning))
}

/// Adds `chi2`, `chi2_data` and `posterior_predictive_p` to the diagnostics, and a warning where data and model cannot both be right.
///
/// For normal noise of given sigma the discrepancy of replicated data, the sum of ((y_rep - m) / sigma)^2, has the law of chi^2 with as many
/// degrees of freedom as there are data, so that the p-value (Gelman, Meng & Stern 1996, Statistica Sinica 6, 733) is the mean over the
/// posterior of that law's tail at the discrepancy of the data: no data need be drawn.
pub fn goodness(job: &Job, fit: &mut Fit) {
    let Some((chi2, n)) = chi_squared(job, fit, fit.best) else { return };
    let p = predictive(job, fit);
    fit.diagnostics.extend([("chi2".to_string(), chi2), ("chi2_data".to_string(), n as f64)]);
    fit.diagnostics.extend(p.map(|p| ("posterior_predictive_p".to_string(), p)));
    fit.warnings.extend(warning(chi2, n, job.space.n_free(), p));
}

/// Chi^2 of a row of the sample, and how many data it is of; None where the model does not know.
fn chi_squared(job: &Job, fit: &Fit, row: usize) -> Option<(f64, usize)> {
    let mut density = job.model.bind(job.space.names()).ok()?;
    let d = fit.names.len();
    density.chi_squared(&fit.theta[row * d..(row + 1) * d])?.ok()
}

fn predictive(job: &Job, fit: &Fit) -> Option<f64> {
    if fit.optimum.is_some() {
        return None;
    }
    let (d, mut density) = (fit.names.len(), job.model.bind(job.space.names()).ok()?);
    let rows = stats::systematic(&fit.weights(), DRAWS, job.seed);
    let tail = |row: &usize| {
        let (chi2, n) = density.chi_squared(&fit.theta[row * d..(row + 1) * d])?.ok()?;
        Some(gamma_tails(0.5 * n as f64, 0.5 * chi2).1)
    };
    let tails: Vec<f64> = rows.iter().filter_map(tail).collect();
    (!tails.is_empty()).then(|| tails.iter().sum::<f64>() / tails.len() as f64)
}

/// `p`: posterior predictive, where there is one.
pub fn warning(chi2: f64, n: usize, n_free: usize, p: Option<f64>) -> Option<String> {
    let freedom = n.saturating_sub(n_free);
    let (below, above) = gamma_tails(0.5 * freedom.max(1) as f64, 0.5 * chi2);
    let (poor, good) = (above < UNLIKELY, below < UNLIKELY && freedom > 0);
    let what = format!(
        "chi^2 at the best point is {} for {n} data and {n_free} free parameters{}",
        crate::output::text::significant(chi2, 3),
        p.map_or(String::new(), |p| format!(" (posterior predictive p = {})", crate::output::text::significant(p, 2)))
    );
    match (poor, good) {
        (true, _) => Some(format!(
            "{what}: the model does not describe these data. Look at the residuals, units, outliers, priors that keep the best values \
             out, and whether the errors are right; errors of parameters mean little until then"
        )),
        (_, true) => Some(format!(
            "{what}: the data scatter far less than their errors say. Are the errors too large, correlated, or in other units? Errors of \
             parameters are then too large too"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chi_squared_far_from_the_number_of_data_is_told_and_others_are_not() {
        assert!(warning(490.0, 6, 3, Some(0.0)).unwrap().contains("chi^2 at the best point is 490 for 6 data"));
        assert!(warning(3.0, 100, 3, None).unwrap().contains("scatter far less"));
        for (chi2, n, n_free) in [(97.0, 100, 3), (140.0, 100, 3), (60.0, 100, 3), (0.01, 3, 3), (0.5, 6, 3)] {
            assert_eq!(warning(chi2, n, n_free, None), None, "{chi2} {n}");
        }
    }
}
