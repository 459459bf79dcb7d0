//! Whether new live points are as they should be: their ranks among the others, and how far walks went.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Health {
    /// Sum of rank sums less their means, of their variances, and of squared scores; blocks counted.
    excess: f64,
    variance: f64,
    squares: f64,
    blocks: u64,
    /// Sum over walks of squared distance from start to end, in units of that of two independent points.
    jumps: f64,
    pub walks: u64,
    /// Walks that ended where they began.
    pub stuck: u64,
    pub uniform: u64,
}

impl Health {
    /// The block of new likelihoods against those that survived: both are draws of one distribution (Mann & Whitney 1947, with
    /// midranks for ties), as single insertions are (Buchner 2023, Fowlie et al. 2020).
    pub fn insertion(&mut self, old: &[f64], new: &[f64]) {
        let (m, k) = (old.len() as f64, new.len() as f64);
        let mut old = old.to_vec();
        old.sort_by(f64::total_cmp);
        let below = |l: f64| old.partition_point(|o| *o < l) as f64;
        let upto = |l: f64| old.partition_point(|o| *o <= l) as f64;
        let sum: f64 = new.iter().map(|l| 0.5 * (below(*l) + upto(*l))).sum();
        let variance = m * k / 12.0 * (m + k + 1.0 - ties([old.as_slice(), new].concat()) / ((m + k) * (m + k - 1.0)));
        if variance > 0.0 {
            let excess = sum - 0.5 * m * k;
            self.excess += excess;
            self.variance += variance;
            self.squares += excess * excess / variance;
            self.blocks += 1;
        }
    }

    /// A walk went `distance2`, where two independent points of its group are apart by `independent` on average (both squared). Walks to
    /// another group count as twice that at most, or they would hide all others.
    pub fn jump(&mut self, distance2: f64, independent: f64) {
        self.walks += 1;
        self.stuck += u64::from(distance2 == 0.0);
        self.jumps += (distance2 / independent).min(2.0);
    }

    /// Standard score of all ranks together: below 0, new points lie too low.
    pub fn insertion_z(&self) -> f64 {
        if self.variance > 0.0 { self.excess / self.variance.sqrt() } else { 0.0 }
    }

    /// Standard score of the scatter of the blocks' own scores: above 0, ranks go astray now and then.
    pub fn insertion_scatter(&self) -> f64 {
        let n = self.blocks as f64;
        if n > 0.0 { (self.squares - n) / (2.0 * n).sqrt() } else { 0.0 }
    }

    /// 1: ends of walks are independent of their starts; NaN without walks.
    pub fn jump_distance(&self) -> f64 {
        self.jumps / self.walks as f64
    }
}

/// Sum of t^3 - t over groups of t equal values.
fn ties(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.chunk_by(|a, b| a == b).map(|group| (group.len() as f64).powi(3) - group.len() as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream, uniform};

    #[test]
    fn fair_insertions_have_a_standard_score_and_low_ones_are_found() {
        let mut rng = stream(1, Purpose::NestedStarts, 0, 0);
        let mut draw = |n: usize, power: f64| (0..n).map(|_| libm::pow(uniform(&mut rng), power)).collect::<Vec<f64>>();
        let mut scores = Vec::new();
        for _ in 0..200 {
            let mut health = Health::default();
            (0..20).for_each(|_| health.insertion(&draw(75, 1.0), &draw(25, 1.0)));
            scores.push(health.insertion_z());
        }
        let square = scores.iter().map(|z| z * z).sum::<f64>() / 200.0;
        assert!((square - 1.0).abs() < 0.4, "{square}");
        let mut low = Health::default();
        (0..20).for_each(|_| low.insertion(&draw(75, 1.0), &draw(25, 1.5)));
        assert!(low.insertion_z() < -4.0 && low.insertion_scatter() > 2.0);
    }
}
