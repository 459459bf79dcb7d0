//! `fitjob summary DIR`: the result of a run, or where it stands (or stood when it died) by its last checkpoint.

use super::exit;
use crate::fit::{Extra, Fit};
use crate::job::{self, Job, Source};
use crate::output::{RunDir, RunFacts, RunState, Status, Summary, overview, print, text};
use crate::sampler::{self, Progress};
use crate::sbc::Kept;
use crate::session::{About, Computed, Saved};
use crate::world::{Role, World};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct SummaryArgs {
    /// Run directory, as `fitjob run` named it
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Print where the run stands as a line of JSON, for scripts: state, calls, lives, lives_without_progress
    #[arg(long)]
    pub json: bool,
}

/// Prints medians with their 16 and 84% quantiles, log Z and warnings. A run without a result is no error where a checkpoint tells of it.
pub fn run(args: &SummaryArgs) -> i32 {
    let mut world = World::solo();
    let Role::Root(root) = world.enter() else { unreachable!("one rank is the root") };
    let state = RunDir::state(&args.dir);
    if let Some(calibration) = RunDir::calibration(&args.dir).filter(|_| !args.dir.join("summary.json").exists()) {
        let kept = serde_json::from_str::<Kept>(&calibration);
        print(&root, &if args.json { calibration } else { kept.map_or_else(|e| format!("sbc.json: {e}\n"), |kept| kept.to_text()) });
        return exit::DONE;
    }
    let told = match state {
        RunState::Unfinished { .. } | RunState::Finished { .. } if args.json => Ok(for_scripts(&args.dir, &state)),
        RunState::Unfinished { .. } => unfinished(&args.dir).ok_or_else(|| RunDir::read_summary(&args.dir).err()),
        _ => RunDir::read_summary(&args.dir).map(|summary| overview(&summary)).map_err(Some),
    };
    match told {
        Ok(text) => {
            print(&root, &text);
            exit::DONE
        }
        Err(error) => {
            eprintln!("{}", error.map_or("error: the run has just ended: ask again".into(), |e| e.report()));
            exit::STORAGE
        }
    }
}

/// What log, lock and the newest checkpoint say; none where there is no checkpoint to read.
fn unfinished(dir: &Path) -> Option<String> {
    let saved = Saved::newest(crate::state::peek(&dir.join("checkpoint")).ok()?).ok()??;
    let about = &saved.snapshot.about;
    let mut out = whereabouts(dir);
    let (calls, since) = (text::count(about.totals.calls), text::count(saved.evaluations.len() as u64));
    let _ = writeln!(out, "checkpoint {}: {calls} calls, {since} more in the journal since", saved.number);
    out.extend(saved.notes.iter().map(|note| format!("note: {note}\n")));
    out += "\n";
    let estimate = saved.snapshot.state.as_ref().and_then(|(state, _)| estimate(dir, about, saved.snapshot.computed.as_ref(), state).ok());
    out += &estimate.unwrap_or_else(|| standing(&about.progress));
    Some(out)
}

/// `state`: finished (with its `verdict`), stopped (in good order, to be resumed), failed (with an error) or unfinished (killed, or still running);
/// `calls` that are kept, in result, checkpoint or journal; `lives` that the run has had, and how many of the last added no call.
fn for_scripts(dir: &Path, state: &RunState) -> String {
    let tail = RunDir::tail(dir);
    let verdict = RunDir::read_summary(dir).ok().filter(|_| matches!(state, RunState::Finished { .. })).and_then(|s| s.verdict);
    let (state, calls) = match (state, tail.end.as_ref().map(|end| end.status)) {
        (RunState::Finished { .. }, status) if status == Some(Status::Done) || tail.lives.is_empty() => {
            ("finished", RunDir::read_summary(dir).map_or(0, |s| s.n_like))
        }
        (_, Some(Status::Stopped)) => ("stopped", calls_kept(dir)),
        (_, Some(Status::Failed)) => ("failed", calls_kept(dir)),
        _ => ("unfinished", calls_kept(dir)),
    };
    let idle = tail.idle_lives(calls);
    let (lives, verdict) = (tail.lives.len(), verdict.filter(|_| state == "finished"));
    format!("{}\n", json!({ "state": state, "verdict": verdict, "calls": calls, "lives": lives, "lives_without_progress": idle }))
}

/// 0 where nothing readable is kept.
fn calls_kept(dir: &Path) -> u64 {
    let recovered = crate::state::peek(&dir.join("checkpoint")).ok();
    let saved = recovered.and_then(|recovered| Saved::newest(recovered).ok()?);
    saved.map_or(0, |saved| saved.snapshot.about.totals.calls + saved.evaluations.len() as u64)
}

/// Whether somebody works on it, and what its log says last.
fn whereabouts(dir: &Path) -> String {
    let (user, tail) = (RunDir::user(dir), RunDir::tail(dir));
    let mut out = match (&tail.end, user) {
        (Some(end), _) => format!("{} stopped at {}: {}\n", dir.display(), end.time, end.why),
        (None, Some(user)) => format!("{} is not finished; it is in the hands of {user}\n", dir.display()),
        (None, None) => format!("{} is not finished, and nobody works on it\n", dir.display()),
    };
    if let Some(p) = tail.progress {
        let _ = writeln!(out, "log, {}: {}, {} calls", p.time, p.phase, text::count(p.n_like));
    }
    out
}

/// The posterior by the checkpoint, as if the run had ended there.
fn estimate(dir: &Path, about: &About, computed: Option<&Computed>, state: &[u8]) -> Result<String, String> {
    let job = read_job(dir)?;
    let sampler = sampler::restore(&about.method, state).map_err(|e| e.to_string())?;
    let posterior = sampler.posterior().map_err(|e| e.to_string())?;
    let extra = computed.map_or(Extra::default(), |computed| computed.of(&posterior));
    let fit = Fit::new(posterior, &job.space, &extra).map_err(|e| e.to_string())?;
    let facts = RunFacts {
        job: dir.display().to_string(),
        job_digest: job.digest,
        method: about.method.clone(),
        seed: job.seed,
        rejected: about.totals.rejected,
        resumes: about.totals.resumes,
        total_wall_s: about.totals.wall_s,
        ..RunFacts::default()
    };
    Ok(overview(&Summary::new(&fit, &facts)))
}

fn read_job(dir: &Path) -> Result<Job, String> {
    let source = Source::read(&dir.join("job.toml"), vec![]).map_err(|e| e.to_string())?;
    job::resolve(&job::load(source).map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

/// For a run that has no posterior yet.
fn standing(p: &Progress) -> String {
    let evidence = match p.log_z.is_nan() {
        true => String::new(),
        false => format!("log Z = {} ± {} by ", text::significant(p.log_z, 4), text::significant(p.log_z_err, 2)),
    };
    format!("{}: {evidence}{} points so far\n", p.phase, text::count(p.n_like))
}
