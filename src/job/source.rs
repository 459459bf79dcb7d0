//! Where a job comes from: a file (TOML or JSON) or the binary itself, and the overrides of the command line.

use super::JobError;
use super::error::Problem;
use super::tree::{Node, Syntax};
use super::{json, overrides, tree::Place};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const LYNX_HARE: &str = include_str!("examples/lynx_hare.toml");
/// Takes precedence over the built-in job where it lies in the current folder.
const DEFAULT_FILE: &str = "fit.toml";

/// The text of a job and what it needs to be understood. Only the root makes one; all ranks get it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The file as it was named, for messages.
    pub name: String,
    pub text: String,
    /// Absolute folder that relative paths in the job start from.
    pub base: PathBuf,
    /// `key=value`, in the order given: later ones win.
    pub overrides: Vec<String>,
    pub json: bool,
}

impl Source {
    /// Reads a job file: JSON if its name ends in `.json` or its text starts with `{`, else TOML.
    pub fn read(path: &Path, overrides: Vec<String>) -> Result<Source, JobError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let here = std::env::current_dir().map(|dir| format!("looked for from {}", dir.display())).ok();
            JobError::plain(format!("the job file {name} cannot be read: {error}"), here)
        })?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let base = absolute.parent().map(Path::to_path_buf).unwrap_or_default();
        let json = path.extension().is_some_and(|e| e == "json") || text.trim_start().starts_with('{');
        Ok(Source { name, text, base, overrides, json })
    }

    /// The job that is part of the binary: the lynx and hare pelts of 1900-1920.
    pub fn embedded(overrides: Vec<String>) -> Source {
        let base = std::env::current_dir().unwrap_or_default();
        Source { name: "lynx_hare.toml".into(), text: LYNX_HARE.into(), base, overrides, json: false }
    }

    /// What to run: the file asked for, else `fit.toml` in the current folder, else the built-in job.
    pub fn find(asked: Option<&Path>, overrides: Vec<String>) -> Result<Source, JobError> {
        match asked {
            Some(path) => Source::read(path, overrides),
            None if Path::new(DEFAULT_FILE).exists() => Source::read(Path::new(DEFAULT_FILE), overrides),
            None => Ok(Source::embedded(overrides)),
        }
    }

    /// The job's own name: that of its file, without folder and ending.
    pub fn stem(&self) -> String {
        Path::new(&self.name).file_stem().map_or("fit".into(), |stem| stem.to_string_lossy().into_owned())
    }

    /// The text in which a place of this origin lies, and its name.
    pub(super) fn text_of(&self, origin: usize) -> (&str, &str) {
        match origin.checked_sub(1) {
            None => (&self.name, &self.text),
            Some(k) => ("--set", self.overrides.get(k).map_or("", String::as_str)),
        }
    }

    /// The text as a tree, overrides applied.
    pub(super) fn tree(&self) -> Result<Node, Vec<Problem>> {
        let parsed = if self.json { json::from_json(&self.text) } else { Node::from_toml(&self.text, 0) };
        let syntax = |e: Syntax| Problem::at(&Place { origin: 0, span: e.span }, e.message);
        let mut tree = parsed.map_err(|errors| errors.into_iter().map(syntax).collect::<Vec<_>>())?;
        let mut problems = Vec::new();
        for (k, text) in self.overrides.iter().enumerate() {
            problems.extend(overrides::apply(&mut tree, k + 1, text).err());
        }
        if problems.is_empty() { Ok(tree) } else { Err(problems) }
    }
}
