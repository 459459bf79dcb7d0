use fitjob::{EvalError, Likelihood};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Gauss {
    width: f64, // [model] width = 0.1
}

impl Likelihood for Gauss {
    fn log_like(&self, theta: &[f64]) -> Result<f64, EvalError> {
        Ok(-0.5 * theta.iter().map(|x| (x / self.width).powi(2)).sum::<f64>())
    }
}

fn main() {
    fitjob::main::<Gauss>()
}
