//! What came of the chains: draws, figures, warnings.

use super::chain::Chain;
use super::settings::Settings;
use crate::sampler::{Posterior, SamplerError, Transitions};
use crate::stats::chains::{R_HAT_LIMIT, e_bfmi, ess_bulk, r_hat_of};

/// Below it momenta explore the energies too slowly (Betancourt 2016).
const E_BFMI_LIMIT: f64 = 0.3;
/// Share of trajectories that may end for their depth before it is worth a word.
const SATURATED: f64 = 0.01;

/// Draws that every chain has.
pub fn length(chains: &[Chain]) -> usize {
    chains.iter().map(|chain| chain.draws.log_like.len()).min().unwrap_or(0)
}

/// One coordinate of the unit cube, chain after chain.
fn coordinate(chains: &[Chain], n_dim: usize, i: usize) -> Vec<f64> {
    let n = length(chains);
    let one = |chain: &Chain| -> Vec<f64> { chain.draws.u.chunks_exact(n_dim).take(n).map(|u| u[i]).collect() };
    chains.iter().flat_map(one).collect()
}

/// The smallest bulk effective sample size of all coordinates of the unit cube (a monotone transform changes none); those that
/// are constant say nothing.
pub fn effective(chains: &[Chain], n_dim: usize) -> f64 {
    slowest(chains, n_dim, 0, 0.0).1
}

/// The coordinate of the smallest one, and that. Looks at `first` first, and no farther than to one that is below `enough`.
pub fn slowest(chains: &[Chain], n_dim: usize, first: usize, enough: f64) -> (usize, f64) {
    let mut least = (first, f64::INFINITY);
    for i in std::iter::once(first).chain((0..n_dim).filter(|i| *i != first)) {
        let ess = ess_bulk(&coordinate(chains, n_dim, i), chains.len());
        if ess < least.1 {
            least = (i, ess);
        }
        if ess < enough {
            break;
        }
    }
    if least.1.is_finite() { least } else { (first, 0.0) }
}

/// R-hat of no coordinate is above the limit.
pub fn agree(chains: &[Chain], n_dim: usize, n_groups: usize) -> bool {
    let above = |i: usize| r_hat_of(&coordinate(chains, n_dim, i), chains.len(), n_groups) > R_HAT_LIMIT;
    !(0..n_dim).any(above)
}

pub fn posterior(chains: &[Chain], settings: &Settings, n_dim: usize, n_eff: f64) -> Result<Posterior, SamplerError> {
    let n = length(chains);
    if n == 0 {
        return Err(SamplerError("the chains are still warming up: there are no draws yet (a higher n_like_max lets them go on)".into()));
    }
    fn all<T: Copy>(chains: &[Chain], of: impl Fn(&Chain) -> &[T], each: usize) -> Vec<T> {
        chains.iter().flat_map(|chain| of(chain)[..each].iter().copied()).collect()
    }
    let transitions = Transitions {
        diverging: all(chains, |c| &c.draws.diverging, n),
        tree_depth: all(chains, |c| &c.draws.depth, n),
        n_steps: all(chains, |c| &c.draws.n_steps, n),
        energy: all(chains, |c| &c.draws.energy, n),
    };
    let total = n * chains.len();
    let diagnostics = diagnostics(chains, settings, &transitions);
    let mut warnings = warnings(settings, &diagnostics, total);
    if n_eff < settings.n_eff {
        warnings.push(format!("not converged: the effective sample size is {n_eff:.0} and n_eff = {:.0} was asked for", settings.n_eff));
    }
    Ok(Posterior {
        n_dim,
        u: all(chains, |c| &c.draws.u, n * n_dim),
        log_like: all(chains, |c| &c.draws.log_like, n),
        log_weight: vec![-libm::log(total as f64); total],
        log_z: f64::NAN,
        log_z_err: f64::NAN,
        n_chains: chains.len(),
        n_groups: settings.groups,
        transitions: Some(transitions),
        optimum: None,
        n_eff,
        n_like: chains.iter().map(Chain::calls).sum(),
        warnings,
        diagnostics,
    })
}

fn diagnostics(chains: &[Chain], settings: &Settings, transitions: &Transitions) -> Vec<(String, f64)> {
    let n = transitions.energy.len() / chains.len();
    let mean = |of: &dyn Fn(&Chain) -> f64| chains.iter().map(of).sum::<f64>() / chains.len() as f64;
    let count = |bad: usize| bad as f64;
    let saturated = transitions.tree_depth.iter().filter(|depth| **depth >= settings.max_depth).count();
    let steps: f64 = transitions.n_steps.iter().map(|n| f64::from(*n)).sum();
    let least = transitions.energy.chunks_exact(n).map(e_bfmi).fold(f64::INFINITY, f64::min);
    [
        ("divergences", count(transitions.diverging.iter().filter(|d| **d).count())),
        ("depth_saturated", count(saturated)),
        ("e_bfmi", least),
        ("accept", mean(&|c: &Chain| c.draws.accept / c.draws.log_like.len() as f64)),
        ("step_size", mean(&Chain::step_size)),
        ("gradients_per_draw", steps / transitions.n_steps.len() as f64),
        ("chains_moved", count(chains.iter().filter(|c| c.moved).count())),
        ("metric_rank", mean(&|c: &Chain| c.metric().rank() as f64)),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}

fn warnings(settings: &Settings, diagnostics: &[(String, f64)], total: usize) -> Vec<String> {
    let value = |name: &str| diagnostics.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, value)| *value);
    let mut warnings = Vec::new();
    let divergences = value("divergences");
    if divergences > 0.0 {
        warnings.push(format!(
            "{divergences:.0} of {total} trajectories diverged: there are places that the step size is too coarse for, and the draws avoid \
             them; raise target_accept (now {}), or write the model in parameters that depend less on each other",
            settings.target_accept
        ));
    }
    if value("depth_saturated") > SATURATED * total as f64 {
        warnings.push(format!(
            "{:.0} of {total} trajectories were cut off at max_depth = {}: the chains move slowly; use metric = \"dense\" or raise max_depth",
            value("depth_saturated"),
            settings.max_depth
        ));
    }
    if value("e_bfmi") < E_BFMI_LIMIT {
        warnings.push(format!(
            "E-BFMI is {:.2}, below {E_BFMI_LIMIT}: a chain moves too slowly between the centre and the tails; write the model in other \
             parameters (a scale and what it scales, say, apart)",
            value("e_bfmi")
        ));
    }
    warnings
}
