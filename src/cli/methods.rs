//! `fitjob methods`: what each engine is for, what it gives and needs, and how many cores it can use.

use super::exit;
use crate::output::{print, text};
use crate::sampler::{EngineSpec, Gives, METHODS, Method, Problem};
use crate::world::{Role, World};
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub struct MethodsArgs {
    /// Free parameters of the problem that the number of calls at a time is told for
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub dim: u32,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &MethodsArgs) -> i32 {
    let mut world = World::solo();
    let Role::Root(root) = world.enter() else { unreachable!("one rank is the root") };
    let n_dim = args.dim as usize;
    let out = match args.json {
        true => {
            serde_json::to_string_pretty(&METHODS.iter().map(|m| for_scripts(m, n_dim)).collect::<Vec<_>>()).expect("plain data") + "\n"
        }
        false => METHODS.iter().map(|m| for_people(m, n_dim)).collect::<Vec<_>>().join("\n"),
    };
    print(&root, &out);
    exit::DONE
}

fn defaults(method: &Method) -> EngineSpec {
    EngineSpec::called(method.name).expect("an engine of the list has settings")
}

fn for_people(method: &Method, n_dim: usize) -> String {
    let spec = defaults(method);
    let aliases = if method.aliases.is_empty() { String::new() } else { format!(" (also called {})", method.aliases.join(", ")) };
    let gives = match method.gives {
        Gives::Evidence => "a sample of the posterior, and log Z",
        Gives::Sample => "a sample of the posterior; no log Z",
        Gives::Optimum => "the best point, with the curvature there; no sample and no log Z",
    };
    let needs = match spec.wants_gradient() {
        true => "slopes of log L: exact where the model gives them, else finite differences, made of calls",
        false => "values of log L only",
    };
    let calls = |gradient| text::count(spec.width(&Problem { n_dim, gradient, ..Problem::default() }) as u64);
    let calls = match (calls(true), calls(false)) {
        (exact, differences) if exact != differences => format!("{exact} (differences: {differences})"),
        (any, _) => any,
    };
    format!(
        "{}{aliases}\n  {}\n  gives   {gives}\n  needs   {needs}\n  scales  to {calls} calls at a time by its defaults, with {n_dim} \
         parameters: more cores would wait\n",
        method.name, method.purpose
    )
}

fn for_scripts(method: &Method, n_dim: usize) -> Value {
    let spec = defaults(method);
    json!({
        "name": method.name,
        "aliases": method.aliases,
        "purpose": method.purpose,
        "sample": method.gives != Gives::Optimum,
        "evidence": method.gives == Gives::Evidence,
        "gradient": spec.wants_gradient(),
        "parameters": n_dim,
        "calls_at_a_time": spec.width(&Problem { n_dim, ..Problem::default() }),
    })
}
