//! The crew against a bare rsmpi program: scatter and gather of 32 points of 10 numbers a rank, in one run.
//!
//!     mpiexec -n 4 target/release/examples/scatter [us=0]
//!
//! The bare program scatters with MPI_Scatterv, evaluates and gathers with MPI_Gatherv, as short as it can
//! be written. The crew does the same points as the evaluator of a sampler: window of two rounds, answers
//! with times and states, rejected points, failures. Repeats take turns, so that both see the same machine;
//! prints the microseconds of a round, the middle of the repeats, as a line of JSON. `us`: microseconds that
//! a point takes; 0 shows the crew's own cost a point, which a likelihood of some microseconds hides.

use fitjob::exec::{Coordinates, Crew, Dispatch, Evaluator, OnError, Site, serve};
use fitjob::model::{Density, Model};
use fitjob::task::{EvalError, Task, TaskId, Work};
use fitjob::world::{Role, World};
use mpi::datatype::{Partition, PartitionMut};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const POINTS: usize = 32;
const DIM: usize = 10;
const ROUNDS: usize = 400;
const REPEATS: usize = 7;

fn log_like(theta: &[f64]) -> f64 {
    static MICROSECONDS: LazyLock<f64> = LazyLock::new(|| {
        let args: Vec<String> = std::env::args().collect();
        args.iter().find_map(|a| a.strip_prefix("us=")?.parse().ok()).unwrap_or(0.0)
    });
    if *MICROSECONDS > 0.0 {
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < *MICROSECONDS * 1e-6 {}
    }
    -0.5 * theta.iter().map(|t| t * t).sum::<f64>()
}

struct Normal;

impl Model for Normal {
    fn parameters(&self) -> Vec<String> {
        Vec::new()
    }
    fn bind(&self, _names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        Ok(Box::new(Normal))
    }
    fn fingerprint(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl Density for Normal {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        Ok(log_like(theta))
    }
}

struct Cube(Vec<String>);

impl Coordinates for Cube {
    fn n_free(&self) -> usize {
        DIM
    }
    fn names(&self) -> &[String] {
        &self.0
    }
    fn transform(&self, u: &[f64], theta: &mut [f64]) {
        theta.copy_from_slice(u);
    }
    fn pull_back(&self, _u: &[f64], _theta: &[f64], by_theta: &[f64], by_u: &mut [f64]) {
        by_u.copy_from_slice(by_theta);
    }
}

/// Seconds for `ROUNDS` rounds with plain collectives; the sum keeps the compiler honest.
fn bare(comm: &SimpleCommunicator, points: &[f64]) -> (f64, f64) {
    let ranks = comm.size() as usize;
    let root = comm.process_at_rank(0);
    let counts = |n: usize| (vec![n as i32; ranks], (0..ranks).map(|r| (r * n) as i32).collect::<Vec<i32>>());
    let (mut share, mut values, mut all) = (vec![0.0; POINTS * DIM], vec![0.0; POINTS], vec![0.0; POINTS * ranks]);
    let mut sum = 0.0;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        if comm.rank() == 0 {
            let (n, starts) = counts(POINTS * DIM);
            root.scatter_varcount_into_root(&Partition::new(points, n, starts), &mut share[..]);
        } else {
            root.scatter_varcount_into(&mut share[..]);
        }
        for (value, theta) in values.iter_mut().zip(share.chunks_exact(DIM)) {
            *value = log_like(theta);
        }
        if comm.rank() == 0 {
            let (n, starts) = counts(POINTS);
            root.gather_varcount_into_root(&values[..], &mut PartitionMut::new(&mut all[..], n, starts));
            sum += all.iter().sum::<f64>();
        } else {
            root.gather_varcount_into(&values[..]);
        }
    }
    (start.elapsed().as_secs_f64(), sum)
}

/// The same with the non-blocking collectives and a yield between tests: what waiting lightly costs by itself.
fn polled(comm: &SimpleCommunicator, points: &[f64]) -> f64 {
    let ranks = comm.size() as usize;
    let root = comm.process_at_rank(0);
    let counts = |n: usize| (vec![n as i32; ranks], (0..ranks).map(|r| (r * n) as i32).collect::<Vec<i32>>());
    let (mut share, mut values, mut all) = (vec![0.0; POINTS * DIM], vec![0.0; POINTS], vec![0.0; POINTS * ranks]);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        if comm.rank() == 0 {
            let (n, starts) = counts(POINTS * DIM);
            let parts = Partition::new(points, n, starts);
            mpi::request::scope(|s| wait(root.immediate_scatter_varcount_into_root(s, &parts, &mut share[..])));
        } else {
            mpi::request::scope(|s| wait(root.immediate_scatter_varcount_into(s, &mut share[..])));
        }
        for (value, theta) in values.iter_mut().zip(share.chunks_exact(DIM)) {
            *value = log_like(theta);
        }
        if comm.rank() == 0 {
            let (n, starts) = counts(POINTS);
            let mut parts = PartitionMut::new(&mut all[..], n, starts);
            mpi::request::scope(|s| wait(root.immediate_gather_varcount_into_root(s, &values[..], &mut parts)));
        } else {
            mpi::request::scope(|s| wait(root.immediate_gather_varcount_into(s, &values[..])));
        }
    }
    start.elapsed().as_secs_f64()
}

fn wait<'a, D: ?Sized, S: mpi::request::Scope<'a>>(mut request: mpi::request::Request<'a, D, S>) {
    while let Err(still) = request.test() {
        request = still;
        std::thread::yield_now();
    }
}

/// The same points through the crew, two rounds outstanding. Making the tasks is the sampler's work, and is
/// done before the clock starts, as the bare program's points are.
fn crew(crew: &mut Crew, points: &[f64], ranks: usize) -> (f64, f64) {
    let tasks = |first: u64| -> Vec<Task> {
        let task = |(i, u): (u64, &[f64])| Task { id: TaskId { lane: 0, seq: first + i }, work: Work::LogLike(u.to_vec()) };
        (0..).zip(points.chunks_exact(DIM)).map(task).collect()
    };
    let round = (POINTS * ranks) as u64;
    let (mut sent, mut back, mut sum) = (0, 0, 0.0);
    let total = round * ROUNDS as u64;
    let mut ready: std::collections::VecDeque<Vec<Task>> = (0..ROUNDS as u64).map(|i| tasks(i * round)).collect();
    let start = Instant::now();
    while back < total {
        while sent < total && sent + round <= back + 2 * round {
            crew.submit(ready.pop_front().expect("one a round")).expect("submit");
            sent += round;
        }
        for answer in crew.collect().expect("collect") {
            back += 1;
            if let Ok(fitjob::task::Value::LogLike(value)) = answer.outcome {
                sum += value;
            }
        }
    }
    (start.elapsed().as_secs_f64(), sum)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut world = World::init().unwrap_or_else(|refusal| refusal.exit());
    let ranks = world.size();
    let comm = SimpleCommunicator::world();
    let points: Vec<f64> = (0..POINTS * DIM * ranks).map(|i| (i as f64 * 0.618034).fract()).collect();
    let site = Site {
        space: Arc::new(Cube((0..DIM).map(|i| format!("x{i}")).collect())),
        model: Arc::new(Normal),
        toolbox: || unreachable!("no computations here"),
        on_error: OnError::Abort,
        gradients: false,
        call_limit: None,
        silence_limit: Duration::from_secs(120),
    };
    let (mut bare_s, mut polled_s, mut crew_s) = (Vec::new(), Vec::new(), Vec::new());
    for repeat in 0..=REPEATS {
        let (seconds, sum) = bare(&comm, &points);
        let polled = polled(&comm, &points);
        let theirs = match world.enter() {
            Role::Worker(worker) => {
                serve(&worker, &site, 1).expect("serve");
                None
            }
            Role::Root(root) => {
                let mut evaluator = Crew::new(&root, &site, 1).with_dispatch(Dispatch::Static);
                crew(&mut evaluator, &points, ranks); // first rounds are small
                Some(crew(&mut evaluator, &points, ranks))
            }
        };
        if let (Some((theirs, their_sum)), 1..) = (theirs, repeat) {
            assert!((sum - their_sum).abs() < 1e-6 * sum.abs(), "both evaluate the same points: {sum} {their_sum}");
            bare_s.push(seconds * 1e6 / ROUNDS as f64);
            polled_s.push(polled * 1e6 / ROUNDS as f64);
            crew_s.push(theirs * 1e6 / ROUNDS as f64);
        }
    }
    if world.is_root() {
        let (bare, polled, crew) = (middle(bare_s), middle(polled_s), middle(crew_s));
        println!(
            "{{\"ranks\":{ranks},\"points_a_rank\":{POINTS},\"bare_us\":{bare:.1},\"polled_us\":{polled:.1},\"crew_us\":{crew:.1},\"crew_by_bare\":{:.2},\"crew_by_polled\":{:.2}}}",
            crew / bare,
            crew / polled
        );
    }
}
