//! Data drawn from a model: what simulation-based calibration needs beside a likelihood.

use super::{Model, ModelError, Noise};
use crate::data::Table;
use crate::random::fill_normal;
use crate::task::EvalError;
use rand_chacha::ChaCha8Rng;

/// Observed columns by name, each a value a row.
pub type Columns = Vec<(String, Vec<f64>)>;

/// A model that is also a recipe for data.
pub trait Simulator {
    /// New data at `theta` (physical values, in the order of `names`). What a run would reject or fail at, this does too.
    fn draw(&self, names: &[String], theta: &[f64], rng: &mut ChaCha8Rng) -> Result<Columns, EvalError>;

    /// The same model with `data` in place of what was observed.
    ///
    /// # Errors
    /// Columns that the model does not observe, or of another length.
    fn with_data(&self, data: &Columns) -> Result<Box<dyn Model>, ModelError>;
}

/// Draws about predictions of these standard deviations (of ln y for log-normal noise). `start`: the first row.
pub(super) fn scatter(
    noise: Noise,
    start: usize,
    predictions: &[f64],
    sigmas: &[f64],
    rng: &mut ChaCha8Rng,
) -> Result<Vec<f64>, EvalError> {
    let mut deviates = vec![0.0; predictions.len()];
    fill_normal(rng, &mut deviates);
    let rows = deviates.iter().zip(predictions).zip(sigmas);
    let values = rows.map(|((z, m), s)| match noise {
        Noise::Normal => m + s * z,
        Noise::LogNormal => m * libm::exp(s * z),
    });
    checked(start, values.collect())
}

pub(super) fn checked(start: usize, values: Vec<f64>) -> Result<Vec<f64>, EvalError> {
    match values.iter().position(|y| !y.is_finite()) {
        Some(k) => Err(EvalError::Failed(format!("the simulated value of row {} is {}", start + k + 1, values[k]))),
        None => Ok(values),
    }
}

/// The table with these columns in place of its own.
pub(super) fn replaced(table: &Table, observed: &[&str], data: &Columns) -> Result<Table, ModelError> {
    let mut table = table.clone();
    for name in observed {
        let new = data.iter().find(|(column, _)| column == name).map(|(_, values)| values);
        let rows = table.rows();
        let place = table.columns.iter_mut().find(|(column, _)| column == name);
        match (new, place) {
            (Some(new), Some((_, values))) if new.len() == rows => values.clone_from(new),
            (Some(new), _) => {
                let message = format!("`{name}` has {rows} rows here and {} where it was simulated", new.len());
                return Err(ModelError::new(&["data"], message));
            }
            (None, _) => {
                let names = data.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(ModelError::new(&["data"], format!("`{name}` is observed here, and simulated is: {names}")));
            }
        }
    }
    Ok(table)
}

/// Why a noise whose size depends on the data is no recipe for them.
pub(super) fn circular(sigma: &super::Sigma, observed: &[&str]) -> Result<(), String> {
    let super::Sigma::Expression(text) = sigma else { return Ok(()) };
    let variables = crate::expr::Expr::parse(text).map(|e| e.variables()).unwrap_or_default();
    match observed.iter().find(|y| text == *y || variables.iter().any(|v| v == *y)) {
        Some(y) => Err(format!("sigma = \"{text}\" depends on the data `{y}` themselves, so it cannot say how they scatter")),
        None => Ok(()),
    }
}
