//! What the root has in a run and the other ranks have not: the run directory, the progress display, the facts.

use super::RunArgs;
use crate::exec::ExecStats;
use crate::fit::Fit;
use crate::job::{Job, Package};
use crate::output::{self, Log, Opening, OutputError, Progress, RunDir, RunFacts, Style, Summary, text};
use crate::sampler::Sampler;
use crate::session::Effort;
use crate::world::Root;
use std::path::PathBuf;

pub struct Desk {
    dir: RunDir,
    progress: Progress,
    facts: RunFacts,
    /// All parameters, for reports of rejected points.
    names: Vec<String>,
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
        let (dir, _) = RunDir::open(root, &path, if args.force { Opening::Force } else { Opening::New })?;
        let mut log = Log::open(root, &dir.log(), false)?;
        dir.write_job(&job.resolved_toml)?;
        log.start(&facts);
        let mut progress = Progress::new(root, Style::Auto, Some(log));
        facts.warnings.iter().for_each(|warning| progress.warn(warning));
        Ok(Desk { dir, progress, facts, names: job.space.names().to_vec() })
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
        self.facts.warnings.extend(rejection_warning(stats, &self.names));
        let facts = RunFacts {
            wall_s,
            startup_s,
            sampler_s: effort.driven.sampling.as_secs_f64(),
            busy_s: stats.ranks.iter().map(|rank| rank.busy).collect(),
            compute_s: stats.ranks.iter().map(|rank| rank.computing).collect(),
            rejected: rejected(stats),
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

/// Points that count as impossible although the model gave no such value.
fn rejected(stats: &ExecStats) -> u64 {
    stats.rejected + stats.nan + stats.plus_infinity
}

/// How many points had no usable likelihood, why, and an example.
fn rejection_warning(stats: &ExecStats, names: &[String]) -> Option<String> {
    let kinds = [(stats.rejected, "refused by the model"), (stats.nan, "NaN"), (stats.plus_infinity, "+infinity")];
    let kinds: Vec<String> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", text::count(*n))).collect();
    let first = stats.rejections.first()?;
    Some(format!(
        "{} of {} calls gave no usable log-likelihood and count as impossible ({}); for example {}, where {} \
         (more in rejected.csv)",
        text::count(rejected(stats)),
        text::count(stats.calls()),
        kinds.join(", "),
        first.reason,
        text::point(names, &first.theta),
    ))
}
