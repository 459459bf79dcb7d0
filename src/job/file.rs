//! What was typed: every section of the job file read on its own, with all mistakes at their places.

use super::error::Problem;
use super::read::{self, suggest, unknown};
use super::tree::{Content, Node, Place};
use crate::exec::{Dispatch, OnError};
use crate::expr::{Expr, ExprError};
use crate::model::{self, DelaySpec, ModelSpec, RustSpec};
use crate::prior::{self, PriorSpec};
use crate::sampler::{self, EngineSpec};
use crate::stop::TimeLimit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the job is run: nothing here changes the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunSpec {
    /// Threads that evaluate on this machine, or in each rank under MPI; by default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub ncores: Option<usize>,
    /// What happens when a log-likelihood is NaN or +inf, or a call fails: "abort" ends the job, naming
    /// the parameter values; "reject" counts the point as impossible, and reports it.
    pub on_error: OnError,
    /// How points are handed to ranks: "static" (equal shares), "dynamic" (as ranks come free) or "auto".
    pub dispatch: Dispatch,
    /// A likelihood call that takes more seconds than this has failed, and `on_error` says what follows; by default none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub call_limit_s: Option<f64>,
    /// Ranks that hear nothing of each other for this many seconds end the job: a host or its network is gone.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub silence_limit_s: f64,
    /// Stop with a checkpoint and exit code 75 when this much time has passed: seconds, or "90m", "1h 30m", "12:00:00",
    /// "2-00:00:00" (days). By default a Slurm job stops in time for its own limit, and others never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<TimeLimit>,
    /// Seconds between checkpoints; longer where writing one takes more than a hundredth of that.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub checkpoint_s: f64,
    /// Keep every finished likelihood call on disk at once, so that none is made twice after a kill.
    pub journal: bool,
}

impl Default for RunSpec {
    fn default() -> Self {
        RunSpec {
            ncores: None,
            on_error: OnError::default(),
            dispatch: Dispatch::default(),
            call_limit_s: None,
            silence_limit_s: 120.0,
            time_limit: None,
            checkpoint_s: 60.0,
            journal: true,
        }
    }
}

/// Where results go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutputSpec {
    /// The run directory, relative to the job file; by default the job's name with `.run`, in the current folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
}

/// A parameter as typed.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterSpec {
    Fixed(f64),
    /// The text after `=`, parsed.
    Tie(Expr),
    Free(PriorSpec),
}

/// A whole job file, read but not yet put together.
#[derive(Debug)]
pub struct Typed {
    pub tree: Node,
    pub seed: u64,
    pub model: Option<(ModelSpec, Option<DelaySpec>)>,
    /// None where there is no `[parameters]`.
    pub parameters: Option<Vec<(String, ParameterSpec)>>,
    pub derived: Vec<(String, Expr)>,
    pub engine: EngineSpec,
    pub run: RunSpec,
    pub output: OutputSpec,
}

const SECTIONS: &[&str] = &["seed", "model", "parameters", "derived", "sampler", "run", "output"];

/// Reads every section; what could not be read is left at its default, and told in `problems`.
pub fn read(tree: Node, problems: &mut Vec<Problem>) -> Typed {
    for (name, node) in tree.entries() {
        if !SECTIONS.contains(&name.as_str()) {
            problems.push(unknown("section or key", name, node, SECTIONS.iter().copied()));
        }
    }
    Typed {
        seed: read_seed(&tree, problems),
        model: read_model(&tree, problems),
        parameters: tree.at(&["parameters"]).map(|node| read_parameters(node, problems)),
        derived: tree.at(&["derived"]).map(|node| read_derived(node, problems)).unwrap_or_default(),
        engine: read_engine(&tree, problems).unwrap_or_default(),
        run: read_run(&tree, problems),
        output: read::section(&tree, &["output"], problems).unwrap_or_default(),
        tree,
    }
}

fn read_seed(tree: &Node, problems: &mut Vec<Problem>) -> u64 {
    let Some(node) = tree.at(&["seed"]) else { return 0 };
    match node.value().as_integer().map(u64::try_from) {
        Some(Ok(seed)) => seed,
        _ => {
            let message = "the seed must be a whole number from 0 up";
            problems.push(Problem::at(&node.place, message).label("not a seed"));
            0
        }
    }
}

fn read_run(tree: &Node, problems: &mut Vec<Problem>) -> RunSpec {
    let run: RunSpec = read::section(tree, &["run"], problems).unwrap_or_default();
    if let (Some(0), Some(node)) = (run.ncores, tree.at(&["run", "ncores"])) {
        problems.push(Problem::at(&node.place, "ncores must be at least 1"));
    }
    for (key, value) in
        [("call_limit_s", run.call_limit_s), ("silence_limit_s", Some(run.silence_limit_s)), ("checkpoint_s", Some(run.checkpoint_s))]
    {
        if let (Some(value), Some(node)) = (value, tree.at(&["run", key]))
            && !(value > 0.0 && value.is_finite())
        {
            problems.push(Problem::at(&node.place, format!("{key} must be a number of seconds above 0")));
        }
    }
    run
}

/// The kind is read first, then the concrete struct: a tagged enum would lose the places.
fn read_model(tree: &Node, problems: &mut Vec<Problem>) -> Option<(ModelSpec, Option<DelaySpec>)> {
    let Some(node) = tree.at(&["model"]) else {
        problems
            .push(Problem::at(&start(tree), "the job has no [model]").help("add [model] with kind = \"ode\", \"curve\" or \"problem\""));
        return None;
    };
    let delay_typed = tree.at(&["model", "delay"]).is_some();
    let delay: Option<DelaySpec> = read::section(tree, &["model", "delay"], problems);
    let kind = tag(node, "kind", ModelSpec::KINDS, problems)?;
    let rest = without(node, &["kind", "delay"]);
    let model = match kind.as_str() {
        "ode" => read::typed(&rest, problems).map(ModelSpec::Ode),
        "curve" => read::typed(&rest, problems).map(ModelSpec::Curve),
        "problem" => read::typed(&rest, problems).map(ModelSpec::Problem),
        "plugin" => read::typed(&rest, problems).map(ModelSpec::Plugin),
        "command" => read::typed(&rest, problems).map(ModelSpec::Command),
        "python" => read::typed(&rest, problems).map(ModelSpec::Python),
        "rust" => read_own(&rest, problems).map(ModelSpec::Rust),
        _ => {
            problems.push(unknown_value(node, "kind", &kind, ModelSpec::KINDS));
            None
        }
    };
    model.filter(|_| delay.is_some() == delay_typed).map(|model| (model, delay))
}

/// The settings of the program's own likelihood, defaults filled in. A program without one says so when the model is built.
fn read_own(rest: &Node, problems: &mut Vec<Problem>) -> Option<RustSpec> {
    let Some(own) = model::own() else { return Some(RustSpec { settings: toml::Table::new() }) };
    let mut rest = rest.clone();
    for (name, node) in rest.clone().entries().iter().filter(|(name, _)| !own.has_key(name)) {
        problems.push(unknown("key", name, node, own.keys().iter().copied()));
        rest.remove(&[name.clone()]);
    }
    read::value(&rest, problems, own.read).map(|settings| RustSpec { settings })
}

fn read_engine(tree: &Node, problems: &mut Vec<Problem>) -> Option<EngineSpec> {
    let node = tree.at(&["sampler"])?;
    let names = sampler::names();
    let mut rest = without(node, &["method"]);
    let method = match node.at(&["method"]) {
        Some(_) => tag(node, "method", &names, problems)?,
        None => EngineSpec::default().method().to_string(),
    };
    let Some(preset) = EngineSpec::called(&method) else {
        problems.push(unknown_value(node, "method", &method, &names));
        return None;
    };
    for (key, value) in preset.table().expect("an engine's defaults can be written") {
        if rest.at(&[&key]).is_none() {
            // What stands in the way is no table, which reading it will tell.
            let _ = rest.set(&[key], Node { content: Content::Plain(value), ..node.clone() });
        }
    }
    read::value(&rest, problems, |value| EngineSpec::read(preset.method(), value))
}

fn read_parameters(node: &Node, problems: &mut Vec<Problem>) -> Vec<(String, ParameterSpec)> {
    if !matches!(node.content, Content::Table(_)) {
        problems.push(Problem::at(&node.place, "[parameters] is a table: name = prior, number or tie"));
    }
    let mut parameters = Vec::new();
    for (name, entry) in node.entries() {
        check_name(name, entry, problems);
        if let Some(spec) = read_parameter(entry, problems) {
            parameters.push((name.clone(), spec));
        }
    }
    parameters
}

const PARAMETER_HELP: &str = "a parameter is a prior { prior = \"normal\", mean = 0, sd = 1 }, a fixed number, or a tie \"= a + b\"";

fn read_parameter(node: &Node, problems: &mut Vec<Problem>) -> Option<ParameterSpec> {
    match &node.content {
        Content::Table(_) => read_prior(node, problems).map(ParameterSpec::Free),
        Content::Plain(toml::Value::Float(value)) if value.is_finite() => Some(ParameterSpec::Fixed(*value)),
        Content::Plain(toml::Value::Integer(value)) => Some(ParameterSpec::Fixed(*value as f64)),
        Content::Plain(toml::Value::String(text)) if text.trim_start().starts_with('=') => {
            expression(node, problems).map(ParameterSpec::Tie)
        }
        Content::Plain(toml::Value::String(text)) => {
            let problem = Problem::at(&node.place, "a tie starts with `=`").label("a text, but no tie");
            problems.push(problem.help(format!("write \"= {text}\"")));
            None
        }
        _ => {
            problems.push(Problem::at(&node.place, "this is no parameter").help(PARAMETER_HELP));
            None
        }
    }
}

fn read_prior(node: &Node, problems: &mut Vec<Problem>) -> Option<PriorSpec> {
    let names: Vec<&str> = prior::KINDS.iter().map(|(own, _)| *own).collect();
    let kind = tag(node, "prior", &names, problems)?;
    if prior::kind_named(&kind).is_none() {
        problems.push(unknown_value(node, "prior", &kind, &names));
        return None;
    }
    let spec = read::value(&without(node, &["prior"]), problems, |value| {
        PriorSpec::read(&kind, value).unwrap_or_else(|| Err(serde::de::Error::custom("unknown prior")))
    })?;
    if let Err(error) = spec.build() {
        let place = node.at(&[error.key]).map_or(&node.key, |at| &at.place);
        problems.push(Problem::at(place, error.message).label("impossible"));
        return None;
    }
    Some(spec)
}

fn read_derived(node: &Node, problems: &mut Vec<Problem>) -> Vec<(String, Expr)> {
    if !matches!(node.content, Content::Table(_)) {
        problems.push(Problem::at(&node.place, "[derived] is a table: name = \"expression of parameters\""));
    }
    let mut derived = Vec::new();
    for (name, entry) in node.entries() {
        check_name(name, entry, problems);
        derived.extend(expression(entry, problems).map(|expr| (name.clone(), expr)));
    }
    derived
}

/// An expression, with or without a leading `=`.
fn expression(node: &Node, problems: &mut Vec<Problem>) -> Option<Expr> {
    let Some(text) = node.as_str() else {
        problems.push(Problem::at(&node.place, "an expression is expected, as a text").label("not a text"));
        return None;
    };
    let parsed = Expr::parse(formula(text));
    parsed.map_err(|error| problems.push(in_expression(node, &error))).ok()
}

/// The expression in the text of a tie.
pub fn formula(text: &str) -> &str {
    text.trim_start().trim_start_matches('=').trim()
}

/// An error of an expression, underlined within the text where that was typed plainly.
pub fn in_expression(node: &Node, error: &ExprError) -> Problem {
    let mut place = node.place.clone();
    let text = node.as_str().unwrap_or_default();
    let lead = text.len() - text.trim_start().trim_start_matches('=').trim_start().len();
    // One quote, no escapes: the bytes of the text are those of the value.
    if place.origin == 0 && place.span.len() == text.len() + 2 {
        let start = place.span.start + 1 + lead;
        place.span = start + error.start..start + error.end.max(error.start + 1);
    }
    Problem::at(&place, error.message.clone())
}

/// The text at `key`, which says what the rest of the table means.
fn tag(node: &Node, key: &str, known: &[&str], problems: &mut Vec<Problem>) -> Option<String> {
    let Content::Table(entries) = &node.content else {
        problems.push(Problem::at(&node.place, "a table of keys is expected here"));
        return None;
    };
    match node.at(&[key]) {
        Some(value) => {
            let text = value.as_str().map(str::to_string);
            if text.is_none() {
                problems.push(Problem::at(&value.place, format!("`{key}` must be a text: one of {}", known.join(", "))));
            }
            text
        }
        None => {
            let like = entries.iter().find(|(name, _)| suggest(name, &[key]).is_some_and(|s| s.starts_with("did")));
            let place = like.map_or(&node.key, |(_, it)| &it.key);
            let problem = Problem::at(place, format!("`{key}` is missing")).label(format!("needs `{key}`"));
            problems.push(problem.help(format!("{key} = one of {}", known.join(", "))));
            None
        }
    }
}

fn unknown_value(node: &Node, key: &str, value: &str, known: &[&str]) -> Problem {
    let place = node.at(&[key]).map_or(&node.key, |at| &at.place);
    Problem::at(place, format!("unknown {key} `{value}`")).label("not known here").maybe_help(suggest(value, known))
}

fn without(node: &Node, keys: &[&str]) -> Node {
    let mut rest = node.clone();
    for key in keys {
        rest.remove(&[key.to_string()]);
    }
    rest
}

fn check_name(name: &str, node: &Node, problems: &mut Vec<Problem>) {
    let good =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good {
        let problem = Problem::at(&node.key, format!("`{name}` cannot be a name"));
        problems.push(problem.help("a name is made of letters, digits and underscores, and starts with a letter"));
    }
}

/// The first line, for what is missing altogether.
fn start(tree: &Node) -> Place {
    Place { origin: 0, span: tree.place.span.start..tree.place.span.start }
}
