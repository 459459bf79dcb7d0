//! Quantities that the model computes beside log L, by the point they belong to. Samplers do not know of them.

use crate::fit::Extra;
use crate::sampler::Posterior;
use crate::task::Evaluation;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Computed {
    names: Vec<String>,
    /// Points of the unit cube, n x d.
    #[serde(with = "crate::bulk::reals")]
    u: Vec<f64>,
    /// n x names.
    #[serde(with = "crate::bulk::reals")]
    values: Vec<f64>,
}

impl Computed {
    pub fn new(names: Vec<String>) -> Computed {
        Computed { names, ..Computed::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn note(&mut self, call: &Evaluation) {
        if !self.names.is_empty() && call.derived.len() >= self.names.len() {
            self.u.extend(&call.u);
            self.values.extend(&call.derived[..self.names.len()]); // a gradient may follow
        }
    }

    /// Those of each sample, in order; NaN where a sample was no call of the model.
    pub fn of(&self, posterior: &Posterior) -> Extra {
        let (k, d) = (self.names.len(), posterior.n_dim.max(1));
        if k == 0 {
            return Extra::default();
        }
        let bits = |u: &[f64]| u.iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
        let known: HashMap<Vec<u64>, &[f64]> = self.u.chunks_exact(d).map(bits).zip(self.values.chunks_exact(k)).collect();
        let unknown = vec![f64::NAN; k];
        let of = |u: &[f64]| known.get(&bits(u)).copied().unwrap_or(&unknown).to_vec();
        Extra { names: self.names.clone(), values: posterior.u.chunks_exact(d).flat_map(of).collect() }
    }
}
