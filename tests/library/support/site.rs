//! What does the tasks, and keeps the published objects.

use std::collections::BTreeMap;

use fitjob::sampler::{Ask, Posterior, Sampler, SamplerError, toolbox};
use fitjob::task::{Answer, EvalError, Shared, Task, Toolbox, Value, Work};

/// A log-likelihood of the unit cube with its slopes.
#[derive(Clone, Copy)]
pub struct Likelihood {
    pub value: fn(&[f64]) -> f64,
    pub slopes: fn(&[f64]) -> Vec<f64>,
}

/// Of log L at a point.
pub type Slopes<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;

pub struct Site<'a> {
    log_like: &'a dyn Fn(&[f64]) -> f64,
    slopes: Option<Slopes<'a>>,
    /// Points of likelihood 0 are rejected, as by a model that says why, and not given the value -inf.
    pub rejects: bool,
    toolbox: Box<dyn Toolbox>,
    shared: BTreeMap<u64, Shared>,
    calls: u64,
}

/// More calls than any test needs: an engine that makes them does not end.
const MOST: u64 = 3_000_000;

impl<'a> Site<'a> {
    pub fn new(log_like: &'a dyn Fn(&[f64]) -> f64) -> Site<'a> {
        Site { log_like, slopes: None, rejects: false, toolbox: toolbox(), shared: BTreeMap::new(), calls: 0 }
    }

    /// Answers carry the slopes where `gradient`.
    pub fn of(likelihood: &'a Likelihood, gradient: bool) -> Site<'a> {
        let site = Site::new(&likelihood.value);
        if gradient { site.with_slopes(&likelihood.slopes) } else { site }
    }

    /// Answers carry these slopes wherever log L is finite.
    pub fn with_slopes(self, slopes: &'a dyn Fn(&[f64]) -> Vec<f64>) -> Site<'a> {
        Site { slopes: Some(slopes), ..self }
    }

    /// Until the sampler is done: every task at once, in the order asked.
    pub fn run(&mut self, sampler: &mut dyn Sampler) -> Result<Posterior, SamplerError> {
        loop {
            match sampler.ask(usize::MAX) {
                Ask::Done(_) => return sampler.posterior(),
                Ask::Wait => panic!("the engine waits although nothing is outstanding"),
                Ask::Work { publish, tasks, retire } => {
                    self.publish(publish);
                    for task in tasks {
                        sampler.tell(self.answer(&task))?;
                    }
                    retire.iter().for_each(|key| drop(self.shared.remove(key)));
                }
            }
        }
    }

    pub fn publish(&mut self, objects: Vec<Shared>) {
        self.shared.extend(objects.into_iter().map(|s| (s.key, s)));
    }

    pub fn answer(&mut self, task: &Task) -> Answer {
        let (outcome, derived) = match &task.work {
            Work::LogLike(u) => self.evaluate(u),
            Work::Compute { kind, needs, input } => {
                let needed: Vec<&Shared> = needs.iter().map(|key| &self.shared[key]).collect();
                (self.toolbox.compute(*kind, &needed, input).map(Value::Bytes), Vec::new())
            }
        };
        Answer { id: task.id, outcome, derived, seconds: 0.0 }
    }

    fn evaluate(&mut self, u: &[f64]) -> (Result<Value, EvalError>, Vec<f64>) {
        self.calls += 1;
        assert!(self.calls < MOST, "the engine does not end: {MOST} calls so far");
        assert!(u.iter().all(|u| (0.0..=1.0).contains(u)), "{u:?} is outside of the unit cube");
        let value = (self.log_like)(u);
        if self.rejects && value == f64::NEG_INFINITY {
            return (Err(EvalError::Reject("impossible".into())), Vec::new());
        }
        let slopes = |slopes: &dyn Fn(&[f64]) -> Vec<f64>| if value.is_finite() { slopes(u) } else { vec![f64::NAN; u.len()] };
        (Ok(Value::LogLike(value)), self.slopes.map(slopes).unwrap_or_default())
    }
}
