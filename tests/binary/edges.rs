//! Numbers at their edges: far tails of priors, wide logarithms, large offsets, large log L, narrow peaks, angles across their ends.

use crate::common::{fitjob, succeed, summary, text, write};
use serde_json::Value;
use std::path::Path;

/// One datum of a parameter with this prior.
fn one_datum(prior: &str, y: f64, sigma: f64) -> String {
    format!(
        "seed = 3\n[model]\nkind = \"curve\"\ny = \"y\"\nformula = \"x\"\nsigma = {sigma:e}\ndata = {{ k = [0], y = [{y:?}] }}\n\
         [parameters]\nx = {prior}\n[sampler]\n"
    )
}

fn run(folder: &Path, name: &str, job: &str) -> Value {
    let (file, out) = (folder.join(format!("{name}.toml")), folder.join(name));
    write(&file, job);
    succeed(fitjob().args(["run", "--ncores", "1", "--out"]).args([&out, &file]));
    summary(&out)
}

fn number(summary: &Value, path: &str) -> f64 {
    summary.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} of {summary}"))
}

fn near(summary: &Value, path: &str, expected: f64, tolerance: f64) {
    let value = number(summary, path);
    assert!((value - expected).abs() < tolerance, "{path} is {value}, not {expected} +- {tolerance}");
}

fn warned(summary: &Value, words: &str) -> bool {
    summary["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(words))
}

/// Prior N(0, 1) and datum y +- 1: posterior N(y/2, 1/sqrt 2), log Z = -y^2/4 - ln(4 pi)/2.
#[test]
fn prior_and_data_many_sd_apart_are_as_right_on_one_side_as_on_the_other() {
    let folder = tempfile::tempdir().unwrap();
    for y in [16.0, -16.0, 40.0] {
        for (method, settings) in [("nested", "n_live = 400"), ("nuts", "n_eff = 1000")] {
            let job = one_datum("{ prior = \"normal\", mean = 0, sd = 1 }", y, 1.0) + &format!("method = \"{method}\"\n{settings}\n");
            let s = run(folder.path(), &format!("{method}{y}"), &job);
            near(&s, "/parameters/x/mean", y / 2.0, 0.15);
            near(&s, "/parameters/x/sd", 0.5f64.sqrt(), 0.1);
            assert!(warned(&s, "prior and data disagree"), "{method} {y}: {}", s["warnings"]);
            if method != "nuts" {
                let truth = -y * y / 4.0 - 0.5 * (4.0 * std::f64::consts::PI).ln();
                near(&s, "/log_z", truth, 4.0 * number(&s, "/log_z_err").max(0.03));
                near(&s, "/best_log_like", -0.5 * (y / 2.0).powi(2) - 0.919, 1.2);
            }
        }
    }
}

/// Datum y +- 1 under exp(-x): posterior N(y - 1, 1), log Z = 1/2 - y. And ln x ~ N(0, 1), with the datum at 9 sd of the prior.
#[test]
fn one_sided_and_logarithmic_priors_reach_as_far() {
    let folder = tempfile::tempdir().unwrap();
    let s = run(folder.path(), "exponential", &(one_datum("{ prior = \"exponential\", scale = 1 }", 60.0, 1.0) + "method = \"nested\"\n"));
    near(&s, "/parameters/x/mean", 59.0, 0.15);
    near(&s, "/log_z", -59.5, 0.9);
    for sign in [1.0, -1.0] {
        let y = (sign * 9.0f64).exp();
        let job = one_datum("{ prior = \"log-normal\", mu = 0, sigma = 1 }", y, 0.01 * y) + "method = \"nuts\"\n";
        let s = run(folder.path(), &format!("log{sign}"), &job);
        // The prior falls by 9 or 10 per unit of ln x, so that the mean is 10^-3 off, in ln x.
        near(&s, "/parameters/x/mean", y, 3e-3 * y);
        near(&s, "/parameters/x/sd", 0.01 * y, 1e-3 * y);
    }
}

#[test]
fn a_log_uniform_prior_may_span_all_numbers() {
    let folder = tempfile::tempdir().unwrap();
    for (prior, decades) in [
        ("log-uniform\", min = 1e-300, max = 1e300", 600.0),
        ("power-law\", exponent = -1, min = 1e-200, max = 1e200", 400.0),
        ("log-uniform\", min = 1e-300, max = 1e10", 310.0),
    ] {
        // Decades from 1e10, drawn by a likelihood that is all but flat: their mean is half of the span.
        let job = one_datum(&format!("{{ prior = \"{prior} }}"), 0.0, 1e5).replace("\"x\"", "\"0*log10(x)\"");
        let job = job.replace("[sampler]", "[derived]\ndecade = \"log10(x)\"\n[sampler]\nmethod = \"nested\"");
        let s = run(folder.path(), "flat", &job.replace("0*log10", "1e-3*log10"));
        let middle = 0.5 * (s["parameters"]["decade"]["q2_5"].as_f64().unwrap() + s["parameters"]["decade"]["q97_5"].as_f64().unwrap());
        let top = if prior.contains("1e10") { 10.0 } else { decades / 2.0 };
        assert!((middle - (top - decades / 2.0)).abs() < 0.05 * decades, "{prior}: {middle}");
        near(&s, "/parameters/decade/sd", decades / 12f64.sqrt(), 0.03 * decades);
        std::fs::remove_dir_all(folder.path().join("flat")).unwrap();
    }
    let job = one_datum("{ prior = \"log-uniform\", min = 1e-200, max = 1e200 }", 1.0, 0.1) + "method = \"nested\"\nn_live = 4000\n";
    let s = run(folder.path(), "wide", &job);
    near(&s, "/log_z", -6.82, 0.3);
    near(&s, "/parameters/x/mean", 0.99, 0.02);
    near(&s, "/parameters/x/sd", 0.1, 0.02);
}

#[test]
fn a_small_spread_about_a_large_value_keeps_its_digits() {
    let folder = tempfile::tempdir().unwrap();
    for (at, sd) in [(1187008882.43, 1e-5), (2460000.5, 1e-7), (4.292e14, 1.0)] {
        let prior = format!("{{ prior = \"uniform\", min = {:?}, max = {:?} }}", at - 50.0 * sd, at + 50.0 * sd);
        for method in ["nuts", "ensemble", "lbfgs"] {
            let job = one_datum(&prior, at, sd) + &format!("method = \"{method}\"\n[derived]\noff = \"(x - {at:?})*3\"\n");
            let s = run(folder.path(), &format!("{method}{at}"), &job);
            if method == "lbfgs" {
                let error = number(&s, "/optimum/parameters/x/error") / sd;
                let tripled = number(&s, "/optimum/parameters/off/error") / sd;
                assert!((error - 1.0).abs() < 0.05 && (tripled - 3.0).abs() < 0.15, "{at}: {error} {tripled}");
                continue;
            }
            near(&s, "/parameters/x/mean", at, 0.12 * sd);
            near(&s, "/parameters/x/sd", sd, 0.1 * sd);
            if method == "nuts" {
                assert!(number(&s, "/parameters/x/mcse_mean") < 0.05 * sd);
            }
        }
    }
}

#[test]
fn a_peak_that_numbers_cannot_resolve_is_refused_or_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.toml");
    write(&file, &(one_datum("{ prior = \"uniform\", min = 0, max = 1 }", 0.3, 1e-20) + "method = \"nested\"\n"));
    let output = fitjob().args(["run", "--ncores", "1"]).arg(&file).arg("--out").arg(folder.path().join("spike")).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("peak in `x` at 0.") && said.contains("narrow the prior of `x`"), "{said}");
    // Eighteen numbers wide: as right as any.
    let s = run(folder.path(), "narrow", &(one_datum("{ prior = \"uniform\", min = 0, max = 1 }", 0.3, 1e-15) + "method = \"nested\"\n"));
    near(&s, "/log_z", 0.0, 4.0 * number(&s, "/log_z_err"));
    assert!(!warned(&s, "no wider than"), "{}", s["warnings"]);
}

#[test]
fn an_angle_across_its_ends_has_the_mean_and_the_quantiles_of_the_circle() {
    let folder = tempfile::tempdir().unwrap();
    for method in ["nested", "nuts"] {
        let job = format!(
            "seed = 1\n[model]\nkind = \"curve\"\ny = \"y\"\nformula = \"sin((phi - 350.)/57.29577951308232)\"\nsigma = 0.1\n\
             data = {{ k = [0, 1], y = [0.0, 0.0] }}\n[parameters]\n\
             phi = {{ prior = \"uniform\", min = 0, max = 360, periodic = true }}\nhalf = \"= where(phi > 80, where(phi < 260, 1, 0), 0)\"\n\
             [sampler]\nmethod = \"{method}\"\n"
        );
        // Of the two solutions, 350 and 170 degrees, the first: the formula of the second is sent far off.
        let job = job.replace("sin((phi", "5*half + sin((phi");
        let s = run(folder.path(), method, &job);
        near(&s, "/parameters/phi/mean", 350.0, 1.0);
        near(&s, "/parameters/phi/sd", 4.05, 0.4);
        let (low, high) = (number(&s, "/parameters/phi/q2_5"), number(&s, "/parameters/phi/q97_5"));
        assert!((low - 342.0).abs() < 2.0 && (high - 358.0).abs() < 2.0, "{low} {high}");
    }
}
