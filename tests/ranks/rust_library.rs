//! Programs with fitjob as a library: examples/rust is built with cargo and run, and so is a likelihood that misbehaves.

#[allow(dead_code)]
#[path = "../../examples/rust/src/main.rs"]
mod lynx_hare;

use crate::common::lives::{Life, newest_state, wait_for};
use crate::common::lynx_hare::REFERENCE;
use crate::common::plugins::{self, POINTS, close, examples, try_model};
use crate::common::scaffold::scaffold;
use crate::common::{self, alone, fitjob, succeed, summary, text, write};
use fitjob::model::{Files, ModelSpec, build, register};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A copy of examples/rust, with the likelihood that misbehaves beside its own.
fn example() -> PathBuf {
    let (from, to) = (Path::new(ROOT).join("examples/rust"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust"));
    fs::create_dir_all(to.join("src/bin")).unwrap();
    for name in ["src/main.rs", "src/solver.rs", "src/bin/gauss.rs", "gauss.toml", "lynx_hare.toml", "lynx_hare.csv"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    // The versions that are built already; cargo finds its own way from there.
    fs::copy(Path::new(ROOT).join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
    fs::copy(Path::new(ROOT).join("tests/rust/moody.rs"), to.join("src/bin/moody.rs")).unwrap();
    // With the features of this build, as `fitjob init` writes them.
    let (_home, scaffold) = scaffold("rust").unwrap();
    let [example, written] = [&from, &scaffold].map(|folder| fs::read_to_string(folder.join("Cargo.toml")).unwrap());
    let dependency = |manifest: &str| manifest.lines().find(|line| line.starts_with("fitjob = ")).unwrap().to_string();
    write(&to.join("Cargo.toml"), &example.replace(&dependency(&example), &dependency(&written)));
    to
}

/// The folder of the programs, built once into the target folder of this test.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        common::cargo_build(&example(), target);
        target.join("release")
    })
}

/// The program alone, and under mpiexec.
fn runs(program: &str) -> Vec<Command> {
    let program = programs().join(program);
    vec![
        alone(&program),
        #[cfg(feature = "mpi")]
        common::on(2, &program),
    ]
}

fn job(name: &str) -> PathBuf {
    Path::new(ROOT).join("examples/rust").join(name)
}

// ---- lynx and hare

#[test]
fn lynx_and_hare_in_rust_c_and_diffsl_have_the_same_likelihood() {
    register::<lynx_hare::LynxHare>();
    let spec: ModelSpec = toml::from_str("kind = \"rust\"\ndata = \"lynx_hare.csv\"\ntolerance = 1e-11").unwrap();
    let load = |file: fitjob::model::FileRef| (file.path.clone(), file.load(&job(&file.path)).unwrap());
    let files: Files = spec.files().into_iter().map(load).collect();
    let rust = build(&spec, None, 1, &files).unwrap();
    let c = try_model(&examples("lynx_hare_c.so"), "derived = [\"most_hares\", \"most_lynxes\"]").unwrap();
    let names: Vec<String> = plugins::LYNX_HARE.map(String::from).to_vec();
    let (mut by_rust, mut by_c) = (Vec::new(), Vec::new());
    rust.bind(&names).unwrap().evaluate(&POINTS.concat(), 8, &mut by_rust);
    c.bind(&names).unwrap().evaluate(&POINTS.concat(), 8, &mut by_c);
    for ((theta, rust), c) in POINTS.iter().zip(by_rust).zip(by_c) {
        let (rust, c) = (rust.unwrap(), c.unwrap());
        assert!(close(rust.log_like, c.log_like, 1e-9), "{theta:?}: Rust {}, C {}", rust.log_like, c.log_like);
        assert!(rust.derived.iter().zip(&c.derived).all(|(r, c)| close(*r, *c, 1e-9)), "{theta:?}: {:?} {:?}", rust.derived, c.derived);
        #[cfg(feature = "ode")]
        {
            let ode = plugins::lynx_hare_ode(1e-10).bind(&names).unwrap().log_like(theta).unwrap();
            assert!(close(ode, rust.log_like, 1e-6), "{theta:?}: Rust {}, ode {ode}", rust.log_like);
        }
    }
}

#[test]
fn lynx_and_hare_in_rust_give_the_reference_posterior_with_the_same_bits_on_ranks_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let fit = |mut command: Command, name: &str, args: &[&str]| {
        succeed(command.arg(job("lynx_hare.toml")).arg("--out").arg(folder.path().join(name)).args(args));
        summary(&folder.path().join(name))
    };
    let lynx_hare = programs().join("lynx-hare");
    let threads = fit(alone(&lynx_hare), "threads", &["--ncores", "2"]);
    for (name, mean, sd) in REFERENCE {
        let (m, s) = (threads["parameters"][name]["mean"].as_f64().unwrap(), threads["parameters"][name]["sd"].as_f64().unwrap());
        assert!((m - mean).abs() < 0.1 * sd && (s / sd - 1.0).abs() < 0.1, "{name}: {m} +- {s}, reference {mean} +- {sd}");
    }
    assert!(threads["parameters"]["most_hares"]["mean"].as_f64().or(threads["derived"]["most_hares"]["mean"].as_f64()).is_some());
    let last = runs("lynx-hare").pop().unwrap();
    assert_eq!(fit(last, "ranks", &["--ncores", "1"])["digest"], threads["digest"]);

    let run = folder.path().join("killed");
    let mut doomed = runs("lynx-hare").pop().unwrap();
    doomed.arg(job("lynx_hare.toml")).args(["--ncores", "1", "--set", "run.checkpoint_s=0.1", "--out"]).arg(&run);
    let mut life = Life::start(doomed, &run);
    wait_for(&mut life, "a checkpoint", || newest_state(&run) >= Some(3));
    life.kill();
    let resumed = fit(alone(&lynx_hare), "killed", &["--resume"]);
    assert_eq!((&resumed["digest"], resumed["n_like"].as_u64()), (&threads["digest"], threads["n_like"].as_u64()));
}

// ---- what is wrong before the run

#[test]
fn mistakes_are_told_before_the_run_at_their_line() {
    let cases: [(&str, &str, &[&str]); 5] = [
        ("lynx-hare", "data = \"d.csv\"\ntolerence = 1e-9", &["unknown key `tolerence`", "did you mean `tolerance`?", "job.toml:4:1"]),
        ("lynx-hare", "data = \"d.csv\"\ntolerance = 7.0", &["the tolerance must be from 1e-14 to 0.1", "job.toml:4:13"]),
        ("lynx-hare", "data = \"e.csv\"", &["cannot be read", "job.toml:3:8"]),
        ("gauss", "width = \"wide\"", &["a number is expected", "job.toml:3:9"]),
        ("gauss", "widht = 1.0", &["unknown key `widht`", "`width` is missing"]), // without deny_unknown_fields too
    ];
    for (program, keys, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("d.csv"), "hare,lynx\n1,2\n");
        let parameters = "[parameters]\nx = { prior = \"uniform\", min = 0, max = 1 }\n";
        write(&folder.path().join("job.toml"), &format!("[model]\nkind = \"rust\"\n{keys}\n{parameters}"));
        for mut command in runs(program) {
            let output = command.current_dir(folder.path()).args(["job.toml", "--out", "run"]).output().unwrap();
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{error}");
            words.iter().for_each(|word| assert!(error.contains(word), "no {word:?} in {error}"));
            assert!(!folder.path().join("run").exists());
        }
    }
}

#[test]
fn the_plain_program_says_who_can_run_such_a_job() {
    let output = fitjob().arg("check").arg(job("gauss.toml")).output().unwrap();
    let error = text(&output.stderr);
    assert!(output.status.code() == Some(2) && error.contains("this program has no likelihood of its own"), "{error}");
    assert!(error.contains("gauss.toml:5:8") && error.contains("docs/rust.md"), "{error}");
}

#[test]
fn check_and_schema_know_the_programs_own_likelihood() {
    let gauss = programs().join("gauss");
    let said = text(&succeed(alone(&gauss).arg("check").arg(job("gauss.toml"))).stdout);
    assert!(said.contains("the job is valid") && said.contains("100 with a finite log L"), "{said}");
    let schema: serde_json::Value = serde_json::from_slice(&succeed(alone(&gauss).arg("schema")).stdout).unwrap();
    let kinds = schema["$defs"]["Model"]["oneOf"].as_array().unwrap();
    let own = kinds.iter().find(|kind| kind["properties"]["kind"]["const"] == "rust").unwrap();
    assert!(own["properties"]["width"] == true && own["additionalProperties"] == false, "{own}");
}

#[test]
fn the_first_example_of_the_manual_is_the_one_that_is_built_here() {
    let source = fs::read_to_string(Path::new(ROOT).join("examples/rust/src/bin/gauss.rs")).unwrap();
    assert!(include_str!("../../docs/rust.md").contains(&format!("```rust\n{source}```\n")));
}

// ---- what goes wrong in the run

/// Runs a job where `how` happens, alone and under mpiexec.
fn with(how: &str, run: &str) -> Vec<Output> {
    let folder = tempfile::tempdir().unwrap();
    let prior = "{ prior = \"uniform\", min = 0, max = 1 }";
    let job = format!(
        "[model]\nkind = \"rust\"\nhow = \"{how}\"\n[sampler]\nn_live = 200\nn_eff = 200\n[parameters]\na = {prior}\nb = {prior}\n{run}"
    );
    write(&folder.path().join("job.toml"), &job);
    let run = |(i, mut command): (usize, Command)| {
        command.current_dir(folder.path()).args(["job.toml", "--out", &format!("run{i}")]).output().unwrap()
    };
    runs("moody").into_iter().enumerate().map(run).collect()
}

/// All runs must end with an error that has `message`, the rank and the parameter values.
fn dies(how: &str, message: &str, run: &str) {
    for output in with(how, run) {
        let error = text(&output.stderr);
        assert!(!output.status.success(), "{how} went unnoticed: {error}");
        assert!(error.contains(message) && error.contains("a = 0.9") && error.contains("b = 0."), "{how}: {error}");
        assert!(error.contains("rank 0: ") || error.contains("rank 1: "), "{how}: {error}");
    }
}

const REJECT: &str = "[run]\non_error = \"reject\"\n";

#[test]
fn crashes_and_exits_are_reported_with_rank_and_parameter_values() {
    dies("segfault", "the likelihood crashed (SIGSEGV", "");
    dies("abort", "the likelihood crashed (SIGABRT", "");
    dies("recursion", "the likelihood crashed (SIGSEGV", "");
    dies("exit", "the likelihood ended the process", REJECT);
}

#[test]
fn panics_nan_and_failures_are_the_jobs_to_judge() {
    for (how, message) in [("panic", "panicked: no root in [0.9"), ("nan", "log-likelihood is NaN"), ("fail", "no convergence")] {
        dies(how, message, "");
        for output in with(how, REJECT) {
            assert!(output.status.success(), "{how}: {}", text(&output.stderr));
        }
    }
    for output in with("reject", "") {
        assert!(output.status.success() && text(&output.stdout).contains("no such star"), "{}", text(&output.stdout));
    }
    dies("fatal", "the tables are wrong", REJECT);
}

#[test]
fn a_call_that_never_returns_is_given_up() {
    dies("sleep", "0.5 s", "[run]\ncall_limit_s = 0.5\n");
}

#[test]
fn what_a_likelihood_prints_goes_to_stdout_and_does_no_harm() {
    for output in with("print", "") {
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("hello from 0.9"), "{}", text(&output.stdout));
    }
}
