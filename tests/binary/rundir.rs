//! The run directory of running processes: who may have it, and trouble with the file system under it.

use crate::common::{fitjob, lives, mpiexec_name, succeed, text, write};
use fitjob::output::{Opening, RunDir, RunState};
use fitjob::world::{Role, World};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a resume finds.
fn state_of(dir: &Path) -> RunState {
    match World::solo().enter() {
        Role::Root(root) => RunDir::open(&root, dir, Opening::Resume).unwrap().1,
        Role::Worker(_) => panic!("a single rank is the root"),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Looks until it is so: what is waited for comes within seconds, and a test that fails says what did not.
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it did not come to pass that {what}");
}

/// `fitjob run` of a fit that takes a day, with a library loaded before all others.
fn slow_run(place: &Path, dir: &Path, preload: &str) -> Child {
    let job = place.join("slow.toml");
    write(&job, "[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n[model.delay]\nms = 1000\n[run]\ncheckpoint_s = 1\n");
    let mut command = fitjob();
    command.arg(&job).arg("--ncores=1").arg("--out").arg(dir).stderr(Stdio::null()).env("LD_PRELOAD", preload);
    let child = command.spawn().unwrap();
    wait_until("the run has begun", || dir.join("job.toml").exists());
    child
}

fn quick_run(place: &Path, dir: &Path) -> Command {
    let job = place.join("small.toml");
    write(&job, &fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/small.toml")).unwrap());
    let mut command = fitjob();
    command.arg(job).arg("--out").arg(dir);
    command
}

#[test]
fn a_directory_in_use_by_a_living_process_is_refused_and_free_once_that_is_killed() {
    let place = tempfile::tempdir().unwrap();
    refused_until_killed(place.path(), "");
}

#[test]
fn the_same_holds_on_a_file_system_without_hard_links() {
    let place = tempfile::tempdir().unwrap();
    let no_links = "int linkat(int a, const char *b, int c, const char *d, int e) { errno = EPERM; return -1; }";
    refused_until_killed(place.path(), library(place.path(), no_links).to_str().unwrap());
}

fn refused_until_killed(place: &Path, preload: &str) {
    let dir = place.join("run");
    let mut holder = slow_run(place, &dir, preload);
    let quick = || {
        let mut command = quick_run(place, &dir);
        command.arg("--force").env("LD_PRELOAD", preload);
        command
    };
    let refused = quick().output().unwrap();
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{told}");
    for part in ["is in use by host ", &format!("pid {}", holder.id()), "last sign of life ", &format!("kill {}", holder.id()), "--out"] {
        assert!(told.contains(part), "no \"{part}\" in\n{told}");
    }
    holder.kill().unwrap();
    // Not yet waited for: a zombie is dead all the same.
    assert!(dir.join("lock").exists(), "a killed process cannot remove its lock");
    let next = succeed(&mut quick());
    let told = text(&next.stderr);
    assert!(told.contains("took") && told.contains("that process is gone"), "{told}");
    assert_eq!(names(&dir), ["checkpoint", "job.toml", "log.jsonl", "result.h5", "summary.json"]);
    holder.wait().unwrap();
}

#[test]
fn the_directory_of_a_running_job_comes_back_with_its_checkpoint_and_can_be_resumed() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("run");
    let mut running = slow_run(place.path(), &dir, "");
    // A run that loses its directory before it has begun to sample ends with an error.
    wait_until("a checkpoint of calls is there", || lives::newest_state(&dir) >= Some(2));
    // The job may put a file back while the others are being removed.
    wait_until("the directory is gone", || fs::remove_dir_all(&dir).is_ok());
    for file in ["job.toml", "lock", "log.jsonl", "checkpoint"] {
        wait_until(&format!("{file} is there again"), || dir.join(file).exists());
    }
    let told = quick_run(place.path(), &dir).arg("--resume").output().unwrap();
    assert!(text(&told.stderr).contains("is in use by"), "{}", text(&told.stderr));
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(matches!(state_of(&dir), RunState::Unfinished { .. }));
    assert!(fs::read_to_string(dir.join("log.jsonl")).unwrap().starts_with("{\"record\":\"start\""), "what was in it, too");
}

/// A library with the C function `code`, to be loaded before all others.
fn library(place: &Path, code: &str) -> PathBuf {
    let (source, library) = (place.join("shim.c"), place.join("shim.so"));
    write(&source, &format!("#include <errno.h>\n{code}\n"));
    succeed(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source));
    library
}

/// With HDF5's locks as fitjob wants them, and as the user insists on them.
fn both_ways(mut command: impl FnMut() -> Command, place: &Path) -> [std::process::Output; 2] {
    let library = library(place, "int flock(int file, int operation) { errno = ENOLCK; return -1; }");
    let mut run = |user: Option<&str>| {
        let mut command = command();
        command.env("LD_PRELOAD", &library).env_remove("HDF5_USE_FILE_LOCKING");
        user.map(|user| command.env("HDF5_USE_FILE_LOCKING", user));
        command.output().unwrap()
    };
    [run(None), run(Some("TRUE"))]
}

#[test]
fn a_file_system_without_locks_gives_data_unless_the_user_wants_hdf5_to_lock() {
    let place = tempfile::tempdir().unwrap();
    let (data, job) = (place.path().join("d.h5"), place.path().join("d.toml"));
    {
        let file = hdf5::File::create(&data).unwrap();
        file.new_dataset_builder().with_data(&[0.0, 1.0, 2.0]).create("t").unwrap();
        file.new_dataset_builder().with_data(&[3.0, 2.0, 1.0]).create("y").unwrap();
    }
    let model = "[model]\nkind = \"curve\"\ndata = \"d.h5\"\ny = \"y\"\nformula = \"a + 0*t\"\nsigma = 1\n";
    write(&job, &format!("{model}[parameters]\na = {{ prior = \"uniform\", min = 0, max = 5 }}\n"));
    let check = || {
        let mut command = fitjob();
        command.arg("check").arg(&job);
        command
    };
    let [ours, theirs] = both_ways(check, place.path());
    assert!(ours.status.success(), "{}", text(&ours.stderr));
    assert!(text(&theirs.stderr).contains("unable to lock"), "{}", text(&theirs.stderr));
}

/// MPI-IO locks nothing for one writer; where it cannot be had, HDF5's default driver writes, and would lock.
#[test]
fn a_file_system_without_locks_takes_results_unless_the_user_wants_hdf5_to_lock() {
    if cfg!(feature = "mpio") && !mpiexec_name().contains("openmpi") {
        return; // MPICH cannot be told to do without MPI-IO.
    }
    let place = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = quick_run(place.path(), &place.path().join("run"));
        command.arg("--force").env("OMPI_MCA_io", "none");
        command
    };
    let [ours, theirs] = both_ways(run, place.path());
    assert!(ours.status.success(), "{}", text(&ours.stderr));
    let told = text(&theirs.stderr);
    assert_eq!(theirs.status.code(), Some(5), "{told}");
    assert!(told.contains("result.h5") && told.contains("unable to lock") && told.contains("--resume"), "{told}");
}
