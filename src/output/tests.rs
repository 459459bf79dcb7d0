//! Figures as people read them, and the log.

use super::text::*;
use super::*;
use crate::sampler;
use crate::world::{Role, World};

#[test]
fn durations_read_as_people_say_them() {
    assert_eq!(duration(0.0), "0 s");
    assert_eq!(duration(0.00123), "0.00123 s");
    assert_eq!(duration(4.2), "4.20 s");
    assert_eq!(duration(99.96), "1 min 40 s");
    assert_eq!(duration(187.0), "3 min 07 s");
    assert_eq!(duration(3599.7), "1 h 00 min");
    assert_eq!(duration(7501.0), "2 h 05 min");
    assert_eq!(duration(f64::NAN), "?");
    assert_eq!(clock(3787.9), "1:03:07");
}

#[test]
fn a_figure_shows_the_digits_that_its_error_lets_it_have() {
    assert_eq!(to_scale(-123.4567, 0.0321), "-123.457");
    assert_eq!(to_scale(0.54321, 0.064), "0.543");
    assert_eq!(to_scale(1234.5, 120.0), "1234");
    assert_eq!(to_scale(1.23456e-9, 1e-11), "1.235e-9");
    assert_eq!(to_scale(0.5, f64::NAN), "0.500000");
    assert_eq!(to_scale(0.5, 0.0), "0.500000");
    assert_eq!(to_scale(f64::NEG_INFINITY, 1.0), "-inf");
    assert_eq!(significant(0.000123456, 3), "0.000123");
    assert_eq!(significant(9.996, 3), "10.0");
    assert_eq!(significant(1.5e12, 2), "1.5e12");
}

#[test]
fn large_counts_are_grouped_and_columns_aligned() {
    assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1 000", "1 234 567"]);
    let rows = [vec!["a".into(), "1".into()], vec!["longer".into(), "+µ22".into()]];
    assert_eq!(table(&rows), "a          1\nlonger  +µ22\n");
}

#[test]
fn a_counter_is_shown_as_an_integer() {
    assert_eq!([12.0, 0.5, -3.0, f64::NAN].map(plain), ["12", "0.5000", "-3", "NaN"]);
}

#[test]
fn the_log_is_one_json_object_a_line_with_a_time_in_each() {
    let place = tempfile::tempdir().unwrap();
    let mut world = World::solo();
    let Role::Root(root) = world.enter() else { panic!("a single rank is the root") };
    let path = place.path().join("log.jsonl");
    let mut log = Log::open(&root, &path, false).unwrap();
    log.start(&RunFacts { job: "a.toml".into(), seed: 3, ..RunFacts::default() });
    let mut display = Progress::new(&root, Style::Quiet, Some(log));
    assert!(!display.due(), "nothing to show in the first moment");
    display.warn("a model call\nreturned \"NaN\"");
    display.resumed_at(12);
    let progress = sampler::Progress { log_z: f64::NEG_INFINITY, n_like: 12, ..sampler::Progress::default() };
    let mut log = display.finish(&progress).unwrap();
    log.failed("rank 3 is gone");
    let text = std::fs::read_to_string(&path).unwrap();
    let records: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = records.iter().map(|r| r["record"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "warning", "progress", "end"]);
    assert!(records.iter().all(|r| r["time"].as_str().unwrap().ends_with('Z') && r["elapsed_s"].is_f64()));
    assert_eq!(records[0]["seed"], 3);
    assert_eq!(records[2]["log_z"], "-Infinity");
    assert_eq!(records[2]["calls_per_s"], 0.0, "calls of an earlier life are no speed");
    assert_eq!(records[3]["why"], "rank 3 is gone");
}

#[test]
fn a_failed_write_leaves_the_old_file_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("f");
    atomic::write(&path, b"old").unwrap();
    let failed = atomic::write_with(&path, |temporary| {
        std::fs::write(temporary, b"half of the new one")?;
        Err(std::io::Error::other("disk full"))
    });
    assert!(failed.unwrap_err().what.contains("disk full"));
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}
