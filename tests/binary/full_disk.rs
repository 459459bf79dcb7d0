//! A run whose disk is full when its files are written.

use crate::common::{text, write};

/// Runs `script` where the folder `small` is a file system of 64 kB; nothing where the kernel lets us make none.
fn with_a_small_disk(small: &std::path::Path, script: &str) -> Option<std::process::Output> {
    let unshare = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--map-root-user", "bash", "-c", script]).current_dir(small.parent()?);
        command.output().ok()
    };
    let mount = format!("mount -t tmpfs -o size=64k tmpfs '{}'", small.display());
    unshare(&mount).filter(|output| output.status.success())?;
    unshare(&format!("{mount} && {script}"))
}

#[test]
fn a_full_disk_costs_the_files_but_not_the_figures_and_exits_5() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    write(&folder.path().join("job.toml"), include_str!("../small.toml"));
    let script = format!("'{}' run job.toml --set sampler.n_eff=3000 --out small/run", env!("CARGO_BIN_EXE_fitjob"));
    let Some(output) = with_a_small_disk(&small, &script) else {
        return eprintln!("skipped: this kernel lets us mount no small file system");
    };
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(5), "{stdout}\n{stderr}");
    assert!(stderr.contains("cannot write") && stderr.contains("result.h5"), "{stderr}");
    assert!(stdout.contains("log Z"), "{stdout}");
}
