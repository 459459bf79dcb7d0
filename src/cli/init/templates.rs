//! What `fitjob init` writes: the files of templates/, and the job script with the program's place filled in.

use std::path::Path;

type File = (&'static str, &'static str);

pub struct Template {
    /// Without its two dashes.
    pub flag: &'static str,
    pub what: &'static str,
    own: &'static [File],
    /// What builds the likelihood, and what it builds.
    build: Option<File>,
}

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../templates/", $path))
    };
}

const CURVE_DATA: File = ("data.csv", template!("curve/data.csv"));
const MAKE: Option<File> = Some(("make", "builds likelihood.so"));

/// In the order of the flags.
pub const TEMPLATES: [Template; 5] = [
    Template {
        flag: "curve",
        what: "a formula over columns of data",
        own: &[("fit.toml", template!("curve/fit.toml")), CURVE_DATA],
        build: None,
    },
    Template {
        flag: "ode",
        what: "differential equations, fitted to data over time",
        own: &[("fit.toml", template!("ode/fit.toml")), ("pelts.csv", template!("ode/pelts.csv"))],
        build: None,
    },
    Template {
        flag: "python",
        what: "a Python function",
        own: &[("fit.toml", template!("python/fit.toml")), ("likelihood.py", template!("python/likelihood.py")), CURVE_DATA],
        build: None,
    },
    Template {
        flag: "c",
        what: "a C function, or anything that links like one",
        own: &[("fit.toml", template!("c/fit.toml")), ("likelihood.c", template!("c/likelihood.c")), ("Makefile", template!("c/Makefile"))],
        build: MAKE,
    },
    Template {
        flag: "fortran",
        what: "a Fortran function",
        own: &[
            ("fit.toml", template!("fortran/fit.toml")),
            ("likelihood.f90", template!("fortran/likelihood.f90")),
            ("Makefile", template!("fortran/Makefile")),
        ],
        build: MAKE,
    },
];

/// The job script, and where in it the program's place stands.
const FIT_SLURM: File = ("fit.slurm", include_str!("../../../jobscripts/fit.slurm"));
const PROGRAM_IN_SLURM: &str = "${FITJOB:-./target/release/fitjob}";
const PLACE_IN_SLURM: &str = "jobscripts/fit.slurm";

impl Template {
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.own.iter().map(|(name, _)| *name).chain([FIT_SLURM.0])
    }

    /// Names and texts.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let mut files: Vec<_> = self.own.iter().map(|(name, text)| (*name, text.to_string())).collect();
        files.push((FIT_SLURM.0, job_script()));
        files
    }

    /// Commands in the folder, and what each does.
    pub fn next(&self) -> Vec<(String, &'static str)> {
        let program = program_as_called();
        let mut next: Vec<(String, &str)> = self.build.iter().map(|(command, what)| (command.to_string(), *what)).collect();
        next.extend([
            (format!("{program} check"), "is it right? draws from the prior, the time of a call"),
            (program.clone(), "runs fit.toml on the cores of this machine; the result is in fit.run"),
            (format!("mpiexec -n 4 {program}"), "or on four ranks, with the same bits (after another run: --out NEW, or --force)"),
            ("sbatch fit.slurm".into(), "or under Slurm"),
            (format!("{program} summary fit.run"), "the result again"),
        ]);
        next
    }
}

/// jobscripts/fit.slurm as it is, but for the place of the program: this one.
fn job_script() -> String {
    let here = std::env::current_exe().map_or("fitjob".into(), |path| path.display().to_string());
    FIT_SLURM.1.replace(PROGRAM_IN_SLURM, &format!("${{FITJOB:-{here}}}")).replace(PLACE_IN_SLURM, FIT_SLURM.0)
}

/// By its name if the shell found it so, else by a path that holds in another folder too.
fn program_as_called() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "fitjob".into());
    match called.contains('/') {
        true => std::path::absolute(Path::new(&called)).map_or(called, |path| path.display().to_string()),
        false => called,
    }
}
