//! A small network whose outputs for coordinate i depend only on coordinates before i (Germain et al. 2015, MADE, ICML 37).
//!
//! Plain f64 loops over whole rows: the bits do not depend on the CPU.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::random::uniform;

/// Two hidden layers of soft signs, h = a / (1 + |a|).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    d: usize,
    hidden: usize,
    /// Outputs for each coordinate.
    pub outputs: usize,
    /// Weights (inputs x units, row-major), then biases, of each of the three layers. Masked weights are zero and stay so.
    #[serde(with = "crate::bulk::reals")]
    pub values: Vec<f64>,
}

/// What the way forward leaves for the way back.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    x: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    /// d x outputs.
    pub out: Vec<f64>,
}

/// Where a layer is in `values`.
#[derive(Clone, Copy)]
struct Layer {
    number: usize,
    inputs: usize,
    units: usize,
    start: usize,
}

impl Made {
    /// All outputs zero at first, whatever the input.
    pub fn new(d: usize, hidden: usize, outputs: usize, rng: &mut ChaCha8Rng) -> Made {
        let size = (d + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * d * outputs;
        let mut made = Made { d, hidden, outputs, values: vec![0.0; size] };
        for Layer { number, inputs, units, start } in made.layers().into_iter().take(2) {
            let bound = (6.0 / (inputs + units) as f64).sqrt();
            for k in 0..inputs * units {
                let value = bound * (2.0 * uniform(rng) - 1.0);
                made.values[start + k] = if made.open(number, k / units, k % units) { value } else { 0.0 };
            }
        }
        made
    }

    fn layers(&self) -> [Layer; 3] {
        let (d, h) = (self.d, self.hidden);
        [
            Layer { number: 0, inputs: d, units: h, start: 0 },
            Layer { number: 1, inputs: h, units: h, start: (d + 1) * h },
            Layer { number: 2, inputs: h, units: d * self.outputs, start: (d + 1) * h + (h + 1) * h },
        ]
    }

    /// Coordinates 0..=degree may reach a hidden unit.
    fn degree(&self, unit: usize) -> usize {
        unit % (self.d - 1).max(1)
    }

    /// Whether `input` may reach `unit` in this layer.
    fn open(&self, layer: usize, input: usize, unit: usize) -> bool {
        match layer {
            0 => input <= self.degree(unit),
            1 => self.degree(input) <= self.degree(unit),
            _ => self.degree(input) < unit / self.outputs,
        }
    }

    /// In the last layer the weights of an input are masked up to some unit, and need not be looked at; in whole vectors of [`dot`], so that sums keep their order.
    fn first_open(&self, layer: Layer, input: usize) -> usize {
        if layer.number < 2 { 0 } else { (self.degree(input) + 1) * self.outputs / 4 * 4 }
    }

    /// 1 for weights and biases that may differ from zero, else 0.
    pub fn mask(&self) -> Vec<f64> {
        let mut mask = vec![1.0; self.values.len()];
        for Layer { number, inputs, units, start } in self.layers() {
            for k in 0..inputs * units {
                mask[start + k] = f64::from(self.open(number, k / units, k % units));
            }
        }
        mask
    }

    pub fn forward(&self, x: &[f64], trace: &mut Trace) {
        let [one, two, three] = self.layers();
        trace.x.clear();
        trace.x.extend_from_slice(x);
        self.product(one, 0..one.units, x, &mut trace.first);
        trace.first.iter_mut().for_each(|a| *a /= 1.0 + a.abs());
        self.product(two, 0..two.units, &trace.first, &mut trace.second);
        trace.second.iter_mut().for_each(|a| *a /= 1.0 + a.abs());
        self.product(three, 0..three.units, &trace.second, &mut trace.out);
    }

    /// The outputs for coordinate `i` alone; coordinates from i on are not looked at.
    pub fn outputs_of(&self, i: usize, x: &[f64], trace: &mut Trace) {
        let [one, two, three] = self.layers();
        self.product(one, 0..one.units, x, &mut trace.first);
        trace.first.iter_mut().for_each(|a| *a /= 1.0 + a.abs());
        self.product(two, 0..two.units, &trace.first, &mut trace.second);
        trace.second.iter_mut().for_each(|a| *a /= 1.0 + a.abs());
        self.product(three, i * self.outputs..(i + 1) * self.outputs, &trace.second, &mut trace.out);
    }

    /// bias + x W for some of the units.
    fn product(&self, layer: Layer, range: std::ops::Range<usize>, x: &[f64], out: &mut Vec<f64>) {
        let Layer { inputs, units, start, .. } = layer;
        let biases = start + inputs * units;
        out.clear();
        out.extend_from_slice(&self.values[biases + range.start..biases + range.end]);
        for (i, x) in x.iter().enumerate().take(inputs) {
            let (row, first) = (start + i * units, self.first_open(layer, i).clamp(range.start, range.end));
            let weights = &self.values[row + first..row + range.end];
            out[first - range.start..].iter_mut().zip(weights).for_each(|(o, w)| *o += x * w);
        }
    }

    /// Adds to `gradient` (like `values`) and to `slope_x` what `slope_out`, the slopes by the outputs, brings about.
    pub fn back(&self, trace: &Trace, slope_out: &[f64], gradient: &mut [f64], slope_x: &mut [f64]) {
        let [one, two, three] = self.layers();
        let mut second = vec![0.0; self.hidden];
        self.back_product(three, &trace.second, slope_out, gradient, &mut second);
        second.iter_mut().zip(&trace.second).for_each(|(s, h)| *s *= (1.0 - h.abs()) * (1.0 - h.abs()));
        let mut first = vec![0.0; self.hidden];
        self.back_product(two, &trace.first, &second, gradient, &mut first);
        first.iter_mut().zip(&trace.first).for_each(|(s, h)| *s *= (1.0 - h.abs()) * (1.0 - h.abs()));
        self.back_product(one, &trace.x, &first, gradient, slope_x);
    }

    fn back_product(&self, layer: Layer, x: &[f64], slope: &[f64], gradient: &mut [f64], slope_x: &mut [f64]) {
        let Layer { inputs, units, start, .. } = layer;
        let biases = start + inputs * units;
        gradient[biases..biases + units].iter_mut().zip(slope).for_each(|(g, s)| *g += s);
        for i in 0..inputs {
            let first = self.first_open(layer, i);
            let (row, slope) = (start + i * units + first..start + (i + 1) * units, &slope[first..]);
            gradient[row.clone()].iter_mut().zip(slope).for_each(|(g, s)| *g += x[i] * s);
            slope_x[i] += dot(&self.values[row], slope);
        }
    }
}

/// Four interleaved sums, so that the compiler may use vectors and the order stays fixed.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    for (a, b) in a4.iter().zip(b4) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn an_output_depends_on_earlier_coordinates_and_on_no_other() {
        let mut rng = stream(1, Purpose::Decisions, 0, 0);
        let mut made = Made::new(3, 8, 2, &mut rng);
        let mask = made.mask();
        made.values.iter_mut().zip(&mask).for_each(|(v, m)| *v = m * (uniform(&mut rng) - 0.5));
        let out = |x: &[f64]| {
            let mut trace = Trace::default();
            made.forward(x, &mut trace);
            trace.out
        };
        let base = out(&[0.1, 0.2, 0.3]);
        for j in 0..3 {
            let mut x = [0.1, 0.2, 0.3];
            x[j] += 0.5;
            let moved = out(&x);
            for i in 0..3 {
                assert_eq!(moved[2 * i] != base[2 * i], j < i, "output {i}, coordinate {j}");
            }
            let mut alone = Trace::default();
            made.outputs_of(j, &[0.1, 0.2, 0.3], &mut alone);
            assert_eq!(alone.out, base[2 * j..2 * j + 2]);
        }
    }
}
