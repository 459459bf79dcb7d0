//! What keeping a journal costs the run: `cargo bench --bench journal [FOLDER]` (default: the system's temporary folder).
//!
//! Prints nanoseconds a call on the recording thread, beside its share of a call of 1 ms, for 10 parameters and batches of 1, 16 and 64;
//! then what a checkpoint of 10 MB holds up the run, and takes in the background.

use fitjob::state::{Disk, Vault};
use fitjob::task::{Evaluation, TaskId};
use fitjob::world::{Role, World};
use std::time::{Duration, Instant};

const CALLS: u64 = 400_000;

fn call(seq: u64) -> Evaluation {
    let u = (0..10).map(|k| 1.0 / (seq + k + 1) as f64).collect();
    Evaluation { id: TaskId { lane: 0, seq }, u, outcome: Ok(-0.5 * seq as f64), derived: vec![], seconds: 1e-3 }
}

fn main() {
    let given = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let base = given.map_or_else(std::env::temp_dir, Into::into).join(format!("fitjob-journal-{}", std::process::id()));
    let mut world = World::solo();
    let Role::Root(root) = world.enter() else { unreachable!("one rank is the root") };
    let mut open = |name: &str| Vault::open(&root, Box::new(Disk::new(base.join(name))), [1; 16], true).unwrap().0;
    for batch in [1, 16, 64] {
        let mut vault = open(&format!("batch{batch}"));
        let calls: Vec<_> = (0..batch).map(call).collect();
        let (begun, mut longest) = (Instant::now(), Duration::ZERO);
        for _ in 0..CALLS / batch {
            let begun = Instant::now();
            vault.record(&calls);
            longest = longest.max(begun.elapsed());
        }
        let each = begun.elapsed().as_nanos() as f64 / CALLS as f64;
        vault.settle(Duration::from_secs(60)).unwrap();
        println!("batch {batch:3}: {each:6.0} ns a call, {:.3}% of 1 ms; longest batch {longest:.1?}", each / 1e4);
    }
    let mut vault = open("states");
    for _ in 0..3 {
        let state = vec![("sampler".to_string(), vec![7; 10_000_000])];
        let begun = Instant::now();
        assert!(vault.save(state));
        let held = begun.elapsed();
        vault.settle(Duration::from_secs(60)).unwrap();
        let (took, bytes) = vault.cost();
        println!("checkpoint of {bytes} bytes: holds up {held:.1?}, takes {took:.1?}");
    }
    drop(vault);
    std::fs::remove_dir_all(base).unwrap();
}
