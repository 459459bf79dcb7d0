//! What the root has in a run and the other ranks have not: the run directory, the progress display, the facts.

use super::alarm::Siren;
use super::{Resume, RunArgs};
use crate::driver::UnderWay;
use crate::exec::Evaluator;
use crate::fit::Fit;
use crate::job::{Job, Package};
use crate::output::{self, Log, Opening, OutputError, Progress, Rejected, Resumed, RunDir, RunFacts, Style, Summary, text};
use crate::prior::Space;
use crate::sampler::verdict::thin_hope;
use crate::sampler::{EngineSpec, Sampler};
use crate::session::{Alarm, Change, Effort, Identity, Keeper, PROGRAM, Saved, Totals, Watch};
use crate::state::{Disk, Recovered, Vault};
use crate::stop::{self, Curfew, Stop, TimeLimit};
use crate::task::Evaluation;
use crate::world::Root;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Seconds between two looks whether the run directory is still there and ours.
const GLANCE: Duration = Duration::from_secs(5);

/// The run directory, opened and locked; nothing of this run is in it yet.
pub struct Doorway {
    dir: RunDir,
    vault: Vault,
    recovered: Recovered,
}

pub struct Desk {
    dir: RunDir,
    progress: Progress,
    facts: RunFacts,
    rejected: Rejected,
    /// Reason and values of the first rejected point of this life.
    first_rejection: Option<String>,
    space: Arc<Space>,
    job_toml: String,
    looked: Instant,
    /// Words of the reason why the run directory is no longer ours.
    pub lost: Option<String>,
    /// Until the fit takes it.
    siren: Option<Siren>,
    /// It was said that the run is not likely to end well: once is enough.
    hope_was_thin: bool,
}

/// Where the run goes: as asked, else the run directory given as the job, else the job's own wish, else its name.
fn place(args: &RunArgs, job: &Job) -> PathBuf {
    let given = args.out.clone().or(args.job.run_dir().map(PathBuf::from));
    given.or(job.output.dir.clone()).unwrap_or_else(|| PathBuf::from(format!("{}.run", job.name)))
}

impl Doorway {
    pub fn open(root: &Root, args: &RunArgs, job: &Job, identity: &Identity) -> Result<Doorway, String> {
        let opening = match (args.force, args.resume) {
            (true, _) => Opening::Force,
            (_, Some(Resume::Yes)) => Opening::Resume,
            (_, Some(Resume::Auto)) => Opening::Auto,
            _ => Opening::New,
        };
        let (dir, _) = RunDir::open(root, &place(args, job), opening).map_err(|e| e.report())?;
        let disk = Box::new(Disk::new(dir.checkpoint()));
        let (vault, recovered) = Vault::open(root, disk, identity.hash(), job.run.journal).map_err(|e| e.report())?;
        Ok(Doorway { dir, vault, recovered })
    }

    /// Understands what was saved, and refuses to go on with another job's.
    pub fn saved(&mut self, identity: &Identity, same_model: bool) -> Result<Option<Saved>, String> {
        let dir = self.dir.path().display();
        let saved = Saved::newest(std::mem::take(&mut self.recovered)).map_err(|why| unreadable(&dir, &why))?;
        let forbidden = |saved: &Saved| saved.snapshot.about.identity.forbidden(identity, same_model);
        let changes = saved.as_ref().filter(|saved| saved.number > 0).map(forbidden);
        match changes.as_deref() {
            None | Some([]) => Ok(saved),
            Some(changes) => Err(changed(&dir, changes)),
        }
    }

    /// Takes the run directory into use: the job, the log, and for a new run a first checkpoint. `warnings` are of the launch.
    pub fn enter(self, root: &Root, package: &Package, job: &Job, start: Start, saved: Option<Saved>) -> Result<Opened, String> {
        let Doorway { dir, vault, .. } = self;
        let mut facts = RunFacts {
            job: package.source.name.clone(),
            job_digest: job.digest.clone(),
            method: job.engine.method().into(),
            seed: job.seed,
            ranks: root.ranks(),
            threads: start.threads,
            ..RunFacts::default()
        };
        let curfew = Curfew::new(start.begun, start.limit.or(job.run.time_limit), stop::slurm_end());
        let mut keeper = Keeper::new(Some(vault), start.identity, job, curfew, start.begun);
        // Without a readable checkpoint nobody knows which program it was.
        let unknown = saved.as_ref().is_some_and(|saved| saved.number == 0) && !job.program.is_empty();
        if start.same_model || unknown {
            keeper.promised();
        }
        let resuming = saved.is_some();
        let opened = (|| {
            dir.write_job(&job.resolved_toml)?;
            let log = Log::open(root, &dir.log(), resuming)?;
            Ok((log, Rejected::open(root, &dir.rejected(), job.space.names(), resuming)?))
        })();
        let (mut log, rejected) = opened.map_err(|e: OutputError| e.report())?;
        let mut state = None;
        match saved {
            Some(Saved { number, written, snapshot, evaluations, notes }) => {
                let resumed = Resumed {
                    checkpoint: (number > 0).then_some(number),
                    written: written.and_then(|time| Some(jiff::Timestamp::try_from(time).ok()?.to_string())),
                    n_like: snapshot.about.totals.calls,
                    from_journal: evaluations.len() as u64,
                    notes,
                };
                say_resumed(&resumed, number, &snapshot.about.identity.raised(keeper.identity()));
                let mut about = snapshot.about;
                // Lives that were killed before their next checkpoint are known to the log alone.
                about.totals.resumes = about.totals.resumes.max(RunDir::tail(dir.path()).resumes()) + 1;
                keeper.take_up(about, snapshot.computed, evaluations);
                state = snapshot.state;
                facts.resumes = keeper.totals().resumes;
                log.resume(&facts, &resumed);
                facts.warnings.extend(resumed.notes);
            }
            None => {
                log.start(&facts);
                keeper.begin().map_err(|e| e.report())?;
            }
        }
        let mut progress = Progress::new(root, Style::Auto, Some(log));
        progress.resumed_at(keeper.totals().calls);
        facts.warnings.extend(start.warnings);
        facts.warnings.iter().for_each(|warning| progress.warn(warning));
        let siren = Siren::new(root, &dir, &progress, job.run.journal);
        let desk = Desk {
            dir,
            progress,
            facts,
            rejected,
            first_rejection: None,
            space: job.space.clone(),
            job_toml: job.resolved_toml.clone(),
            looked: Instant::now(),
            lost: None,
            siren: siren.ok(),
            hope_was_thin: false,
        };
        Ok((desk, keeper, state))
    }
}

/// What the root has at hand when the fit begins; the last is the state that it is taken up from.
pub type Opened = (Desk, Keeper, Option<(Vec<u8>, UnderWay)>);

/// What the launch decided.
pub struct Start {
    pub begun: Instant,
    pub threads: usize,
    pub identity: Identity,
    pub warnings: Vec<String>,
    pub limit: Option<TimeLimit>,
    /// The user says that a changed program gives the same values.
    pub same_model: bool,
}

/// How a run that stopped goes on.
pub(super) fn go_on(dir: &Path) -> String {
    format!("the same command with --resume, or: {} run {} --resume", super::program(), dir.display())
}

fn say_resumed(resumed: &Resumed, number: u64, raised: &[Change]) {
    let calls = text::count(resumed.n_like + resumed.from_journal);
    eprintln!("going on after {calls} calls: checkpoint {number}, and {} calls since then", text::count(resumed.from_journal));
    raised.iter().for_each(|change| eprintln!("further than before: {change}"));
}

fn unreadable(dir: &dyn Display, why: &str) -> String {
    format!("error: the run in {dir} cannot be taken up again: {why}\n  help: start anew with --force, or elsewhere with --out DIR")
}

fn changed(dir: &dyn Display, changes: &[Change]) -> String {
    let list: String = changes.iter().map(|change| format!("\n  {change}")).collect();
    if changes.iter().all(|change| change.key == PROGRAM) {
        return format!(
            "error: the run in {dir} was computed by another program than this job's:{list}\n  help: if it gives the same values, say so \
             (--resume --same-model); else bring back what was, or start anew with --force, or elsewhere with --out DIR"
        );
    }
    format!(
        "error: the run in {dir} asks another question than this job:{list}\n  help: bring back what was, or start anew with --force, or \
         elsewhere with --out DIR. [run], [output], the number of ranks, and higher {} may change",
        EngineSpec::TARGETS.join(" or ")
    )
}

impl Watch for Desk {
    fn round(&mut self, sampler: &dyn Sampler, _: &dyn Evaluator) -> Option<Stop> {
        if self.progress.due() {
            let now = sampler.progress();
            self.progress.update(&now);
            let thin = thin_hope(&self.facts.method, &now).filter(|_| !self.hope_was_thin);
            self.hope_was_thin |= thin.is_some();
            thin.into_iter().for_each(|text| self.progress.warn(&text));
        }
        if self.looked.elapsed() > GLANCE {
            self.looked = Instant::now();
            self.dir.heal(&self.job_toml);
            self.lost = self.dir.still_ours().err().map(|e| e.report());
        }
        self.lost.is_some().then_some(Stop::Lost)
    }

    fn rejected(&mut self, call: &Evaluation, reason: &str) {
        let mut theta = vec![0.0; self.space.names().len()];
        self.space.transform(&call.u, &mut theta);
        self.rejected.add(call.id, reason, &theta);
        self.first_rejection.get_or_insert_with(|| format!("{reason}, where {}", text::point(self.space.names(), &theta)));
    }

    fn checkpoint(&mut self, number: u64, taking: Duration, before: (Duration, u64)) {
        let (writing, bytes) = before;
        if let Some(log) = self.progress.log() {
            log.checkpoint(number, (taking + writing).as_secs_f64(), bytes);
        }
    }

    fn warn(&mut self, text: &str) {
        self.progress.warn(text);
    }

    fn alarm(&mut self) -> Option<Box<dyn Alarm>> {
        Some(Box::new(self.siren.take()?))
    }
}

impl Desk {
    /// Writes the result and says what came out. Seconds: from the program's start to the sampler's first question,
    /// and to the end of sampling.
    pub fn close(mut self, root: &Root, fit: &Fit, effort: &Effort, startup_s: f64, wall_s: f64) -> Result<(), OutputError> {
        let stats = &effort.stats;
        self.facts.warnings.extend(self.rejection_warning(effort));
        let log = self.progress.finish(&effort.progress);
        let mut facts = RunFacts {
            wall_s,
            startup_s,
            total_wall_s: effort.totals.wall_s,
            sampler_s: effort.sampling.as_secs_f64(),
            busy_s: stats.ranks.iter().map(|rank| rank.busy).collect(),
            compute_s: stats.ranks.iter().map(|rank| rank.computing).collect(),
            rejected: effort.totals.rejected,
            timed_out: stats.timed_out,
            ..self.facts
        };
        facts.warnings.extend(facts.too_cheap());
        let (finished, mut log) = (self.dir.finish(root, fit, &facts), log);
        match &finished {
            Ok(summary) => {
                log.iter_mut().for_each(|log| log.end(summary, &effort.reason));
                output::print(root, &output::report(summary, self.dir.path()));
            }
            Err(error) => {
                log.iter_mut().for_each(|log| log.failed(&error.to_string()));
                // No room for the files is no reason to lose the figures too.
                output::print(root, &output::overview(&Summary::new(fit, &facts)));
            }
        }
        finished.map(drop)
    }

    /// The run stopped in good order before its end.
    pub fn stopped(self, root: &Root, stop: Stop, effort: &Effort) -> Result<(), String> {
        if let Some(lost) = self.lost {
            self.progress.failed(&lost);
            return Err(lost);
        }
        let dir = self.dir.path().to_path_buf();
        let command = go_on(&dir);
        self.progress.stopped(&effort.progress, &stop.to_string(), &command);
        output::print(root, &output::stopped(&stop.to_string(), &effort.progress, &dir, &command));
        Ok(())
    }

    /// The run ended without a result.
    pub fn failed(self, why: &str) {
        self.progress.failed(why);
    }

    /// How many points had no usable likelihood, and an example.
    fn rejection_warning(&self, effort: &Effort) -> Option<String> {
        let Totals { calls, rejected, .. } = effort.totals;
        let example = self.first_rejection.as_ref().map_or(String::new(), |first| format!("for example {first}; "));
        (rejected > 0).then(|| {
            let (rejected, calls) = (text::count(rejected), text::count(calls));
            format!("{rejected} of {calls} calls gave no usable log-likelihood and count as impossible ({example}more in rejected.csv)")
        })
    }
}
