//! The verdict of a run on its own result: in its files, its last lines and its exit code.

use crate::common::{fitjob, succeed, summary, text, write};
use serde_json::json;
use std::path::Path;
use std::process::Output;

const JOB: &str = "seed = 4\n[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n";

fn run(folder: &Path, sampler: &str, more: &[&str]) -> Output {
    write(&folder.join("fit.toml"), &format!("{JOB}[sampler]\n{sampler}\n"));
    fitjob().args(["run", "fit.toml", "--ncores", "1"]).args(more).current_dir(folder).output().unwrap()
}

#[test]
fn a_run_cut_short_has_failed_with_its_own_exit_code_and_all_its_files_and_goes_on() {
    for (sampler, first, limit) in [
        ("method = \"importance-nested\"\nn_live = 200\nn_eff = 500\nlearn = 1", 600, 100_000),
        ("method = \"nested\"\nn_live = 100", 900, 1_000_000),
        ("method = \"nuts\"\nn_eff = 3000", 9000, 1_000_000),
        ("method = \"cmaes\"\nn_starts = 1", 200, 1_000_000),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("fit.run");
        let cut = run(folder.path(), &format!("{sampler}\nn_like_max = {first}"), &[]);
        let said = text(&cut.stdout);
        assert_eq!(cut.status.code(), Some(6), "{sampler}: {said}{}", text(&cut.stderr));
        let judged = summary(&dir);
        assert_eq!(judged["verdict"], json!("failed"), "{judged}");
        assert!(judged["verdict_reasons"][0].as_str().unwrap().starts_with("not converged"), "{judged}");
        assert!(dir.join("result.h5").exists());
        assert!(said.contains("NOT CONVERGED: ") && said.contains("--resume --set sampler.n_like_max=N"), "{said}");
        let shown = text(&succeed(fitjob().args(["summary", "--json"]).arg(&dir)).stdout);
        assert!(shown.contains("\"state\":\"finished\"") && shown.contains("\"verdict\":\"failed\""), "{shown}");
        let raised = format!("{sampler}\nn_like_max = {limit}");
        let whole = run(folder.path(), &raised, &["--resume"]);
        assert_eq!(whole.status.code(), Some(0), "{sampler}: {}", text(&whole.stderr));
        assert!(!text(&whole.stdout).contains("NOT CONVERGED"));
        assert_ne!(summary(&dir)["verdict"], json!("failed"));
    }
}

#[test]
fn a_doubtful_result_is_a_result_with_a_word_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fit.run");
    let few = run(folder.path(), "method = \"nuts\"\nn_eff = 60\nblock = 10\nchains = 2", &[]);
    let said = text(&few.stdout);
    assert_eq!(few.status.code(), Some(0), "{said}{}", text(&few.stderr));
    assert_eq!(summary(&dir)["verdict"], json!("doubtful"), "{said}");
    let last = said.lines().rfind(|line| !line.is_empty()).unwrap();
    assert!(last.starts_with("DOUBTFUL: "), "{said}");
    assert!(text(&succeed(fitjob().arg("summary").arg(&dir)).stdout).contains("verdict     doubtful: see the warnings"));
}

#[test]
fn a_good_result_has_converged_and_a_comparison_shows_which_have_not() {
    let folder = tempfile::tempdir().unwrap();
    let good = run(folder.path(), "method = \"importance-nested\"\nn_live = 500\nlearn = 1", &["--out", "good"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let judged = summary(&folder.path().join("good"));
    assert_eq!((&judged["verdict"], &judged["verdict_reasons"]), (&json!("converged"), &json!([])), "{judged}");
    let bad = run(folder.path(), "method = \"nested\"\nn_live = 100\nn_like_max = 900", &["--out", "bad"]);
    assert_eq!(bad.status.code(), Some(6));
    let both = text(&succeed(fitjob().args(["compare", "good", "bad"]).current_dir(folder.path())).stdout);
    assert!(both.contains("converged") && both.contains("failed") && both.contains("warning: bad has not converged"), "{both}");
}
