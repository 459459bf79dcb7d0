//! Chains in runs of the built binary.

use crate::common::{fitjob, succeed, summary, text, write};

/// Runs the job of this file in a folder of its own; gives the summary.
fn fit(job: &str, extra: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("fit.toml"), job);
    succeed(fitjob().current_dir(folder.path()).args(["--out", "run"]).args(extra));
    summary(&folder.path().join("run"))
}

fn agrees(summary: &serde_json::Value, name: &str, mean: f64, sd: f64) {
    let found = &summary["parameters"][name];
    let (m, s) = (found["mean"].as_f64().unwrap(), found["sd"].as_f64().unwrap());
    assert!((m - mean).abs() < 0.1 * sd, "{name}: mean {m}, reference {mean} +- {sd}");
    assert!((s / sd - 1.0).abs() < 0.1, "{name}: sd {s}, reference {sd}");
}

#[test]
fn eight_schools_agrees_with_the_reference_posterior() {
    let summary = fit(include_str!("../../examples/eight_schools.toml"), &[]);
    // posteriordb, eight_schools-eight_schools_noncentered, 10 000 draws
    let reference = [
        ("mu", 4.410518, 3.309296),
        ("tau", 3.602060, 3.198478),
        ("theta1", 6.150502, 5.615863),
        ("theta2", 4.939581, 4.645578),
        ("theta3", 3.905906, 5.280712),
        ("theta4", 4.796017, 4.770938),
        ("theta5", 3.614436, 4.614721),
        ("theta6", 4.051148, 4.796248),
        ("theta7", 6.317170, 5.002855),
        ("theta8", 4.883997, 5.317692),
    ];
    for (name, mean, sd) in reference {
        agrees(&summary, name, mean, sd);
        assert!(summary["parameters"][name]["r_hat"].as_f64().unwrap() < 1.01);
    }
    assert!(summary["log_z"].is_null() && summary["method"] == "nuts");
}

#[test]
#[ignore = "several minutes: the equations have no gradients, so each takes 17 solutions"]
fn lynx_and_hare_agree_with_the_reference_posterior_by_differences() {
    let folder = tempfile::tempdir().unwrap();
    succeed(fitjob().current_dir(folder.path()).args(["--out", "run", "--set", "sampler={method=\"nuts\", n_eff=400}"]));
    let summary = summary(&folder.path().join("run"));
    let reference =
        [("alpha", 0.546864, 0.063055), ("gamma", 0.800095, 0.089370), ("hare0", 34.035222, 2.916899), ("sigma_lynx", 0.251017, 0.043590)];
    reference.into_iter().for_each(|(name, mean, sd)| agrees(&summary, name, mean, sd));
}

#[test]
fn evaluators_that_will_find_no_work_are_told_of_before_the_run_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    write(&job, "[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n[sampler]\nmethod = \"nuts\"\nn_eff = 100\n");
    let told = |cores: &str| {
        let out = folder.path().join(cores);
        let done = succeed(fitjob().arg("run").arg(&job).args(["--ncores", cores, "--out"]).arg(&out));
        (text(&done.stderr), summary(&out)["warnings"].to_string())
    };
    let (shown, kept) = told("6");
    let cure = "about 4 calls under way at a time, and there are 6 evaluators (ranks x threads): 2 of them will mostly wait. Use fewer, or raise chains";
    assert!(shown.contains(cure) && kept.contains(cure), "{shown}{kept}");
    let (shown, kept) = told("4");
    assert!(!shown.contains("of them will mostly wait") && !kept.contains("of them will mostly wait"), "{shown}{kept}");
}
