//! An artificial cost for any model: it waits, or keeps its core busy, before it answers.

use super::{DelaySpec, Density, Model, ModelError};
use crate::random::{Purpose, normal_pair, stream};
use crate::task::EvalError;
use std::time::{Duration, Instant};

/// A model that takes longer. Its values are those of the model within.
pub(super) struct Delayed {
    inner: Box<dyn Model>,
    delay: DelaySpec,
    seed: u64,
}

struct DelayedDensity<'a> {
    inner: Box<dyn Density + 'a>,
    delay: &'a DelaySpec,
    seed: u64,
}

/// Longer delays than this (in ms) are surely a slip.
const LONGEST_MS: f64 = 3.6e6;

pub(super) fn wrap(inner: Box<dyn Model>, delay: &DelaySpec, seed: u64) -> Result<Box<dyn Model>, ModelError> {
    if !(0.0..=LONGEST_MS).contains(&delay.ms) {
        return Err(ModelError::new(&["delay", "ms"], format!("a delay of 0 to {LONGEST_MS} ms is expected, not {}", delay.ms)));
    }
    if !(0.0..=5.0).contains(&delay.sigma) {
        return Err(ModelError::new(&["delay", "sigma"], format!("a spread of 0 to 5 is expected, not {}", delay.sigma)));
    }
    Ok(Box::new(Delayed { inner, delay: delay.clone(), seed }))
}

impl Model for Delayed {
    fn parameters(&self) -> Vec<String> {
        self.inner.parameters()
    }

    fn optional_parameters(&self) -> Vec<String> {
        self.inner.optional_parameters()
    }

    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        let inner = self.inner.bind(names)?;
        Ok(Box::new(DelayedDensity { inner, delay: &self.delay, seed: self.seed }))
    }

    fn default_box(&self) -> Option<Vec<(String, f64, f64)>> {
        self.inner.default_box()
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.inner.fingerprint()
    }
}

/// The delay of the point `theta`: the same on whichever rank it is evaluated.
fn delay_of(delay: &DelaySpec, seed: u64, theta: &[f64]) -> Duration {
    // FNV-1a over the bits of the point names its random stream.
    let hash = |h: u64, byte: &u8| (h ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let lane = theta.iter().flat_map(|x| x.to_bits().to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |h, b| hash(h, &b));
    let spread = if delay.sigma == 0.0 { 0.0 } else { delay.sigma * normal_pair(&mut stream(seed, Purpose::Delay, lane, 0)).0 };
    Duration::from_secs_f64((delay.ms * spread.exp()).min(LONGEST_MS) * 1e-3)
}

impl DelayedDensity<'_> {
    fn wait(&self, theta: &[f64]) {
        let time = delay_of(self.delay, self.seed, theta);
        if self.delay.busy {
            let start = Instant::now();
            while start.elapsed() < time {
                std::hint::spin_loop();
            }
        } else {
            std::thread::sleep(time);
        }
    }
}

impl Density for DelayedDensity<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        self.wait(theta);
        self.inner.log_like(theta)
    }

    fn log_like_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        self.wait(theta);
        self.inner.log_like_gradient(theta, gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_log_normal_about_their_median_and_depend_on_point_and_seed_only() {
        let delay = DelaySpec { ms: 10.0, sigma: 0.5, busy: false };
        let ms = |seed: u64, i: u32| delay_of(&delay, seed, &[f64::from(i), 1.0]).as_secs_f64() * 1e3;
        let logs: Vec<f64> = (0..4000).map(|i| (ms(1, i) / 10.0).ln()).collect();
        let mean = logs.iter().sum::<f64>() / 4000.0;
        let sd = (logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4000.0).sqrt();
        assert!(mean.abs() < 0.04 && (sd - 0.5).abs() < 0.03, "mean {mean}, sd {sd}");
        assert_eq!(ms(1, 7), ms(1, 7));
        assert_ne!(ms(1, 7), ms(2, 7));
        let fixed = DelaySpec { ms: 3.0, sigma: 0.0, busy: true };
        assert_eq!(delay_of(&fixed, 1, &[0.3]), Duration::from_millis(3));
    }
}
