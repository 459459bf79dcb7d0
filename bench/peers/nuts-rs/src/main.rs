//! nuts-rs on the problems of fitjob's nuts: gradients (warm-up and all) an effective draw, by fitjob's own estimate of the effective
//! sample size, and CPU a gradient. `beside-nuts-rs [eight-schools | PROBLEM] [SEEDS] [DRAWS]`; 4 chains, nuts-rs's defaults.

use fitjob::model::problem::Problem;
use fitjob::sampler::standard;
use fitjob::stats::chains::{ess_bulk, r_hat};
use nuts_rs::rand::SeedableRng;
use nuts_rs::rand::rngs::StdRng;
use nuts_rs::{Chain, CpuLogpFunc, CpuMath, CpuMathError, DiagNutsSettings, HasDims, LogpError, Settings};
use std::collections::HashMap;
use std::time::Instant;

const CHAINS: usize = 4;

/// A log density of unbounded coordinates.
#[derive(Clone, Copy)]
enum Density {
    /// mu, log tau, eta1 ... eta8.
    EightSchools,
    Problem(&'static Problem),
}

#[derive(Debug, thiserror::Error)]
#[error("not finite")]
struct NotFinite;

impl LogpError for NotFinite {
    fn is_recoverable(&self) -> bool {
        true
    }
}

impl HasDims for Density {
    fn dim_sizes(&self) -> HashMap<String, u64> {
        HashMap::from([("unconstrained_parameter".to_string(), self.dim() as u64)])
    }
}

impl CpuLogpFunc for Density {
    type LogpError = NotFinite;
    type ExpandedVector = Vec<f64>;
    type FlowParameters = ();

    fn dim(&self) -> usize {
        match self {
            Density::EightSchools => 10,
            Density::Problem(problem) => problem.dim,
        }
    }

    fn logp(&mut self, x: &[f64], slope: &mut [f64]) -> Result<f64, NotFinite> {
        let log_p = match self {
            Density::EightSchools => eight_schools(x, slope),
            Density::Problem(problem) => in_box(problem, x, slope),
        };
        if log_p.is_finite() { Ok(log_p) } else { Err(NotFinite) }
    }

    fn expand_vector<R: nuts_rs::rand::Rng + ?Sized>(&mut self, _: &mut R, x: &[f64]) -> Result<Vec<f64>, CpuMathError> {
        Ok(x.to_vec())
    }
}

/// Non-centred, as examples/eight_schools.toml, with log tau for tau.
fn eight_schools(x: &[f64], slope: &mut [f64]) -> f64 {
    const EFFECT: [f64; 8] = [28., 8., -3., 7., -1., 1., 18., 12.];
    const ERROR: [f64; 8] = [15., 10., 16., 11., 9., 11., 10., 18.];
    let (mu, tau, eta) = (x[0], x[1].exp(), &x[2..]);
    let ratio = (tau / 5.0).powi(2);
    let mut log_p = -0.5 * (mu / 5.0).powi(2) - ratio.ln_1p() + x[1];
    slope[0] = -mu / 25.0;
    slope[1] = 1.0 - 2.0 * ratio / (1.0 + ratio);
    for i in 0..8 {
        let pull = (EFFECT[i] - mu - tau * eta[i]) / ERROR[i].powi(2);
        log_p -= 0.5 * eta[i] * eta[i] + 0.5 * (pull * ERROR[i]).powi(2);
        slope[0] += pull;
        slope[1] += pull * tau * eta[i];
        slope[2 + i] = pull * tau - eta[i];
    }
    log_p
}

/// Under the uniform prior on the problem's box, in the coordinates and with the transforms of fitjob's nuts.
fn in_box(problem: &Problem, z: &[f64], slope: &mut [f64]) -> f64 {
    let range = problem.high - problem.low;
    let x: Vec<f64> = standard::to_cube(z).into_iter().map(|u| problem.low + range * u).collect();
    let by_x = problem.gradient(&x).expect("a problem with a gradient");
    slope.iter_mut().zip(by_x).for_each(|(slope, by_x)| *slope = by_x * range);
    standard::posterior_gradient(z, slope);
    problem.log_like(&x) + standard::log_prior(z)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("eight-schools", String::as_str);
    let number = |i: usize, default: u64| args.get(i).map_or(default, |text| text.parse().expect("a number"));
    let density = match name {
        "eight-schools" => Density::EightSchools,
        name => Density::Problem(Problem::named(name).expect("a problem of fitjob's")),
    };
    let (seeds, draws) = (number(1, 10), number(2, 1500));
    for seed in 0..seeds {
        let start = Instant::now();
        let (mut kept, mut gradients, mut sampling, mut divergent) = (vec![Vec::new(); density.dim()], 0, 0, 0);
        let settings = DiagNutsSettings::default();
        for chain in 0..CHAINS as u64 {
            let mut rng = StdRng::seed_from_u64(seed * 100 + chain);
            let mut sampler = settings.new_chain(chain, CpuMath::new(density), &mut rng).expect("settings");
            let begin: Vec<f64> = (0..density.dim()).map(|_| nuts_rs::rand::random_range(-2.0..2.0)).collect();
            sampler.set_position(&begin).expect("a finite start");
            for _ in 0..settings.num_tune + draws {
                let (x, progress) = sampler.draw().expect("a draw");
                gradients += progress.num_gradients;
                if !progress.tuning {
                    divergent += u32::from(progress.diverging);
                    sampling += progress.num_gradients;
                    kept.iter_mut().zip(&x).for_each(|(kept, x)| kept.push(*x));
                }
            }
        }
        let us = 1e6 * start.elapsed().as_secs_f64() / gradients as f64;
        let ess = kept.iter().map(|values| ess_bulk(values, CHAINS)).fold(f64::INFINITY, f64::min);
        let r_hat = kept.iter().map(|values| r_hat(values, CHAINS)).fold(0.0, f64::max);
        println!(
            "{name} seed {seed}: {gradients} gradients, {sampling} after warm-up, least ESS {ess:.0}, R-hat {r_hat:.4}, {divergent} divergent; gradients per ESS {:.1}, {:.1} after warm-up; {us:.2} us a gradient",
            gradients as f64 / ess,
            sampling as f64 / ess
        );
    }
}
