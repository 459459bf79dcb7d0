//! Rows of many runs as tables of a Markdown file.

use super::score::Row;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Below this line of the file everything is written anew.
const MARK: &str = "<!-- tables -->\n";

pub fn write(path: &str, files: &[String]) {
    let rows: Vec<Row> = files.iter().flat_map(|file| read(file)).collect();
    let text = std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{path} cannot be read: {why}"));
    let (head, _) = text.split_once(MARK).unwrap_or_else(|| panic!("{path} has no line {MARK}"));
    std::fs::write(path, format!("{head}{MARK}{}", tables(&rows))).unwrap_or_else(|why| panic!("{path} cannot be written: {why}"));
}

fn read(file: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|why| panic!("{file} cannot be read: {why}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{file}: {why}"))).collect()
}

fn tables(rows: &[Row]) -> String {
    let mut engines: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| engines.entry(&row.method).or_default().push(row));
    let mut out = String::from(
        "\n## All problems together\n\n| engine | runs | converged | doubtful | failed | z where converged | sd | silent failures | on |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (engine, rows) in &engines {
        let count = |verdict: &str| rows.iter().filter(|r| r.verdict == verdict).count();
        let z: Vec<f64> = rows.iter().filter(|r| r.verdict == "converged").filter_map(|r| r.z).collect();
        let (mean, sd) = mean_and_sd(&z);
        let silent: Vec<&&Row> = rows.iter().filter(|r| r.is_silent_failure()).collect();
        let mut names: Vec<&str> = silent.iter().map(|r| r.problem.as_str()).collect();
        names.dedup();
        let failed = count("failed") + count("error");
        let (mean, sd) = if z.is_empty() { (String::new(), String::new()) } else { (format!("{mean:+.2}"), format!("{sd:.2}")) };
        let _ = writeln!(
            out,
            "| {engine} | {} | {} | {} | {failed} | {mean} | {sd} | {} | {} |",
            rows.len(),
            count("converged"),
            count("doubtful"),
            silent.len(),
            names.join(", ")
        );
    }
    for (engine, rows) in &engines {
        let _ = write!(
            out,
            "\n## {engine}\n\n| problem | seeds | z | sd | worst | mean | sd | tails | calls | verdicts | silent |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for of_problem in rows.chunk_by(|a, b| a.problem == b.problem) {
            let _ = writeln!(out, "{}", line(of_problem));
        }
    }
    out
}

fn line(rows: &[&Row]) -> String {
    let z: Vec<f64> = rows.iter().filter_map(|r| r.z).collect();
    let (mean, sd) = mean_and_sd(&z);
    let worst = z.iter().fold(0.0f64, |a, z| a.max(z.abs()));
    let z = if z.is_empty() { "| | |".into() } else { format!("{mean:+.2} | {sd:.2} | {worst:.1} |") };
    let farthest = |of: &[&str]| {
        let worst = rows.iter().map(|r| farthest_of(r, of)).fold(0.0f64, |a, s| if s.abs() > a.abs() { s } else { a });
        format!("{worst:+.1}")
    };
    let count = |verdict: &str| rows.iter().filter(|r| r.verdict == verdict).count();
    let calls = mean_and_sd(&rows.iter().map(|r| r.calls as f64).collect::<Vec<_>>()).0;
    format!(
        "| {} | {} | {z} {} | {} | {} | {:.0}k | {}/{}/{} | {} |",
        rows[0].problem,
        rows.len(),
        farthest(&["mean"]),
        farthest(&["sd"]),
        farthest(&["low", "high"]),
        calls / 1000.0,
        count("converged"),
        count("doubtful"),
        count("failed") + count("error"),
        rows.iter().filter(|r| r.is_silent_failure()).count()
    )
}

/// The largest score of means, sds or tails (`of` these words).
fn farthest_of(row: &Row, of: &[&str]) -> f64 {
    let scores = row.checks.iter().filter(|c| of.contains(&c.what.as_str())).map(|c| c.score);
    scores.fold(0.0, |worst: f64, s| if s.abs() > worst.abs() || s.is_nan() { s } else { worst })
}

pub fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}
