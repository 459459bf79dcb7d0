//! What `fitjob init` writes: the files of templates/, with what is true of this program and this machine filled in.

use std::path::Path;

/// Name in the new folder, and text.
type File = (&'static str, &'static str);

pub struct Template {
    /// Without its two dashes.
    pub flag: &'static str,
    pub what: &'static str,
    files: &'static [File],
    /// The command that builds the likelihood, and what it builds.
    build: Option<File>,
    /// The program that runs the job, if it is not this one.
    program: Option<&'static str>,
}

macro_rules! template {
    ($name:literal, $path:literal) => {
        ($name, include_str!(concat!("../../../templates/", $path)))
    };
}

const DATA: File = template!("data.csv", "curve/data.csv");
const JOB_SCRIPT: File = ("fit.slurm", include_str!("../../../jobscripts/fit.slurm"));
const MAKE: Option<File> = Some(("make", "builds likelihood.so"));
const CARGO: Option<File> = Some(("cargo build --release", "builds ./target/release/decay; takes minutes at first"));

/// In the order of the flags.
pub const TEMPLATES: [Template; 6] = [
    Template {
        flag: "curve",
        what: "a formula over columns of data",
        files: &[template!("fit.toml", "curve/fit.toml"), DATA, JOB_SCRIPT],
        build: None,
        program: None,
    },
    Template {
        flag: "ode",
        what: "differential equations, fitted to data over time",
        files: &[template!("fit.toml", "ode/fit.toml"), template!("pelts.csv", "ode/pelts.csv"), JOB_SCRIPT],
        build: None,
        program: None,
    },
    Template {
        flag: "python",
        what: "a Python function",
        files: &[template!("fit.toml", "python/fit.toml"), template!("likelihood.py", "python/likelihood.py"), DATA, JOB_SCRIPT],
        build: None,
        program: None,
    },
    Template {
        flag: "c",
        what: "a C function, with a Makefile",
        files: &[
            template!("fit.toml", "c/fit.toml"),
            template!("likelihood.c", "c/likelihood.c"),
            template!("Makefile", "c/Makefile"),
            JOB_SCRIPT,
        ],
        build: MAKE,
        program: None,
    },
    Template {
        flag: "fortran",
        what: "a Fortran function, with a Makefile",
        files: &[
            template!("fit.toml", "fortran/fit.toml"),
            template!("likelihood.f90", "fortran/likelihood.f90"),
            template!("Makefile", "fortran/Makefile"),
            JOB_SCRIPT,
        ],
        build: MAKE,
        program: None,
    },
    Template {
        flag: "rust",
        what: "a Rust program of your own, with fitjob as its library",
        files: &[
            template!("fit.toml", "rust/fit.toml"),
            template!("src/main.rs", "rust/src/main.rs"),
            DATA,
            template!("Cargo.toml", "rust/Cargo.toml"),
            // The dependencies as they were tested.
            ("Cargo.lock", include_str!("../../../Cargo.lock")),
            template!(".cargo/config.toml", "rust/.cargo/config.toml"),
            JOB_SCRIPT,
        ],
        build: CARGO,
        program: Some("./target/release/decay"),
    },
];

impl Template {
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|(name, _)| *name)
    }

    /// Names and texts, filled in.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.files.iter().map(|(name, text)| {
            let text = match *name {
                "fit.slurm" => job_script(text, self.program),
                "Cargo.toml" => text.replace(DEPENDENCY, &dependency()),
                ".cargo/config.toml" => text.to_string() + &build_environment(),
                _ => text.to_string(),
            };
            (*name, text)
        })
    }

    /// What this machine lacks.
    pub fn note(&self) -> Option<String> {
        let source = env!("CARGO_MANIFEST_DIR");
        let gone = self.flag == "rust" && !Path::new(source).exists();
        gone.then(|| format!("note: fitjob's source is not at {source} any more: write into Cargo.toml where it is\n"))
    }

    /// Commands in the folder, and what each does.
    pub fn next(&self) -> Vec<(String, &'static str)> {
        let program = self.program.map_or_else(program_as_called, String::from);
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

/// jobscripts/fit.slurm as it is, but for its own place and that of the program: this one by default.
fn job_script(text: &str, program: Option<&str>) -> String {
    let here = || std::env::current_exe().map_or("fitjob".into(), |path| path.display().to_string());
    let program = program.map_or_else(here, String::from);
    text.replace("jobscripts/fit.slurm", "fit.slurm").replace("${FITJOB:-./target/release/fitjob}", &format!("${{FITJOB:-{program}}}"))
}

/// fitjob in templates/rust/Cargo.toml.
const DEPENDENCY: &str = r#"{ path = "../.." }"#;

/// The source that this program was built from, with the same features: then both need the same libraries. All are the default ones, by
/// that name: with another list of the same features cargo would take it for another library.
fn dependency() -> String {
    let features = [("mpi", cfg!(feature = "mpi")), ("mpio", cfg!(feature = "mpio")), ("ode", cfg!(feature = "ode"))];
    let on: Vec<&str> = features.iter().filter_map(|(name, on)| on.then_some(*name)).collect();
    let source = env!("CARGO_MANIFEST_DIR");
    match cfg!(feature = "default") {
        true => format!("{{ path = {source:?} }}"),
        false => format!("{{ path = {source:?}, default-features = false, features = {on:?} }}"),
    }
}

/// Lines of cargo's [env]: what told fitjob's own build where MPI, HDF5 and libclang are.
fn build_environment() -> String {
    let told = [
        ("MPICC", option_env!("MPICC")),
        ("HDF5_DIR", option_env!("HDF5_DIR")),
        ("LIBCLANG_PATH", option_env!("LIBCLANG_PATH")),
        ("BINDGEN_EXTRA_CLANG_ARGS", option_env!("BINDGEN_EXTRA_CLANG_ARGS")),
    ];
    told.iter().filter_map(|(name, value)| Some(format!("{name} = {:?}\n", (*value)?))).collect()
}

/// By its name if the shell found it so, else by a path that holds in another folder too.
fn program_as_called() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "fitjob".into());
    match called.contains('/') {
        true => std::path::absolute(Path::new(&called)).map_or(called, |path| path.display().to_string()),
        false => called,
    }
}
