//! What is said and written when the sampler does not come back: from a thread beside the root's own, with handles of its own.

use super::{desk, exit};
use crate::output::{self, Log, OutputError, Progress, RunDir};
use crate::session::Alarm;
use crate::stop::Stop;
use crate::world::Root;
use std::path::PathBuf;

pub struct Siren {
    dir: PathBuf,
    log: Log,
    say: Box<dyn Fn(&str) + Send>,
    /// Leaves the run directory free.
    open: Option<Box<dyn FnOnce() + Send>>,
    journal: bool,
}

impl Siren {
    /// `journal`: whether the run keeps one.
    pub fn new(root: &Root, dir: &RunDir, progress: &Progress, journal: bool) -> Result<Siren, OutputError> {
        let log = Log::open(root, &dir.log(), true)?;
        let (say, open) = (Box::new(progress.teller()), Box::new(dir.opener()));
        Ok(Siren { dir: dir.path().to_path_buf(), log, say, open: Some(open), journal })
    }
}

impl Alarm for Siren {
    fn warn(&mut self, text: &str) {
        (self.say)(&format!("warning: {text}"));
        self.log.warning(text);
    }

    fn abandon(&mut self, stop: Stop, text: &str) -> i32 {
        let (reason, next) = (format!("{stop}; {text}"), desk::go_on(&self.dir));
        self.log.stopped(&reason, &next);
        (self.say)(output::abandoned(&reason, &self.dir, self.journal, &next).trim_end());
        self.open.take().into_iter().for_each(|open| open());
        exit::STOPPED
    }
}
