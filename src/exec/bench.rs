//! One thread's workbench: the model bound once, the sampler's tools made once.

use super::{OnError, Site};
use crate::model::Density;
use crate::task::{EvalError, Shared, Toolbox};
use crate::world::panics::guarded;

/// What came of one point.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Verdict {
    /// A number, or -infinity.
    Value(f64),
    /// The model says the point is impossible, and why.
    Rejected(String),
    /// NaN where the job says that it counts as impossible.
    Nan,
    /// +infinity, the same.
    PlusInfinity,
    /// No value within the limit, where the job says that this counts as impossible.
    TimedOut,
    /// The job must end, and why.
    Fatal(String),
    /// Not evaluated, because the work was called off.
    Skipped,
}

pub struct Bench<'s> {
    site: &'s Site,
    density: Option<Box<dyn Density + 's>>,
    theta: Vec<f64>,
    toolbox: Option<Box<dyn Toolbox>>,
}

impl<'s> Bench<'s> {
    pub fn new(site: &'s Site) -> Bench<'s> {
        Bench { site, density: None, theta: vec![0.0; site.space.names().len()], toolbox: None }
    }

    /// Evaluates the point `u` of the unit cube; panics of prior and model included.
    pub fn log_like(&mut self, u: &[f64]) -> Verdict {
        match guarded(|| self.evaluate(u)) {
            Ok(Ok(value)) => self.judge(value),
            Ok(Err(EvalError::Reject(why))) => Verdict::Rejected(why),
            Ok(Err(EvalError::Fatal(why))) => Verdict::Fatal(why),
            Err(panic) => {
                self.density = None;
                Verdict::Fatal(panic)
            }
        }
    }

    fn evaluate(&mut self, u: &[f64]) -> Result<f64, EvalError> {
        let density = match &mut self.density {
            Some(density) => density,
            none => none.insert(self.site.model.bind(self.site.space.names())?),
        };
        self.site.space.transform(u, &mut self.theta);
        density.log_like(&self.theta)
    }

    fn judge(&self, value: f64) -> Verdict {
        let (what, rejected) = match value {
            v if v.is_nan() => ("NaN", Verdict::Nan),
            f64::INFINITY => ("+infinity", Verdict::PlusInfinity),
            v => return Verdict::Value(v),
        };
        match self.site.on_error {
            OnError::Reject => rejected,
            OnError::Abort => {
                Verdict::Fatal(format!("log-likelihood is {what}; with [run] on_error = \"reject\" such points count as impossible"))
            }
        }
    }

    /// Does a computation of the sampler's.
    pub fn compute(&mut self, kind: u16, shared: &[&Shared], input: &[u8]) -> Result<Vec<u8>, EvalError> {
        let outcome = guarded(|| {
            let toolbox = self.toolbox.get_or_insert_with(self.site.toolbox);
            toolbox.compute(kind, shared, input)
        });
        outcome.unwrap_or_else(|panic| Err(EvalError::Fatal(panic)))
    }
}
