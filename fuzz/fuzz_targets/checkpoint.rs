//! A state file as it is; with its checksum made to fit, so that what lies behind it is reached too; and as the sections of a checkpoint.
#![no_main]

use fitjob::sampler;
use fitjob::session::Snapshot;
use fitjob::state::container;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = container::read(bytes);
    let fitting = [bytes, blake3::hash(bytes).as_bytes()].concat();
    if let Ok(sections) = container::read(&fitting) {
        understand(sections);
    }
    // The whole input as each section in turn.
    let _ = sampler::restore("importance-nested", bytes);
    let section = |name: &str| (name.to_string(), bytes.to_vec());
    let _ = Snapshot::read(vec![section("about"), section("sampler"), section("under_way")]);
});

fn understand(sections: Vec<(String, Vec<u8>)>) {
    if let Ok(Snapshot { state: Some((sampler, _)), .. }) = Snapshot::read(sections) {
        let _ = sampler::restore("importance-nested", &sampler);
    }
}
