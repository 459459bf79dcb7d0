//! docs/tutorial.md is a transcript: every command is run, in order, and must print what the page shows.
//!
//! In a block marked `console` a line that begins with `$ ` is a command, and the lines up to the next one are its output, stderr included.
//! `...` stands for any text; alone in a line, for any number of lines. How many blanks there are between words does not matter.
//! Blocks marked `python` and `toml` are parts of the files that `fitjob init --python` wrote.

use crate::common::{mpiexec_name, text, write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = include_str!("../../docs/tutorial.md");

/// Blocks of the page: mark, and lines.
fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(mark) = line.strip_prefix("```") {
            blocks.push((mark, lines.by_ref().take_while(|line| *line != "```").collect()));
        }
    }
    blocks
}

/// A command and the lines that it prints.
struct Step<'a> {
    command: &'a str,
    shown: Vec<&'a str>,
}

fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step> = Vec::new();
    for (_, lines) in blocks(page).into_iter().filter(|(mark, _)| *mark == "console") {
        assert!(lines[0].starts_with("$ "), "a console block begins with a command, not with: {}", lines[0]);
        for line in lines {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command, shown: Vec::new() }),
                None => steps.last_mut().unwrap().shown.push(line),
            }
        }
    }
    steps
}

/// Whether the lines that came are those that the page shows.
fn agree(shown: &[&str], came: &[&str]) -> bool {
    match (shown, came) {
        ([], came) => came.is_empty(),
        (["...", rest @ ..], came) => (0..=came.len()).any(|k| agree(rest, &came[k..])),
        ([line, rest @ ..], [first, after @ ..]) => line_agrees(line, first) && agree(rest, after),
        (_, []) => false,
    }
}

fn line_agrees(shown: &str, came: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, came) = (words(shown), words(came));
    let mut parts = shown.split("...");
    let Some(mut left) = came.strip_prefix(parts.next().unwrap()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return left.is_empty() };
    for part in parts {
        let Some(at) = left.find(part.trim()) else { return false };
        left = &left[at + part.trim().len()..];
    }
    left.ends_with(last.trim())
}

/// A folder for the PATH with the built program and this library's mpiexec under their plain names.
fn programs(folder: &Path) -> PathBuf {
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_fitjob"), bin.join("fitjob")).unwrap();
    // By its name: Open MPI's mpiexec puts the folder that it was called by first on the PATH, and another Python with it.
    let mpiexec = mpiexec_name();
    let name = Path::new(&mpiexec).file_name().unwrap().to_string_lossy().into_owned();
    write(&bin.join("mpiexec"), &format!("#!/bin/bash\nexec -a {name} $(PATH=${{PATH#*:}} command -v {mpiexec}) \"$@\"\n"));
    std::fs::set_permissions(bin.join("mpiexec"), std::fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

fn run(command: &str, bin: &Path, folder: &Path) -> (String, bool) {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{{ {command}\n}} 2>&1")]).current_dir(folder).env("PATH", path);
    bash.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1").env("OMPI_MCA_rmaps_base_oversubscribe", "1");
    let output = bash.output().unwrap();
    (text(&output.stdout), output.status.success())
}

#[test]
fn every_command_of_the_tutorial_prints_what_the_page_shows() {
    let home = tempfile::tempdir().unwrap();
    let bin = programs(home.path());
    let mut folder = home.path().to_path_buf();
    let steps = steps(PAGE);
    assert!(steps.iter().any(|step| step.command.starts_with("mpiexec -n 4 ")) && steps.len() < 10, "{} commands", steps.len());
    for Step { command, shown } in steps {
        let (printed, success) = run(command, &bin, &folder);
        let lines: Vec<&str> = printed.lines().collect();
        assert!(success, "$ {command}\nfailed:\n{printed}");
        assert!(agree(&shown, &lines), "$ {command}\nprinted\n{printed}\nbut docs/tutorial.md shows\n{}", shown.join("\n"));
        if let Some(into) = command.strip_prefix("cd ") {
            folder.push(into);
        }
    }
}

#[test]
fn the_code_that_the_tutorial_shows_is_in_the_files_that_init_writes() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/python");
    for (mark, lines) in blocks(PAGE).into_iter().filter(|(mark, _)| *mark != "console") {
        let file = templates.join(if mark == "python" { "likelihood.py" } else { "fit.toml" });
        let part = lines.join("\n");
        assert!(std::fs::read_to_string(&file).unwrap().contains(&part), "not in {}:\n{part}", file.display());
    }
}

#[test]
fn a_page_that_shows_something_else_does_not_agree() {
    let came = ["start", "tau   5.87  +0.9", "", "digest abc (seed 1)", "end"];
    assert!(agree(&["start", "...", "digest ... (seed 1)", "end"], &came));
    assert!(agree(&["...", "tau 5.8...", "...", "end"], &came));
    assert!(agree(&["start", "tau ... +0.9", "", "digest ...", "...", "end", "..."], &came));
    for wrong in [
        &["start", "...", "digest ... (seed 2)", "end"][..],
        &["...", "tau 5.9...", "..."],
        &["start", "...", "digest ..."],
        &["start", "tau ... +0.9", "digest ...", "end"],
        &["...", "end", "digest ...", "..."],
        &[],
    ] {
        assert!(!agree(wrong, &came), "{wrong:?}");
    }
}
