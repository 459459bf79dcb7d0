//! Python functions as likelihoods: values, rejections, failures, and the lynx and the hare.

use crate::common::{text, write};
use fitjob::model::{Evaluated, Files, Model, ModelError, ModelSpec, build};
use fitjob::task::EvalError;
use std::path::Path;
use std::process::Command;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python");

fn model_in(folder: &Path, toml: &str) -> Result<Box<dyn Model>, ModelError> {
    let spec: ModelSpec = toml::from_str(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    let load = |file: fitjob::model::FileRef| (file.path.clone(), file.load(&folder.join(&file.path)).unwrap());
    let files: Files = spec.files().into_iter().map(load).collect();
    build(&spec, None, 1, &files)
}

/// A script and the model that calls it.
fn script(code: &str, more: &str) -> Box<dyn Model> {
    let folder = tempfile::tempdir().unwrap().keep(); // the model opens it when it is bound
    write(&folder.join("fit.py"), code);
    model_in(&folder, &format!("kind = \"python\"\nscript = \"fit.py\"\n{more}")).unwrap_or_else(|e| panic!("{e}"))
}

fn names() -> Vec<String> {
    vec!["x".into(), "y".into()]
}

fn evaluate(model: &dyn Model) -> Vec<Result<Evaluated, EvalError>> {
    let mut out = Vec::new();
    model.bind(&names()).unwrap().evaluate(&[0.1, 0.2, 0.8, 0.1, 0.3, 0.3], 2, &mut out);
    out
}

fn refusal(model: &dyn Model) -> String {
    match model.bind(&names()) {
        Err(EvalError::Fatal(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was bound"),
    }
}

fn logs(results: &[Result<Evaluated, EvalError>]) -> Vec<f64> {
    results.iter().map(|r| r.as_ref().unwrap_or_else(|e| panic!("{e:?}")).log_like).collect()
}

const PLAIN: &str = "import os\ndef log_likelihood(theta):\n    x, y = theta\n    print('at', x)\n    BAD\n    return -(x * x + y * y)\n";

const MANY: &str =
    "import os\nimport numpy as np\ndef log_likelihood(thetas):\n    x, y = thetas.T\n    BAD\n    return -(x * x + y * y)\n";

fn plain(bad: &str) -> String {
    PLAIN.replace("BAD", &format!("if x > 0.7: {bad}"))
}

fn many(bad: &str) -> String {
    MANY.replace("BAD", &format!("if np.any(x > 0.7): {bad}"))
}

#[test]
fn a_function_of_one_point_and_one_of_an_array_give_the_same() {
    let expected = [-(0.1 * 0.1 + 0.2 * 0.2), -(0.8 * 0.8 + 0.1 * 0.1), -(0.3 * 0.3 + 0.3 * 0.3)];
    assert_eq!(logs(&evaluate(script(&plain("pass"), "").as_ref())), expected);
    assert_eq!(logs(&evaluate(script(&many("pass"), "batch = 2").as_ref())), expected);
    assert_eq!(logs(&evaluate(script(&many("pass"), "batch = 100").as_ref())), expected);
}

#[test]
fn derived_quantities_and_gradients_come_back() {
    let code = "def f(t):\n    return -t[0], (t[0] + t[1], 7)\ndef f_gradient(t):\n    return -t[0], [-1, 0.5]\n";
    let model = script(code, "function = \"f\"\nderived = [\"sum\", \"seven\"]\ngradient = true");
    let derived: Vec<Vec<f64>> = evaluate(model.as_ref()).into_iter().map(|r| r.unwrap().derived).collect();
    assert_eq!(derived, [[0.1 + 0.2, 7.0], [0.8 + 0.1, 7.0], [0.6, 7.0]]);
    let mut gradient = [0.0; 2];
    assert_eq!(model.bind(&names()).unwrap().log_like_gradient(&[0.5, 0.1], &mut gradient), Some(Ok(-0.5)));
    assert_eq!(gradient, [-1.0, 0.5]);
    let code = "import numpy as np\ndef f(t):\n    return -t[:, 0], np.stack([t.sum(1), t[:, 1]], 1)\n";
    let model = script(code, "function = \"f\"\nderived = [\"sum\", \"y\"]\nbatch = 10");
    assert_eq!(evaluate(model.as_ref())[1].as_ref().unwrap().derived, [0.8 + 0.1, 0.1]);
}

#[test]
fn an_exception_fails_its_point_with_the_traceback_and_the_others_have_values() {
    for model in [script(&plain("raise ValueError('no root')"), ""), script(&many("raise ValueError('no root')"), "batch = 9")] {
        let results = evaluate(model.as_ref());
        let Err(EvalError::Failed(why)) = &results[1] else { panic!("{results:?}") };
        assert!(why.contains("ValueError: no root") && why.contains("fit.py\", line") && !why.contains("value_of"), "{why}");
        assert!(results[0].is_ok() && results[2].is_ok());
    }
}

#[test]
fn a_script_may_reject_a_point_or_leave() {
    let reject = "from fitjob_worker import Reject\n";
    for model in [
        script(&(reject.to_string() + &plain("raise Reject('negative mass')")), ""),
        script(&(reject.to_string() + &many("raise Reject('negative mass')")), "batch = 9"),
    ] {
        assert_eq!(evaluate(model.as_ref())[1], Err(EvalError::Reject("negative mass".into())));
    }
    let results = evaluate(script(&plain("raise SystemExit('enough')"), "").as_ref());
    assert!(matches!(&results[1], Err(EvalError::Failed(why)) if why.contains("SystemExit: enough")), "{results:?}");
    let results = evaluate(script(&plain("os._exit(9)"), "").as_ref());
    assert!(matches!(&results[1], Err(EvalError::Failed(why)) if why.contains("exit status: 9") && why.contains("at 0.8")), "{results:?}");
    let results = evaluate(script(&plain("return float('nan')"), "").as_ref());
    assert!(results[1].as_ref().unwrap().log_like.is_nan());
    assert!(results[2].is_ok());
}

#[test]
fn a_crash_within_a_library_is_a_failure_of_its_point() {
    let results = evaluate(script(&plain("import ctypes; ctypes.string_at(0)"), "retries = 0").as_ref());
    assert!(matches!(&results[1], Err(EvalError::Failed(why)) if why.contains("SIGSEGV")), "{results:?}");
    assert!(results[0].is_ok() && results[2].is_ok());
}

#[test]
fn an_answer_of_the_wrong_shape_is_fatal_and_says_what_is_expected() {
    for (code, more, words) in [
        ("def log_likelihood(t): return None", "", "returned None; a number is expected"),
        ("def log_likelihood(t): return 1.0", "batch = 5", "(3,) is expected"),
        ("def log_likelihood(t): return t.sum(1)[:2]", "batch = 5", "returned one of shape (2,)"),
        ("def log_likelihood(t): return 1.0", "derived = [\"r\"]", "must return (log L, derived)"),
        ("def log_likelihood(t): return 1.0, [1, 2]", "derived = [\"r\"]", "returned 2 derived quantities"),
    ] {
        let results = evaluate(script(code, more).as_ref());
        assert!(matches!(&results[0], Err(EvalError::Fatal(why)) if why.contains(words)), "{code}: {results:?}");
    }
}

#[test]
fn what_is_wrong_with_a_script_is_told_when_it_is_bound() {
    for (code, more, words) in [
        ("def log_likelihood(t)\n  return 1", "", "SyntaxError"),
        ("import no_such_module", "", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def loglike(t): return 1.0", "", "it has no function log_likelihood (it has: loglike)"),
        ("import sys\nsys.exit('no licence')", "", "SystemExit: no licence"),
        ("import os\nos._exit(4)", "", "exit status: 4"),
        ("", "interpreter = \"python-that-is-not\"", "no program of that name is in PATH"),
    ] {
        let why = refusal(script(code, more).as_ref());
        assert!(why.contains(words) && why.contains("fit.py"), "{code}: {why}");
    }
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("python");
    write(&python, "#!/bin/sh\nexec python3 -S -I \"$@\"\n");
    Command::new("chmod").arg("+x").arg(&python).status().unwrap();
    let why = refusal(script("def log_likelihood(t): return 1.0", &format!("interpreter = {python:?}")).as_ref());
    assert!(why.contains("cannot import numpy"), "{why}");
    write(&folder.path().join("fit.py"), "");
    let Err(error) = model_in(folder.path(), "kind = \"python\"\nscript = \"fit.py\"\ninterpreter = \"venv/bin/python\"") else { panic!() };
    assert!(error.message.contains("neither a name nor an absolute path"), "{error}");
}

#[test]
fn the_worker_is_a_file_that_any_command_can_run() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("fit.py"), &plain("pass"));
    let worker = concat!(env!("CARGO_MANIFEST_DIR"), "/python/fitjob_worker.py");
    let toml = format!("kind = \"command\"\ncommand = [\"python3\", {worker:?}, {:?}]", folder.path().join("fit.py"));
    assert_eq!(logs(&evaluate(model_in(folder.path(), &toml).unwrap().as_ref()))[0], -(0.1 * 0.1 + 0.2 * 0.2));
    let alone = Command::new("python3").args([worker, "fit.py"]).output().unwrap();
    assert!(text(&alone.stderr).contains("is started by fitjob"), "{}", text(&alone.stderr));
}

// ---- lynx and hare

/// Points about the posterior mean, some of them two standard deviations away.
fn points() -> Vec<f64> {
    let mean = [0.546864, 0.027747, 0.800095, 0.024086, 34.035222, 5.935897, 0.248057, 0.251017];
    let shifts = [0.0, 0.1, -0.1, 0.05, -0.15, 0.2];
    let shifted =
        |(i, shift): (usize, f64)| mean.iter().enumerate().map(move |(j, m)| m * (1.0 + shift * f64::from((i + j) as u32 % 3) / 2.0));
    shifts.into_iter().enumerate().flat_map(shifted).collect()
}

#[cfg(feature = "ode")]
#[test]
fn lynx_and_hare_in_python_give_the_log_likelihood_of_the_ode_model() {
    let job: toml::Table =
        toml::from_str(&std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/job/examples/lynx_hare.toml")).unwrap()).unwrap();
    let names: Vec<String> = job["parameters"].as_table().unwrap().keys().cloned().collect();
    let mut ode = job["model"].as_table().unwrap().clone();
    ode.insert("rtol".into(), 1e-12.into());
    ode.insert("atol".into(), 1e-12.into());
    ode.insert("method".into(), "tsit45".into());
    let folder = Path::new(EXAMPLES);
    let logs = |toml: &str| {
        let (model, mut out) = (model_in(folder, toml).unwrap(), Vec::new());
        model.bind(&names).unwrap().evaluate(&points(), 8, &mut out);
        self::logs(&out)
    };
    let reference = logs(&toml::to_string(&ode).unwrap());
    for model in ["script = \"lynx_hare.py\"", "script = \"lynx_hare_vectorised.py\"\nbatch = 4"] {
        let found = logs(&format!("kind = \"python\"\n{model}"));
        for (a, b) in found.iter().zip(&reference) {
            assert!(((a - b) / b).abs() < 1e-9, "{model}: {found:?} against {reference:?}");
        }
    }
}
