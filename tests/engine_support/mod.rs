//! Runs any engine on this thread: in order, or scrambled as a machine with many ranks would.
#![allow(dead_code, unused_imports)] // each test program uses some of it

mod machine;
mod site;

pub use machine::{Machine, Record};
pub use site::{Likelihood, Site};

use fitjob::sampler::importance_nested::Settings;
use fitjob::sampler::{EngineSpec, Posterior, Problem, Sampler, SamplerError, build};

/// Log-likelihood of a point of the unit cube.
pub type LogLike<'a> = &'a dyn Fn(&[f64]) -> f64;

/// A sampler and the name under which it can be restored.
pub struct Engine {
    pub method: &'static str,
    pub sampler: Box<dyn Sampler>,
}

impl Engine {
    pub fn start(spec: &EngineSpec, seed: u64, problem: &Problem) -> Result<Engine, SamplerError> {
        Ok(Engine { method: spec.method(), sampler: build(spec, seed, problem)? })
    }
}

/// The settings of the engine called `name`, with those of `text` in place of its defaults.
pub fn try_spec(name: &str, text: &str) -> Result<EngineSpec, String> {
    let changes = toml::from_str::<toml::Table>(text).map_err(|e| e.to_string())?;
    EngineSpec::changed(name, changes).map_err(|e| e.to_string())
}

pub fn spec(name: &str, text: &str) -> EngineSpec {
    try_spec(name, text).unwrap_or_else(|why| panic!("{name}: the test's settings {text:?} are not valid: {why}"))
}

pub fn settings(text: &str) -> Settings {
    toml::from_str(text).expect("the test's settings are valid")
}

/// Importance nested sampling.
pub fn engine(text: &str, seed: u64, n_dim: usize, periodic: &[usize]) -> Engine {
    let problem = Problem { n_dim, periodic: periodic.to_vec(), ..Problem::default() };
    Engine::start(&EngineSpec::ImportanceNested(settings(text)), seed, &problem).expect("the test's settings work")
}

/// Every task at once, in the order asked.
pub fn run(mut engine: Engine, log_like: LogLike) -> Result<Posterior, SamplerError> {
    Site::new(log_like).run(&mut *engine.sampler)
}

/// Little room, answers in random order but for the order within a lane, lanes interleaved at random.
pub fn run_scrambled(engine: Engine, log_like: LogLike, order: u64) -> Result<Posterior, SamplerError> {
    run_broken(engine, log_like, order, 0.0)
}

/// The same, and after each tell the sampler is, with probability `breaks`, saved and made anew from what was saved.
pub fn run_broken(engine: Engine, log_like: LogLike, order: u64, breaks: f64) -> Result<Posterior, SamplerError> {
    Machine::new(engine, Site::new(log_like), order, breaks).run()
}

/// The bits of a posterior that must never change.
pub fn digest(p: &Posterior) -> String {
    let optimum = p.optimum.iter().flat_map(|o| o.u.iter().chain(&o.covariance));
    let numbers = p.u.iter().chain(&p.log_like).chain(&p.log_weight).chain([&p.log_z, &p.log_z_err, &p.n_eff]).chain(optimum);
    let diagnostics = p.diagnostics.iter().map(|(_, value)| value);
    let counts = [p.n_like, p.n_chains as u64];
    let bits = numbers.chain(diagnostics).map(|v| v.to_bits()).chain(counts);
    let bytes: Vec<u8> = bits.flat_map(u64::to_le_bytes).chain(p.warnings.join("\n").into_bytes()).collect();
    blake3::hash(&bytes).to_hex()[..16].to_string()
}

/// Posterior mean of f(u).
pub fn mean(p: &Posterior, f: impl Fn(&[f64]) -> f64) -> f64 {
    p.u.chunks_exact(p.n_dim).zip(&p.log_weight).map(|(u, w)| w.exp() * f(u)).sum()
}
