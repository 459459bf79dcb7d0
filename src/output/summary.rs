//! summary.json: the figures of a run that scripts read. Field names are an interface: docs/file-format.md.

use super::optimum::OptimumSummary;
use super::{OutputError, RunFacts, number};
use crate::fit::{Column, Fit, Role};
use crate::sampler::verdict::Level;
use crate::stats::{self, chains::Mixing};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::Path;

/// Levels of the quantiles in a [`ParameterSummary`].
const LEVELS: [f64; 5] = [0.025, 0.16, 0.5, 0.84, 0.975];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Whether the result can be used, by what the engine knows of it; none of a version that did not say.
    #[serde(default)]
    pub verdict: Option<Level>,
    /// Why it is not better; they are among the warnings too.
    #[serde(default)]
    pub verdict_reasons: Vec<String>,
    /// NaN (null) where the method gives no evidence.
    #[serde(with = "number")]
    pub log_z: f64,
    #[serde(with = "number")]
    pub log_z_err: f64,
    #[serde(with = "number")]
    pub n_eff: f64,
    pub n_like: u64,
    /// n_eff / n_like.
    #[serde(with = "number")]
    pub efficiency: f64,
    pub digest: String,
    pub seed: u64,
    pub method: String,
    pub ranks: usize,
    /// Threads that evaluate, for each rank.
    pub threads: usize,
    /// Of the last life of the run, from the start of the program.
    #[serde(with = "number")]
    pub wall_s: f64,
    /// Over all its lives.
    #[serde(with = "number", default)]
    pub total_wall_s: f64,
    /// Times the run was taken up again.
    #[serde(default)]
    pub resumes: u64,
    #[serde(with = "number")]
    pub sampler_s: f64,
    /// Share of the sampling time (`wall_s - startup_s`) that the threads of all ranks spent inside the likelihood.
    #[serde(with = "number")]
    pub busy_fraction: f64,
    pub rejected: u64,
    /// Calls that took longer than `call_limit_s`.
    #[serde(default)]
    pub timed_out: u64,
    pub warnings: Vec<String>,
    /// Free and tied parameters, then derived quantities, in the job's order.
    #[serde(serialize_with = "write_map", deserialize_with = "read_map")]
    pub parameters: Vec<(String, ParameterSummary)>,
    /// Values of fixed parameters.
    #[serde(serialize_with = "write_values", deserialize_with = "read_values")]
    pub fixed: Vec<(String, f64)>,
    /// Of an optimiser: there is no posterior then, and of `parameters` only `best` is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimum: Option<OptimumSummary>,
    /// Log-likelihood of the best sample, the one of the highest posterior density (of an optimiser: of the highest log L).
    #[serde(with = "number")]
    pub best_log_like: f64,
    pub n_samples: usize,
    #[serde(with = "number")]
    pub startup_s: f64,
    /// Seconds in the sampler's own tasks, over all threads of all ranks.
    #[serde(with = "number")]
    pub compute_s: f64,
    /// Of the least and the most busy rank.
    #[serde(with = "number")]
    pub busy_fraction_min: f64,
    #[serde(with = "number")]
    pub busy_fraction_max: f64,
    #[serde(serialize_with = "write_values", deserialize_with = "read_values")]
    pub diagnostics: Vec<(String, f64)>,
    pub job: String,
    pub job_digest: String,
    /// End of the run, RFC 3339, UTC.
    pub created_at: String,
    /// Of fitjob.
    pub version: String,
}

/// Weighted mean, standard deviation and quantiles of one quantity, and its value at the best sample. Of an angle (`periodic`) they are
/// of values within half a turn of its direction: the mean is between the ends, quantiles may lie beyond one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ParameterSummary {
    #[serde(with = "number")]
    pub mean: f64,
    #[serde(with = "number")]
    pub sd: f64,
    #[serde(with = "number")]
    pub q2_5: f64,
    #[serde(with = "number")]
    pub q16: f64,
    #[serde(with = "number")]
    pub q50: f64,
    #[serde(with = "number")]
    pub q84: f64,
    #[serde(with = "number")]
    pub q97_5: f64,
    #[serde(with = "number")]
    pub best: f64,
    /// Where the sample is Markov chains.
    #[serde(flatten)]
    pub chains: Option<ChainSummary>,
}

/// How well the chains tell of one quantity: [`Mixing`](crate::stats::chains::Mixing).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainSummary {
    #[serde(with = "number")]
    pub r_hat: f64,
    #[serde(with = "number")]
    pub ess_bulk: f64,
    #[serde(with = "number")]
    pub ess_tail: f64,
    #[serde(with = "number")]
    pub mcse_mean: f64,
}

impl Summary {
    pub fn new(fit: &Fit, facts: &RunFacts) -> Summary {
        let weights = fit.weights();
        let mixing = fit.mixing.iter().map(|m| Some(ChainSummary::of(m))).chain(std::iter::repeat(None));
        let (fixed, varying): (Vec<_>, Vec<_>) = fit.columns().into_iter().zip(mixing).partition(|(c, _)| c.role == Role::Fixed);
        let busy = facts.busy_fractions();
        let one = |column: &Column, chains| match fit.optimum {
            Some(_) => ParameterSummary::point(column.values[fit.best]),
            None => ParameterSummary::new(&column.on_a_line(&weights), &weights, column.values[fit.best], chains),
        };
        Summary {
            verdict: Some(fit.verdict.level),
            verdict_reasons: fit.verdict.reasons.clone(),
            log_z: fit.log_z,
            log_z_err: fit.log_z_err,
            n_eff: fit.n_eff,
            n_like: fit.n_like,
            efficiency: if fit.optimum.is_some() { f64::NAN } else { fit.efficiency() },
            digest: fit.digest.clone(),
            seed: facts.seed,
            method: facts.method.clone(),
            ranks: facts.ranks,
            threads: facts.threads,
            wall_s: facts.wall_s,
            total_wall_s: facts.total_wall_s,
            resumes: facts.resumes,
            sampler_s: facts.sampler_s,
            busy_fraction: busy.iter().sum::<f64>() / busy.len() as f64,
            rejected: facts.rejected,
            timed_out: facts.timed_out,
            warnings: fit.warnings.iter().chain(&facts.warnings).cloned().collect(),
            parameters: varying.into_iter().map(|(c, chains)| (c.name.to_string(), one(&c, chains))).collect(),
            fixed: fixed.into_iter().map(|(c, _)| (c.name.to_string(), c.values[0])).collect(),
            optimum: OptimumSummary::new(fit),
            best_log_like: fit.log_like[fit.best],
            n_samples: fit.len(),
            startup_s: facts.startup_s,
            compute_s: facts.compute_s.iter().sum(),
            busy_fraction_min: busy.iter().copied().fold(f64::NAN, f64::min),
            busy_fraction_max: busy.iter().copied().fold(f64::NAN, f64::max),
            diagnostics: fit.diagnostics.clone(),
            job: facts.job.clone(),
            job_digest: facts.job_digest.clone(),
            created_at: super::text::now(),
            version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }

    /// Indented JSON; every f64 in the shortest form that reads back to the same bits.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a summary is plain data with string keys")
    }

    pub fn read(path: &Path) -> Result<Summary, OutputError> {
        let text = std::fs::read_to_string(path).map_err(|e| OutputError::cannot("read", path, e))?;
        serde_json::from_str(&text).map_err(|e| {
            OutputError::cannot("understand", path, e)
                .help(format!("it was not written by fitjob {}, or was edited since", env!("CARGO_PKG_VERSION")))
        })
    }
}

impl ParameterSummary {
    /// Of an optimiser, which has no posterior.
    fn point(best: f64) -> ParameterSummary {
        let none = f64::NAN;
        ParameterSummary { mean: none, sd: none, q2_5: none, q16: none, q50: none, q84: none, q97_5: none, best, chains: None }
    }

    fn new(values: &[f64], weights: &[f64], best: f64, chains: Option<ChainSummary>) -> ParameterSummary {
        let (mean, sd) = stats::mean_sd(values, weights);
        let q = stats::quantiles(values, weights, &LEVELS);
        ParameterSummary { mean, sd, q2_5: q[0], q16: q[1], q50: q[2], q84: q[3], q97_5: q[4], best, chains }
    }
}

impl ChainSummary {
    fn of(mixing: &Mixing) -> ChainSummary {
        let Mixing { r_hat, ess_bulk, ess_tail, mcse_mean } = *mixing;
        ChainSummary { r_hat, ess_bulk, ess_tail, mcse_mean }
    }
}

/// An [`f64`] that JSON can hold.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Number(#[serde(with = "number")] pub f64);

pub(super) fn write_map<V: Serialize, S: Serializer>(pairs: &[(String, V)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

fn write_values<S: Serializer>(pairs: &[(String, f64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(name, value)| (name, Number(*value))))
}

fn read_values<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, f64)>, D::Error> {
    let pairs: Vec<(String, Number)> = read_map(from)?;
    Ok(pairs.into_iter().map(|(name, Number(value))| (name, value)).collect())
}

/// A JSON object in the order in which it was written.
pub(super) fn read_map<'de, V: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, V)>, D::Error> {
    struct InOrder<V>(std::marker::PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
        type Value = Vec<(String, V)>;
        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    from.deserialize_map(InOrder(std::marker::PhantomData))
}
