//! Finished runs side by side: evidences and Bayes factors, and whether methods agree where they were asked the same.

mod agreement;
mod evidence;
mod report;

pub use agreement::{Agreement, Compared, agreement};
pub use evidence::{Evidence, evidence};
pub use report::Comparison;

use crate::job::{self, Job, Source};
use crate::output::{OutputError, RunDir, Samples, Summary};
use crate::stats::circle::Circle;
use std::path::Path;

/// A finished run.
pub struct Entry {
    /// The run directory as typed.
    pub name: String,
    pub summary: Summary,
    pub samples: Samples,
    /// What was asked; or why that can no longer be told.
    pub job: Result<Job, String>,
}

impl Entry {
    /// # Errors
    /// A directory that holds no finished run, or a result that cannot be read.
    pub fn read(dir: &Path) -> Result<Entry, OutputError> {
        let summary = RunDir::read_summary(dir)?;
        let samples = Samples::read(&dir.join("result.h5"))?;
        Ok(Entry { name: dir.display().to_string(), summary, samples, job: read_job(&dir.join("job.toml")) })
    }

    /// Where this parameter is an angle.
    fn circle(&self, name: &str) -> Option<Circle> {
        let space = &self.job.as_ref().ok()?.space;
        let at = space.names().iter().position(|known| known == name)?;
        space.circles()[at]
    }

    /// Equal for two runs of the same model, data, priors and ties, by whatever method and seed.
    fn question(&self) -> Option<String> {
        let job = self.job.as_ref().ok()?;
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&job.model.fingerprint())
            .update(job.model.program().as_bytes())
            .update(b"\n")
            .update(job.space.parameters_fingerprint().as_bytes());
        Some(hasher.finalize().to_hex().to_string())
    }
}

fn read_job(path: &Path) -> Result<Job, String> {
    let first_line = |e: job::JobError| e.report(false).lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_string();
    let package = Source::read(path, vec![]).and_then(job::load).map_err(first_line)?;
    job::resolve(&package).map_err(first_line)
}
