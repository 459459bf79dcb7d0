//! Where further live points help most: between two contours, for the posterior or the evidence (Higson et al. 2019; Speagle 2020).

use super::book::PRIOR;
use super::ladder::{Estimate, Ladder};
use super::pass::Pass;
use super::run::Run;
use crate::random::{Purpose, stream, uniform};

/// Contours whose importance is above this share of the highest are in the range.
const RANGE: f64 = 0.8;

impl Run {
    /// The next batch; none when the targets are reached.
    pub fn plan_batch(&self, number: u32) -> Option<Pass> {
        let ladder = Ladder::of(&self.book);
        let estimate = ladder.estimate();
        let few = self.settings.n_eff > 0.0 && self.families(&ladder, &estimate).n_eff() < self.settings.n_eff;
        let vague = self.settings.log_z_err.is_some_and(|most| estimate.error > most);
        if !few && !vague || estimate.error.is_nan() {
            return None;
        }
        let share = if few { self.settings.posterior_share } else { 0.0 };
        let importance = importance(&ladder, &estimate, share);
        let most = importance.iter().copied().fold(0.0, f64::max);
        let high = |w: &f64| *w > RANGE * most;
        let (first, last) = (importance.iter().position(high)?, importance.iter().rposition(high)?);
        let n = importance.len();
        // So many distinct points must be above the floor to start from.
        let first = first.min(n.saturating_sub(self.settings.n_live + 1));
        let floor = if first < 2 { PRIOR } else { ladder.log_like[first - 1] };
        let ceiling = if last + 2 >= n { f64::INFINITY } else { ladder.log_like[last + 1] };
        let below: Vec<f64> = (0..first.max(1) - 1).map(|at| estimate.log_weight[at] + estimate.log_z).collect();
        let (log_x, log_z) = match floor {
            PRIOR => (0.0, f64::NEG_INFINITY),
            _ => (ladder.log_x_above(floor), crate::stats::log_sum(&below)),
        };
        Some(Pass::new(number, self.settings.n_live, floor, ceiling, log_x, log_z))
    }

    /// Starts a batch from known points above its floor, chosen without replacement in proportion to the prior volume that each stands
    /// for; they only lead to new ones.
    pub fn seed_batch(&mut self) {
        let ladder = Ladder::of(&self.book);
        let from = ladder.log_like.partition_point(|l| *l <= self.pass.floor);
        let estimate = ladder.estimate();
        let mut rng = stream(self.seed, Purpose::NestedStarts, self.generation.number, 1);
        // The largest of log weight + Gumbel noise are a sample without replacement (Efraimidis & Spirakis 2006).
        let mut keys: Vec<(f64, u32)> = (from..ladder.order.len())
            .map(|at| {
                let gumbel = -libm::log(-libm::log(1.0 - uniform(&mut rng)));
                (estimate.log_weight[at] - ladder.log_like[at] + gumbel, ladder.order[at])
            })
            .collect();
        keys.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let seeds: Vec<u32> = keys.iter().take(self.pass.n_live).map(|(_, id)| *id).collect();
        if seeds.is_empty() {
            self.pass.floor = PRIOR;
            return self.begin_pass();
        }
        self.begin_generation(self.pass.floor, self.pass.n_live, &seeds);
    }
}

/// Of each contour: its share of the posterior, and of the evidence still to come for each live point, mixed.
fn importance(ladder: &Ladder, estimate: &Estimate, posterior_share: f64) -> Vec<f64> {
    let posterior: Vec<f64> = estimate.log_weight.iter().map(|w| libm::exp(*w)).collect();
    let mut beyond = 1.0;
    let ahead: Vec<f64> = posterior
        .iter()
        .zip(&ladder.alive)
        .map(|(p, alive)| {
            beyond -= p;
            beyond.max(0.0) / alive
        })
        .collect();
    let all: f64 = ahead.iter().sum();
    posterior.iter().zip(ahead).map(|(p, a)| posterior_share * p + (1.0 - posterior_share) * a / all.max(1e-300)).collect()
}
