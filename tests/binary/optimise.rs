//! Optimisers in runs of the built binary.

use crate::common::{fitjob, succeed, summary, text, write};

const ALL: [&str; 3] = ["cmaes", "lbfgs", "nelder-mead"];

const JOB: &str = r#"
[model]
kind = "curve"
y = "y"
formula = "a*x + b"
sigma = 0.5
data = { x = [1, 2, 3, 4], y = [1.1, 2.3, 2.9, 4.2] }
[parameters]
a = { prior = "normal", mean = 0, sd = 3 }
b = { prior = "uniform", min = 0.5, max = 5 }
[derived]
twice = "2*a"
"#;

#[test]
fn report_and_summary_show_the_best_point_with_errors_and_what_is_at_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    for method in ALL {
        let (file, out) = (folder.path().join(format!("{method}.toml")), folder.path().join(method));
        write(&file, &format!("{JOB}[sampler]\nmethod = \"{method}\"\n"));
        let said = text(&succeed(fitjob().arg(&file).arg("--out").arg(&out)).stdout);
        let found = summary(&out);
        let a = &found["optimum"]["parameters"]["a"];
        // Least squares with b held at 0.5: a = sum x (y - b) / sum x^2, error 0.5 / sqrt(sum x^2).
        assert!((a["value"].as_f64().unwrap() - 26.2 / 30.0).abs() < 1e-4, "{method}: {a}");
        assert!((a["error"].as_f64().unwrap() / (0.5 / 30f64.sqrt()) - 1.0).abs() < 1e-2, "{method}: {a}");
        let twice = found["optimum"]["parameters"]["twice"]["error"].as_f64().unwrap();
        assert!((twice / a["error"].as_f64().unwrap() - 2.0).abs() < 1e-6, "{method}: {twice}");
        assert_eq!(found["optimum"]["parameters"]["b"]["at_bound"], "lower", "{method}");
        assert!(found["parameters"]["a"]["q50"].is_null() && found["log_z"].is_null(), "{method}");
        assert!(said.contains("± error") && said.contains("at the lower end of its prior") && said.contains("searches agree"), "{said}");
        assert!(!said.contains("median"), "{said}");
    }
}
