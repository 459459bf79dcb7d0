//! Every evaluator gives the same answers, and every failure ends all ranks.

use super::*;
use crate::model::Density;
use crate::task::{EvalError, TaskId, Value, Work};
use crate::world::{Role, World};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the model does at theta[0] below 0.1 * its number, for the tests of failures.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Panic,
    Nan,
    Infinity,
    Reject,
    SleepForLong,
}

struct Bowl {
    /// Longest artificial delay.
    delay: Duration,
    fault: Fault,
}

impl Model for Bowl {
    fn parameters(&self) -> Vec<String> {
        vec!["a".into(), "b".into()]
    }
    fn bind(&self, _names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        Ok(Box::new(BowlDensity(self)))
    }
    fn fingerprint(&self) -> Vec<u8> {
        Vec::new()
    }
}

struct BowlDensity<'m>(&'m Bowl);

impl Density for BowlDensity<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        std::thread::sleep(self.0.delay.mul_f64((theta[1] * 1e6).fract().abs()));
        if theta[0] < 0.1 {
            match self.0.fault {
                Fault::None => {}
                Fault::Panic => panic!("no such state"),
                Fault::Nan => return Ok(f64::NAN),
                Fault::Infinity => return Ok(f64::INFINITY),
                Fault::Reject => return Err(EvalError::Reject("a is too small".into())),
                Fault::SleepForLong => std::thread::sleep(Duration::from_secs(3600)),
            }
        }
        Ok(-theta[0] * theta[0] - (theta[1] - 0.3).powi(2))
    }
    fn log_like_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        gradient.copy_from_slice(&[-2.0 * theta[0], -2.0 * (theta[1] - 0.3)]);
        Some(self.log_like(theta))
    }
}

struct UnitCube(Vec<String>);

impl Coordinates for UnitCube {
    fn n_free(&self) -> usize {
        2
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

/// Adds up the bytes of its input and its shared objects; kind 9 fails.
struct Adder;

impl Toolbox for Adder {
    fn compute(&mut self, kind: u16, shared: &[&Shared], input: &[u8]) -> Result<Vec<u8>, EvalError> {
        if kind == 9 {
            return Err(EvalError::Fatal("cannot add".into()));
        }
        std::thread::sleep(Duration::from_millis(input[0] as u64 % 4));
        let all = shared.iter().flat_map(|s| &s.bytes).chain(input);
        Ok(all.map(|b| *b as u64).sum::<u64>().to_le_bytes().to_vec())
    }
}

fn site(delay_us: u64, fault: Fault, on_error: OnError) -> Site {
    Site {
        space: Arc::new(UnitCube(vec!["a".into(), "b".into()])),
        model: Arc::new(Bowl { delay: Duration::from_micros(delay_us), fault }),
        toolbox: || Box::new(Adder),
        on_error,
        gradients: false,
        call_limit: None,
        silence_limit: Duration::from_secs(120),
    }
}

fn point(seq: u64) -> Task {
    let u = vec![(seq as f64 * 0.618034).fract(), (seq as f64 * 0.754878).fract()];
    Task { id: TaskId { lane: 0, seq }, work: Work::LogLike(u) }
}

fn computation(seq: u64, kind: u16, needs: Vec<u64>) -> Task {
    Task { id: TaskId { lane: 1, seq }, work: Work::Compute { kind, needs, input: vec![seq as u8, 2, 3] } }
}

/// A sampler in small: a window of 48 points in batches of 16, a computation every second batch that needs
/// the newest object, objects replaced now and then. Gives all answers by task.
fn exercise(evaluator: &mut dyn Evaluator, batches: u64) -> Result<Answers, ExecError> {
    let mut answers = BTreeMap::new();
    let (mut batch, mut expected) = (0, 0);
    while batch < batches || answers.len() < expected {
        while batch < batches && expected - answers.len() <= 32 {
            let newest = batch / 4;
            if batch % 4 == 0 {
                evaluator.publish(vec![Shared { key: newest, bytes: vec![newest as u8; 1000] }])?;
                if newest > 0 {
                    evaluator.retire(&[newest - 1]);
                }
            }
            let mut tasks: Vec<Task> = (16 * batch..16 * (batch + 1)).map(point).collect();
            if batch % 2 == 0 {
                tasks.push(computation(batch, 1, vec![newest]));
            }
            expected += tasks.len();
            evaluator.submit(tasks)?;
            batch += 1;
        }
        for answer in evaluator.collect()? {
            let before = answers.insert(answer.id, (answer.outcome, answer.derived));
            assert!(before.is_none(), "{:?} was answered twice", answer.id);
        }
    }
    assert!(evaluator.collect()?.is_empty(), "nothing is outstanding");
    Ok(answers)
}

/// Outcome, and what came beside it.
type Answers = BTreeMap<TaskId, (Result<Value, EvalError>, Vec<f64>)>;
type Outcome = Result<(Answers, ExecStats), ExecError>;

fn on_ranks(ranks: usize, threads: usize, site: &Site, dispatch: Dispatch, batches: u64) -> Outcome {
    let outcomes = World::loopback(ranks, |mut world| match world.enter() {
        Role::Root(root) => {
            let mut crew = Crew::new(&root, site, threads).with_dispatch(dispatch);
            Some(exercise(&mut crew, batches).map(|answers| (answers, crew.stats())))
        }
        Role::Worker(worker) => {
            serve(&worker, site, threads).expect("workers leave in good order");
            None
        }
    });
    outcomes.into_iter().flatten().next().expect("there is a root")
}

#[test]
fn every_evaluator_gives_the_same_answers() {
    let site = site(300, Fault::None, OnError::Abort);
    let serial = exercise(&mut Serial::new(&site), 20).unwrap();
    assert_eq!(serial.len(), 330);
    for threads in [1, 3] {
        assert_eq!(exercise(&mut Threads::new(&site, threads), 20).unwrap(), serial);
    }
    assert_eq!(exercise(&mut Scrambled::new(Threads::new(&site, 2), 5), 20).unwrap(), serial);
    for (ranks, threads) in [(1, 1), (2, 1), (3, 2), (8, 1)] {
        for dispatch in [Dispatch::Auto, Dispatch::Static, Dispatch::Dynamic] {
            let (answers, stats) = on_ranks(ranks, threads, &site, dispatch, 20).unwrap();
            assert_eq!(answers, serial, "{ranks} ranks, {threads} threads, {dispatch:?}");
            assert_eq!(stats.calls(), 320);
            assert_eq!(stats.ranks.len(), ranks);
        }
    }
}

#[test]
fn gradients_come_beside_the_values_whoever_evaluates() {
    let site = Site { gradients: true, ..site(50, Fault::Reject, OnError::Abort) };
    let serial = exercise(&mut Serial::new(&site), 10).unwrap();
    let (mut with, mut without) = (0, 0);
    for (id, (outcome, derived)) in serial.iter().filter(|(id, _)| id.lane == 0) {
        let Work::LogLike(u) = point(id.seq).work else { unreachable!() };
        match outcome {
            Ok(_) => assert_eq!(derived, &[-2.0 * u[0], -2.0 * (u[1] - 0.3)]),
            Err(_) => assert!(derived.is_empty() && u[0] < 0.1),
        }
        *if outcome.is_ok() { &mut with } else { &mut without } += 1;
    }
    assert!(with > 100 && without > 5, "{with} {without}");
    assert_eq!(exercise(&mut Threads::new(&site, 2), 10).unwrap(), serial);
    for dispatch in [Dispatch::Static, Dispatch::Dynamic] {
        assert_eq!(on_ranks(3, 1, &site, dispatch, 10).unwrap().0, serial, "{dispatch:?}");
    }
}

#[test]
fn every_rank_gets_points_where_the_job_says_static() {
    let site = site(0, Fault::None, OnError::Abort);
    let (answers, stats) = on_ranks(4, 1, &site, Dispatch::Static, 200).unwrap();
    assert_eq!(answers, exercise(&mut Serial::new(&site), 200).unwrap());
    assert!(stats.ranks.iter().all(|rank| rank.calls > 0), "{stats:?}");
    assert!(stats.rounds >= 67);
}

#[test]
fn rejected_points_are_answered_with_the_reason_and_counted() {
    let rejecting = site(0, Fault::Reject, OnError::Abort);
    let serial = exercise(&mut Serial::new(&rejecting), 20).unwrap();
    let (answers, stats) = on_ranks(3, 1, &rejecting, Dispatch::Static, 20).unwrap();
    assert_eq!(answers, serial);
    let reason = Err(EvalError::Reject("a is too small".into()));
    let rejected: Vec<&TaskId> = serial.iter().filter(|(_, (outcome, _))| *outcome == reason).map(|(id, _)| id).collect();
    assert_eq!((stats.rejected, stats.impossible()), (rejected.len() as u64, rejected.len() as u64));
    let small = |id: &TaskId| matches!(point(id.seq).work, Work::LogLike(u) if u[0] < 0.1);
    assert!(rejected.len() > 20 && rejected.into_iter().all(small));
}

#[test]
fn nan_and_infinity_are_rejected_only_where_the_job_says_so() {
    for (fault, word, dispatch) in [(Fault::Nan, "NaN", Dispatch::Static), (Fault::Infinity, "+infinity", Dispatch::Dynamic)] {
        let (answers, stats) = on_ranks(2, 1, &site(0, fault, OnError::Reject), dispatch, 20).unwrap();
        let reason = Err(EvalError::Reject(format!("log-likelihood is {word}")));
        assert_eq!(answers.values().filter(|(outcome, _)| *outcome == reason).count() as u64, stats.nan + stats.plus_infinity);
        assert!(stats.impossible() > 20);
        let error = on_ranks(2, 1, &site(0, fault, OnError::Abort), Dispatch::Static, 20).unwrap_err();
        assert!(error.cause.contains(word) && error.point[0].1 < 0.1, "{error}");
    }
}

#[test]
fn a_panic_anywhere_ends_all_ranks_with_the_parameter_values_or_rejects_the_point() {
    for ranks in [1, 2, 5] {
        for delay in [0, 500] {
            for dispatch in [Dispatch::Static, Dispatch::Dynamic] {
                let run = |on_error| on_ranks(ranks, 2, &site(delay, Fault::Panic, on_error), dispatch, 20);
                let text = run(OnError::Abort).unwrap_err().to_string();
                assert!(text.contains("the model failed at a = 0.0") && text.contains("no such state"), "{text}");
                let (answers, stats) = run(OnError::Reject).unwrap();
                assert!(stats.rejected > 20 && answers.len() == 330, "{stats:?}");
            }
        }
    }
}

#[test]
fn threads_and_serial_end_with_the_same_words() {
    let site = site(0, Fault::Panic, OnError::Abort);
    let serial = exercise(&mut Serial::new(&site), 20).unwrap_err();
    assert_eq!(serial.point[0], ("a".into(), 0.0));
    let mut threads = Threads::new(&site, 2);
    let threaded = exercise(&mut threads, 20).unwrap_err();
    assert_eq!(serial.cause, threaded.cause);
    assert_eq!(threads.submit(vec![]).unwrap_err(), threaded, "the error is told again");
}

#[test]
fn a_computation_that_fails_ends_the_run() {
    let site = site(0, Fault::None, OnError::Abort);
    let outcomes = World::loopback(3, |mut world| match world.enter() {
        Role::Root(root) => {
            let mut crew = Crew::new(&root, &site, 1);
            crew.submit(vec![computation(0, 9, vec![])]).unwrap();
            std::iter::repeat_with(|| crew.collect()).find_map(Result::err)
        }
        Role::Worker(worker) => serve(&worker, &site, 1).err(),
    });
    let error = outcomes[0].as_ref().expect("the root is told");
    assert!(error.cause.contains("cannot add") && error.rank > 0, "{error}");
}

#[test]
fn a_run_can_end_while_calls_are_under_way() {
    let site = site(0, Fault::SleepForLong, OnError::Abort);
    let start = Instant::now();
    World::loopback(4, |mut world| match world.enter() {
        Role::Root(root) => {
            let mut crew = Crew::new(&root, &site, 2).with_dispatch(Dispatch::Static);
            crew.submit((0..64).map(point).collect()).unwrap();
            crew.submit(vec![computation(0, 1, vec![])]).unwrap();
            let answers = std::iter::repeat_with(|| crew.collect().unwrap()).find(|answers| !answers.is_empty()).unwrap();
            assert!(answers.iter().any(|answer| answer.id.lane == 1), "the computation does not wait for points");
        }
        Role::Worker(worker) => serve(&worker, &site, 2).unwrap(),
    });
    assert!(start.elapsed() < Duration::from_secs(1800), "nobody waits for the hour that a call takes");
}

#[test]
fn collect_gives_nothing_when_it_has_waited_long_enough() {
    let site = site(0, Fault::SleepForLong, OnError::Abort);
    let dear = |evaluator: &mut dyn Evaluator| {
        evaluator.submit(vec![Task { id: TaskId { lane: 0, seq: 0 }, work: Work::LogLike(vec![0.05, 0.5]) }]).unwrap();
        assert_eq!(evaluator.collect().unwrap(), []);
        assert_eq!(evaluator.collect().unwrap(), [], "the call takes an hour");
    };
    dear(&mut Threads::new(&site, 2));
    dear(&mut Scrambled::new(Threads::new(&site, 1), 3));
    World::loopback(2, |mut world| match world.enter() {
        Role::Root(root) => dear(&mut Crew::new(&root, &site, 1)),
        Role::Worker(worker) => serve(&worker, &site, 1).unwrap(),
    });
}

type Way = dyn Fn(&Site) -> Result<Answers, ExecError>;

/// Of 60 points, some of which hang: how many are answered, and how many of them by the limit.
fn with_hanging_calls(on_error: OnError, evaluate: &Way) -> Result<(usize, usize), ExecError> {
    let site = Site { call_limit: Some(Duration::from_millis(150)), ..site(0, Fault::SleepForLong, on_error) };
    let answers = evaluate(&site)?;
    let reason = Err(EvalError::Reject("no value within 0.15 s".into()));
    Ok((answers.len(), answers.values().filter(|(outcome, _)| *outcome == reason).count()))
}

fn sixty(evaluator: &mut dyn Evaluator) -> Result<Answers, ExecError> {
    evaluator.submit((0..60).map(point).collect())?;
    let mut answers = BTreeMap::new();
    while answers.len() < 60 {
        answers.extend(evaluator.collect()?.into_iter().map(|answer| (answer.id, (answer.outcome, answer.derived))));
    }
    Ok(answers)
}

fn sixty_on_ranks(site: &Site, dispatch: Dispatch) -> Result<Answers, ExecError> {
    let outcomes = World::loopback(3, |mut world| match world.enter() {
        Role::Root(root) => Some(sixty(&mut Crew::new(&root, site, 1).with_dispatch(dispatch))),
        Role::Worker(worker) => serve(&worker, site, 1).map(|()| None).unwrap(),
    });
    outcomes.into_iter().flatten().next().expect("there is a root")
}

#[test]
fn a_call_over_its_limit_is_rejected_or_ends_the_run_and_its_thread_is_replaced() {
    let small = (0..60).filter(|seq| matches!(point(*seq).work, Work::LogLike(u) if u[0] < 0.1)).count();
    let ways: [&Way; 4] = [
        &|site| sixty(&mut Threads::new(site, 1)),
        &|site| sixty(&mut Threads::new(site, 3)),
        &|site| sixty_on_ranks(site, Dispatch::Static),
        &|site| sixty_on_ranks(site, Dispatch::Dynamic),
    ];
    for way in ways {
        assert_eq!(with_hanging_calls(OnError::Reject, way), Ok((60, small)));
        let error = with_hanging_calls(OnError::Abort, way).unwrap_err();
        assert!(error.cause.starts_with("no value within 0.15 s. If such calls") && error.point[0].1 < 0.1, "{error}");
    }
}

#[test]
fn a_model_that_always_hangs_ends_the_run_before_it_fills_the_machine() {
    let site = Site { call_limit: Some(Duration::from_millis(5)), ..site(0, Fault::SleepForLong, OnError::Reject) };
    let mut threads = Threads::new(&site, 4);
    let tasks = (0..50).map(|seq| Task { id: TaskId { lane: 0, seq }, work: Work::LogLike(vec![0.05, 0.5]) });
    threads.submit(tasks.collect()).unwrap();
    let error = std::iter::repeat_with(|| threads.collect()).find_map(Result::err).unwrap();
    assert!(error.cause.starts_with("33 calls on this rank gave no value within 0.005 s"), "{error}");
}

#[test]
fn ranks_that_are_busy_for_longer_than_the_silence_limit_are_not_taken_for_gone() {
    let site = Site { silence_limit: Duration::from_secs(1), ..site(0, Fault::SleepForLong, OnError::Abort) };
    World::loopback(3, |mut world| match world.enter() {
        Role::Root(root) => {
            let mut crew = Crew::new(&root, &site, 1).with_dispatch(Dispatch::Static);
            crew.submit((0..64).map(point).collect()).unwrap();
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(3) {
                crew.collect().unwrap();
            }
            std::thread::sleep(Duration::from_millis(50)); // the sampler thinks
            crew.collect().unwrap();
        }
        Role::Worker(worker) => serve(&worker, &site, 1).unwrap(),
    });
}

#[test]
fn a_rank_that_falls_silent_ends_the_others() {
    for silent in [0, 2] {
        let run = move || {
            let site = Site { silence_limit: Duration::from_millis(300), ..site(500, Fault::None, OnError::Abort) };
            World::loopback(3, |mut world| match world.enter() {
                Role::Worker(worker) if worker.rank() == silent => std::thread::sleep(Duration::from_secs(2)),
                Role::Root(_) if silent == 0 => std::thread::sleep(Duration::from_secs(2)),
                Role::Root(root) => drop(exercise(&mut Crew::new(&root, &site, 1), 20)),
                Role::Worker(worker) => serve(&worker, &site, 1).unwrap(),
            })
        };
        assert!(std::panic::catch_unwind(run).is_err(), "loopback ranks abort by a panic");
    }
}
