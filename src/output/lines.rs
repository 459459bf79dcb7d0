//! A file that grows by whole lines and never ends the run: not on a full disk, and not when it is removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// From one look whether the file is still there to the next.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Lines {
    file: File,
    path: PathBuf,
    looked: Instant,
    /// What the run goes on without, in words.
    what: &'static str,
    /// Trouble was told: once is enough.
    told: bool,
}

impl Lines {
    /// Opens the file to append to it, or empties it.
    pub fn open(path: &Path, what: &'static str, append: bool) -> io::Result<Lines> {
        let file = open(path)?;
        if !append && file.metadata()?.len() > 0 {
            file.set_len(0)?;
        }
        Ok(Lines { file, path: path.to_path_buf(), looked: Instant::now(), what, told: false })
    }

    /// Appends `text`, whole or not at all, with one `write`. Trouble is told once; the next line is tried again.
    pub fn append(&mut self, text: &[u8]) {
        // Where the file cannot come back now, its old self keeps the lines until it can.
        let (lost, unwritten) = (self.come_back().err(), self.write(text).err());
        if let Some(cause) = unwritten.or(lost)
            && !std::mem::replace(&mut self.told, true)
        {
            log::warn!("{}: {cause}; the run goes on, and {} is incomplete", self.path.display(), self.what);
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        self.file.write_all(text).inspect_err(|_| {
            // The part that found room.
            let _ = self.file.set_len(before);
        })
    }

    /// Makes a removed file again, with all that was in it as far as that can still be read.
    fn come_back(&mut self) -> io::Result<()> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        let mine = self.file.metadata().map(|m| (m.dev(), m.ino())).ok();
        if mine.is_some() && fs::metadata(&self.path).map(|m| (m.dev(), m.ino())).ok() == mine {
            return Ok(());
        }
        let mut old = Vec::new();
        let _ = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_end(&mut old));
        self.file = open(&self.path)?;
        self.write(&old)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}
