//! The text of a job file, as far as a job that could be run. Touches no file: what the job names is absent.
#![no_main]

use fitjob::job::{Package, Source, resolve};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let json = text.trim_start().starts_with('{');
    let source = Source { name: "fuzz.toml".into(), text: text.into(), base: "/nowhere".into(), overrides: vec![], json };
    match resolve(&Package { source, files: Default::default() }) {
        Ok(job) => assert!(!job.digest.is_empty()),
        // As people see it: underlines must lie within the text.
        Err(error) => assert!(!error.report(true).is_empty()),
    }
});
