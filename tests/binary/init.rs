//! What `fitjob init` writes runs as it is, asks the same question in every language, and takes no file's place.

use crate::common::scaffold::{DECAY, range, run, same, scaffold};
use crate::common::{fitjob, succeed, text, write};
use fitjob::model::{Files, Model, ModelSpec, build};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

#[test]
fn every_kind_is_valid_as_written_and_the_same_likelihood_in_every_language() {
    let wanted = range(&scaffold("curve").unwrap().1);
    for kind in &DECAY[1..] {
        let Some((_home, folder)) = scaffold(kind) else { continue };
        same(range(&folder), wanted, kind);
    }
}

// ---- Python's optional parts

#[test]
fn the_commented_lines_of_the_python_job_make_it_vectorised_with_a_derived_quantity() {
    let (_home, folder) = scaffold("python").unwrap();
    let plain = range(&folder);
    let job = std::fs::read_to_string(folder.join("fit.toml")).unwrap();
    let many =
        ["function", "batch", "derived"].iter().fold(job.clone(), |job, key| job.replace(&format!("\n#{key} ="), &format!("\n{key} =")));
    assert_eq!(many.len() + 3, job.len());
    write(&folder.join("fit.toml"), &many);
    same(range(&folder), plain, "vectorised");
    let summary = run(&mut fitjob(), "python", &folder, "many.run");
    let chi_squared = summary["parameters"]["chi_squared"]["mean"].as_f64().expect("a derived quantity");
    assert!((10.0..40.0).contains(&chi_squared), "{chi_squared} for 20 data");
}

#[test]
fn the_python_gradient_is_that_of_its_function() {
    let (_home, folder) = scaffold("python").unwrap();
    let model = python_model(&folder);
    let names = ["a", "tau", "background"].map(String::from);
    let mut density = model.bind(&names).unwrap();
    let theta = [90.0, 6.0, 8.0];
    let mut gradient = [0.0; 3];
    let value = density.log_like_gradient(&theta, &mut gradient).expect("a gradient").unwrap();
    assert_eq!(Ok(value), density.log_like(&theta));
    for k in 0..3 {
        let mut at = |step: f64| {
            let mut theta = theta;
            theta[k] += step;
            density.log_like(&theta).unwrap()
        };
        let difference = (at(1e-4) - at(-1e-4)) / 2e-4;
        assert!((gradient[k] - difference).abs() < 1e-6 * (1.0 + difference.abs()), "{}: {} for {difference}", names[k], gradient[k]);
    }
}

fn python_model(folder: &Path) -> Box<dyn Model> {
    let spec: ModelSpec = toml::from_str("kind = \"python\"\nscript = \"likelihood.py\"\ngradient = true").unwrap();
    let load = |file: fitjob::model::FileRef| (file.path.clone(), file.load(&folder.join(&file.path)).unwrap());
    let files: Files = spec.files().into_iter().map(load).collect();
    build(&spec, None, 1, &files).unwrap_or_else(|e| panic!("{e}"))
}

// ---- the job script

/// Runs the folder's fit.slurm as sbatch would, with a stand-in for srun and mpiexec that prints what it is to start, and with what.
fn batch(folder: &Path, launch: &str) -> String {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for name in ["srun", "mpiexec"] {
        write(&bin.join(name), "#!/bin/sh\necho start $(basename $0) \"$@\"\nenv | grep keepalive | sort\n");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut bash = Command::new("bash");
    bash.arg("fit.slurm").current_dir(folder).env("LAUNCH", launch).env_remove("FITJOB").env_remove("MPIEXEC");
    for (name, value) in [("JOB_NAME", "fit"), ("JOB_ID", "7"), ("NTASKS", "2"), ("JOB_NODELIST", "here")] {
        bash.env(format!("SLURM_{name}"), value);
    }
    bash.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())).env("PRTE_MCA_oob_tcp_keepalive_time", "60");
    text(&succeed(&mut bash).stdout)
}

#[test]
fn the_job_script_starts_the_program_that_wrote_it() {
    let (_home, folder) = scaffold("curve").unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_fitjob")).canonicalize().unwrap();
    let said = batch(&folder, "srun");
    let wanted = format!("{} run --out fit-7.run --resume=auto --ncores 1", program.display());
    assert!(said.lines().any(|line| line.starts_with("start srun ") && line.ends_with(&wanted)), "{said}");
    assert!(!std::fs::read_to_string(folder.join("fit.slurm")).unwrap().contains("jobscripts/fit.slurm"));
}

#[test]
#[cfg(feature = "mpi")]
fn the_job_script_has_mpiexec_notice_a_lost_host_unless_the_site_says_otherwise() {
    let (_home, folder) = scaffold("curve").unwrap();
    let said = batch(&folder, "mpiexec");
    for (prefix, time) in [("OMPI", 30), ("PRTE", 60)] {
        let name = format!("{prefix}_MCA_oob_tcp_keepalive");
        for line in [format!("{name}_time={time}"), format!("{name}_intvl=10"), format!("{name}_probes=3")] {
            assert!(said.lines().any(|l| l == line), "no {line} in\n{said}");
        }
    }
}

// ---- refusals

fn refused(command: &mut Command, code: i32) -> String {
    let Output { status, stderr, stdout } = command.output().unwrap();
    assert_eq!(status.code(), Some(code), "{}", text(&stderr));
    assert!(stdout.is_empty(), "{}", text(&stdout));
    text(&stderr)
}

#[test]
fn a_file_that_exists_is_named_and_none_is_written() {
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join("data.csv"), "mine");
    let why = refused(fitjob().args(["init", "--python"]).current_dir(home.path()), 5);
    assert!(why.contains("data.csv exists in . already") && why.contains("fitjob init --python NEW"), "{why}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(home.path().join("data.csv")).unwrap(), "mine");

    std::os::unix::fs::symlink("nowhere", home.path().join("fit.toml")).unwrap();
    let why = refused(fitjob().args(["init", "--curve"]).arg(home.path()), 5);
    assert!(why.contains("fit.toml, data.csv exist in"), "{why}");
    assert!(!home.path().join("nowhere").exists());
}

#[test]
fn a_folder_that_cannot_be_is_an_error_with_its_name() {
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join("taken"), "");
    let why = refused(fitjob().args(["init", "--curve"]).arg(home.path().join("taken/new")), 5);
    assert!(why.contains("taken/new/fit.toml cannot be written"), "{why}");
}

#[test]
fn without_a_kind_it_says_which_there_are() {
    let home = tempfile::tempdir().unwrap();
    let why = refused(fitjob().arg("init").current_dir(home.path()), 2);
    for kind in ["curve", "ode", "python", "c", "fortran", "rust"] {
        assert!(why.contains(&format!("fitjob init --{kind} ")), "{why}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    let why = refused(fitjob().args(["init", "--c", "--python"]).current_dir(home.path()), 2);
    assert!(why.contains("cannot be used with"), "{why}");
}

#[test]
fn the_next_commands_name_the_program_as_it_was_called_and_the_folder_as_a_shell_takes_it() {
    let home = tempfile::tempdir().unwrap();
    let said = text(&succeed(fitjob().args(["init", "--c", "it's new"]).current_dir(home.path())).stdout);
    let commands: Vec<&str> = said.lines().skip(2).map(|line| line.split("  #").next().unwrap().trim()).collect();
    let program = env!("CARGO_BIN_EXE_fitjob");
    assert_eq!(commands[..4], [r"cd 'it'\''s new'", "make", &format!("{program} check"), program], "{said}");
    assert!(home.path().join("it's new/likelihood.c").exists());
}
