//! How far families of points make log Z and means less certain than volumes and weights say.
//!
//! Points that descend from one by walks stay in its mode: how many live points a mode has is a matter of luck where it parts from the others, and drifts from
//! one generation to the next. What one point does to an estimate is its influence; errors are sums over families of squared sums within them, as for
//! clustered survival times (Lin & Wei 1989, JASA 84, 1074), which the deaths of live points are.

use super::book::Book;
use super::ladder::{Estimate, Ladder};
use crate::stats::{kish, weights};

/// Families that hold so much more than chance gives them (twice the nats over the live points) found the main peaks alone.
const FOUNDERS: f64 = 0.3;
/// Where chance alone would leave about two families, they tell nothing.
const COALESCED: f64 = 0.5;

/// The points of a run with their families, and what they say.
pub struct Families<'a> {
    book: &'a Book,
    ladder: &'a Ladder,
    w: Vec<f64>,
    /// L_i X_i / Z of each point in the ladder's order.
    here: Vec<f64>,
    /// Of each row of the book, its place on the ladder; and the number of deaths before its birth.
    death: Vec<usize>,
    birth: Vec<usize>,
    /// Chance that two draws of the posterior are of one family, and how much of that drift explains.
    alike: f64,
    by_chance: f64,
}

impl<'a> Families<'a> {
    pub fn of(book: &'a Book, ladder: &'a Ladder, estimate: &Estimate, n_live: usize) -> Families<'a> {
        let w = weights(&estimate.log_weight);
        let mut death = vec![0; book.len()];
        let mut shares = vec![0.0; book.len()];
        for (at, id) in ladder.order.iter().enumerate() {
            death[*id as usize] = at;
            shares[book.family[*id as usize] as usize] += w[at];
        }
        let here = ladder.log_like.iter().zip(&ladder.log_x).map(|(l, x)| libm::exp(l + x - estimate.log_z));
        Families {
            here: here.collect(),
            birth: book.birth.iter().map(|contour| ladder.log_like.partition_point(|l| l <= contour)).collect(),
            alike: shares.iter().map(|share| share * share).sum(),
            by_chance: -libm::expm1(-2.0 * estimate.information.max(0.0) / n_live as f64),
            book,
            ladder,
            w,
            death,
        }
    }

    /// The main peaks were found by few families, which may be luck: others may have been missed, or these.
    fn few_founders(&self) -> bool {
        self.alike > self.by_chance + FOUNDERS
    }

    /// Standard deviation of log Z.
    pub fn log_z_error(&self) -> f64 {
        let founders = if self.few_founders() { self.alike } else { 0.0 };
        // Below zero by rounding on a plateau.
        let ones = vec![1.0; self.w.len()];
        (self.variance(self.slopes(&ones).map(|slope| slope.max(0.0)).collect()) + founders).sqrt()
    }

    /// So many independent draws would give means and variances of the parameters as certain: the harmonic mean over these, so that slow ones count; at
    /// most Kish's number.
    pub fn n_eff(&self) -> f64 {
        let centred = |f: Vec<f64>| -> Vec<f64> {
            let mean: f64 = f.iter().zip(&self.w).map(|(f, w)| f * w).sum();
            f.iter().map(|f| f - mean).collect()
        };
        let mut inverse = Vec::new();
        for j in 0..self.book.n_dim {
            let x = centred(self.ladder.order.iter().map(|id| self.book.at(*id)[j]).collect());
            let squared = centred(x.iter().map(|x| x * x).collect());
            for f in [x, squared] {
                let variance: f64 = f.iter().zip(&self.w).map(|(f, w)| w * f * f).sum();
                inverse.extend((variance > 0.0).then(|| self.variance(self.slopes(&f).collect()) / variance));
            }
        }
        let moments = inverse.len() as f64 / inverse.iter().sum::<f64>();
        // Where nothing varies the first is no number.
        moments.min(kish(&self.w))
    }

    /// What a volume smaller by one part in all does to sum_i w_i f_i, with `f` in the ladder's order, from each death on.
    fn slopes<'f>(&'f self, f: &'f [f64]) -> impl Iterator<Item = f64> + 'f {
        let part = |at: usize| self.w[at] * f[at];
        let mut beyond: f64 = (0..f.len()).map(part).sum();
        (0..f.len()).map(move |at| {
            beyond -= part(at);
            beyond - self.here[at] * f[at]
        })
    }

    /// Variance over repeated runs of a sum that has these slopes.
    fn variance(&self, slopes: Vec<f64>) -> f64 {
        let n = slopes.len();
        let slope: Vec<f64> = slopes.iter().zip(&self.ladder.alive).map(|(slope, alive)| slope / alive).collect();
        // Summed over deaths, each shared by those alive.
        let mut shared = vec![0.0; n + 1];
        for at in 0..n {
            shared[at + 1] = shared[at] + slope[at] / self.ladder.alive[at];
        }
        let influence = |id: usize| slope[self.death[id]] - (shared[self.death[id] + 1] - shared[self.birth[id]]);
        let mut families = vec![0.0; n];
        let told = self.by_chance < COALESCED;
        for id in 0..n {
            let family = if told { self.book.family[id] as usize } else { id };
            families[family] += influence(id);
        }
        // The scatter of families about their own mean: n / (n - 1), had they equal shares.
        let correction = if told { 1.0 / (1.0 - self.alike).max(1e-3) } else { 1.0 };
        correction * families.iter().map(|sum| sum * sum).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::PRIOR;
    use super::*;
    use crate::random::{Purpose, stream, uniform};

    /// Nested sampling by 100 live points of L = r^-2 in one dimension, by two modes that hold equal shares: each new point is in the mode of its parent, or in any.
    fn run(seed: u64, crosses: bool) -> (Book, usize) {
        let mut rng = stream(seed, Purpose::NestedStarts, 0, 0);
        let mut book = Book { n_dim: 1, ..Book::default() };
        // X of the contour through each point, and its mode.
        let mut live: Vec<(f64, f64, u32)> = Vec::new();
        let push = |book: &mut Book, x: f64, mode: f64, birth: f64, family: Option<u32>| {
            let id = book.push(&[mode], -2.0 * libm::log(x + 1e-3), birth, 0, family);
            (x, mode, book.family[id as usize])
        };
        for k in 0..100 {
            let x = uniform(&mut rng);
            live.push(push(&mut book, x, f64::from(k % 2), PRIOR, None));
        }
        for _ in 0..1000 {
            let at = (0..100).max_by(|a, b| live[*a].0.total_cmp(&live[*b].0)).unwrap();
            let top = live[at].0;
            let parent = live[(at + 1 + (uniform(&mut rng) * 99.0) as usize) % 100];
            let mode = if crosses { f64::from(uniform(&mut rng) < 0.5) } else { parent.1 };
            let x = top * uniform(&mut rng);
            live[at] = push(&mut book, x, mode, -2.0 * libm::log(top + 1e-3), Some(parent.2));
        }
        (book, 100)
    }

    #[test]
    fn errors_are_those_of_the_volumes_and_n_eff_knows_whether_walks_leave_their_mode() {
        let mut ratios = [(0.0, 0.0); 2];
        let mut errors = 0.0;
        for seed in 0..20 {
            for (ratio, crosses) in ratios.iter_mut().zip([true, false]) {
                let (book, n_live) = run(seed, crosses);
                let ladder = Ladder::of(&book);
                let estimate = ladder.estimate();
                let families = Families::of(&book, &ladder, &estimate, n_live);
                errors += families.log_z_error() / estimate.error / 40.0;
                let mean: f64 = ladder.order.iter().zip(&families.w).map(|(id, w)| w * book.at(*id)[0]).sum();
                ratio.0 += (mean - 0.5).powi(2) / 20.0;
                ratio.1 += 0.25 / families.n_eff() / 20.0;
            }
        }
        assert!((0.75..1.25).contains(&errors), "{errors}");
        for (seen, told) in ratios {
            assert!((0.4..2.5).contains(&(told / seen)), "{ratios:?}");
        }
        assert!(ratios[1].0 > 3.0 * ratios[0].0, "{ratios:?}");
    }
}
