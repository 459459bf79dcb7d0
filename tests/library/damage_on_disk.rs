//! The vault on the real disk: what is kept, what is removed, and a disk or folder that fails while a run goes on.

use fitjob::state::{Disk, Recovered, Vault, journal, peek};
use fitjob::task::{Evaluation, TaskId};
use fitjob::world::{Role, World};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const JOB: [u8; 16] = [7; 16];
const LONG: Duration = Duration::from_secs(60);

fn call(seq: u64) -> Evaluation {
    let outcome = if seq % 5 == 4 { Err(format!("no steady state at {seq}")) } else { Ok(-0.1 * seq as f64) };
    Evaluation { id: TaskId { lane: 0, seq }, u: vec![0.25, seq as f64 / 1e3], outcome, derived: vec![], seconds: 0.5 }
}

fn calls(range: std::ops::Range<u64>) -> Vec<Evaluation> {
    range.map(call).collect()
}

fn sections(text: &str) -> Vec<(String, Vec<u8>)> {
    vec![("sampler".into(), text.into()), ("pending".into(), vec![])]
}

fn open_as(folder: &Path, job: [u8; 16], keep_journal: bool) -> (Vault, Recovered) {
    let mut world = World::solo();
    let Role::Root(root) = world.enter() else { unreachable!("one rank is the root") };
    Vault::open(&root, Box::new(Disk::new(folder)), job, keep_journal).unwrap()
}

fn open(folder: &Path) -> (Vault, Recovered) {
    open_as(folder, JOB, true)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn found(recovered: &Recovered) -> Option<(u64, &[u8])> {
    recovered.state.as_ref().map(|state| (state.number, &state.sections[0].1[..]))
}

fn assert_calls(recovered: &Recovered, range: std::ops::Range<u64>) {
    assert_eq!(recovered.evaluations.len() as u64, range.end - range.start, "{:?}", recovered.notes);
    for evaluation in calls(range) {
        assert_eq!(recovered.evaluations.get(&evaluation.id), Some(&evaluation));
    }
}

#[test]
fn the_newest_state_and_its_predecessor_are_kept_with_the_journals_since() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/checkpoint");
    let (mut vault, recovered) = open(&path);
    assert!(recovered.state.is_none() && recovered.evaluations.is_empty() && recovered.notes.is_empty());
    for k in 0..4 {
        vault.record(&calls(10 * k..10 * k + 10));
        assert!(vault.save(sections(&format!("state {k}"))));
        vault.settle(LONG).unwrap();
    }
    vault.record(&calls(40..45));
    vault.settle(LONG).unwrap();
    assert_eq!(names(&path), ["000004.journal", "000004.state", "000005.journal", "000005.state"]);
    assert!(vault.cost().1 > 50 && vault.troubles().is_empty());
    drop(vault);
    let (mut vault, recovered) = open(&path);
    assert_eq!(found(&recovered), Some((5, &b"state 3"[..])));
    assert_calls(&recovered, 40..45);
    vault.record(&calls(45..50));
    assert!(path.join("000006.journal").exists(), "an old journal is never appended to");
    assert_calls(&peek(&path).unwrap(), 40..50);
}

#[test]
fn without_a_state_the_journals_alone_are_read_and_a_kill_loses_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, _) = open(folder.path());
    vault.record(&calls(0..3));
    vault.record(&calls(3..7));
    std::mem::forget(vault);
    let (mut vault, recovered) = open(folder.path());
    assert!(recovered.state.is_none());
    assert_calls(&recovered, 0..7);
    vault.record(&calls(7..9));
    std::mem::forget(vault);
    assert_calls(&peek(folder.path()).unwrap(), 0..9);
}

#[test]
fn a_damaged_state_gives_way_to_its_predecessor_whose_journals_are_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, _) = open(folder.path());
    for k in 0..3 {
        vault.record(&calls(10 * k..10 * k + 10));
        vault.save(sections(&format!("state {k}")));
        vault.settle(LONG).unwrap();
    }
    vault.record(&calls(30..35));
    drop(vault);
    let newest = folder.path().join("000004.state");
    let mut bytes = fs::read(&newest).unwrap();
    bytes[40] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let (mut vault, recovered) = open(folder.path());
    assert_eq!(found(&recovered), Some((3, &b"state 1"[..])));
    assert_calls(&recovered, 20..35);
    assert!(recovered.notes[0].contains("000004.state") && recovered.notes[0].contains("damaged"), "{:?}", recovered.notes);
    vault.save(sections("state 3"));
    vault.settle(LONG).unwrap();
    assert_eq!(names(folder.path()), ["000003.journal", "000003.state", "000004.journal", "000005.state"]);
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, _) = open(folder.path());
    vault.record(&calls(0..4));
    drop(vault);
    let file = folder.path().join("000001.journal");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let recovered = peek(folder.path()).unwrap();
    assert_calls(&recovered, 0..3);
    assert!(recovered.notes[0].contains("within a record") && recovered.notes[0].contains("3 calls"), "{:?}", recovered.notes);
}

#[test]
fn a_journal_of_another_job_or_under_another_name_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, _) = open(folder.path());
    vault.record(&calls(0..4));
    drop(vault);
    let (_, recovered) = open_as(folder.path(), [8; 16], true);
    assert!(recovered.foreign && recovered.evaluations.is_empty() && recovered.notes[0].contains("another job"));
    fs::rename(folder.path().join("000001.journal"), folder.path().join("000002.journal")).unwrap();
    assert!(peek(folder.path()).unwrap().foreign);
}

#[test]
fn leftovers_of_dead_writers_are_removed_and_other_peoples_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["000003.state.99.tmp", "notes.txt", "mine.tmp"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let (mut vault, recovered) = open_as(folder.path(), JOB, false);
    assert!(recovered.notes.is_empty());
    vault.record(&calls(0..4));
    vault.save(sections("a"));
    vault.settle(LONG).unwrap();
    assert_eq!(names(folder.path()), ["000001.state", "mine.tmp", "notes.txt"], "and no journal is kept where none is wanted");
}

#[test]
fn a_file_of_a_newer_format_is_refused_and_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let head = journal::Head { number: 1, job: JOB };
    let mut bytes = journal::header(head).to_vec();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..36]).to_le_bytes();
    bytes[36..40].copy_from_slice(&crc);
    fs::write(folder.path().join("000001.journal"), &bytes).unwrap();
    let error = peek(folder.path()).unwrap_err();
    assert!(error.what.contains("format version 2") && error.help.unwrap().contains("newer"), "{}", error.what);
    // A record of a kind, or with a status, that version 1 does not have.
    for field in [8, 9] {
        let mut bytes = journal::header(head).to_vec();
        let at = bytes.len();
        journal::encode(&mut bytes, head, at as u64, &call(0));
        bytes[at + field] = 2;
        let covered = [&JOB[..], &1u64.to_le_bytes(), &(at as u64).to_le_bytes(), &bytes[at..at + 4], &bytes[at + 8..]].concat();
        bytes[at + 4..at + 8].copy_from_slice(&crc32fast::hash(&covered).to_le_bytes());
        fs::write(folder.path().join("000001.journal"), &bytes).unwrap();
        let error = peek(folder.path()).unwrap_err();
        assert!(error.what.contains("a record of a kind") && error.what.contains("at byte 40"), "{}", error.what);
    }
}

/// Waits for what the vault's thread notices within its second.
fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !ready() {
        assert!(Instant::now() < end, "no sign of: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_folder_removed_while_running_is_noticed_made_again_and_filled_by_the_next_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/checkpoint");
    let (mut vault, _) = open(&path);
    vault.record(&calls(0..4));
    vault.save(sections("lost"));
    vault.record(&calls(4..6));
    vault.settle(LONG).unwrap();
    fs::remove_dir_all(folder.path().join("run")).unwrap();
    vault.record(&calls(6..8));
    wait_for("the folder's removal", || vault.wants_checkpoint());
    let troubles = vault.troubles();
    assert!(troubles.len() == 1 && troubles[0].contains("was removed"), "{troubles:?}");
    assert!(vault.settle(LONG).is_err(), "the records are lost until there is a checkpoint");
    assert!(vault.save(sections("all of it")));
    vault.record(&calls(8..10));
    vault.settle(LONG).unwrap();
    assert!(!vault.wants_checkpoint());
    assert!(vault.troubles()[0].contains("whole again"));
    let recovered = peek(&path).unwrap();
    assert_eq!(found(&recovered).unwrap().1, b"all of it");
    assert_calls(&recovered, 8..10);
}

#[test]
fn a_folder_removed_between_checkpoints_is_made_again_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let (mut vault, _) = open_as(&path, JOB, false);
    fs::remove_dir_all(&path).unwrap();
    assert!(vault.save(sections("a")));
    vault.settle(LONG).unwrap();
    assert_eq!(found(&peek(&path).unwrap()), Some((1, &b"a"[..])));
}

#[test]
fn a_folder_that_cannot_be_made_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let mut world = World::solo();
    let Role::Root(root) = world.enter() else { unreachable!("one rank is the root") };
    let error = Vault::open(&root, Box::new(Disk::new(folder.path().join("file/checkpoint"))), JOB, true).err().unwrap();
    assert!(error.what.contains("cannot make the folder") && error.what.contains("file/checkpoint") && error.help.is_some());
}

#[test]
fn a_folder_of_many_numbers_sorts_by_number() {
    let folder = tempfile::tempdir().unwrap();
    for number in [999_999_u64, 1_000_000] {
        let mut bytes = journal::header(journal::Head { number, job: JOB }).to_vec();
        let at = bytes.len() as u64;
        journal::encode(&mut bytes, journal::Head { number, job: JOB }, at, &call(number));
        fs::write(folder.path().join(format!("{number:06}.journal")), bytes).unwrap();
    }
    let (mut vault, recovered) = open(folder.path());
    assert_eq!(recovered.evaluations.len(), 2);
    vault.record(&calls(0..1));
    assert!(folder.path().join("1000001.journal").exists());
}

/// On a file system of 64 kB: a journal that fills it, then room again. Run by the test below, in a namespace with that mount.
#[test]
#[ignore = "needs the small disk that the test below mounts"]
fn role_inside_a_small_disk() {
    let folder = Path::new("small/checkpoint");
    let (mut vault, _) = open(folder);
    vault.record(&calls(0..5));
    vault.save(sections("first"));
    vault.settle(LONG).unwrap();
    fs::write("small/filler", vec![0; 48 << 10]).unwrap();
    vault.save(vec![("sampler".into(), vec![1; 32 << 10])]);
    let error = vault.settle(LONG).unwrap_err();
    assert!(error.what.contains("cannot write the checkpoint") && error.help.unwrap().contains("make room"), "{}", error.what);
    for k in 0..30 {
        vault.record(&calls(10 + 10 * k..20 + 10 * k));
    }
    assert!(vault.settle(LONG).is_err());
    let troubles = vault.troubles();
    assert_eq!(troubles.len(), 2, "each kind once: {troubles:#?}");
    let recovered = peek(folder).unwrap();
    assert_eq!(found(&recovered).unwrap().1, b"first");
    assert!(recovered.notes.is_empty(), "no torn record is left where it could be cut off: {:?}", recovered.notes);
    fs::remove_file("small/filler").unwrap();
    assert!(vault.settle(LONG).is_err(), "the records are in the journal now, and the checkpoint is still missing");
    assert!(vault.save(sections("second")));
    vault.settle(LONG).unwrap();
    assert_eq!(vault.troubles(), ["the journal is whole again", "checkpoints are written again"]);
    assert_eq!(found(&peek(folder).unwrap()).unwrap().1, b"second");
}

#[test]
fn a_full_disk_costs_nothing_once_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let unshare = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--map-root-user", "bash", "-c", script]).current_dir(folder.path()).output()
    };
    fs::create_dir(folder.path().join("small")).unwrap();
    let mount = "mount -t tmpfs -o size=64k tmpfs small";
    if !unshare(mount).is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: this kernel lets us mount no small file system");
    }
    let this = std::env::current_exe().unwrap();
    let output =
        unshare(&format!("{mount} && '{}' --exact damage_on_disk::role_inside_a_small_disk --ignored --nocapture", this.display()))
            .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
