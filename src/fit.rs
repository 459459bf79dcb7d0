//! The finished result of a run: broadcast to every rank, written by the root alone.

mod best;
mod doubts;

pub use best::{BestFit, End};
pub use doubts::{grain, too_narrow};

use crate::prior::{self, Space};
use crate::sampler::verdict::Verdict;
use crate::sampler::{Posterior, Transitions};
use crate::stats;
use crate::stats::chains::{Mixing, R_HAT_LIMIT};
use crate::stats::circle::Circle;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How a column of the result came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sampled.
    Free,
    /// Given by the job: the same in every sample.
    Fixed,
    /// Computed from other parameters, and passed to the model.
    Tied,
    /// Computed from parameters, and not passed to the model.
    Derived,
}

impl Role {
    fn of(role: &prior::Role) -> Role {
        match role {
            prior::Role::Free { .. } => Role::Free,
            prior::Role::Fixed(_) => Role::Fixed,
            prior::Role::Tied(_) => Role::Tied,
        }
    }
}

/// A weighted sample of the posterior in physical values, with its evidence. Every rank holds the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Names of all parameters (free, fixed, tied), in the order of the columns of `theta`.
    pub names: Vec<String>,
    /// One for each of `names`: free, fixed or tied.
    pub roles: Vec<Role>,
    /// One for each of `names`: the ends of an angle (`periodic`).
    pub circles: Vec<Option<Circle>>,
    pub derived_names: Vec<String>,
    /// n x names, row-major: physical values.
    pub theta: Vec<f64>,
    /// n x derived_names, row-major.
    pub derived: Vec<f64>,
    /// n x n_free, row-major: the same points in the unit cube (axes in the order of the free parameters).
    pub u: Vec<f64>,
    /// Natural log of the likelihood, n.
    pub log_like: Vec<f64>,
    /// Natural log of the prior density of the free parameters, n.
    pub log_prior: Vec<f64>,
    /// Normalised: the sum of exp is 1.
    pub log_weight: Vec<f64>,
    /// NaN where the engine gives no evidence.
    pub log_z: f64,
    pub log_z_err: f64,
    /// Markov chains of equal length, one after another in the rows; 0 where the sample is none.
    pub n_chains: usize,
    /// Groups of chains with a common start; 0: none.
    pub n_groups: usize,
    /// One for each of [`Fit::columns`] where the sample is chains; empty where it is none.
    pub mixing: Vec<Mixing>,
    pub transitions: Option<Transitions>,
    /// Errors at the best point, where the engine looks for that and gives no posterior.
    pub optimum: Option<BestFit>,
    /// Kish effective sample size, as the engine defines it.
    pub n_eff: f64,
    /// Likelihood calls of the whole run.
    pub n_like: u64,
    /// Row of the sample with the highest posterior density (log L + log prior); of an optimiser: with the highest log L.
    pub best: usize,
    /// Whether it can be used; no part of the digest.
    pub verdict: Verdict,
    /// In plain words: the reasons of the verdict, and what is no reason to doubt it.
    pub warnings: Vec<String>,
    /// Scalars of the engine's own, e.g. ("split_half_z", 0.4).
    pub diagnostics: Vec<(String, f64)>,
    /// [`digest`](Fit::digest_of) of this fit: equal digests, equal answers.
    pub digest: String,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the sampler's posterior is no usable sample: {0} (a defect of the engine, not of the job: please report it)")]
pub struct FitError(pub String);

/// Quantities that the model computed beside log L.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra {
    pub names: Vec<String>,
    /// n x names, row-major, in the order of the samples.
    pub values: Vec<f64>,
}

impl Fit {
    /// Turns the engine's sample of the unit cube into physical values; `extra` stands after the job's own derived quantities.
    /// Errors when arrays disagree in length or no sample has any weight.
    pub fn new(mut posterior: Posterior, space: &Space, extra: &Extra) -> Result<Fit, FitError> {
        let n = check(&mut posterior, space.free().len())?;
        let verdict = Verdict::of(&posterior);
        let names = space.names().to_vec();
        let (own, given) = (space.derived_names().len(), extra.names.len());
        if extra.values.len() != n * given {
            return Err(FitError(format!("{} values of {given} quantities for {n} samples", extra.values.len())));
        }
        let derived_names = [space.derived_names(), &extra.names].concat();
        // A sampler's points may be in the priors' far tails, whose weight is in its log L; an optimiser's are plain quantiles.
        let sampled = posterior.optimum.is_none();
        let mut theta = vec![0.0; n * names.len()];
        let mut derived = vec![0.0; n * derived_names.len()];
        let mut log_prior = Vec::with_capacity(n);
        for i in 0..n {
            let u = row(&posterior.u, i, posterior.n_dim);
            let physical = &mut theta[i * names.len()..(i + 1) * names.len()];
            if sampled {
                space.transform(u, physical);
            } else {
                space.quantiles(u, physical);
            }
            let (by_job, by_model) = derived[i * (own + given)..(i + 1) * (own + given)].split_at_mut(own);
            space.derived(physical, by_job);
            by_model.copy_from_slice(row(&extra.values, i, given));
            log_prior.push(space.log_prior(physical));
            if sampled {
                posterior.log_like[i] -= space.log_weight(u);
            }
        }
        let mut fit = Fit {
            roles: space.parameters().iter().map(|p| Role::of(&p.role)).collect(),
            circles: space.circles(),
            names,
            derived_names,
            theta,
            derived,
            best: if posterior.optimum.is_some() { 0 } else { best(&posterior.log_like, &log_prior) },
            u: posterior.u,
            log_like: posterior.log_like,
            log_prior,
            log_weight: posterior.log_weight,
            log_z: posterior.log_z,
            log_z_err: posterior.log_z_err,
            n_chains: posterior.n_chains,
            n_groups: posterior.n_groups,
            mixing: Vec::new(),
            transitions: posterior.transitions,
            optimum: posterior.optimum.map(|optimum| BestFit::new(&optimum, space, given)),
            n_eff: posterior.n_eff,
            n_like: posterior.n_like,
            warnings: verdict.reasons.clone(),
            verdict,
            diagnostics: posterior.diagnostics,
            digest: String::new(),
        };
        fit.digest = fit.digest_of();
        let at_bound = fit.optimum.as_ref().map_or(vec![], |best| best.warnings(space, &fit.theta));
        let undefined = fit.undefined_columns();
        let doubts = fit.doubts(space);
        fit.warnings.extend(at_bound.into_iter().chain(undefined).chain(doubts));
        fit.look_at_chains();
        Ok(fit)
    }

    /// Fills `mixing`, and warns of quantities on which the chains do not agree or say little.
    fn look_at_chains(&mut self) {
        if self.n_chains == 0 {
            return;
        }
        let weights = self.weights();
        let mixing = |column: &Column| Mixing::of(&column.on_a_line(&weights), self.n_chains, self.n_groups);
        self.mixing = self.columns().iter().map(mixing).collect();
        // Walkers of an ensemble are many and short: their engine has a test of its own.
        if self.transitions.is_none() {
            return;
        }
        let worst = |value: fn(&Mixing) -> f64, worse: fn(f64, f64) -> bool, limit: f64| {
            let bad = self.columns().into_iter().zip(&self.mixing).map(|(column, m)| (column.name.to_string(), value(m)));
            bad.filter(|(_, x)| worse(*x, limit)).reduce(|a, b| if worse(b.1, a.1) { b } else { a })
        };
        let apart = worst(|m| m.r_hat, |x, y| x > y, R_HAT_LIMIT).map(|(name, r_hat)| {
            format!(
                "the chains do not agree: R-hat of `{name}` is {r_hat:.3}, above {R_HAT_LIMIT}; they have not converged, so do not use \
                 this result: run them longer, and see whether there are several modes"
            )
        });
        let few = worst(|m| m.ess_bulk.min(m.ess_tail), |x, y| x < y, ESS_LIMIT).map(|(name, ess)| {
            format!(
                "the chains are worth {ess:.0} independent draws for `{name}`, below {ESS_LIMIT:.0}: its quantiles are rough; raise n_eff"
            )
        });
        for doubt in apart.into_iter().chain(few) {
            self.verdict.doubt(doubt.clone());
            self.warnings.push(doubt);
        }
    }

    /// Number of weighted samples.
    pub fn len(&self) -> usize {
        self.log_weight.len()
    }

    pub fn is_empty(&self) -> bool {
        self.log_weight.is_empty()
    }

    pub fn n_free(&self) -> usize {
        self.roles.iter().filter(|role| **role == Role::Free).count()
    }

    /// Names, roles and columns: free, fixed and tied parameters in the job's order, then derived space.
    pub fn columns(&self) -> Vec<Column<'_>> {
        let parameters = self.names.iter().zip(&self.roles).enumerate().map(|(j, (name, role))| Column {
            name,
            role: *role,
            circle: self.circles[j],
            values: column(&self.theta, j, self.names.len()),
        });
        let derived = self.derived_names.iter().enumerate().map(|(j, name)| Column {
            name,
            role: Role::Derived,
            circle: None,
            values: column(&self.derived, j, self.derived_names.len()),
        });
        parameters.chain(derived).collect()
    }

    /// Weights that sum to 1, n.
    pub fn weights(&self) -> Vec<f64> {
        stats::weights(&self.log_weight)
    }

    /// n_eff for each likelihood call.
    pub fn efficiency(&self) -> f64 {
        self.n_eff / self.n_like as f64
    }

    /// BLAKE3 (first 128 bits, hex) over the bits of samples (theta), log weights, log L and log Z, each array led by
    /// its length and every number little-endian.
    pub fn digest_of(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [&self.theta[..], &self.log_weight, &self.log_like, &[self.log_z]] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            let bytes: Vec<u8> = part.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        hasher.finalize().to_hex()[..32].to_string()
    }

    /// One warning for each column that is not a number at samples that carry weight.
    fn undefined_columns(&self) -> Vec<String> {
        let weights = self.weights();
        let share = |column: &Column| -> f64 { column.values.iter().zip(&weights).filter(|(x, _)| x.is_nan()).map(|(_, w)| *w).sum() };
        let columns = self.columns();
        let undefined = columns.iter().map(|c| (c.name, share(c))).filter(|(_, share)| *share > 0.0);
        undefined
            .map(|(name, share)| {
                format!(
                    "`{name}` is not a number for {:.3}% of the posterior, so it has no mean or quantiles: \
                     check its expression",
                    100.0 * share
                )
            })
            .collect()
    }
}

/// Below this effective sample size chains are not to be trusted (Vehtari et al. 2021).
const ESS_LIMIT: f64 = 400.0;

/// One quantity of a [`Fit`] over all its samples.
pub struct Column<'a> {
    pub name: &'a str,
    pub role: Role,
    /// Where it is an angle.
    pub circle: Option<Circle>,
    pub values: Vec<f64>,
}

impl Column<'_> {
    /// Values that have a mean and quantiles: angles unrolled about their own direction.
    pub fn on_a_line(&self, weights: &[f64]) -> Cow<'_, [f64]> {
        self.circle.map_or(Cow::Borrowed(&self.values[..]), |circle| Cow::Owned(circle.unrolled(&self.values, weights)))
    }
}

fn row(table: &[f64], i: usize, width: usize) -> &[f64] {
    &table[i * width..(i + 1) * width]
}

fn column(table: &[f64], j: usize, width: usize) -> Vec<f64> {
    table.iter().skip(j).step_by(width.max(1)).copied().collect()
}

/// Number of samples. Weights that do not quite sum to 1 because doubles are coarse where log L is large are made to.
fn check(posterior: &mut Posterior, n_free: usize) -> Result<usize, FitError> {
    let n = posterior.log_weight.len();
    let fail = |what: String| Err(FitError(what));
    if posterior.n_dim != n_free {
        return fail(format!("it has {} dimensions and the job {n_free} free parameters", posterior.n_dim));
    }
    if posterior.u.len() != n * n_free || posterior.log_like.len() != n {
        let (u, log_like) = (posterior.u.len(), posterior.log_like.len());
        return fail(format!("{n} weights, {log_like} log-likelihoods and {u} coordinates in {n_free} dimensions"));
    }
    let off = stats::log_sum(&posterior.log_weight);
    let top = highest(&posterior.log_like);
    let rounding = if top.is_finite() { 8.0 * f64::EPSILON * top.abs() } else { 0.0 };
    if off.is_nan() || off.abs() > 1e-6 + rounding {
        return fail(format!("the weights of its {n} samples sum to {}, not 1", off.exp()));
    }
    if off.abs() > 1e-6 {
        posterior.log_weight.iter_mut().for_each(|w| *w -= off);
    }
    Ok(n)
}

/// The highest log L.
fn highest(log_like: &[f64]) -> f64 {
    log_like.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Where the prior's density is infinite or undefined the likelihood alone decides.
fn best(log_like: &[f64], log_prior: &[f64]) -> usize {
    let density = |i: usize| match log_prior[i].is_finite() {
        true => log_like[i] + log_prior[i],
        false => log_like[i],
    };
    // The first of equals, and never a NaN.
    (0..log_like.len()).fold(0, |best, i| if density(i) > density(best) || density(best).is_nan() { i } else { best })
}
