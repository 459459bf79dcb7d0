//! Why a result may be wrong, in plain words, gathered in one place: what the run itself can know of its failures.

use super::estimate::{Count, Evidence};
use super::run::{Phase, Run};

/// What the checks of a posterior found.
pub struct Checks {
    /// Difference of log Z between two halves of the points, in its standard deviations.
    pub halves: f64,
    /// Share of the posterior in the bound, made on the way, that holds least of it.
    pub occupation: f64,
    /// Largest weight of a point, as a share.
    pub heaviest: f64,
}

/// A bound may lose this share of the posterior whatever the error of log Z is.
const LEAST_LOSS: f64 = 1e-3;
/// Share of the evidence that may lie, by the exploration, where no fresh point could be drawn.
const UNDRAWN: f64 = 1e-3;
/// What to do when more of the same does not help.
const INSTEAD: &str = "try method = \"nested\", or \"smc\"";

impl Run {
    /// Every reason to doubt the estimate of `count`, gravest first; none where all is well.
    pub fn doubts(&self, evidence: &Evidence, count: Count, checks: &Checks) -> Vec<String> {
        let mut doubts = Vec::new();
        doubts.extend(self.doubts_about_the_target(evidence));
        if self.explorer.gave_up {
            doubts.push(format!("the exploration gave up with more to learn ({}): {INSTEAD}", self.explorer.why_stopped));
        }
        doubts.extend(self.doubts_about_points(evidence, count, checks));
        doubts.extend(self.doubts_about_shells(evidence));
        doubts
    }

    fn doubts_about_the_target(&self, evidence: &Evidence) -> Option<String> {
        let (n_eff, target) = (evidence.n_eff, self.settings.n_eff);
        let short = format!("not converged: the effective sample size is {n_eff:.0} of {target:.0} asked for");
        if self.phase != Phase::Finished {
            Some("the run is not finished: these are estimates on the way".into())
        } else if self.plan.stalled {
            Some(format!("{short}, and more points hardly raise it, since the bounds do not fit this posterior: {INSTEAD}"))
        } else if n_eff < 0.995 * target {
            Some(format!("{short}; raise n_like_max, or n_live if there was no limit"))
        } else {
            None
        }
    }

    fn doubts_about_points(&self, evidence: &Evidence, count: Count, checks: &Checks) -> Vec<String> {
        let n_live = self.settings.n_live;
        let mut doubts = Vec::new();
        if !self.settings.discard_exploration {
            doubts.push(
                "log Z counts the points that taught the bounds (discard_exploration = false): in many dimensions its bias exceeds its error"
                    .into(),
            );
        } else if count == Count::All {
            doubts.push(
                "log Z may be biased: the run ended before enough fresh points were drawn, so the points that taught the bounds are counted"
                    .into(),
            );
        }
        if checks.heaviest > 0.1 {
            doubts.push(format!(
                "one point carries {:.0}% of the evidence: a narrow peak was found late or missed; raise n_live (now {n_live}) and run again, or {INSTEAD}",
                100.0 * checks.heaviest
            ));
        }
        // Bounds that fit lose nothing: what one lost was found later by luck, and what no later one found is in no error.
        let lost = 1.0 - checks.occupation;
        if lost > evidence.error.max(LEAST_LOSS) && evidence.n_eff >= 1.0 {
            doubts.push(format!(
                "a bound made on the way lost {:.1}% of the posterior, which was found later, and as much may be missing: tails may be cut off, \
                 and log Z too small by more than its error ({:.4}); raise n_live (now {n_live}), or {INSTEAD}",
                100.0 * lost, evidence.error
            ));
        }
        if checks.halves.abs() > 4.0 {
            doubts.push(format!(
                "two halves of the points disagree on log Z by {:.1} standard deviations: do not trust its error",
                checks.halves.abs()
            ));
        }
        doubts
    }

    fn doubts_about_shells(&self, evidence: &Evidence) -> Vec<String> {
        let explored = Evidence::of(&self.ledger, Count::Explored).shares();
        let mut doubts = Vec::new();
        for (number, (summary, share)) in evidence.shells.iter().zip(evidence.shares()).enumerate() {
            if share > 0.05 && summary.n_eff < 20.0 {
                doubts.push(format!(
                    "shell {number} holds {:.0}% of the evidence with only {:.0} effective points: raise n_live (now {})",
                    100.0 * share,
                    summary.n_eff,
                    self.settings.n_live
                ));
            }
            let closed = self.plan.closed.get(number).is_some_and(|closed| *closed);
            if closed && explored[number] > UNDRAWN {
                doubts.push(format!(
                    "shell {number}, where the exploration saw {:.1}% of the evidence, is too small to draw from: {INSTEAD}",
                    100.0 * explored[number]
                ));
            }
        }
        doubts
    }
}
