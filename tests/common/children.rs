//! Programs as likelihoods: a child that misbehaves on demand, jobs of it, and what lives of it.

use super::{text, write};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub const CHILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/command/child.py");

/// Children of ours (by their command line) that live: (pid, parent).
pub fn alive(word: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let pid = path.file_name()?.to_str()?.parse::<u32>().ok()?;
        let line = text(&std::fs::read(path.join("cmdline")).ok()?).replace('\0', " ");
        (line.contains(word) && pid != std::process::id()).then(|| format!("{pid} {line}"))
    });
    processes.collect()
}

pub fn nothing_is_left_of(word: &str) {
    let start = Instant::now();
    while !alive(word).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "left over: {:?}", alive(word));
        std::thread::sleep(Duration::from_millis(50));
    }
}

// ---- from the built binary

pub fn job(how: &str, model: &str, run: &str) -> String {
    let words: Vec<String> = how.split(' ').map(|word| format!("{word:?}")).collect();
    format!(
        "seed = 5\n[model]\nkind = \"command\"\ncommand = [\"python3\", {CHILD:?}, {}]\n{model}\n\
         [parameters]\nx = {{ prior = \"uniform\", min = -1, max = 1 }}\ny = {{ prior = \"uniform\", min = -1, max = 1 }}\n\
         [sampler]\nn_live = 100\nn_eff = 200\n[run]\n{run}\n",
        words.join(", ")
    )
}

pub fn run(command: &mut Command, folder: &Path, name: &str, job: &str) -> Output {
    let file = folder.join(format!("{name}.toml"));
    write(&file, job);
    command.arg(&file).arg("--out").arg(folder.join(name)).output().unwrap()
}

pub fn wait_for(word: &str, n: usize) {
    let start = Instant::now();
    while alive(word).iter().filter(|line| line.contains("child.py")).count() < n {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", alive(word));
        std::thread::sleep(Duration::from_millis(50));
    }
}
