//! A small ReLU network that scores points of the cube: the learned bound of importance nested sampling.
//!
//! Lange 2023 (nautilus, MNRAS 525, 3181). Its output is the same bits on any CPU, rank, thread and split into blocks.

use std::ops::Range;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::cpu::{Cpu, Lanes, compiled_per_cpu};
use super::gemm::{Finish, LANES, Left, Shape, dot, padded, product};

pub use super::training::{TrainSettings, train};

/// Rows that pass through all layers together, so that what lies between layers stays in the nearest cache.
const BLOCK: usize = 64;

/// A fully connected network: features of a point, hidden ReLU layers, one linear output.
///
/// The features of x are x_i, (x_i^2 - 1) / sqrt 2 and (|x|^2 - d) / sqrt(2 d). Level sets of a likelihood are closed
/// surfaces: given squares, one small network draws them better than four larger ones without (bench/network).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Number of features, then of units in each hidden layer (at least one).
    pub(super) widths: Vec<usize>,
    /// Layer by layer: weights (inputs x padded units, row-major), then padded biases; last the output weights
    /// and its bias, each padded. Padding is zero and stays zero.
    pub(super) values: Vec<f32>,
}

/// Where a hidden layer's numbers are in `values`.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub inputs: usize,
    pub units: usize,
    pub weights: Range<usize>,
    pub biases: Range<usize>,
}

/// The hidden layers of a network of these widths, and where its output weights start.
pub(super) fn layout(widths: &[usize]) -> (Vec<Layer>, usize) {
    let mut at = 0;
    let layers = widths.windows(2).map(|pair| {
        let (inputs, units) = (pair[0], pair[1]);
        let weights = at..at + inputs * padded(units);
        let biases = weights.end..weights.end + padded(units);
        at = biases.end;
        Layer { inputs, units, weights, biases }
    });
    (layers.collect(), at)
}

/// Number of features of a point of `d` coordinates.
pub(super) fn n_features(d: usize) -> usize {
    2 * d + 1
}

/// The features of each of the points `x` (n x d) into the rows of `out` (n x [`n_features`]).
#[inline(always)]
pub(super) fn featurise(x: &[f32], d: usize, out: &mut [f32]) {
    let root = (d as f32 * 2.0).sqrt();
    for (point, row) in x.chunks_exact(d).zip(out.chunks_exact_mut(n_features(d))) {
        let mut sum = 0.0;
        for (i, &v) in point.iter().enumerate() {
            row[i] = v;
            row[d + i] = (v * v - 1.0) * std::f32::consts::FRAC_1_SQRT_2;
            sum += v * v;
        }
        row[2 * d] = (sum - d as f32) / root;
    }
}

impl Network {
    /// Weights and biases uniform within +-sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010), as nautilus has them.
    pub(super) fn random(d: usize, hidden: &[usize], rng: &mut ChaCha8Rng) -> Network {
        let widths: Vec<usize> = std::iter::once(n_features(d)).chain(hidden.iter().copied()).collect();
        let (layers, last) = layout(&widths);
        let units = widths[widths.len() - 1];
        let mut values = vec![0f32; last + padded(units) + LANES];
        for layer in &layers {
            let bound = (6.0 / (layer.inputs + layer.units) as f64).sqrt() as f32;
            let rows = values[layer.weights.start..layer.biases.end].chunks_mut(padded(layer.units));
            for row in rows {
                row[..layer.units].fill_with(|| bound * symmetric(rng));
            }
        }
        let bound = (6.0 / (units + 1) as f64).sqrt() as f32;
        values[last..last + units].fill_with(|| bound * symmetric(rng));
        Network { widths, values }
    }

    /// Number of coordinates of a point.
    pub fn d(&self) -> usize {
        (self.widths[0] - 1) / 2
    }

    /// Scores the points `x` (out.len() x d, row-major) into `out`. A point's score does not depend on its company.
    ///
    /// # Panics
    /// When `x` does not hold out.len() points of d coordinates.
    pub fn predict(&self, x: &[f32], out: &mut [f32]) {
        self.predict_on(Cpu::best(), x, out);
    }

    pub(super) fn predict_on(&self, cpu: Cpu, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len() * self.d(), "{} numbers are not {} points of {}", x.len(), out.len(), self.d());
        score(cpu, self, x, out);
    }
}

/// Uniform on [-1, 1).
fn symmetric(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 * (1.0 / (1 << 23) as f32) - 1.0
}

compiled_per_cpu! {
    fn score(network: &Network, x: &[f32], out: &mut [f32]), by score_body
}

#[inline(always)]
fn score_body<V: Lanes, const ROWS: usize, const WIDE: usize>(network: &Network, x: &[f32], out: &mut [f32]) {
    let (layers, last) = layout(&network.widths);
    let widest = layers.iter().map(|layer| padded(layer.units)).max().unwrap_or(LANES);
    let mut features = vec![0f32; BLOCK * network.widths[0]];
    let mut below = vec![0f32; BLOCK * widest];
    let mut above = vec![0f32; BLOCK * widest];
    for (x, out) in x.chunks(BLOCK * network.d()).zip(out.chunks_mut(BLOCK)) {
        featurise(x, network.d(), &mut features);
        for (depth, layer) in layers.iter().enumerate() {
            let (data, row_step) = if depth == 0 { (&features[..], layer.inputs) } else { (&below[..], padded(layer.inputs)) };
            let left = Left { data, row_step, inner_step: 1 };
            forward::<V, ROWS, WIDE>(&network.values, layer, out.len(), left, &mut above);
            std::mem::swap(&mut below, &mut above);
        }
        let stride = network.values.len() - LANES - last;
        let weights = &network.values[last..last + stride];
        let bias = network.values[last + stride];
        for (row, out) in below.chunks_exact(stride).zip(out) {
            *out = dot::<V>(row, weights) + bias;
        }
    }
}

/// ReLU(biases + rows * weights) of one layer.
#[inline(always)]
pub(super) fn forward<V: Lanes, const ROWS: usize, const WIDE: usize>(
    values: &[f32],
    layer: &Layer,
    rows: usize,
    left: Left,
    out: &mut [f32],
) {
    let shape = Shape { rows, inner: layer.inputs, columns: padded(layer.units) };
    let bias = Some(&values[layer.biases.clone()]);
    product::<V, ROWS, WIDE>(shape, left, &values[layer.weights.clone()], bias, Finish::Relu, out);
}
