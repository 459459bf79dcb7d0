//! The comparison for people and for scripts, with what must be kept in mind.

use super::{Agreement, Entry, Evidence, agreement, evidence};
use crate::output::text;
use crate::sampler::verdict::Level;
use serde::Serialize;
use std::fmt::Write as _;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The run that the others are compared with.
    pub null: String,
    pub runs: Vec<Evidence>,
    /// Of runs that ask the same question.
    pub agreement: Vec<Agreement>,
    pub warnings: Vec<String>,
}

impl Comparison {
    /// `null`: index of the null model's run.
    pub fn of(entries: &[Entry], null: usize) -> Comparison {
        let (runs, agreement) = (evidence(entries, null), agreement(entries));
        let warnings = [unread(entries), unsure(&runs), data(entries, null), disagreements(&agreement), undefined(&runs)].concat();
        Comparison { null: entries[null].name.clone(), runs, agreement, warnings }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data") + "\n"
    }

    pub fn to_text(&self) -> String {
        let mut out = format!("ln B: log Z less that of {}\n\n{}", self.null, text::table(&self.evidences()));
        let corrected = self.runs.iter().any(|run| run.ln_b_corrected.is_finite() && run.ln_b_corrected != run.ln_b);
        if corrected {
            out += "\ncorrected: less the log of the integral of the squared prior, so that priors wider than need be do not count \
                    against a model; it depends on the units and the form in which parameters are given\n";
        }
        for pair in &self.agreement {
            let _ = write!(out, "\n{} and {} ask the same question: {}", pair.a, pair.b, pair.verdict);
            if !pair.log_z_z.is_nan() {
                let (difference, z) = (text::significant(pair.log_z_difference, 2), text::significant(pair.log_z_z, 2));
                let _ = write!(out, "; log Z by {difference} ({z} standard errors)");
            }
            let _ = write!(out, "\n{}", text::table(&quantities(pair)));
        }
        out.extend(self.warnings.iter().map(|warning| format!("\nwarning: {warning}\n")));
        out
    }

    fn evidences(&self) -> Vec<Vec<String>> {
        let head = ["run", "method", "verdict", "free", "log Z", "ln B", "sigma", "corrected", "sigma", "strength of ln B"];
        let short = |x: f64| if x.is_nan() { "-".into() } else { text::significant(x, 3) };
        let with_error = |x: f64, error: f64| match x.is_nan() {
            true => "-".to_string(),
            false => format!("{} ± {}", text::to_scale(x, error), text::significant(error, 2)),
        };
        let row = |run: &Evidence| {
            let free = run.n_free.map_or("?".into(), |n| n.to_string());
            let ln_b = if run.strength == "null" { "0".into() } else { with_error(run.ln_b, run.ln_b_err) };
            let (log_z, strength) = (with_error(run.log_z, run.log_z_err), run.strength.clone());
            let corrected = if run.strength == "null" { short(0.0) } else { with_error(run.ln_b_corrected, run.ln_b_err) };
            let name = run.run.clone();
            let verdict = run.verdict.map_or("-".into(), |level| level.to_string());
            vec![name, run.method.clone(), verdict, free, log_z, ln_b, short(run.sigma), corrected, short(run.sigma_corrected), strength]
        };
        [vec![head.map(String::from).to_vec()], self.runs.iter().map(row).collect()].concat()
    }
}

/// Differences of each quantity with their significance.
fn quantities(pair: &Agreement) -> Vec<Vec<String>> {
    let head = ["", "mean, in sd", "std errors", "sd ratio", "std errors", "distance", "p"].map(String::from).to_vec();
    let row = |q: &super::Compared| {
        let figures = [(q.shift, 3), (q.shift_z, 1), (q.sd_ratio, 3), (q.sd_ratio_z, 1), (q.distance, 3)];
        let figures = figures.map(|(x, decimals)| format!("{x:.decimals$}"));
        [vec![q.name.clone()], figures.to_vec(), vec![text::significant(q.p, 2)]].concat()
    };
    [vec![head], pair.parameters.iter().map(row).collect()].concat()
}

/// Jobs that cannot be read any more.
fn unread(entries: &[Entry]) -> Vec<String> {
    let why = |entry: &Entry| {
        let why = entry.job.as_ref().err()?;
        Some(format!("{}: its job can no longer be read, so its priors and its question are not known: {why}", entry.name))
    };
    entries.iter().filter_map(why).collect()
}

/// Runs that warn of their own results.
fn unsure(runs: &[Evidence]) -> Vec<String> {
    let words = |level| match level {
        Level::Converged => None,
        Level::Doubtful => Some("is doubtful by its own checks (`fitjob summary` says why)"),
        Level::Failed => Some("has not converged: it has no result to compare yet"),
    };
    runs.iter().filter_map(|run| Some(format!("{} {}", run.run, words(run.verdict?)?))).collect()
}

/// A Bayes factor is about two explanations of the same data.
fn data(entries: &[Entry], null: usize) -> Vec<String> {
    let observed = |entry: &Entry| entry.job.as_ref().map(|job| job.model.observed()).unwrap_or_default();
    // The same numbers under other names are the same data.
    let values = |entry: &Entry| {
        let mut values: Vec<Vec<u64>> = observed(entry).into_iter().map(|(_, v)| v.iter().map(|x| x.to_bits()).collect()).collect();
        values.sort();
        values
    };
    let (zero, known) = (&entries[null], values(&entries[null]));
    let told = |entry: &Entry| match values(entry) {
        _ if entry.job.is_err() || zero.job.is_err() || entry.question() == zero.question() => None,
        own if own.is_empty() || known.is_empty() => Some(format!(
            "whether {} and {} explain the same data is not known to fitjob: a Bayes factor means something only if they do",
            entry.name, zero.name
        )),
        own if own != known => Some(format!(
            "{} and {} were fitted to different data: the difference of their log Z is no Bayes factor, and means nothing",
            entry.name, zero.name
        )),
        _ => None,
    };
    entries.iter().filter_map(told).collect()
}

fn disagreements(pairs: &[Agreement]) -> Vec<String> {
    let words = "give different answers to the same question: at least one is wrong; look at their warnings, and run them again with more \
                 live points, steps or chains";
    pairs.iter().filter(|pair| pair.verdict == "differ").map(|pair| format!("{} and {} {words}", pair.a, pair.b)).collect()
}

fn undefined(runs: &[Evidence]) -> Vec<String> {
    let infinite = runs.iter().filter(|run| run.n_free.is_some() && run.log_z_prior.is_nan());
    let words = "a prior's squared density has no integral, so its Bayes factor cannot be corrected for its priors";
    infinite.map(|run| format!("{}: {words}", run.run)).collect()
}
