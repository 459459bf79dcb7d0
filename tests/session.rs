//! fitjob as a library: the same result in the hands of every rank.

mod common;

use fitjob::job::{self, Source};
use fitjob::session::{self, Outcome};
use fitjob::world::World;

const JOB: &str = r#"
seed = 3
[model]
kind = "problem"
name = "gauss3tut"
[derived]
total = "x1 + x2 + x3"
[sampler]
method = "nautilus"
n_live = 200
n_eff = 500
"#;

fn source() -> Source {
    Source { name: "library.toml".into(), text: JOB.into(), base: ".".into(), overrides: vec![], json: false }
}

#[test]
fn every_rank_can_read_samples_weights_and_evidence() {
    let package = job::load(source()).unwrap();
    let fits = World::loopback(4, |mut world| {
        let job = job::resolve(&package).unwrap();
        let (outcome, effort) = session::fit(&mut world, &job, 1, None).unwrap();
        assert_eq!(effort.is_some(), world.is_root(), "only the root knows the cost");
        let Outcome::Done(fit) = outcome else { panic!("stopped: {outcome:?}") };
        fit
    });
    assert!(fits.iter().all(|fit| *fit == fits[0]));
    let fit = &fits[3];
    assert_eq!(fit.theta.len(), fit.len() * 3);
    assert_eq!(fit.derived.len(), fit.len());
    let weight: f64 = fit.weights().iter().sum();
    assert!((weight - 1.0).abs() < 1e-9);
    assert!((fit.log_z + 4.1509).abs() < 6.0 * fit.log_z_err, "log Z = {} +- {}", fit.log_z, fit.log_z_err);
}

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
    std::fs::write(folder.path().join("job.toml"), JOB).unwrap();
    let script = format!("'{}' run job.toml --set sampler.n_eff=3000 --out small/run", env!("CARGO_BIN_EXE_fitjob"));
    let Some(output) = with_a_small_disk(&small, &script) else {
        return eprintln!("skipped: this kernel lets us mount no small file system");
    };
    let (stdout, stderr) = (common::text(&output.stdout), common::text(&output.stderr));
    assert_eq!(output.status.code(), Some(5), "{stdout}\n{stderr}");
    assert!(stderr.contains("cannot write") && stderr.contains("result.h5"), "{stderr}");
    assert!(stdout.contains("log Z"), "{stdout}");
}
