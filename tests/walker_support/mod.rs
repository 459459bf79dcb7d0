//! Runs any engine that asks for likelihoods only: in order, or scrambled and broken off as a machine with many ranks would.
#![allow(dead_code)]

use fitjob::model::problem::Problem;
use fitjob::random::{Purpose, stream, uniform};
use fitjob::sampler::{self, Ask, EngineSpec, Posterior, Sampler, SamplerError, build, restore};
use fitjob::task::{Answer, EvalError, Task, TaskId, Value, Work};
use std::collections::BTreeMap;

/// Log-likelihood of a point of the unit cube; None where the model rejects it.
pub type LogLike<'a> = &'a dyn Fn(&[f64]) -> Option<f64>;

pub fn spec(method: &str, settings: &str) -> EngineSpec {
    EngineSpec::changed(method, toml::from_str(settings).unwrap()).expect("the test's settings are valid")
}

pub fn engine(spec: &EngineSpec, seed: u64, problem: sampler::Problem) -> Box<dyn Sampler> {
    build(spec, seed, &problem).unwrap_or_else(|e| panic!("{e}"))
}

pub fn of_dim(n_dim: usize) -> sampler::Problem {
    sampler::Problem { n_dim, ..sampler::Problem::default() }
}

pub fn answer(task: &Task, log_like: LogLike) -> Answer {
    let Work::LogLike(u) = &task.work else { panic!("only likelihoods are asked for") };
    assert!(u.iter().all(|u| (0.0..=1.0).contains(u)), "outside the cube: {u:?}");
    let outcome = log_like(u).map(Value::LogLike).ok_or(EvalError::Reject("impossible".into()));
    Answer { id: task.id, outcome, derived: vec![], seconds: 0.0 }
}

/// Every task at once, in the order asked.
pub fn finish(sampler: &mut dyn Sampler, log_like: LogLike) -> Result<Posterior, SamplerError> {
    loop {
        match sampler.ask(usize::MAX) {
            Ask::Done(_) => return sampler.posterior(),
            Ask::Wait => panic!("the engine waits although nothing is outstanding"),
            Ask::Work { tasks, .. } => tasks.iter().try_for_each(|task| sampler.tell(answer(task, log_like)))?,
        }
    }
}

pub fn run(spec: &EngineSpec, seed: u64, n_dim: usize, log_like: LogLike) -> Result<Posterior, SamplerError> {
    finish(&mut *engine(spec, seed, of_dim(n_dim)), log_like)
}

/// Little room, answers in random order but for the order within a lane; after each round the sampler is, with probability `breaks`,
/// saved and made anew from what was saved.
pub fn run_broken(spec: &EngineSpec, seed: u64, n_dim: usize, log_like: LogLike, breaks: f64) -> Posterior {
    let mut sampler = engine(spec, seed, of_dim(n_dim));
    let mut rng = stream(seed + 99, Purpose::Decisions, 99, 0);
    let (mut waiting, mut early) = (Vec::<Task>::new(), BTreeMap::<TaskId, Answer>::new());
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    loop {
        if uniform(&mut rng) < breaks {
            sampler = restore(spec.method(), &sampler.save()).unwrap();
        }
        match sampler.ask((uniform(&mut rng) * 30.0) as usize) {
            Ask::Done(_) => return sampler.posterior().unwrap(),
            Ask::Wait => {}
            Ask::Work { tasks, .. } => waiting.extend(tasks),
        }
        for _ in 0..(uniform(&mut rng) * 2.0 * waiting.len() as f64).ceil().min(waiting.len() as f64) as usize {
            let task = waiting.swap_remove((uniform(&mut rng) * waiting.len() as f64) as usize);
            early.insert(task.id, answer(&task, log_like));
        }
        let mut lanes: Vec<u32> = early.keys().map(|id| id.lane).collect();
        lanes.dedup();
        lanes.reverse();
        for lane in lanes {
            let seq = next.entry(lane).or_insert(0);
            while let Some(answer) = early.remove(&TaskId { lane, seq: *seq }) {
                sampler.tell(answer).unwrap();
                *seq += 1;
            }
        }
    }
}

/// The bits of a posterior that must never change.
pub fn digest(p: &Posterior) -> String {
    let optimum = p.optimum.clone().unwrap_or_default();
    let numbers = p.u.iter().chain(&p.log_like).chain(&p.log_weight).chain(&optimum.covariance).chain([&p.n_eff]);
    let bytes: Vec<u8> = numbers.flat_map(|v| v.to_bits().to_le_bytes()).collect();
    blake3::hash(&bytes).to_hex()[..16].to_string()
}

/// A problem of known answers, over the unit cube.
pub fn in_cube(name: &str) -> (usize, impl Fn(&[f64]) -> Option<f64> + use<>) {
    let problem = Problem::named(name).unwrap();
    let n_dim = problem.dim;
    let log_like =
        move |u: &[f64]| Some(problem.log_like(&u.iter().map(|u| problem.low + (problem.high - problem.low) * u).collect::<Vec<_>>()));
    (n_dim, log_like)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
