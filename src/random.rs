//! Counter-based random streams, keyed by what is drawn and never by who draws it.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is for. Two purposes never share a stream; a number here is never reused (41 was one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Candidate points of a bound: lane = bound, seq = block.
    Candidates = 1,
    /// First weights and shuffles of a network: lane = bound, seq = network.
    Training = 2,
    /// Everything else a sampler decides by chance: lane and seq as it says.
    Decisions = 3,
    /// Artificial delay of a call, keyed by the point.
    Delay = 4,
    /// Equal-weight resampling of a posterior.
    Resample = 5,
    /// Prior draws of `fitjob check`.
    Check = 6,
    /// Prior draws of sequential Monte Carlo: seq = draw.
    SmcPrior = 20,
    /// Steps of its walkers: lane = walker, seq = proposal.
    SmcWalk = 21,
    /// Its resampling: lane = what for, seq = iteration.
    SmcResample = 22,
    /// First weights and shuffles of its flows: seq = training.
    SmcFlow = 23,
    /// Draws of the fitted law for log Z: seq = draw.
    SmcEvidence = 24,
    /// Bootstrap weights: lane = replicate, seq = stage.
    SmcBootstrap = 25,
    /// Transitions of a Hamiltonian chain: lane = chain, seq = transition.
    Nuts = 30,
    /// Where it begins: lane = chain (or group), seq = try.
    NutsStart = 31,
    /// Calibration (`fitjob sbc`): the true values of a simulation. Lane = simulation, seq = attempt, as for the data.
    SbcTruth = 50,
    /// Its data.
    SbcData = 51,
    /// Its fit's own seed.
    SbcSeed = 52,
    /// Draws from its posterior, and what breaks ties of ranks.
    SbcDraws = 53,
    /// Where within its rank a rank lies, for tests of continuous distributions: lane = quantity, seq = simulation.
    SbcWithin = 54,
    /// Steps of walkers, and whether they are accepted: lane = walker, seq = step.
    Walkers = 40,
    /// Draws from the prior at which walkers begin: lane = walker, seq = round.
    WalkerStart = 42,
    /// Candidates of an evolution strategy: lane = search, seq = generation.
    Evolution = 45,
    /// Where searches for the best point begin: lane = coordinate, or 2^32 + search.
    Starts = 46,
    /// Population and step of each restart of an evolution strategy: lane = round, seq = search within it.
    Restarts = 47,
    /// Nested sampling, candidates for uniform draws: lane = generation, seq = block.
    NestedDraws = 10,
    /// Nested sampling, walks: lane = generation, seq = lane of the walk.
    NestedWalks = 11,
    /// Nested sampling, who starts where: lane = generation.
    NestedStarts = 12,
    /// Nested sampling, bounds and their bootstraps: lane = generation.
    NestedBounds = 13,
    /// Nested sampling, simulated volumes: lane = realisation.
    NestedVolumes = 14,
}

/// The stream (seed, purpose, lane, seq): ChaCha8 keyed by the first three, at stream number `seq`.
pub fn stream(seed: u64, purpose: Purpose, lane: u64, seq: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[0..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&lane.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(seq);
    rng
}

/// Uniform on [0, 1) with 53 bits.
pub fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Two independent standard normals (Box & Muller 1958): no rejection, so a fixed number of draws. The functions are
/// libm's and not the system's, whose last bit may differ between processors.
pub fn normal_pair(rng: &mut ChaCha8Rng) -> (f64, f64) {
    let radius = (-2.0 * libm::log(1.0 - uniform(rng))).sqrt();
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * uniform(rng));
    (radius * cos, radius * sin)
}

/// Fills `out` with independent standard normals.
pub fn fill_normal(rng: &mut ChaCha8Rng, out: &mut [f64]) {
    for pair in out.chunks_mut(2) {
        let (a, b) = normal_pair(rng);
        pair[0] = a;
        if let Some(second) = pair.get_mut(1) {
            *second = b;
        }
    }
}
