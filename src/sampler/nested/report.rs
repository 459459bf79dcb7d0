//! What the run says of itself: weighted points, evidence with its error, checks, and warnings in plain words.

use super::book::ZERO;
use super::effective::Families;
use super::ladder::{Estimate, Ladder};
use super::run::{BOTTOMLESS, Run};
use super::settings::Proposal;
use crate::sampler::{Posterior, Progress, SamplerError};
use crate::stats::{kish, weights};

/// Scores of the insertion test that are warned of.
const ASTRAY: f64 = 4.0;
/// Walks that reach less of the squared distance of independent points are warned of.
const SHORT_WALKS: f64 = 0.4;
/// Errors of log Z by families and by volumes that differ by less than this factor are one.
const APART: f64 = 1.6;
/// Share of walks that never moved that is warned of.
const STUCK: f64 = 0.05;

impl Run {
    pub fn progress(&self) -> Progress {
        let ladder = Ladder::of(&self.book);
        let estimate = ladder.estimate();
        let n_eff = self.families(&ladder, &estimate).n_eff();
        let phase = match (self.end.is_some(), self.pass.number as usize) {
            (true, _) => "finished".into(),
            (_, 0) => "climbing".into(),
            (_, number) if number < self.settings.n_runs => format!("climbing, run {}", number + 1),
            (_, number) => format!("batch {}", number + 1 - self.settings.n_runs),
        };
        let towards = (self.settings.n_eff > 0.0).then(|| (n_eff / self.settings.n_eff).clamp(0.0, 1.0));
        Progress {
            phase,
            fraction: if self.end.is_some() { Some(1.0) } else { towards },
            n_like: self.n_like,
            n_eff,
            log_z: estimate.log_z,
            log_z_err: estimate.error,
            details: vec![
                ("generation".into(), self.generation.number as f64),
                ("ln X".into(), self.pass.log_x),
                ("in live points".into(), self.pass.live_share(&self.book)),
                ("ellipsoids".into(), self.generation.n_cells() as f64),
            ],
        }
    }

    pub fn why_converged(&self) -> String {
        format!("the live points hold less than {} of the evidence", self.settings.f_live)
    }

    pub fn posterior(&self) -> Result<Posterior, SamplerError> {
        let ladder = Ladder::of(&self.book);
        let estimate = ladder.estimate();
        if !ladder.log_like.last().is_some_and(|best| *best > ZERO) {
            return Err(SamplerError(format!(
                "none of the {} points evaluated has a likelihood above zero: check the model and the priors",
                self.book.len()
            )));
        }
        let families = self.families(&ladder, &estimate);
        let mut posterior = Posterior {
            n_dim: self.n_dim,
            log_z: estimate.log_z,
            log_z_err: estimate.error,
            n_eff: families.n_eff(),
            n_like: self.n_like,
            ..Posterior::default()
        };
        for (at, id) in ladder.order.iter().enumerate().filter(|(at, _)| ladder.log_like[*at] > ZERO) {
            posterior.u.extend_from_slice(self.book.at(*id));
            posterior.log_like.push(ladder.log_like[at]);
            posterior.log_weight.push(estimate.log_weight[at]);
        }
        self.diagnose(&mut posterior, &ladder, &estimate);
        self.warn(&mut posterior);
        blame(&families, &mut posterior, self.settings.n_live);
        Ok(posterior)
    }

    pub fn families<'a>(&'a self, ladder: &'a Ladder, estimate: &Estimate) -> Families<'a> {
        Families::of(&self.book, ladder, estimate, self.settings.n_live)
    }

    fn diagnose(&self, posterior: &mut Posterior, ladder: &Ladder, estimate: &Estimate) {
        let zeros = ladder.log_like.iter().take_while(|l| **l == ZERO).count();
        let share = if zeros > 0 { -libm::expm1(ladder.log_x[zeros - 1]) } else { 0.0 };
        let mut add = |name: &str, value: f64| posterior.diagnostics.push((name.into(), value));
        add("log_z_err_simulated", ladder.simulated(self.seed).1);
        add("information", estimate.information);
        add("n_eff_kish", kish(&weights(&estimate.log_weight)));
        add("insertion_z", self.health.insertion_z());
        add("insertion_scatter", self.health.insertion_scatter());
        if self.health.walks > 0 {
            add("jump_distance", self.health.jump_distance());
            add("calls_per_walk", self.generation.steps.calls as f64 / self.health.walks as f64);
            add("walks_that_stayed", self.health.stuck as f64 / self.health.walks as f64);
        }
        add("uniform_draws", self.health.uniform as f64);
        add("batches", f64::from((self.pass.number + 1).saturating_sub(self.settings.n_runs as u32)));
        add("in_live_points", self.pass.live_share(&self.book));
        add("prior_share_of_zero", share);
        if let Some(z) = self.scatter_of_runs() {
            add("scatter_of_runs", z);
        }
    }

    /// Standard score of the scatter of log Z over independent runs beside what their errors explain; none for a single run.
    fn scatter_of_runs(&self) -> Option<f64> {
        let done = self.settings.n_runs.min(self.pass.number as usize + usize::from(self.end.is_some()));
        if done < 2 {
            return None;
        }
        let runs: Vec<(f64, f64)> = (0..done as u32)
            .map(|k| Ladder::of(&self.book.of_pass(k)).estimate())
            .map(|e| (e.log_z, 1.0 / (e.error * e.error).max(1e-300)))
            .collect();
        let total: f64 = runs.iter().map(|r| r.1).sum();
        let mean = runs.iter().map(|r| r.0 * r.1).sum::<f64>() / total;
        let chi2: f64 = runs.iter().map(|r| (r.0 - mean) * (r.0 - mean) * r.1).sum();
        let free = (done - 1) as f64;
        Some((chi2 - free) / (2.0 * free).sqrt())
    }

    fn warn(&self, posterior: &mut Posterior) {
        let (z, scatter, jump) = (self.health.insertion_z(), self.health.insertion_scatter(), self.health.jump_distance());
        let mut warn = |text: String| posterior.warnings.push(text);
        if self.out_of_calls {
            let held = 100.0 * self.pass.live_share(&self.book);
            warn(format!(
                "not converged: n_like_max is reached, and {held:.0}% of the evidence found so far is in the last live points: log Z and \
                 the posterior may be biased; go on with a higher n_like_max"
            ));
        }
        if self.is_bottomless() {
            warn(format!("not converged: {BOTTOMLESS}; look whether log L has a limit"));
        }
        let remedy = match self.settings.proposal {
            Proposal::Uniform => "the bound may cut off what it should hold: raise n_live or n_bootstrap, or use walks",
            _ => "walks may be too short (raise n_steps) or live points too few for the modes there are (raise n_live)",
        };
        if z.abs() > ASTRAY || scatter > ASTRAY {
            warn(format!(
                "new live points are not spread evenly among the others (insertion ranks: z = {z:.1}, scatter {scatter:.1}): {remedy}; \
                 log Z is less certain than its error says"
            ));
        }
        if jump < SHORT_WALKS {
            warn(format!("walks cover {jump:.2} of the squared distance of independent points: raise n_steps"));
        }
        if self.health.stuck as f64 > STUCK * self.health.walks as f64 {
            let share = 100.0 * self.health.stuck as f64 / self.health.walks as f64;
            warn(format!("{share:.0}% of the walks ended where they began, so that points repeat: raise n_steps"));
        }
        if let Some(score) = self.scatter_of_runs().filter(|score| *score > ASTRAY) {
            warn(format!(
                "independent runs disagree on log Z by more than their errors (score {score:.1}): modes may be lost; raise n_live"
            ));
        }
    }
}

/// The error of log Z where families make it larger, and a word on it.
fn blame(families: &Families, posterior: &mut Posterior, n_live: usize) {
    let (by_volumes, by_families) = (posterior.log_z_err, families.log_z_error());
    posterior.diagnostics.push(("log_z_err_families".into(), by_families));
    if by_families < APART * by_volumes {
        return;
    }
    posterior.log_z_err = by_families;
    posterior.warnings.push(format!(
        "log Z may be off by {by_families:.2}, where the volumes alone would say {by_volumes:.2}: walks stay in their peak, and how many live points the \
         main peaks have was a matter of luck; raise n_live (now {n_live})"
    ));
}
