//! Whether the parts of a job fit together, and where in the text they do not.

use super::error::Problem;
use super::file::{self, ParameterSpec};
use super::read::suggest;
use super::tree::{Node, Place};
use crate::expr::{Expr, ExprError};
use crate::model::{Model, ModelError};
use crate::prior::{Space, SpaceError};
use crate::sampler::{EngineSpec, SamplerError};

pub fn in_space(tree: &Node, error: SpaceError) -> Problem {
    let node_of = |name: &str| {
        let sections = [["parameters", name], ["derived", name]];
        sections.iter().find_map(|path| tree.at(path)).unwrap_or(tree)
    };
    match error {
        SpaceError::Expression { name, message, start, end } => file::in_expression(node_of(&name), &ExprError { message, start, end }),
        SpaceError::Cycle(names) => {
            let first = names.first().cloned().unwrap_or_default();
            let round = format!("{} -> {first}", names.join(" -> "));
            let problem = Problem::at(&node_of(&first).place, format!("these expressions go round in a circle: {round}"));
            problem.label("part of the circle").help("give one of them a prior or a number")
        }
    }
}

/// A model's complaint at the key of `[model]` that it names.
pub fn in_model(tree: &Node, error: ModelError) -> Problem {
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

/// A derived quantity needs a name of its own.
pub fn derived_names(tree: &Node, derived: &[(String, Expr)], problems: &mut Vec<Problem>) {
    for (name, _) in derived.iter().filter(|(name, _)| tree.at(&["parameters", name]).is_some()) {
        let message = format!("`{name}` is a parameter already: a derived quantity needs a name of its own");
        problems.push(Problem::at(&key(tree, &["derived", name]), message));
    }
}

/// Every name the model needs must be there, and every parameter must be of use.
pub fn usage(
    tree: &Node,
    model: &dyn Model,
    parameters: &[(String, ParameterSpec)],
    derived: &[(String, Expr)],
    problems: &mut Vec<Problem>,
) {
    let taken_already = |name: &String| parameters.iter().any(|(n, _)| n == name) || derived.iter().any(|(n, _)| n == name);
    for name in model.derived().iter().filter(|name| taken_already(name)) {
        let message = format!("`{name}`, which the model computes, is a name of [parameters] or [derived] already");
        problems.push(Problem::at(&key(tree, &["model", "derived"]), message));
    }
    if model.takes_all() {
        return;
    }
    let (needed, taken) = (model.parameters(), [model.parameters(), model.optional_parameters()].concat());
    // Those that could not be read are there all the same.
    let typed = tree.at(&["parameters"]).map(Node::entries).unwrap_or_default();
    let mut names: Vec<&str> = typed.iter().map(|(name, _)| name.as_str()).collect();
    names.extend(parameters.iter().map(|(name, _)| name.as_str()).filter(|name| tree.at(&["parameters", name]).is_none()));
    let is_free = |name: &&str| !names.contains(name);
    let near = |name: &str, among: &[&str]| suggest(name, among).filter(|help| help.starts_with("did"));
    let section = tree.at(&["parameters"]).or(tree.at(&["model"])).unwrap_or(tree);
    for name in needed.iter().map(String::as_str).filter(is_free) {
        let spare: Vec<&str> = names.iter().copied().filter(|n| !taken.iter().any(|m| m == n)).collect();
        let help = near(name, &spare).unwrap_or_else(|| format!("add `{name}` to [parameters], with a prior or a number"));
        let problem = Problem::at(&section.key, format!("the model needs a parameter `{name}`, which is not among [parameters]"));
        problems.push(problem.label(format!("no `{name}`")).help(help));
    }
    let unread = |(name, node): &(String, Node)| node.as_str().is_some() && !parameters.iter().any(|(n, _)| n == name);
    if typed.iter().any(unread) || derived.len() < tree.at(&["derived"]).map_or(0, |node| node.entries().len()) {
        return; // an expression that could not be read may use any of them
    }
    let ties = parameters.iter().filter_map(|(_, spec)| if let ParameterSpec::Tie(expr) = spec { Some(expr) } else { None });
    let read: Vec<String> = ties.chain(derived.iter().map(|(_, expr)| expr)).flat_map(Expr::variables).collect();
    for name in names.iter().filter(|name| !taken.iter().chain(&read).any(|used| used == *name)) {
        let open: Vec<&str> = taken.iter().map(String::as_str).filter(is_free).collect();
        let help = near(name, &open).unwrap_or_else(|| format!("the model's parameters are {}", taken.join(", ")));
        let message = format!("the parameter `{name}` is not used: not by the model, a tie or a derived quantity");
        problems.push(Problem::at(&key(tree, &["parameters", name]), message).label("of no use").help(help));
    }
}

/// Settings that cannot work are told before any rank starts.
pub fn engine(tree: &Node, engine: &EngineSpec, space: &Space, problems: &mut Vec<Problem>) {
    if let Err(SamplerError(message)) = engine.check(space.n_free()) {
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
pub fn key(tree: &Node, path: &[&str]) -> Place {
    tree.at(path).map_or(Place { origin: 0, span: 0..0 }, |node| node.key.clone())
}
