//! What the run says at the end: weighted states, evidence, checks, and warnings in plain words.

use super::evidence::{Estimate, bridge, importance, pareto_shape, smc};
use super::run::{DRIFT, Phase, Run, There};
use super::settings::EvidenceBy;
use crate::sampler::{Posterior, Progress, SamplerError};
use crate::stats::log_sum;

/// Importance weights with a tail of this Pareto shape have no mean to trust (Vehtari et al. 2024).
const HEAVY_TAIL: f64 = 0.7;

/// Share of the average quantity's pace on a Gaussian ([`Run::slow_pace`]) that the slowest may fall to: walkers in funnels made .05 of it, in mixtures of
/// Student laws, whose log Z was right, .14 and more.
const SLOWEST: f64 = 0.125;
/// Where so few of the sixteen clans hold all of Z, the shares of modes are those of a few draws of the prior.
const FEW_ANCESTORS: f64 = 2.0;

impl Run {
    pub fn progress(&self) -> Progress {
        let beta = self.walk.beta;
        let phase = match self.phase {
            Phase::Prior => "drawing from the prior",
            Phase::Training => "training a flow",
            Phase::Walking if beta < 1.0 => "tempering",
            Phase::Walking => "sampling",
            Phase::Measuring => "measuring log Z",
            Phase::Finished => "finished",
        };
        let n_eff = self.n_eff_so_far();
        let fraction = match self.phase {
            Phase::Finished => Some(1.0),
            _ if beta < 1.0 => None,
            _ => Some((n_eff / self.settings.n_eff).clamp(0.0, 1.0)),
        };
        Progress {
            phase: phase.into(),
            fraction,
            n_like: self.n_like,
            n_eff,
            log_z: if self.archive.len() > 0 { self.archive.log_z(1.0) } else { f64::NAN },
            log_z_err: f64::NAN,
            details: vec![("beta".into(), beta), ("steps".into(), self.n_steps as f64)],
        }
    }

    pub fn posterior(&self) -> Result<Posterior, SamplerError> {
        if self.archive.len() == 0 {
            let n = self.n_prior;
            return Err(SamplerError(format!(
                "none of the {n} draws of the prior has a likelihood above zero: check the model and the priors"
            )));
        }
        // Chains of the posterior alone, once there are some: what all temperatures together say of it is wrong where one of them was.
        let (states, mut log_weight) = (self.pool(), self.log_weights(1.0));
        let log_z = log_sum(&log_weight);
        log_weight.iter_mut().for_each(|w| *w -= log_z);
        let kept: Vec<usize> = (0..log_weight.len()).filter(|i| log_weight[*i] > -745.0).collect();
        let mut posterior = Posterior {
            n_dim: self.n_dim,
            u: states.points(&kept),
            log_like: kept.iter().map(|i| states.log_like[*i]).collect(),
            log_weight: kept.iter().map(|i| log_weight[*i]).collect(),
            n_eff: self.n_eff_so_far(),
            n_like: self.n_like,
            ..Posterior::default()
        };
        self.evidence(&mut posterior);
        self.warn(&mut posterior);
        Ok(posterior)
    }

    /// That of the chains, and before there are any that of all states.
    fn n_eff_so_far(&self) -> f64 {
        if self.chains.len() > 0 { self.n_eff() } else { self.archive.n_eff(1.0) }
    }

    /// Clans of equal share of Z that would be as unlike.
    fn ancestors(&self) -> f64 {
        1.0 / self.archive.clan_shares(1.0).iter().map(|share| share * share).sum::<f64>()
    }

    /// log Z by the estimate asked for, all of them among the diagnostics.
    fn evidence(&self, posterior: &mut Posterior) {
        let tempered = smc(&self.archive, self.seed);
        let mut chosen = tempered;
        let mut note = |name: &str, e: Estimate| {
            posterior.diagnostics.push((format!("log_z_{name}"), e.log_z));
            posterior.diagnostics.push((format!("log_z_err_{name}"), e.error));
        };
        note("smc", tempered);
        if let Some(measured) = self.measured.as_ref().filter(|m| !m.draws.is_empty()) {
            let (fresh, n_eff) = importance(measured);
            note("importance", fresh);
            let both = bridge(&self.chains, self.pace.0, measured);
            if let Some(both) = both {
                note("bridge", both);
            }
            chosen = match self.settings.evidence {
                EvidenceBy::Smc => tempered,
                EvidenceBy::Importance => fresh,
                EvidenceBy::Bridge => both.unwrap_or(fresh),
            };
            posterior.diagnostics.push(("importance_n_eff".into(), n_eff));
            posterior.diagnostics.push(("importance_pareto_shape".into(), pareto_shape(measured)));
        }
        if !chosen.log_z.is_finite() {
            chosen = tempered;
        }
        (posterior.log_z, posterior.log_z_err) = (chosen.log_z, chosen.error);
        let more = [
            ("temperatures", self.archive.stages.len() as f64),
            ("beta", self.walk.beta),
            ("ancestors", self.ancestors()),
            ("drift", self.drift),
            ("steps", self.n_steps as f64),
            ("step_size", self.walk.sigma),
            ("acceptance", self.acceptance),
            ("draws_a_step", self.pace.0),
            ("draws_a_step_slowest", self.pace.1),
            ("student_nu", self.walk.geometry.law.nu),
            ("trainings", self.trainings as f64),
        ];
        posterior.diagnostics.extend(more.map(|(name, value)| (name.to_string(), value)));
    }

    fn warn(&self, posterior: &mut Posterior) {
        let target = self.settings.n_eff;
        let mut warn = |text: String| posterior.warnings.push(text);
        if self.phase != Phase::Finished {
            warn("the run is not finished: these are estimates on the way".into());
        } else if self.chains.len() == 0 {
            warn(format!(
                "not converged: the run ended at beta = {:.2e}, before it reached the posterior ({}); raise n_like_max",
                self.last_beta(),
                self.why_finished
            ));
        } else if posterior.n_eff < 0.995 * target || self.there != There::Staying {
            warn(format!(
                "not converged: the effective sample size is {:.0} of {target:.0} asked for ({}); raise n_like_max or n_steps_max, or try \
                 another precondition",
                posterior.n_eff, self.why_finished
            ));
        } else if self.drift >= DRIFT {
            warn(format!(
                "not converged: after {} steps at beta = 1 the walkers still move on together (the halves of their chains differ by {:.1} \
                 errors), so the posterior is not reached; raise n_steps_max, or try method = \"nested\"",
                self.spent, self.drift
            ));
        }
        if self.there == There::Staying && self.pace.1 < SLOWEST * self.slow_pace() {
            warn(format!(
                "the slowest parameter makes an independent draw in {:.0} steps only, so the posterior is not like the fitted law (a funnel, or modes \
                 apart): walkers may never have been in parts of it; try another precondition, or method = \"nested\"",
                1.0 / self.pace.1
            ));
        } else if self.there == There::Staying && self.pace.1 < 0.25 * self.pace.0 {
            warn(format!(
                "one parameter moves {:.0} times slower than the average: modes may be lost; compare another seed, or raise n_active",
                self.pace.0 / self.pace.1
            ));
        }
        if self.archive.stages.len() > 1 && self.ancestors() < FEW_ANCESTORS {
            warn(
                "nearly all walkers come of one sixteenth of the draws of the prior: modes may be lost, or have the wrong shares; raise n_prior and n_active"
                    .into(),
            );
        }
        if self.settings.n_active < 64 && self.trainings > 0 {
            warn(format!(
                "{} walkers teach a flow too little: means were off by several times their error in such runs; raise n_active to 128 or \
                 more, or set precondition = \"affine\"",
                self.settings.n_active
            ));
        }
        self.warn_of_evidence(posterior);
    }

    /// Estimates that should agree and do not.
    fn warn_of_evidence(&self, posterior: &mut Posterior) {
        let value = |name: &str| posterior.diagnostics.iter().find(|d| d.0 == name).map_or(f64::NAN, |d| d.1);
        let (fresh, both) = (value("log_z_importance"), value("log_z_bridge"));
        let error = libm::hypot(value("log_z_err_importance"), value("log_z_err_bridge"));
        let n_eff = value("importance_n_eff");
        let tempered = (value("log_z_smc"), value("log_z_err_smc"));
        if self.settings.evidence == EvidenceBy::Smc && both.is_nan() {
            posterior.warnings.push(
                "log Z is from the tempered states alone: its error knows nothing of humps that were found late; set n_evidence = 2048 to check it"
                    .into(),
            );
        } else if self.settings.evidence == EvidenceBy::Smc && (tempered.0 - both).abs() > 4.0 * libm::hypot(tempered.1, error) {
            posterior.warnings.push(format!(
                "log Z by the tempered states ({:.3}) and by bridge ({both:.3}) disagree: set evidence = \"bridge\"",
                tempered.0
            ));
        }
        // Only where nothing else is missing.
        if n_eff.is_nan() && self.settings.evidence != EvidenceBy::Smc && self.there == There::Staying && self.phase == Phase::Finished {
            posterior.warnings.push(
                "log Z is from the tempered states alone, which may be off by nats: no draw of the fitted law counts, or n_like_max left none to make; raise \
                 n_like_max, or try another precondition"
                    .into(),
            );
        } else if n_eff < 50.0 {
            posterior.warnings.push(format!(
                "log Z is uncertain: only {n_eff:.0} of {} draws of the fitted law count; try another precondition",
                self.settings.n_evidence
            ));
        } else if value("importance_pareto_shape") > HEAVY_TAIL {
            posterior.warnings.push(format!(
                "the posterior reaches farther than the fitted law (Pareto shape {:.2} of the importance weights): tails may be lost, and log Z with \
                 them; compare method = \"nested\"",
                value("importance_pareto_shape")
            ));
        } else if (fresh - both).abs() > 4.0 * error {
            posterior.warnings.push(format!(
                "log Z by importance ({fresh:.3}) and by bridge ({both:.3}) disagree: do not trust its error; raise n_active or n_evidence"
            ));
        }
    }
}
