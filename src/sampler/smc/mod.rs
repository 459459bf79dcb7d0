//! Persistent, preconditioned sequential Monte Carlo (Karamanis et al. 2022, 2024): from the prior to the posterior by way of L^beta.
//!
//! `run` is the order of events, `archive` keeps and weighs every state, `walker` is one chain, `geometry` the coordinates it walks in
//! (`student` and `flow` make them round), `evidence` and `posterior` say what came of it.

mod archive;
mod evidence;
mod flow;
mod geometry;
mod posterior;
mod run;
mod settings;
mod student;
mod walker;

pub use flow::Tools;
pub use settings::{EvidenceBy, Kernel, Precondition, Settings};

use self::run::{Phase, Run};
use serde::{Deserialize, Serialize};

use crate::sampler::{Ask, Engine, EngineSettings, EngineSpec, Posterior, Problem, Progress, Sampler, SamplerError, saved};
use crate::task::{Answer, Task, Work};

/// The engine: a [`Run`] and the tasks it has not yet handed out.
#[derive(Serialize, Deserialize)]
pub struct Smc {
    run: Run,
    waiting: Vec<Task>,
}

impl Engine for Smc {
    type Settings = Settings;

    fn start(settings: Settings, seed: u64, problem: &Problem) -> Result<Self, SamplerError> {
        settings.check(problem.n_dim)?;
        let mut run = Run::new(settings, seed, problem);
        let waiting = run.begin();
        Ok(Smc { run, waiting })
    }
}

impl Sampler for Smc {
    fn ask(&mut self, room: usize) -> Ask {
        // A training is alone; all other tasks are likelihood calls.
        let training = matches!(self.waiting.first(), Some(Task { work: Work::Compute { .. }, .. }));
        let n = if training { 1 } else { room.min(self.waiting.len()) };
        let tasks: Vec<Task> = self.waiting.drain(..n).collect();
        if !tasks.is_empty() {
            return Ask::Work { publish: Vec::new(), tasks, retire: Vec::new() };
        }
        if self.run.phase == Phase::Finished { Ask::Done(self.run.why_finished.clone()) } else { Ask::Wait }
    }

    fn tell(&mut self, answer: Answer) -> Result<(), SamplerError> {
        let more = self.run.tell(answer)?;
        self.waiting.extend(more);
        Ok(())
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
        let EngineSpec::Smc(settings) = spec else { return false };
        let more = self.run.phase == Phase::Finished && *settings != self.run.settings;
        if more {
            self.waiting = self.run.extend(settings);
        }
        more && !self.waiting.is_empty()
    }
}
