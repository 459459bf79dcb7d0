//! Some points of a run with their log L, spread over all of it: to see that another program gives the same values.

use serde::{Deserialize, Serialize};

/// At most so many are kept.
const MOST: usize = 32;

/// Every n-th point that was offered; n doubles when there are too many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Specimens {
    seen: u64,
    doublings: u32,
    /// Points of the unit cube and their log L.
    points: Vec<(Vec<f64>, f64)>,
}

impl Specimens {
    pub fn offer(&mut self, u: &[f64], log_like: f64) {
        if self.seen.is_multiple_of(1 << self.doublings) {
            self.points.push((u.to_vec(), log_like));
        }
        self.seen += 1;
        if self.points.len() > MOST {
            let mut place = 0..;
            self.points.retain(|_| place.next().is_some_and(|i: usize| i.is_multiple_of(2)));
            self.doublings += 1;
        }
    }

    pub fn points(&self) -> &[(Vec<f64>, f64)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_kept_from_the_first_to_the_last_at_equal_distances() {
        let mut specimens = Specimens::default();
        (0..1000).for_each(|i| specimens.offer(&[f64::from(i)], 0.0));
        let kept: Vec<f64> = specimens.points().iter().map(|(u, _)| u[0]).collect();
        assert!(kept.len() > MOST / 2 && kept.len() <= MOST, "{kept:?}");
        assert!(kept.windows(2).all(|pair| pair[1] - pair[0] == kept[1]) && kept[0] == 0.0, "{kept:?}");
        assert!(1000.0 - kept.last().unwrap() <= kept[1], "{kept:?}");
    }
}
