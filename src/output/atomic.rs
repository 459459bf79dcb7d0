//! Files that are complete or absent: temporary name, flush, fsync, rename, fsync of the folder.

use super::OutputError;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` so that a kill or power cut at any instant leaves the old file or the new one, never a part.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    write_with(path, |temporary| {
        let mut file = File::create(temporary)?;
        file.write_all(bytes)?;
        file.flush()
    })
}

/// As [`write`], for content that `fill` writes to the temporary path that it is given (and closes).
pub fn write_with<E: std::fmt::Display>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), OutputError> {
    let temporary = temporary_name(path);
    fill(&temporary).map_err(|e| fail(path, &temporary, e))?;
    commit(&temporary, path).map_err(|e| fail(path, &temporary, e))
}

fn fail(path: &Path, temporary: &Path, cause: impl std::fmt::Display) -> OutputError {
    // The half-written file is of no use to anybody; if it cannot be removed either, the first cause says more.
    let _ = fs::remove_file(temporary);
    OutputError::cannot("write", path, cause).help("look at free space (df), quota and permissions of that folder")
}

fn commit(temporary: &Path, path: &Path) -> std::io::Result<()> {
    File::open(temporary)?.sync_all()?;
    fs::rename(temporary, path)?;
    sync_folder(path)
}

/// Makes a rename or a removal in the folder of `path` outlive a power cut.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Beside the file, so that the rename stays within one file system; the suffix tells what it is if it is ever found.
fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}
