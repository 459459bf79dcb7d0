//! The vault on a disk that crashes, or fails, at every single operation: what it called durable is there, and nothing is wrong.

use crate::crashing::{Fate, FaultyDisk};
use fitjob::state::{Recovered, StateError, Vault};
use fitjob::task::{Evaluation, TaskId};
use fitjob::world::{Role, World};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const SEEDS: u64 = 12;

fn call(seq: u64) -> Evaluation {
    let outcome = if seq.is_multiple_of(3) { Err(format!("impossible: {seq}")) } else { Ok(seq as f64 / 7.0) };
    Evaluation {
        id: TaskId { lane: (seq % 2) as u32, seq },
        u: vec![1.0 / (seq + 2) as f64; 3],
        outcome,
        derived: vec![0.5; (seq % 4) as usize],
        seconds: seq as f32,
    }
}

/// A run: it knows calls, records those it makes, and saves all it knows.
#[derive(Clone, Default)]
struct Run {
    known: BTreeSet<u64>,
    /// What the vault called durable.
    settled: BTreeSet<u64>,
    /// What it had taken before the disk crashed.
    recorded: BTreeSet<u64>,
    settled_state: u64,
    /// By content: what was ever saved.
    saved: BTreeSet<Vec<u64>>,
}

impl Run {
    /// The machine starts, and the run with it.
    fn resume(&mut self, disk: &FaultyDisk) -> Result<(Vault, Recovered), StateError> {
        let mut world = World::solo();
        let Role::Root(root) = world.enter() else { unreachable!("one rank is the root") };
        Vault::open(&root, Box::new(disk.clone()), [3; 16], true)
    }

    /// What was found must hold all that was settled, and nothing else than was recorded. Gives what the run knows then.
    fn check(&self, found: &Recovered, what: &str) -> BTreeSet<u64> {
        let mut known = BTreeSet::new();
        if let Some(state) = &found.state {
            let content = numbers(&state.sections[0].1);
            assert_eq!(state.sections[0].0, "known", "{what}");
            assert!(self.saved.contains(&content), "{what}: a state that was never saved");
            assert!(state.number >= self.settled_state, "{what}: state {} and not {}", state.number, self.settled_state);
            known.extend(content);
        }
        assert!(found.state.is_some() || self.settled_state == 0, "{what}: state {} is lost: {:?}", self.settled_state, found.notes);
        for (id, evaluation) in &found.evaluations {
            assert_eq!((*id, evaluation), (call(id.seq).id, &call(id.seq)), "{what}");
            known.insert(id.seq);
        }
        assert!(known.is_superset(&self.settled), "{what}: lost {:?}; {:?}", self.settled.difference(&known), found.notes);
        known
    }

    /// What a run would find on this content.
    fn check_content(&self, content: BTreeMap<String, Vec<u8>>, what: &str) -> BTreeSet<u64> {
        let (_vault, found) = self.clone().resume(&FaultyDisk::of(content, Fate::Fine, 0)).unwrap();
        self.check(&found, what)
    }

    fn record(&mut self, vault: &mut Vault, disk: &FaultyDisk, count: u64) {
        let first = self.known.last().map_or(0, |last| last + 1);
        let new: Vec<_> = (first..first + count).collect();
        vault.record(&new.iter().map(|seq| call(*seq)).collect::<Vec<_>>());
        self.known.extend(new);
        if !disk.crashed() {
            self.recorded = self.known.clone();
        }
    }

    fn settle(&mut self, vault: &mut Vault) -> Result<(), StateError> {
        vault.settle(LONG)?;
        self.settled = self.known.clone();
        Ok(())
    }

    fn save(&mut self, vault: &mut Vault) {
        let content: Vec<u64> = self.known.iter().copied().collect();
        let bytes = content.iter().flat_map(|seq| seq.to_le_bytes()).collect();
        self.saved.insert(content);
        assert!(vault.save(vec![("known".into(), bytes), ("ballast".into(), vec![5; 300])]));
    }

    /// Records, saves and settles; stops at the first step that does not become durable, unless told to go on.
    fn live(&mut self, vault: &mut Vault, disk: &FaultyDisk, stubborn: bool) -> Result<(), StateError> {
        for round in 0..3 {
            for step in 0..4 {
                self.record(vault, disk, 2 + step);
                if step == 2 {
                    self.save(vault);
                    self.record(vault, disk, 3);
                }
                let result = self.settle(vault);
                if result.is_ok() && stubborn {
                    self.check_content(disk.after_power_cut(), &format!("round {round} step {step}"));
                }
                if !stubborn {
                    result?;
                }
            }
        }
        Ok(())
    }
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|seq| u64::from_le_bytes(*seq)).collect()
}

/// Operations of a run on a disk that works.
fn operations() -> usize {
    let disk = FaultyDisk::new(Fate::Fine, 0);
    let mut run = Run::default();
    let (mut vault, _) = run.resume(&disk).unwrap();
    run.live(&mut vault, &disk, true).unwrap();
    drop(vault);
    assert!(!disk.crashed() && run.settled.len() == 51);
    disk.operations()
}

#[test]
fn after_a_power_cut_at_any_operation_all_that_was_settled_is_found_and_the_run_goes_on() {
    let operations = operations();
    assert!((60..200).contains(&operations), "{operations} operations");
    for seed in 0..SEEDS {
        for at in 0..operations {
            let mut run = Run::default();
            let mut content = BTreeMap::new();
            // Power cuts one after another, each at another place of the next life; the last life is a quiet one.
            for (life, fate) in [Fate::Crash { at }, Fate::Crash { at: (at * 7 + 3) % operations }, Fate::Fine].into_iter().enumerate() {
                let what = format!("seed {seed}, crash at {at}, life {life}");
                let disk = FaultyDisk::of(content, fate, seed * 1000 + at as u64);
                if let Ok((mut vault, found)) = run.resume(&disk)
                    && !disk.crashed()
                {
                    run.known = run.check(&found, &what);
                    let lived = run.live(&mut vault, &disk, false);
                    assert!(lived.is_ok() || disk.crashed(), "{what}: {lived:?}");
                }
                content = disk.after_power_cut();
                run.check_content(content.clone(), &what);
            }
        }
    }
}

#[test]
fn after_a_kill_at_any_operation_all_that_was_recorded_is_found() {
    let operations = operations();
    for at in 0..operations {
        let disk = FaultyDisk::new(Fate::Crash { at }, at as u64);
        let mut run = Run::default();
        if let Ok((mut vault, _)) = run.resume(&disk) {
            let _ = run.live(&mut vault, &disk, false);
        }
        // The last batch was perhaps being written at the kill; all before it is in the page cache.
        let found = run.check_content(disk.as_written(), &format!("killed at {at}"));
        assert!(found.is_superset(&run.recorded), "killed at {at}: lost {:?}", run.recorded.difference(&found));
    }
}

#[test]
fn errors_at_any_operation_lose_nothing_that_was_settled_and_are_over_when_they_are_over() {
    let operations = operations();
    for (seed, code) in [libc::ENOSPC, libc::EROFS, libc::EIO].into_iter().enumerate() {
        for count in [1, 2, 3, 7, 40] {
            for at in 0..operations {
                let what = format!("{} x {count} at {at}", std::io::Error::from_raw_os_error(code));
                let disk = FaultyDisk::new(Fate::Error { at, count, code }, (seed * 100_000 + count * 1000 + at) as u64);
                let mut run = Run::default();
                let Ok((mut vault, _)) = run.resume(&disk) else { continue };
                run.live(&mut vault, &disk, true).unwrap();
                run.check_content(disk.after_power_cut(), &what);
                while disk.operations() < at + count {
                    run.save(&mut vault);
                    let _ = run.settle(&mut vault);
                }
                run.save(&mut vault);
                run.settle(&mut vault).unwrap_or_else(|e| panic!("{what}: the disk works again, and yet {e}"));
                assert_eq!(run.check_content(disk.after_power_cut(), &what), run.known);
                assert!(!vault.wants_checkpoint(), "{what}");
                let troubles = vault.troubles();
                assert!(troubles.len() <= 8, "{what}: {troubles:#?}");
            }
        }
    }
}

#[test]
fn a_disk_that_fails_for_ever_is_told_of_once_and_the_run_goes_on() {
    for at in 3..operations() {
        let disk = FaultyDisk::new(Fate::Error { at, count: usize::MAX, code: libc::EROFS }, at as u64);
        let mut run = Run::default();
        let (mut vault, _) = run.resume(&disk).unwrap();
        run.live(&mut vault, &disk, true).unwrap();
        run.check_content(disk.after_power_cut(), &format!("read-only from {at} on"));
        let troubles = vault.troubles();
        assert!(troubles.len() <= 2 && vault.troubles().is_empty(), "{troubles:#?}");
        assert!(troubles.iter().all(|line| line.contains("cannot") && line.contains("read-only")), "{troubles:#?}");
    }
}
