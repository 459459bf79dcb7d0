//! What a job file means: files loaded on the root, everything else the same on every rank.

use super::error::Problem;
use super::file::{self, OutputSpec, ParameterSpec, RunSpec, Typed};
use super::tree::Node;
use super::{JobError, Source, check, digest, emit, tolerance};
use crate::model::{self, Files, Model, ModelSpec, Rtol};
use crate::prior::{Parameter, PriorSpec, Role, Space, Uniform};
use crate::sampler::{self, EngineSpec};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

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
    /// The same without the engine's targets (n_eff, ...), since a run may be taken up again with higher ones, and without the program.
    pub question: String,
    /// Which program computes the likelihood ([`Model::program`]).
    pub program: String,
}

impl Job {
    /// What the engine is told of it.
    pub fn problem(&self) -> sampler::Problem {
        let gradient = self.engine.wants_gradient() && self.model.has_gradient();
        sampler::Problem { n_dim: self.space.n_free(), periodic: self.space.periodic(), gradient }
    }
}

/// Reads the files that the job names. Root only.
///
/// Errors: every mistake of the text, and every file that cannot be read, at the key that names it.
pub fn load(source: Source) -> Result<Package, JobError> {
    let mut problems = Vec::new();
    let typed = typed(&source, &mut problems)?;
    let mut files = Files::new();
    let mut unread = Vec::new();
    for file in typed.model.iter().flat_map(|(spec, _)| spec.files()) {
        match file.load(&source.base.join(&file.path)) {
            Ok(loaded) => {
                files.insert(file.path, loaded);
            }
            Err(error) => {
                let node = typed.tree.at(&["model", file.key]).unwrap_or(&typed.tree);
                unread.push(Problem::at(&node.place, error.to_string()).label("this file"));
            }
        }
    }
    if !unread.is_empty() {
        problems.extend(unread);
        return Err(JobError::new(&source, problems));
    }
    let package = Package { source, files };
    // Mistakes of the text do not hide those that show only when the job is put together.
    let auto = matches!(&typed.model, Some((ModelSpec::Ode(spec), _)) if matches!(spec.rtol, Rtol::Auto(_)));
    if problems.is_empty() && !auto {
        return Ok(package);
    }
    let job = resolve(&package)?;
    Ok(if auto { settled(package, &typed.tree, &job) } else { package })
}

/// The same with the tolerance that `rtol = "auto"` stands for, as an override, so that every rank and every later life of the run has it.
fn settled(mut package: Package, tree: &Node, job: &Job) -> Package {
    let Some(rtol) = tolerance::found(job) else { return package };
    package.source.overrides.push(format!("model.rtol={rtol:e}"));
    if tree.at(&["model", "atol"]).is_none() {
        package.source.overrides.push(format!("model.atol={:e}", 0.01 * rtol));
    }
    package
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
    let model = model.map_err(|error| problems.push(check::in_model(tree, error))).ok();

    let parameters = match &typed.parameters {
        Some(parameters) => parameters.clone(),
        None => default_parameters(tree, model.as_deref()?, problems)?,
    };
    check::derived_names(tree, &typed.derived, problems);
    if let Some(model) = model.as_deref() {
        check::usage(tree, model, &parameters, &typed.derived, problems);
    }
    let space = space(tree, &parameters, &typed, problems)?;
    check::engine(tree, &typed.engine, &space, problems);
    let mut model = model?;
    if problems.is_empty() {
        model.check(space.names()).map_err(|error| problems.push(check::in_model(tree, error))).ok()?;
    }
    if let Some(limit) = typed.run.call_limit_s.and_then(|s| Duration::try_from_secs_f64(s).ok()) {
        model.limit_calls(limit);
    }

    let resolved = emit::resolved(&package.source, &typed, &parameters, &package.files);
    let resolved_toml = resolved.map_err(|e| problems.push(Problem::at(&tree.key, format!("cannot be written: {e}")))).ok()?;
    let digest_with = |program: &str, engine: &EngineSpec| digest::digest(typed.seed, model.as_ref(), program, &space, engine);
    let program = model.program();
    let (digest, question) = (digest_with(&program, &typed.engine), digest_with("", &typed.engine.without_targets()));
    let output = OutputSpec { dir: typed.output.dir.map(|dir| package.source.base.join(dir)) };
    let (seed, engine, run) = (typed.seed, typed.engine, typed.run);
    let (space, model) = (Arc::new(space), Arc::from(model));
    Some(Job { name: package.source.stem(), seed, space, model, engine, run, output, resolved_toml, digest, question, program })
}

/// Uniform priors on the box that a test problem brings along.
fn default_parameters(tree: &Node, model: &dyn Model, problems: &mut Vec<Problem>) -> Option<Vec<(String, ParameterSpec)>> {
    let uniform = |(name, min, max)| (name, ParameterSpec::Free(PriorSpec::Uniform(Uniform { min, max, periodic: false })));
    if model.default_box().is_none() {
        let problem = Problem::at(&check::key(tree, &["model"]), "the job has no [parameters]");
        let help = format!("it needs {}", model.parameters().join(", "));
        problems.push(problem.label("this model has parameters").help(help));
    }
    model.default_box().map(|sides| sides.into_iter().map(uniform).collect())
}

fn space(tree: &Node, parameters: &[(String, ParameterSpec)], typed: &Typed, problems: &mut Vec<Problem>) -> Option<Space> {
    let mut list = Vec::new();
    for (name, spec) in parameters {
        let role = match spec {
            ParameterSpec::Fixed(value) => Role::Fixed(*value),
            ParameterSpec::Tie(expr) => Role::Tied(expr.clone()),
            ParameterSpec::Free(prior) => match prior.build() {
                Ok(it) => Role::Free { prior: it, periodic: prior.periodic() },
                Err(error) => {
                    problems.push(Problem::at(&check::key(tree, &["parameters", name]), error.message));
                    continue;
                }
            },
        };
        list.push(Parameter { name: name.clone(), role });
    }
    // With a parameter missing that could not be read, names would be called unknown that are not.
    if list.len() < tree.at(&["parameters"]).map_or(0, |node| node.entries().len()) {
        return None;
    }
    let built = Space::new(list, typed.derived.clone());
    built.map_err(|errors| problems.extend(errors.into_iter().map(|error| check::in_space(tree, error)))).ok()
}
