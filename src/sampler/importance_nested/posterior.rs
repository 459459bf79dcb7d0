//! What the run says at the end: weighted points, evidence, checks, and warnings in plain words.

use super::doubt::Checks;
use super::estimate::{Count, Evidence, counted, mean_and_effective};
use super::run::{Phase, Run};
use super::tools::newest_holding;
use crate::sampler::{Posterior, Progress, SamplerError};
use crate::stats::log_sum;

/// Points looked at for the occupation check: what is lost is told to a tenth of the usual error of log Z.
const OCCUPATION_POINTS: usize = 2000;

impl Run {
    /// The estimate asked for, or the exploration's when there is none yet.
    fn best_count(&self) -> Count {
        if self.count() == Count::Fresh && !self.plan.measured { Count::All } else { self.count() }
    }

    /// Calls answered and committed, also those of explorations that were given up.
    fn n_evaluated(&self) -> u64 {
        self.dropped + self.ledger.points.len() as u64
    }

    /// Where the model was asked for point `id`.
    pub fn cube_point(&self, id: u32) -> Vec<f64> {
        let point = self.ledger.points.at(id);
        if self.stretch.is_none() { point.to_vec() } else { self.stretch.undo(point).0 }
    }

    pub fn progress(&self) -> Progress {
        let evidence = Evidence::of(&self.ledger, self.best_count());
        let phase = match self.phase {
            Phase::Exploring => "exploring",
            Phase::Sampling => "sampling",
            Phase::Finished => "finished",
        };
        let fraction = match self.phase {
            Phase::Exploring => None,
            Phase::Sampling => Some((evidence.n_eff / self.settings.n_eff).clamp(0.0, 1.0)),
            Phase::Finished => Some(1.0),
        };
        Progress {
            phase: phase.into(),
            fraction,
            n_like: self.n_evaluated(),
            n_eff: evidence.n_eff,
            log_z: evidence.log_z,
            log_z_err: evidence.error,
            details: vec![("bounds".into(), self.ledger.shells.len() as f64)],
        }
    }

    pub fn posterior(&self) -> Result<Posterior, SamplerError> {
        let count = self.best_count();
        let evidence = Evidence::of(&self.ledger, count);
        if evidence.log_z == f64::NEG_INFINITY {
            return Err(SamplerError(format!(
                "none of the {} points evaluated has a likelihood above zero: check the model and the priors",
                self.ledger.points.len()
            )));
        }
        let mut posterior = Posterior {
            n_dim: self.n_dim,
            log_z: evidence.log_z,
            log_z_err: evidence.error,
            n_eff: evidence.n_eff,
            n_like: self.n_evaluated(),
            ..Posterior::default()
        };
        // The same points in the engine's coordinates.
        let mut w = Vec::new();
        for (shell, summary) in self.ledger.shells.iter().zip(&evidence.shells) {
            let log_each = summary.log_volume - libm::log(summary.n as f64) - evidence.log_z;
            for id in counted(shell, count) {
                let log_like = self.ledger.points.log_like[id as usize];
                if log_like + log_each > f64::NEG_INFINITY {
                    w.extend_from_slice(self.ledger.points.at(id));
                    posterior.u.extend(self.cube_point(id));
                    posterior.log_like.push(self.ledger.points.told(id));
                    posterior.log_weight.push(log_like + log_each);
                }
            }
        }
        let norm = log_sum(&posterior.log_weight);
        posterior.log_weight.iter_mut().for_each(|w| *w -= norm);
        self.diagnose(&mut posterior, &w, &evidence, count);
        Ok(posterior)
    }

    fn diagnose(&self, posterior: &mut Posterior, w: &[f64], evidence: &Evidence, count: Count) {
        let checks = Checks {
            halves: self.split_half(evidence, count),
            occupation: self.occupation(w, &posterior.log_weight),
            heaviest: posterior.log_weight.iter().copied().fold(f64::NEG_INFINITY, f64::max).exp(),
        };
        posterior.diagnostics = vec![
            ("split_half_z".into(), checks.halves),
            ("occupation".into(), checks.occupation),
            ("heaviest_weight".into(), checks.heaviest),
            ("one_over_sqrt_n_eff".into(), evidence.n_eff.powf(-0.5)),
            ("log_z_explored".into(), Evidence::of(&self.ledger, Count::Explored).log_z),
            ("bounds".into(), self.ledger.shells.len() as f64),
            ("rounds".into(), f64::from(self.plan.rounds)),
        ];
        posterior.warnings = self.doubts(evidence, count, &checks);
    }

    /// Difference of log Z between the odd and the even points of every shell, in its standard deviations.
    fn split_half(&self, evidence: &Evidence, count: Count) -> f64 {
        let shares = evidence.shares();
        let (mut difference, mut variance) = (0.0, 0.0);
        for ((shell, summary), share) in self.ledger.shells.iter().zip(&evidence.shells).zip(shares) {
            if summary.n < 4 || share == 0.0 {
                continue;
            }
            let log_like = |start: usize| counted(shell, count).skip(start).step_by(2).map(|id| self.ledger.points.log_like[id as usize]);
            let mean = |start: usize| (mean_and_effective(log_like(start)).1 - summary.log_mean).exp();
            difference += share * (mean(0) - mean(1));
            variance += share * share * 4.0 * summary.mean_variance();
        }
        if variance > 0.0 { difference / variance.sqrt() } else { 0.0 }
    }

    /// Share of the posterior (`w`, n x d, with its weights) that lies in the bound that holds least of it, among bounds older
    /// than each point's shell.
    fn occupation(&self, w: &[f64], log_weight: &[f64]) -> f64 {
        // Systematic resampling at fixed steps.
        let (mut chosen, mut total) = (Vec::new(), 0.0);
        for (at, log_weight) in log_weight.iter().enumerate() {
            total += log_weight.exp();
            while (chosen.len() as f64 + 0.5) < total * OCCUPATION_POINTS as f64 {
                chosen.push(at);
            }
        }
        let d = self.n_dim;
        let u: Vec<f64> = chosen.iter().flat_map(|at| w[at * d..(at + 1) * d].iter().copied()).collect();
        let regions: Vec<_> = self.ledger.shells.iter().rev().map(|s| s.region.clone()).collect();
        let home: Vec<usize> =
            newest_holding(&regions, &u, d).iter().map(|h| h.map_or(0, |back| self.ledger.newest() - back as usize)).collect();
        let mut least: f64 = 1.0;
        for (number, shell) in self.ledger.shells.iter().enumerate().skip(1) {
            let mut held = vec![false; home.len()];
            shell.region.contains(&u, &mut held);
            let missing = home.iter().zip(&held).filter(|(home, held)| **home > number && !**held).count();
            least = least.min(1.0 - missing as f64 / home.len().max(1) as f64);
        }
        least
    }
}
