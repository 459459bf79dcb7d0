//! A whole run of an engine on this thread: no driver, no ranks.

use fitjob::sampler::{Ask, EngineSpec, Posterior, Problem, SamplerError, build, toolbox};
use fitjob::task::{Answer, Shared, Value, Work};

/// log L of a point of the unit cube, and d log L / du into the second argument where the problem says that there are gradients.
pub type LogLike<'a> = &'a dyn Fn(&[f64], &mut Vec<f64>) -> f64;

/// Asks and tells until the engine is done; every task at once, in the order asked.
///
/// # Errors
/// What the engine refuses, or cannot go on with.
pub fn fit(spec: &EngineSpec, seed: u64, problem: &Problem, log_like: LogLike) -> Result<Posterior, SamplerError> {
    let mut sampler = build(spec, seed, problem)?;
    let mut toolbox = toolbox();
    let mut shared: Vec<Shared> = Vec::new();
    loop {
        match sampler.ask(usize::MAX) {
            Ask::Done(_) => return sampler.posterior(),
            Ask::Wait => panic!("the sampler waits although nothing is outstanding"),
            Ask::Work { publish, tasks, retire } => {
                shared.extend(publish);
                for task in tasks {
                    let mut derived = Vec::new();
                    let outcome = match &task.work {
                        Work::LogLike(u) => Ok(Value::LogLike(log_like(u, &mut derived))),
                        Work::Compute { kind, needs, input } => {
                            let held = |key: &u64| shared.iter().find(|s| s.key == *key).expect("published");
                            let needed: Vec<&Shared> = needs.iter().map(held).collect();
                            toolbox.compute(*kind, &needed, input).map(Value::Bytes)
                        }
                    };
                    sampler.tell(Answer { id: task.id, outcome, derived, seconds: 0.0 })?;
                }
                shared.retain(|s| !retire.contains(&s.key));
            }
        }
    }
}

/// User CPU time of this process.
pub fn cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct it is given.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_utime.tv_sec as f64 + 1e-6 * usage.ru_utime.tv_usec as f64
}
