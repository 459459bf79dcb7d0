//! What a job file means: files loaded on the root, everything else the same on every rank.

use super::error::Problem;
use super::file::{self, OutputSpec, ParameterSpec, RunSpec, Typed};
use super::read::suggest;
use super::tree::{Node, Place};
use super::{JobError, Source, digest, emit};
use crate::expr::ExprError;
use crate::model::{self, Files, Model, ModelError};
use crate::prior::{Parameter, PriorSpec, Role, Space, SpaceError, Uniform};
use crate::sampler::{EngineSpec, SamplerError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the root broadcasts: the job's text and all files it names. No other rank touches the file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Package {
    pub source: Source,
    pub files: Files,
}

/// A job that can be run.
pub struct Job {
    /// The job file's name without folder and ending.
    pub name: String,
    pub seed: u64,
    pub space: Arc<Space>,
    pub model: Arc<dyn Model>,
    pub engine: EngineSpec,
    pub run: RunSpec,
    /// `dir`, if given, is absolute.
    pub output: OutputSpec,
    /// The job written out with overrides applied and defaults filled in: running it asks the same question.
    pub resolved_toml: String,
    /// Names the question: independent of `[run]` and `[output]`.
    pub digest: String,
}

/// Reads the files that the job names. Root only.
///
/// Errors: every mistake of the text, and every file that cannot be read, at the key that names it.
pub fn load(source: Source) -> Result<Package, JobError> {
    let mut problems = Vec::new();
    let typed = typed(&source, &mut problems)?;
    let mut files = Files::new();
    for file in typed.model.iter().flat_map(|(spec, _)| spec.files()) {
        match file.load(&source.base.join(&file.path)) {
            Ok(loaded) => {
                files.insert(file.path, loaded);
            }
            Err(error) => {
                let node = typed.tree.at(&["model", file.key]).unwrap_or(&typed.tree);
                problems.push(Problem::at(&node.place, error.to_string()).label("this file"));
            }
        }
    }
    if problems.is_empty() { Ok(Package { source, files }) } else { Err(JobError::new(&source, problems)) }
}

/// Puts the job together. Every rank does so from the same package, with the same result.
///
/// Errors: every mistake that can be told apart, each at its place in the text.
pub fn resolve(package: &Package) -> Result<Job, JobError> {
    let source = &package.source;
    let mut problems = Vec::new();
    let typed = typed(source, &mut problems)?;
    let job = assemble(package, typed, &mut problems);
    match job {
        Some(job) if problems.is_empty() => Ok(job),
        _ => Err(JobError::new(source, problems)),
    }
}

fn typed(source: &Source, problems: &mut Vec<Problem>) -> Result<Typed, JobError> {
    let tree = source.tree().map_err(|problems| JobError::new(source, problems))?;
    Ok(file::read(tree, problems))
}

/// None, or a job that is only good if no problem was found.
fn assemble(package: &Package, typed: Typed, problems: &mut Vec<Problem>) -> Option<Job> {
    let tree = &typed.tree;
    let (spec, delay) = typed.model.as_ref()?;
    let model = model::build(spec, delay.as_ref(), typed.seed, &package.files);
    let model = model.map_err(|error| problems.push(in_model(tree, error))).ok();

    let mut parameters = typed.parameters.clone();
    if let (None, Some(model)) = (&parameters, &model) {
        parameters = default_parameters(model.as_ref());
        if parameters.is_none() {
            let needs = model.parameters().join(", ");
            let problem = Problem::at(&key(tree, &["model"]), "the job has no [parameters]");
            problems.push(problem.label("this model has parameters").help(format!("it needs {needs}")));
        }
    }
    let parameters = parameters?;
    check_derived_names(tree, &parameters, &typed.derived, problems);
    let space = space(tree, &parameters, &typed, problems);
    if !problems.is_empty() {
        return None;
    }
    let (model, space) = (model?, space?);
    check_use(tree, model.as_ref(), &space, problems);
    check_engine(tree, &typed.engine, &space, problems);

    let resolved = emit::resolved(&package.source, &typed, &parameters, &package.files);
    let resolved_toml = resolved.map_err(|e| problems.push(Problem::at(&tree.key, format!("cannot be written: {e}")))).ok()?;
    let digest = digest::digest(typed.seed, model.as_ref(), &space, &typed.engine);
    let output = OutputSpec { dir: typed.output.dir.map(|dir| package.source.base.join(dir)) };
    let (seed, engine, run) = (typed.seed, typed.engine, typed.run);
    let (space, model) = (Arc::new(space), Arc::from(model));
    Some(Job { name: package.source.stem(), seed, space, model, engine, run, output, resolved_toml, digest })
}

/// Uniform priors on the box that a test problem brings along.
fn default_parameters(model: &dyn Model) -> Option<Vec<(String, ParameterSpec)>> {
    let uniform = |(name, min, max)| (name, ParameterSpec::Free(PriorSpec::Uniform(Uniform { min, max, periodic: false })));
    model.default_box().map(|sides| sides.into_iter().map(uniform).collect())
}

fn space(
    tree: &Node,
    parameters: &[(String, ParameterSpec)],
    typed: &Typed,
    problems: &mut Vec<Problem>,
) -> Option<Space> {
    let mut list = Vec::new();
    for (name, spec) in parameters {
        let role = match spec {
            ParameterSpec::Fixed(value) => Role::Fixed(*value),
            ParameterSpec::Tie(expr) => Role::Tied(expr.clone()),
            ParameterSpec::Free(prior) => match prior.build() {
                Ok(it) => Role::Free { prior: it, periodic: prior.periodic() },
                Err(error) => {
                    problems.push(Problem::at(&key(tree, &["parameters", name]), error.message));
                    continue;
                }
            },
        };
        list.push(Parameter { name: name.clone(), role });
    }
    let built = Space::new(list, typed.derived.clone());
    built.map_err(|errors| problems.extend(errors.into_iter().map(|error| in_space(tree, error)))).ok()
}

fn in_space(tree: &Node, error: SpaceError) -> Problem {
    let node_of = |name: &str| {
        let sections = [["parameters", name], ["derived", name]];
        sections.iter().find_map(|path| tree.at(path)).unwrap_or(tree)
    };
    match error {
        SpaceError::Expression { name, message, start, end } => {
            file::in_expression(node_of(&name), &ExprError { message, start, end })
        }
        SpaceError::Cycle(names) => {
            let first = names.first().cloned().unwrap_or_default();
            let round = format!("{} -> {first}", names.join(" -> "));
            let problem = Problem::at(&node_of(&first).place, format!("these expressions go round in a circle: {round}"));
            problem.label("part of the circle").help("give one of them a prior or a number")
        }
    }
}

/// A model's complaint at the key of `[model]` that it names.
fn in_model(tree: &Node, error: ModelError) -> Problem {
    let path: Vec<String> = std::iter::once("model".to_string()).chain(error.key).collect();
    let (node, depth) = tree.nearest(&path);
    let problem = match error.span {
        Some((start, end)) => file::in_expression(node, &ExprError { message: error.message, start, end }),
        // A key that is not there: its table is to blame.
        None if depth < path.len() => Problem::at(&node.key, error.message),
        None => Problem::at(&node.place, error.message),
    };
    problem.maybe_help(error.help)
}

fn check_derived_names(
    tree: &Node,
    parameters: &[(String, ParameterSpec)],
    derived: &[(String, crate::expr::Expr)],
    problems: &mut Vec<Problem>,
) {
    for (name, _) in derived {
        if parameters.iter().any(|(other, _)| other == name) {
            let message = format!("`{name}` is a parameter already: a derived quantity needs a name of its own");
            problems.push(Problem::at(&key(tree, &["derived", name]), message));
        }
    }
}

/// Every name the model needs must be there, and every parameter must be of use.
fn check_use(tree: &Node, model: &dyn Model, space: &Space, problems: &mut Vec<Problem>) {
    let (needed, taken) = (model.parameters(), [model.parameters(), model.optional_parameters()].concat());
    let names: Vec<&str> = space.names().iter().map(String::as_str).collect();
    let is_free = |name: &&str| !names.contains(name);
    let near = |name: &str, among: &[&str]| suggest(name, among).filter(|help| help.starts_with("did"));
    let section = tree.at(&["parameters"]).or(tree.at(&["model"])).unwrap_or(tree);
    for name in needed.iter().map(String::as_str).filter(is_free) {
        let spare: Vec<&str> = names.iter().copied().filter(|n| !taken.iter().any(|m| m == n)).collect();
        let help = near(name, &spare).unwrap_or_else(|| format!("add `{name}` to [parameters], with a prior or a number"));
        let problem = Problem::at(&section.key, format!("the model needs a parameter `{name}`, which is not among [parameters]"));
        problems.push(problem.label(format!("no `{name}`")).help(help));
    }
    let read = space.names_read();
    for name in names.iter().filter(|name| !taken.iter().chain(&read).any(|used| used == *name)) {
        let open: Vec<&str> = taken.iter().map(String::as_str).filter(is_free).collect();
        let help = near(name, &open).unwrap_or_else(|| format!("the model's parameters are {}", taken.join(", ")));
        let message = format!("the parameter `{name}` is not used: not by the model, a tie or a derived quantity");
        problems.push(Problem::at(&key(tree, &["parameters", name]), message).label("of no use").help(help));
    }
}

/// Settings that cannot work are told before any rank starts.
fn check_engine(tree: &Node, engine: &EngineSpec, space: &Space, problems: &mut Vec<Problem>) {
    let checked = match engine {
        EngineSpec::ImportanceNested(settings) => settings.check(space.n_free()),
    };
    if let Err(SamplerError(message)) = checked {
        // "[sampler] n_live = 5 cannot work: ..." names its key.
        let named = message.strip_prefix("[sampler] ").and_then(|rest| rest.split_whitespace().next());
        let node = named.and_then(|key| tree.at(&["sampler", key]));
        let place = match node {
            Some(node) => node.place.clone(),
            None if space.n_free() == 0 => key(tree, &["parameters"]),
            None => key(tree, &["sampler"]),
        };
        problems.push(Problem::at(&place, message));
    }
}

/// Where the last key of `path` was typed, or the start of the file.
fn key(tree: &Node, path: &[&str]) -> Place {
    tree.at(path).map_or(Place { origin: 0, span: 0..0 }, |node| node.key.clone())
}
