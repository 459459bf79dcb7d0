//! L-BFGS with bounds in the unit cube, from many starts side by side: `descent` is one search, `memory` the curvature it has seen,
//! `slopes` its gradients.

mod descent;
mod memory;
mod settings;
mod slopes;

pub use settings::Settings;

use serde::{Deserialize, Serialize};

use self::descent::{Brief, Descent};
use super::optimise::{Cube, Fleet, Lane, Order, Plan, chosen, starts};
use super::{Engine, EngineSettings, EngineSpec, Problem, SamplerError};

/// The searches of a job: all begin at once.
#[derive(Serialize, Deserialize)]
pub struct Searches {
    settings: Settings,
    exact: bool,
    places: Vec<Vec<f64>>,
}

pub type Lbfgs = Fleet<Searches>;

impl Engine for Lbfgs {
    type Settings = Settings;

    fn start(settings: Settings, seed: u64, problem: &Problem) -> Result<Lbfgs, SamplerError> {
        settings.check(problem.n_dim)?;
        let places = starts(settings.n_starts, problem.n_dim, &settings.points, settings.start, seed);
        Ok(Fleet::new(Searches { settings, exact: problem.gradient, places }, seed, problem))
    }
}

impl Plan for Searches {
    type Search = Descent;

    fn round(&mut self, cube: &Cube, _: &[Lane<Descent>]) -> Vec<Order<Brief>> {
        let Settings { memory, tol_log_like: tolerance, n_steps: steps, difference, .. } = self.settings;
        let brief = Brief { cube: cube.clone(), exact: self.exact, difference, memory, tolerance, steps };
        let places = std::mem::take(&mut self.places);
        places.into_iter().map(|u| Order { u, brief: brief.clone(), share: 1.0 }).collect()
    }

    fn screening(&self, n_dim: usize) -> (usize, Vec<usize>) {
        let own = chosen(&self.settings.points, self.settings.start);
        (self.settings.screen(n_dim, self.exact), (own..self.places.len()).step_by(2).collect())
    }

    fn begin_at(&mut self, search: usize, u: Vec<f64>) {
        self.places[search] = u;
    }

    fn n_like_max(&self) -> Option<u64> {
        self.settings.n_like_max
    }

    fn raise(&mut self, spec: &EngineSpec) -> bool {
        let EngineSpec::Lbfgs(asked) = spec else { return false };
        let more = asked.n_like_max != self.settings.n_like_max;
        self.settings.n_like_max = asked.n_like_max;
        more
    }
}
