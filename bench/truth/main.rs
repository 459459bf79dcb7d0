//! Problems of known answers, over seeds: `truth [PROBLEM...] [--method M] [--seeds N] [--first S] [--set key=value]... [--json FILE]`.
//!
//! A PROBLEM is a name or the beginning of some; none: all that the engine is made for. Names of walls of the cube may be made up: `slope-low,4,2,1e-3`
//! (corners.rs). `--list` prints them with what is known; `--table FILE` with files of rows in place of problems writes the tables
//! of FILE below its line `<!-- tables -->`. One line a run; then, for each problem, scores: (found - true) / error of log Z, means, sds and tails at 1%.

mod bank;
#[path = "../runner.rs"]
mod runner;
mod score;
mod table;

use bank::Entry;
use fitjob::sampler::EngineSpec;
use score::{Row, measure};
use std::io::Write;
use table::mean_and_sd;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut words, mut method, mut seeds, mut first, mut json, mut set) =
        (Vec::new(), "importance-nested".to_string(), 3, 100, None, toml::Table::new());
    let (mut list, mut tables) = (false, None);
    while let Some(word) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| usage("a value is missing"));
        match word.as_str() {
            "--list" => list = true,
            "--table" => tables = Some(value()),
            "--method" => method = value(),
            "--seeds" => seeds = value().parse().unwrap_or_else(|_| usage("--seeds wants a number")),
            "--first" => first = value().parse().unwrap_or_else(|_| usage("--first wants a number")),
            "--json" => json = Some(value()),
            "--set" => set.extend(value().parse::<toml::Table>().unwrap_or_else(|e| usage(&e.to_string()))),
            flag if flag.starts_with("--") => usage("there is no such option"),
            _ => words.push(word),
        }
    }
    if let Some(path) = tables {
        return table::write(&path, &words);
    }
    let settings = set.to_string().trim_end().replace('\n', ", ");
    let spec = EngineSpec::changed(&method, set).unwrap_or_else(|e| usage(&e.to_string()));
    for entry in chosen(&words) {
        let problem = entry.problem();
        if list {
            show(&entry.name, &problem);
        } else if !words.is_empty() || !problem.unfit.contains(&spec.method()) {
            let rows: Vec<Row> = (first..first + seeds).map(|seed| measure(&entry.name, &problem, &spec, &settings, seed)).collect();
            report(&entry.name, &problem, &rows);
            json.iter().for_each(|path| append(path, &rows));
        }
    }
}

fn usage(why: &str) -> ! {
    eprintln!(
        "{why}\ntruth [PROBLEM...] [--method M] [--seeds N] [--first S] [--set key=value]... [--json FILE]\ntruth --list\ntruth --table FILE ROWS.jsonl..."
    );
    std::process::exit(2)
}

fn chosen(words: &[String]) -> Vec<Entry> {
    if words.is_empty() {
        return bank::list();
    }
    let some = |word: &String| {
        let mut found: Vec<Entry> = bank::list().into_iter().filter(|entry| entry.name.starts_with(word)).collect();
        // The name of one may be the beginning of another.
        if found.iter().any(|entry| entry.name == *word) {
            found.retain(|entry| entry.name == *word);
        } else if found.is_empty() {
            found.push(bank::wall(word).unwrap_or_else(|| usage(&format!("no problem is called {word}"))));
        }
        found
    };
    words.iter().flat_map(some).collect()
}

fn show(name: &str, problem: &bank::Problem) {
    println!("{name}: {} parameters, log Z {:.4}", problem.dim(), problem.log_z);
    for m in &problem.marginals {
        println!(
            "    {}: {:.5} +- {:.5}, {:.4} below {:.5}, {:.4} above {:.5}",
            m.name, m.mean, m.sd, m.low.1, m.low.0, m.high.1, m.high.0
        );
    }
}

fn report(name: &str, problem: &bank::Problem, rows: &[Row]) {
    println!("{name}, {} parameters, log Z {:.3}", problem.dim(), problem.log_z);
    for row in rows {
        let mark = if row.is_silent_failure() { "SILENT " } else { "" };
        println!(
            "  {:>4} {:<9} z {:>6.2} calls {:>8} n_eff {:>7.0} CPU {:>6.1} s  {mark}{}",
            row.seed,
            row.verdict,
            row.z.unwrap_or(f64::NAN),
            row.calls,
            row.n_eff,
            row.cpu_s,
            row.faults().join(", ")
        );
        row.reasons.iter().for_each(|why| println!("       {why}"));
    }
    let z: Vec<f64> = rows.iter().filter_map(|r| r.z).collect();
    let (mean, sd) = mean_and_sd(&z);
    let calls = mean_and_sd(&rows.iter().map(|r| r.calls as f64).collect::<Vec<_>>()).0;
    let worst = z.iter().fold(0.0f64, |a, z| a.max(z.abs()));
    let count = |verdict: &str| rows.iter().filter(|r| r.verdict == verdict).count();
    println!(
        "  = z {mean:+.2} sd {sd:.2} worst {worst:.1}; calls {calls:.0}; {} converged, {} doubtful, {} failed, {} errors; {} silent",
        count("converged"),
        count("doubtful"),
        count("failed"),
        count("error"),
        rows.iter().filter(|r| r.is_silent_failure()).count()
    );
    // Of each figure: mean of its scores over seeds, and of how far it is off.
    for (at, check) in rows.iter().find(|r| !r.checks.is_empty()).map_or(&[][..], |r| &r.checks).iter().enumerate() {
        let over = |f: &dyn Fn(&score::Check) -> f64| mean_and_sd(&rows.iter().filter_map(|r| r.checks.get(at)).map(f).collect::<Vec<_>>());
        let ((score, sd), (off, _)) = (over(&|c| c.score), over(&|c| c.off));
        println!("    {} {}: score {score:+.2} sd {sd:.2}, {off:+.4}", check.of, check.what);
    }
}

fn append(path: &str, rows: &[Row]) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.unwrap_or_else(|why| usage(&format!("{path} cannot be written: {why}")));
    for row in rows {
        writeln!(file, "{}", serde_json::to_string(row).expect("a row can be written")).expect("the file of figures can be written");
    }
}
