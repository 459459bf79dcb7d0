//! What the walkers say at the end: equally weighted draws, and warnings in plain words.

use super::chain::Look;
use super::{DRIFT, Ensemble, Phase};
use crate::sampler::standard::to_cube;
use crate::sampler::{Posterior, Progress, SamplerError};

/// Shares of accepted proposals outside of which something is wrong.
const LOW: f64 = 0.05;

impl Ensemble {
    pub(super) fn standing(&self) -> Progress {
        let n_eff = self.look.as_ref().map_or(0.0, |look| self.worth(look));
        let (phase, fraction) = match self.phase {
            Phase::Starting(_) => ("starting", None),
            Phase::Walking => ("walking", Some((n_eff / self.settings.n_eff).clamp(0.0, 1.0))),
            Phase::Finished(_) => ("finished", Some(1.0)),
        };
        let mut details = vec![("steps".to_string(), self.walkers.steps as f64), ("accepted".into(), self.acceptance())];
        details.extend(self.look.as_ref().map(|look| ("tau".to_string(), look.steps())));
        Progress { phase: phase.into(), fraction, n_like: self.calls, n_eff, log_z: f64::NAN, log_z_err: f64::NAN, details }
    }

    fn acceptance(&self) -> f64 {
        self.accepted as f64 / (self.proposed as f64).max(1.0)
    }

    pub(super) fn converged(&self) -> bool {
        let long = |look: &Look| look.used as f64 > self.settings.n_times * look.longest && look.drift < DRIFT;
        self.stable && self.look.as_ref().is_some_and(long)
    }

    /// The chains without their start, thinned to two draws an autocorrelation time.
    pub(super) fn outcome(&self) -> Result<Posterior, SamplerError> {
        if self.chain.len() < 8 {
            return Err(SamplerError("the walkers have hardly moved yet: there is no sample".into()));
        }
        let fresh = self.look.clone().filter(|look| look.stride == self.chain.stride);
        let look = fresh.unwrap_or_else(|| self.chain.look(self.look.as_ref()));
        let thin = if look.shortest.is_finite() { ((0.5 * look.shortest) as usize).max(1) } else { 1 };
        let (mut u, mut log_like) = (Vec::new(), Vec::new());
        for (z, l) in self.chain.rows(look.burn, thin) {
            u.extend(to_cube(z));
            log_like.push(l);
        }
        let n = log_like.len();
        Ok(Posterior {
            n_dim: self.n_dim,
            u,
            log_weight: vec![-libm::log(n as f64); n],
            log_like,
            log_z: f64::NAN,
            log_z_err: f64::NAN,
            n_chains: self.walkers.len(),
            n_eff: self.worth(&look).min(n as f64),
            n_like: self.calls,
            warnings: self.warnings(&look),
            diagnostics: self.diagnostics(&look, thin),
            ..Posterior::default()
        })
    }

    fn diagnostics(&self, look: &Look, thin: usize) -> Vec<(String, f64)> {
        let stride = self.chain.stride as f64;
        let named = [
            ("autocorrelation_time", look.steps()),
            ("steps", self.walkers.steps as f64),
            ("steps_discarded", self.walkers.steps as f64 - look.used as f64 * stride),
            ("walkers_fetched", f64::from(self.fetched)),
            ("thinned_by", thin as f64 * stride),
            ("times_long", look.used as f64 / look.longest),
            ("accepted", self.acceptance()),
            ("drift", look.drift),
            ("stuck_walkers", look.stuck as f64),
        ];
        named.map(|(name, value)| (name.to_string(), value)).to_vec()
    }

    fn warnings(&self, look: &Look) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |text: String| warnings.push(text);
        let (times, n_eff) = (look.used as f64 / look.longest, self.worth(look));
        if !matches!(self.phase, Phase::Finished(_)) {
            warn("the run is not finished: these are estimates on the way".into());
        } else if !self.converged() {
            let need = self.settings.n_times;
            warn(format!(
                "not converged: the chains are {times:.0} autocorrelation times long, of {need:.0} needed, or still drift; do not trust widths or modes; \
                 allow more steps, or take importance-nested where peaks are many"
            ));
        } else if n_eff < 0.995 * self.settings.n_eff {
            warn(format!(
                "not converged: the effective sample size is {n_eff:.0} of {:.0} asked for; raise n_like_max or n_steps",
                self.settings.n_eff
            ));
        }
        if self.acceptance() < LOW {
            warn(format!(
                "only {:.1}% of the steps were accepted: the walkers hardly move; take more walkers, or another method",
                100.0 * self.acceptance()
            ));
        }
        if look.stuck > 0 {
            let n = self.walkers.len();
            warn(format!(
                "{} of {n} walkers are stuck where the others are not: their draws are in the sample; take more walkers or steps",
                look.stuck
            ));
        }
        warnings
    }
}
