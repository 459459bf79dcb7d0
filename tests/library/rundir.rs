//! The run directory: who may have it, what killed runs leave, and trouble while a run goes on. Real files, real processes.

use fitjob::output::{Log, Opening, OutputError, Rejected, Resumed, RunDir, RunFacts, RunState, Status, Tail};
use fitjob::sampler::Progress;
use fitjob::task::TaskId;
use fitjob::world::{self, Root, World};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

/// What `task` gives when done by the root of a run of one rank.
fn as_root<R>(task: impl FnOnce(&Root) -> R) -> R {
    match World::solo().enter() {
        world::Role::Root(root) => task(&root),
        world::Role::Worker(_) => panic!("a single rank is the root"),
    }
}

fn open(dir: &Path, opening: Opening) -> Result<(RunDir, RunState), OutputError> {
    as_root(|root| RunDir::open(root, dir, opening))
}

/// A directory with every file of a run, its lock free.
fn occupied(dir: &Path) {
    fs::create_dir_all(dir.join("checkpoint")).unwrap();
    for file in ["log.jsonl", "job.toml", "rejected.csv", "result.h5", "checkpoint/000001.state", "notes.txt"] {
        fs::write(dir.join(file), file).unwrap();
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A lock that another process left in `dir`: this process's own, with changes.
fn leave_lock(dir: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let other = tempfile::tempdir().unwrap();
    let _held = open(other.path(), Opening::New).unwrap();
    let mut lock: serde_json::Value = serde_json::from_slice(&fs::read(other.path().join("lock")).unwrap()).unwrap();
    change(&mut lock);
    fs::write(dir.join("lock"), lock.to_string()).unwrap();
}

fn of_a_dead_process(lock: &mut serde_json::Value) {
    lock["pid"] = i32::MAX.into();
}

fn of_another_host(lock: &mut serde_json::Value) {
    (lock["host"], lock["boot"]) = ("n07".into(), "another".into());
}

fn set_age(file: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
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

#[test]
fn of_many_that_find_a_stale_lock_exactly_one_wins() {
    for round in 0..60 {
        let place = tempfile::tempdir().unwrap();
        leave_lock(place.path(), of_a_dead_process);
        let contenders = 2 + round % 3;
        let start = Barrier::new(contenders);
        let contend = || {
            start.wait();
            open(place.path(), Opening::Auto)
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..contenders).map(|_| scope.spawn(contend)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}: {lost:?}");
        assert!(lost.iter().all(|lost| lost.as_ref().unwrap_err().what.contains("in use by")), "{lost:?}");
        assert_eq!(names(place.path()), ["lock"], "nothing else is left");
        won[0].as_ref().unwrap().0.still_ours().unwrap();
    }
}

#[test]
fn of_many_that_start_in_an_empty_directory_exactly_one_wins() {
    for _ in 0..60 {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("run");
        let start = Barrier::new(3);
        let contend = || {
            start.wait();
            open(&dir, Opening::New)
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(contend)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    }
}

#[test]
fn a_lock_of_another_host_holds_while_it_shows_signs_of_life_by_the_file_systems_clock() {
    let place = tempfile::tempdir().unwrap();
    leave_lock(place.path(), of_another_host);
    let lock = place.path().join("lock");
    set_age(&lock, 100);
    let refusal = open(place.path(), Opening::Auto).unwrap_err();
    assert!(refusal.what.contains("in use by host n07, pid ") && refusal.what.contains("last sign of life 10"), "{refusal}");
    assert!(refusal.help.unwrap().contains("free 120 s after"));
    set_age(&lock, 130);
    open(place.path(), Opening::Auto).unwrap().0.still_ours().unwrap();
}

#[test]
fn a_lock_that_cannot_be_read_holds_until_it_is_old() {
    let place = tempfile::tempdir().unwrap();
    let lock = place.path().join("lock");
    fs::write(&lock, "{\"host\":").unwrap();
    assert!(open(place.path(), Opening::Auto).unwrap_err().what.contains("has not said which"));
    set_age(&lock, 130);
    open(place.path(), Opening::Auto).unwrap();
}

#[test]
fn a_takeover_that_was_killed_half_way_is_no_obstacle() {
    let place = tempfile::tempdir().unwrap();
    leave_lock(place.path(), of_a_dead_process);
    fs::copy(place.path().join("lock"), place.path().join("lock.takeover")).unwrap();
    let (held, _) = open(place.path(), Opening::Auto).unwrap();
    assert_eq!(names(place.path()), ["lock"]);
    drop(held);
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn a_run_whose_directory_was_taken_over_learns_it_and_leaves_everything_alone() {
    let place = tempfile::tempdir().unwrap();
    let (run, _) = open(place.path(), Opening::New).unwrap();
    run.still_ours().unwrap();
    leave_lock(place.path(), of_another_host);
    let theirs = fs::read(place.path().join("lock")).unwrap();
    wait_until("the run sees it", || run.still_ours().is_err());
    let error = run.still_ours().unwrap_err();
    assert!(error.what.contains("was taken over by another run: host n07"), "{error}");
    assert!(!run.heal("seed = 1"));
    drop(run);
    assert_eq!(fs::read(place.path().join("lock")).unwrap(), theirs);
}

#[test]
fn a_lock_removed_by_hand_is_put_back() {
    let place = tempfile::tempdir().unwrap();
    let (run, _) = open(place.path(), Opening::New).unwrap();
    fs::remove_file(place.path().join("lock")).unwrap();
    wait_until("the lock is back", || place.path().join("lock").exists());
    run.still_ours().unwrap();
}

#[test]
fn resume_needs_a_run_and_auto_starts_one() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("run");
    let refusal = open(&dir, Opening::Resume).unwrap_err();
    assert!(refusal.what.contains("holds no run to go on with") && refusal.help.unwrap().contains("--resume=auto"));
    assert!(!dir.exists(), "a refusal leaves nothing behind");
    assert_eq!(open(&dir, Opening::Auto).unwrap().1, RunState::Absent);
    fs::create_dir(dir.join("checkpoint")).unwrap();
    let (_, state) = open(&dir, Opening::Auto).unwrap();
    assert!(matches!(state, RunState::Unfinished { files, .. } if files == ["checkpoint"]));
}

#[test]
fn resuming_a_finished_run_removes_nothing() {
    let place = tempfile::tempdir().unwrap();
    occupied(place.path());
    fs::write(place.path().join("summary.json"), "{}").unwrap();
    let before = names(place.path());
    let (run, state) = open(place.path(), Opening::Resume).unwrap();
    assert!(matches!(state, RunState::Finished { made: Some(_) }));
    drop(run);
    assert_eq!(names(place.path()), before);
}

#[test]
fn force_removes_the_run_with_its_checkpoint_and_what_kills_left_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    occupied(place.path());
    fs::write(place.path().join("result.h5.123.tmp"), "half").unwrap();
    fs::create_dir(place.path().join("checkpoint.123.tmp")).unwrap();
    fs::write(place.path().join("my.result.h5.tmp"), "not ours").unwrap();
    assert!(open(place.path(), Opening::New).is_err());
    let (run, state) = open(place.path(), Opening::Force).unwrap();
    assert_eq!(state, RunState::Absent);
    drop(run);
    assert_eq!(names(place.path()), ["my.result.h5.tmp", "notes.txt"]);
}

#[test]
fn a_directory_removed_while_running_comes_back_with_job_log_table_and_lock() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("deep/run");
    let (run, _) = open(&dir, Opening::New).unwrap();
    let (mut log, mut rejected) =
        as_root(|root| (Log::open(root, &run.log(), false).unwrap(), Rejected::open(root, &run.rejected(), &["a".into()], false).unwrap()));
    log.warning("first");
    rejected.add(TaskId { lane: 0, seq: 1 }, "NaN", &[0.5]);
    fs::remove_dir_all(place.path().join("deep")).unwrap();
    log.warning("into a file that is gone");
    wait_until("the directory is made again", || run.heal("seed = 3"));
    assert_eq!(fs::read_to_string(run.job()).unwrap(), "seed = 3\n");
    wait_until("the log is back", || {
        log.warning("last");
        run.log().exists()
    });
    wait_until("the table is back", || {
        rejected.add(TaskId { lane: 0, seq: 1 + rejected.count() }, "NaN", &[0.5]);
        run.rejected().exists()
    });
    let text = fs::read_to_string(run.log()).unwrap();
    assert!(text.contains("first") && text.contains("that is gone") && text.contains("last"), "{text}");
    assert!(fs::read_to_string(run.rejected()).unwrap().starts_with("lane,call,reason,a\n0,1,NaN,0.5\n"));
    assert_eq!(names(&dir), ["job.toml", "lock", "log.jsonl", "rejected.csv"]);
    assert!(open(&dir, Opening::Auto).unwrap_err().what.contains("in use by"));
    run.still_ours().unwrap();
}

#[test]
fn a_directory_that_cannot_come_back_does_not_end_the_run() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("run");
    let (run, _) = open(&dir, Opening::New).unwrap();
    let mut log = as_root(|root| Log::open(root, &run.log(), false).unwrap());
    fs::remove_dir_all(&dir).unwrap();
    fs::write(&dir, "in the way").unwrap();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(500));
        assert!(!run.heal("seed = 1"));
        log.warning("still here");
    }
    run.still_ours().unwrap();
    assert_eq!(fs::read_to_string(&dir).unwrap(), "in the way");
}

/// A file on a device without room.
fn full(place: &Path, name: &str) -> PathBuf {
    let path = place.join(name);
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    path
}

#[test]
fn a_full_disk_ends_neither_log_nor_table_nor_run() {
    let place = tempfile::tempdir().unwrap();
    as_root(|root| {
        let mut log = Log::open(root, &full(place.path(), "log.jsonl"), false).unwrap();
        log.warning("no room for this");
        log.failed("nor for this");
        let mut rejected = Rejected::open(root, &full(place.path(), "rejected.csv"), &["a".into()], false).unwrap();
        rejected.add(TaskId { lane: 0, seq: 0 }, "NaN", &[1.0]);
        rejected.add(TaskId { lane: 0, seq: 1 }, "NaN", &[1.0]);
        assert_eq!(rejected.count(), 2);
    });
}

#[test]
fn a_resumed_log_ends_a_torn_line_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("log.jsonl");
    let facts = RunFacts { job: "a.toml".into(), seed: 3, resumes: 1, ..RunFacts::default() };
    let from = Resumed { checkpoint: Some(7), written: Some("2026".into()), n_like: 100, from_journal: 20, notes: vec!["torn".into()] };
    let progress = |n_like| Progress { phase: "exploring".into(), n_like, log_z: f64::NEG_INFINITY, ..Progress::default() };
    as_root(|root| {
        let mut log = Log::open(root, &path, false).unwrap();
        log.start(&facts);
        log.progress(&progress(90), 9.0);
        log.checkpoint(7, 0.1, 1 << 20);
        log.stopped("SIGUSR1", "fitjob run a.toml --resume");
    });
    let stopped = Tail::read(&path);
    let end = stopped.end.clone().unwrap();
    assert_eq!((end.status, end.why.as_str()), (Status::Stopped, "SIGUSR1"));
    assert_eq!(end.next.as_deref(), Some("fitjob run a.toml --resume"));
    assert_eq!(stopped.checkpoint.unwrap().number, 7);
    fs::write(&path, [&fs::read(&path).unwrap()[..], b"{\"record\":\"progr"].concat()).unwrap();
    as_root(|root| {
        let mut log = Log::open(root, &path, true).unwrap();
        log.resume(&facts, &from);
        log.progress(&progress(130), 10.0);
    });
    let lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(String::from).collect();
    assert_eq!((lines.len(), lines[4].as_str()), (7, "{\"record\":\"progr"));
    let resumed: serde_json::Value = serde_json::from_str(&lines[5]).unwrap();
    assert_eq!((&resumed["record"], &resumed["checkpoint"], &resumed["written"]), (&"resume".into(), &7.into(), &"2026".into()));
    assert_eq!((&resumed["n_like"], &resumed["from_journal"], &resumed["notes"][0]), (&100.into(), &20.into(), &"torn".into()));
    let tail = Tail::read(&path);
    assert_eq!((tail.idle_lives(0), tail.idle_lives(120), tail.idle_lives(121)), (2, 1, 0), "the first knew 0 calls, the second 120");
    assert_eq!((tail.resumes(), tail.lives, tail.progress.unwrap().n_like, tail.end), (1, vec![0, 120], 130, None));
    assert!(tail.started.is_some());
    assert_eq!(Tail::read(&place.path().join("nowhere")), Tail::default());
}

#[test]
fn rejected_points_are_rows_that_read_back_to_the_same_bits() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("rejected.csv");
    let names: Vec<String> = vec!["a".into(), "b, c".into()];
    let id = |seq| TaskId { lane: 2, seq };
    as_root(|root| {
        let mut table = Rejected::open(root, &path, &names, false).unwrap();
        assert!(!path.exists(), "a run without rejections has no such file");
        table.add(id(5), "no \"root\", and\nno answer", &[0.1 + 0.2, 1e300]);
        table.add(id(5), "told twice", &[0.0, 0.0]);
        table.add(id(9), "log-likelihood is NaN", &[f64::NAN, f64::NEG_INFINITY]);
        assert_eq!(table.count(), 2);
    });
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 3, "a row is a line: {text}");
    let mut reader = csv::Reader::from_path(&path).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["lane", "call", "reason", "a", "b, c"]);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows[0].iter().take(3).collect::<Vec<_>>(), ["2", "5", "no \"root\", and no answer"]);
    assert_eq!(rows[0][3].parse::<f64>().unwrap().to_bits(), (0.1f64 + 0.2).to_bits());
    assert_eq!(rows[0][4].parse::<f64>().unwrap(), 1e300);
    assert!(rows[1][3].parse::<f64>().unwrap().is_nan() && rows[1][4].parse::<f64>().unwrap() == f64::NEG_INFINITY);
}

#[test]
fn a_resumed_table_loses_its_torn_row_and_takes_each_point_once() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("rejected.csv");
    let table = |resume, seqs: std::ops::Range<u64>| {
        as_root(|root| {
            let mut table = Rejected::open(root, &path, &["a".into()], resume).unwrap();
            seqs.for_each(|seq| table.add(TaskId { lane: 0, seq }, "NaN", &[seq as f64]));
            table.count()
        })
    };
    table(false, 0..3);
    let whole = fs::read_to_string(&path).unwrap();
    // Killed at every byte of the table.
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(table(true, 0..4), 4, "cut at {cut}");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{whole}0,3,NaN,3.0\n"), "cut at {cut}");
    }
}

#[test]
fn beyond_ten_thousand_rows_rejected_points_are_only_counted() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("rejected.csv");
    as_root(|root| {
        let mut table = Rejected::open(root, &path, &["a".into()], false).unwrap();
        (0..10_050).for_each(|seq| table.add(TaskId { lane: 0, seq }, "NaN", &[1.5]));
        assert_eq!(table.count(), 10_050);
    });
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 10_001);
}
