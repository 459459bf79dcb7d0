//! Steps of one walker by where others are. Each leaves the posterior as it is while the others stay where they are.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::random::{normal_pair, uniform};

/// Reach of the stretch move (Goodman & Weare 2010, section 2).
const STRETCH: f64 = 2.0;
/// Share of differential steps that go the whole way from one walker to another: from mode to mode (ter Braak 2006).
const LEAPS: f64 = 0.1;
/// Jitter of differential steps: without it walkers stay on the lattice that they span.
const JITTER: f64 = 1e-5;

/// Where a walker would go, and the log of the factor that the acceptance has beside the ratio of densities, over a uniform draw once there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proposal {
    pub z: Vec<f64>,
    pub log_factor: f64,
}

/// The kind of a step, and by which of the others it is made.
pub enum Move {
    Stretch([usize; 1]),
    Differential([usize; 2]),
    Snooker([usize; 3]),
}

impl Move {
    /// The next one, by `n_others` walkers of the other groups (at least 3).
    pub fn draw(settings: &Settings, n_others: usize, rng: &mut ChaCha8Rng) -> Move {
        let total = settings.stretch + settings.differential + settings.snooker;
        let pick = uniform(rng) * total;
        if pick < settings.stretch {
            Move::Stretch(choose(n_others, rng))
        } else if pick < settings.stretch + settings.differential {
            Move::Differential(choose(n_others, rng))
        } else {
            Move::Snooker(choose(n_others, rng))
        }
    }

    pub fn others(&self) -> &[usize] {
        match self {
            Move::Stretch(others) => others,
            Move::Differential(others) => others,
            Move::Snooker(others) => others,
        }
    }

    /// The step of the walker at `x`, by where those of `others` are (in their order).
    pub fn propose(&self, x: &[f64], at: &[&[f64]], rng: &mut ChaCha8Rng) -> Proposal {
        match self {
            Move::Stretch(_) => stretch(x, at[0], rng),
            Move::Differential(_) => differential(x, [at[0], at[1]], rng),
            Move::Snooker(_) => snooker(x, [at[0], at[1], at[2]], rng),
        }
    }
}

/// Different ones.
fn choose<const N: usize>(n_others: usize, rng: &mut ChaCha8Rng) -> [usize; N] {
    let mut chosen = [usize::MAX; N];
    let mut found = 0;
    while found < N {
        let k = (uniform(rng) * n_others as f64) as usize;
        if !chosen.contains(&k) {
            chosen[found] = k;
            found += 1;
        }
    }
    chosen
}

/// Goodman & Weare 2010, equation 7: along the line through another walker.
fn stretch(x: &[f64], other: &[f64], rng: &mut ChaCha8Rng) -> Proposal {
    let root = (STRETCH - 1.0) * uniform(rng) + 1.0;
    let by = root * root / STRETCH;
    let z = x.iter().zip(other).map(|(x, o)| o + by * (x - o)).collect();
    Proposal { z, log_factor: (x.len() as f64 - 1.0) * libm::log(by) }
}

/// ter Braak 2006, equation 2: by the difference of two others.
fn differential(x: &[f64], [a, b]: [&[f64]; 2], rng: &mut ChaCha8Rng) -> Proposal {
    let leap = uniform(rng) < LEAPS;
    let by = if leap { 1.0 } else { 2.38 / (2.0 * x.len() as f64).sqrt() };
    let z = x.iter().zip(a.iter().zip(b)).map(|(x, (a, b))| x + by * (a - b) + JITTER * normal_pair(rng).0).collect();
    Proposal { z, log_factor: 0.0 }
}

/// ter Braak & Vrugt 2008, equations 3 and 4: along the line through another, by the difference of two more projected on it.
fn snooker(x: &[f64], [anchor, a, b]: [&[f64]; 3], rng: &mut ChaCha8Rng) -> Proposal {
    let by = 1.2 + uniform(rng);
    let line: Vec<f64> = x.iter().zip(anchor).map(|(x, c)| x - c).collect();
    let square: f64 = line.iter().map(|l| l * l).sum();
    if square == 0.0 {
        return Proposal { z: x.to_vec(), log_factor: f64::NEG_INFINITY };
    }
    let along: f64 = line.iter().zip(a.iter().zip(b)).map(|(l, (a, b))| l * (a - b)).sum::<f64>() / square;
    let factor = 1.0 + by * along;
    let z = anchor.iter().zip(&line).map(|(c, l)| c + factor * l).collect();
    Proposal { z, log_factor: (x.len() as f64 - 1.0) * libm::log(factor.abs()) }
}
