//! Damaged checkpoints and journals: always detected, never a wrong value, never a panic; and files of every format version are read for ever.

use fitjob::job::{self, Package, Source};
use fitjob::random::{Purpose, stream, uniform};
use fitjob::sampler;
use fitjob::session::Snapshot;
use fitjob::state::{container, journal, peek};
use fitjob::task::{Evaluation, TaskId};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const JOB: [u8; 16] = *b"sixteen bytes it";

fn call(seq: u64) -> Evaluation {
    let outcome = if seq % 4 == 3 { Err(format!("the solver gave up at step {seq} (µ < 0)")) } else { Ok(-1.5 * seq as f64) };
    let (u, derived) = (vec![seq as f64 / 512.0, 0.5], vec![2.0; (seq % 3) as usize]);
    Evaluation { id: TaskId { lane: (seq % 2) as u32, seq }, u, outcome, derived, seconds: 0.25 }
}

/// A journal of these calls, and where each record ends.
fn journal_of(number: u64, seqs: std::ops::Range<u64>) -> (Vec<u8>, Vec<usize>) {
    let head = journal::Head { number, job: JOB };
    let mut bytes = journal::header(head).to_vec();
    let mut ends = Vec::new();
    for seq in seqs {
        let at = bytes.len() as u64;
        journal::encode(&mut bytes, head, at, &call(seq));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn state_of(number: u64) -> Vec<(String, Vec<u8>)> {
    let noise = (0..700_u64).map(|k| ((k * k * (number + 3)) >> 4) as u8).collect();
    vec![("about".into(), format!("state {number}").into()), ("sampler".into(), noise), ("under_way".into(), vec![])]
}

/// What a run leaves: two states, and the journals since the older.
fn healthy() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("000004.state", container::write(&state_of(4))),
        ("000004.journal", journal_of(4, 40..50).0),
        ("000005.state", container::write(&state_of(5))),
        ("000005.journal", journal_of(5, 50..60).0),
        ("000006.journal", journal_of(6, 60..65).0),
    ])
}

/// One of: a flipped bit, a cut, an inserted, repeated, removed, zeroed or scribbled range.
fn damage(bytes: &mut Vec<u8>, below: &mut impl FnMut(usize) -> usize) {
    let from = below(bytes.len());
    let to = from + 1 + below((bytes.len() - from).min(200));
    let to = to.min(bytes.len());
    match below(7) {
        0 => bytes[from] ^= 1 << below(8),
        1 => bytes.truncate(from),
        2 => _ = bytes.splice(from..from, (0..to - from).map(|k| (k * 31) as u8)),
        3 => {
            let piece = bytes[from..to].to_vec();
            bytes.splice(to..to, piece);
        }
        4 => _ = bytes.drain(from..to),
        5 => bytes[from..to].fill(0),
        _ => bytes[from..to].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(5).wrapping_add(1)),
    }
}

#[test]
fn a_thousand_damages_are_detected_and_the_predecessor_is_used() {
    let folder = tempfile::tempdir().unwrap();
    healthy().iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    let mut harmless = 0;
    for k in 0..1000 {
        let mut rng = stream(2026, Purpose::Check, 0, k);
        let mut below = |bound: usize| (uniform(&mut rng) * bound as f64) as usize;
        let mut files = healthy();
        let name = *files.keys().nth(below(files.len())).unwrap();
        damage(files.get_mut(name).unwrap(), &mut below);
        if files[name] == healthy()[name] {
            harmless += 1;
            continue;
        }
        fs::write(folder.path().join(name), &files[name]).unwrap();
        check(folder.path(), name, &files[name], &format!("damage {k} of {name}"));
        fs::write(folder.path().join(name), &healthy()[name]).unwrap();
    }
    assert!(harmless < 100, "{harmless} damages changed nothing");
}

/// One file is damaged: the rest is used, and what is damaged is not.
fn check(folder: &Path, name: &str, damaged: &[u8], what: &str) {
    let found = peek(folder).unwrap_or_else(|e| panic!("{what}: {e}"));
    let state = found.state.unwrap_or_else(|| panic!("{what}: no state"));
    let expected = if name == "000005.state" { 4 } else { 5 };
    assert_eq!((state.number, state.sections), (expected, state_of(expected)), "{what}");
    for (id, evaluation) in &found.evaluations {
        assert_eq!((*id, evaluation), (call(id.seq).id, &call(id.seq)), "{what}: a wrong value");
    }
    let number: u64 = name[..6].parse().unwrap();
    let all = if name.ends_with("state") { None } else { Some(healthy()[name].clone()) };
    for (journal, seqs) in [(4, 40..50), (5, 50..60), (6, 60..65)] {
        let (_, ends) = journal_of(journal, seqs.clone());
        let same = |bytes: &Vec<u8>| bytes.iter().zip(damaged).take_while(|(a, b)| a == b).count();
        let whole = all.as_ref().filter(|_| journal == number).map_or(usize::MAX, same);
        for (seq, end) in seqs.zip(ends) {
            let there = found.evaluations.contains_key(&call(seq).id);
            assert_eq!(there, journal >= expected && end <= whole, "{what}: call {seq}");
        }
    }
    // A journal that is cut between two records is one that ends there.
    let unharmed =
        journal::read(damaged).tail == journal::Tail::Clean || (name == "000004.state" || (name == "000004.journal" && expected == 5));
    assert!(unharmed || found.notes.iter().any(|note| note.contains(name)), "{what}: {:?}", found.notes);
}

#[test]
fn damage_to_every_file_at_once_gives_no_wrong_value_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    for k in 0..300 {
        let mut rng = stream(2027, Purpose::Check, 0, k);
        let mut below = |bound: usize| (uniform(&mut rng) * bound as f64) as usize;
        for (name, mut bytes) in healthy() {
            damage(&mut bytes, &mut below);
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let found = peek(folder.path()).unwrap();
        if let Some(state) = found.state {
            assert_eq!(state.sections, state_of(state.number));
        }
        assert!(found.evaluations.values().all(|evaluation| *evaluation == call(evaluation.id.seq)));
    }
}

#[test]
fn every_bit_of_a_journal_is_guarded_and_the_records_before_it_are_read() {
    let (whole, ends) = journal_of(9, 0..4);
    let calls: Vec<_> = (0..4).map(call).collect();
    assert_eq!(journal::read(&whole).evaluations, calls);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let content = journal::read(&bytes);
        let before = if bit / 8 < journal::HEADER { 0 } else { ends.iter().filter(|end| **end <= bit / 8).count() };
        assert_eq!(content.evaluations, calls[..before], "bit {bit}");
        assert_ne!(content.tail, journal::Tail::Clean, "bit {bit}");
    }
    for length in 0..whole.len() {
        let content = journal::read(&whole[..length]);
        assert_eq!(content.evaluations, calls[..ends.iter().filter(|end| **end <= length).count()], "cut to {length}");
        let clean = length == 0 || length == journal::HEADER || ends.contains(&length);
        assert_eq!(content.tail == journal::Tail::Clean, clean, "cut to {length}");
    }
}

#[test]
fn not_a_number_infinities_and_long_reasons_come_back_as_they_were() {
    let head = journal::Head { number: 1, job: JOB };
    let nan = f64::from_bits(0x7ff8_dead_beef_0001);
    let values = [Ok(f64::NEG_INFINITY), Ok(nan), Ok(-0.0), Err("µ".repeat(5000)), Err(String::new())];
    let mut bytes = journal::header(head).to_vec();
    for (seq, outcome) in values.iter().cloned().enumerate() {
        let at = bytes.len() as u64;
        journal::encode(&mut bytes, head, at, &Evaluation { outcome, ..call(seq as u64) });
    }
    let read = journal::read(&bytes).evaluations;
    let bits = |k: usize| read[k].outcome.as_ref().unwrap().to_bits();
    assert_eq!([bits(0), bits(1), bits(2)], [f64::NEG_INFINITY.to_bits(), nan.to_bits(), (-0.0f64).to_bits()]);
    assert_eq!(read[3].outcome, Err("µ".repeat(2048)), "4096 bytes of a reason are kept");
    assert_eq!(read[4].outcome, Err(String::new()));
}

fn compat() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/v1")
}

/// Wrote tests/compat/v1 once. Those files are never written again: a new format version gets a folder of its own.
#[test]
#[ignore = "writes tests/compat/v1, if it is not there"]
fn role_of_the_writer_of_format_version_1() {
    assert!(!compat().exists(), "they are never written again");
    fs::create_dir_all(compat()).unwrap();
    fs::write(compat().join("000004.state"), container::write(&state_of(4))).unwrap();
    fs::write(compat().join("000004.journal"), journal_of(4, 40..50).0).unwrap();
}

#[test]
fn files_of_format_version_1_are_read_for_ever() {
    let found = peek(&compat()).unwrap();
    let state = found.state.unwrap();
    assert_eq!((state.number, state.sections), (4, state_of(4)));
    assert_eq!(found.evaluations.len(), 10);
    assert!((40..50).all(|seq| found.evaluations[&call(seq).id] == call(seq)));
    assert!(found.notes.is_empty());
    assert_eq!(fs::read(compat().join("000004.journal")).unwrap(), journal_of(4, 40..50).0, "the journal is still written so");
}

/// Inputs that once were too much for a reader, found by fuzzing (see fuzz/README.md).
fn findings(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_findings").join(target);
    fs::read_dir(folder).map_or(vec![], |entries| entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect())
}

#[test]
fn what_fuzzing_found_is_read_or_refused_without_a_panic() {
    for bytes in findings("journal") {
        journal::read(&bytes);
    }
    for bytes in findings("checkpoint") {
        let _ = container::read(&bytes);
        let _ = sampler::restore("importance-nested", &bytes);
        let sections = ["about", "sampler", "under_way"].map(|name| (name.to_string(), bytes.clone()));
        let _ = Snapshot::read(sections.to_vec());
    }
    for text in findings("job_file").into_iter().filter_map(|bytes| String::from_utf8(bytes).ok()) {
        let json = text.trim_start().starts_with('{');
        let source = Source { name: "found.toml".into(), text, base: "/nowhere".into(), overrides: vec![], json };
        let _ = job::resolve(&Package { source, files: Default::default() }).map_err(|error| error.report(true));
    }
}
