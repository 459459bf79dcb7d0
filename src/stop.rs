//! When to stop before the end: signals, a time limit, the end of a Slurm allocation.
//!
//! A signal handler only notes the signal; the driver's loop looks at the note (never a checkpoint inside a handler).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The signal to act on; 0: none. The most urgent one wins.
static NOTED: AtomicI32 = AtomicI32::new(0);
static LISTENING: AtomicBool = AtomicBool::new(false);

/// Why a run stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// SIGUSR1: checkpoint and stop.
    Asked,
    /// SIGTERM, SIGINT or SIGHUP: the process may be killed within seconds.
    Urgent(i32),
    /// The time limit, of the job or of Slurm, is near.
    TimeLimit,
    /// Another job has taken the run directory.
    Lost,
    /// Nothing that the sampler could find out would be right.
    Hopeless,
}

/// Lets SIGUSR1, SIGTERM, SIGINT and SIGHUP be noted in place of killing this process at once. A second SIGINT kills.
/// Every rank does this; a worker that is signalled tells the root.
pub fn listen() {
    LISTENING.store(true, Ordering::SeqCst);
    for signal in [libc::SIGUSR1, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: the handler touches nothing but an atomic, and calls only what signal-safety(7) allows.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// The same again, where it was asked for before: MPI_Init may have set handlers of its own. MPICH's of SIGUSR1 makes the next
/// collective ask a process manager for dead ranks; without mpiexec it would start the first `mpiexec` of the PATH for that,
/// and wait for ever if that is another library's.
pub fn still_listen() {
    if LISTENING.load(Ordering::SeqCst) {
        listen();
    }
}

extern "C" fn note(signal: libc::c_int) {
    if signal == libc::SIGINT && NOTED.load(Ordering::SeqCst) == signal {
        // SAFETY: both are allowed in a handler. Ctrl-C twice means now.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
    raise(signal);
}

/// Notes a signal that another rank received.
pub fn raise(signal: i32) {
    if signal != libc::SIGUSR1 || NOTED.load(Ordering::SeqCst) == 0 {
        NOTED.store(signal, Ordering::SeqCst);
    }
}

/// The signal noted, if any.
pub fn signalled() -> Option<i32> {
    match NOTED.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(signal),
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Stop::Asked => f.write_str("SIGUSR1: checkpoint and stop"),
            Stop::Urgent(libc::SIGINT) => f.write_str("SIGINT (Ctrl-C)"),
            Stop::Urgent(libc::SIGHUP) => f.write_str("SIGHUP (the terminal is gone)"),
            Stop::Urgent(_) => f.write_str("SIGTERM"),
            Stop::TimeLimit => f.write_str("the time limit is near"),
            Stop::Lost => f.write_str("the run directory is no longer this job's"),
            Stop::Hopeless => f.write_str("numbers are too coarse for the likelihood"),
        }
    }
}

/// Time that a run may take: seconds in a job file, or a text such as "90m", "1h 30m", "12:00:00", "2-00:00:00".
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TimeLimit(pub f64);

impl JsonSchema for TimeLimit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeLimit".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"], "exclusiveMinimum": 0 })
    }
}

impl TimeLimit {
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

impl std::str::FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<TimeLimit, String> {
        let seconds = seconds(text.trim()).filter(|s| *s > 0.0 && *s < 1e10);
        seconds
            .map(TimeLimit)
            .ok_or_else(|| format!("`{text}` is no time: write seconds, \"90m\", \"1h 30m\", \"12:00:00\" or \"2-00:00:00\""))
    }
}

/// Plain seconds, Slurm's MM:SS, HH:MM:SS and D-HH:MM:SS, or what jiff calls a friendly duration.
fn seconds(text: &str) -> Option<f64> {
    let clock = |text: &str, units: &[f64]| {
        text.split(':').zip(units).try_fold(0.0, |sum, (n, unit)| Some(sum + n.parse::<u32>().ok()? as f64 * unit))
    };
    match (text.split_once('-'), text.matches(':').count()) {
        (Some((days, rest)), 0..=2) => Some(clock(days, &[86400.0])? + clock(rest, &[3600.0, 60.0, 1.0])?),
        (None, 1) => clock(text, &[60.0, 1.0]),
        (None, 2) => clock(text, &[3600.0, 60.0, 1.0]),
        _ => text.parse().ok().or_else(|| text.parse::<jiff::SignedDuration>().ok().map(|d| d.as_secs_f64())),
    }
}

impl<'de> Deserialize<'de> for TimeLimit {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<TimeLimit, D::Error> {
        struct Typed;
        impl serde::de::Visitor<'_> for Typed {
            type Value = TimeLimit;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("seconds, or a time such as \"90m\" or \"12:00:00\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TimeLimit, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<TimeLimit, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<TimeLimit, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<TimeLimit, E> {
                self.visit_str(&seconds.to_string())
            }
        }
        from.deserialize_any(Typed)
    }
}

/// When this run must have stopped, and what else tells it to.
#[derive(Clone, Debug)]
pub struct Curfew {
    begun: Instant,
    /// From the job or the command line, and Slurm's.
    end: Option<Instant>,
    /// Share of the time that is kept for stopping, at most [`MARGIN`].
    margin: Duration,
}

/// What stopping in good order may take beside a checkpoint.
const MARGIN: Duration = Duration::from_secs(30);

impl Curfew {
    /// `limit` counts from `begun`, the start of the program. `slurm_end`: seconds since 1970.
    pub fn new(begun: Instant, limit: Option<TimeLimit>, slurm_end: Option<u64>) -> Curfew {
        let until_slurm =
            slurm_end.and_then(|end| Duration::from_secs(end).checked_sub(SystemTime::now().duration_since(UNIX_EPOCH).ok()?));
        let ends = [limit.map(|limit| begun + limit.duration()), until_slurm.map(|left| Instant::now() + left)];
        let end = ends.into_iter().flatten().min();
        let margin = end.map_or(MARGIN, |end| (end - begun) / 20).min(MARGIN);
        Curfew { begun, end, margin }
    }

    /// Why to stop now, if so. `checkpoint`: what writing one takes.
    pub fn stop(&self, checkpoint: Duration) -> Option<Stop> {
        match signalled() {
            Some(libc::SIGUSR1) => Some(Stop::Asked),
            Some(signal) => Some(Stop::Urgent(signal)),
            None => self.end.filter(|end| Instant::now() + self.margin + 3 * checkpoint >= *end).map(|_| Stop::TimeLimit),
        }
    }

    /// Seconds from the program's start to the end that is known.
    pub fn limit_s(&self) -> Option<f64> {
        self.end.map(|end| (end - self.begun).as_secs_f64())
    }
}

/// When Slurm will end this job, in seconds since 1970: as it told the job, or as it says when asked.
pub fn slurm_end() -> Option<u64> {
    let told = |name: &str| std::env::var(name).ok();
    let job = told("SLURM_JOB_ID")?;
    if let Some(end) = told("SLURM_JOB_END_TIME").and_then(|end| end.parse().ok()) {
        return Some(end);
    }
    // The number of an array's last task is the array's own too, and would ask for all of its tasks.
    let task = told("SLURM_ARRAY_JOB_ID").zip(told("SLURM_ARRAY_TASK_ID")).map(|(array, task)| format!("{array}_{task}"));
    let job = task.unwrap_or(job);
    let asked = std::process::Command::new("squeue").args(["--noheader", "--job", &job, "--format", "%L"]).output().ok()?;
    let left: TimeLimit = String::from_utf8(asked.stdout).ok()?.parse().ok()?;
    Some(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs() + left.0 as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_read_as_people_and_slurm_write_it() {
        let known = [
            ("90", 90.0),
            ("1.5", 1.5),
            ("90m", 5400.0),
            ("1h 30m", 5400.0),
            ("2h30m", 9000.0),
            ("12:00:00", 43200.0),
            ("29:30", 1770.0),
            ("1-00:00:00", 86400.0),
            ("2-12:30", 217_800.0),
            ("3-0", 259_200.0),
        ];
        for (text, seconds) in known {
            assert_eq!(text.parse::<TimeLimit>(), Ok(TimeLimit(seconds)), "{text}");
        }
        for text in ["", "soon", "0", "-5", "1-x", "inf", "NaN", "1e300"] {
            assert!(text.parse::<TimeLimit>().unwrap_err().contains("is no time"), "{text}");
        }
    }

    #[test]
    fn a_run_stops_before_its_limit_with_a_margin_that_short_limits_can_bear() {
        let begun = Instant::now();
        let curfew = |seconds: f64| Curfew::new(begun, Some(TimeLimit(seconds)), None);
        assert_eq!(curfew(3600.0).stop(Duration::ZERO), None);
        assert_eq!(curfew(3600.0).margin, MARGIN);
        assert_eq!(curfew(10.0).margin, Duration::from_millis(500));
        assert_eq!(curfew(10.0).stop(Duration::from_secs(4)), Some(Stop::TimeLimit), "three checkpoints of 4 s do not fit into 10 s");
        assert_eq!(Curfew::new(begun, None, None).stop(Duration::from_secs(4)), None);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(Curfew::new(begun, Some(TimeLimit(1e6)), Some(now + 50)).limit_s().unwrap() <= 50.0, "the nearer end counts");
    }
}
