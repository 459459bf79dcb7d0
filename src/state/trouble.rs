//! What goes wrong with the folder of checkpoints, and telling it once.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What could not be written or read, where, why, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
#[error("{what}")]
pub struct StateError {
    pub what: String,
    #[help]
    pub help: Option<String>,
}

impl StateError {
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> StateError {
        StateError { what: what.into(), help: Some(help.into()) }
    }

    /// "cannot write the checkpoint run/checkpoint/000007.state: no space left on device".
    pub(super) fn cannot(verb: &str, path: &Path, cause: &io::Error) -> StateError {
        StateError::new(format!("cannot {verb} {}: {cause}", path.display()), remedy(path, cause))
    }

    /// For people: what happened, and what to do.
    pub fn report(&self) -> String {
        match &self.help {
            Some(help) => format!("error: {self}\n  help: {help}"),
            None => format!("error: {self}"),
        }
    }

    fn line(&self) -> String {
        match &self.help {
            Some(help) => format!("{self}; {help}"),
            None => self.to_string(),
        }
    }
}

fn remedy(path: &Path, cause: &io::Error) -> String {
    let folder = path.parent().unwrap_or(path).display();
    match cause.raw_os_error() {
        Some(libc::ENOSPC) => format!("make room on that file system (df -h {folder}; df -i {folder})"),
        Some(libc::EDQUOT) => format!("make room within your quota (quota -s, or the site's own command) for {folder}"),
        Some(libc::EROFS) => {
            format!("the file system of {folder} is read-only now: ask its keepers, or resume from a copy of the folder elsewhere")
        }
        Some(libc::EACCES | libc::EPERM) => format!("look at owner and permissions (ls -ld {folder})"),
        Some(libc::EIO | libc::ESTALE) => format!("the disk or its server fails: look at dmesg, and at whether {folder} can be listed"),
        _ => format!("look at free space (df -h), quota and permissions of {folder}"),
    }
}

/// What can be wrong, each told once until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    State,
    Journal,
    Folder,
}

/// Troubles that last, and what was not told yet.
#[derive(Default)]
pub(super) struct Troubles {
    lasting: BTreeMap<Kind, StateError>,
    news: Vec<String>,
}

impl Troubles {
    pub(super) fn begin(&mut self, kind: Kind, error: StateError) {
        if !self.lasting.contains_key(&kind) {
            self.news.push(error.line());
        }
        self.lasting.insert(kind, error);
    }

    pub(super) fn end(&mut self, kind: Kind) {
        let works = match kind {
            Kind::State => "checkpoints are written again",
            Kind::Journal => "the journal is whole again",
            Kind::Folder => "the checkpoint folder is whole again",
        };
        if self.lasting.remove(&kind).is_some() {
            self.news.push(works.into());
        }
    }

    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    pub(super) fn lasts(&self, kind: Kind) -> bool {
        self.lasting.contains_key(&kind)
    }

    pub(super) fn any(&self) -> Option<StateError> {
        self.lasting.values().next().cloned()
    }
}
