//! The best point of an optimiser, for summary.json and for people.

use super::summary::{Number, read_map, write_map};
use super::{number, text};
use crate::fit::{End, Fit, Role};
use serde::{Deserialize, Serialize};

/// What an optimiser found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OptimumSummary {
    #[serde(with = "number")]
    pub log_like: f64,
    /// Searches that were started, and those that ended at this log L.
    pub starts: usize,
    pub starts_agree: usize,
    /// Free and tied parameters, then derived quantities, in the job's order.
    #[serde(serialize_with = "write_map", deserialize_with = "read_map")]
    pub parameters: Vec<(String, BestValue)>,
    /// Names of the free parameters, and their covariance; empty where it could not be had.
    pub free: Vec<String>,
    covariance: Vec<Vec<Number>>,
}

/// A quantity at the best point.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BestValue {
    #[serde(with = "number")]
    pub value: f64,
    /// Standard deviation by the curvature of log L; NaN (null) where there is none.
    #[serde(with = "number")]
    pub error: f64,
    /// At which end of its prior it is, if at one.
    pub at_bound: Option<End>,
}

impl OptimumSummary {
    /// None where the fit is no optimiser's.
    pub fn new(fit: &Fit) -> Option<OptimumSummary> {
        let best = fit.optimum.as_ref()?;
        let mut ends = best.at_bound.iter();
        let mut parameters = Vec::new();
        for (column, error) in fit.columns().iter().zip(&best.errors) {
            let at_bound = if column.role == Role::Free { ends.next().copied().flatten() } else { None };
            if column.role != Role::Fixed {
                parameters.push((column.name.to_string(), BestValue { value: column.values[fit.best], error: *error, at_bound }));
            }
        }
        let free = fit.names.iter().zip(&fit.roles).filter(|(_, role)| **role == Role::Free).map(|(name, _)| name.clone()).collect();
        let rows = best.covariance.chunks(fit.n_free().max(1));
        let covariance = rows.map(|row| row.iter().map(|x| Number(*x)).collect()).collect();
        Some(OptimumSummary {
            log_like: fit.log_like[fit.best],
            starts: best.starts,
            starts_agree: best.agree,
            parameters,
            free,
            covariance,
        })
    }
}

/// Best values with their errors, and which are at an end of their prior.
pub(super) fn table(best: &OptimumSummary) -> String {
    let mut rows = vec![["", "best", "± error", ""].map(String::from).to_vec()];
    rows.extend(best.parameters.iter().map(|(name, p)| {
        let error = if p.error.is_nan() { "-".to_string() } else { text::to_scale(p.error, p.error) };
        let note =
            p.at_bound.map_or("", |end| if end == End::Lower { "at the lower end of its prior" } else { "at the upper end of its prior" });
        vec![name.clone(), text::to_scale(p.value, p.error), error, note.to_string()]
    }));
    text::table(&rows)
}

/// "-12.3456 at the best point; 7 of 8 searches agree".
pub(super) fn agreement(best: &OptimumSummary) -> String {
    let searches =
        if best.starts == 1 { "one search".to_string() } else { format!("{} of {} searches agree", best.starts_agree, best.starts) };
    format!("{} at the best point; {searches}", text::significant(best.log_like, 7))
}
