//! Normalizing flows: a learned, invertible map from standard coordinates z to a latent theta in which the target is nearly normal.
//!
//! Mean and covariance are taken out first; then come autoregressive layers (Papamakarios, Pavlakou & Murray 2017; Durkan et al. 2019), with the
//! order of the coordinates turned round between them. `made` is the network of a layer, `element` what it does to a
//! coordinate, `train` learns it. From z to theta is one pass; the way back goes coordinate by coordinate.

mod dual;
mod element;
mod made;
mod train;

use serde::{Deserialize, Serialize};

use self::element::Element;
use self::made::{Made, Trace};
use crate::bound::linalg::{lower_times, solve_lower};
use crate::sampler::SamplerError;
use crate::task::{EvalError, Shared, Toolbox, Work};

/// Kind of the task: a [`Lesson`] to a [`Flow`].
const TRAIN: u16 = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    mean: Vec<f64>,
    /// Lower Cholesky factor of the covariance, d x d.
    factor: Vec<f64>,
    element: Element,
    layers: Vec<Made>,
}

/// What a flow is trained on.
#[derive(Serialize, Deserialize)]
pub struct Lesson {
    pub seed: u64,
    /// Number of the training: key of its random stream.
    pub training: u64,
    pub d: usize,
    /// Equally weighted points, n x d.
    pub z: Vec<f64>,
    /// Of each point: those of different clans share no ancestor.
    pub clan: Vec<u8>,
    pub spline: bool,
}

impl Flow {
    fn d(&self) -> usize {
        self.mean.len()
    }

    /// Whether it is more than mean and covariance.
    pub fn bends(&self) -> bool {
        !self.layers.is_empty()
    }

    fn log_det(&self) -> f64 {
        (0..self.d()).map(|i| libm::log(self.factor[i * (self.d() + 1)])).sum()
    }

    fn whitened(&self, z: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = z.iter().zip(&self.mean).map(|(z, m)| z - m).collect();
        solve_lower(&self.factor, self.d(), &mut x);
        x
    }

    /// theta and ln |dtheta / dz|.
    pub fn forward(&self, z: &[f64]) -> (Vec<f64>, f64) {
        let (mut x, mut log_volume, mut trace) = (self.whitened(z), -self.log_det(), Trace::default());
        for made in &self.layers {
            made.forward(&x, &mut trace);
            for (x, p) in x.iter_mut().zip(trace.out.chunks_exact(made.outputs)) {
                let (y, log) = self.element.forward(*x, p);
                *x = y;
                log_volume += log;
            }
            x.reverse();
        }
        (x, log_volume)
    }

    /// z and ln |dz / dtheta|.
    pub fn inverse(&self, theta: &[f64]) -> (Vec<f64>, f64) {
        let (mut y, mut log_volume, mut trace) = (theta.to_vec(), self.log_det(), Trace::default());
        for made in self.layers.iter().rev() {
            y.reverse();
            for i in 0..y.len() {
                made.outputs_of(i, &y, &mut trace);
                let (x, log) = self.element.inverse(y[i], &trace.out);
                y[i] = x;
                log_volume -= log;
            }
        }
        let mut z = vec![0.0; y.len()];
        lower_times(&self.factor, self.d(), &y, &mut z);
        z.iter_mut().zip(&self.mean).for_each(|(z, m)| *z += m);
        (z, log_volume)
    }
}

/// The training as a task for any rank.
pub fn work(lesson: &Lesson) -> Work {
    let input = postcard::to_stdvec(lesson).expect("plain data always has a binary form");
    Work::Compute { kind: TRAIN, needs: Vec::new(), input }
}

/// # Errors
/// Bytes that are no flow.
pub fn decode(bytes: &[u8]) -> Result<Flow, SamplerError> {
    postcard::from_bytes(bytes).map_err(|e| SamplerError(format!("a flow arrived damaged ({e}): all ranks must run the same build")))
}

/// Trains flows on any rank.
#[derive(Default)]
pub struct Tools;

impl Toolbox for Tools {
    fn compute(&mut self, kind: u16, _shared: &[&Shared], input: &[u8]) -> Result<Vec<u8>, EvalError> {
        if kind != TRAIN {
            return Err(EvalError::Fatal(format!("computation {kind} is unknown here: all ranks must run the same build")));
        }
        let lesson: Lesson = postcard::from_bytes(input)
            .map_err(|e| EvalError::Fatal(format!("a flow to train arrived damaged ({e}): all ranks must run the same build")))?;
        Ok(postcard::to_stdvec(&train::train(&lesson)).expect("plain data always has a binary form"))
    }
}

#[cfg(test)]
mod tests;
