//! CMA-ES with active update, and with restarts of growing population side by side. `evolution` is one search, `stop` its end,
//! `constants` its rates, `bounds` its way of staying inside.

mod bounds;
mod constants;
mod evolution;
mod settings;
mod stop;

pub use settings::{Restarts, Settings};

use serde::{Deserialize, Serialize};

use self::evolution::{Brief, Evolution};
use self::stop::Tolerances;
use super::optimise::{Cube, Fleet, Lane, Order, Plan, chosen, starts};
use super::{Engine, EngineSettings, EngineSpec, Problem, SamplerError};
use crate::random::{Purpose, stream, uniform};

/// Searches of small population beside each large one.
const SMALL: usize = 2;

/// The searches of a job, a round at a time.
#[derive(Serialize, Deserialize)]
pub struct Searches {
    settings: Settings,
    seed: u64,
    rounds: usize,
    places: Vec<Vec<f64>>,
}

pub type Cmaes = Fleet<Searches>;

impl Engine for Cmaes {
    type Settings = Settings;

    fn start(settings: Settings, seed: u64, problem: &Problem) -> Result<Cmaes, SamplerError> {
        settings.check(problem.n_dim)?;
        let n = match settings.restarts {
            Restarts::Bipop => 1 + (settings.n_starts - 1) * (1 + SMALL),
            _ => settings.n_starts,
        };
        let places = starts(n, problem.n_dim, &settings.points, settings.start, seed);
        Ok(Fleet::new(Searches { settings, seed, rounds: 0, places }, seed, problem))
    }
}

impl Searches {
    fn order(&self, cube: &Cube, search: usize, lambda: usize, sigma: f64, generations: u64) -> Order<Brief> {
        let s = &self.settings;
        let cost = s.target_log_like.map_or(f64::NEG_INFINITY, |target| -target);
        let tolerances = Tolerances { log_like: s.tol_log_like, u: s.tol_u, cost };
        let (cube, seed, active) = (cube.clone(), self.seed, s.active);
        let brief = Brief { cube, seed, search: search as u64, lambda, sigma, active, generations, tolerances };
        Order { u: self.places[search].clone(), brief, share: lambda as f64 }
    }

    fn large(&self, cube: &Cube, search: usize, doublings: usize) -> Order<Brief> {
        let n_dim = cube.n_dim;
        let lambda = self.settings.population(n_dim) << doublings;
        self.order(cube, search, lambda, self.settings.sigma, self.settings.generations(n_dim, lambda))
    }

    /// The `number`-th small search beside the large one of `round` (Hansen 2009, section 2): population and step by chance. It may take twice the
    /// calls of the large one before, not half: it begins at a good point, and is to come to its end there.
    fn small(&self, cube: &Cube, search: usize, round: usize, number: usize, calls: u64) -> Order<Brief> {
        let mut rng = stream(self.seed, Purpose::Restarts, round as u64, number as u64);
        let (a, b) = (uniform(&mut rng), uniform(&mut rng));
        let n_dim = cube.n_dim;
        let lambda = (self.settings.population(n_dim) as f64 * libm::pow(libm::pow(2.0, round as f64 - 1.0), a * a)) as usize;
        let sigma = self.settings.sigma * libm::pow(10.0, -2.0 * b);
        let generations = self.settings.generations(n_dim, lambda).min(2 * calls / lambda as u64).max(1);
        self.order(cube, search, lambda, sigma, generations)
    }
}

impl Plan for Searches {
    type Search = Evolution;

    fn round(&mut self, cube: &Cube, before: &[Lane<Evolution>]) -> Vec<Order<Brief>> {
        let (round, n) = (self.rounds, self.settings.n_starts);
        self.rounds += 1;
        match self.settings.restarts {
            Restarts::None if round == 0 => (0..n).map(|k| self.large(cube, k, 0)).collect(),
            Restarts::Ipop if round == 0 => (0..n).map(|k| self.large(cube, k, k)).collect(),
            Restarts::Bipop if round < n => {
                let first = before.len();
                let mut orders = vec![self.large(cube, first, round)];
                if round > 0 {
                    // The large search of the round before is the first of its lanes.
                    let calls = before[first - if round == 1 { 1 } else { 1 + SMALL }].calls;
                    orders.extend((1..=SMALL).map(|k| self.small(cube, first + k, round, k, calls)));
                }
                orders
            }
            _ => vec![],
        }
    }

    fn screening(&self, n_dim: usize) -> (usize, Vec<usize>) {
        let own = chosen(&self.settings.points, self.settings.start);
        // Small searches are the only ones that stay near where they begin.
        let small = |k: &usize| *k > 0 && !(k - 1).is_multiple_of(1 + SMALL);
        let open = own..self.places.len();
        let searches = match self.settings.restarts {
            Restarts::Bipop => open.filter(small).collect(),
            _ => open.step_by(2).collect(),
        };
        (self.settings.screen(n_dim), searches)
    }

    fn begin_at(&mut self, search: usize, u: Vec<f64>) {
        self.places[search] = u;
    }

    fn n_like_max(&self) -> Option<u64> {
        self.settings.n_like_max
    }

    fn raise(&mut self, spec: &EngineSpec) -> bool {
        let EngineSpec::Cmaes(asked) = spec else { return false };
        let more = asked.n_like_max != self.settings.n_like_max;
        self.settings.n_like_max = asked.n_like_max;
        more
    }
}
