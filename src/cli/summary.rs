//! `fitjob summary DIR`: the result of a finished run, as a table.

use super::exit;
use crate::output::{RunDir, overview, print};
use crate::world::{Role, World};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct SummaryArgs {
    /// Run directory, as `fitjob run` named it
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Prints medians with their 16 and 84% quantiles, log Z and warnings.
pub fn run(args: &SummaryArgs) -> i32 {
    let mut world = World::solo();
    let Role::Root(root) = world.enter() else { unreachable!("one rank is the root") };
    match RunDir::read_summary(&args.dir) {
        Ok(summary) => {
            print(&root, &overview(&summary));
            exit::DONE
        }
        Err(error) => {
            eprintln!("{}", error.report());
            exit::STORAGE
        }
    }
}
