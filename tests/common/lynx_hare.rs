//! The reference posterior of the built-in job.

use super::{succeed, summary};
use std::path::Path;
use std::process::Command;

/// Mean and standard deviation of each parameter: posteriordb, hudson_lynx_hare-lotka_volterra, 10 000 draws.
pub const REFERENCE: [(&str, f64, f64); 8] = [
    ("alpha", 0.546864, 0.063055),
    ("beta", 0.027747, 0.004155),
    ("gamma", 0.800095, 0.089370),
    ("delta", 0.024086, 0.003528),
    ("hare0", 34.035222, 2.916899),
    ("lynx0", 5.935897, 0.530552),
    ("sigma_hare", 0.248057, 0.043263),
    ("sigma_lynx", 0.251017, 0.043590),
];

/// Runs the built-in job in an empty folder and compares it with the reference: means within 0.1 sd, sds within 10%.
pub fn agrees_with_the_reference(mut command: Command, folder: &Path) {
    succeed(command.current_dir(folder).args(["--out", "run"]));
    let summary = summary(&folder.join("run"));
    for (name, mean, sd) in REFERENCE {
        let found = &summary["parameters"][name];
        let (m, s) = (found["mean"].as_f64().unwrap(), found["sd"].as_f64().unwrap());
        assert!((m - mean).abs() < 0.1 * sd, "{name}: mean {m}, reference {mean} +- {sd}");
        assert!((s / sd - 1.0).abs() < 0.1, "{name}: sd {s}, reference {sd}");
    }
}
