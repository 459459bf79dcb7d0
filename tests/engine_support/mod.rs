//! Runs an engine on this thread: in order, or scrambled as a machine with many ranks would.

use std::collections::BTreeMap;

use fitjob::random::{Purpose, stream, uniform};
use fitjob::sampler::importance_nested::{ImportanceNested, Settings};
use fitjob::sampler::{Ask, Posterior, Sampler, SamplerError, saved, toolbox};
use fitjob::task::{Answer, EvalError, Shared, Task, TaskId, Toolbox, Value, Work};

/// Log-likelihood of a point of the unit cube.
pub type LogLike<'a> = &'a dyn Fn(&[f64]) -> f64;

pub fn settings(text: &str) -> Settings {
    toml::from_str(text).expect("the test's settings are valid")
}

pub fn engine(text: &str, seed: u64, n_dim: usize, periodic: &[usize]) -> ImportanceNested {
    ImportanceNested::new(settings(text), seed, n_dim, periodic).expect("the test's settings work")
}

/// Every task at once, in the order asked.
pub fn run(mut sampler: ImportanceNested, log_like: LogLike) -> Result<Posterior, SamplerError> {
    Site::new(log_like).run(&mut sampler)
}

/// Little room, answers in random order but for the order within a lane, lanes interleaved at random.
pub fn run_scrambled(sampler: ImportanceNested, log_like: LogLike, order: u64) -> Result<Posterior, SamplerError> {
    run_broken(sampler, log_like, order, 0.0)
}

/// The same, and after each round the sampler is, with probability `breaks`, saved and made anew from what was saved.
pub fn run_broken(mut sampler: ImportanceNested, log_like: LogLike, order: u64, breaks: f64) -> Result<Posterior, SamplerError> {
    let mut site = Site::new(log_like);
    let mut rng = stream(order, Purpose::Decisions, 99, 0);
    let mut waiting: Vec<Task> = Vec::new();
    let mut early: BTreeMap<TaskId, Answer> = BTreeMap::new();
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    loop {
        if uniform(&mut rng) < breaks {
            sampler = saved::read(&sampler.save())?;
        }
        let room = (uniform(&mut rng) * 70.0) as usize;
        match sampler.ask(room) {
            Ask::Done(_) => return sampler.posterior(),
            Ask::Wait => {}
            Ask::Work { publish, tasks, .. } => {
                site.publish(publish);
                waiting.extend(tasks);
            }
        }
        // Some of what is outstanding is done, whichever it is.
        let count = (uniform(&mut rng) * 2.0 * waiting.len() as f64).ceil().min(waiting.len() as f64) as usize;
        for _ in 0..count {
            let task = waiting.swap_remove((uniform(&mut rng) * waiting.len() as f64) as usize);
            let answer = site.answer(&task);
            early.insert(task.id, answer);
        }
        let mut lanes = [0, 1, 2];
        lanes.rotate_left((uniform(&mut rng) * 3.0) as usize);
        for lane in lanes {
            let seq = next.entry(lane).or_insert(0);
            while let Some(answer) = early.remove(&TaskId { lane, seq: *seq }) {
                sampler.tell(answer)?;
                *seq += 1;
                if uniform(&mut rng) < 0.1 {
                    break;
                }
            }
        }
    }
}

/// What does the tasks, and keeps the published objects.
pub struct Site<'a> {
    log_like: LogLike<'a>,
    toolbox: Box<dyn Toolbox>,
    shared: BTreeMap<u64, Shared>,
}

impl<'a> Site<'a> {
    pub fn new(log_like: LogLike<'a>) -> Site<'a> {
        Site { log_like, toolbox: toolbox(), shared: BTreeMap::new() }
    }

    /// Until the sampler is done: every task at once, in the order asked.
    pub fn run(&mut self, sampler: &mut ImportanceNested) -> Result<Posterior, SamplerError> {
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

    fn publish(&mut self, objects: Vec<Shared>) {
        self.shared.extend(objects.into_iter().map(|s| (s.key, s)));
    }

    fn answer(&mut self, task: &Task) -> Answer {
        let outcome = match &task.work {
            Work::LogLike(u) => Ok(Value::LogLike((self.log_like)(u))),
            Work::Compute { kind, needs, input } => {
                let needed: Vec<&Shared> = needs.iter().map(|key| &self.shared[key]).collect();
                let done: Result<Vec<u8>, EvalError> = self.toolbox.compute(*kind, &needed, input);
                done.map(Value::Bytes)
            }
        };
        Answer { id: task.id, outcome, derived: Vec::new(), seconds: 0.0 }
    }
}

/// The bits of a posterior that must never change.
pub fn digest(p: &Posterior) -> String {
    let numbers = p.u.iter().chain(&p.log_like).chain(&p.log_weight).chain([&p.log_z, &p.log_z_err, &p.n_eff]);
    let bytes: Vec<u8> = numbers.flat_map(|v| v.to_bits().to_le_bytes()).collect();
    blake3::hash(&bytes).to_hex()[..16].to_string()
}

/// Posterior mean of f(u).
pub fn mean(p: &Posterior, f: impl Fn(&[f64]) -> f64) -> f64 {
    p.u.chunks_exact(p.n_dim).zip(&p.log_weight).map(|(u, w)| w.exp() * f(u)).sum()
}
