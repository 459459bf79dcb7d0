//! Nested sampling (Skilling 2006): static and dynamic, with blocks of live points replaced side by side.
//!
//! `run` is the order of events, `pass` one set of live points on its way up, `generation` finds the points of one contour by draws or
//! by walks (`walk`, `line`) in a `region` (`cells`, `halves`, `friends`), `batch` plans dynamic additions; `book` and `ladder` turn points and
//! contours of birth into evidence and weights, `health` and `report` say what came of it.

mod batch;
mod book;
mod cells;
mod effective;
mod friends;
mod generation;
mod halves;
mod health;
mod ladder;
mod line;
mod pass;
mod region;
mod report;
mod run;
mod settings;
mod walk;

pub use settings::{Bound, Interval, Proposal, Settings};

use self::run::Run;
use serde::{Deserialize, Serialize};

use crate::sampler::{Ask, Engine, EngineSettings, EngineSpec, Posterior, Problem, Progress, Sampler, SamplerError, saved};
use crate::task::Answer;

/// The engine.
#[derive(Clone, Serialize, Deserialize)]
pub struct Nested {
    run: Run,
}

impl Engine for Nested {
    type Settings = Settings;

    fn start(settings: Settings, seed: u64, problem: &Problem) -> Result<Self, SamplerError> {
        settings.check(problem.n_dim)?;
        Ok(Nested { run: Run::new(settings, seed, problem) })
    }
}

impl Sampler for Nested {
    fn ask(&mut self, room: usize) -> Ask {
        let count = room.min(self.run.mail.len());
        if count > 0 {
            return Ask::Work { publish: Vec::new(), tasks: self.run.mail.drain(..count).collect(), retire: Vec::new() };
        }
        match &self.run.end {
            Some(why) => Ask::Done(why.clone()),
            None => Ask::Wait,
        }
    }

    fn tell(&mut self, answer: Answer) -> Result<(), SamplerError> {
        self.run.tell(answer)
    }

    fn progress(&self) -> Progress {
        self.run.progress()
    }

    fn posterior(&self) -> Result<Posterior, SamplerError> {
        self.run.posterior()
    }

    fn save(&self) -> Vec<u8> {
        saved::write(self)
    }

    fn extend(&mut self, spec: &EngineSpec) -> bool {
        let EngineSpec::Nested(settings) = spec else { return false };
        self.run.extend(settings)
    }
}
