//! The step size: a first guess by doubling, then dual averaging towards a mean acceptance (Hoffman & Gelman 2014, 3.2, algorithms 4 and 5).

use super::metric::Metric;
use super::state::State;
use super::trajectory::{finish_step, kicked, start_step};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// gamma, t0 and kappa of the paper.
const SHRINK: f64 = 0.05;
const STABLE: f64 = 10.0;
const FORGET: f64 = 0.75;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Averaging {
    target: f64,
    /// ln of ten times the step it began with.
    towards: f64,
    log_step: f64,
    log_average: f64,
    error: f64,
    count: f64,
}

impl Averaging {
    pub fn from(step: f64, target: f64) -> Averaging {
        let log_step = libm::log(step);
        Averaging { target, towards: log_step + std::f64::consts::LN_10, log_step, log_average: log_step, error: 0.0, count: 0.0 }
    }

    /// Begins anew at `step`.
    pub fn restart(&mut self, step: f64) {
        *self = Averaging::from(step, self.target);
    }

    /// Learns from the acceptance of a transition.
    pub fn learn(&mut self, accept: f64) {
        self.count += 1.0;
        let share = 1.0 / (self.count + STABLE);
        self.error += share * (self.target - accept - self.error);
        self.log_step = self.towards - self.count.sqrt() / SHRINK * self.error;
        let weight = libm::pow(self.count, -FORGET);
        self.log_average += weight * (self.log_step - self.log_average);
    }

    /// The step to try next.
    pub fn step(&self) -> f64 {
        libm::exp(self.log_step)
    }

    /// The step to keep.
    pub fn average(&self) -> f64 {
        libm::exp(self.log_average)
    }
}

/// Doubles or halves the step until the acceptance of one leapfrog step crosses 0.8.
#[derive(Debug, Serialize, Deserialize)]
pub struct Search {
    step: f64,
    /// Whether steps grow; unknown before the first answer.
    grows: Option<bool>,
    from: State,
    #[serde(with = "crate::bulk::reals")]
    half: Vec<f64>,
    rng: ChaCha8Rng,
}

/// ln 0.8
const CROSSED: f64 = -0.223_143_551_314_209_76;
const EXTREMES: std::ops::Range<f64> = 1e-10..1e5;

impl Search {
    /// And the first point that is needed.
    pub fn begin(from: &State, metric: &Metric, step: f64, mut rng: ChaCha8Rng) -> (Search, Vec<f64>) {
        let from = kicked(from, metric, &mut rng);
        let mut it = Search { step, grows: None, half: vec![0.0; from.x().len()], from, rng };
        let next = it.next(metric);
        (it, next)
    }

    /// Told the state at the point it named (at rest): the next point, or the step that was found.
    pub fn go_on(&mut self, reached: State, metric: &Metric) -> Result<Vec<f64>, f64> {
        let gain = self.from.energy() - finish_step(reached, &self.half, self.step, metric).energy();
        let good = gain > CROSSED;
        let grows = *self.grows.get_or_insert(good);
        if good != grows || !EXTREMES.contains(&self.step) {
            return Err(self.step);
        }
        self.step *= if grows { 2.0 } else { 0.5 };
        self.from = kicked(&self.from, metric, &mut self.rng);
        Ok(self.next(metric))
    }

    fn next(&mut self, metric: &Metric) -> Vec<f64> {
        start_step(&self.from, self.step, metric, &mut self.half)
    }
}
