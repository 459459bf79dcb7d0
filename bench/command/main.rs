//! Overhead a point of a Python likelihood, d = 10: one worker, batches of 1, 100 and 1000.
//!
//!     target/release/examples/command
//!
//! Prints a line of JSON a case, with the median and the least microseconds a point. The function's own time is part of it: `free`
//! returns 0, `plain` is the function of ../shared/peers/pool_overhead.py (about 1 us), `many` its vectorised form.

use fitjob::model::{Files, ModelSpec, build};
use std::path::Path;
use std::time::Instant;

const D: usize = 10;

fn main() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/command/functions.py");
    for (function, batch) in [("free", 1), ("plain", 1), ("many", 100_000)] {
        let toml = format!("kind = \"python\"\nscript = {script:?}\nfunction = \"{function}\"\nbatch = {batch}");
        let spec: ModelSpec = toml::from_str(&toml).expect("a model");
        let load = |file: fitjob::model::FileRef| (file.path.clone(), file.load(Path::new(&file.path)).expect("the script"));
        let files: Files = spec.files().into_iter().map(load).collect();
        let model = build(&spec, None, 1, &files).unwrap_or_else(|e| panic!("{e}"));
        let names: Vec<String> = (0..D).map(|i| format!("x{i}")).collect();
        let mut density = model.bind(&names).unwrap_or_else(|e| panic!("{e}"));
        for n in [1, 100, 1000] {
            let thetas: Vec<f64> = (0..n * D).map(|i| (i as f64 * 0.618).fract()).collect();
            let mut seconds: Vec<f64> = (0..60)
                .map(|_| {
                    let (start, mut out) = (Instant::now(), Vec::new());
                    density.evaluate(&thetas, D, &mut out);
                    assert!(out.len() == n && out.iter().all(Result::is_ok));
                    start.elapsed().as_secs_f64() / n as f64
                })
                .collect();
            seconds.sort_by(f64::total_cmp);
            let (median, least) = (seconds[30] * 1e6, seconds[0] * 1e6);
            println!("{{\"function\":\"{function}\",\"batch\":{n},\"us_per_point_median\":{median:.3},\"us_per_point_min\":{least:.3}}}");
        }
    }
}
