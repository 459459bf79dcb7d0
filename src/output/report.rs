//! What people read at the end of a run, and from `fitjob summary`.

use super::{ParameterSummary, Root, Summary, optimum, progress, text};
use crate::sampler::Progress;
use crate::sampler::verdict::Level;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// The end report of a run in `dir`: the answer, what it cost, where the time went, what to do next.
pub fn report(s: &Summary, dir: &Path) -> String {
    let shown = dir.display();
    format!(
        "{}\n{}{}{}\nwritten to {shown}: result.h5 (samples), summary.json, job.toml, log.jsonl{}\n\
         next: fitjob summary {shown}, or in Python arviz.from_netcdf(\"{shown}/result.h5\")\n{}",
        parameters(s),
        figures(s),
        time(s),
        warnings(s),
        if s.rejected > 0 { ", rejected.csv" } else { "" },
        last_word(s, dir),
    )
}

/// What nobody should miss: a result that is not to be used as it is.
fn last_word(s: &Summary, dir: &Path) -> String {
    match s.verdict {
        None | Some(Level::Converged) => String::new(),
        Some(Level::Doubtful) => format!("\nDOUBTFUL: {}\n", first_reason(s)),
        Some(Level::Failed) => format!(
            "\nNOT CONVERGED: {}\nto go on with a higher limit: fitjob run {} --resume --set sampler.n_like_max=N\n",
            first_reason(s),
            dir.display()
        ),
    }
}

/// The first reason of the verdict, and how many more there are.
fn first_reason(s: &Summary) -> String {
    let first = s.verdict_reasons.first().map_or("", |why| why.strip_prefix("not converged: ").unwrap_or(why));
    match s.verdict_reasons.len() {
        0 | 1 => first.to_string(),
        n => format!("{first} (and {} more: the warnings above)", n - 1),
    }
}

fn verdict(s: &Summary) -> Option<(&'static str, String)> {
    let why = if s.verdict_reasons.is_empty() { "" } else { ": see the warnings" };
    Some(("verdict", format!("{}{why}", s.verdict?)))
}

/// The report of a run in `dir` that stopped before its end. `next`: the command that goes on with it.
pub fn stopped(reason: &str, standing: &Progress, dir: &Path, next: &str) -> String {
    format!(
        "stopped: {reason}\n  {}\n  nothing is lost: {} holds every finished call\nto go on: {next}\n",
        progress::standing(standing).join("  "),
        dir.join("checkpoint").display(),
    )
}

/// The same of a run in `dir` that stopped without its sampler. `journal`: whether it keeps one.
pub fn abandoned(reason: &str, dir: &Path, journal: bool, next: &str) -> String {
    let kept = dir.join("checkpoint").display().to_string();
    let kept = match journal {
        true => format!("nothing is lost: {kept} holds every finished call"),
        false => format!("{kept} holds the run as it was at its last checkpoint (the job keeps no journal of calls)"),
    };
    format!("stopped: {reason}\n  {kept}\nto go on: {next}\n")
}

/// What `fitjob summary` prints.
pub fn overview(s: &Summary) -> String {
    format!("{} with {} on {}, {}\n\n{}\n{}{}", s.job, s.method, evaluators(s), s.created_at, parameters(s), figures(s), warnings(s))
}

/// Of an optimiser the best point, of a sampler what its posterior says.
fn parameters(s: &Summary) -> String {
    let mut out = s.optimum.as_ref().map_or_else(|| marginals(s), optimum::table);
    for (name, value) in &s.fixed {
        let _ = writeln!(out, "{name} = {:?} (fixed)", value);
    }
    out
}

/// Medians with the distances to the 84 and 16% quantiles, mean, standard deviation and best sample; of chains, how well they mixed.
fn marginals(s: &Summary) -> String {
    let chains = s.parameters.iter().any(|(_, p)| p.chains.is_some());
    let head = ["", "median", "+ (84%)", "- (16%)", "mean", "sd", "best", "R-hat", "ESS bulk", "ESS tail"];
    let shown = if chains { head.len() } else { head.len() - 3 };
    let mut rows = vec![head[..shown].iter().map(|h| h.to_string()).collect()];
    rows.extend(s.parameters.iter().map(|(name, p)| parameter(name, p)));
    text::table(&rows)
}

fn parameter(name: &str, p: &ParameterSummary) -> Vec<String> {
    let (up, down) = (p.q84 - p.q50, p.q50 - p.q16);
    // A spread of nothing (one heavy sample) still shows its digits.
    let scale = [up.min(down), up.max(down), p.sd].into_iter().find(|x| *x > 0.0).unwrap_or(f64::NAN);
    let at = |x: f64| text::to_scale(x, scale);
    let mut row = vec![name.to_string(), at(p.q50), format!("+{}", at(up)), format!("-{}", at(down)), at(p.mean), at(p.sd), at(p.best)];
    if let Some(chains) = p.chains {
        row.extend([format!("{:.3}", chains.r_hat), format!("{:.0}", chains.ess_bulk), format!("{:.0}", chains.ess_tail)]);
    }
    row
}

/// Evidence, sample size, calls.
fn figures(s: &Summary) -> String {
    let rejected = match (s.rejected, s.timed_out) {
        (0, _) => String::new(),
        (n, 0) => format!(", {} rejected for want of a likelihood", text::count(n)),
        (n, late) => {
            format!(", {} rejected for want of a likelihood ({} after the time limit of a call)", text::count(n), text::count(late))
        }
    };
    let log_z = ("log Z", format!("{} ± {}", text::to_scale(s.log_z, s.log_z_err), text::significant(s.log_z_err, 2)));
    let digest = ("digest", format!("{} (seed {})", s.digest, s.seed));
    if let Some(best) = &s.optimum {
        let calls = ("calls", format!("{}{rejected}", text::count(s.n_like)));
        let rows = [("log L", optimum::agreement(best)), calls, digest];
        return lines(&verdict(s).into_iter().chain(rows).collect::<Vec<_>>());
    }
    let rest = [
        ("n_eff", format!("{:.0} from {} samples", s.n_eff, text::count(s.n_samples as u64))),
        ("calls", format!("{}, efficiency {}{rejected}", text::count(s.n_like), text::percent(s.efficiency))),
        digest,
    ];
    let evidence = (!s.log_z.is_nan()).then_some(log_z);
    lines(&verdict(s).into_iter().chain(evidence).chain(rest).collect::<Vec<_>>())
}

/// Where the time of all evaluators (ranks x threads) went while the sampler ran.
fn time(s: &Summary) -> String {
    let sampling = s.wall_s - s.startup_s;
    let all = (s.ranks * s.threads) as f64 * sampling;
    let waiting = 1.0 - s.busy_fraction - (s.compute_s + s.sampler_s) / all;
    let waiting = match waiting {
        // The sampler's work may run on threads beside the evaluators, or on a core shared with them.
        w if w < 0.0 => "none: the sampler's work overlapped the evaluations".to_string(),
        w => format!("{} for answers, messages and the root", text::percent(w)),
    };
    let seconds = text::duration;
    let rows = [
        ("time", format!("{} = {} to start + {} to sample{}", seconds(s.wall_s), seconds(s.startup_s), seconds(sampling), lives(s))),
        ("evaluating", format!("{} of {}{}", text::percent(s.busy_fraction), evaluators(s), spread(s))),
        ("sampler", format!("{} on the root, {} in its tasks on all threads", seconds(s.sampler_s), seconds(s.compute_s))),
        ("waiting", waiting),
    ];
    lines(&rows)
}

fn lives(s: &Summary) -> String {
    match s.resumes {
        0 => String::new(),
        1 => format!(" ({} in all, resumed once)", text::duration(s.total_wall_s)),
        n => format!(" ({} in all, resumed {n} times)", text::duration(s.total_wall_s)),
    }
}

fn lines(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(head, text)| format!("{head:<12}{text}\n")).collect()
}

fn evaluators(s: &Summary) -> String {
    match (s.ranks, s.threads) {
        (0, _) => "its way".to_string(),
        (1, 1) => "one core".to_string(),
        (1, t) => format!("{t} threads"),
        (r, 1) => format!("{r} ranks"),
        (r, t) => format!("{r} ranks x {t} threads"),
    }
}

/// How evenly the ranks were used.
fn spread(s: &Summary) -> String {
    match s.ranks {
        0 | 1 => String::new(),
        _ => format!(" (least busy rank {}, most {})", text::percent(s.busy_fraction_min), text::percent(s.busy_fraction_max)),
    }
}

fn warnings(s: &Summary) -> String {
    s.warnings.iter().map(|warning| format!("\nwarning: {warning}\n")).collect()
}

/// To stdout. A reader that has closed the pipe (`| head`) has seen what it wanted: that is no error.
pub fn print(_root: &Root, text: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(e) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        && e.kind() != std::io::ErrorKind::BrokenPipe
    {
        log::warn!("cannot write to stdout: {e}");
    }
}
