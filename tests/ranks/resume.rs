//! A run that was killed, stopped or finished goes on, and ends with the bits of a run that was left in peace.

use crate::common::lives::{Life, Seats, newest_state, signal, wait_for};
use crate::common::{self, fitjob, succeed, summary, text, write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// About 3 s of calls; a third of the plane has no likelihood.
const LINE: &str = r#"
seed = 3
[model]
kind = "curve"
y = "y"
formula = "a * x + b + 0 * log(a + 2)"
sigma = 0.5
data = "line.csv"
[model.delay]
ms = 1
count = "COUNT"
[parameters]
a = { prior = "uniform", min = -5, max = 5 }
b = { prior = "uniform", min = -5, max = 5 }
[sampler]
n_live = 200
n_eff = 400
learn = 1
[run]
on_error = "reject"
checkpoint_s = 0.05
"#;

const DATA: &str = "x,y\n1,1.1\n2,2.3\n3,2.9\n4,4.2\n";

/// A folder with a job, its data and its run.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(job: &str) -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        write(&place.path("line.csv"), DATA);
        write(&place.path("job.toml"), &job.replace("COUNT", &place.path("calls").display().to_string()));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> PathBuf {
        self.path("run")
    }

    fn calls(&self) -> u64 {
        fs::metadata(self.path("calls")).map_or(0, |file| file.len())
    }

    fn digest(&self) -> String {
        summary(&self.run())["digest"].as_str().unwrap().into()
    }

    fn begin(&self, seats: Seats, extra: &[&str]) -> Life {
        let mut command = seats.command();
        command.arg(self.path("job.toml")).arg("--out").arg(self.run()).args(extra);
        Life::start(command, &self.run())
    }

    /// A life that is killed when it has written two more checkpoints.
    fn killed(&self, seats: Seats, extra: &[&str]) {
        let before = newest_state(&self.run()).unwrap_or(0);
        let mut life = self.begin(seats, extra);
        wait_for(&mut life, "a checkpoint", || newest_state(&self.run()).unwrap_or(0) >= before + 3);
        life.kill();
    }

    /// Exit code and words of a life that ends by itself.
    fn ends(&self, seats: Seats, extra: &[&str]) -> (Option<i32>, String) {
        let mut life = self.begin(seats, extra);
        (life.end().code(), life.said())
    }

    fn finishes(&self, extra: &[&str]) {
        let (code, said) = self.ends(Seats::Threads(2), extra);
        assert_eq!(code, Some(0), "{said}");
    }

    fn summary(&self) -> Output {
        fitjob().arg("summary").arg(self.run()).output().unwrap()
    }
}

/// The same job, never disturbed and without its delay.
fn in_peace(job: &str, extra: &[&str]) -> Place {
    let place = Place::new(job);
    place.finishes(&[&["--set", "model.delay.ms=0"], extra].concat());
    place
}

fn rows(run: &Path) -> Vec<String> {
    let mut rows: Vec<String> = fs::read_to_string(run.join("rejected.csv")).unwrap().lines().map(String::from).collect();
    rows.sort();
    rows
}

#[test]
fn killed_on_one_thread_and_on_three_ranks_it_ends_on_two_threads_with_the_same_bits_and_rejected_points_once() {
    let (peace, place) = (in_peace(LINE, &[]), Place::new(LINE));
    place.killed(Seats::Threads(1), &[]);
    place.killed(Seats::Ranks(3), &["--resume"]);
    place.finishes(&["--resume"]);
    assert_eq!(place.digest(), peace.digest());
    assert_eq!(rows(&place.run()), rows(&peace.run()));
    assert!(rows(&place.run()).len() > 50);
    assert_eq!(summary(&place.run())["rejected"], summary(&peace.run())["rejected"]);
    // Two kills: what one thread, and three ranks with two rounds each, had in hand; and two looks whether the model is the same.
    let repeated = place.calls() - peace.calls();
    assert!(repeated <= 1024 + 64, "{repeated} calls were made again");
}

/// MPICH's mpiexec (Hydra 4.0) that was signalled itself forgets its ranks' code now and then, and ends with 0.
fn forgotten(code: Option<i32>) -> bool {
    code == Some(0) && cfg!(feature = "mpi") && common::mpiexec_name().contains("mpich")
}

#[test]
fn usr1_term_and_the_time_limit_end_with_75_and_say_how_to_go_on() {
    let peace = in_peace(LINE, &[]);
    for (seats, number) in [(Seats::Threads(1), libc::SIGUSR1), (Seats::Threads(2), libc::SIGTERM), (Seats::Ranks(2), libc::SIGUSR1)] {
        let place = Place::new(LINE);
        let mut life = place.begin(seats, &[]);
        wait_for(&mut life, "a checkpoint", || newest_state(&place.run()) >= Some(3));
        signal(life.launcher(), number);
        let code = life.end().code();
        assert!(code == Some(75) || seats == Seats::Ranks(2) && forgotten(code), "{seats:?}, {number}, {code:?}: {}", life.said());
        assert!(life.said().contains("--resume") && life.said().contains("nothing is lost"), "{}", life.said());
        place.finishes(&["--resume"]);
        assert_eq!(place.digest(), peace.digest(), "{seats:?}, {number}");
    }
    for seats in [Seats::Threads(2), Seats::Ranks(2)] {
        let place = Place::new(LINE);
        let (code, said) = place.ends(seats, &["--time-limit", "1"]);
        assert_eq!(code, Some(75), "{said}");
        assert!(said.contains("the time limit is near") && said.contains("to go on: "), "{said}");
    }
}

#[cfg(feature = "mpi")]
#[test]
fn a_mpiexec_that_is_terminated_leaves_a_run_to_go_on_with() {
    let place = Place::new(LINE);
    let mut life = place.begin(Seats::Ranks(3), &[]);
    wait_for(&mut life, "a checkpoint", || newest_state(&place.run()) >= Some(3));
    signal(life.launcher(), libc::SIGTERM);
    let code = life.end().code();
    assert!(code != Some(0) || forgotten(code), "{}", life.said());
    life.last_member();
    place.finishes(&["--resume"]);
    assert_eq!(place.digest(), in_peace(LINE, &[]).digest());
}

#[test]
fn resume_auto_starts_where_there_is_nothing_and_goes_on_where_there_is() {
    let place = Place::new(LINE);
    place.killed(Seats::Threads(2), &["--resume=auto"]);
    let (code, said) = place.ends(Seats::Threads(2), &["--resume=auto"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("going on after"), "{said}");
    assert_eq!(place.digest(), in_peace(LINE, &[]).digest());
}

#[test]
fn resuming_nothing_is_refused_and_says_how_to_start() {
    let place = Place::new(LINE);
    let (code, said) = place.ends(Seats::Threads(1), &["--resume"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("holds no run to go on with") && said.contains("without --resume"), "{said}");
    assert!(!place.run().exists());
}

#[test]
fn a_changed_job_is_refused_field_by_field() {
    let place = Place::new(LINE);
    place.killed(Seats::Threads(2), &[]);
    let refused = |extra: &[&str], expected: &[&str]| {
        let (code, said) = place.ends(Seats::Threads(1), &[&["--resume"], extra].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(expected.iter().all(|words| said.contains(words)), "{expected:?}: {said}");
    };
    refused(&["--seed", "4"], &["seed: was 3, is 4"]);
    refused(&["--set", "sampler.n_live=300"], &["sampler.n_live: was 200, is 300"]);
    refused(&["--set", "parameters.a.max=6"], &["parameters.a.max: was 5", "is 6"]);
    refused(&["--set", "model.formula=\"a + b * x\""], &["model.formula: was "]);
    refused(&["--set", "sampler.n_eff=100"], &["sampler.n_eff: was 400", "is 100"]);
    refused(&["--seed", "4", "--set", "model.sigma=0.6"], &["seed: was 3, is 4", "model.sigma: was 0.5, is 0.6"]);
    write(&place.path("line.csv"), &DATA.replace("4.2", "4.3"));
    refused(&[], &["content of line.csv: was "]);
    write(&place.path("line.csv"), DATA);
    place.finishes(&["--resume"]);
    assert_eq!(place.digest(), in_peace(LINE, &[]).digest(), "a refusal changes nothing");
}

#[test]
fn how_it_runs_may_change_and_no_bit_does() {
    let place = Place::new(LINE);
    place.killed(Seats::Threads(1), &[]);
    place.finishes(&["--resume", "--set", "run.dispatch=\"dynamic\"", "--set", "run.checkpoint_s=30", "--set", "model.delay.ms=0.1"]);
    assert_eq!(place.digest(), in_peace(LINE, &[]).digest());
}

#[test]
fn a_finished_run_goes_on_to_a_higher_target_and_kills_on_the_way_do_not_matter() {
    const RESUMED: &[&str] = &["--resume", "--set", "sampler.n_eff=900"];
    // Finished, then extended; killed before the first target, extended at once; killed after it too.
    let extended = in_peace(LINE, &[]);
    let first = extended.digest();
    extended.finishes(RESUMED);
    assert_ne!(extended.digest(), first);
    assert!(summary(&extended.run())["n_eff"].as_f64().unwrap() >= 900.0);
    let early = Place::new(LINE);
    early.killed(Seats::Threads(1), &[]);
    early.killed(Seats::Threads(2), RESUMED);
    early.finishes(RESUMED);
    assert_eq!(early.digest(), extended.digest(), "asked for before the first target was reached");
    let late = in_peace(LINE, &[]);
    late.killed(Seats::Threads(1), RESUMED);
    late.finishes(RESUMED);
    assert_eq!(late.digest(), extended.digest(), "killed on the way to the second target");
    let (code, said) = late.ends(Seats::Threads(1), &["--resume", "--set", "sampler.n_eff=500"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("sampler.n_eff: was 900"), "{said}");
}

#[test]
fn a_run_that_ended_at_its_most_calls_goes_on_when_they_are_raised() {
    let (few, more) = (["--set", "sampler.n_like_max=1500"], ["--resume", "--set", "sampler.n_like_max=2200"]);
    let extended = Place::new(LINE);
    let (code, said) = extended.ends(Seats::Threads(2), &["--set", "model.delay.ms=0", few[0], few[1]]);
    assert_eq!(code, Some(6), "not converged: {said}");
    let end = extended.ends(Seats::Threads(2), &more).0;
    let killed = Place::new(LINE);
    killed.killed(Seats::Threads(2), &few);
    assert_eq!(killed.ends(Seats::Threads(2), &more).0, end);
    assert_eq!(killed.digest(), extended.digest());
    let calls = summary(&extended.run())["n_like"].as_u64().unwrap();
    assert!((1501..=2200).contains(&calls), "{calls} calls");
}

#[test]
fn a_summary_can_be_had_of_a_run_that_is_running_killed_or_stopped() {
    let place = Place::new(LINE);
    let told = |words: &str| {
        let output = place.summary();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && out.contains(words) && out.contains("checkpoint "), "{words}: {out}\n{err}");
    };
    let mut life = place.begin(Seats::Threads(2), &[]);
    wait_for(&mut life, "a checkpoint", || newest_state(&place.run()) >= Some(3));
    told("it is in the hands of host");
    life.kill();
    told("that process is gone");
    let (code, said) = place.ends(Seats::Threads(2), &["--resume", "--time-limit", "0.6"]);
    assert_eq!(code, Some(75), "{said}");
    told("the time limit is near");
}

#[test]
fn the_run_directory_alone_is_enough_to_go_on() {
    let place = Place::new(LINE);
    place.killed(Seats::Threads(2), &[]);
    succeed(fitjob().arg("run").arg(place.run()).arg("--resume"));
    assert_eq!(place.digest(), in_peace(LINE, &[]).digest());
}

#[test]
fn without_a_journal_it_goes_on_from_the_checkpoint_to_the_same_bits() {
    let place = Place::new(LINE);
    place.killed(Seats::Threads(2), &["--set", "run.journal=false"]);
    let journals = fs::read_dir(place.run().join("checkpoint")).unwrap().flatten();
    assert_eq!(journals.filter(|file| file.file_name().to_string_lossy().ends_with(".journal")).count(), 0);
    place.finishes(&["--resume", "--set", "run.journal=false"]);
    assert_eq!(place.digest(), in_peace(LINE, &[]).digest());
}

#[test]
fn without_a_checkpoint_the_journal_is_enough_and_checkpoints_on_the_way_lose_none_of_it() {
    let (place, peace) = (Place::new(LINE), in_peace(LINE, &[]));
    let mut life = place.begin(Seats::Threads(1), &["--set", "run.checkpoint_s=1000"]);
    wait_for(&mut life, "1200 calls", || place.calls() > 1200);
    life.kill();
    // Killed again and again while it takes up what the journal holds.
    for pause_ms in [30, 60, 90] {
        let mut life = place.begin(Seats::Threads(1), &["--resume", "--set", "run.checkpoint_s=0.001"]);
        let before = newest_state(&place.run());
        wait_for(&mut life, "a checkpoint", || newest_state(&place.run()) > before);
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        signal(life.launcher(), libc::SIGUSR1);
        assert_eq!(life.end().code(), Some(75), "{}", life.said());
    }
    place.finishes(&["--resume"]);
    assert_eq!(place.digest(), peace.digest());
    let repeated = place.calls() - peace.calls();
    assert!(repeated <= 4 * 8, "{repeated} calls were made again");
}

#[test]
fn a_likelihood_that_failed_may_be_rejected_and_the_run_goes_on() {
    let place = Place::new(&LINE.replace("on_error = \"reject\"", "on_error = \"abort\""));
    let (code, said) = place.ends(Seats::Threads(2), &[]);
    assert_eq!(code, Some(3), "{said}");
    let told = place.summary();
    assert!(told.status.success(), "{}", text(&told.stderr));
    place.finishes(&["--resume", "--set", "run.on_error=\"reject\""]);
    assert_eq!(place.digest(), in_peace(LINE, &[]).digest());
}
