//! The program: the command line decides everything, and only here does the process end.

fn main() {
    std::process::exit(fitjob::cli::main());
}
