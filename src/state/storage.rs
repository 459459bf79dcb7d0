//! The seam: a flat folder of files. Everything that the vault does to the disk goes through it, so that tests can crash it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder that may be absent. [`Disk`] is the real one.
pub trait Storage: Send + Sync {
    /// For messages.
    fn folder(&self) -> &Path;
    /// Makes the folder, and those above it; no error if it is there.
    fn make_folder(&self) -> io::Result<()>;
    /// Names of the files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Content, and time of the last change.
    fn read(&self, name: &str) -> io::Result<(Vec<u8>, SystemTime)>;
    /// A new, empty file. Errors: `AlreadyExists`; `NotFound` if the folder is gone.
    fn create(&self, name: &str) -> io::Result<Box<dyn Handle>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes what was created, renamed and removed in the folder outlive a power cut.
    fn sync_folder(&self) -> io::Result<()>;
}

/// A file open for appending. One thread appends while another syncs.
pub trait Handle: Send + Sync {
    /// Writes at the end. After an error a part of `bytes` may be there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes the content outlive a power cut.
    fn sync(&self) -> io::Result<()>;
    /// Whether the name that the file was created under still leads to it.
    fn in_place(&self) -> bool;
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    pub fn new(folder: impl Into<PathBuf>) -> Disk {
        Disk { folder: folder.into() }
    }
}

impl Storage for Disk {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn make_folder(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Its own entry, in the folder above; where that cannot be synced the folder is still there for all but a power cut.
        let above = self.folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = sync_folder(above);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(io::Result::transpose).collect()
    }

    fn read(&self, name: &str) -> io::Result<(Vec<u8>, SystemTime)> {
        let path = self.folder.join(name);
        Ok((fs::read(&path)?, fs::metadata(&path)?.modified()?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        Ok(Box::new(DiskFile { file, path }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        sync_folder(&self.folder)
    }
}

/// Some network file systems cannot sync a folder, and say so; renames are as safe there as they ever are.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let unable = [libc::EINVAL, libc::ENOTSUP, libc::ENOSYS, libc::EBADF];
    match File::open(folder)?.sync_all() {
        Err(e) if e.raw_os_error().is_some_and(|code| unable.contains(&code)) => Ok(()),
        result => result,
    }
}

struct DiskFile {
    file: File,
    path: PathBuf,
}

impl Handle for DiskFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn in_place(&self) -> bool {
        match (fs::metadata(&self.path), self.file.metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
            (Err(e), _) => !gone(&e),
            // The file system will not tell: no reason to think that the file is gone.
            _ => true,
        }
    }
}

/// Whether the error means that a file or its folder is not there (any more).
pub(super) fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::StaleNetworkFileHandle)
}
