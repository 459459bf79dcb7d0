//! One thread's workbench: the model bound once, the sampler's tools made once.

use super::{OnError, Site};
use crate::model::{Density, Evaluated};
use crate::task::{EvalError, Shared, Toolbox};
use crate::world::panics::guarded;

/// What came of one point.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Verdict {
    /// A number, or -infinity, and the quantities that the model computes beside it.
    Value(f64, Vec<f64>),
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

/// Log L and the model's own quantities, and d log L / du after them.
fn evaluate_with_gradient(site: &Site, density: &mut dyn Density, u: &[f64], theta: &[f64]) -> Result<Evaluated, EvalError> {
    let (mut by_theta, mut by_u) = (vec![0.0; theta.len()], vec![0.0; site.space.n_free()]);
    let missing = || Err(EvalError::Fatal("the model gives no gradient although it said that it has one".into()));
    let log_like = density.log_like_gradient(theta, &mut by_theta).unwrap_or_else(missing)?;
    let mut derived = Vec::new();
    if site.n_beside() > by_u.len() {
        let mut alone = Vec::new();
        density.evaluate(theta, theta.len(), &mut alone);
        derived = alone.pop().unwrap_or_else(|| Ok(Evaluated::default()))?.derived;
    }
    site.space.pull_back(u, theta, &by_theta, &mut by_u);
    derived.extend(by_u);
    Ok(Evaluated { log_like, derived })
}

pub struct Bench<'s> {
    site: &'s Site,
    density: Option<Box<dyn Density + 's>>,
    /// Parameter values of the points at hand, n x names.
    thetas: Vec<f64>,
    results: Vec<Result<Evaluated, EvalError>>,
    toolbox: Option<Box<dyn Toolbox>>,
}

impl<'s> Bench<'s> {
    pub fn new(site: &'s Site) -> Bench<'s> {
        Bench { site, density: None, thetas: Vec::new(), results: Vec::new(), toolbox: None }
    }

    /// Binds the model, which may take long (a program is started), so that no call pays for it. What is wrong is told by the first call.
    pub fn prepare(&mut self) {
        let bound = guarded(|| self.site.model.bind(self.site.space.names()));
        self.density = bound.ok().and_then(Result::ok);
    }

    /// Evaluates points of the unit cube in one call of the model; panics of prior and model included.
    pub fn log_likes(&mut self, points: &[&[f64]]) -> Vec<Verdict> {
        match guarded(|| self.evaluate(points)) {
            Ok(Ok(())) if self.results.len() == points.len() => {
                let results = std::mem::take(&mut self.results);
                results.into_iter().map(|result| self.judge(result)).collect()
            }
            Ok(Ok(())) => {
                let n = (points.len(), self.results.len());
                let cause = format!("the model was given {} points and answered {}", n.0, n.1);
                vec![Verdict::Fatal(cause); points.len()]
            }
            Ok(Err(error)) => vec![self.judge(Err(error)); points.len()],
            Err(panic) => {
                self.density = None;
                match points {
                    [_] => vec![self.failed(&panic)],
                    // Which of them it was shows when each is alone.
                    _ => points.iter().flat_map(|point| self.log_likes(&[point])).collect(),
                }
            }
        }
    }

    fn evaluate(&mut self, points: &[&[f64]]) -> Result<(), EvalError> {
        let names = self.site.space.names();
        let density = match &mut self.density {
            Some(density) => density,
            none => none.insert(self.site.model.bind(names)?),
        };
        self.thetas.resize(points.len() * names.len(), 0.0);
        for (u, theta) in points.iter().zip(self.thetas.chunks_exact_mut(names.len())) {
            self.site.space.transform(u, theta);
        }
        self.results.clear();
        match self.site.gradients {
            false => density.evaluate(&self.thetas, names.len(), &mut self.results),
            true => {
                let with_gradient = |(u, theta): (&&[f64], _)| evaluate_with_gradient(self.site, &mut **density, u, theta);
                self.results.extend(points.iter().zip(self.thetas.chunks_exact(names.len())).map(with_gradient));
            }
        }
        // Far out in the tails of priors alone: elsewhere no bit is touched.
        for (u, result) in points.iter().zip(&mut self.results) {
            let weight = self.site.space.log_weight(u);
            if let (Ok(it), true) = (result, weight != 0.0) {
                it.log_like += weight;
            }
        }
        Ok(())
    }

    fn judge(&self, result: Result<Evaluated, EvalError>) -> Verdict {
        let (what, rejected) = match result {
            Err(EvalError::Reject(why)) => return Verdict::Rejected(why),
            Err(EvalError::Failed(why)) => return self.failed(&why),
            Err(EvalError::Fatal(why)) => return Verdict::Fatal(why),
            Ok(Evaluated { log_like, .. }) if log_like.is_nan() => ("NaN", Verdict::Nan),
            Ok(Evaluated { log_like: f64::INFINITY, .. }) => ("+infinity", Verdict::PlusInfinity),
            Ok(Evaluated { log_like, derived }) => return Verdict::Value(log_like, derived),
        };
        match self.site.on_error {
            OnError::Reject => rejected,
            OnError::Abort => self.failed(&format!("log-likelihood is {what}")),
        }
    }

    /// The model could not do this point; it may be able to do others.
    fn failed(&self, why: &str) -> Verdict {
        match self.site.on_error {
            OnError::Reject => Verdict::Rejected(why.into()),
            OnError::Abort => Verdict::Fatal(format!("{why}; with [run] on_error = \"reject\" such points count as impossible")),
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
