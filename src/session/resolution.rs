//! Watches, while a run goes on, whether numbers are fine enough for the likelihood's peak. Where they are not, engines sample rounding:
//! they end at a wrong log Z, or never.

use crate::fit::{grain, too_narrow};
use crate::prior::Space;

/// The best points that are kept, all different.
const KEPT: usize = 8;
/// They are neighbours if none of their coordinates differ by more numbers than this, ...
const NEIGHBOURS: f64 = 16.0;
/// ... and log L is a jumble of spikes if it falls by this much among them: a peak that is three numbers wide falls by 2.
const FALL: f64 = 100.0;

/// The best points so far.
#[derive(Default)]
pub struct Resolution {
    /// (log L, point of the unit cube), best first.
    best: Vec<(f64, Vec<f64>)>,
}

impl Resolution {
    pub fn note(&mut self, u: &[f64], log_like: f64) {
        if self.best.len() == KEPT && self.best[KEPT - 1].0 >= log_like || self.best.iter().any(|(_, known)| known == u) {
            return;
        }
        let at = self.best.partition_point(|(better, _)| *better >= log_like);
        self.best.insert(at, (log_like, u.to_vec()));
        self.best.truncate(KEPT);
    }

    /// Why no sampler can do this, where it is so: the likelihood changes beyond measure between neighbouring numbers.
    pub fn refusal(&self, space: &Space) -> Option<String> {
        let (first, last) = (self.best.first()?, self.best.last()?);
        if self.best.len() < KEPT || first.0 - last.0 < FALL {
            return None;
        }
        let spread = |k: usize| {
            let values = self.best.iter().map(|(_, u)| u[k]);
            let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
            let mut theta = vec![0.0; space.names().len()];
            space.transform(&first.1, &mut theta);
            let x = theta[space.free()[k]];
            let prior = space.priors().nth(k).expect("a prior for each coordinate");
            let apart = grain(prior, first.1[k], x);
            ((high - low) / prior.slopes(first.1[k], x).0 / apart, x, apart)
        };
        let spreads: Vec<(f64, f64, f64)> = (0..space.n_free()).map(spread).collect();
        let neighbours = spreads.iter().all(|(numbers, ..)| *numbers <= NEIGHBOURS);
        let widest = (0..spreads.len()).max_by(|a, b| spreads[*a].0.total_cmp(&spreads[*b].0)).filter(|_| neighbours)?;
        let (_, x, apart) = spreads[widest];
        let fall = first.0 - last.0;
        let what = too_narrow(&space.names()[space.free()[widest]], x, apart);
        Some(format!("{what}. (log L of the {KEPT} best points, all within {NEIGHBOURS} numbers of each other, differs by {fall:.1e})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::{Law, Parameter, Prior, Role};

    fn space(n: usize) -> Space {
        let prior = Prior::new(Law::Uniform { min: 0.0, max: 1.0 }, None, None).unwrap();
        let parameter = |k| Parameter { name: format!("x{k}"), role: Role::Free { prior: prior.clone(), periodic: false } };
        Space::new((0..n).map(parameter).collect(), vec![]).unwrap()
    }

    /// Neighbouring numbers about 0.3 under a peak of this width.
    fn seen(sigma: f64) -> Resolution {
        let mut resolution = Resolution::default();
        let mut u = 0.3f64;
        (0..40).for_each(|_| u = u.next_down());
        for _ in 0..80 {
            resolution.note(&[u], -0.5 * ((u - 0.3) / sigma).powi(2));
            u = u.next_up();
        }
        resolution
    }

    #[test]
    fn spikes_between_neighbouring_numbers_are_refused_and_narrow_peaks_are_not() {
        assert!(seen(1e-20).refusal(&space(1)).unwrap().contains("`x0` at 0.3"));
        assert!(seen(1e-17).refusal(&space(1)).is_some());
        assert!(seen(1e-16).refusal(&space(1)).is_none() && seen(1e-14).refusal(&space(1)).is_none());
    }

    #[test]
    fn few_points_far_apart_say_nothing() {
        let mut resolution = Resolution::default();
        (0..20).for_each(|k| resolution.note(&[0.05 * f64::from(k), 0.5], -1e12 * f64::from(k)));
        assert!(resolution.refusal(&space(2)).is_none());
    }
}
