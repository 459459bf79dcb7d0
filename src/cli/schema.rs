//! `fitjob schema`: the JSON schema of the job file.

use super::exit;
use crate::job;
use std::io::Write;

/// Prints the schema and gives the exit code. A reader that closes the pipe early is no error.
pub fn run() -> i32 {
    match writeln!(std::io::stdout(), "{}", job::schema::text()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => exit::STORAGE,
        _ => exit::DONE,
    }
}
