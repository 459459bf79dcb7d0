//! A disk in memory that crashes or fails at a chosen operation. It tells what was written from what is durable, and after
//! a crash leaves what a real disk may leave: any part of what was not synced, names that were or were not changed.

use fitjob::random::{Purpose, stream, uniform};
use fitjob::state::{Handle, Storage};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

/// What happens from operation `at` on (counted from 0).
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Fine,
    Crash {
        at: usize,
    },
    /// The next `count` operations fail with this error of the system.
    Error {
        at: usize,
        count: usize,
        code: i32,
    },
}

#[derive(Clone)]
pub struct FaultyDisk(Arc<Mutex<Inner>>);

struct Inner {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the folder was synced.
    changes: Vec<Change>,
    fate: Fate,
    operations: usize,
    rng: ChaCha8Rng,
}

#[derive(Clone, Default)]
struct File {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// Pages that the system gave up on when a sync failed: later syncs succeed without them (as on Linux).
    dropped: Vec<(usize, usize)>,
}

#[derive(Clone)]
enum Change {
    Made(String, usize),
    Moved(String, String, usize),
    Removed(String),
}

/// What an operation may do.
enum Verdict {
    Do,
    /// Perhaps a part of it, then the error.
    Fail(io::Error),
}

impl FaultyDisk {
    pub fn new(fate: Fate, seed: u64) -> FaultyDisk {
        FaultyDisk::of(BTreeMap::new(), fate, seed)
    }

    /// A folder with this content, all of it durable.
    pub fn of(content: BTreeMap<String, Vec<u8>>, fate: Fate, seed: u64) -> FaultyDisk {
        let files = content.values().map(|bytes| File { written: bytes.clone(), durable: bytes.clone(), dropped: vec![] }).collect();
        let names: BTreeMap<_, _> = content.keys().enumerate().map(|(file, name)| (name.clone(), file)).collect();
        let rng = stream(seed, Purpose::Check, 0, 0);
        let durable_names = names.clone();
        FaultyDisk(Arc::new(Mutex::new(Inner { files, names, durable_names, changes: vec![], fate, operations: 0, rng })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub fn operations(&self) -> usize {
        self.inner().operations
    }

    pub fn crashed(&self) -> bool {
        let inner = self.inner();
        matches!(inner.fate, Fate::Crash { at } if inner.operations > at)
    }

    /// What is found after the machine went down now (or when it crashed).
    pub fn after_power_cut(&self) -> BTreeMap<String, Vec<u8>> {
        self.inner().power_cut()
    }

    /// What another process sees now: all that was written.
    pub fn as_written(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.inner();
        inner.names.iter().map(|(name, file)| (name.clone(), inner.files[*file].written.clone())).collect()
    }
}

impl Inner {
    fn below(&mut self, bound: usize) -> usize {
        (uniform(&mut self.rng) * bound as f64) as usize
    }

    fn operation(&mut self) -> Verdict {
        let now = self.operations;
        self.operations += 1;
        match self.fate {
            Fate::Crash { at } if now >= at => Verdict::Fail(io::Error::other("the machine is down")),
            Fate::Error { at, count, code } if (at..at.saturating_add(count)).contains(&now) => {
                Verdict::Fail(io::Error::from_raw_os_error(code))
            }
            _ => Verdict::Do,
        }
    }

    /// The operation at which the machine goes down may be done or not; one that fails is not done.
    fn done_all_the_same(&mut self) -> bool {
        matches!(self.fate, Fate::Crash { at } if self.operations == at + 1) && self.below(2) == 0
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn power_cut(&mut self) -> BTreeMap<String, Vec<u8>> {
        let mut names = self.durable_names.clone();
        for change in self.changes.clone() {
            if self.below(2) == 0 {
                change.apply(&mut names);
            }
        }
        names.into_iter().map(|(name, file)| (name, self.survivor(file))).collect()
    }

    /// A file after a power cut: what is durable, and any part of the rest, perhaps followed by zeros or garbage.
    fn survivor(&mut self, file: usize) -> Vec<u8> {
        let File { written, durable, .. } = self.files[file].clone();
        let common = written.iter().zip(&durable).take_while(|(a, b)| a == b).count();
        if common < durable.len() && self.below(2) == 0 {
            return durable; // a truncation that was not synced did not happen
        }
        let kept = common + self.below(written.len() - common + 1);
        let mut left = written[..kept].to_vec();
        match self.below(4) {
            0 => left.resize(written.len(), 0),
            1 => left.extend((kept..written.len()).map(|k| (k * 37 + 11) as u8)),
            _ => {}
        }
        left
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Change::Made(name, file) => _ = names.insert(name.clone(), *file),
            Change::Moved(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Change::Removed(name) => _ = names.remove(name),
        }
    }
}

impl Storage for FaultyDisk {
    fn folder(&self) -> &Path {
        Path::new("run/checkpoint")
    }

    fn make_folder(&self) -> io::Result<()> {
        self.inner().operation().or_fail()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut inner = self.inner();
        inner.operation().or_fail()?;
        Ok(inner.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<(Vec<u8>, SystemTime)> {
        let mut inner = self.inner();
        inner.operation().or_fail()?;
        let file = *inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok((inner.files[file].written.clone(), SystemTime::UNIX_EPOCH))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        let mut inner = self.inner();
        let verdict = inner.operation();
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = inner.files.len();
        if matches!(verdict, Verdict::Do) || inner.done_all_the_same() {
            inner.files.push(File::default());
            inner.change(Change::Made(name.into(), file));
        }
        verdict.or_fail()?;
        Ok(Box::new(FaultyFile { disk: self.clone(), name: name.into(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        let verdict = inner.operation();
        let file = *inner.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if matches!(verdict, Verdict::Do) || inner.done_all_the_same() {
            inner.change(Change::Moved(from.into(), to.into(), file));
        }
        verdict.or_fail()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        let verdict = inner.operation();
        if !inner.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if matches!(verdict, Verdict::Do) || inner.done_all_the_same() {
            inner.change(Change::Removed(name.into()));
        }
        verdict.or_fail()
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut inner = self.inner();
        let verdict = inner.operation();
        if matches!(verdict, Verdict::Do) || inner.done_all_the_same() {
            inner.durable_names = inner.names.clone();
            inner.changes.clear();
        }
        verdict.or_fail()
    }
}

impl Verdict {
    fn or_fail(self) -> io::Result<()> {
        match self {
            Verdict::Do => Ok(()),
            Verdict::Fail(error) => Err(error),
        }
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    name: String,
    file: usize,
}

impl Handle for FaultyFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let down = self.disk_is_down(&inner);
        let verdict = inner.operation();
        let part = match verdict {
            Verdict::Do => bytes.len(),
            Verdict::Fail(_) if down => 0,
            Verdict::Fail(_) => inner.below(bytes.len() + 1),
        };
        inner.files[self.file].written.extend_from_slice(&bytes[..part]);
        verdict.or_fail()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let verdict = inner.operation();
        if matches!(verdict, Verdict::Do) || inner.done_all_the_same() {
            inner.files[self.file].written.truncate(length as usize);
        }
        verdict.or_fail()
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let verdict = inner.operation();
        let done = matches!(verdict, Verdict::Do) || inner.done_all_the_same();
        let file = &mut inner.files[self.file];
        if done {
            file.durable = file.written.clone();
            for (from, to) in file.dropped.clone() {
                let to = to.min(file.durable.len());
                file.durable[from.min(to)..to].fill(0);
            }
        } else {
            file.dropped.push((file.durable.len(), file.written.len()));
        }
        verdict.or_fail()
    }

    fn in_place(&self) -> bool {
        self.disk.inner().names.get(&self.name).is_some_and(|file| *file == self.file)
    }
}

impl FaultyFile {
    /// Whether the machine went down before this operation.
    fn disk_is_down(&self, inner: &Inner) -> bool {
        matches!(inner.fate, Fate::Crash { at } if inner.operations > at)
    }
}
