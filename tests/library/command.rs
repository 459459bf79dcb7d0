//! Programs as likelihoods: what they give, and every way in which they may break.

use crate::common::children::{CHILD, alive, nothing_is_left_of};
use crate::common::write;
use fitjob::model::{Density, Evaluated, Files, Model, ModelSpec, build};
use fitjob::task::EvalError;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The model of a `[model]` table in TOML; files are relative to `folder`.
fn model(toml: &str, folder: &Path) -> Box<dyn Model> {
    let spec: ModelSpec = toml::from_str(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    let load = |file: fitjob::model::FileRef| (file.path.clone(), file.load(&folder.join(&file.path)).unwrap());
    let files: Files = spec.files().into_iter().map(load).collect();
    build(&spec, None, 1, &files).unwrap_or_else(|e| panic!("{e}: {:?} {:?}", e.key, e.help))
}

fn misbehaving(how: &str, more: &str) -> Box<dyn Model> {
    let words: Vec<String> = how.split(' ').map(|word| format!("{word:?}")).collect();
    model(&format!("kind = \"command\"\ncommand = [\"python3\", {CHILD:?}, {}]\n{more}", words.join(", ")), Path::new("."))
}

fn names() -> Vec<String> {
    vec!["x".into(), "y".into()]
}

fn evaluate(density: &mut dyn Density, points: &[[f64; 2]]) -> Vec<Result<Evaluated, EvalError>> {
    let mut out = Vec::new();
    density.evaluate(&points.concat(), 2, &mut out);
    out
}

fn values(results: &[Result<Evaluated, EvalError>]) -> Vec<f64> {
    results.iter().map(|r| r.as_ref().unwrap_or_else(|e| panic!("{e:?}")).log_like).collect()
}

/// Three points of which the second is where the child misbehaves.
const POINTS: [[f64; 2]; 3] = [[0.1, 0.2], [0.8, 0.1], [0.3, 0.3]];

fn expected(point: [f64; 2]) -> f64 {
    -(point[0] * point[0] + point[1] * point[1])
}

/// What comes of the second point; the others must have their values.
fn second(how: &str, more: &str) -> Result<Evaluated, EvalError> {
    let model = misbehaving(how, more);
    let mut density = model.bind(&names()).unwrap();
    let mut results = evaluate(density.as_mut(), &POINTS);
    assert_eq!(results.len(), 3);
    assert_eq!(values(&[results.remove(0), results.pop().unwrap()]), [expected(POINTS[0]), expected(POINTS[2])]);
    results.remove(0)
}

fn refusal(model: &dyn Model) -> String {
    match model.bind(&names()) {
        Err(EvalError::Fatal(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was bound"),
    }
}

// ---- at library level

#[test]
fn values_come_back_in_order_whatever_the_batch() {
    for batch in [1, 2, 3, 100] {
        let model = misbehaving("well", &format!("batch = {batch}"));
        let mut density = model.bind(&names()).unwrap();
        assert_eq!(values(&evaluate(density.as_mut(), &POINTS)), POINTS.map(expected));
        assert_eq!(density.log_like(&[0.5, 0.0]).unwrap(), -0.25);
        assert!(density.log_like_gradient(&[0.5, 0.0], &mut [0.0; 2]).is_none());
    }
}

#[test]
fn parameters_go_in_the_order_that_the_program_wants_and_derived_quantities_come_back() {
    let model = misbehaving("derived", "parameters = [\"z\", \"x\"]\nderived = [\"sum\"]\nbatch = 2");
    let mut density = model.bind(&["x".into(), "y".into(), "z".into()]).unwrap();
    let mut out = Vec::new();
    density.evaluate(&[1.0, 50.0, 0.25, 2.0, 60.0, 0.5], 3, &mut out);
    let sums: Vec<Vec<f64>> = out.into_iter().map(|r| r.unwrap().derived).collect();
    assert_eq!(sums, [[1.25], [2.5]]);
}

#[test]
fn a_child_that_crashes_fails_at_that_point_with_signal_and_last_words_and_the_others_have_values() {
    for batch in ["batch = 1", "batch = 100"] {
        let Err(EvalError::Failed(why)) = second("segfault", batch) else { panic!() };
        assert!(why.contains("SIGSEGV") && why.contains("about to crash") && why.contains("tried 2 times"), "{why}");
        let Err(EvalError::Failed(why)) = second("exit", batch) else { panic!() };
        assert!(why.contains("exit status: 1") && why.contains("out of luck"), "{why}");
    }
}

#[test]
fn a_point_whose_child_died_once_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let how = format!("once {}", folder.path().join("mark").display());
    assert_eq!(second(&how, "retries = 1").unwrap().log_like, expected(POINTS[1]));
    std::fs::remove_file(folder.path().join("mark")).unwrap();
    let Err(EvalError::Failed(why)) = second(&how, "retries = 0") else { panic!() };
    assert!(why.contains("exit status: 3") && !why.contains("times"), "{why}");
}

#[test]
fn a_program_may_reject_a_point_fail_at_it_or_give_up() {
    assert_eq!(second("reject", "batch = 9"), Err(EvalError::Reject("unphysical".into())));
    assert_eq!(second("failed", "batch = 9"), Err(EvalError::Failed("did not converge".into())));
    assert_eq!(second("fatal", ""), Err(EvalError::Fatal("the table is missing".into())));
    assert!(second("nan", "batch = 9").unwrap().log_like.is_nan());
}

#[test]
fn a_malformed_answer_is_fatal_and_says_what_came() {
    for (how, words) in [("garbage", "\"-12.5\\n12\""), ("too-many", "it was given 1 points and answered 2")] {
        let model = misbehaving(how, "");
        let mut density = model.bind(&names()).unwrap();
        let Err(EvalError::Fatal(why)) = density.log_like(&[0.8, 0.0]) else { panic!("{how}") };
        assert!(why.contains(words) && why.contains("command-protocol.md"), "{why}");
    }
    let model = misbehaving("well", "derived = [\"r\"]");
    let Err(EvalError::Fatal(why)) = model.bind(&names()).unwrap().log_like(&[0.1, 0.0]) else { panic!() };
    assert!(why.contains("1 values a point where 2 are expected"), "{why}");
}

#[test]
fn a_child_that_closes_its_pipe_and_lives_on_is_killed() {
    let Err(EvalError::Failed(why)) = second("closes", "retries = 0") else { panic!() };
    assert!(why.contains("closed its pipe"), "{why}");
    nothing_is_left_of("child.py closes");
}

#[test]
fn a_call_over_its_limit_ends_and_so_does_its_child() {
    let mut model = misbehaving("sleep", "");
    model.limit_calls(Duration::from_millis(300));
    let mut density = model.bind(&names()).unwrap();
    let start = Instant::now();
    let Err(EvalError::Failed(why)) = density.log_like(&[0.8, 0.0]) else { panic!() };
    assert!(start.elapsed() >= Duration::from_millis(300), "too early");
    assert!(why.contains("no answer in time") && why.contains("sleeping"), "{why}");
    assert!(alive("child.py sleep").is_empty(), "{:?}", alive("child.py sleep"));
    assert_eq!(density.log_like(&[0.5, 0.0]), Ok(-0.25));
}

#[test]
fn what_cannot_serve_is_told_when_it_is_bound() {
    for (how, words) in [
        ("exits-at-once", "exit status: 7; its last words:\n    no licence found"),
        ("version", "it speaks version 2 of the protocol"),
        ("names", "it takes the 2 parameters p, q, and the job gives it 2: x, y"),
        ("refuses", "not on a Sunday"),
        ("text", "begins with \"hello, w\""),
        ("mute", "before it said hello"),
    ] {
        let why = refusal(misbehaving(how, "").as_ref());
        assert!(why.contains(words), "{how}: {why}");
    }
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("plain"), "no program\n");
    let file = |path: &str| refusal(model(&format!("kind = \"command\"\ncommand = [\"{path}\"]"), folder.path()).as_ref());
    let why = file("./plain");
    assert!(why.contains("may not be executed") && why.contains("chmod +x"), "{why}");
    let why = file("no-such-program");
    assert!(why.contains("no program of that name is in PATH"), "{why}");
    executable(&folder.path().join("plain"));
    let why = file("./plain");
    assert!(why.contains("exit status: 127") && why.contains("no: not found"), "{why}"); // a text without #! goes to sh
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_dropped_worker_leaves_no_process() {
    let model = misbehaving("well dropped", "");
    let workers: Vec<_> = (0..3).map(|_| model.bind(&names()).unwrap()).collect();
    assert_eq!(alive("child.py well dropped").len(), 3);
    drop(workers);
    assert!(alive("child.py well dropped").is_empty());
}

/// The code block of docs/command-protocol.md in this language.
fn from_the_docs(language: &str) -> String {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/command-protocol.md")).unwrap();
    let (_, after) = docs.split_once(&format!("```{language}\n")).expect("the block is there");
    after.split_once("```").unwrap().0.to_string()
}

#[test]
fn the_examples_of_the_documentation_work() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("model.py"), &format!("#!/usr/bin/env python3\n{}", from_the_docs("python")));
    executable(&folder.path().join("model.py"));
    write(&folder.path().join("model.c"), &from_the_docs("c"));
    let built = Command::new("cc").args(["-o", "model", "model.c"]).current_dir(folder.path()).status().unwrap();
    assert!(built.success());
    for program in ["./model.py", "./model"] {
        let model = model(&format!("kind = \"command\"\ncommand = [{program:?}]\nbatch = 3"), folder.path());
        let results = evaluate(model.bind(&names()).unwrap().as_mut(), &POINTS);
        for (value, point) in values(&results).iter().zip(POINTS) {
            assert!((value - 0.5 * expected(point)).abs() < 1e-15, "{program}: {results:?}");
        }
    }
    write(&folder.path().join("shell.sh"), &from_the_docs("sh"));
    executable(&folder.path().join("shell.sh"));
    let shell = model("kind = \"command\"\nmode = \"once\"\ncommand = [\"./shell.sh\"]", folder.path());
    let value = shell.bind(&names()).unwrap().log_like(&[3.0, 4.0]);
    assert_eq!(value, Ok(-12.5));
}

// ---- once

const SHELL: &str = r#"#!/bin/sh
echo "case $2"
awk '{ v[$1] = $2 } END { if (v["x"] > 0.7 && "'$1'" == "fail") exit 4; if (v["x"] > 0.7 && "'$1'" == "silent") exit 0;
       if (v["x"] > 0.7 && "'$1'" == "odd") print "one two" > "result.txt";
       else printf "%.17g %.17g\n", -(v["x"] * v["x"] + v["y"] * v["y"]), v["x"] + v["y"] > "result.txt" }' parameters.txt
code=$?
if [ "$1" = sleep ]; then sleep 54321; fi
if [ "$1" = crash ]; then kill -SEGV $$; fi
if [ "$1" = nan ]; then echo nan 0 > result.txt; fi
exit $code
"#;

fn once(how: &str, more: &str, folder: &Path) -> Box<dyn Model> {
    let script = folder.join("run.sh");
    write(&script, SHELL);
    executable(&script);
    let toml = format!("kind = \"command\"\nmode = \"once\"\ncommand = [\"./run.sh\", \"{how}\", \"{{x}}\"]\nderived = [\"sum\"]\n{more}");
    model(&toml, folder)
}

#[test]
fn a_shell_script_with_awk_is_a_likelihood() {
    let folder = tempfile::tempdir().unwrap();
    let model = once("well", "", folder.path());
    let mut density = model.bind(&names()).unwrap();
    let results = evaluate(density.as_mut(), &POINTS);
    assert_eq!(values(&results), POINTS.map(expected));
    assert_eq!(results[2].as_ref().unwrap().derived, [0.6]);
}

#[test]
fn a_run_that_fails_leaves_its_folder_and_tells_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (how, words) in [
        ("fail", "exit status: 4; its last words:\n    case 0.8"),
        ("silent", "left no readable file result.txt"),
        ("odd", "wrote \"one\" into result.txt"),
    ] {
        let model = once(how, "", folder.path());
        let mut density = model.bind(&names()).unwrap();
        let results = evaluate(density.as_mut(), &POINTS);
        let Err(EvalError::Failed(why)) = &results[1] else { panic!("{how}: {results:?}") };
        assert!(why.contains(words), "{how}: {why}");
        let place = Path::new(why.split("is kept: ").nth(1).unwrap().trim_end_matches(')'));
        assert_eq!(std::fs::read_to_string(place.join("parameters.txt")).unwrap(), "x 0.8\ny 0.1\n");
        drop(density);
        assert!(place.exists());
        std::fs::remove_dir_all(place.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_run_that_crashes_fails_and_nan_is_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let at = |how: &str| once(how, "", folder.path()).bind(&names()).unwrap().log_like(&[0.1, 0.2]);
    assert!(matches!(at("crash"), Err(EvalError::Failed(why)) if why.contains("SIGSEGV")));
    assert!(at("nan").is_ok_and(f64::is_nan));
}

#[test]
fn a_run_over_the_limit_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = once("sleep", "", folder.path());
    model.limit_calls(Duration::from_millis(500));
    let Err(EvalError::Failed(why)) = model.bind(&names()).unwrap().log_like(&[0.1, 0.2]) else { panic!() };
    assert!(why.contains("did not end in time"), "{why}");
    nothing_is_left_of("sleep 54321");
    std::fs::remove_dir_all(Path::new(why.split("is kept: ").nth(1).unwrap().trim_end_matches(')')).parent().unwrap()).unwrap();
}

#[test]
fn a_template_is_filled_in_and_a_name_that_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("in.tpl"), "{{\"x\": {x}}\nvalue={y}\n");
    let toml = |arg: &str| {
        let command = "[\"sh\", \"-c\", \"cp parameters.txt \\\"$1\\\"; echo 1.5D-1 > result.txt\", \"sh\", ";
        format!("kind = \"command\"\nmode = \"once\"\ntemplate = \"in.tpl\"\ncommand = {command}{arg:?}]")
    };
    let copy = folder.path().join("copy");
    let model = model(&toml(copy.to_str().unwrap()), folder.path());
    assert_eq!(model.bind(&names()).unwrap().log_like(&[1e-7, 3.0]), Ok(0.15));
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "{\"x\": 1e-7}\nvalue=3.0\n");
    let why = refusal(self::model(&toml("{w}"), folder.path()).as_ref());
    assert!(why.contains("[model] command: {w} is no parameter (there are x, y)"), "{why}");
}
