//! The simplex method of Nelder & Mead (1965) in the unit cube, from many starts side by side. `simplex` is one search.

mod settings;
mod simplex;

pub use settings::Settings;

use serde::{Deserialize, Serialize};

use self::simplex::{Brief, Simplex};
use super::optimise::{Cube, Fleet, Lane, Order, Plan, chosen, starts};
use super::{Engine, EngineSettings, EngineSpec, Problem, SamplerError};

/// The searches of a job: all begin at once.
#[derive(Serialize, Deserialize)]
pub struct Searches {
    settings: Settings,
    places: Vec<Vec<f64>>,
}

pub type NelderMead = Fleet<Searches>;

impl Engine for NelderMead {
    type Settings = Settings;

    fn start(settings: Settings, seed: u64, problem: &Problem) -> Result<NelderMead, SamplerError> {
        settings.check(problem.n_dim)?;
        let places = starts(settings.n_starts, problem.n_dim, &settings.points, settings.start, seed);
        Ok(Fleet::new(Searches { settings, places }, seed, problem))
    }
}

impl Plan for Searches {
    type Search = Simplex;

    fn round(&mut self, cube: &Cube, _: &[Lane<Simplex>]) -> Vec<Order<Brief>> {
        let calls = self.settings.like_start(cube.n_dim);
        let (size, tolerance) = (self.settings.size, self.settings.tol_log_like);
        let brief = || Brief { cube: cube.clone(), size, tolerance, calls };
        let places = std::mem::take(&mut self.places);
        places.into_iter().map(|u| Order { u, brief: brief(), share: 1.0 }).collect()
    }

    fn screening(&self, _: usize) -> (usize, Vec<usize>) {
        let own = chosen(&self.settings.points, self.settings.start);
        (self.settings.screen(), (own..self.places.len()).step_by(2).collect())
    }

    fn begin_at(&mut self, search: usize, u: Vec<f64>) {
        self.places[search] = u;
    }

    fn n_like_max(&self) -> Option<u64> {
        self.settings.n_like_max
    }

    fn raise(&mut self, spec: &EngineSpec) -> bool {
        let EngineSpec::NelderMead(asked) = spec else { return false };
        let more = asked.n_like_max != self.settings.n_like_max;
        self.settings.n_like_max = asked.n_like_max;
        more
    }
}
