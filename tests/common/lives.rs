//! Lives of one run: starts fitjob under a mark in its environment, signals it, and sees to it that nothing of it lives on.

use super::{fitjob, fitjob_on, text};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What evaluates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seats {
    Threads(usize),
    /// Under mpiexec; threads in a build without MPI.
    Ranks(usize),
}

impl Seats {
    /// `fitjob` with its number of threads.
    pub fn command(self) -> Command {
        let (mut command, threads) = match self {
            Seats::Ranks(n) if cfg!(feature = "mpi") => (fitjob_on(n), 1),
            Seats::Ranks(n) | Seats::Threads(n) => (fitjob(), n),
        };
        command.args(["run", "--ncores", &threads.to_string()]);
        command
    }
}

/// One life: `child` is mpiexec or fitjob itself.
pub struct Life {
    child: Child,
    /// In the environment of all its processes, and of no other.
    mark: String,
    output: PathBuf,
}

/// Longer than any job of the tests, on a machine with other things to do.
pub const LONG: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(5);

static LIVES: AtomicU32 = AtomicU32::new(0);

impl Life {
    /// What it prints goes to a file beside `run`, since orphans would keep a pipe open.
    pub fn start(mut command: Command, run: &Path) -> Life {
        let number = LIVES.fetch_add(1, Ordering::Relaxed);
        let mark = format!("FITJOB_TEST_LIFE={}-{number}", std::process::id());
        let output = run.with_extension(format!("life{number}"));
        let file = File::create(&output).unwrap();
        let (key, value) = mark.split_once('=').unwrap();
        command.env(key, value).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Life { child, mark, output }
    }

    pub fn launcher(&self) -> i32 {
        self.child.id() as i32
    }

    /// All processes that live, orphans too.
    pub fn members(&self) -> Vec<i32> {
        let marked = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == self.mark.as_bytes())
        };
        let entries = fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(marked).collect()
    }

    /// Those that run fitjob; the first is rank 0 unless ids have wrapped around.
    pub fn ranks(&self) -> Vec<i32> {
        let mut ranks = self.members();
        ranks.retain(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(env!("CARGO_BIN_EXE_fitjob"))));
        ranks.sort();
        ranks
    }

    pub fn over(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the launcher.
    pub fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.over() {
                return status;
            }
            assert!(begun.elapsed() < LONG, "does not end: {:?}\n{}", self.members(), self.said());
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until no process of it is left, and says how long that took.
    pub fn last_member(&self) -> Duration {
        let begun = Instant::now();
        loop {
            let members = self.members();
            if members.is_empty() {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < LONG, "{members:?} live on without their launcher\n{}", self.said());
            std::thread::sleep(PAUSE);
        }
    }

    /// SIGKILL to all of it, and waits until it is gone.
    pub fn kill(mut self) {
        self.members().iter().for_each(|pid| signal(*pid, libc::SIGKILL));
        self.end();
        self.last_member();
    }

    /// Standard output and error, in the order they came.
    pub fn said(&self) -> String {
        text(&fs::read(&self.output).unwrap_or_default())
    }
}

/// Nothing outlives a test that failed.
impl Drop for Life {
    fn drop(&mut self) {
        self.members().iter().for_each(|pid| signal(*pid, libc::SIGKILL));
        let _ = self.child.wait();
    }
}

/// To a process of a [`Life`]; it may be gone already.
pub fn signal(pid: i32, signal: i32) {
    // SAFETY: a plain system call.
    unsafe { libc::kill(pid, signal) };
}

/// The number of the newest checkpoint in a run directory.
pub fn newest_state(run: &Path) -> Option<u64> {
    let names = fs::read_dir(run.join("checkpoint")).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(|name| name.strip_suffix(".state")?.parse().ok()).max()
}

/// Waits until `condition` holds; panics where the life ends first.
pub fn wait_for(life: &mut Life, what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(life.over().is_none() && begun.elapsed() < LONG, "{what} never came\n{}", life.said());
        std::thread::sleep(PAUSE);
    }
}
