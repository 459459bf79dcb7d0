//! Threads of one process that evaluate points and, apart from them, do the sampler's computations.

use super::bench::{Bench, Verdict};
use super::{OnError, Site};
use crate::task::{EvalError, Shared};
use crate::world::patience::Bell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

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
/// The same for a thread that shares with nobody.
const HANDFUL_ALONE: f64 = 1e-3;

/// Threads given up in calls that do not return; with more of them the machine would fill up.
const GIVEN_UP: usize = 32;

/// Who does what.
#[derive(Clone, Copy)]
pub enum Staff {
    /// One thread for everything, so that one core is used and not two.
    One,
    /// So many threads for points; computations run beside them, at this priority.
    Many { points: usize, nice: i32 },
}

impl Staff {
    fn point_threads(self) -> usize {
        match self {
            Staff::One => 1,
            Staff::Many { points, .. } => points.max(1),
        }
    }
}

#[derive(Default)]
struct Queue {
    points: VecDeque<Point>,
    computations: VecDeque<Computation>,
    done: Vec<Done>,
    idle_point_threads: usize,
    idle_compute_threads: usize,
    /// Where calls have a limit: when each thread (by number) began its call, and the ticket.
    calls: HashMap<usize, (Instant, u64)>,
    /// Running average of the seconds a point takes.
    per_point: Option<f64>,
    closed: bool,
}

struct Room {
    queue: Mutex<Queue>,
    points: Condvar,
    computations: Condvar,
    bell: Bell,
    staff: Staff,
    call_limit: Option<Duration>,
    /// Points that the model likes to get together.
    batch: usize,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("threads hold the lock only to move things, and do not panic")
    }
}

impl Queue {
    /// The next points for one thread. Where calls have a limit each is taken alone, so that it is known which one is over it.
    fn take_points(&mut self, room: &Room) -> Vec<Point> {
        let (worth, most) = match room.staff {
            Staff::One => (HANDFUL_ALONE, 1024),
            Staff::Many { .. } => (HANDFUL, 32),
        };
        let share = self.points.len().div_ceil(2);
        let taken = match (room.call_limit, room.batch) {
            (Some(_), _) => 1,
            // How much cheaper points are together only the job knows, which asked for it.
            (None, 2..) => room.batch.min(self.points.len().div_ceil(room.staff.point_threads())),
            (None, _) => self.per_point.map_or(1, |seconds| (worth / seconds.max(1e-9)) as usize).clamp(1, most).min(share),
        };
        self.points.drain(..taken).collect()
    }

    fn learn(&mut self, done: &[Done]) {
        for item in done {
            if let Done::Point { seconds, .. } = item {
                let seconds = *seconds as f64;
                self.per_point = Some(self.per_point.map_or(seconds, |s| 0.9 * s + 0.1 * seconds));
            }
        }
    }
}

/// The threads, started when first needed. Dropping it does not wait for calls that are running.
pub struct Hands {
    room: Arc<Room>,
    site: Site,
    point_threads: usize,
    compute_threads: usize,
    /// Point threads started, and those of them that are given up.
    started: usize,
    given_up: usize,
}

impl Hands {
    /// `bell` rings when something is done.
    pub fn new(site: &Site, staff: Staff, bell: Bell) -> Hands {
        let (points, computations) = (Condvar::new(), Condvar::new());
        let batch = site.model.batch().max(1);
        let room = Room { queue: Mutex::default(), points, computations, bell, staff, call_limit: site.call_limit, batch };
        Hands { room: Arc::new(room), site: site.clone(), point_threads: 0, compute_threads: 0, started: 0, given_up: 0 }
    }

    pub fn evaluate(&mut self, points: impl IntoIterator<Item = Point>) {
        let room = self.room.clone();
        let mut queue = room.lock();
        queue.points.extend(points);
        self.staff_points(&mut queue);
        drop(queue);
        room.points.notify_all();
    }

    /// Starts point threads, as many as are allowed and have something to do.
    fn staff_points(&mut self, queue: &mut Queue) {
        let (limit, waiting) = match self.room.staff {
            Staff::One => (1, queue.points.len() + queue.computations.len()),
            Staff::Many { points, .. } => (points.max(1), queue.points.len()),
        };
        while self.point_threads < limit && queue.idle_point_threads < waiting {
            self.point_threads += 1;
            self.started += 1;
            queue.idle_point_threads += 1;
            let (room, site, number) = (self.room.clone(), self.site.clone(), self.started);
            spawn("points", move || point_thread(&room, &site, number));
        }
    }

    pub fn compute(&mut self, computation: Computation) {
        let room = self.room.clone();
        let mut queue = room.lock();
        queue.computations.push_back(computation);
        match room.staff {
            Staff::One => self.staff_points(&mut queue),
            Staff::Many { nice, .. } if queue.idle_compute_threads < queue.computations.len() && self.compute_threads < COMPUTING => {
                self.compute_threads += 1;
                queue.idle_compute_threads += 1;
                let (room, site) = (room.clone(), self.site.clone());
                spawn("computations", move || compute_thread(&room, &site, nice));
            }
            Staff::Many { .. } => {}
        }
        drop(queue);
        match room.staff {
            Staff::One => room.points.notify_one(),
            Staff::Many { .. } => room.computations.notify_one(),
        }
    }

    /// What is finished by now, or over its limit.
    pub fn done(&mut self) -> Vec<Done> {
        let room = self.room.clone();
        let mut queue = room.lock();
        let mut done = std::mem::take(&mut queue.done);
        if let Some(limit) = room.call_limit {
            let over = queue.calls.extract_if(|_, (start, _)| start.elapsed() > limit);
            let over: Vec<u64> = over.map(|(_, (_, ticket))| ticket).collect();
            for ticket in over {
                done.push(Done::Point { ticket, verdict: self.give_up(limit), seconds: limit.as_secs_f32(), cpu: 0.0 });
                self.staff_points(&mut queue);
            }
        }
        done
    }

    /// Counts a thread out that does not come back from its call; if it does after all, it is not listened to.
    fn give_up(&mut self, limit: Duration) -> Verdict {
        self.point_threads -= 1;
        self.given_up += 1;
        match self.given_up > GIVEN_UP {
            false => over_limit(&self.site, limit),
            true => Verdict::Fatal(format!(
                "{} calls on this rank gave no value within {} s and are still running, each in a thread of its own; more would \
                 fill the machine. Find out why the model hangs, or raise [run] call_limit_s if its calls just take longer",
                self.given_up,
                limit.as_secs_f64()
            )),
        }
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

fn point_thread(room: &Room, site: &Site, number: usize) {
    let mut bench = Bench::new(site);
    bench.prepare();
    let mut queue = room.lock();
    while !queue.closed {
        let computation = if let Staff::One = room.staff { queue.computations.pop_front() } else { None };
        if computation.is_none() && queue.points.is_empty() {
            queue = room.points.wait(queue).expect("see Room::lock");
            continue;
        }
        queue.idle_point_threads -= 1;
        let done = match computation {
            Some(work) => {
                drop(queue);
                vec![compute(&mut bench, work)]
            }
            None => {
                let taken = queue.take_points(room);
                if room.call_limit.is_some() {
                    queue.calls.insert(number, (Instant::now(), taken[0].ticket));
                }
                drop(queue);
                evaluate(&mut bench, site, &taken)
            }
        };
        queue = room.lock();
        let points = matches!(done[0], Done::Point { .. });
        if points && room.call_limit.is_some() && queue.calls.remove(&number).is_none() {
            return; // given up meanwhile
        }
        queue.idle_point_threads += 1;
        queue.learn(&done);
        queue.done.extend(done);
        room.bell.ring();
    }
}

/// Evaluates points together and takes the time: each is said to have taken its part.
fn evaluate(bench: &mut Bench, site: &Site, points: &[Point]) -> Vec<Done> {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut verdicts = bench.log_likes(&points.iter().map(|point| &point.u[..]).collect::<Vec<_>>());
    let (cpu, elapsed) = ((cpu_seconds() - cpu) as f32, start.elapsed());
    if let Some(limit) = site.call_limit.filter(|limit| elapsed > *limit) {
        verdicts.fill_with(|| over_limit(site, limit));
    }
    let n = points.len() as f32;
    let done = |(point, verdict): (&Point, Verdict)| Done::Point {
        ticket: point.ticket,
        verdict,
        seconds: elapsed.as_secs_f32() / n,
        cpu: cpu / n,
    };
    points.iter().zip(verdicts).map(done).collect()
}

/// What a call is that took longer than the job allows.
fn over_limit(site: &Site, limit: Duration) -> Verdict {
    match site.on_error {
        OnError::Reject => Verdict::TimedOut,
        OnError::Abort => Verdict::Fatal(format!(
            "no value within {} s. If such calls just take longer, raise [run] call_limit_s; with [run] on_error = \"reject\" \
             such points count as impossible",
            limit.as_secs_f64()
        )),
    }
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
        let done = compute(&mut bench, work);
        queue = room.lock();
        queue.idle_compute_threads += 1;
        queue.done.push(done);
        room.bell.ring();
    }
}

fn compute(bench: &mut Bench, work: Computation) -> Done {
    let start = Instant::now();
    let shared: Vec<&Shared> = work.shared.iter().map(|s| &**s).collect();
    let outcome = bench.compute(work.kind, &shared, &work.input);
    Done::Computation { ticket: work.ticket, outcome, seconds: start.elapsed().as_secs_f32() }
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
