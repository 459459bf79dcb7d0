//! Threads of one process that evaluate points and, apart from them, do the sampler's computations.

use super::Site;
use super::bench::{Bench, Verdict};
use crate::task::{EvalError, Shared};
use crate::world::patience::Bell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// A point to evaluate. The ticket comes back with the verdict.
pub struct Point {
    pub ticket: u64,
    pub u: Vec<f64>,
}

pub struct Computation {
    pub ticket: u64,
    pub kind: u16,
    pub shared: Vec<Arc<Shared>>,
    pub input: Vec<u8>,
}

/// Finished work.
pub enum Done {
    Point { ticket: u64, verdict: Verdict, seconds: f32, cpu: f32 },
    Computation { ticket: u64, outcome: Result<Vec<u8>, EvalError>, seconds: f32 },
}

/// Computations that run at the same time in one process: a short one must not wait for a long one.
const COMPUTING: usize = 4;

/// Long calls are taken one by one; cheap ones in handfuls worth this many seconds, so that threads
/// do not meet at the lock all the time.
const HANDFUL: f64 = 30e-6;

#[derive(Default)]
struct Queue {
    points: VecDeque<Point>,
    computations: VecDeque<Computation>,
    done: Vec<Done>,
    idle_point_threads: usize,
    idle_compute_threads: usize,
    /// Running average of the seconds a point takes.
    per_point: Option<f64>,
    closed: bool,
}

struct Room {
    queue: Mutex<Queue>,
    points: Condvar,
    computations: Condvar,
    bell: Bell,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("threads hold the lock only to move things, and do not panic")
    }
}

/// The threads, started when first needed. Dropping it does not wait for calls that are running.
pub struct Hands {
    room: Arc<Room>,
    site: Site,
    limit: usize,
    nice: i32,
    point_threads: usize,
    compute_threads: usize,
}

impl Hands {
    /// At most `threads` for points; computations run at priority `nice`. `bell` rings when something is done.
    pub fn new(site: &Site, threads: usize, nice: i32, bell: Bell) -> Hands {
        let room = Room { queue: Mutex::default(), points: Condvar::new(), computations: Condvar::new(), bell };
        Hands { room: Arc::new(room), site: site.clone(), limit: threads.max(1), nice, point_threads: 0, compute_threads: 0 }
    }

    pub fn evaluate(&mut self, points: impl IntoIterator<Item = Point>) {
        let mut queue = self.room.lock();
        queue.points.extend(points);
        while self.point_threads < self.limit && self.point_threads < queue.points.len() + (self.point_threads - queue.idle_point_threads) {
            self.point_threads += 1;
            queue.idle_point_threads += 1;
            let (room, site) = (self.room.clone(), self.site.clone());
            spawn("points", move || point_thread(&room, &site));
        }
        drop(queue);
        self.room.points.notify_all();
    }

    pub fn compute(&mut self, computation: Computation) {
        let mut queue = self.room.lock();
        queue.computations.push_back(computation);
        if queue.idle_compute_threads < queue.computations.len() && self.compute_threads < COMPUTING {
            self.compute_threads += 1;
            queue.idle_compute_threads += 1;
            let (room, site, nice) = (self.room.clone(), self.site.clone(), self.nice);
            spawn("computations", move || compute_thread(&room, &site, nice));
        }
        drop(queue);
        self.room.computations.notify_one();
    }

    /// What is finished by now.
    pub fn done(&self) -> Vec<Done> {
        std::mem::take(&mut self.room.lock().done)
    }

    /// Forgets work that has not been started.
    pub fn call_off(&self) {
        let mut queue = self.room.lock();
        queue.points.clear();
        queue.computations.clear();
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.call_off();
        self.room.lock().closed = true;
        self.room.points.notify_all();
        self.room.computations.notify_all();
    }
}

/// Threads own what they use (the site is reference-counted) and are not waited for: a call may be long.
fn spawn(what: &str, body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name(what.into()).spawn(body).expect("the system can start another thread");
}

fn point_thread(room: &Room, site: &Site) {
    let mut bench = Bench::new(site);
    let mut queue = room.lock();
    loop {
        if queue.closed {
            return;
        }
        if queue.points.is_empty() {
            queue = room.points.wait(queue).expect("see Room::lock");
            continue;
        }
        queue.idle_point_threads -= 1;
        let handful = queue.per_point.map_or(1, |s| (HANDFUL / s.max(1e-9)) as usize).clamp(1, 32).min(queue.points.len().div_ceil(2));
        let taken: Vec<Point> = queue.points.drain(..handful).collect();
        drop(queue);
        let done: Vec<Done> = taken.iter().map(|point| evaluate(&mut bench, point)).collect();
        queue = room.lock();
        queue.idle_point_threads += 1;
        for item in &done {
            if let Done::Point { seconds, .. } = item {
                let seconds = *seconds as f64;
                queue.per_point = Some(queue.per_point.map_or(seconds, |s| 0.9 * s + 0.1 * seconds));
            }
        }
        queue.done.extend(done);
        room.bell.ring();
    }
}

/// Evaluates one point and takes the time.
fn evaluate(bench: &mut Bench, point: &Point) -> Done {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let verdict = bench.log_like(&point.u);
    let cpu = (cpu_seconds() - cpu) as f32;
    Done::Point { ticket: point.ticket, verdict, seconds: start.elapsed().as_secs_f32(), cpu }
}

fn compute_thread(room: &Room, site: &Site, nice: i32) {
    // SAFETY: plain system call. On Linux it sets the priority of the calling thread alone.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    let mut bench = Bench::new(site);
    let mut queue = room.lock();
    loop {
        if queue.closed {
            return;
        }
        let Some(work) = queue.computations.pop_front() else {
            queue = room.computations.wait(queue).expect("see Room::lock");
            continue;
        };
        queue.idle_compute_threads -= 1;
        drop(queue);
        let start = Instant::now();
        let shared: Vec<&Shared> = work.shared.iter().map(|s| &**s).collect();
        let outcome = bench.compute(work.kind, &shared, &work.input);
        let done = Done::Computation { ticket: work.ticket, outcome, seconds: start.elapsed().as_secs_f32() };
        queue = room.lock();
        queue.idle_compute_threads += 1;
        queue.done.push(done);
        room.bell.ring();
    }
}

/// Processor time of this thread.
fn cpu_seconds() -> f64 {
    // SAFETY: the clock is written into plain data.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }
}
