//! The coordinates in which walkers move: the cube, standard coordinates z, and the latent theta where the target is round.
//!
//! A periodic parameter is turned so that its two ends lie where the states leave the widest gap: a fixed turn keeps the uniform prior,
//! so the target in z is exact, and a peak across the ends is one peak.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::flow::Flow;
use super::student::Student;
use crate::bound::periodic::Shift;
use crate::random::uniform;
use crate::sampler::standard::{EDGE, from_cube, log_prior, to_cube};
use crate::stats::log_add;

/// Share of the draws for log Z with wide tails, which keeps their weights bounded (Hesterberg 1995, Technometrics 37, 185).
const DEFENSIVE: f64 = 0.1;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    pub shift: Shift,
    /// From z to theta; none: they are the same.
    pub flow: Option<Flow>,
    /// Fitted in theta.
    pub law: Student,
}

/// A point in the three coordinate systems.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub u: Vec<f64>,
    pub z: Vec<f64>,
    pub theta: Vec<f64>,
    /// Log prior density by theta: that of z, and ln |dz / dtheta|.
    pub log_prior: f64,
}

impl Geometry {
    /// Standard coordinates of a point of the cube.
    pub fn standard(&self, u: &[f64]) -> Vec<f64> {
        let mut turned = u.to_vec();
        self.shift.apply(&mut turned);
        from_cube(&turned)
    }

    pub fn place(&self, u: &[f64]) -> Place {
        let z = self.standard(u);
        let (theta, log_volume) = match &self.flow {
            Some(flow) => flow.forward(&z),
            None => (z.clone(), 0.0),
        };
        Place { u: u.to_vec(), log_prior: log_prior(&z) - log_volume, z, theta }
    }

    /// None where the prior has no mass to speak of (1e-16).
    pub fn place_of_theta(&self, theta: Vec<f64>) -> Option<Place> {
        let (z, log_volume) = match &self.flow {
            Some(flow) => flow.inverse(&theta),
            None => (theta.clone(), 0.0),
        };
        if !(log_volume.is_finite() && z.iter().all(|z| z.abs() < EDGE)) {
            return None;
        }
        let mut u = to_cube(&z);
        self.shift.undo(&mut u);
        Some(Place { u, log_prior: log_prior(&z) + log_volume, z, theta })
    }

    /// Log density, by z, at a place, of what [`Geometry::draw`] draws from.
    pub fn log_law(&self, place: &Place) -> f64 {
        let narrow = libm::log(1.0 - DEFENSIVE) + self.law.log_density(&place.theta);
        let wide = libm::log(DEFENSIVE) + self.wide().log_density(&place.theta);
        // density by z = density by theta x |dtheta / dz|
        log_add(narrow, wide) + log_prior(&place.z) - place.log_prior
    }

    /// A draw of the fitted law, or now and then of one with wider tails.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Place> {
        let wide = uniform(rng) < DEFENSIVE;
        self.place_of_theta(if wide { self.wide().draw(rng) } else { self.law.draw(rng) })
    }

    fn wide(&self) -> Student {
        let factor = self.law.factor.iter().map(|v| 1.5 * v).collect();
        Student { mean: self.law.mean.clone(), factor, nu: 3.0 }
    }
}
