//! N processes that each think they are alone: refused, with the cause and the cure.

use super::{Launch, Launcher};
use std::fmt;

/// Exit code of a refused launch.
pub const EXIT_CODE: i32 = 4;

/// The MPI library this program was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Built without the feature `mpi`.
    None,
    OpenMpi,
    Mpich,
    IntelMpi,
    Other,
}

impl Library {
    /// From the text of MPI_Get_library_version, which may be asked before MPI_Init.
    pub fn from_version(text: &str) -> Library {
        let text = text.to_ascii_lowercase();
        if text.contains("open mpi") {
            Library::OpenMpi
        } else if text.contains("intel") {
            Library::IntelMpi
        } else if text.contains("mpich") || text.contains("mvapich") {
            Library::Mpich
        } else {
            Library::Other
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Library::None => "no MPI",
            Library::OpenMpi => "Open MPI",
            Library::Mpich => "MPICH",
            Library::IntelMpi => "Intel MPI",
            Library::Other => "an MPI library",
        })
    }
}

/// Why this launch cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub message: String,
    /// Number among the processes that the launcher started: only 0 prints.
    pub rank: usize,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// Prints the message on the process that was to be rank 0, and ends this one with [`EXIT_CODE`].
    /// The others wait a little: a launcher ends all processes when the first one fails, and the
    /// message must be out by then.
    pub fn exit(self) -> ! {
        if self.rank == 0 {
            eprintln!("{self}");
        } else {
            std::thread::sleep(std::time::Duration::from_secs(3));
        }
        std::process::exit(EXIT_CODE)
    }
}

/// Before MPI_Init: launches of which it is known that MPI_Init will end the process by itself with a
/// message that does not help (Open MPI under an srun without PMIx), or that there is no MPI at all.
pub fn before_init(launch: &Launch, library: Library) -> Option<Refusal> {
    let no_way_in = library == Library::OpenMpi && matches!(launch.launcher, Launcher::SrunPmi | Launcher::SrunNone);
    (launch.size > 1 && (library == Library::None || no_way_in)).then(|| refusal(launch, library))
}

/// After MPI_Init: the launcher started more than one process, but MPI sees only this one.
pub fn after_init(launch: &Launch, library: Library, mpi_size: usize) -> Option<Refusal> {
    (launch.size > 1 && mpi_size == 1).then(|| refusal(launch, library))
}

fn refusal(launch: &Launch, library: Library) -> Refusal {
    let n = launch.size;
    let what = match library {
        Library::None => "this fitjob was built without MPI: it runs on the threads of one machine only".to_string(),
        _ => format!("this fitjob was built with {library}, which sees only one process"),
    };
    let message = format!(
        "fitjob: {n} processes were started by {}, but {what}. Each of the {n} would run the whole job alone and \
         write the same files, so none was started and no file was touched.\n  What to do: {}",
        launch.launcher,
        cure(launch.launcher, library)
    );
    Refusal { message, rank: launch.rank }
}

fn cure(launcher: Launcher, library: Library) -> String {
    use Launcher::*;
    let srun = matches!(launcher, SrunPmix | SrunPmi | SrunNone);
    let (own, plugin) = match library {
        Library::None => {
            return "build with the feature `mpi` (make build), or start one process and say how many threads: \
                    fitjob run JOB --ncores N."
                .into();
        }
        Library::OpenMpi => ("mpiexec.openmpi", "pmix"),
        Library::Mpich => ("mpiexec.mpich", "pmi2"),
        Library::IntelMpi => ("mpiexec.hydra", "pmi2 (with I_MPI_PMI_LIBRARY set to Slurm's libpmi2.so)"),
        Library::Other => ("the mpiexec beside that library", "the plugin its manual names"),
    };
    let other = match launcher {
        OpenMpi => "Open MPI",
        IntelMpi => "Intel MPI",
        _ => "MPICH",
    };
    if srun {
        format!("srun --mpi={plugin} (`srun --mpi=list` shows what there is), or {own} inside the allocation.")
    } else {
        format!(
            "use the mpiexec of {library} (on Debian: {own}), or rebuild fitjob with {other}: MPICC set to its mpicc, \
             CARGO_TARGET_DIR to a folder of its own."
        )
    }
}
