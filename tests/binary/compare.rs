//! `fitjob compare`: Bayes factors against closed forms, agreement of methods, and the warnings that keep figures honest.

use crate::common::{fitjob, succeed, text, write};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const DATA: &str = "x = [-2, -1, 0, 1, 2]\ny = [0.5, 0.6, 1.1, 1.3, 1.4]\n";

fn job(formula: &str, slope: &str, data: &str, seed: u64) -> String {
    format!(
        "seed = {seed}\n[model]\nkind = \"curve\"\ny = \"y\"\nformula = \"{formula}\"\nsigma = 0.5\n[model.data]\n{data}\n[parameters]\n\
         a = {{ prior = \"normal\", mean = 1, sd = 1 }}\n{slope}\n[sampler]\nn_live = 200\nn_eff = 3000\nn_networks = 0\n"
    )
}

fn line(data: &str, seed: u64) -> String {
    job("a + b*x", "b = { prior = \"normal\", mean = 0, sd = 2 }", data, seed)
}

fn constant() -> String {
    job("a", "", DATA, 1)
}

fn run(folder: &Path, name: &str, job: &str) -> PathBuf {
    let (file, out) = (folder.join(format!("{name}.toml")), folder.join(name));
    write(&file, job);
    succeed(fitjob().arg("run").arg(&file).arg("--out").arg(&out));
    out
}

fn compare(dirs: &[&PathBuf], extra: &[&str]) -> String {
    text(&succeed(fitjob().arg("compare").args(dirs).args(extra)).stdout)
}

fn compare_json(dirs: &[&PathBuf], extra: &[&str]) -> Value {
    serde_json::from_str(&compare(dirs, &[extra, &["--json"]].concat())).unwrap()
}

#[test]
fn bayes_factors_are_those_of_the_closed_form_and_corrected_by_the_squared_priors() {
    let folder = tempfile::tempdir().unwrap();
    let (flat, sloped) = (run(folder.path(), "flat", &constant()), run(folder.path(), "sloped", &line(DATA, 1)));
    let found = compare_json(&[&flat, &sloped], &[]);
    // Normal in both: with S = sum x^2 = 10, sum x y = 2.5 and t = S sd_b^2 / sigma^2 = 160
    let ln_b = 0.5 * 4.0 * 6.25 / 0.0625 / 161.0 - 0.5 * 161f64.ln();
    let run = &found["runs"][1];
    let (value, error) = (run["ln_b"].as_f64().unwrap(), run["ln_b_err"].as_f64().unwrap());
    assert!((value - ln_b).abs() < 4.0 * error && error < 0.1, "{value} ± {error}, {ln_b}");
    // ln of the integral of a squared N(0, 2): -ln(4 sqrt(pi))
    let corrected = run["ln_b_corrected"].as_f64().unwrap();
    assert!((corrected - value - (4.0 * std::f64::consts::PI.sqrt()).ln()).abs() < 1e-12, "{corrected} {value}");
    let sigma = run["sigma"].as_f64().unwrap();
    assert!((sigma + (2.0 * value.abs()).sqrt()).abs() < 1e-12, "{sigma}");
    assert_eq!(found["warnings"], serde_json::json!([]));
    assert_eq!(found["agreement"], serde_json::json!([]), "they ask different questions");
    let turned = compare_json(&[&flat, &sloped], &["--null", sloped.to_str().unwrap()]);
    assert_eq!(turned["runs"][0]["ln_b"].as_f64().unwrap(), -value);
    let told = compare(&[&sloped], &["--null", flat.to_str().unwrap()]);
    assert!(told.contains("flat\n") && told.contains("positive against it") && told.contains("corrected:"), "{told}");
}

#[test]
fn runs_of_one_question_agree_or_are_said_to_differ() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|seed| run(folder.path(), &format!("seed{seed}"), &line(DATA, seed)));
    let again = run(folder.path(), "again", &line(DATA, 1));
    let found = compare_json(&[&one, &two, &again], &[]);
    let pairs = found["agreement"].as_array().unwrap();
    assert_eq!(pairs.iter().map(|p| p["verdict"].as_str().unwrap()).collect::<Vec<_>>(), ["agree", "the same bits"]);
    for q in pairs[0]["parameters"].as_array().unwrap() {
        let of = |key: &str| q[key].as_f64().unwrap();
        assert!(of("shift").abs() < 0.1 && of("shift_z").abs() < 4.0 && (of("sd_ratio") - 1.0).abs() < 0.1 && of("p") > 1e-3, "{q}");
    }
    // A posterior that was shifted by 10 sds of the evidence's error.
    let summary = two.join("summary.json");
    let mut value: Value = serde_json::from_str(&fs::read_to_string(&summary).unwrap()).unwrap();
    value["log_z"] = (value["log_z"].as_f64().unwrap() + 20.0 * value["log_z_err"].as_f64().unwrap()).into();
    write(&summary, &value.to_string());
    let told = compare(&[&one, &two], &[]);
    assert!(told.contains("ask the same question: differ") && told.contains("at least one is wrong"), "{told}");
}

#[test]
fn different_data_are_no_bayes_factor_and_unknown_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let one = run(folder.path(), "one", &line(DATA, 1));
    let other = run(folder.path(), "other", &line(&DATA.replace("1.4", "1.5"), 1));
    let told = compare(&[&one, &other], &[]);
    assert!(told.contains("were fitted to different data") && !told.contains("same question"), "{told}");
    let problem =
        run(folder.path(), "problem", "[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n[sampler]\nn_live = 200\nn_eff = 500\n");
    let told = compare(&[&one, &problem], &[]);
    assert!(told.contains("is not known to fitjob"), "{told}");
    fs::remove_file(other.join("job.toml")).unwrap();
    let told = compare(&[&one, &other], &[]);
    assert!(told.contains("its job can no longer be read"), "{told}");
}

#[test]
fn one_run_alone_and_a_directory_without_a_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let alone = fitjob().arg("compare").arg(folder.path()).output().unwrap();
    assert!(alone.status.code() == Some(2) && text(&alone.stderr).contains("nothing to be compared with"));
    let empty = fitjob().arg("compare").args([folder.path(), Path::new("nowhere")]).output().unwrap();
    assert!(empty.status.code() == Some(5) && text(&empty.stderr).contains("holds no run"), "{}", text(&empty.stderr));
}

#[test]
fn methods_are_listed_with_what_they_give_and_need() {
    let told = text(&succeed(fitjob().arg("methods")).stdout);
    assert!(told.contains("importance-nested (also called nautilus") && told.contains("and log Z") && told.contains("256 calls"), "{told}");
    let found: Value = serde_json::from_slice(&succeed(fitjob().args(["methods", "--json", "--dim", "3"])).stdout).unwrap();
    let first = &found[0];
    assert!(first["evidence"] == true && first["gradient"] == false && first["parameters"] == 3, "{first}");
}
