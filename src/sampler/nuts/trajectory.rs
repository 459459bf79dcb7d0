//! One transition of the No-U-Turn sampler (Hoffman & Gelman 2014), with multinomial draws from the trajectory (Betancourt 2017,
//! A.3) and Stan's checks across neighbouring subtrees. A state machine: it names a point, and goes on when told what is there.
//!
//! Leaves go on a stack; two subtrees of equal depth on its top become one. So the tree is the recursive one, and what is
//! kept is a subtree for each depth.

use super::metric::Metric;
use super::state::{Shared, State};
use crate::random::{fill_normal, uniform};
use crate::stats::{dot, log_add};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What bounds a trajectory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    pub depth: u32,
    /// A larger energy error is a divergence.
    pub energy_error: f64,
}

/// Neighbouring states: the ends, one drawn by weight, and the sum of momenta.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tree {
    depth: u32,
    /// The end that was there first.
    first: Shared,
    last: Shared,
    drawn: Shared,
    /// Empty where one state is all.
    #[serde(with = "crate::bulk::reals")]
    momenta: Vec<f64>,
    /// Log of the sum of exp(H0 - H).
    log_weight: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Trajectory {
    limits: Limits,
    step: f64,
    rng: ChaCha8Rng,
    /// Energy at the start.
    energy: f64,
    trunk: Tree,
    /// The trunk's last end is the later one in time.
    forward: bool,
    /// Subtrees being built beyond the trunk's last end, of falling depth.
    stack: Vec<Tree>,
    /// Where the next leapfrog step starts, and its momentum after half of it.
    at: Shared,
    #[serde(with = "crate::bulk::reals")]
    half: Vec<f64>,
    n_steps: u32,
    accept: f64,
}

/// What came of a transition.
#[derive(Debug)]
pub struct Outcome {
    pub state: Shared,
    pub diverging: bool,
    pub depth: u32,
    pub n_steps: u32,
    /// Mean over all states visited of min(1, exp(H0 - H)).
    pub accept: f64,
    /// Total energy at the start.
    pub energy: f64,
}

impl Trajectory {
    /// With a fresh momentum; gives the first point that is needed too.
    pub fn begin(from: &State, metric: &Metric, step: f64, limits: Limits, mut rng: ChaCha8Rng) -> (Trajectory, Vec<f64>) {
        let start = Shared::new(kicked(from, metric, &mut rng));
        let energy = start.energy();
        let trunk = Tree::leaf(start.clone(), 0.0);
        let half = vec![0.0; from.x().len()];
        let (at, stack) = (start, Vec::new());
        let mut it = Trajectory { limits, step, rng, energy, trunk, forward: true, stack, at, half, n_steps: 0, accept: 0.0 };
        let next = it.double(metric);
        (it, next)
    }

    /// Told the state at the point it named (at rest): the next point, or the end.
    pub fn go_on(&mut self, reached: State, metric: &Metric) -> Result<Vec<f64>, Outcome> {
        let state = finish_step(reached, &self.half, self.signed_step(), metric);
        let gain = self.energy - state.energy();
        self.n_steps += 1;
        self.accept += if gain >= 0.0 {
            1.0
        } else if gain.is_nan() {
            0.0
        } else {
            libm::exp(gain)
        };
        if gain.is_nan() || gain < -self.limits.energy_error {
            return Err(self.end(true));
        }
        self.at = Shared::new(state);
        self.stack.push(Tree::leaf(self.at.clone(), gain));
        if self.join_equals() {
            return Err(self.end(false));
        }
        if self.stack[0].depth < self.trunk.depth {
            return Ok(self.step(metric));
        }
        let grown = self.stack.pop().expect("it holds the finished subtree");
        if self.trunk.absorb(grown, true, &mut self.rng) || self.trunk.depth == self.limits.depth {
            return Err(self.end(false));
        }
        Ok(self.double(metric))
    }

    /// Joins the subtrees of equal depth on top of the stack; true where a joined one turns.
    fn join_equals(&mut self) -> bool {
        while let [.., a, b] = &self.stack[..]
            && a.depth == b.depth
        {
            let later = self.stack.pop().expect("there are two");
            let earlier = self.stack.last_mut().expect("there are two");
            if earlier.absorb(later, false, &mut self.rng) {
                return true;
            }
        }
        false
    }

    /// Chooses a direction for the next doubling.
    fn double(&mut self, metric: &Metric) -> Vec<f64> {
        let forward = uniform(&mut self.rng) < 0.5;
        if forward != self.forward {
            self.forward = forward;
            std::mem::swap(&mut self.trunk.first, &mut self.trunk.last);
        }
        self.at = self.trunk.last.clone();
        self.step(metric)
    }

    /// Half a step of the momentum and one of the position.
    fn step(&mut self, metric: &Metric) -> Vec<f64> {
        start_step(&self.at, self.signed_step(), metric, &mut self.half)
    }

    fn signed_step(&self) -> f64 {
        if self.forward { self.step } else { -self.step }
    }

    fn end(&mut self, diverging: bool) -> Outcome {
        Outcome {
            state: self.trunk.drawn.clone(),
            diverging,
            depth: self.trunk.depth,
            n_steps: self.n_steps,
            accept: self.accept / f64::from(self.n_steps),
            energy: self.energy,
        }
    }
}

impl Tree {
    fn leaf(state: Shared, log_weight: f64) -> Tree {
        Tree { depth: 0, first: state.clone(), last: state.clone(), drawn: state, momenta: Vec::new(), log_weight }
    }

    /// The sum of momenta.
    fn momenta(&self) -> &[f64] {
        if self.depth == 0 { self.first.momentum() } else { &self.momenta }
    }

    /// Joins `later` to the last end; true where the whole turns back on itself. `biased`: the draw prefers `later` (progressive
    /// sampling); otherwise each state has its weight.
    fn absorb(&mut self, later: Tree, biased: bool, rng: &mut ChaCha8Rng) -> bool {
        let across = self.depth > 0 && crosses_back((self, &later.first), (&self.last, &later));
        if self.depth == 0 {
            self.momenta = self.first.momentum().to_vec();
        }
        self.momenta.iter_mut().zip(later.momenta()).for_each(|(sum, p)| *sum += p);
        let total = log_add(self.log_weight, later.log_weight);
        let against = if biased { self.log_weight } else { total };
        if later.log_weight >= against || uniform(rng) < libm::exp(later.log_weight - against) {
            self.drawn = later.drawn;
        }
        self.last = later.last;
        self.log_weight = total;
        self.depth += 1;
        across || turns(&self.first, &self.last, &self.momenta)
    }
}

/// The two checks that see a turn within the doubled trajectory's middle: each subtree with the nearest state of the other.
fn crosses_back((earlier, next): (&Tree, &State), (before, later): (&State, &Tree)) -> bool {
    turns_with(&earlier.first, next, earlier.momenta(), next) || turns_with(before, &later.last, later.momenta(), before)
}

/// Whether the states between these turn back, whose momenta sum to `momenta` and that of one state `more`.
fn turns_with(first: &State, last: &State, momenta: &[f64], more: &State) -> bool {
    let all = || momenta.iter().zip(more.momentum()).map(|(sum, p)| sum + p);
    let along = |velocity: &[f64]| velocity.iter().zip(all()).map(|(v, p)| v * p).sum::<f64>();
    !(along(first.velocity()) > 0.0 && along(last.velocity()) > 0.0)
}

fn turns(first: &State, last: &State, momenta: &[f64]) -> bool {
    !(dot(first.velocity(), momenta) > 0.0 && dot(last.velocity(), momenta) > 0.0)
}

/// The same place with a fresh momentum.
pub fn kicked(from: &State, metric: &Metric, rng: &mut ChaCha8Rng) -> State {
    let mut state = from.clone();
    let (momentum, velocity, _) = state.motion();
    fill_normal(rng, momentum);
    metric.momentum(momentum);
    metric.velocity(momentum, velocity);
    state
}

/// First part of a leapfrog step: fills `half` with the momentum after half of it, and gives the point where it ends.
pub fn start_step(from: &State, step: f64, metric: &Metric, half: &mut [f64]) -> Vec<f64> {
    for ((half, p), g) in half.iter_mut().zip(from.momentum()).zip(from.gradient()) {
        *half = p + 0.5 * step * g;
    }
    // With room for the state that it becomes.
    let mut next = Vec::with_capacity(State::SIZE * half.len());
    next.resize(half.len(), 0.0);
    metric.velocity(half, &mut next);
    next.iter_mut().zip(from.x()).for_each(|(v, x)| *v = x + step * *v);
    next
}

/// The rest of it, once the gradient is known.
pub fn finish_step(mut reached: State, half: &[f64], step: f64, metric: &Metric) -> State {
    let (momentum, velocity, gradient) = reached.motion();
    for ((p, half), g) in momentum.iter_mut().zip(half).zip(gradient) {
        *p = half + 0.5 * step * g;
    }
    metric.velocity(momentum, velocity);
    reached
}
