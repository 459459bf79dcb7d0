//! How busy ranks are kept, without a sampler: points that sleep, a fixed window, answers told in order.
//!
//!     mpiexec -n 16 target/release/examples/crew [key=value ...]
//!     ms=10 sigma=0 points=2000 dim=10 window=256 batch=64 threads=1 dispatch=auto|static|dynamic
//!     busy=0|1 (burn the time instead of sleeping)  compute=0 (ms of a computation every 4 batches)
//!
//! Prints a line of JSON: `efficiency` = points x mean delay / wall / lanes.

use fitjob::exec::{Coordinates, Dispatch, Evaluator, OnError, Site, evaluator, serve};
use fitjob::model::{Density, Model};
use fitjob::task::{EvalError, Shared, Task, TaskId, Toolbox, Work};
use fitjob::world::{Role, World};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone)]
struct Settings {
    ms: f64,
    sigma: f64,
    busy: bool,
    points: u64,
    dim: usize,
    window: u64,
    batch: u64,
    threads: usize,
    dispatch: String,
    compute: u64,
}

impl Settings {
    fn from_args() -> Settings {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let text = |key: &str, default: &str| {
            let found = args.iter().find_map(|a| a.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or(default).to_string()
        };
        let number = |key: &str, default: f64| text(key, &default.to_string()).parse::<f64>().expect("a number");
        Settings {
            ms: number("ms", 10.0),
            sigma: number("sigma", 0.0),
            busy: number("busy", 0.0) != 0.0,
            points: number("points", 2000.0) as u64,
            dim: number("dim", 10.0) as usize,
            window: number("window", 256.0) as u64,
            batch: number("batch", 64.0) as u64,
            threads: number("threads", 1.0) as usize,
            dispatch: text("dispatch", "auto"),
            compute: number("compute", 0.0) as u64,
        }
    }
}

/// Sleeps as long as the point says: the last two coordinates are a uniform pair for a log-normal delay.
struct Sleeper(Settings);

fn delay(settings: &Settings, u: &[f64]) -> Duration {
    let radius = (-2.0 * (1.0 - u[0]).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * u[1]).cos();
    Duration::from_secs_f64(settings.ms * 1e-3 * (settings.sigma * normal).exp())
}

impl Model for Sleeper {
    fn parameters(&self) -> Vec<String> {
        Vec::new()
    }
    fn bind(&self, _names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        Ok(Box::new(SleeperDensity(&self.0)))
    }
    fn fingerprint(&self) -> Vec<u8> {
        Vec::new()
    }
}

struct SleeperDensity<'m>(&'m Settings);

impl Density for SleeperDensity<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        let delay = delay(self.0, theta);
        if self.0.busy {
            let start = Instant::now();
            while start.elapsed() < delay {}
        } else if self.0.ms > 0.0 {
            std::thread::sleep(delay);
        }
        Ok(-theta.iter().map(|t| t * t).sum::<f64>())
    }
}

struct Cube(Vec<String>);

impl Coordinates for Cube {
    fn n_free(&self) -> usize {
        self.0.len()
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

/// Burns as many milliseconds as the input says.
struct Burner;

impl Toolbox for Burner {
    fn compute(&mut self, _kind: u16, _shared: &[&Shared], input: &[u8]) -> Result<Vec<u8>, EvalError> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(u64::from_le_bytes(input.try_into().expect("8 bytes"))) {}
        Ok(vec![0; 10_000])
    }
}

fn point(settings: &Settings, seq: u64) -> Task {
    let mut rng = fitjob::random::stream(1, fitjob::random::Purpose::Check, 0, seq);
    let u = (0..settings.dim).map(|_| fitjob::random::uniform(&mut rng)).collect();
    Task { id: TaskId { lane: 0, seq }, work: Work::LogLike(u) }
}

/// Emits a batch whenever the window has room for one, counting answers in order only.
fn drive(evaluator: &mut dyn Evaluator, settings: &Settings) -> f64 {
    let (mut emitted, mut told, mut batches) = (0, 0, 0);
    let mut early = BTreeSet::new();
    let start = Instant::now();
    while told < settings.points {
        while emitted < settings.points && emitted + settings.batch <= told + settings.window {
            let end = (emitted + settings.batch).min(settings.points);
            let mut tasks: Vec<Task> = (emitted..end).map(|seq| point(settings, seq)).collect();
            batches += 1;
            if settings.compute > 0 && batches % 4 == 0 {
                let input = settings.compute.to_le_bytes().to_vec();
                tasks.push(Task { id: TaskId { lane: 1, seq: batches }, work: Work::Compute { kind: 1, needs: vec![], input } });
            }
            evaluator.submit(tasks).expect("submit");
            emitted = end;
        }
        for answer in evaluator.collect().expect("collect").iter().filter(|a| a.id.lane == 0) {
            early.insert(answer.id.seq);
        }
        while early.remove(&told) {
            told += 1;
        }
    }
    start.elapsed().as_secs_f64()
}

fn main() {
    let settings = Settings::from_args();
    let mut world = World::init().unwrap_or_else(|refusal| refusal.exit());
    let names = (0..settings.dim).map(|i| format!("x{i}")).collect();
    let site = Site {
        space: Arc::new(Cube(names)),
        model: Arc::new(Sleeper(settings.clone())),
        toolbox: || Box::new(Burner),
        on_error: OnError::Abort,
        gradients: false,
        call_limit: None,
        silence_limit: Duration::from_secs(120),
    };
    match world.enter() {
        Role::Worker(worker) => serve(&worker, &site, settings.threads).expect("serve"),
        Role::Root(root) => {
            let dispatch = match settings.dispatch.as_str() {
                "static" => Dispatch::Static,
                "dynamic" => Dispatch::Dynamic,
                _ => Dispatch::Auto,
            };
            let mut evaluator = evaluator(&root, &site, settings.threads, dispatch);
            drive(&mut *evaluator, &Settings { points: 256, ..settings.clone() }); // ranks start up
            let before = evaluator.stats();
            let wall = drive(&mut *evaluator, &settings);
            let stats = evaluator.stats();
            let lanes = evaluator.lanes() as f64;
            let u_of = |seq| match point(&settings, seq).work {
                Work::LogLike(u) => u,
                _ => unreachable!(),
            };
            let ideal: f64 = (0..settings.points).map(|seq| delay(&settings, &u_of(seq)).as_secs_f64()).sum();
            let busy: f64 = stats.ranks.iter().zip(&before.ranks).map(|(a, b)| a.busy - b.busy).sum();
            println!(
                "{{\"ranks\":{},\"threads\":{},\"ms\":{},\"sigma\":{},\"points\":{},\"wall_s\":{wall:.3},\"us_per_point\":{:.2},\"speedup\":{:.2},\"efficiency\":{:.3},\"busy\":{:.3},\"rounds\":{}}}",
                root.ranks(),
                settings.threads,
                settings.ms,
                settings.sigma,
                settings.points,
                wall * 1e6 / settings.points as f64,
                ideal / wall,
                ideal / wall / lanes,
                busy / wall / lanes,
                stats.rounds - before.rounds,
            );
        }
    }
}
