//! Simulation-based calibration: right jobs pass, wrong ones are found out, and the ranks are the same bits on any machine.

use crate::common::calibration::{LINE, said, sbc};
use crate::common::{fitjob, succeed, text, write};
use std::fs;
use std::path::Path;

fn results(folder: &Path, out: &str) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(folder.join(out).join("sbc.json")).unwrap()).unwrap()
}

#[test]
fn a_right_model_is_calibrated_in_every_parameter_derived_quantity_and_the_likelihood() {
    let folder = tempfile::tempdir().unwrap();
    let output = sbc(fitjob(), folder.path(), LINE, "out", &["--sims", "60"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("\ncalibrated:"), "{}", said(&output));
    let found = results(folder.path(), "out");
    let names: Vec<&str> = found["results"].as_array().unwrap().iter().map(|q| q["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "height", "log L"]);
    assert!(found["results"].as_array().unwrap().iter().all(|q| q["chi2_p"].as_f64().unwrap() > 1e-3), "{found}");
    let csv = fs::read_to_string(folder.path().join("out/ranks.csv")).unwrap();
    assert!(csv.starts_with("simulation,n_eff,n_like,attempts,a,b,height,log L\n0,") && csv.lines().count() == 61, "{csv}");
    let summary = succeed(fitjob().arg("summary").arg(folder.path().join("out")));
    assert!(text(&summary.stdout).contains("60 of 60 simulations"), "{}", text(&summary.stdout));
}

#[test]
fn a_model_that_thinks_its_errors_smaller_than_they_are_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth.toml");
    write(&truth, &LINE.replace("sigma = 0.5", "sigma = 1.2"));
    let output = sbc(fitjob(), folder.path(), LINE, "out", &["--sims", "60", "--truth", truth.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the posterior of a is too narrow") && said(&output).contains("not calibrated"), "{}", said(&output));
}

#[test]
fn a_prior_that_is_not_the_truths_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth.toml");
    write(&truth, &LINE.replace("mean = 1, sd = 1", "mean = 7, sd = 1"));
    let output = sbc(fitjob(), folder.path(), LINE, "out", &["--sims", "60", "--truth", truth.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the posterior of a is too low"), "{}", said(&output));
}

#[test]
fn a_calibration_out_of_time_keeps_what_is_done_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let output = sbc(fitjob(), folder.path(), LINE, "out", &["--sims", "20", "--ncores", "1", "--time-limit", "0.001"]);
    assert_eq!(output.status.code(), Some(75), "{}", said(&output));
    assert!(said(&output).contains("stopped after 1 of 20 simulations") && said(&output).contains("--resume"), "{}", said(&output));
    let output = sbc(fitjob(), folder.path(), LINE, "out", &["--sims", "20", "--resume"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
    assert_eq!(results(folder.path(), "out")["trials"].as_array().unwrap().len(), 20);
}

#[test]
fn what_cannot_be_calibrated_is_refused_in_words_before_any_fit() {
    let problem = "[model]\nkind = \"problem\"\nname = \"rosen2\"\n";
    let by_data = LINE.replace("sigma = 0.5", "sigma = \"0.1*abs(y) + 0.1\"");
    let few = LINE.replace("n_eff = 600", "n_eff = 80");
    for (job, extra, words) in [
        (problem, vec![], "cannot draw data"),
        (&by_data, vec![], "depends on the data `y`"),
        (&few, vec![], "too few for 99 independent draws"),
        (LINE, vec!["--draws", "50"], "take 59"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = sbc(fitjob(), folder.path(), job, "out", &extra);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
        assert!(!folder.path().join("out").exists(), "{words}");
    }
}

#[test]
fn a_directory_of_another_job_or_of_a_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let done = sbc(fitjob(), folder.path(), LINE, "out", &["--sims", "20"]);
    assert!(matches!(done.status.code(), Some(0 | 1)), "{}", said(&done));
    let again = sbc(fitjob(), folder.path(), LINE, "out", &["--sims", "20"]);
    assert_eq!(again.status.code(), Some(5), "{}", said(&again));
    let other = sbc(fitjob(), folder.path(), &LINE.replace("seed = 4", "seed = 5"), "out", &["--sims", "20", "--resume"]);
    assert!(other.status.code() == Some(5) && said(&other).contains("another job"), "{}", said(&other));
    succeed(fitjob().arg("run").arg(folder.path().join("job.toml")).arg("--out").arg(folder.path().join("run")));
    let run = sbc(fitjob(), folder.path(), LINE, "run", &["--sims", "20", "--resume=auto"]);
    assert!(run.status.code() == Some(5) && said(&run).contains("holds a run of `fitjob run`"), "{}", said(&run));
}
