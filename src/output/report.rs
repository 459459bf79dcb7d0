//! The end report: what came out, what it cost, where the time went, and what to do next.

use super::{Root, Summary, text};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Text of the end report of a run in `dir`.
pub fn report(summary: &Summary, dir: &Path) -> String {
    let mut out = figures(summary);
    out.push('\n');
    out.push_str(&time(summary));
    out.push_str(&warnings(summary));
    let shown = dir.display();
    let _ = write!(
        out,
        "\nwritten to {shown}: result.h5 (samples), summary.json, job.toml, log.jsonl\n\
         next: fitjob summary {shown}\n",
    );
    out
}

/// Evidence, sample size, calls: shared with `fitjob summary`.
pub fn figures(s: &Summary) -> String {
    let rejected = match s.rejected {
        0 => String::new(),
        n => format!(", {} without a likelihood rejected", text::count(n)),
    };
    format!(
        "log Z       {} ± {}\n\
         n_eff       {:.0} from {} samples\n\
         calls       {}, efficiency {}{rejected}\n\
         digest      {} (method {}, seed {})\n",
        text::to_scale(s.log_z, s.log_z_err),
        text::significant(s.log_z_err, 2),
        s.n_eff,
        text::count(s.n_samples as u64),
        text::count(s.n_like),
        text::percent(s.efficiency),
        s.digest,
        s.method,
        s.seed,
    )
}

/// Where the time of all evaluators (ranks x threads) went while the sampler ran.
fn time(s: &Summary) -> String {
    let lanes = (s.ranks * s.threads) as f64;
    let sampling = s.wall_s - s.startup_s;
    let all = lanes * sampling;
    let (tasks, root) = (s.compute_s / all, s.sampler_s / all);
    // What threads beside the sampler's own do while it thinks overlaps, so the rest can come out a little below none.
    let waiting = (1.0 - s.busy_fraction - tasks - root).max(0.0);
    let mut rows = vec![
        vec!["time".to_string(), format!("{} = {} starting + {} sampling", text::duration(s.wall_s), text::duration(s.startup_s), text::duration(sampling))],
        vec!["evaluating".to_string(), format!("{} of {}{}", text::percent(s.busy_fraction), evaluators(s), spread(s))],
        vec!["sampler".to_string(), format!("{} on the root ({}), {} in tasks of its own", text::percent(root), text::duration(s.sampler_s), text::percent(tasks))],
        vec!["waiting".to_string(), format!("{} (includes messages)", text::percent(waiting))],
    ];
    rows.iter_mut().map(|row| format!("{:<12}{}\n", row[0], row[1])).collect()
}

fn evaluators(s: &Summary) -> String {
    match (s.ranks, s.threads) {
        (1, 1) => "one evaluator".to_string(),
        (1, t) => format!("{t} threads"),
        (r, 1) => format!("{r} ranks"),
        (r, t) => format!("{r} ranks x {t} threads"),
    }
}

/// How evenly the ranks were used.
fn spread(s: &Summary) -> String {
    if s.ranks == 1 {
        return String::new();
    }
    format!(" (least busy rank {}, most {})", text::percent(s.busy_fraction_min), text::percent(s.busy_fraction_max))
}

pub fn warnings(s: &Summary) -> String {
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
