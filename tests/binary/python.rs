//! Python scripts as likelihoods, in runs of the built binary.

use crate::common::{fitjob, text, write};

#[test]
fn check_shows_a_script_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("fit.py"), "def log_likelihood(theta):\n    return -theta @ theta +\n");
    let job = "[model]\nkind = \"python\"\nscript = \"fit.py\"\n[parameters]\nx = { prior = \"uniform\", min = 0, max = 1 }\n";
    write(&folder.path().join("fit.toml"), job);
    let output = fitjob().arg("check").current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("SyntaxError"), "{}", text(&output.stderr));
}
