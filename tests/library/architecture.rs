//! The arrows of docs/architecture.md, checked on the source text.

use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    walk(&root, &mut files);
    assert!(files.len() > 10, "found only {} source files under {}", files.len(), root.display());
    files
}

fn walk(dir: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_path_buf();
            files.push((name, text));
        }
    }
}

/// Files below one of `under` that mention one of `words` outside comments.
fn offenders(under: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let name = path.to_string_lossy().replace('\\', "/");
        if !under.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn a_sampler_knows_neither_world_nor_execution_nor_output() {
    let bad = offenders(&["src/sampler", "src/bound"], &["crate::world", "crate::exec", "crate::output", "crate::job", "crate::model"]);
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn a_model_knows_no_sampler_and_no_world() {
    let bad = offenders(&["src/model", "src/expr", "src/data"], &["crate::sampler", "crate::world", "crate::exec", "crate::job"]);
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn the_plain_modules_know_nobody() {
    let bad = offenders(
        &["src/task.rs", "src/random.rs", "src/stats", "src/stop.rs", "src/bulk.rs"],
        &["crate::sampler", "crate::world", "crate::exec", "crate::job", "crate::model"],
    );
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn the_store_of_a_run_knows_no_sampler_and_no_job() {
    let bad =
        offenders(&["src/state"], &["crate::sampler", "crate::exec", "crate::output", "crate::job", "crate::driver", "crate::session"]);
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn only_world_mpi_uses_mpi() {
    let bad: Vec<_> = offenders(&["src"], &["use mpi::", "mpi::ffi", "mpi::topology", "mpi::traits"])
        .into_iter()
        .filter(|line| !line.starts_with("src/world/mpi.rs") && !line.contains("world::mpi"))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn hdf5_is_used_only_for_output_tables_and_info() {
    let bad: Vec<_> = offenders(&["src"], &["use hdf5", "hdf5::", "hdf5_sys::"])
        .into_iter()
        .filter(|line| !["src/output/", "src/data/", "src/cli/info.rs"].iter().any(|ok| line.starts_with(ok)))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "no //! line: {silent:#?}");
}
