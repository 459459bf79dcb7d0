//! `fitjob compare DIR...`: evidences, Bayes factors and posteriors of finished runs, side by side.

use super::exit;
use crate::compare::{Comparison, Entry};
use crate::output::{OutputError, print};
use crate::world::{Role, World};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// Run directories of finished runs
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
    /// Run directory of the null model [default: the first DIR]
    #[arg(long, value_name = "DIR")]
    pub null: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &CompareArgs) -> i32 {
    let mut world = World::solo();
    let Role::Root(root) = world.enter() else { unreachable!("one rank is the root") };
    let (dirs, null) = ordered(args);
    if dirs.len() < 2 {
        eprintln!("error: one run has nothing to be compared with\n  help: fitjob compare DIR DIR..., or --null DIR");
        return exit::JOB;
    }
    let entries: Result<Vec<Entry>, OutputError> = dirs.iter().map(|dir| Entry::read(dir)).collect();
    match entries {
        Ok(entries) => {
            let comparison = Comparison::of(&entries, null);
            print(&root, &if args.json { comparison.to_json() } else { comparison.to_text() });
            exit::DONE
        }
        Err(error) => {
            eprintln!("{}", error.report());
            exit::STORAGE
        }
    }
}

/// The directories, and which of them is the null model's; it stands first if it is not among them.
fn ordered(args: &CompareArgs) -> (Vec<PathBuf>, usize) {
    let mut dirs = args.dirs.clone();
    let Some(null) = &args.null else { return (dirs, 0) };
    match dirs.iter().position(|dir| dir == null) {
        Some(place) => (dirs, place),
        None => {
            dirs.insert(0, null.clone());
            (dirs, 0)
        }
    }
}
