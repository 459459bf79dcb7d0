//! The program under a real mpiexec of the library it was built with, and under the wrong one.

use fitjob::exec::{self, Site};
use fitjob::job;
use fitjob::launch::mismatch::{EXIT_CODE, Library};
use fitjob::task::{Task, TaskId, Work};
use fitjob::world::{Role, World, library};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const CURVE: &str = r#"
seed = 1
[model]
kind = "curve"
y = "y"
formula = "a * x + b"
noise = "normal"
sigma = 0.5
[model.data]
x = [1, 2, 3, 4]
y = [1.1, 2.3, 2.9, 4.2]
[model.delay]
ms = 1
[parameters]
a = { prior = "uniform", min = -5, max = 5 }
b = { prior = "uniform", min = -5, max = 5 }
[sampler]
method = "nautilus"
n_live = 200
n_eff = 200
"#;

/// The mpiexec of a library, by the name that Debian gives it where several are installed.
fn mpiexec(library: Library) -> Option<&'static str> {
    let own = match library {
        Library::OpenMpi => "mpiexec.openmpi",
        Library::Mpich => "mpiexec.mpich",
        _ => "mpiexec",
    };
    let there = |name: &str| Command::new(name).arg("--version").output().is_ok();
    [own].into_iter().find(|name| there(name)).or_else(|| (library == self::library() && there("mpiexec")).then_some("mpiexec"))
}

/// Open MPI wants to be asked nicely to run as root, and to run more ranks than cores.
const ROOT: [(&str, &str); 3] =
    [("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"), ("OMPI_MCA_rmaps_base_oversubscribe", "1")];

fn launch(mpiexec: &str, ranks: usize, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(mpiexec);
    command.args(["-n", &ranks.to_string(), env!("CARGO_BIN_EXE_fitjob")]).args(args).current_dir(folder);
    command.envs(ROOT);
    command
}

fn run(ranks: usize, folder: &Path, args: &[&str]) -> Output {
    let mpiexec = mpiexec(library()).expect("the mpiexec of the library this was built with");
    launch(mpiexec, ranks, folder, args).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn ranks_find_each_other() {
    let folder = tempfile::tempdir().unwrap();
    for ranks in [1, 2, 5] {
        let output = run(ranks, folder.path(), &["info"]);
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        let line = text.lines().find(|line| line.starts_with("ranks ")).expect(&text).to_string();
        assert_eq!(line.split_whitespace().nth(1), Some(&*ranks.to_string()), "{text}");
    }
}

#[test]
fn the_wrong_mpiexec_is_refused_once_and_no_file_is_touched() {
    let other = if library() == Library::OpenMpi { Library::Mpich } else { Library::OpenMpi };
    let Some(wrong) = mpiexec(other) else {
        eprintln!("no second MPI library here: nothing to be confused with");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = launch(wrong, 3, folder.path(), &["run"]).output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(EXIT_CODE), "{text}");
    assert_eq!(text.matches("Each of the 3 would run the whole job").count(), 1, "{text}");
    assert!(text.contains("What to do: use the mpiexec of"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files were written");
}

#[test]
fn a_likelihood_that_is_no_number_ends_all_ranks_and_names_the_point() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fit.toml"), CURVE.replace("a * x + b", "log(a) * x + b")).unwrap();
    for ranks in [1, 3] {
        let output = run(ranks, folder.path(), &["run", "--force"]);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains("the model failed at a = -") && text.contains("b = ") && text.contains("NaN"), "{text}");
    }
}

#[test]
fn a_job_that_does_not_exist_fails_on_all_ranks_with_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(3, folder.path(), &["run", "nowhere.toml"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.matches("nowhere.toml").count(), 1, "{text}");
}

#[test]
fn a_killed_rank_ends_the_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fit.toml"), CURVE.replace("ms = 1", "ms = 200")).unwrap();
    let mpiexec = mpiexec(library()).expect("the mpiexec of the library this was built with");
    let mut job = launch(mpiexec, 3, folder.path(), &["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let victim = ranks_of(&job, 3)[1];
    std::thread::sleep(Duration::from_secs(2)); // well into the run
    // SAFETY: plain system call; the process is a grandchild of this test.
    assert_eq!(unsafe { libc::kill(victim, libc::SIGKILL) }, 0);
    let status = ends_within(&mut job, Duration::from_secs(60));
    assert!(!status.success(), "mpiexec hides the loss");
}

#[test]
fn a_stopped_rank_is_noticed_by_its_silence_and_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fit.toml"), CURVE.replace("ms = 1", "ms = 200") + "\n[run]\nsilence_limit_s = 3\n").unwrap();
    let mpiexec = mpiexec(library()).expect("the mpiexec of the library this was built with");
    for root in [false, true] {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut job = launch(mpiexec, 3, folder.path(), &["run", "--force"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let victim = *ranks_of(&job, 3).iter().find(|pid| (rank_of(**pid) == 0) == root).unwrap();
        wait_until_it_runs(folder.path(), "log");
        // SAFETY: plain system calls; the process is a descendant of this test.
        assert_eq!(unsafe { libc::kill(victim, libc::SIGSTOP) }, 0);
        let status = ends_within(&mut job, Duration::from_secs(60));
        let text = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(!status.success() && text.contains("has heard nothing for 3 s from rank "), "{text}");
        assert!(text.contains("from rank 0 on host") == root && text.contains("silence_limit_s"), "{text}");
    }
}

#[test]
fn calls_that_hang_are_given_up_on_every_rank() {
    let folder = tempfile::tempdir().unwrap();
    let job = CURVE.replace("ms = 1", "ms = 1\nhang = 0.002") + "\n[run]\ncall_limit_s = 0.3\non_error = \"reject\"\n";
    std::fs::write(folder.path().join("fit.toml"), job).unwrap();
    for dispatch in ["run.dispatch=\"static\"", "run.dispatch=\"dynamic\""] {
        let output = run(3, folder.path(), &["run", "--force", "--set", dispatch]);
        assert!(output.status.success() && text(&output).contains("after the time limit of a call"), "{}", text(&output));
    }
    let output = run(3, folder.path(), &["run", "--force", "--set", "run.on_error=\"abort\""]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("the model failed at a = ") && text.contains("no value within 0.3 s"), "{text}");
}

/// Not a test by itself: the ranks of the tests below, whose root waits for a signal while calls of an hour are under way.
#[test]
#[ignore = "started by a_signal_to_any_rank_ends_the_work_of_all_at_once"]
fn role_of_ranks_that_wait_for_a_signal() {
    let mut world = World::init().unwrap_or_else(|refusal| refusal.exit());
    fitjob::stop::listen();
    let source = job::Source::read("hour.toml".as_ref(), vec![]).unwrap();
    let job = job::resolve(&job::load(source).unwrap()).unwrap();
    let site = Site {
        space: job.space.clone(),
        model: job.model.clone(),
        toolbox: fitjob::sampler::toolbox,
        on_error: job.run.on_error,
        gradients: false,
        call_limit: None,
        silence_limit: Duration::from_secs(60),
    };
    match world.enter() {
        Role::Worker(worker) => exec::serve(&worker, &site, 1).unwrap(),
        Role::Root(root) => {
            let mut evaluator = exec::evaluator(&root, &site, 1, job.run.dispatch);
            let task = |seq| Task { id: TaskId { lane: 0, seq }, work: Work::LogLike(vec![0.1, 0.2]) };
            evaluator.submit((0..20).map(task).collect()).unwrap();
            eprintln!("waiting");
            while fitjob::stop::signalled().is_none() {
                evaluator.collect().unwrap();
            }
        }
    }
    world.agree(Ok::<(), String>(())).unwrap();
    let signal = fitjob::stop::signalled().filter(|_| world.is_root());
    // Before MPI ends: of processes that return 75 mpiexec waits for one only.
    signal.into_iter().for_each(|signal| eprintln!("left with signal {signal}"));
    drop(world);
    std::process::exit(75);
}

#[test]
fn a_signal_to_any_rank_ends_the_work_of_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hour.toml"), CURVE.replace("ms = 1", "ms = 3.6e6")).unwrap();
    let mpiexec = mpiexec(library()).expect("the mpiexec of the library this was built with");
    for (ranks, to) in [(1, Some(0)), (3, Some(0)), (3, Some(2)), (3, None)] {
        let mut command = Command::new(mpiexec);
        command.args(["-n", &ranks.to_string()]).arg(std::env::current_exe().unwrap()).current_dir(folder.path());
        command.args(["--ignored", "--exact", "mpi::role_of_ranks_that_wait_for_a_signal", "--nocapture"]).envs(ROOT);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut job = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
        let all = processes_of(&job, ranks, &std::env::current_exe().unwrap());
        until("the root waits", || log().contains("waiting"));
        let pid = to.map_or(job.id() as i32, |to| *all.iter().find(|pid| rank_of(**pid) == to).unwrap());
        std::thread::sleep(Duration::from_millis(500)); // calls are under way
        let start = Instant::now();
        // SAFETY: as above.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGUSR1) }, 0);
        let status = ends_within(&mut job, Duration::from_secs(60));
        assert!(log().contains(&format!("left with signal {}", libc::SIGUSR1)), "{}", log());
        // MPICH's mpiexec (Hydra 4.0) that was signalled itself forgets the ranks' code now and then.
        let forgotten = status.code() == Some(0) && to.is_none() && library() == Library::Mpich;
        assert!(status.code() == Some(75) || forgotten, "{ranks} ranks, signal to {to:?}: {status}, {}", log());
        eprintln!("{ranks} ranks, signal to {to:?}: all have left after {:?}", start.elapsed());
    }
}

/// The rank that the launcher gave a process.
fn rank_of(pid: i32) -> usize {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let words = environment.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
    let rank = |word: &str| ["OMPI_COMM_WORLD_RANK=", "PMI_RANK="].iter().find_map(|key| word.strip_prefix(key)?.parse().ok());
    words.filter_map(rank).next().expect("a launcher tells ranks")
}

fn wait_until_it_runs(folder: &Path, log: &str) {
    until("the run goes on", || std::fs::read_to_string(folder.join(log)).is_ok_and(|text| text.contains("log Z")));
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Not a test by itself: the ranks of the test below.
#[test]
#[ignore = "started by a_panic_outside_of_tasks_ends_all_ranks_and_names_the_rank"]
fn role_of_ranks_of_which_one_panics() {
    let mut world = World::init().unwrap_or_else(|refusal| refusal.exit());
    let victim = std::env::var("FITJOB_TEST_PANIC").ok().and_then(|rank| rank.parse().ok());
    assert!(victim != Some(world.rank()), "asked to panic");
    world.agree(Ok::<(), String>(())).unwrap(); // the others wait here
}

#[test]
fn a_panic_outside_of_tasks_ends_all_ranks_and_names_the_rank() {
    let mpiexec = mpiexec(library()).expect("the mpiexec of the library this was built with");
    for rank in ["0", "2"] {
        let mut command = Command::new(mpiexec);
        command.args(["-n", "3"]).arg(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "mpi::role_of_ranks_of_which_one_panics", "--nocapture"]);
        let output = command.envs(ROOT).env("FITJOB_TEST_PANIC", rank).output().unwrap();
        let text = text(&output);
        assert!(!output.status.success(), "{text}");
        assert!(text.contains(&format!("rank {rank} panicked")) && text.contains("asked to panic"), "{text}");
    }
}

/// Process numbers of the ranks, once all are there: descendants of mpiexec that run this program.
fn ranks_of(job: &Child, ranks: usize) -> Vec<i32> {
    processes_of(job, ranks, Path::new(env!("CARGO_BIN_EXE_fitjob")))
}

fn processes_of(job: &Child, ranks: usize, program: &Path) -> Vec<i32> {
    let start = Instant::now();
    loop {
        let mut found = descendants(job.id() as i32);
        found.retain(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program));
        if found.len() == ranks {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "ranks do not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn descendants(pid: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<i32> = children.split_whitespace().filter_map(|c| c.parse().ok()).collect();
    children.iter().flat_map(|child| std::iter::once(*child).chain(descendants(*child))).collect()
}

fn ends_within(job: &mut Child, limit: Duration) -> std::process::ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = job.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > limit {
            let _ = job.kill();
            panic!("the other ranks hang");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
