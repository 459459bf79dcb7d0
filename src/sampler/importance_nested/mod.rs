//! Importance nested sampling with learned bounds (Lange 2023), measured only with points that taught nothing.
//!
//! `run` is the order of events, `explore` learns the bounds, `trainer` makes one while others evaluate, `ledger` keeps the
//! books, `sample` plans the fresh points, `stretch` moves walls away, `estimate` and `posterior` say what came of it, `doubt`
//! why it may be wrong, `tools` and `wire` work remotely.

mod doubt;
mod estimate;
mod explore;
mod ledger;
mod posterior;
mod run;
mod sample;
mod settings;
mod stretch;
mod tools;
mod trainer;
mod wire;

pub use settings::Settings;
pub use tools::Tools;

use self::run::{Mail, Phase, Run};
use serde::{Deserialize, Serialize};

use crate::sampler::{Ask, Engine, EngineSettings, EngineSpec, Posterior, Problem, Progress, Sampler, SamplerError, saved};
use crate::task::Answer;

/// The engine: a [`Run`] and the mail it has not yet handed out.
#[derive(Serialize, Deserialize)]
pub struct ImportanceNested {
    run: Run,
    mail: Mail,
}

impl ImportanceNested {
    /// # Errors
    /// A setting that cannot work.
    pub fn new(settings: Settings, seed: u64, n_dim: usize, periodic: &[usize]) -> Result<Self, SamplerError> {
        settings.check(n_dim)?;
        let mut mail = Mail::default();
        let run = Run::new(settings, seed, n_dim, periodic, &mut mail);
        Ok(ImportanceNested { run, mail })
    }
}

impl Engine for ImportanceNested {
    type Settings = Settings;

    fn start(settings: Settings, seed: u64, problem: &Problem) -> Result<Self, SamplerError> {
        Self::new(settings, seed, problem.n_dim, &problem.periodic)
    }
}

impl Sampler for ImportanceNested {
    fn ask(&mut self, room: usize) -> Ask {
        self.run.advance(&mut self.mail);
        let mut tasks = std::mem::take(&mut self.mail.out.tasks);
        let publish = std::mem::take(&mut self.mail.out.publish);
        let retire = std::mem::take(&mut self.mail.out.retire);
        let points = room.min(self.mail.points.len());
        tasks.extend(self.mail.points.drain(..points));
        if !tasks.is_empty() || !publish.is_empty() || !retire.is_empty() {
            return Ask::Work { publish, tasks, retire };
        }
        if self.run.phase == Phase::Finished {
            return Ask::Done(self.run.why_finished());
        }
        Ask::Wait
    }

    fn tell(&mut self, answer: Answer) -> Result<(), SamplerError> {
        self.run.tell(answer, &mut self.mail)
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
        let EngineSpec::ImportanceNested(settings) = spec else { return false };
        let more = self.run.phase == Phase::Finished && *settings != self.run.settings;
        if more {
            self.run.extend(settings);
        }
        more
    }
}

impl Run {
    fn why_finished(&self) -> String {
        let progress = self.progress();
        format!("effective sample size {:.0}; exploration ended when {}", progress.n_eff, self.explorer.why_stopped)
    }
}
