//! What a plugin costs beyond its own function: nanoseconds a point through `Density::evaluate`, minus the same function
//! called through a bare pointer in a loop. d = 10; needs a C compiler.
//!
//!     cargo run --release --example plugin
//!
//! Prints a line a signature and batch: the bare call, the call through fitjob, and their difference (medians of 15 rounds).

use fitjob::model::{Evaluated, FileKind, FileRef, Files, Model, ModelSpec, build};
use fitjob::task::EvalError;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const D: usize = 10;
const ROUNDS: usize = 15;
/// Points in a round.
const POINTS: usize = 100_000;

/// A quadratic form, alone and as each signature wants it.
const SOURCE: &str = r#"
#include "fitjob.h"
#include <stddef.h>
double f(const double *t, int n) { double s = 0; for (int i = 0; i < n; i++) s += t[i] * t[i]; return -0.5 * s; }
double loglikelihood(double t[], int n, double phi[], int k) { return f(t, n); }
void LogLike(double *c, int *n, int *m, double *l, void *x) { *l = f(c, *n); }
void my_c_likelihood_vectorized(double *p, size_t d, size_t n, double *l) { for (size_t i = 0; i < n; i++) l[i] = f(p + i * d, (int)d); }
int fitjob_thread_safe;
int fitjob_abi_version(void) { return FITJOB_ABI_VERSION; }
int fitjob_open(const char *c, const char *const *p, int d, int k, int i, void **s, char *m) { return 0; }
int fitjob_evaluate(void *s, const double *t, int n, double *l, double *e, int *status, char *m)
{
    for (int i = 0; i < n; i++) l[i] = f(t + 10 * i, 10);
    return 0;
}
"#;

fn main() {
    let folder = std::env::temp_dir().join(format!("fitjob-bench-plugin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let library = compile(&folder);
    let names: Vec<String> = (0..D).map(|i| format!("p{i}")).collect();
    let thetas: Vec<f64> = (0..POINTS * D).map(|i| (i % 97) as f64 / 97.0).collect();
    println!("{:10} {:>6} {:>9} {:>9} {:>9}  (ns a point, d = {D})", "abi", "batch", "bare", "fitjob", "overhead");
    for keys in ["fitjob", "plain", "polychord", "multinest", "ultranest"] {
        let model = model(&library, keys);
        for batch in [1, 100, 1000] {
            let (bare, through) = measure(&library, &*model, &names, &thetas, batch);
            println!("{keys:10} {batch:6} {bare:9.1} {through:9.1} {:9.1}", through - bare);
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

fn compile(folder: &Path) -> String {
    let (source, library) = (folder.join("f.c"), folder.join("f.so"));
    std::fs::write(&source, SOURCE).expect("the source can be written");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let status = Command::new("cc").args(["-O2", "-fPIC", "-shared", "-I"]).arg(include).arg("-o").args([&library, &source]).status();
    assert!(status.is_ok_and(|status| status.success()), "cc failed");
    library.display().to_string()
}

fn model(library: &str, abi: &str) -> Box<dyn Model> {
    let symbol = if abi == "plain" { "symbol = \"f\"" } else { "" };
    let spec: ModelSpec =
        toml::from_str(&format!("kind = \"plugin\"\nlibrary = \"{library}\"\nabi = \"{abi}\"\n{symbol}")).expect("a spec");
    let file = FileRef { key: "library", path: library.into(), kind: FileKind::Program };
    let files = Files::from([(library.into(), file.load(Path::new(library)).expect("the library"))]);
    build(&spec, None, 1, &files).unwrap_or_else(|e| panic!("{e}"))
}

/// Nanoseconds a point of the bare function and of `Density::evaluate`, taken in turn.
fn measure(library: &str, model: &dyn Model, names: &[String], thetas: &[f64], batch: usize) -> (f64, f64) {
    // SAFETY: the library above has this function.
    let library = unsafe { libloading::Library::new(library) }.expect("the library");
    let f = unsafe { library.get::<extern "C" fn(*const f64, i32) -> f64>(b"f") }.expect("the function");
    let mut density = model.bind(names).unwrap_or_else(|e| panic!("{e}"));
    let mut out: Vec<Result<Evaluated, EvalError>> = Vec::new();
    let (mut bare, mut through) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(timed(|| {
            for theta in thetas.chunks_exact(D) {
                black_box(f(theta.as_ptr(), D as i32));
            }
        }));
        through.push(timed(|| {
            for points in thetas.chunks(batch * D) {
                out.clear();
                density.evaluate(points, D, &mut out);
                black_box(&out);
            }
        }));
    }
    (median(bare), median(through))
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / POINTS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
