//! Lynx and hare: the built-in job of fitjob with its likelihood in Rust.
//!
//!     cargo run --release -- lynx_hare.toml              # or: mpiexec -n 4 target/release/lynx-hare lynx_hare.toml

mod solver;

use fitjob::model::{DataSpec, FileRef, Files, ModelError};
use fitjob::{EvalError, Evaluated, Likelihood};
use serde::{Deserialize, Serialize};

/// Two columns of pelts (thousands), one row a year. The fields are the keys of [model].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LynxHare {
    data: DataSpec,
    /// Error of a step that the solver allows.
    #[serde(default = "default_tolerance")]
    tolerance: f64,
    /// ln of both, a row a year.
    #[serde(skip)]
    pelts: Vec<[f64; 2]>,
}

fn default_tolerance() -> f64 {
    1e-11
}

impl Likelihood for LynxHare {
    fn parameters(&self) -> Vec<&str> {
        vec!["alpha", "beta", "gamma", "delta", "hare0", "lynx0", "sigma_hare", "sigma_lynx"]
    }

    fn derived(&self) -> Vec<&str> {
        vec!["most_hares", "most_lynxes"]
    }

    fn files(&self) -> Vec<FileRef> {
        self.data.file().into_iter().collect()
    }

    fn prepare(&mut self, files: &Files) -> Result<(), ModelError> {
        let table = self.data.table(files)?;
        let column = |name| table.column(name).ok_or_else(|| ModelError::new(&["data"], format!("there is no column `{name}`")));
        self.pelts = column("hare")?.iter().zip(column("lynx")?).map(|(hare, lynx)| [hare.ln(), lynx.ln()]).collect();
        if self.pelts.iter().flatten().any(|ln| !ln.is_finite()) {
            return Err(ModelError::new(&["data"], "pelts must be positive, since their errors are log-normal"));
        }
        match self.tolerance {
            1e-14..=0.1 => Ok(()),
            _ => Err(ModelError::new(&["tolerance"], "the tolerance must be from 1e-14 to 0.1")),
        }
    }

    fn log_like(&self, theta: &[f64]) -> Result<f64, EvalError> {
        self.evaluate(theta).map(|it| it.log_like)
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluated, EvalError> {
        let sigmas = [theta[6], theta[7]];
        let mut solver = solver::Solver::new(theta, self.tolerance);
        let (mut log_like, mut most) = (0.0, [0.0_f64; 2]);
        for (year, pelts) in self.pelts.iter().enumerate() {
            if year > 0 {
                solver.one_year().map_err(EvalError::Reject)?;
            }
            log_like += log_normal(pelts[0], solver.u[0], sigmas[0]) + log_normal(pelts[1], solver.u[1], sigmas[1]);
            most = [most[0].max(solver.u[0].exp()), most[1].max(solver.u[1].exp())];
        }
        Ok(Evaluated { log_like, derived: most.to_vec() })
    }
}

/// ln of the log-normal density about exp(mean) of a datum whose logarithm is `ln_y`.
fn log_normal(ln_y: f64, mean: f64, sigma: f64) -> f64 {
    let r = (ln_y - mean) / sigma;
    -0.5 * r * r - sigma.ln() - ln_y - 0.5 * std::f64::consts::TAU.ln()
}

fn main() {
    fitjob::main::<LynxHare>()
}
