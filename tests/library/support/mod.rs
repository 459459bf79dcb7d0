//! Runs any engine on this thread: in order, or scrambled as a machine with many ranks would.

pub mod known;
mod machine;
mod scores;
mod site;

pub use machine::{Machine, Record};
pub use scores::scores;
pub use site::{Likelihood, Site};

use fitjob::sampler::{EngineSpec, Posterior, Problem, Sampler, SamplerError, build};

/// Log-likelihood of a point of the unit cube; minus infinity where it is impossible.
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

pub fn of_dim(n_dim: usize) -> Problem {
    Problem { n_dim, ..Problem::default() }
}

/// A sampler in `n_dim` dimensions, without gradients.
pub fn engine(spec: &EngineSpec, seed: u64, n_dim: usize, periodic: &[usize]) -> Box<dyn Sampler> {
    let problem = Problem { periodic: periodic.to_vec(), ..of_dim(n_dim) };
    build(spec, seed, &problem).unwrap_or_else(|why| panic!("the test's settings do not work: {why}"))
}

/// To the end: every task at once, in the order asked.
pub fn finish(sampler: &mut dyn Sampler, log_like: LogLike) -> Result<Posterior, SamplerError> {
    Site::new(log_like).run(sampler)
}

pub fn run(spec: &EngineSpec, seed: u64, n_dim: usize, log_like: LogLike) -> Result<Posterior, SamplerError> {
    finish(&mut *engine(spec, seed, n_dim, &[]), log_like)
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

pub fn diagnostic(p: &Posterior, name: &str) -> f64 {
    p.diagnostics.iter().find(|d| d.0 == name).unwrap_or_else(|| panic!("no diagnostic {name}")).1
}

/// Whether a warning has these words.
pub fn warned(p: &Posterior, of: &str) -> bool {
    p.warnings.iter().any(|w| w.contains(of))
}

#[track_caller]
pub fn within(value: f64, truth: f64, error: f64) {
    assert!((value - truth).abs() < 4.0 * error, "{value} is not {truth} within 4 x {error}");
}
