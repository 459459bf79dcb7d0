//! A child process: its environment, its output, its end. It never outlives us.

use super::output::Output;
use crate::launch::{Env, detect};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Names of what goes in and comes out, in the child's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    pub parameters: Vec<String>,
    pub derived: Vec<String>,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Program {
    /// For messages: "the program ./model", "the script fit.py".
    pub what: String,
    pub path: String,
    pub args: Vec<String>,
    /// More variables for the environment.
    pub env: Vec<(String, String)>,
}

/// Why a child gave no answer.
pub enum Trouble {
    /// It ended, or closed its pipe: how, and its last words.
    Died(String),
    /// It took too long, and was killed.
    Late(String),
    /// What it says makes no sense, or it cannot be started: there is no going on.
    Broken(String),
}

pub struct Child {
    process: std::process::Child,
    status: Option<ExitStatus>,
    output: Output,
    /// Our ends of the two pipes of the protocol.
    pipes: Option<(File, File)>,
    what: String,
}

/// How long a child may take to end after its bye.
const FAREWELL: Duration = Duration::from_millis(500);

/// Libraries that start threads of their own would fight over the cores.
const ONE_THREAD: [&str; 6] =
    ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"];

/// Variables that say "you are rank r of n": a child that starts an MPI library of its own must not believe them.
fn is_of_a_launcher(name: &str) -> bool {
    const PREFIXES: [&str; 11] =
        ["OMPI_", "PMI", "PMIX", "PRTE_", "HYDRA_", "HYDI_", "MPI_LOCAL", "I_MPI_HYDRA", "PALS_", "SLURM_STEP", "SLURM_PMI"];
    const NAMES: [&str; 8] = [
        "SLURM_PROCID",
        "SLURM_LOCALID",
        "SLURM_NODEID",
        "SLURM_NTASKS",
        "SLURM_NPROCS",
        "SLURM_GTIDS",
        "SLURM_TASK_PID",
        "SLURM_TASKS_PER_NODE",
    ];
    !name.starts_with("OMPI_ALLOW") && (NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// Rank of this process, for messages and for the child.
pub fn rank() -> usize {
    static RANK: LazyLock<usize> = LazyLock::new(|| detect(&Env::of_process()).rank);
    *RANK
}

/// A number that no other worker of this process has.
pub fn new_worker() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Both ends of a pipe, closed at exec: reading, writing.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: two numbers are written into the array; both are ours from then on.
    unsafe {
        match libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) {
            0 => Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Our end: reads and writes give `WouldBlock` rather than wait, so that waits have a limit.
fn ours(end: OwnedFd) -> File {
    // SAFETY: plain system call on a descriptor that is open.
    unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    File::from(end)
}

/// Between fork and exec, so system calls only: the child dies with the thread that started it (a worker), and inherits `keep` and
/// the standard streams alone.
fn tie_to_parent(parent: u32, keep: &[RawFd]) -> io::Result<()> {
    // SAFETY: plain system calls.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            libc::_exit(1); // it died before it was asked about
        }
        // Sockets of an MPI library, say. Kernels before 5.11 refuse, and most of these close by themselves.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for fd in keep {
            if libc::fcntl(*fd, libc::F_SETFD, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

impl Child {
    /// Starts the program in `folder` (here, if none), with two pipes for the protocol if it speaks it.
    pub fn start(program: &Program, worker: usize, speaks: bool, folder: Option<&PathBuf>) -> Result<Child, Trouble> {
        Child::spawn(program, worker, speaks, folder).map_err(|error| {
            let help = match error.kind() {
                ErrorKind::NotFound if program.path.contains('/') => {
                    ": there is no such file, or the interpreter in its first line is missing"
                }
                ErrorKind::NotFound => ": no program of that name is in PATH (one of your own needs its folder: ./name)",
                ErrorKind::PermissionDenied => ": it may not be executed here (chmod +x it; look at the mount options of its file system)",
                _ if error.raw_os_error() == Some(libc::ENOEXEC) => ": it is neither a program for this machine nor a script (#! line)",
                _ => "",
            };
            Trouble::Broken(format!("{} cannot be started: {}: {error}{help}", program.what, program.path))
        })
    }

    fn spawn(program: &Program, worker: usize, speaks: bool, folder: Option<&PathBuf>) -> io::Result<Child> {
        let mut command = Command::new(&program.path);
        command.args(&program.args).stdin(Stdio::null()).process_group(0);
        std::env::vars_os().filter(|(k, _)| k.to_str().is_some_and(is_of_a_launcher)).for_each(|(k, _)| {
            command.env_remove(k);
        });
        command.envs(ONE_THREAD.iter().map(|name| (name, "1")));
        command.env("FITJOB_RANK", rank().to_string()).env("FITJOB_WORKER", worker.to_string());
        if let Some(folder) = folder {
            command.env("FITJOB_START_DIR", std::env::current_dir()?).current_dir(folder);
        }
        let (output, theirs) = pipe()?;
        command.stdout(theirs.try_clone()?).stderr(theirs);
        let mut keep = Vec::new();
        let mut ends = None;
        if speaks {
            let ((read, to), (from, write)) = (pipe()?, pipe()?);
            keep = vec![read.as_raw_fd(), write.as_raw_fd()];
            command.env("FITJOB_READ_FD", keep[0].to_string()).env("FITJOB_WRITE_FD", keep[1].to_string());
            ends = Some(((ours(to), ours(from)), (read, write)));
        }
        command.envs(program.env.iter().map(|(k, v)| (k, v)));
        let parent = std::process::id();
        // SAFETY: only async-signal-safe calls are made, on memory made before the fork.
        unsafe { command.pre_exec(move || tie_to_parent(parent, &keep)) };
        let process = command.spawn()?;
        let pipes = ends.map(|(ours, _)| ours); // theirs are closed here, so that we see when the child closes its own
        let output = Output::new(ours(output), worker);
        Ok(Child { process, status: None, output, pipes, what: program.what.clone() })
    }

    /// Waits until the pipe is ready, telling what the child prints meanwhile.
    fn ready(&mut self, fd: RawFd, events: i16, deadline: Option<Instant>) -> Result<(), Trouble> {
        loop {
            let mut fds =
                [libc::pollfd { fd, events, revents: 0 }, libc::pollfd { fd: self.output.fd(), events: libc::POLLIN, revents: 0 }];
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let timeout = left.map_or(-1, |left| left.as_millis().min(1 << 30) as i32 + 1);
            // SAFETY: the array is valid for the call, and its length is given.
            unsafe { libc::poll(fds.as_mut_ptr(), 2, timeout) };
            if fds[1].revents != 0 {
                self.output.tell();
            }
            if fds[0].revents != 0 {
                return Ok(());
            }
            if left.is_some_and(|left| left.is_zero()) {
                self.kill();
                return Err(Trouble::Late(format!("{} gave no answer in time and was killed{}", self.what, self.output.last_words())));
            }
        }
    }

    /// Writes a frame.
    pub fn send(&mut self, mut bytes: &[u8], deadline: Option<Instant>) -> Result<(), Trouble> {
        while !bytes.is_empty() {
            let Some((to, _)) = &mut self.pipes else { return Err(self.died()) };
            match to.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let fd = to.as_raw_fd();
                    self.ready(fd, libc::POLLOUT, deadline)?;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(self.died()),
            }
        }
        Ok(())
    }

    /// Reads exactly so many bytes.
    pub fn receive(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> Result<(), Trouble> {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some((_, from)) = &mut self.pipes else { return Err(self.died()) };
            match from.read(&mut buffer[filled..]) {
                Ok(0) => return Err(self.died()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let fd = from.as_raw_fd();
                    self.ready(fd, libc::POLLIN, deadline)?;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(self.died()),
            }
        }
        Ok(())
    }

    /// Whether something comes out of its pipe within so much time.
    pub fn speaks_within(&mut self, limit: Duration) -> Result<bool, Trouble> {
        let start = Instant::now();
        while let (Some((_, from)), true) = (&self.pipes, start.elapsed() < limit) {
            let fd = from.as_raw_fd();
            let mut fds = [
                libc::pollfd { fd, events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: self.output.fd(), events: libc::POLLIN, revents: 0 },
            ];
            // SAFETY: the array is valid for the call, and its length is given.
            unsafe { libc::poll(fds.as_mut_ptr(), 2, 100) };
            self.output.tell();
            if fds[0].revents != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the child printed since it was last looked at goes to our stderr.
    pub fn tell(&mut self) {
        self.output.tell();
    }

    /// How it ended, after its pipe was closed; a child that lives on without it is killed.
    pub fn died(&mut self) -> Trouble {
        self.pipes = None;
        let how = match self.wait(FAREWELL) {
            Some(status) => format!("ended with {status}"),
            None => {
                self.kill();
                "closed its pipe and went on running (it was killed)".into()
            }
        };
        self.output.tell();
        Trouble::Died(format!("{} {how}{}", self.what, self.output.last_words()))
    }

    pub fn broken(&mut self, why: &str) -> Trouble {
        self.kill();
        Trouble::Broken(format!(
            "{} does not keep to the protocol (docs/command-protocol.md): {why}{}",
            self.what,
            self.output.last_words()
        ))
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        let mut nap = 50;
        while self.status.is_none() {
            let mut fds = libc::pollfd { fd: self.output.fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one valid entry. It also naps where the output is closed: -1 is passed over.
            unsafe { libc::poll(&mut fds, 1, (nap / 1000) as i32) };
            self.output.tell();
            self.status = self.process.try_wait().ok().flatten();
            if self.status.is_some() || start.elapsed() > limit {
                break;
            }
            std::thread::sleep(Duration::from_micros(nap.min(1000)));
            nap = (nap * 2).min(20_000);
        }
        self.output.tell();
        self.status
    }

    /// Ends it, and all that it started in its process group.
    pub fn kill(&mut self) {
        self.pipes = None;
        // SAFETY: plain system call. The group is that of our child.
        unsafe { libc::kill(-(self.process.id() as i32), libc::SIGKILL) };
        if self.status.is_none() {
            self.status = self.process.wait().ok();
        }
        self.output.tell();
    }

    pub fn last_words(&self) -> String {
        self.output.last_words()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some((mut to, _)) = self.pipes.take() {
            let _ = to.write(&super::frames::frame(super::frames::BYE, &[]));
        }
        self.wait(FAREWELL);
        self.kill();
    }
}
