//! Compiling plugins for tests, and the sources of some.

use fitjob::model::{Evaluated, FileKind, FileRef, Files, Loaded, Model, ModelError, ModelSpec, build};
use fitjob::task::EvalError;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Compiler, and the ending of its sources.
pub type Language = (&'static str, &'static str);
pub const C: Language = ("cc", "c");
pub const CPP: Language = ("c++", "cpp");
pub const FORTRAN: Language = ("gfortran", "f90");

pub const LYNX_HARE: [&str; 8] = ["alpha", "beta", "gamma", "delta", "hare0", "lynx0", "sigma_hare", "sigma_lynx"];

/// Of lynx and hare: near the posterior, in its tails, and where the populations explode.
pub const POINTS: [[f64; 8]; 4] = [
    [0.547, 0.0277, 0.8, 0.0241, 34.0, 5.94, 0.248, 0.251],
    [0.7, 0.02, 0.6, 0.03, 20.0, 9.0, 0.4, 0.3],
    [1.0, 0.05, 1.0, 0.05, 10.0, 10.0, 0.37, 0.37],
    [1.6, 0.12, 0.5, 0.11, 5.0, 30.0, 0.2, 1.1],
];

pub fn has_gfortran() -> bool {
    let has = Command::new("gfortran").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("gfortran is not installed: what needs it is skipped");
    }
    has
}

/// A shared library of `source`; it is gone with the folder.
pub fn compile((compiler, ending): Language, source: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let (input, library) = (folder.path().join(format!("source.{ending}")), folder.path().join("lib.so"));
    std::fs::write(&input, source).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let mut command = Command::new(compiler);
    // Without optimisation, so that what is to crash does.
    command.args(["-O0", "-fPIC", "-shared", "-o"]).args([&library, &input]).arg("-I").arg(include);
    let output = command.output().unwrap_or_else(|e| panic!("{compiler}: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, library.display().to_string())
}

/// A file of examples/plugins, in a copy of that folder where `make` was run.
pub fn examples(name: &str) -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plugins");
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(&from).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "so") {
                std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
            }
        }
        let header = format!("HEADER={}", Path::new(env!("CARGO_MANIFEST_DIR")).join("include").display());
        let output = Command::new("make").args(["--always-make", "--keep-going", &header]).current_dir(&to).output().expect("make");
        assert!(output.status.success() || !has_gfortran(), "{}", String::from_utf8_lossy(&output.stderr));
        to
    });
    folder.join(name).display().to_string()
}

/// A plugin model of `library` with these `keys` of [model].
pub fn try_model(library: &str, keys: &str) -> Result<Box<dyn Model>, ModelError> {
    let spec: ModelSpec = toml::from_str(&format!("kind = \"plugin\"\nlibrary = \"{library}\"\n{keys}")).unwrap();
    let file = FileRef { key: "library", path: library.into(), kind: FileKind::Program };
    let missing = Loaded::Program { path: library.into(), hash: String::new() };
    let files = Files::from([(library.into(), file.load(Path::new(library)).unwrap_or(missing))]);
    build(&spec, None, 1, &files)
}

pub fn model(library: &str, keys: &str) -> Box<dyn Model> {
    try_model(library, keys).unwrap_or_else(|e| panic!("{e}: {:?}", e.help))
}

pub fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| n.to_string()).collect()
}

/// The results of one call for the points of `thetas` (n x d); lynx-hare's names, or p0, p1, ...
pub fn evaluate(model: &dyn Model, d: usize, thetas: &[f64]) -> Vec<Result<Evaluated, EvalError>> {
    let names = if d == 8 { names(&LYNX_HARE) } else { (0..d).map(|i| format!("p{i}")).collect() };
    let mut out = Vec::new();
    model.bind(&names).unwrap_or_else(|e| panic!("{e}")).evaluate(thetas, d, &mut out);
    out
}

/// Whether `a` is `b` to a relative tolerance.
pub fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * b.abs().max(1e-300)
}

/// The built-in job's model, solved to `rtol`.
#[cfg(feature = "ode")]
pub fn lynx_hare_ode(rtol: f64) -> Box<dyn Model> {
    let job: toml::Table = include_str!("../../src/job/examples/lynx_hare.toml").parse().unwrap();
    let mut model = job["model"].as_table().unwrap().clone();
    model.insert("rtol".into(), rtol.into());
    model.insert("atol".into(), (rtol * 0.1).into());
    model.insert("method".into(), "tsit45".into());
    let spec: ModelSpec = model.try_into().unwrap();
    build(&spec, None, 1, &Files::new()).unwrap()
}

/// What comes of a point is in its only parameter.
pub const MOODY: &str = r#"
#include "fitjob.h"
#include <math.h>
#include <string.h>
int fitjob_abi_version(void) { return FITJOB_ABI_VERSION; }
int fitjob_open(const char *c, const char *const *names, int d, int k, int i, void **state, char *message) { return 0; }
int fitjob_evaluate(void *state, const double *t, int n, double *log_like, double *derived, int *status, char *messages)
{
    for (int i = 0; i < n; i++) {
        int what = (int)t[i];
        if (what == 9) { strcpy(messages, "the disk is gone"); return 1; }
        if (what >= 1 && what <= 3) status[i] = what;
        if (what == 1) strcpy(messages + i * FITJOB_MESSAGE_SIZE, "no such star");
        if (what == 0) log_like[i] = 0.5;
        if (what == 5) log_like[i] = NAN;
    }
    return 0;
}
"#;

/// log L is the number of threads that were in the function at once.
pub const UNSAFE: &str = r#"
#include <unistd.h>
int fitjob_not_thread_safe;
static int inside;
double f(const double *t, int n)
{
    int now = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    usleep(100);
    __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    return now;
}
"#;

/// Appends what happens to the file that the config names; log L is the number of the instance.
pub const COUNTING: &str = r#"
#include "fitjob.h"
#include <stdio.h>
#include <stdlib.h>
static char path[1000];
struct it { int number; };
int fitjob_abi_version(void) { return FITJOB_ABI_VERSION; }
int fitjob_open(const char *config, const char *const *names, int d, int k, int number, void **state, char *message)
{
    struct it *it = malloc(sizeof *it);
    FILE *log;
    snprintf(path, sizeof path, "%s", config);
    log = fopen(path, "a");
    fprintf(log, "open %d of %d\n", number, d);
    fclose(log);
    it->number = number;
    *state = it;
    return 0;
}
int fitjob_evaluate(void *state, const double *t, int n, double *log_like, double *derived, int *status, char *messages)
{
    for (int i = 0; i < n; i++) log_like[i] = ((struct it *)state)->number;
    return 0;
}
void fitjob_close(void *state)
{
    FILE *log = fopen(path, "a");
    fprintf(log, "close %d\n", ((struct it *)state)->number);
    fclose(log);
    free(state);
}
"#;

pub fn job_of(library: &str, keys: &str) -> String {
    format!(
        "[model]\nkind = \"plugin\"\nlibrary = \"{library}\"\n{keys}\n[sampler]\nmethod = \"nautilus\"\nn_live = 200\nn_eff = 200\n\
         [parameters]\na = {{ prior = \"uniform\", min = 0, max = 1 }}\nb = {{ prior = \"uniform\", min = 0, max = 1 }}\n"
    )
}
