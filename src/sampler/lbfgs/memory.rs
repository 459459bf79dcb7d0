//! The curvature as L-BFGS remembers it: the last steps and changes of slope (Nocedal 1980), over the coordinates that are free.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    most: usize,
    /// Step and change of slope, oldest first.
    pairs: VecDeque<(Vec<f64>, Vec<f64>)>,
}

/// Sum over the coordinates that are free.
pub fn dot(free: &[bool], a: &[f64], b: &[f64]) -> f64 {
    free.iter().zip(a.iter().zip(b)).filter(|(free, _)| **free).map(|(_, (a, b))| a * b).sum()
}

impl Memory {
    pub fn new(most: usize) -> Memory {
        Memory { most, pairs: VecDeque::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    pub fn push(&mut self, step: Vec<f64>, change: Vec<f64>) {
        let all = vec![true; step.len()];
        if dot(&all, &step, &change) <= 2.2e-16 * dot(&all, &change, &change) {
            return;
        }
        if self.pairs.len() == self.most {
            self.pairs.pop_front();
        }
        self.pairs.push_back((step, change));
    }

    /// -H slope over the free coordinates, and 0 over the others, by the two loops (Nocedal & Wright, algorithm 7.4); pairs without
    /// positive curvature among the free coordinates are passed over.
    pub fn direction(&self, slope: &[f64], free: &[bool]) -> Vec<f64> {
        let mut q: Vec<f64> = slope.iter().zip(free).map(|(g, free)| if *free { -g } else { 0.0 }).collect();
        let curved = |(s, y): &&(Vec<f64>, Vec<f64>)| dot(free, s, y) > 1e-12 * (dot(free, s, s) * dot(free, y, y)).sqrt();
        let pairs: Vec<&(Vec<f64>, Vec<f64>)> = self.pairs.iter().filter(curved).collect();
        let mut alphas = Vec::with_capacity(pairs.len());
        for (s, y) in pairs.iter().rev() {
            let alpha = dot(free, s, &q) / dot(free, s, y);
            q.iter_mut().zip(y).zip(free).filter(|(_, free)| **free).for_each(|((q, y), _)| *q -= alpha * y);
            alphas.push(alpha);
        }
        if let Some((s, y)) = pairs.last() {
            let scale = dot(free, s, y) / dot(free, y, y);
            q.iter_mut().for_each(|q| *q *= scale);
        }
        for ((s, y), alpha) in pairs.iter().zip(alphas.iter().rev()) {
            let beta = dot(free, y, &q) / dot(free, s, y);
            q.iter_mut().zip(s).zip(free).filter(|(_, free)| **free).for_each(|((q, s), _)| *q += (alpha - beta) * s);
        }
        q
    }
}
