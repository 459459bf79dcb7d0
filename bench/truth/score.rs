//! A run beside the truth: how far off, in units of the errors that the run itself gives.

use fitjob::sampler::verdict::{Level, Verdict};
use fitjob::sampler::{EngineSpec, Posterior};
use fitjob::stats::kish;
use serde::{Deserialize, Serialize};

use super::bank::{Marginal, Problem};
use super::runner::{cpu_seconds, fit};

/// log Z off by more of its errors than this is a failure.
const LOG_Z_LIMIT: f64 = 3.5;
/// The same for each mean, sd and tail; a run has up to fifteen of them, and n_eff is an estimate.
const LIMIT: f64 = 4.0;

/// What is kept of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub problem: String,
    pub method: String,
    pub settings: String,
    pub seed: u64,
    /// `converged`, `doubtful`, `failed`; `error` where the engine gave up.
    pub verdict: String,
    /// Why it is not converged.
    pub reasons: Vec<String>,
    /// None where the engine gives no evidence.
    pub log_z_off: Option<f64>,
    pub z: Option<f64>,
    pub n_eff: f64,
    pub calls: u64,
    pub cpu_s: f64,
    pub checks: Vec<Check>,
    /// What the engine says of itself.
    #[serde(default)]
    pub diagnostics: Vec<(String, f64)>,
}

/// One figure of the posterior.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    pub of: String,
    /// `mean`, `sd`, `low` or `high` (tail).
    pub what: String,
    /// In units of its error.
    pub score: f64,
    /// Means: in sds of the posterior; sds: relative; tails: the probability itself, where 1% (about) is right.
    pub off: f64,
}

impl Row {
    /// Where it is wrong by more than it says.
    pub fn faults(&self) -> Vec<String> {
        let z = self.z.filter(|z| z.is_nan() || z.abs() > LOG_Z_LIMIT).map(|z| format!("z {z:+.1}"));
        let wrong = self.checks.iter().filter(|c| c.score.is_nan() || c.score.abs() > LIMIT);
        z.into_iter().chain(wrong.map(|c| format!("{} {} {:+.1} ({:+.3})", c.of, c.what, c.score, c.off))).collect()
    }

    /// Wrong, and the verdict is `converged`.
    pub fn is_silent_failure(&self) -> bool {
        self.verdict == Level::Converged.word() && !self.faults().is_empty()
    }
}

/// Runs an engine on a problem.
pub fn measure(name: &str, problem: &Problem, spec: &EngineSpec, settings: &str, seed: u64) -> Row {
    let gradient = spec.wants_gradient();
    let statement = problem.statement(gradient);
    let gradient = statement.gradient;
    let start = cpu_seconds();
    let run = || fit(spec, seed, &statement, &|u, slopes| problem.evaluate(u, gradient, slopes));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let cpu_s = cpu_seconds() - start;
    let mut row = Row {
        problem: name.into(),
        method: spec.method().into(),
        settings: settings.into(),
        seed,
        verdict: "error".into(),
        reasons: Vec::new(),
        log_z_off: None,
        z: None,
        n_eff: 0.0,
        calls: 0,
        cpu_s,
        checks: Vec::new(),
        diagnostics: Vec::new(),
    };
    match result {
        Ok(Ok(posterior)) => row.look_at(problem, &posterior),
        Ok(Err(why)) => row.reasons.push(why.to_string()),
        Err(_) => row.reasons.push("the engine panicked".into()),
    }
    row
}

impl Row {
    fn look_at(&mut self, problem: &Problem, posterior: &Posterior) {
        let verdict = Verdict::of(posterior);
        (self.verdict, self.reasons) = (verdict.level.word().into(), verdict.reasons);
        if !posterior.log_z.is_nan() {
            let off = posterior.log_z - problem.log_z;
            self.log_z_off = Some(round(off));
            self.z = Some(round(off / posterior.log_z_err.hypot(problem.log_z_error)));
        }
        self.diagnostics = posterior.diagnostics.iter().filter(|d| d.1.is_finite()).map(|(name, x)| (name.clone(), round(*x))).collect();
        (self.n_eff, self.calls) = (posterior.n_eff, posterior.n_like);
        let weights: Vec<f64> = posterior.log_weight.iter().map(|w| w.exp()).collect();
        let thetas: Vec<Vec<f64>> = posterior.u.chunks_exact(posterior.n_dim).map(|u| problem.at(u)).collect();
        for marginal in &problem.marginals {
            let values: Vec<f64> = thetas.iter().map(|theta| marginal.value(theta)).collect();
            self.checks.extend(checks(marginal, &values, &weights, posterior.n_eff));
        }
    }
}

/// Scores by the spread of the weighted sample itself, but no less than independent draws of the truth would have.
fn checks(marginal: &Marginal, values: &[f64], weights: &[f64], n_eff: f64) -> Vec<Check> {
    // Chains have equal weights and fewer independent draws.
    let related = (kish(weights) / n_eff).max(1.0);
    let average = |f: &dyn Fn(f64) -> f64| values.iter().zip(weights).map(|(x, w)| w * f(*x)).sum::<f64>();
    let variance = |f: &dyn Fn(f64) -> f64| related * values.iter().zip(weights).map(|(x, w)| w * w * f(*x).powi(2)).sum::<f64>();
    let mean = average(&|x| x);
    let sd = average(&|x| (x - mean).powi(2)).sqrt();
    let mut found = Vec::new();
    let mut add = |what: &str, off: f64, score: f64| {
        found.push(Check { of: marginal.name.clone(), what: what.into(), score: round(score), off: round(off) })
    };
    if marginal.mean.is_finite() {
        let true_sd = if marginal.sd.is_finite() { marginal.sd } else { sd };
        let least = true_sd * (1.0 / n_eff.max(1.0) + marginal.error * marginal.error).sqrt();
        let off = mean - marginal.mean;
        add("mean", off / true_sd, off / variance(&|x| x - mean).sqrt().max(least));
    }
    if marginal.sd.is_finite() {
        // Of the variance: at least that of a uniform law, whose fourth moment is the least of those met here.
        let of_square = variance(&|x| (x - mean).powi(2) - sd * sd).sqrt() / (2.0 * sd * marginal.sd);
        let least = (0.2 / n_eff.max(1.0) + 0.25 * marginal.error * marginal.error).sqrt();
        let off = sd / marginal.sd - 1.0;
        add("sd", off, off / of_square.max(least));
    }
    for (what, (cut, p), upper) in [("low", marginal.low, false), ("high", marginal.high, true)] {
        if !cut.is_nan() {
            let beyond = |x: f64| f64::from(if upper { x > cut } else { x < cut });
            let found = average(&beyond);
            let least = (p * (1.0 - p) / n_eff.max(1.0) + (marginal.error * p).powi(2)).sqrt();
            add(what, found, (found - p) / variance(&|x| beyond(x) - found).sqrt().max(least));
        }
    }
    found
}

/// To five digits: enough for tables, and a third of the file.
fn round(x: f64) -> f64 {
    format!("{x:.4e}").parse().unwrap_or(x)
}
