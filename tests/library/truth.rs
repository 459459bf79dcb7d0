//! The bank of bench/truth: its truths hold at another resolution, and engines are right on it or say that they are not.

#[path = "../../bench/truth/bank/mod.rs"]
mod bank;
#[path = "../../bench/runner.rs"]
mod runner;
#[path = "../../bench/truth/score.rs"]
mod score;

use crate::support::spec;
use score::{Row, measure};

/// Rows of one engine on these problems (all that it is fit for, if none is named).
fn rows(method: &str, names: &[&str], seeds: std::ops::Range<u64>) -> Vec<Row> {
    let spec = spec(method, "");
    let mut rows = Vec::new();
    for entry in bank::list().iter().filter(|entry| names.is_empty() || names.contains(&entry.name.as_str())) {
        let problem = entry.problem();
        if !problem.unfit.contains(&spec.method()) {
            rows.extend(seeds.clone().map(|seed| measure(&entry.name, &problem, &spec, "", seed)));
        }
    }
    rows
}

#[track_caller]
fn no_failure_is_silent(rows: &[Row]) {
    let silent: Vec<String> = rows
        .iter()
        .filter(|r| r.is_silent_failure())
        .map(|r| format!("{} seed {}: {}", r.problem, r.seed, r.faults().join(", ")))
        .collect();
    assert!(silent.is_empty(), "{} of {} runs are wrong and say that they converged:\n{}", silent.len(), rows.len(), silent.join("\n"));
}

#[test]
fn the_bank_has_thirty_problems_and_more_of_different_names() {
    let mut names: Vec<String> = bank::list().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names.dedup();
    assert!(names.len() == bank::list().len() && names.len() >= 30, "{}", names.len());
    assert!(bank::wall("slope-low,4,2,1e-3").is_some() && bank::wall("slope-inside,4,2,1e-3").is_none());
}

#[test]
fn cheap_problems_of_the_bank_are_right_by_engines_of_three_kinds() {
    let cheap = ["slope-turns,3,3,1e-1", "line-far-prior-2", "logistic-3", "banana-2", "separated-2", "poisson-3"];
    for method in ["importance-nested", "nested", "ensemble"] {
        let rows = rows(method, &cheap, 0..1);
        assert_eq!(rows.len(), cheap.len());
        no_failure_is_silent(&rows);
        // Most of what is easy is not doubted.
        let doubted: Vec<&String> = rows.iter().filter(|r| r.verdict != "converged").flat_map(|r| &r.reasons).collect();
        assert!(doubted.len() <= cheap.len() / 2, "{method}: {doubted:#?}");
    }
}

#[test]
#[ignore = "half a minute"]
fn truths_by_quadrature_are_the_same_at_another_resolution() {
    let mut bad = Vec::new();
    for entry in bank::list() {
        let (a, b) = (entry.problem(), entry.at_resolution(1.31));
        if (a.log_z - b.log_z).abs() > 1e-3 {
            bad.push(format!("{}: log Z {} and {}", entry.name, a.log_z, b.log_z));
        }
        for (a, b) in a.marginals.iter().zip(&b.marginals).filter(|(a, _)| a.sd.is_finite()) {
            if (a.mean - b.mean).abs() > 0.005 * a.sd || (a.sd / b.sd - 1.0).abs() > 0.005 {
                bad.push(format!("{}, {}: mean {} and {}, sd {} and {}", entry.name, a.name, a.mean, b.mean, a.sd, b.sd));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
#[ignore = "twenty minutes"]
fn no_engine_fails_silently_on_the_whole_bank() {
    for method in ["importance-nested", "nested", "smc", "nuts", "ensemble"] {
        no_failure_is_silent(&rows(method, &[], 0..1));
    }
}
