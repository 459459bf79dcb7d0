//! Python scripts as likelihoods, alone and on ranks.

use crate::common::{self, fitjob, succeed, summary, text, write};
use std::process::Command;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python");

const PLAIN: &str = "import os\ndef log_likelihood(theta):\n    x, y = theta\n    print('at', x)\n    BAD\n    return -(x * x + y * y)\n";

#[test]
fn lynx_and_hare_in_python_give_the_reference_posterior_with_the_same_bits_on_two_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let job = format!("{EXAMPLES}/lynx_hare.toml");
    // An mpiexec that is called by its full path puts its own folder first on the PATH, and another Python with it.
    let found = succeed(Command::new("python3").args(["-c", "import sys, numpy; print(sys.executable, end='')"]));
    let interpreter = format!("model.interpreter={:?}", common::text(&found.stdout));
    let fit = |mut command: Command, name: &str| {
        let short = ["--set", "sampler.n_live=500", "--set", "sampler.n_eff=1500"];
        succeed(command.current_dir(folder.path()).args([&job, "--out", name, "--set", &interpreter]).args(short));
        summary(&folder.path().join(name))
    };
    let alone = fit(fitjob(), "alone");
    for (name, mean, sd) in [("alpha", 0.546864, 0.063055), ("delta", 0.024086, 0.003528), ("sigma_lynx", 0.251017, 0.043590)] {
        let (m, s) = (alone["parameters"][name]["mean"].as_f64().unwrap(), alone["parameters"][name]["sd"].as_f64().unwrap());
        assert!((m - mean).abs() < 0.1 * sd && (s / sd - 1.0).abs() < 0.1, "{name}: {m} +- {s}, reference {mean} +- {sd}");
    }
    #[cfg(feature = "mpi")]
    {
        let mut two = common::fitjob_on(2);
        two.args(["--ncores", "1"]);
        assert_eq!(fit(two, "two")["digest"], alone["digest"]);
    }
}

/// Runs a job whose script does `bad` where x is above 0.9, alone and under mpiexec.
fn runs(bad: &str, run: &str) -> Vec<std::process::Output> {
    let folder = tempfile::tempdir().unwrap();
    let code = format!("import os, time, ctypes\n{}", PLAIN.replace("BAD", &format!("if x > 0.9: {bad}")));
    write(&folder.path().join("fit.py"), &code);
    let found = succeed(Command::new("python3").args(["-c", "import sys, numpy; print(sys.executable, end='')"]));
    let prior = "{ prior = \"uniform\", min = 0, max = 1 }";
    let job = format!(
        "[model]\nkind = \"python\"\nscript = \"fit.py\"\ninterpreter = {:?}\n[sampler]\nn_live = 100\nn_eff = 100\n\
         [parameters]\nx = {prior}\ny = {prior}\n{run}",
        text(&found.stdout)
    );
    write(&folder.path().join("job.toml"), &job);
    let commands = vec![
        fitjob(),
        #[cfg(feature = "mpi")]
        common::fitjob_on(2),
    ];
    let run = |(i, mut command): (usize, Command)| {
        command.current_dir(folder.path()).args(["job.toml", "--ncores", "1", "--out", &format!("run{i}")]).output().unwrap()
    };
    commands.into_iter().enumerate().map(run).collect()
}

#[test]
fn a_script_that_crashes_leaves_gives_nan_or_hangs_ends_the_run_with_rank_and_values_alone_and_on_two_ranks() {
    let limit = "[run]\ncall_limit_s = 0.5\n";
    for (bad, message, run) in [
        ("ctypes.string_at(0)", "SIGSEGV", ""),
        ("os._exit(9)", "exit status: 9", ""),
        ("return float('nan')", "log-likelihood is NaN", ""),
        ("time.sleep(1e6)", "0.5 s", limit),
    ] {
        for output in runs(bad, run) {
            let error = text(&output.stderr);
            assert!(!output.status.success(), "{bad} went unnoticed: {error}");
            assert!(error.contains(message) && error.contains("x = 0.9") && error.contains("y = 0."), "{bad}: {error}");
            assert!(error.contains("rank 0: ") || error.contains("rank 1: "), "{bad}: {error}");
        }
    }
    for output in runs("print('hello')", "") {
        assert!(output.status.success() && text(&output.stderr).contains("worker 0] hello"), "{}", text(&output.stderr));
    }
}
