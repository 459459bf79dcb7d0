//! Steps of one walker by where others are. Each leaves the posterior as it is while the others stay where they are.

use rand_chacha::ChaCha8Rng;

use super::Settings;
use crate::random::{normal_pair, uniform};

/// Reach of the stretch move (Goodman & Weare 2010, section 2).
const STRETCH: f64 = 2.0;
/// Share of differential steps that go the whole way from one walker to another: from mode to mode (ter Braak 2006).
const LEAPS: f64 = 0.1;
/// Jitter of differential steps: without it walkers stay on the lattice that they span.
const JITTER: f64 = 1e-5;

/// Where a walker would go, and the log of the factor that the acceptance has beside the ratio of densities.
pub struct Proposal {
    pub z: Vec<f64>,
    pub log_factor: f64,
}

/// A step of the walker at `x`; `others` are those of the other groups (at least 3).
pub fn propose(settings: &Settings, x: &[f64], others: &[&[f64]], rng: &mut ChaCha8Rng) -> Proposal {
    let total = settings.stretch + settings.differential + settings.snooker;
    let pick = uniform(rng) * total;
    if pick < settings.stretch {
        stretch(x, others, rng)
    } else if pick < settings.stretch + settings.differential {
        differential(x, others, rng)
    } else {
        snooker(x, others, rng)
    }
}

/// `n` different ones.
fn choose<'a, const N: usize>(others: &[&'a [f64]], rng: &mut ChaCha8Rng) -> [&'a [f64]; N] {
    let mut chosen: Vec<usize> = Vec::with_capacity(N);
    while chosen.len() < N {
        let k = (uniform(rng) * others.len() as f64) as usize;
        if !chosen.contains(&k) {
            chosen.push(k);
        }
    }
    std::array::from_fn(|at| others[chosen[at]])
}

/// Goodman & Weare 2010, equation 7: along the line through another walker.
fn stretch(x: &[f64], others: &[&[f64]], rng: &mut ChaCha8Rng) -> Proposal {
    let [other] = choose(others, rng);
    let root = (STRETCH - 1.0) * uniform(rng) + 1.0;
    let by = root * root / STRETCH;
    let z = x.iter().zip(other).map(|(x, o)| o + by * (x - o)).collect();
    Proposal { z, log_factor: (x.len() as f64 - 1.0) * libm::log(by) }
}

/// ter Braak 2006, equation 2: by the difference of two others.
fn differential(x: &[f64], others: &[&[f64]], rng: &mut ChaCha8Rng) -> Proposal {
    let [a, b] = choose(others, rng);
    let leap = uniform(rng) < LEAPS;
    let by = if leap { 1.0 } else { 2.38 / (2.0 * x.len() as f64).sqrt() };
    let z = x.iter().zip(a.iter().zip(b)).map(|(x, (a, b))| x + by * (a - b) + JITTER * normal_pair(rng).0).collect();
    Proposal { z, log_factor: 0.0 }
}

/// ter Braak & Vrugt 2008, equations 3 and 4: along the line through another, by the difference of two more projected on it.
fn snooker(x: &[f64], others: &[&[f64]], rng: &mut ChaCha8Rng) -> Proposal {
    let [anchor, a, b] = choose(others, rng);
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
