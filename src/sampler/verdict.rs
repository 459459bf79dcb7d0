//! Whether a result can be used: the one place where what an engine knows of its own answer becomes `converged`, `doubtful` or `failed`.

use super::{Posterior, Progress};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a result can be used, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What was asked for is reached, and nothing speaks against it.
    #[default]
    Converged,
    /// It is reached, but the engine's own checks disagree.
    Doubtful,
    /// It is not reached: no result to use. The run can go on with other limits.
    Failed,
}

/// A level, and why it is not better.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub level: Level,
    /// In plain words; reasons for failure first. Empty where it converged.
    pub reasons: Vec<String>,
}

/// So begins a warning of an engine that did not reach what it was asked for.
pub const MISSED: &str = "not converged";
/// Estimates of log Z that should agree may differ by so many of their errors.
const APART: f64 = 5.0;
/// The two errors of log Z of nested sampling may differ by this factor.
const ERRORS_APART: f64 = 2.0;
/// One point with more of the weight than this is no sample.
const HEAVY: f64 = 0.5;
/// Quantiles of fewer independent draws are rough whatever was asked for.
const FEW: f64 = 100.0;

impl Verdict {
    /// Of an engine's answer: its warnings, estimates that it made in two ways, and weights that say too little.
    pub fn of(posterior: &Posterior) -> Verdict {
        let (failures, doubts): (Vec<&String>, Vec<&String>) = posterior.warnings.iter().partition(|w| w.starts_with(MISSED));
        let mut verdict = Verdict::default();
        failures.into_iter().for_each(|why| verdict.fail(why.clone()));
        verdict.look_at_weights(posterior);
        doubts.into_iter().for_each(|why| verdict.doubt(why.clone()));
        verdict.look_at_evidence(posterior);
        verdict
    }

    pub fn doubt(&mut self, why: String) {
        self.level = self.level.max(Level::Doubtful);
        self.reasons.push(why);
    }

    fn fail(&mut self, why: String) {
        self.level = Level::Failed;
        self.reasons.push(why);
    }

    /// Only of a weighted sample; an optimiser's best point has all the weight.
    fn look_at_weights(&mut self, posterior: &Posterior) {
        if posterior.optimum.is_some() {
            return;
        }
        let heaviest = posterior.log_weight.iter().copied().fold(f64::NEG_INFINITY, f64::max).exp();
        if heaviest > HEAVY {
            self.fail(format!(
                "{MISSED}: one point holds {:.0}% of the weight, so there is no sample of the posterior yet",
                100.0 * heaviest
            ));
        } else if posterior.n_eff < FEW {
            self.doubt(format!("the sample is worth {:.0} independent draws: means and quantiles are rough", posterior.n_eff));
        }
    }

    /// log Z, or its error, that was had in two ways.
    fn look_at_evidence(&mut self, posterior: &Posterior) {
        let value = |name: &str| posterior.diagnostics.iter().find(|d| d.0 == name).map_or(f64::NAN, |d| d.1);
        let tempered = (value("log_z_smc"), value("log_z_err_smc"));
        for by in ["bridge", "importance"] {
            let other = (value(&format!("log_z_{by}")), value(&format!("log_z_err_{by}")));
            // Tempered states find late what lies deep in a funnel: their log Z is too low there, and nothing is missing in the end.
            let score = (tempered.0 - other.0) / libm::hypot(tempered.1, other.1);
            if score > APART {
                self.doubt(format!(
                    "log Z by the tempered states ({:.3}) is larger than by {by} ({:.3}), by {score:.1} of their errors: what they found \
                     was lost on the way; compare another seed, or raise n_active",
                    tempered.0, other.0
                ));
            }
        }
        let ratio = value("log_z_err_simulated") / posterior.log_z_err;
        if ratio > ERRORS_APART {
            self.doubt(format!(
                "the error of log Z is {ratio:.1} times larger when it is simulated: take that, {:.2}",
                value("log_z_err_simulated")
            ));
        }
    }
}

/// Calls after which a sample should be worth something.
const MANY_CALLS: u64 = 100_000;
/// Independent draws that it should be worth by then.
const HARDLY_ANY: f64 = 10.0;

/// What to say of a run that goes on and is not likely to end well, and what would do better.
pub fn thin_hope(method: &str, now: &Progress) -> Option<String> {
    let doing = match method {
        "importance-nested" => {
            "a few points hold nearly all of the weight, for the bounds miss what matters; method = \"nested\" may find it"
        }
        "nuts" | "ensemble" => "chains hardly mix, as between several modes or along a thin ridge; method = \"nested\" may do better",
        // Their samples are worth little until they have climbed to the posterior.
        _ => return None,
    };
    let thin = now.n_like >= MANY_CALLS && now.n_eff > 0.0 && now.n_eff < HARDLY_ANY;
    thin.then(|| format!("after {} calls the sample is worth {:.0} independent draws: {doing}", now.n_like, now.n_eff))
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Level::Converged => "converged",
            Level::Doubtful => "doubtful",
            Level::Failed => "failed",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posterior(n: usize) -> Posterior {
        Posterior { n_eff: n as f64, log_weight: vec![-(n as f64).ln(); n], log_z_err: 0.1, ..Posterior::default() }
    }

    #[test]
    fn an_answer_without_a_word_against_it_has_converged() {
        assert_eq!(Verdict::of(&posterior(1000)), Verdict::default());
    }

    #[test]
    fn a_warning_is_a_doubt_and_a_target_that_was_missed_a_failure() {
        let warned = Posterior { warnings: vec!["walks are short".into()], ..posterior(1000) };
        assert_eq!(Verdict::of(&warned).level, Level::Doubtful);
        let missed = Posterior { warnings: vec!["walks are short".into(), "not converged: n_like_max".into()], ..posterior(1000) };
        let verdict = Verdict::of(&missed);
        assert_eq!((verdict.level, verdict.reasons[0].as_str()), (Level::Failed, "not converged: n_like_max"));
    }

    #[test]
    fn a_point_with_most_of_the_weight_is_a_failure_but_for_an_optimiser() {
        let mut heavy = posterior(1000);
        heavy.log_weight[0] = 0.6_f64.ln();
        assert_eq!(Verdict::of(&heavy).level, Level::Failed);
        heavy.optimum = Some(crate::sampler::Optimum::default());
        assert_eq!(Verdict::of(&heavy).level, Level::Converged);
        assert_eq!(Verdict::of(&posterior(50)).level, Level::Doubtful, "few draws");
    }

    #[test]
    fn hope_is_thin_where_many_calls_are_worth_hardly_a_draw() {
        let at = |n_like, n_eff| Progress { n_like, n_eff, ..Progress::default() };
        assert!(thin_hope("importance-nested", &at(200_000, 4.0)).unwrap().contains("nested"));
        assert!(thin_hope("nuts", &at(200_000, 4.0)).unwrap().contains("modes"));
        assert_eq!(thin_hope("nested", &at(200_000, 4.0)), None, "it still climbs");
        assert_eq!(thin_hope("importance-nested", &at(200_000, 40.0)), None);
        assert_eq!(thin_hope("importance-nested", &at(20_000, 4.0)), None);
    }

    #[test]
    fn estimates_that_should_agree_and_do_not_are_a_doubt() {
        let with = |bridge: f64, simulated: f64| {
            let figures = [
                ("log_z_smc", 1.0),
                ("log_z_err_smc", 0.03),
                ("log_z_bridge", bridge),
                ("log_z_err_bridge", 0.04),
                ("log_z_err_simulated", simulated),
            ];
            Posterior { diagnostics: figures.map(|(name, x)| (name.to_string(), x)).to_vec(), ..posterior(1000) }
        };
        assert_eq!(Verdict::of(&with(0.8, 0.15)).level, Level::Converged);
        assert_eq!(Verdict::of(&with(0.7, 0.15)).level, Level::Doubtful);
        assert_eq!(Verdict::of(&with(1.3, 0.15)).level, Level::Converged, "it was found late");
        assert_eq!(Verdict::of(&with(1.2, 0.25)).level, Level::Doubtful);
    }
}
