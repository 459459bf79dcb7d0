//! What the root has in a run and the other ranks have not: the run directory, the progress display, the facts.

use super::RunArgs;
use crate::exec::ExecStats;
use crate::fit::Fit;
use crate::job::{Job, Package};
use crate::output::{self, OutputError, Progress, RunDir, RunFacts, Style, Summary, text};
use crate::sampler::Sampler;
use crate::session::Effort;
use crate::world::Root;
use std::path::PathBuf;

pub struct Desk {
    dir: RunDir,
    progress: Progress,
    facts: RunFacts,
}

impl Desk {
    /// Makes the run directory and starts the log. `warnings` are of the launch.
    pub fn open(
        root: &Root,
        args: &RunArgs,
        package: &Package,
        job: &Job,
        threads: usize,
        warnings: Vec<String>,
    ) -> Result<Desk, OutputError> {
        let facts = RunFacts {
            job: package.source.name.clone(),
            job_digest: job.digest.clone(),
            method: job.engine.method().into(),
            seed: job.seed,
            ranks: root.ranks(),
            threads,
            warnings,
            ..RunFacts::default()
        };
        let path = args.out.clone().or(job.output.dir.clone()).unwrap_or_else(|| PathBuf::from(format!("{}.run", job.name)));
        let (dir, mut log) = RunDir::create(root, &path, args.force, &job.resolved_toml)?;
        log.start(&facts);
        let mut progress = Progress::new(root, Style::Auto, Some(log));
        facts.warnings.iter().for_each(|warning| progress.warn(warning));
        Ok(Desk { dir, progress, facts })
    }

    /// Shows where the run stands, if it is time to.
    pub fn watch(&mut self, sampler: &dyn Sampler) {
        if self.progress.due() {
            self.progress.update(&sampler.progress());
        }
    }

    /// Writes the result and says what came out. Seconds: from the program's start to the sampler's first question,
    /// and to the end of sampling.
    pub fn close(mut self, root: &Root, fit: &Fit, effort: &Effort, startup_s: f64, wall_s: f64) -> Result<(), OutputError> {
        let stats = &effort.stats;
        let log = self.progress.finish(&effort.progress);
        self.facts.warnings.extend(rejection_warning(stats));
        let facts = RunFacts {
            wall_s,
            startup_s,
            sampler_s: effort.driven.sampling.as_secs_f64(),
            busy_s: stats.ranks.iter().map(|rank| rank.busy).collect(),
            compute_s: stats.ranks.iter().map(|rank| rank.computing).collect(),
            rejected: stats.impossible(),
            ..self.facts
        };
        let summary = self.dir.finish(root, fit, &facts).inspect_err(|_| {
            // No room for the files is no reason to lose the figures too.
            output::print(root, &output::overview(&Summary::new(fit, &facts)));
        })?;
        if let Some(mut log) = log {
            log.end(&summary, &effort.driven.reason);
        }
        output::print(root, &output::report(&summary, self.dir.path()));
        Ok(())
    }

    /// The run ended without a result.
    pub fn failed(self, why: &str) {
        self.progress.failed(why);
    }
}

/// How many points had no usable likelihood, and why.
fn rejection_warning(stats: &ExecStats) -> Option<String> {
    let kinds = [
        (stats.rejected, "refused by the model"),
        (stats.nan, "NaN"),
        (stats.plus_infinity, "+infinity"),
        (stats.timed_out, "over [run] call_limit_s"),
    ];
    let kinds: Vec<String> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", text::count(*n))).collect();
    (stats.impossible() > 0).then(|| {
        format!(
            "{} of {} calls gave no usable log-likelihood and count as impossible ({})",
            text::count(stats.impossible()),
            text::count(stats.calls()),
            kinds.join(", "),
        )
    })
}
