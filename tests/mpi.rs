//! The program under a real mpiexec of the library it was built with, and under the wrong one.
#![cfg(feature = "mpi")]

use fitjob::launch::mismatch::{EXIT_CODE, Library};
use fitjob::world::{World, library};
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

/// Not a test by itself: the ranks of the test below.
#[test]
#[ignore = "started by a_panic_outside_of_tasks_ends_all_ranks_and_names_the_rank"]
fn ranks_of_which_one_panics() {
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
        command.args(["--ignored", "--exact", "ranks_of_which_one_panics", "--nocapture"]);
        let output = command.envs(ROOT).env("FITJOB_TEST_PANIC", rank).output().unwrap();
        let text = text(&output);
        assert!(!output.status.success(), "{text}");
        assert!(text.contains(&format!("rank {rank} panicked")) && text.contains("asked to panic"), "{text}");
    }
}

/// Process numbers of the ranks, once all are there: descendants of mpiexec that run this program.
fn ranks_of(job: &Child, ranks: usize) -> Vec<i32> {
    let start = Instant::now();
    loop {
        let mut found = descendants(job.id() as i32);
        found.retain(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(env!("CARGO_BIN_EXE_fitjob"))));
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
