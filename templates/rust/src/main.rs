//! Exponential decay with a background: the likelihood of fit.toml, in a program with fitjob's whole command line.

use fitjob::model::{DataSpec, FileRef, Files, ModelError};
use fitjob::{EvalError, Likelihood};
use serde::{Deserialize, Serialize};

/// The keys of `[model]` in fit.toml, and behind `skip` what is made of them once.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decay {
    data: DataSpec,
    #[serde(skip)]
    rows: Vec<Row>,
}

struct Row {
    t: f64,
    counts: f64,
    err: f64,
}

impl Likelihood for Decay {
    /// The order of `theta`; their priors are in fit.toml.
    fn parameters(&self) -> Vec<&str> {
        vec!["a", "tau", "background"]
    }

    /// ln L. `Err(EvalError::Reject("why".into()))`: the point is impossible.
    fn log_like(&self, theta: &[f64]) -> Result<f64, EvalError> {
        let (a, tau, background) = (theta[0], theta[1], theta[2]);
        let ln_density = |row: &Row| {
            let r = (row.counts - a * (-row.t / tau).exp() - background) / row.err;
            -0.5 * r * r - row.err.ln() - 0.5 * std::f64::consts::TAU.ln()
        };
        Ok(self.rows.iter().map(ln_density).sum())
    }

    /// Rank 0 reads these; the others get what was in them.
    fn files(&self) -> Vec<FileRef> {
        self.data.file().into_iter().collect()
    }

    /// Once on every rank, before the first point.
    fn prepare(&mut self, files: &Files) -> Result<(), ModelError> {
        let table = self.data.table(files)?;
        let column = |name: &str| {
            let missing = || ModelError::new(&["data"], format!("there is no column \"{name}\""));
            table.column(name).ok_or_else(missing)
        };
        let (t, counts, err) = (column("t")?, column("counts")?, column("err")?);
        self.rows = (0..t.len()).map(|i| Row { t: t[i], counts: counts[i], err: err[i] }).collect();
        Ok(())
    }
}

fn main() {
    fitjob::main::<Decay>()
}
