//! What a job file may say about a model: one struct a kind, each deserialised on its own.

use super::{ModelError, command, rust};
use crate::data::{self, DataError, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A model as the job file describes it. The kind is read first, then the concrete struct, so that
/// errors keep their place in the text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ModelSpec {
    Ode(OdeSpec),
    Curve(CurveSpec),
    Problem(ProblemSpec),
    Plugin(PluginSpec),
    Command(CommandSpec),
    Python(PythonSpec),
    Rust(RustSpec),
}

/// `kind = "ode"`: ordinary differential equations in DiffSL, compared with columns of data over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OdeSpec {
    /// The equations, in DiffSL. Its inputs are matched with parameters by name; inputs without a
    /// parameter keep the default written in the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A file with the equations, instead of `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_file: Option<String>,
    /// A data file, or a table of columns.
    pub data: DataSpec,
    /// The column of times: strictly increasing.
    pub time: String,
    /// What of the solution is compared with which column.
    pub observe: Vec<Observe>,
    /// The time of the initial state; default: the first time in the data. Rows at this time are
    /// compared with the initial state itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t0: Option<f64>,
    /// "bdf" (variable order, stiff or not), "tsit45" (explicit, faster where nothing is stiff) or "auto"
    /// (tsit45, and bdf for points where that needs too many steps).
    #[serde(default)]
    pub method: Method,
    /// Relative tolerance of the solver, at each step; `"auto"`: the largest power of ten at which log L of a fit is off by less than 0.01 at the
    /// best of some prior draws, found once before the first call.
    #[serde(default)]
    pub rtol: Rtol,
    /// Absolute tolerance of the solver; with `rtol = "auto"` a hundredth of that unless it is given.
    #[serde(default = "default_atol")]
    pub atol: f64,
    /// A point that needs more steps than this is rejected.
    #[serde(default = "default_max_steps")]
    pub max_steps: usize,
    /// No step is longer than this, so that nothing longer than it can be stepped over; default: as long as the tolerances allow, but
    /// over no input that is there at a time of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_step: Option<f64>,
    /// Times at which the equations jump: the solver stops there and starts anew. Those of `heaviside` of time, inputs and numbers are
    /// found without being named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<f64>,
}

/// A relative tolerance: given, or to be found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number, or \"auto\", is expected")]
pub enum Rtol {
    Number(f64),
    Auto(Auto),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    Auto,
}

impl Rtol {
    /// What is taken until one is found.
    pub fn value(self) -> f64 {
        match self {
            Rtol::Number(value) => value,
            Rtol::Auto(_) => 1e-6,
        }
    }
}

impl Default for Rtol {
    fn default() -> Rtol {
        Rtol::Number(1e-6)
    }
}

fn default_atol() -> f64 {
    1e-8
}

fn default_max_steps() -> usize {
    100_000
}

/// How the equations are solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    #[default]
    Bdf,
    Tsit45,
    Auto,
}

/// One observed quantity of an `ode` model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// A label in `out_i` or in `u_i`, or `out[2]`-like: the element of `out_i`, counted from 0.
    pub output: String,
    /// The column of the data.
    pub column: String,
    /// How the data scatter about the solution.
    #[serde(default)]
    pub noise: Noise,
    /// Standard deviation (of the logarithm, for log-normal noise): a number, a column, a parameter, or
    /// an expression of columns and parameters.
    pub sigma: Sigma,
}

/// How data scatter about the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// data = model + sigma * standard normal
    #[default]
    Normal,
    /// ln(data) = ln(model) + sigma * standard normal; data must be positive
    LogNormal,
}

/// A scale of noise: a number, or the text of an expression (a column or a parameter is one).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sigma {
    Number(f64),
    Expression(String),
}

/// A table: the name of a file, or the columns themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DataSpec {
    /// CSV, whitespace text, or HDF5 (`file.h5:/group`), relative to the job file.
    File(String),
    Inline(BTreeMap<String, Vec<f64>>),
}

/// `kind = "curve"`: a formula over columns of data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurveSpec {
    /// A data file, or a table of columns.
    pub data: DataSpec,
    /// The column that the formula predicts.
    pub y: String,
    /// An expression; names that are columns of the data stand for them, all others are parameters.
    pub formula: String,
    /// How the data scatter about the formula.
    #[serde(default)]
    pub noise: Noise,
    /// Standard deviation (of the logarithm, for log-normal noise): a number, a column, a parameter, or an
    /// expression of columns and parameters. Either this or `covariance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma: Option<Sigma>,
    /// A file with the covariance matrix of the data (of their logarithms, for log-normal noise): rows
    /// of text, or `file.h5:/dataset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariance: Option<String>,
}

/// `kind = "problem"`: a test problem with a known answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProblemSpec {
    /// Its name, such as "gauss3tut" or "eggbox2".
    pub name: String,
}

/// `kind = "plugin"`: a function in a shared library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginSpec {
    /// The shared library, relative to the job file. Every rank loads it.
    pub library: String,
    /// How the function is called: "fitjob" (include/fitjob.h), "plain" (double f(const double *, int)), or the signature of
    /// "polychord", "multinest" or "ultranest".
    #[serde(default)]
    pub abi: Abi,
    /// Name of the function; by default that of the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Name of the library's function that maps the unit cube to the parameters (polychord, ultranest). The job's parameters are
    /// then uniform from 0 to 1, and `derived` names the mapped parameters first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// Parameters in the order in which the function takes them; by default all of the job, in the job's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<String>>,
    /// Names of quantities that the function computes beside log L, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<String>,
    /// A text that the library gets when it is opened.
    #[serde(default)]
    pub config: String,
}

/// How a function in a library is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    #[default]
    Fitjob,
    Plain,
    Polychord,
    Multinest,
    Ultranest,
}

/// `kind = "command"`: any program, as a child process of every worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// The program and its arguments. A program with a slash in its name is looked for relative to the job file.
    pub command: Vec<String>,
    /// "serve": one child a worker answers points over pipes (docs/command-protocol.md); "once": one process a point, files in, file out.
    #[serde(default)]
    pub mode: CommandMode,
    /// Parameters in the order in which the program takes them; by default all of the job, in the job's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<String>>,
    /// Names of quantities that the program computes beside log L, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<String>,
    /// Most points in one request (serve).
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// A file whose {name}s are replaced by values and that is written to `input` for every point (once); by default "name value" lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Name of the parameter file in the working folder (once).
    #[serde(default = "default_input")]
    pub input: String,
    /// Name of the result file in the working folder: log L, then the derived quantities, separated by blanks or lines (once).
    #[serde(default = "default_result")]
    pub result: String,
    /// The program (serve) gives d log L / d theta too, for methods that use it; without it they take finite differences.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradient: bool,
    /// Times that a point is tried again after the child died.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// More variables for the child's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

fn default_batch() -> usize {
    1
}

fn default_input() -> String {
    "parameters.txt".into()
}

fn default_result() -> String {
    "result.txt".into()
}

fn default_retries() -> u32 {
    1
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommandMode {
    #[default]
    Serve,
    Once,
}

/// `kind = "python"`: a function of a Python script, in one interpreter a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PythonSpec {
    /// The script, relative to the job file.
    pub script: String,
    /// Its function: log_likelihood(theta) of one point, or of an array (n, d) if `batch` is more than 1.
    #[serde(default = "default_function")]
    pub function: String,
    /// The interpreter.
    #[serde(default = "default_interpreter")]
    pub interpreter: String,
    /// Parameters in the order of theta; by default all of the job, in the job's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<String>>,
    /// Names of quantities that the function returns beside log L, as (log_like, derived).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<String>,
    /// Most points in one call; more than 1: the function is given an array (n, d) and returns n values.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// The script has a function of the same name with _gradient, which gives d log L / d theta too, for methods that use it; without it they take finite differences.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradient: bool,
    /// Times that a point is tried again after the interpreter died.
    #[serde(default = "default_retries")]
    pub retries: u32,
}

fn default_function() -> String {
    "log_likelihood".into()
}

fn default_interpreter() -> String {
    "python3".into()
}

/// `kind = "rust"`: the likelihood of a program that has fitjob as a library. The keys are those of its own settings, defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RustSpec {
    pub settings: toml::Table,
}

/// `[model.delay]`: makes any likelihood take longer, for studies of scaling. Values do not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelaySpec {
    /// Median delay of a call in milliseconds.
    pub ms: f64,
    /// Spread of the logarithm of the delay (log-normal); 0: every call takes the same time.
    #[serde(default)]
    pub sigma: f64,
    /// Keep the core busy instead of sleeping.
    #[serde(default)]
    pub busy: bool,
    /// For tests of `[run] call_limit_s`: the share of points whose call never returns.
    #[serde(default)]
    pub hang: f64,
    /// For tests: every call appends one byte to this file, relative to where fitjob is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
}

/// A file that a model needs: only the root reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// The key below `[model]` that names it.
    pub key: &'static str,
    /// As typed in the job file.
    pub path: String,
    pub kind: FileKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Table,
    Matrix,
    Text,
    /// Used where it lies: its place and a hash of its content travel.
    Program,
}

/// The content of a file, as it travels to the other ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Loaded {
    /// Also a matrix, as columns c1, c2, ...
    Table(Table),
    Text(String),
    /// Absolute path, and BLAKE3 of the content.
    Program {
        path: String,
        hash: String,
    },
}

/// Contents by the path as typed.
pub type Files = BTreeMap<String, Loaded>;

impl FileRef {
    /// Reads the file, which lies at `path` (as typed, resolved against the job file's folder).
    pub fn load(&self, path: &Path) -> Result<Loaded, DataError> {
        match self.kind {
            FileKind::Table => data::read_table(path).map(Loaded::Table),
            FileKind::Matrix => data::read_matrix(path).map(Loaded::Table),
            FileKind::Text => data::read_text(path).map(Loaded::Text),
            FileKind::Program => {
                let hash = blake3::hash(&data::read_bytes(path)?).to_hex().to_string();
                Ok(Loaded::Program { path: path.display().to_string(), hash })
            }
        }
    }
}

impl DataSpec {
    /// The table itself, out of `files` or the job file.
    pub fn table(&self, files: &Files) -> Result<Table, ModelError> {
        match self {
            DataSpec::File(path) => table_of("data", path, files),
            DataSpec::Inline(columns) => {
                let columns: Vec<_> = columns.iter().map(|(name, values)| (name.clone(), values.clone())).collect();
                Table::inline("[model.data]", columns).map_err(|e| ModelError::new(&["data"], e.to_string()))
            }
        }
    }

    /// The file, if it is one; the key of the table must be `data`.
    pub fn file(&self) -> Option<FileRef> {
        match self {
            DataSpec::File(path) => Some(FileRef { key: "data", path: path.clone(), kind: FileKind::Table }),
            DataSpec::Inline(_) => None,
        }
    }
}

/// The table that was read from `path`, which the key `key` names.
pub fn table_of(key: &str, path: &str, files: &Files) -> Result<Table, ModelError> {
    match files.get(path) {
        Some(Loaded::Table(table)) => Ok(table.clone()),
        _ => Err(ModelError::new(&[key], format!("no table was read from \"{path}\""))),
    }
}

/// The text that was read from `path`, which the key `key` names.
pub fn text_of(key: &str, path: &str, files: &Files) -> Result<String, ModelError> {
    match files.get(path) {
        Some(Loaded::Text(text)) => Ok(text.clone()),
        _ => Err(ModelError::new(&[key], format!("no text was read from \"{path}\""))),
    }
}

impl ModelSpec {
    /// What `kind` may be.
    pub const KINDS: &[&str] = &["ode", "curve", "problem", "plugin", "command", "python", "rust"];

    /// The files it needs, to be read by the root with [`FileRef::load`].
    pub fn files(&self) -> Vec<FileRef> {
        match self {
            ModelSpec::Ode(spec) => {
                let code = spec.code_file.clone().map(|path| FileRef { key: "code_file", path, kind: FileKind::Text });
                spec.data.file().into_iter().chain(code).collect()
            }
            ModelSpec::Curve(spec) => {
                let covariance = spec.covariance.clone().map(|path| FileRef { key: "covariance", path, kind: FileKind::Matrix });
                spec.data.file().into_iter().chain(covariance).collect()
            }
            ModelSpec::Problem(_) => Vec::new(),
            ModelSpec::Plugin(spec) => vec![FileRef { key: "library", path: spec.library.clone(), kind: FileKind::Program }],
            ModelSpec::Command(spec) => command::files(spec),
            ModelSpec::Python(spec) => vec![FileRef { key: "script", path: spec.script.clone(), kind: FileKind::Program }],
            ModelSpec::Rust(spec) => rust::files(spec),
        }
    }
}
