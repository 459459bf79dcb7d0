//! Shared libraries as likelihoods, in runs of the built binary.

use crate::common::lynx_hare::REFERENCE;
use crate::common::plugins::{C, CPP, compile, examples, job_of};
use crate::common::{fitjob, succeed, summary, text, write};

#[test]
fn the_example_in_c_gives_the_posterior_of_lynx_and_hare() {
    let folder = tempfile::tempdir().unwrap();
    let job = examples("lynx_hare_c.so").replace(".so", ".toml");
    succeed(fitjob().current_dir(folder.path()).args([&job, "--out", "run"]));
    let found = summary(&folder.path().join("run"));
    for (name, mean, sd) in REFERENCE {
        let m = found["parameters"][name]["mean"].as_f64().unwrap();
        assert!((m - mean).abs() < 0.1 * sd, "{name}: mean {m}, reference {mean} +- {sd}");
    }
}

// ---- a recompiled library

#[test]
fn a_recompiled_library_is_refused_unless_it_is_said_to_give_the_same_values_and_does() {
    let function = |log_like: &str| format!("double f(const double *t, int n) {{ return {log_like}; }}");
    let (_a, first) = compile(C, &function("-t[0] * t[0]"));
    let (_b, same) = compile(C, &format!("const char *message = \"no typo\";\n{}", function("-t[0] * t[0]")));
    let (_c, other) = compile(C, &function("t[1] > 0.8 ? -t[0] * t[0] * 1.0000000000001 : -t[0] * t[0]"));
    let folder = tempfile::tempdir().unwrap();
    let go = |library: &str, args: &[&str]| {
        write(&folder.path().join("job.toml"), &job_of(library, "abi = \"plain\"\nsymbol = \"f\""));
        fitjob().current_dir(folder.path()).args(["job.toml", "--out", "run"]).args(args).output().unwrap()
    };
    assert!(go(&first, &[]).status.success());
    let more = ["--resume", "--set", "sampler.n_eff=400"];
    let refused = go(&same, &more);
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("the model's program: was") && error.contains("--same-model"), "{error}");
    let broken = go(&other, &[&more[..], &["--same-model"]].concat());
    let error = text(&broken.stderr);
    assert!(broken.status.code() == Some(3) && error.contains("the likelihood is not what it was: at a = 0."), "{error}");
    let resumed = go(&same, &[&more[..], &["--same-model"]].concat());
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    let digest = |run: &str| summary(&folder.path().join(run))["digest"].clone();
    succeed(fitjob().current_dir(folder.path()).args(["job.toml", "--out", "again", "--resume=auto", "--set", "sampler.n_eff=200"]));
    succeed(fitjob().current_dir(folder.path()).args(["job.toml", "--out", "again", "--resume", "--set", "sampler.n_eff=400"]));
    assert_eq!(digest("run"), digest("again"));
}

#[test]
fn two_threads_that_end_the_process_at_the_same_time_are_no_success() {
    let source = "#include <atomic>\n#include <cstdlib>\nstatic std::atomic<int> here;\n\
                  double f(const double *, int) { here++; while (here < 2) {} std::exit(0); }";
    let (folder, library) = compile(CPP, source);
    write(&folder.path().join("job.toml"), &job_of(&library, "abi = \"plain\"\nsymbol = \"f\""));
    for i in 0..10 {
        let out = format!("run{i}");
        let output = fitjob().current_dir(folder.path()).args(["job.toml", "--ncores", "2", "--out", &out]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    }
}
