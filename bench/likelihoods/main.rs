//! What each kind of likelihood costs beyond its own function: microseconds a point through `Density::evaluate` on one thread, d = 10,
//! f(x) = -x.x/2. `bench/likelihoods/run.sh` puts Python's pools beside it.
//!
//! Prints a line of JSON a kind and batch: the bare function called in a loop where it lives, the same through fitjob, and the
//! difference; each the least of 300 short rounds, taken in turn, so that a busy machine can be measured on; medians beside them.

use fitjob::model::{Density, Evaluated, Files, Model, ModelSpec, build, register};
use fitjob::{EvalError, Likelihood};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const D: usize = 10;
const ROUNDS: usize = 300;

const C: &str = r#"
#include "fitjob.h"
double f(const double *t, int n) { double s = 0; for (int i = 0; i < n; i++) s += t[i] * t[i]; return -0.5 * s; }
int fitjob_abi_version(void) { return FITJOB_ABI_VERSION; }
int fitjob_open(const char *c, const char *const *p, int d, int k, int i, void **s, char *m) { return 0; }
int fitjob_evaluate(void *s, const double *t, int n, double *l, double *e, int *status, char *m)
{
    for (int i = 0; i < n; i++) l[i] = f(t + 10 * i, 10);
    return 0;
}
"#;

#[derive(Serialize, Deserialize)]
struct Quadratic;

#[inline(never)]
fn quadratic(theta: &[f64]) -> f64 {
    -0.5 * theta.iter().map(|x| x * x).sum::<f64>()
}

impl Likelihood for Quadratic {
    fn log_like(&self, theta: &[f64]) -> Result<f64, EvalError> {
        Ok(quadratic(theta))
    }
}

fn main() {
    let folder = std::env::temp_dir().join(format!("fitjob-bench-likelihoods-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let library = compile(&folder);
    register::<Quadratic>();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/command/functions.py");
    let python =
        |function: &str, batch: usize| format!("kind = \"python\"\nscript = {script:?}\nfunction = \"{function}\"\nbatch = {batch}");
    // SAFETY: the library above has this function, and lives to the end.
    let c = unsafe { libloading::Library::new(&library) }.expect("the library");
    let f = unsafe { c.get::<extern "C" fn(*const f64, i32) -> f64>(b"f") }.expect("the function");
    let bare_c = |thetas: &[f64], _: usize| thetas.chunks_exact(D).for_each(|t| _ = black_box(f(t.as_ptr(), D as i32)));
    let bare_rust = |thetas: &[f64], _: usize| thetas.chunks_exact(D).for_each(|t| _ = black_box(quadratic(black_box(t))));
    for batch in [1, 100, 1000] {
        row("plugin", &model(&format!("kind = \"plugin\"\nlibrary = {library:?}")), batch, Bare::Here(&bare_c));
        row("rust", &model("kind = \"rust\""), batch, Bare::Here(&bare_rust));
        row("python, vectorised", &model(&python("many", 100_000)), batch, Bare::Python(&script, "many"));
        row("python, plain", &model(&python("plain", 1)), batch, Bare::Python(&script, "plain"));
    }
    let _ = std::fs::remove_dir_all(folder);
}

fn compile(folder: &Path) -> String {
    let (source, library) = (folder.join("f.c"), folder.join("f.so"));
    std::fs::write(&source, C).expect("the source can be written");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let status = Command::new("cc").args(["-O2", "-fPIC", "-shared", "-I"]).arg(include).arg("-o").args([&library, &source]).status();
    assert!(status.is_ok_and(|status| status.success()), "cc failed");
    library.display().to_string()
}

fn model(toml: &str) -> Box<dyn Model> {
    let spec: ModelSpec = toml::from_str(toml).expect("a model");
    let load = |file: fitjob::model::FileRef| (file.path.clone(), file.load(Path::new(&file.path)).expect("a file"));
    let files: Files = spec.files().into_iter().map(load).collect();
    build(&spec, None, 1, &files).unwrap_or_else(|e| panic!("{e}"))
}

/// The function without fitjob.
enum Bare<'a> {
    Here(&'a dyn Fn(&[f64], usize)),
    /// In an interpreter of its own.
    Python(&'a Path, &'a str),
}

fn row(kind: &str, model: &Box<dyn Model>, batch: usize, bare: Bare) {
    let names: Vec<String> = (0..D).map(|i| format!("x{i}")).collect();
    let mut density = model.bind(&names).unwrap_or_else(|e| panic!("{e}"));
    let thetas: Vec<f64> = (0..batch * D).map(|i| (i as f64 * 0.618).fract()).collect();
    // Rounds of about the same length, whatever a point costs.
    let calls = (if kind.starts_with("python") { 500 } else { 20_000 } / batch).max(1);
    let (mut alone, mut through, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        if let Bare::Here(work) = &bare {
            alone.push(timed(batch, calls, || work(black_box(&thetas), batch)));
        }
        through.push(timed(batch, calls, || once(&mut *density, &thetas, &mut out)));
    }
    if let Bare::Python(script, function) = bare {
        alone = in_python(script, function, batch);
    }
    let ((bare, bare_median), (through, median)) = (sorted(alone), sorted(through));
    println!(
        "{{\"kind\":\"{kind}\",\"batch\":{batch},\"us_bare\":{bare:.4},\"us_through\":{through:.4},\"us_overhead\":{:.4},\
         \"us_bare_median\":{bare_median:.4},\"us_through_median\":{median:.4}}}",
        through - bare
    );
}

fn once(density: &mut dyn Density, thetas: &[f64], out: &mut Vec<Result<Evaluated, EvalError>>) {
    out.clear();
    density.evaluate(thetas, D, out);
    black_box(&out);
}

/// Microseconds a point.
fn timed(batch: usize, calls: usize, mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| work());
    start.elapsed().as_secs_f64() * 1e6 / (batch * calls) as f64
}

/// The same of the bare function in a loop of Python: over the points, or over calls with all of them.
fn in_python(script: &Path, function: &str, batch: usize) -> Vec<f64> {
    let code = format!(
        "import sys, time; sys.path.insert(0, {:?})\nimport numpy as np, functions\n\
         f = functions.{function}; x = np.random.default_rng(1).random(({batch}, {D})); n = max(1, 500 // {batch})\n\
         calls = [x] * n if '{function}' == 'many' else list(x) * n\n\
         def once():\n    t = time.perf_counter()\n    for c in calls: f(c)\n    return (time.perf_counter() - t) * 1e6 / (n * {batch})\n\
         print(*(once() for _ in range({ROUNDS})))",
        script.parent().expect("a folder")
    );
    let output = Command::new("python3").args(["-c", &code]).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

/// The least and the median.
fn sorted(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2])
}
