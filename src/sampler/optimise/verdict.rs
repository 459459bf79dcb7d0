//! What the searches found: the best point, how many agree on it, and what is wrong with it, in plain words.

use super::curvature::Curvature;
use super::fleet::{Fleet, Plan, Stage};
use super::{Lane, Search};
use crate::sampler::{Optimum, Posterior, Progress, SamplerError};

/// Searches agree that end within this of the best log L: a seventh of a standard deviation in one parameter.
const SAME_HEIGHT: f64 = 0.01;
/// Or short of it on the same peak: within so much of its log L, and within so many standard deviations, squared.
const CLOSE: f64 = 1.0;
/// And at the same place, where the covariance says nothing.
const SAME_PLACE: f64 = 1e-3;

/// How the searches ended, beside the best of them.
#[derive(Default)]
struct Tally {
    started: usize,
    /// At the same height as the best; of these, at another place; lower down although converged; never begun.
    agree: usize,
    elsewhere: usize,
    lower: usize,
    unconverged: usize,
    failed: usize,
    /// A search that converged is at the height of the best.
    confirmed: bool,
    /// Highest of the lower peaks.
    next: f64,
}

impl<P: Plan> Fleet<P> {
    pub(super) fn standing(&self) -> Progress {
        let phase = match self.stage {
            Stage::Screening => "looking over the prior",
            Stage::Searching => "searching",
            Stage::Measuring => "measuring the covariance",
            Stage::Finished => "finished",
        };
        let ended = self.lanes.iter().filter(|lane| lane.rests()).count() as f64;
        let mut details = vec![("searches".into(), self.lanes.len() as f64), ("ended".into(), ended)];
        details.extend(self.top().map(|(_, best)| ("best log L".to_string(), -best.1)));
        Progress {
            phase: phase.into(),
            fraction: matches!(self.stage, Stage::Finished).then_some(1.0),
            n_like: self.calls(),
            n_eff: 0.0,
            log_z: f64::NAN,
            log_z_err: f64::NAN,
            details,
        }
    }

    /// The end points of all searches, best first, with all weight on the best.
    pub(super) fn verdict(&self) -> Result<Posterior, SamplerError> {
        let calls = self.calls();
        let Some((leader, (u, cost))) = self.top() else {
            let what = format!("none of the {calls} points evaluated has a likelihood above zero: check the model and the priors");
            return Err(SamplerError(what));
        };
        let others = self.lanes.iter().enumerate().filter(|(at, _)| *at != leader);
        let mut ends: Vec<(&Vec<f64>, f64)> = others.filter_map(|(_, lane)| lane.best.as_ref().map(|(u, cost)| (u, *cost))).collect();
        ends.push((u, cost));
        ends.sort_by(|a, b| a.1.total_cmp(&b.1));
        let covariance = self.curvature.as_ref().map_or(vec![], |curvature| curvature.covariance.clone());
        let at_bound = (0..self.cube.n_dim).filter(|i| self.cube.at_bound(*i, u[*i])).collect();
        let tally = self.tally(u, &covariance);
        let optimum = Optimum { u: u.clone(), covariance, at_bound, starts: tally.started, agree: tally.agree };
        Ok(Posterior {
            n_dim: self.cube.n_dim,
            u: ends.iter().flat_map(|end| end.0.clone()).collect(),
            log_like: ends.iter().map(|end| -end.1).collect(),
            log_weight: (0..ends.len()).map(|at| if at == 0 { 0.0 } else { f64::NEG_INFINITY }).collect(),
            log_z: f64::NAN,
            log_z_err: f64::NAN,
            n_eff: 1.0,
            n_like: calls,
            warnings: self.warnings(leader, &tally),
            diagnostics: self.diagnostics(&tally),
            optimum: Some(optimum),
            ..Posterior::default()
        })
    }

    /// Beside the best of the searches, and where the last steps led from there.
    fn tally(&self, u: &[f64], covariance: &[f64]) -> Tally {
        let cost = self.leader().map_or(f64::INFINITY, |(_, best)| best.1);
        let close = |u: &[f64]| self.curvature.as_ref().and_then(|curvature| curvature.distance(u)).is_some_and(|d| d < CLOSE);
        let mut tally = Tally { started: self.lanes.len(), next: f64::NEG_INFINITY, ..Tally::default() };
        for lane in &self.lanes {
            let converged = lane.ending().is_some_and(|ending| ending.converged);
            tally.unconverged += usize::from(!converged);
            match &lane.best {
                None => tally.failed += 1,
                Some(end) if end.1 <= cost + SAME_HEIGHT || (end.1 <= cost + CLOSE && close(&end.0)) => {
                    tally.agree += 1;
                    tally.confirmed |= converged;
                    tally.elsewhere += usize::from(!self.same_place(u, &end.0, covariance));
                }
                Some(end) => {
                    tally.lower += usize::from(converged);
                    tally.next = tally.next.max(-end.1);
                }
            }
        }
        tally
    }

    /// Within a standard deviation in each coordinate.
    fn same_place(&self, a: &[f64], b: &[f64], covariance: &[f64]) -> bool {
        let n = self.cube.n_dim;
        let sd = |i: usize| covariance.get(i * n + i).map_or(SAME_PLACE, |v| v.sqrt());
        (0..n).all(|i| self.cube.distance(i, a[i], b[i]) <= if sd(i).is_nan() { SAME_PLACE } else { sd(i) })
    }

    fn diagnostics(&self, tally: &Tally) -> Vec<(String, f64)> {
        let failed: u64 = self.failed + self.lanes.iter().map(|lane| lane.failed).sum::<u64>();
        let converged = (tally.started - tally.unconverged) as f64;
        let mut all = vec![
            ("starts".to_string(), tally.started as f64),
            ("starts_converged".into(), converged),
            ("starts_agree".into(), tally.agree as f64),
            ("failed_points".into(), failed as f64),
        ];
        if let Some(curvature) = self.curvature.as_ref().filter(|curvature| !curvature.covariance.is_empty()) {
            all.push(("expected_gain".into(), curvature.expected_gain));
            all.push(("log_like_noise".into(), curvature.noise));
            all.extend(curvature.laplace().map(|log_z| ("log_z_laplace".to_string(), log_z)));
        }
        all
    }

    fn warnings(&self, leader: usize, tally: &Tally) -> Vec<String> {
        let mut warnings = Vec::new();
        if !matches!(self.stage, Stage::Finished) {
            warnings.push("the run is not finished: this is the best point so far".to_string());
        }
        let confirms = self.curvature.as_ref().is_some_and(Curvature::confirms);
        // However the search ended, it did: second derivatives show that the steps from there led to a maximum.
        let confirmed = tally.confirmed || confirms && self.lanes[leader].ending().is_some();
        let waiting = self.lanes.iter().filter(|lane| lane.out_of_calls()).count();
        if confirmed && waiting > 0 {
            let all = tally.started;
            warnings
                .push(format!("not converged: n_like_max calls were made before {waiting} of {all} searches had ended; raise n_like_max"));
        } else if !confirmed {
            warnings.extend(self.not_converged(&self.lanes[leader]));
        }
        warnings.extend(disagreement(tally));
        if let Some(curvature) = &self.curvature {
            warnings.extend(curvature.trouble.as_ref().map(|why| format!("there are no errors of the parameters: {why}")));
            warnings.extend(curvature.doubt.as_ref().map(|why| format!("the errors of the parameters are rough: {why}")));
            if curvature.expected_gain > SAME_HEIGHT {
                let gain = curvature.expected_gain;
                warnings.push(format!("the best point is not at the top: by the curvature there, log L rises by {gain:.2} beside it"));
            }
        }
        warnings
    }

    fn not_converged<S: Search>(&self, lane: &Lane<S>) -> Option<String> {
        let cure = "raise n_like_max or n_starts";
        match lane.ending() {
            Some(ending) if ending.converged => None,
            Some(ending) => Some(format!("not converged: the best search ended because {}; {cure}", ending.why)),
            None => Some(format!("not converged: the best search was cut short because n_like_max calls were made; {cure}")),
        }
    }
}

/// Where the searches did not all end at the same point.
fn disagreement(tally: &Tally) -> Vec<String> {
    let Tally { started, agree, elsewhere, lower, failed, .. } = *tally;
    let mut warnings = Vec::new();
    if failed > 0 {
        warnings.push(format!("{failed} of {started} searches found no point with a likelihood above zero"));
    }
    if lower > 0 {
        let next = tally.next;
        warnings.push(format!(
            "the starts disagree: {lower} of {started} searches ended on lower peaks, the highest of them at log L = {next:.3}"
        ));
    }
    if agree == 1 && started > 1 {
        warnings.push(format!("only one of {started} searches reached the best point: there may be a better one; raise n_starts"));
    }
    if elsewhere > 0 {
        warnings.push(format!("{elsewhere} of {started} searches reached the same log L at another place: the best point is not unique"));
    }
    warnings
}
