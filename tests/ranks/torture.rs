//! Torture: runs killed at random instants, in the ways in which clusters kill, end with the bits of a run that was left in peace.
//!
//! FITJOB_KILLS: how many kills; FITJOB_SEED: another sequence of them. A trial that fails names its seed and keeps its folder.

use crate::common::engines::{ENGINES, Engine};
use crate::common::lives::{Life, Seats, newest_state, signal};
use crate::common::{fitjob, succeed, summary, text, write};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A job whose lives take about a second: its model, its delay, its settings.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    model: &'static str,
    delay: &'static str,
    settings: &'static str,
}

const LINE: &str = r#"
[model]
kind = "curve"
y = "y"
formula = "a * x + b + 0 * log(a)"
sigma = 0.5
data = { x = [1, 2, 3, 4], y = [1.1, 2.3, 2.9, 4.2] }
[parameters]
a = { prior = "uniform", min = -5, max = 5 }
b = { prior = "uniform", min = -5, max = 5 }
"#;

/// Of importance nested sampling: what lives and dies is the same for all engines, and so are the models.
const MODELS: &[Case] = &[
    Case { name: "gauss3tut", model: "problem", delay: "ms = 1", settings: "n_live = 200\nn_eff = 600\nlearn = 1" },
    Case { name: "rosen2", model: "problem", delay: "ms = 1", settings: "n_live = 200\nn_eff = 400\nlearn = 1\nn_batch = 32" },
    Case { name: "line", model: LINE, delay: "ms = 1", settings: "n_live = 200\nn_eff = 400\nlearn = 1" },
    Case {
        name: "gauss3tut",
        model: "problem",
        delay: "ms = 0.7\nsigma = 1",
        settings: "n_live = 150\nn_eff = 500\nlearn = 1\nn_networks = 0",
    },
    #[cfg(feature = "ode")]
    Case {
        name: "lynx-hare",
        model: include_str!("../../src/job/examples/lynx_hare.toml"),
        delay: "ms = 0",
        settings: "n_live = 100\nn_eff = 200\nlearn = 1",
    },
];

/// Models and engines by turns.
fn cases() -> Vec<Case> {
    let of_engine = |engine: &Engine| Case { name: engine.problem, model: "problem", delay: "ms = 0.5", settings: engine.settings };
    let engines: Vec<Case> = ENGINES.iter().map(of_engine).collect();
    let most = MODELS.len().max(engines.len());
    (0..most).flat_map(|i| [MODELS.get(i).copied(), engines.get(i).copied()]).flatten().collect()
}

/// More calls than this are never handed out at once: the points that 256 searches look over first. (Four windows of 256, while sampling.)
const IN_FLIGHT: u64 = 10 * 256;

impl Case {
    fn job(&self, calls: &Path) -> String {
        let model = match self.model {
            "problem" => format!("[model]\nkind = \"problem\"\nname = \"{}\"\n", self.name),
            text => text.split("[sampler]").next().unwrap().replace("seed = 1\n", ""),
        };
        let (delay, settings, calls) = (self.delay, self.settings, calls.display());
        format!(
            "seed = 7\n{model}\n[model.delay]\n{delay}\ncount = \"{calls}\"\n[sampler]\n{settings}\n[run]\non_error = \"reject\"\n\
             checkpoint_s = 0.02\nsilence_limit_s = 20\n"
        )
    }

    /// Digest and likelihood calls of a run that nobody disturbs.
    fn in_peace(&self, folder: &Path) -> (String, u64) {
        let (file, run, calls) = (folder.join("peace.toml"), folder.join("peace"), folder.join("peace.calls"));
        write(&file, &self.job(&calls));
        succeed(fitjob().args(["run", "--ncores", "2", "--set", "model.delay.ms=0", "--out"]).args([&run, &file]));
        (summary(&run)["digest"].as_str().unwrap().into(), fs::metadata(calls).unwrap().len())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kill {
    /// SIGKILL.
    Rank,
    Launcher,
    All,
    /// To the launcher.
    Term,
    Usr1,
    Usr1ToARank,
}

const KILLS: [Kill; 6] = [Kill::Rank, Kill::Launcher, Kill::All, Kill::Term, Kill::Usr1, Kill::Usr1ToARank];

/// When to kill: at a time, or so long after a file of that name is seen being written.
#[derive(Clone, Copy, Debug)]
enum Moment {
    After(f64),
    Writing(&'static str, f64),
}

/// Small, and the same everywhere: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn seconds(&mut self, most: f64) -> f64 {
        self.below(1_000_000) as f64 * 1e-6 * most
    }

    fn seats(&mut self) -> Seats {
        match self.below(6) {
            0 => Seats::Threads(1),
            1 => Seats::Threads(2),
            n => Seats::Ranks(n - 1),
        }
    }

    fn moment(&mut self) -> Moment {
        match self.below(20) {
            0..=3 => Moment::After(self.seconds(0.6)),
            4..=11 => Moment::After(0.4 + self.seconds(1.2)),
            12..=15 => Moment::Writing("0", self.seconds(0.01)),
            16 => Moment::Writing("lock", self.seconds(0.002)),
            17 => Moment::Writing("summary.json", self.seconds(0.02)),
            _ => Moment::Writing("result.h5", self.seconds(0.02)),
        }
    }
}

/// What a torture has shown.
#[derive(Default)]
struct Record {
    kills: BTreeMap<Kill, u32>,
    /// Calls made again, one number a kill.
    repeated: Vec<(u64, Kill, Seats)>,
    /// Seconds that processes lived on without their launcher, by kind of kill.
    orphans: Vec<(Kill, Duration)>,
    /// Exit codes of those that were asked to stop, and had begun.
    codes: BTreeMap<(Kill, Option<i32>), u32>,
}

struct Trial<'a> {
    case: &'a Case,
    dice: Dice,
    folder: PathBuf,
    run: PathBuf,
    record: &'a mut Record,
    /// Calls that were made and lost, and lives so far.
    wasted: u64,
    lives: u64,
}

impl Trial<'_> {
    fn calls(&self) -> u64 {
        fs::metadata(self.folder.join("calls")).map_or(0, |file| file.len())
    }

    fn begin_life(&mut self) -> (Life, Seats) {
        let seats = self.dice.seats();
        let mut command = seats.command();
        command.arg(self.folder.join("job.toml")).arg("--resume=auto").arg("--out").arg(&self.run);
        self.lives += 1;
        (Life::start(command, &self.run), seats)
    }

    /// One life; whether it came to its end before the kill.
    fn live_and_die(&mut self) -> bool {
        let (mut life, seats) = self.begin_life();
        let (moment, kill) = (self.dice.moment(), KILLS[self.dice.below(KILLS.len())]);
        eprintln!("  {} {seats:?}: {kill:?} {moment:?}", self.case.name);
        if wait_for_moment(&mut life, moment, &self.run) {
            assert!(life.end().success(), "ended by itself\n{}", life.said());
            return true;
        }
        let begun = life.ranks().iter().any(|pid| holds_the_lock(&self.run, *pid));
        self.strike(&life, kill);
        let status = life.end();
        let orphans = life.last_member();
        *self.record.kills.entry(kill).or_default() += 1;
        self.record.orphans.push((kill, orphans));
        if begun {
            *self.record.codes.entry((kill, status.code())).or_default() += 1;
        }
        if begun && matches!(kill, Kill::Usr1 | Kill::Usr1ToARank) {
            assert!([Some(75), Some(0)].contains(&status.code()), "{kill:?} gave {status}\n{}", life.said());
        }
        self.post_mortem(kill, seats);
        false
    }

    fn strike(&mut self, life: &Life, kill: Kill) {
        let ranks = life.ranks();
        let one = ranks.get(self.dice.below(ranks.len().max(1))).copied().unwrap_or(life.launcher());
        match kill {
            Kill::Rank => signal(one, libc::SIGKILL),
            Kill::Launcher => signal(life.launcher(), libc::SIGKILL),
            Kill::All => life.members().iter().for_each(|pid| signal(*pid, libc::SIGKILL)),
            Kill::Term => signal(life.launcher(), libc::SIGTERM),
            Kill::Usr1 => signal(life.launcher(), libc::SIGUSR1),
            Kill::Usr1ToARank => signal(one, libc::SIGUSR1),
        }
    }

    /// Every checkpoint can be read, and holds all calls but those in flight.
    fn post_mortem(&mut self, kill: Kill, seats: Seats) {
        if newest_state(&self.run).is_none() {
            return;
        }
        let told = text(&succeed(fitjob().arg("summary").arg(&self.run)).stdout);
        let damage = told.lines().find(|line| line.starts_with("note: ") && !line.contains("it ends within a record"));
        assert_eq!(damage, None, "{told}");
        let Some(kept) = kept(&told) else { return };
        // A resumed life makes one call to see whether the model is still the same.
        let wasted = self.calls().saturating_sub(kept + self.lives - 1);
        let repeated = wasted.saturating_sub(self.wasted);
        assert!(repeated <= IN_FLIGHT, "{kill:?} of {seats:?} lost {repeated} calls\n{told}");
        self.record.repeated.push((repeated, kill, seats));
        self.wasted = self.wasted.max(wasted);
    }

    /// Lives until the run is done.
    fn torture(&mut self, kills: usize) {
        let (digest, calls) = self.case.in_peace(&self.folder);
        write(&self.folder.join("job.toml"), &self.case.job(&self.folder.join("calls")));
        if !(0..kills).any(|_| self.live_and_die()) {
            let mut life = self.begin_life().0;
            assert!(life.end().success(), "the last life\n{}", life.said());
        }
        assert_eq!(summary(&self.run)["digest"].as_str(), Some(&*digest), "another answer");
        assert!(newest_state(&self.run).is_some(), "no checkpoint is left");
        let repeated = self.calls().saturating_sub(calls);
        assert!(repeated <= self.lives * (IN_FLIGHT + 1), "{repeated} calls were repeated in {} lives", self.lives);
    }
}

/// Calls in checkpoint and journal, as `fitjob summary` tells them of an unfinished run: "checkpoint 4: 1 083 calls, 0 more in ...".
fn kept(told: &str) -> Option<u64> {
    let line = told.lines().find(|line| line.starts_with("checkpoint "))?;
    let (calls, since) = line.split_once(':')?.1.split_once(',')?;
    let number = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>().parse::<u64>().ok();
    Some(number(calls)? + number(since)?)
}

/// True if the life ends before.
fn wait_for_moment(life: &mut Life, moment: Moment, run: &Path) -> bool {
    let wait = |life: &mut Life, seconds: f64| {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while life.over().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(200));
        }
        life.over().is_some()
    };
    match moment {
        Moment::After(seconds) => wait(life, seconds),
        Moment::Writing(name, seconds) => {
            while !being_written(run, name) {
                if wait(life, 1e-4) {
                    return true;
                }
            }
            wait(life, seconds)
        }
    }
}

/// Whether there is a temporary file whose name begins so, in the run directory or its checkpoints.
fn being_written(run: &Path, name: &str) -> bool {
    let entries = [run.to_path_buf(), run.join("checkpoint")].into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    entries.flatten().map(|entry| entry.file_name()).any(|file| {
        let file = file.to_string_lossy();
        file.starts_with(name) && file.ends_with(".tmp")
    })
}

fn holds_the_lock(run: &Path, pid: i32) -> bool {
    fs::read_to_string(run.join("lock")).is_ok_and(|text| text.contains(&format!("\"pid\":{pid},")))
}

/// Trials until there were `kills` kills.
fn torture(kills: usize) {
    let number = |name: &str, default: usize| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let (kills, first) = (number("FITJOB_KILLS", kills), number("FITJOB_SEED", 1));
    let (mut record, cases) = (Record::default(), cases());
    for trial in 0.. {
        let done: usize = record.kills.values().map(|n| *n as usize).sum();
        if done >= kills {
            break;
        }
        let folder = tempfile::tempdir().unwrap();
        let (seed, case) = (first + trial, &cases[trial % cases.len()]);
        let mut dice = Dice(seed as u64);
        let most = (3 + dice.below(6)).min(kills - done);
        eprintln!("trial {seed}: {}, {most} kills, in {}\n{}", case.name, folder.path().display(), case.settings);
        let (path, run) = (folder.path().to_path_buf(), folder.path().join("run"));
        let mut trial = Trial { case, dice, folder: path, run, record: &mut record, wasted: 0, lives: 0 };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trial.torture(most)));
        if let Err(cause) = outcome {
            eprintln!("failed: seed {seed}, kept in {} (FITJOB_SEED={seed} begins with it)", folder.keep().display());
            std::panic::resume_unwind(cause);
        }
    }
    report(record);
}

fn report(mut record: Record) {
    record.repeated.sort_by_key(|(calls, ..)| *calls);
    record.orphans.sort_by_key(|(_, time)| *time);
    let share = |q: usize| record.repeated.get((record.repeated.len().max(1) - 1) * q / 100).map_or(0, |(calls, ..)| *calls);
    eprintln!("kills {:?}\nexit codes once begun {:?}", record.kills, record.codes);
    eprintln!(
        "repeated calls a kill: median {}, 90% {}, most {:?}",
        share(50),
        share(90),
        record.repeated.iter().rev().take(5).collect::<Vec<_>>()
    );
    let on_threads = record.repeated.iter().rev().find(|(_, _, seats)| matches!(seats, Seats::Threads(_)));
    eprintln!("most on threads: {on_threads:?}");
    eprintln!("longest without a launcher: {:?}", record.orphans.iter().rev().take(3).collect::<Vec<_>>());
}

#[test]
fn a_run_killed_at_any_instant_ends_with_the_bits_of_one_left_in_peace() {
    torture(25);
}

#[test]
#[ignore = "ten minutes: `make test-long`"]
fn so_do_runs_killed_three_hundred_times_in_all() {
    torture(300);
}
