//! A sampler that never comes back from a call: signals and the time limit end all ranks within seconds all the same, with the words of
//! a run that stopped, its exit code, and every finished call in the journal.

use crate::common::{self, alone, on, text};
use fitjob::job::{self, Source};
use fitjob::sampler::{Ask, EngineSpec, Posterior, Progress, Sampler, SamplerError};
use fitjob::session::{self, Alarm, Identity, Keeper, Lead, Snapshot, Watch};
use fitjob::state::{self, Disk, Vault};
use fitjob::stop::{self, Curfew, Stop, TimeLimit};
use fitjob::task::{Answer, Task, TaskId, Work};
use fitjob::world::{Role, World};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const JOB: &str = "seed = 3\n[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n";
/// Calls that are answered before the sampler is lost.
const CALLS: u64 = 40;
const JOB_HASH: [u8; 16] = [7; 16];

/// Asks for [`CALLS`] points, and then comes back no more from the call that it was told.
struct Stuck {
    asked: bool,
    told: u64,
    never_returns: String,
}

impl Stuck {
    fn spin(&self, call: &str) {
        if call == self.never_returns && self.told == CALLS {
            eprintln!("lost in {call}");
            loop {
                std::hint::spin_loop();
            }
        }
    }
}

impl Sampler for Stuck {
    fn ask(&mut self, _: usize) -> Ask {
        self.spin("ask");
        let task = |seq| Task { id: TaskId { lane: 0, seq }, work: Work::LogLike(vec![0.1, 0.2, 0.3]) };
        match (std::mem::replace(&mut self.asked, true), self.told) {
            (false, _) => Ask::Work { publish: vec![], tasks: (0..CALLS).map(task).collect(), retire: vec![] },
            (true, CALLS) => Ask::Done("all points are told".into()),
            _ => Ask::Wait,
        }
    }
    fn tell(&mut self, _: Answer) -> Result<(), SamplerError> {
        self.told += 1;
        self.spin("tell");
        Ok(())
    }
    fn progress(&self) -> Progress {
        Progress::default()
    }
    fn posterior(&self) -> Result<Posterior, SamplerError> {
        self.spin("posterior");
        Err(SamplerError("there is none".into()))
    }
    fn save(&self) -> Vec<u8> {
        self.spin("save");
        vec![]
    }
    fn extend(&mut self, _: &EngineSpec) -> bool {
        false
    }
}

struct Told;

impl Alarm for Told {
    fn warn(&mut self, text: &str) {
        eprintln!("warning: {text}");
    }
    fn abandon(&mut self, stop: Stop, text: &str) -> i32 {
        eprintln!("abandoned: {stop}; {text}");
        75
    }
}

impl Watch for Told {
    fn alarm(&mut self) -> Option<Box<dyn Alarm>> {
        Some(Box::new(Told))
    }
}

/// Not a test by itself: a rank of the tests below. STUCK_IN: the call; STUCK_LIMIT: seconds; STUCK_THREADS: ranks are threads.
#[test]
#[ignore = "started by the tests of this file"]
fn role_of_a_rank_whose_sampler_never_comes_back() {
    let told = |key: &str| std::env::var(key).ok();
    let threads = told("STUCK_THREADS").map(|n| n.parse::<usize>().unwrap());
    stop::listen();
    match threads {
        Some(ranks) => drop(World::loopback(ranks, fit)),
        None => fit(World::init().unwrap_or_else(|refusal| refusal.exit())),
    }
    panic!("came back");
}

fn fit(mut world: World) {
    let told = |key: &str| std::env::var(key).ok();
    let source = Source { name: "stuck.toml".into(), text: JOB.into(), base: ".".into(), overrides: vec![], json: false };
    let job = job::resolve(&job::load(source).unwrap()).unwrap();
    let begun = Instant::now();
    let curfew = Curfew::new(begun, told("STUCK_LIMIT").map(|s| TimeLimit(s.parse().unwrap())), None);
    let disk = Box::new(Disk::new(std::env::current_dir().unwrap().join("checkpoint")));
    let vault = match world.enter() {
        Role::Root(root) => Some(Vault::open(&root, disk, JOB_HASH, true).unwrap().0),
        Role::Worker(_) => None,
    };
    let mut watch = Told;
    let lead = vault.map(|vault| {
        let mut keeper = Keeper::new(Some(vault), Identity::default(), &job, curfew, begun);
        keeper.begin().unwrap();
        Lead { keeper, state: None, watch: &mut watch }
    });
    let stuck = |_: &job::Job, _: Option<&[u8]>| {
        let stuck = Stuck { asked: false, told: 0, never_returns: told("STUCK_IN").unwrap() };
        Ok(Box::new(stuck) as Box<dyn Sampler>)
    };
    let end = session::fit_by(&mut world, &job, 1, lead, &stuck);
    panic!("came back: {:?}", end.map(|(outcome, _)| outcome));
}

const ROLE: [&str; 4] = ["--ignored", "--exact", "stuck::role_of_a_rank_whose_sampler_never_comes_back", "--nocapture"];

fn program() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

/// Starts it in `folder`, does `then` once it is lost, and sees that it ends as it should.
fn ends_in_good_order(mut command: Command, stuck_in: &str, folder: &Path, because: &str, then: impl FnOnce(i32)) {
    let log = folder.join("said");
    let file = std::fs::File::create(&log).unwrap();
    command.args(ROLE).env("STUCK_IN", stuck_in).current_dir(folder).stdin(Stdio::null());
    let mut child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let said = || text(&std::fs::read(&log).unwrap());
    let wait = |what: &str, limit: u64, done: &mut dyn FnMut() -> bool| {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(limit), "{what}: waited for {limit} s\n{}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("it is not lost", 60, &mut || said().contains("lost in"));
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    then(child.id() as i32);
    let mut status = None;
    wait("it does not end", 30, &mut || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let took = asked.elapsed();
    assert_eq!(status.unwrap().code(), Some(75), "{}", said());
    assert!(
        said().contains(&format!("abandoned: {because}")) && said().contains("has not come back from its own computation"),
        "{}",
        said()
    );
    let kept = state::peek(&folder.join("checkpoint")).unwrap();
    // Before its posterior a run writes the last checkpoint, which supersedes the journal.
    let about = kept.state.map(|state| Snapshot::read(state.sections).unwrap().about);
    let calls = about.map_or(0, |about| about.totals.calls) + kept.evaluations.len() as u64;
    assert_eq!(calls, CALLS, "every finished call is in checkpoint or journal");
    eprintln!("lost in {stuck_in}: all have left after {took:?}");
}

#[test]
fn a_signal_ends_a_run_whose_sampler_never_comes_back_from_any_of_its_calls() {
    for stuck_in in ["ask", "tell"] {
        let folder = tempfile::tempdir().unwrap();
        let term = |pid: i32| common::lives::signal(pid, libc::SIGTERM);
        ends_in_good_order(alone(&program()), stuck_in, folder.path(), "SIGTERM", term);
    }
}

#[test]
fn a_signal_that_meets_a_lost_sampler_after_it_is_done_or_while_it_is_saved_ends_it_too() {
    for (stuck_in, because, signal) in [("posterior", "SIGUSR1", libc::SIGUSR1), ("save", "SIGINT", libc::SIGINT)] {
        let folder = tempfile::tempdir().unwrap();
        ends_in_good_order(alone(&program()), stuck_in, folder.path(), because, |pid| common::lives::signal(pid, signal));
    }
}

#[test]
fn the_time_limit_ends_a_run_whose_sampler_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = alone(&program());
    command.env("STUCK_LIMIT", "8"); // it must be lost before, also on a busy machine
    ends_in_good_order(command, "ask", folder.path(), "the time limit is near", |_| ());
}

#[test]
fn all_ranks_end_when_the_roots_sampler_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = alone(&program());
    command.env("STUCK_THREADS", "3");
    ends_in_good_order(command, "ask", folder.path(), "SIGTERM", |pid| common::lives::signal(pid, libc::SIGTERM));
}

#[cfg(feature = "mpi")]
#[test]
fn all_ranks_under_mpiexec_end_when_the_roots_sampler_never_comes_back() {
    for stuck_in in ["ask", "posterior"] {
        let folder = tempfile::tempdir().unwrap();
        // To mpiexec, which hands it on; of SIGTERM Open MPI's would make an end of its own.
        ends_in_good_order(on(3, &program()), stuck_in, folder.path(), "SIGUSR1", |pid| common::lives::signal(pid, libc::SIGUSR1));
        let left = common::children::alive(&folder.path().display().to_string());
        assert!(left.is_empty(), "left over: {left:?}");
    }
}
