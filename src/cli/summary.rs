//! `fitjob summary DIR`: the result of a finished run, as a table.

use crate::output::{OutputError, RunDir, overview, print};
use crate::world::Root;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct SummaryArgs {
    /// Run directory, as `fitjob run` named it
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Prints medians with their 16 and 84% quantiles, log Z and warnings.
pub fn run(root: &Root, args: &SummaryArgs) -> Result<(), OutputError> {
    let summary = RunDir::read_summary(&args.dir)?;
    print(root, &overview(&summary));
    Ok(())
}
