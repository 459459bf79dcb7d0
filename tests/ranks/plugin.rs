//! Shared libraries as likelihoods, alone and on ranks: the same bits, and every way in which a call may end.

use crate::common::plugins::{CPP, compile, examples, job_of};
use crate::common::{self, fitjob, succeed, summary, text, write};
use std::process::{Command, Output};

#[cfg(feature = "mpi")]
#[test]
fn ranks_and_threads_give_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let job = examples("gauss.so").replace(".so", ".toml");
    let digest = |mut command: Command, name: &str, more: &[&str]| {
        succeed(command.current_dir(folder.path()).args([&job, "--out", name]).args(more));
        summary(&folder.path().join(name))["digest"].as_str().unwrap().to_string()
    };
    let one = digest(fitjob(), "one", &["--ncores", "1"]);
    assert_eq!(digest(fitjob(), "threads", &["--ncores", "2"]), one);
    assert_eq!(digest(common::fitjob_on(2), "ranks", &[]), one);
}

#[test]
fn a_wrong_number_of_parameters_ends_the_job_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let job = job_of(&examples("lynx_hare_c.so"), "");
    write(&folder.path().join("job.toml"), &job);
    for mut command in runs() {
        let output = command.current_dir(folder.path()).args(["job.toml", "--out", "run"]).output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("takes 8 parameters") && error.contains("library = "), "{error}");
        assert!(!folder.path().join("run").exists());
    }
}

// ---- what goes wrong in the run

/// Alone, and under mpiexec.
fn runs() -> Vec<Command> {
    vec![
        fitjob(),
        #[cfg(feature = "mpi")]
        common::fitjob_on(2),
    ]
}

/// Runs a job of the function `f` in `source`, alone and under mpiexec.
fn with_function(source: &str, run: &str) -> Vec<Output> {
    let (folder, library) = compile(
        CPP,
        &format!("#include <cmath>\n#include <cstdio>\n#include <cstdlib>\n#include <stdexcept>\n#include <unistd.h>\n{source}"),
    );
    write(&folder.path().join("job.toml"), &format!("{}{run}", job_of(&library, "abi = \"plain\"\nsymbol = \"f\"")));
    let run = |(i, mut command): (usize, Command)| {
        command.current_dir(folder.path()).args(["job.toml", "--out", &format!("run{i}")]).output().unwrap()
    };
    runs().into_iter().enumerate().map(run).collect()
}

/// `what` happens in a call; all runs must end with an error that has `message` and the parameter values.
fn dies(what: &str, message: &str, run: &str) {
    let source = format!("double f(const double *t, int n) {{ if (t[0] > 0.9) {{ {what} }} return -t[0] * t[0]; }}");
    for output in with_function(&source, run) {
        let error = text(&output.stderr);
        assert!(!output.status.success(), "{what} went unnoticed: {error}");
        assert!(error.contains(message) && error.contains("a = 0.9") && error.contains("b = 0."), "{what}: {error}");
        assert!(error.contains("rank 0: ") || error.contains("rank 1: "), "{what}: {error}");
    }
}

#[test]
fn crashes_are_reported_with_rank_and_parameter_values() {
    dies("*(volatile int *)8 = 1;", "crashed (SIGSEGV", "");
    dies("abort();", "crashed (SIGABRT", "");
    dies("throw std::runtime_error(\"oops\");", "crashed (SIGABRT", "");
    dies("volatile char big[4096]; big[0] = t[0]; return f(t, n + 1) + big[0];", "crashed (SIGSEGV", "");
}

#[test]
fn ending_the_process_is_a_failure_even_with_exit_code_zero() {
    dies("exit(0);", "ended the process", "");
}

#[test]
fn nan_is_the_jobs_to_judge() {
    dies("return NAN;", "log-likelihood is NaN", "");
    let source = "double f(const double *t, int n) { return t[0] > 0.9 ? NAN : -t[0] * t[0]; }";
    for output in with_function(source, "[run]\non_error = \"reject\"\n") {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn a_call_that_never_returns_is_given_up() {
    dies("for (;;) sleep(1);", "0.5 s", "[run]\ncall_limit_s = 0.5\n");
}

#[test]
fn what_a_plugin_prints_goes_to_stdout_and_does_no_harm() {
    let source = "double f(const double *t, int n) { printf(\"hello from %g\\n\", t[0]); return -t[0] * t[0]; }";
    for output in with_function(source, "") {
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("hello from 0."), "{}", text(&output.stdout));
    }
}
