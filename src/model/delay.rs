//! An artificial cost for any model: it waits, or keeps its core busy, before it answers; it may hang, and count its calls.

use super::{Columns, DelaySpec, Density, Evaluated, Model, ModelError, Simulator, Tolerances};
use crate::random::{Purpose, normal_pair, stream, uniform};
use crate::task::EvalError;
use rand_chacha::ChaCha8Rng;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

/// A model that takes longer. Its values are those of the model within.
pub(super) struct Delayed {
    inner: Box<dyn Model>,
    delay: DelaySpec,
    seed: u64,
    /// Grows by a byte with every call, of all ranks that share it.
    count: Option<File>,
}

struct DelayedDensity<'a> {
    inner: Box<dyn Density + 'a>,
    model: &'a Delayed,
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
    if !(0.0..=1.0).contains(&delay.hang) {
        return Err(ModelError::new(&["delay", "hang"], format!("a share of 0 to 1 is expected, not {}", delay.hang)));
    }
    let open = |path: &String| OpenOptions::new().append(true).create(true).open(path);
    let count = delay.count.as_ref().map(open).transpose();
    let count = count.map_err(|e| ModelError::new(&["delay", "count"], format!("the file cannot be written to: {e}")))?;
    Ok(Box::new(Delayed { inner, delay: delay.clone(), seed, count }))
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
        Ok(Box::new(DelayedDensity { inner, model: self }))
    }

    fn default_box(&self) -> Option<Vec<(String, f64, f64)>> {
        self.inner.default_box()
    }

    fn takes_all(&self) -> bool {
        self.inner.takes_all()
    }

    fn check(&self, names: &[String]) -> Result<(), ModelError> {
        self.inner.check(names)
    }

    fn has_gradient(&self) -> bool {
        self.inner.has_gradient()
    }

    fn derived(&self) -> Vec<String> {
        self.inner.derived()
    }

    fn limit_calls(&mut self, limit: Duration) {
        self.inner.limit_calls(limit);
    }

    fn simulator(&self) -> Result<&dyn Simulator, String> {
        self.inner.simulator().map(|_| self as &dyn Simulator)
    }

    fn solver(&self) -> Option<&dyn Tolerances> {
        self.inner.solver()
    }

    fn observed(&self) -> Columns {
        self.inner.observed()
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.inner.fingerprint()
    }

    fn program(&self) -> String {
        self.inner.program()
    }
}

impl Delayed {
    fn recipe(&self) -> &dyn Simulator {
        self.inner.simulator().expect("asked only where there is one")
    }
}

/// Drawing takes no longer; the fits do.
impl Simulator for Delayed {
    fn draw(&self, names: &[String], theta: &[f64], rng: &mut ChaCha8Rng) -> Result<Columns, EvalError> {
        self.recipe().draw(names, theta, rng)
    }

    fn with_data(&self, data: &Columns) -> Result<Box<dyn Model>, ModelError> {
        wrap(self.recipe().with_data(data)?, &self.delay, self.seed)
    }
}

/// Names the random stream of the point `theta`, on whichever rank it is evaluated: FNV-1a over its bits.
fn lane_of(theta: &[f64]) -> u64 {
    let hash = |h: u64, byte: &u8| (h ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    theta.iter().flat_map(|x| x.to_bits().to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |h, b| hash(h, &b))
}

fn delay_of(delay: &DelaySpec, seed: u64, theta: &[f64]) -> Duration {
    let spread = match delay.sigma {
        0.0 => 0.0,
        sigma => sigma * normal_pair(&mut stream(seed, Purpose::Delay, lane_of(theta), 0)).0,
    };
    Duration::from_secs_f64((delay.ms * spread.exp()).min(LONGEST_MS) * 1e-3)
}

fn hangs(delay: &DelaySpec, seed: u64, theta: &[f64]) -> bool {
    delay.hang > 0.0 && uniform(&mut stream(seed, Purpose::Delay, lane_of(theta), 1)) < delay.hang
}

impl DelayedDensity<'_> {
    fn wait(&self, theta: &[f64]) -> Result<(), EvalError> {
        let Delayed { delay, seed, count, .. } = self.model;
        if let Some(mut file) = count.as_ref() {
            file.write_all(b".").map_err(|e| EvalError::Fatal(format!("[model.delay] count: {e}")))?;
        }
        while hangs(delay, *seed, theta) {
            std::thread::sleep(Duration::from_secs(3600));
        }
        let time = delay_of(delay, *seed, theta);
        if delay.busy {
            let start = Instant::now();
            while start.elapsed() < time {
                std::hint::spin_loop();
            }
        } else {
            std::thread::sleep(time);
        }
        Ok(())
    }
}

impl Density for DelayedDensity<'_> {
    fn evaluate(&mut self, thetas: &[f64], d: usize, out: &mut Vec<Result<Evaluated, EvalError>>) {
        for theta in thetas.chunks_exact(d) {
            match self.wait(theta) {
                Ok(()) => self.inner.evaluate(theta, d, out),
                Err(error) => out.push(Err(error)),
            }
        }
    }

    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        self.wait(theta)?;
        self.inner.log_like(theta)
    }

    fn log_like_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        if let Err(error) = self.wait(theta) {
            return Some(Err(error));
        }
        self.inner.log_like_gradient(theta, gradient)
    }

    fn chi_squared(&mut self, theta: &[f64]) -> Option<Result<(f64, usize), EvalError>> {
        self.inner.chi_squared(theta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_log_normal_about_their_median_and_depend_on_point_and_seed_only() {
        let delay = DelaySpec { ms: 10.0, sigma: 0.5, ..DelaySpec::default() };
        let ms = |seed: u64, i: u32| delay_of(&delay, seed, &[f64::from(i), 1.0]).as_secs_f64() * 1e3;
        let logs: Vec<f64> = (0..4000).map(|i| (ms(1, i) / 10.0).ln()).collect();
        let mean = logs.iter().sum::<f64>() / 4000.0;
        let sd = (logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4000.0).sqrt();
        assert!(mean.abs() < 0.04 && (sd - 0.5).abs() < 0.03, "mean {mean}, sd {sd}");
        assert_eq!(ms(1, 7), ms(1, 7));
        assert_ne!(ms(1, 7), ms(2, 7));
        let fixed = DelaySpec { ms: 3.0, ..DelaySpec::default() };
        assert_eq!(delay_of(&fixed, 1, &[0.3]), Duration::from_millis(3));
    }

    #[test]
    fn the_share_of_hanging_points_is_as_asked_and_keeps_to_the_point() {
        let delay = DelaySpec { hang: 0.1, ..DelaySpec::default() };
        let hanging: Vec<u32> = (0..4000).filter(|i| hangs(&delay, 1, &[f64::from(*i)])).collect();
        assert!((350..450).contains(&hanging.len()), "{}", hanging.len());
        assert!(hanging.iter().all(|i| hangs(&delay, 1, &[f64::from(*i)])));
        assert!(!(0..4000).any(|i| hangs(&DelaySpec::default(), 1, &[f64::from(i)])));
    }

    #[test]
    fn every_call_is_counted_in_the_file_and_the_model_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        let problem = || crate::model::problem::build(&crate::model::ProblemSpec { name: "rosen2".into() }).unwrap();
        let delay = DelaySpec { count: Some(path.to_string_lossy().into()), ..DelaySpec::default() };
        let (one, other) = (wrap(problem(), &delay, 1).unwrap(), wrap(problem(), &delay, 1).unwrap());
        let theta = vec![0.5; one.parameters().len()];
        for model in [&one, &other, &one] {
            model.bind(&one.parameters()).unwrap().log_like(&theta).unwrap();
        }
        assert_eq!(std::fs::read(path).unwrap(), b"...");
        assert_eq!(one.fingerprint(), problem().fingerprint());
    }
}
