//! Before a run, one point is asked for twice: a likelihood that gives two values can be sampled by no engine.

use crate::exec::Evaluator;
use crate::prior::Space;
use crate::stop::Stop;
use crate::task::{EvalError, Task, TaskId, Value, Work};

/// The lane of these questions, which no sampler has: above that of the check on resuming in its numbers.
const LANE: u32 = u32::MAX;
const FIRST: u64 = 1 << 32;

/// What came of it.
pub enum Probed {
    /// A warning, where there is one.
    Told(Option<String>),
    /// The run was told to stop meanwhile.
    Stopped(Stop),
}

/// Asks for the median of the priors twice at once, so that two workers may be asked. A point that is impossible both times says nothing.
/// `stop` is looked at while the answers are on their way.
///
/// # Errors
/// What ends a run.
pub fn probe(evaluator: &mut dyn Evaluator, space: &Space, mut stop: impl FnMut() -> Option<Stop>) -> Result<Probed, String> {
    let u = vec![0.5; space.n_free()];
    let task = |k: u64| Task { id: TaskId { lane: LANE, seq: FIRST + k }, work: Work::LogLike(u.clone()) };
    evaluator.submit(vec![task(0), task(1)]).map_err(|e| e.to_string())?;
    let mut answers = Vec::new();
    while answers.len() < 2 {
        answers.extend(evaluator.collect().map_err(|e| e.to_string())?);
        if let Some(why) = stop().filter(|_| answers.len() < 2) {
            return Ok(Probed::Stopped(why));
        }
    }
    let value = |outcome: &Result<Value, EvalError>| match outcome {
        Ok(Value::LogLike(value)) => *value,
        _ => f64::NEG_INFINITY,
    };
    let (one, other) = (value(&answers[0].outcome), value(&answers[1].outcome));
    Ok(Probed::Told((one.to_bits() != other.to_bits()).then(|| {
        let mut theta = vec![0.0; space.names().len()];
        space.transform(&u, &mut theta);
        not_reproducible(&crate::output::text::point(space.names(), &theta), one, other)
    })))
}

/// In plain words, with what helps.
pub fn not_reproducible(point: &str, one: f64, other: f64) -> String {
    format!(
        "log L is not reproducible: the same point ({point}) gave {one:?} and {other:?}. No sampler can be right on a likelihood with \
         noise of its own: look for random numbers without a fixed seed, for what is left over from earlier calls, for files or \
         clocks that it reads, and for threads that add up in any order"
    )
}
