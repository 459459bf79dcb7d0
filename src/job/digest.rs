//! The digest of a job: equal digests ask the same question, whatever runs it and wherever results go.

use crate::model::Model;
use crate::prior::Space;
use crate::sampler::EngineSpec;

/// BLAKE3, in hexadecimal, over the model, the space of parameters, the engine's settings and the seed.
/// `program`: [`Model::program`], or nothing for what holds whatever program it is. Not over `[run]` and `[output]`: those do not change the answer.
pub fn digest(seed: u64, model: &dyn Model, program: &str, space: &Space, engine: &EngineSpec) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |name: &str, bytes: &[u8]| {
        // Lengths keep the parts apart, so that no two jobs run into one another.
        hasher.update(format!("{name} {}\n", bytes.len()).as_bytes());
        hasher.update(bytes);
    };
    part("fitjob job", b"1");
    part("seed", &seed.to_le_bytes());
    part("model", &model.fingerprint());
    if !program.is_empty() {
        part("program", program.as_bytes());
    }
    part("space", &space.fingerprint());
    // Debug of f64 is its shortest exact form: equal text, equal bits.
    part("engine", format!("{engine:?}").as_bytes());
    hasher.finalize().to_hex().to_string()
}
