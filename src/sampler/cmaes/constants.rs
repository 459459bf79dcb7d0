//! Weights and rates of CMA-ES with active update: Hansen, The CMA Evolution Strategy: A Tutorial (2016, arXiv:1604.00772), table 1.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constants {
    /// Points a generation.
    pub lambda: usize,
    /// One for each rank: positive for the better half, negative for the worse (zero without active update).
    pub weights: Vec<f64>,
    pub mu_eff: f64,
    /// Rates of the rank-one and rank-mu updates.
    pub c1: f64,
    pub cmu: f64,
    /// Rates of the evolution paths of the covariance and the step.
    pub cc: f64,
    pub cs: f64,
    pub damping: f64,
    /// Expected length of a standard normal vector.
    pub chi: f64,
    /// Generations between eigensystems: their cost then stays of the order of the updates'.
    pub lag: f64,
}

/// The default population.
pub fn population(n: usize) -> usize {
    (4.0 + 3.0 * libm::log(n as f64)).floor() as usize
}

impl Constants {
    pub fn new(n_dim: usize, lambda: usize, active: bool) -> Constants {
        let n = n_dim as f64;
        let raw: Vec<f64> = (1..=lambda).map(|i| libm::log((lambda as f64 + 1.0) / 2.0) - libm::log(i as f64)).collect();
        let sum = |positive: bool, power: i32| raw.iter().filter(|w| (**w > 0.0) == positive).map(|w| w.powi(power)).sum::<f64>();
        let mu_eff = sum(true, 1) * sum(true, 1) / sum(true, 2);
        let c1 = (lambda as f64 / 6.0).min(1.0) * 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff);
        let cmu = (2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((n + 2.0) * (n + 2.0) + mu_eff)).min(1.0 - c1);
        let cs = (mu_eff + 2.0) / (n + mu_eff + 3.0);
        let negative = if active { negative_mass(n, &raw, mu_eff, c1, cmu) } else { 0.0 };
        let weights = raw.iter().map(|w| if *w > 0.0 { w / sum(true, 1) } else { w * negative / -sum(false, 1) }).collect();
        Constants {
            lambda,
            weights,
            mu_eff,
            c1,
            cmu,
            cc: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            cs,
            damping: 1.0 + cs + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0),
            chi: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
            lag: 0.5 / ((c1 + cmu) * n),
        }
    }
}

/// Sum of the sizes of the negative weights (tutorial, equations 50 to 52).
fn negative_mass(n: f64, raw: &[f64], _mu_eff: f64, c1: f64, cmu: f64) -> f64 {
    let negative = || raw.iter().filter(|w| **w < 0.0);
    let sum: f64 = negative().sum();
    let mu_eff = sum * sum / negative().map(|w| w * w).sum::<f64>();
    (1.0 + c1 / cmu).min(1.0 + 2.0 * mu_eff / (mu_eff + 2.0)).min((1.0 - c1 - cmu) / (n * cmu))
}
