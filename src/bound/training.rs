//! Trains a [`Network`]: squared loss, Adam (Kingma & Ba 2015), mini-batches, a rate that falls to zero.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::cpu::{Cpu, Lanes, compiled_per_cpu};
use super::gemm::{Finish, LANES, Left, Shape, dot, padded, product};
use super::network::{Layer, Network, featurise, forward, layout, n_features};

/// How a network is shaped and trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Units in each hidden layer.
    pub hidden: Vec<usize>,
    /// Points a step.
    pub batch: usize,
    /// Steps in all, whatever the number of points: the cost of a network is known beforehand.
    pub steps: usize,
    /// Adam's rate at the start.
    pub rate: f32,
    /// Part of the steps before the rate starts to fall, linearly, to zero.
    pub hold: f32,
}

impl Default for TrainSettings {
    fn default() -> Self {
        TrainSettings { hidden: vec![32, 32, 16], batch: 64, steps: 3200, rate: 0.02, hold: 0.5 }
    }
}

/// Fits a network to the points `x` (y.len() x d, row-major, each coordinate of zero mean and unit variance) and their
/// scores `y`, starting from `warm` if it has the same shape. The same bits on any CPU.
///
/// # Panics
/// When there are no points, no hidden layer, no batch, or `x` does not hold y.len() points of d coordinates.
pub fn train(x: &[f32], d: usize, y: &[f32], rng: &mut ChaCha8Rng, settings: &TrainSettings, warm: Option<&Network>) -> Network {
    train_on(Cpu::best(), x, d, y, rng, settings, warm)
}

pub(super) fn train_on(
    cpu: Cpu,
    x: &[f32],
    d: usize,
    y: &[f32],
    rng: &mut ChaCha8Rng,
    settings: &TrainSettings,
    warm: Option<&Network>,
) -> Network {
    assert!(!y.is_empty() && x.len() == y.len() * d, "{} numbers are not {} points of {d}", x.len(), y.len());
    assert!(settings.batch > 0 && !settings.hidden.is_empty(), "a network needs a hidden layer and a batch");
    let mut features = vec![0f32; y.len() * n_features(d)];
    featurise(x, d, &mut features);
    let cold = Network::random(d, &settings.hidden, rng);
    let network = match warm {
        Some(warm) if warm.widths == cold.widths => warm.clone(),
        _ => cold,
    };
    let mut trainer = Trainer::new(network, settings.batch.min(y.len()));
    let mut order: Vec<u32> = (0..y.len() as u32).collect();
    let mut done = 0;
    while done < settings.steps {
        shuffle(&mut order, rng);
        for batch in order.chunks(settings.batch).take(settings.steps - done) {
            let left = (settings.steps - done) as f32 / settings.steps as f32;
            trainer.step_on(cpu, &features, y, batch, settings.rate * (left / (1.0 - settings.hold)).min(1.0));
            done += 1;
        }
    }
    trainer.network
}

/// Fisher & Yates.
fn shuffle(order: &mut [u32], rng: &mut ChaCha8Rng) {
    for last in (1..order.len()).rev() {
        let pick = (u64::from(rng.next_u32()) * (last as u64 + 1)) >> 32;
        order.swap(last, pick as usize);
    }
}

/// A network in training, with Adam's moments and the space a step needs.
struct Trainer {
    network: Network,
    layers: Vec<Layer>,
    /// Where the output weights start.
    last: usize,
    gradient: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
    /// 0.9^t and 0.999^t, by repeated products: no power function, no differing last bits.
    decay: [f64; 2],
    /// The batch's features, then each layer's outputs: batch x padded units.
    outputs: Vec<Vec<f32>>,
    /// Derivative of the loss by each layer's outputs before ReLU; same shapes, none for the features.
    slopes: Vec<Vec<f32>>,
    /// Derivative of the loss by the network's output, a number a point.
    errors: Vec<f32>,
    /// Transposed weights of the layer being passed back through.
    transposed: Vec<f32>,
}

impl Trainer {
    fn new(network: Network, batch: usize) -> Trainer {
        let (layers, last) = layout(&network.widths);
        let zeros = vec![0f32; network.values.len()];
        let points = std::iter::once(vec![0f32; batch * network.widths[0]]);
        let slopes: Vec<Vec<f32>> = layers.iter().map(|layer| vec![0f32; batch * padded(layer.units)]).collect();
        Trainer {
            last,
            gradient: zeros.clone(),
            mean: zeros.clone(),
            square: zeros,
            decay: [1.0, 1.0],
            outputs: points.chain(slopes.iter().cloned()).collect(),
            slopes,
            errors: vec![0f32; batch],
            transposed: layers.iter().map(|layer| vec![0f32; layer.units * padded(layer.inputs)]).max_by_key(Vec::len).unwrap_or_default(),
            layers,
            network,
        }
    }

    fn step_on(&mut self, cpu: Cpu, x: &[f32], y: &[f32], batch: &[u32], rate: f32) {
        self.decay = [self.decay[0] * 0.9, self.decay[1] * 0.999];
        let corrected = f64::from(rate) * (1.0 - self.decay[1]).sqrt() / (1.0 - self.decay[0]);
        step(cpu, self, x, y, batch, corrected as f32);
    }
}

compiled_per_cpu! {
    /// One step of Adam on the points `batch` of features `x`.
    fn step(trainer: &mut Trainer, x: &[f32], y: &[f32], batch: &[u32], rate: f32), by step_body
}

#[inline(always)]
fn step_body<V: Lanes, const ROWS: usize, const WIDE: usize>(trainer: &mut Trainer, x: &[f32], y: &[f32], batch: &[u32], rate: f32) {
    pass_forward::<V, ROWS, WIDE>(trainer, x, y, batch);
    pass_back::<V, ROWS, WIDE>(trainer, batch.len());
    adam(&mut trainer.network.values, &trainer.gradient, &mut trainer.mean, &mut trainer.square, rate);
}

/// Fills `outputs` and `errors`.
#[inline(always)]
fn pass_forward<V: Lanes, const ROWS: usize, const WIDE: usize>(trainer: &mut Trainer, x: &[f32], y: &[f32], batch: &[u32]) {
    let Trainer { network, layers, last, outputs, errors, .. } = trainer;
    let d = network.widths[0];
    for (row, &i) in outputs[0].chunks_exact_mut(d).zip(batch) {
        row.copy_from_slice(&x[i as usize * d..(i as usize + 1) * d]);
    }
    for (depth, layer) in layers.iter().enumerate() {
        let (below, above) = outputs.split_at_mut(depth + 1);
        let row_step = if depth == 0 { d } else { padded(layer.inputs) };
        let left = Left { data: &below[depth], row_step, inner_step: 1 };
        forward::<V, ROWS, WIDE>(&network.values, layer, batch.len(), left, &mut above[0]);
    }
    let bias = network.values.len() - LANES;
    let weights = &network.values[*last..bias];
    let rows = outputs[layers.len()].chunks_exact(weights.len());
    for ((row, error), &i) in rows.zip(errors.iter_mut()).zip(batch) {
        let miss = dot::<V>(row, weights) + network.values[bias] - y[i as usize];
        *error = miss / batch.len() as f32;
    }
}

/// Fills `gradient` from `outputs` and `errors`.
#[inline(always)]
fn pass_back<V: Lanes, const ROWS: usize, const WIDE: usize>(trainer: &mut Trainer, batch: usize) {
    let Trainer { network, layers, last, gradient, outputs, slopes, errors, transposed, .. } = trainer;
    let bias = network.values.len() - LANES;
    let (depth, columns) = (layers.len(), bias - *last);
    let errors = &errors[..batch];
    gradient[bias] = errors.iter().sum();
    let sum = Left { data: errors, row_step: 0, inner_step: 1 };
    let shape = Shape { rows: 1, inner: batch, columns };
    product::<V, ROWS, WIDE>(shape, sum, &outputs[depth], None, Finish::Keep, &mut gradient[*last..bias]);
    let each = Left { data: errors, row_step: 1, inner_step: 0 };
    let shape = Shape { rows: batch, inner: 1, columns };
    let mask = Finish::Mask(&outputs[depth]);
    product::<V, ROWS, WIDE>(shape, each, &network.values[*last..bias], None, mask, &mut slopes[depth - 1]);

    for depth in (0..depth).rev() {
        let layer = &layers[depth];
        let columns = padded(layer.units);
        let below = if depth == 0 { layer.inputs } else { padded(layer.inputs) };
        let points = Left { data: &outputs[depth], row_step: 1, inner_step: below };
        let shape = Shape { rows: layer.inputs, inner: batch, columns };
        product::<V, ROWS, WIDE>(shape, points, &slopes[depth], None, Finish::Keep, &mut gradient[layer.weights.clone()]);
        let ones = Left { data: &[1.0], row_step: 0, inner_step: 0 };
        let shape = Shape { rows: 1, inner: batch, columns };
        product::<V, ROWS, WIDE>(shape, ones, &slopes[depth], None, Finish::Keep, &mut gradient[layer.biases.clone()]);
        if depth > 0 {
            transpose(&network.values[layer.weights.clone()], layer, transposed);
            let (lower, upper) = slopes.split_at_mut(depth);
            let left = Left { data: &upper[0], row_step: columns, inner_step: 1 };
            let shape = Shape { rows: batch, inner: layer.units, columns: below };
            product::<V, ROWS, WIDE>(shape, left, transposed, None, Finish::Mask(&outputs[depth]), &mut lower[depth - 1]);
        }
    }
}

/// `weights` (inputs x padded units) as units x padded inputs, with zero padding.
#[inline(always)]
fn transpose(weights: &[f32], layer: &Layer, out: &mut [f32]) {
    let (from, to) = (padded(layer.units), padded(layer.inputs));
    for (unit, row) in out.chunks_exact_mut(to).take(layer.units).enumerate() {
        for (value, column) in row[..layer.inputs].iter_mut().zip(weights[unit..].iter().step_by(from)) {
            *value = *column;
        }
        row[layer.inputs..].fill(0.0);
    }
}

/// Adam's update with beta 0.9 and 0.999, epsilon 1e-8; `rate` already holds the corrections for the first steps.
///
/// Moments of units that are off shrink towards zero: below 1e-30 they are zero, since arithmetic on denormal numbers
/// costs a hundred times as much.
#[inline(always)]
fn adam(values: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32], rate: f32) {
    let (values, gradient) = (values.as_chunks_mut::<LANES>().0, gradient.as_chunks::<LANES>().0);
    let (mean, square) = (mean.as_chunks_mut::<LANES>().0, square.as_chunks_mut::<LANES>().0);
    for (((value, g), m), v) in values.iter_mut().zip(gradient).zip(mean).zip(square) {
        for lane in 0..LANES {
            let moved = 0.1f32.mul_add(g[lane], 0.9 * m[lane]);
            m[lane] = if moved.abs() < 1e-30 { 0.0 } else { moved };
            let spread = (0.001 * g[lane]).mul_add(g[lane], 0.999 * v[lane]);
            v[lane] = if spread < 1e-30 { 0.0 } else { spread };
            value[lane] -= rate * m[lane] / (v[lane].sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
#[path = "training_tests.rs"]
mod tests;
