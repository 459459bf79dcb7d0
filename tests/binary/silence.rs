//! What is obviously amiss with a job is told of: by `fitjob check`, in summary.json and in the report.

use crate::common::{fitjob, succeed, summary, text, write};
use std::path::Path;

/// The output of `check`, the warnings of a run, and its report.
fn told(folder: &Path, job: &str) -> (String, String, String) {
    let (file, out) = (folder.join("job.toml"), folder.join("out"));
    write(&file, job);
    let checked = fitjob().arg("check").arg(&file).output().unwrap();
    let report = succeed(fitjob().args(["run", "--ncores", "2", "--force", "--out"]).args([&out, &file]));
    (text(&checked.stdout), summary(&out)["warnings"].to_string(), text(&report.stdout))
}

fn all_say(job: &str, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (check, warnings, report) = told(folder.path(), job);
    for (where_, said) in [("check", check), ("summary.json", warnings), ("the report", report)] {
        assert!(said.contains(words), "{where_} does not say \"{words}\": {said}");
    }
}

fn none_says(job: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (check, warnings, _) = told(folder.path(), job);
    for said in [check, warnings] {
        words.iter().for_each(|word| assert!(!said.contains(word), "\"{word}\": {said}"));
    }
}

/// A line through data.
fn line(formula: &str, y: &str, sigma: &str, prior_a: &str) -> String {
    format!(
        "seed = 1\n[model]\nkind = \"curve\"\ny = \"y\"\nformula = \"{formula}\"\nsigma = {sigma}\n\
         data = {{ x = [0, 1, 2, 3, 4, 5, 6, 7], y = [{y}] }}\n[parameters]\na = {prior_a}\n\
         b = {{ prior = \"uniform\", min = -20, max = 20 }}\n[sampler]\nmethod = \"nested\"\nn_live = 200\n"
    )
}

const GOOD: &str = "0.2, 1.1, 2.3, 2.8, 4.1, 4.9, 6.2, 6.8";
const WIDE: &str = "{ prior = \"uniform\", min = -10, max = 10 }";

#[test]
fn nothing_is_said_of_a_good_job() {
    none_says(&line("a*x + b", GOOD, "0.2", WIDE), &["warning", "chi^2", "piled", "reproducible"]);
}

#[test]
fn a_random_likelihood_is_told_of() {
    // Noise of its own in log L, as of a script with unseeded random numbers: here its process number.
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("noisy.sh");
    let awk = "awk -v k=$$ '{ s += $2*$2 } END { print -0.5*s + 0.001*k }' parameters.txt > result.txt";
    write(&script, &format!("#!/bin/sh\n{awk}\n"));
    let job = format!(
        "[model]\nkind = \"command\"\nmode = \"once\"\ncommand = [\"sh\", \"{}\"]\n[parameters]\na = {WIDE}\n[sampler]\nmethod = \"nested\"\nn_live = 20\nn_like_max = 60\n",
        script.display()
    );
    let file = folder.path().join("job.toml");
    write(&file, &job);
    let checked = fitjob().args(["check", "--draws", "5"]).arg(&file).output().unwrap();
    assert!(text(&checked.stdout).contains("log L is not reproducible"), "{}", text(&checked.stdout));
    let out = folder.path().join("out");
    let run = fitjob().args(["run", "--ncores", "2", "--out"]).args([&out, &file]).output().unwrap();
    assert!(text(&run.stderr).contains("log L is not reproducible"), "{}", text(&run.stderr));
    assert!(summary(&out)["warnings"].to_string().contains("log L is not reproducible"), "{}", summary(&out));
}

#[test]
fn a_constant_likelihood_is_told_of() {
    all_say(&line("0*a + 0*b + x", GOOD, "0.2", WIDE), "it does not depend on the parameters");
}

#[test]
fn a_parameter_without_effect_is_named_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let (check, ..) = told(folder.path(), &line("a*x + floor(0.01*abs(b))", GOOD, "0.2", WIDE));
    assert!(check.contains("`b` changes no log L") && !check.contains("`a` changes"), "{check}");
}

#[test]
fn a_posterior_at_the_edges_of_its_priors_is_told_of_with_parameter_and_end() {
    // The slope is 1; the prior ends at 0.9.
    let job = line("a*x + b", GOOD, "0.02", "{ prior = \"uniform\", min = -10, max = 0.9 }");
    let folder = tempfile::tempdir().unwrap();
    let (check, warnings, _) = told(folder.path(), &job);
    assert!(check.contains("`a` = 0.9") && check.contains("upper end"), "{check}");
    assert!(
        warnings.contains("posterior of `a` is piled up at the edge of its prior") && warnings.contains("upper end, 0.9"),
        "{warnings}"
    );
    assert!(!warnings.contains("posterior of `b` is piled"), "{warnings}");
}

#[test]
fn a_fit_that_does_not_describe_its_data_is_told_of_on_either_side() {
    all_say(&line("a*x + b", "0.2, 5.1, -2.3, 2.8, 9.1, 4.9, 3.2, 6.8", "0.2", WIDE), "the model does not describe these data");
    all_say(&line("a*x + b", GOOD, "5.0", WIDE), "scatter far less than their errors say");
    // A scatter that is fitted makes up for it.
    none_says(
        &line("a*x + 0*b", "0.2, 5.1, -2.3, 2.8, 9.1, 4.9, 3.2, 6.8", "\"abs(b) + 0.01\"", WIDE),
        &["does not describe", "scatter far less"],
    );
}

#[test]
fn the_predictive_p_value_is_in_the_middle_for_a_model_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    told(folder.path(), &line("a*x + b", GOOD, "0.15", WIDE));
    let diagnostics = &summary(&out)["diagnostics"];
    let p = diagnostics["posterior_predictive_p"].as_f64().unwrap();
    assert!((0.05..0.95).contains(&p) && diagnostics["chi2_data"] == 8.0, "{diagnostics}");
}
