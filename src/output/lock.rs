//! `DIR/lock`: one run at a time in a run directory, also across hosts, and over killed runs.
//!
//! Taken by a hard link, which is atomic on NFS too. A stale lock is replaced in place under a guard of its own
//! (`lock.takeover`), so that `lock` is never absent in between and of many who try exactly one succeeds.

use super::OutputError;
use super::holder::{Holder, SILENCE, how_to_end};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

pub const LOCK: &str = "lock";
const GUARD: &str = "lock.takeover";
/// From one sign of life to the next. The first looks come sooner: whoever took the lock by mistake did it just now.
const BEAT: Duration = Duration::from_secs(20);
const FIRST_BEATS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];
/// Looks at a lock that others are taking over, and the time between them.
const ATTEMPTS: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// A lock that this process holds. A thread shows signs of life, and sees whether it was taken away.
#[derive(Debug)]
pub struct Lock {
    held: Arc<Held>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    me: Holder,
    /// Who took it over, once somebody did.
    rival: OnceLock<String>,
    /// One look at a time.
    looking: Mutex<()>,
}

/// A lock file as it was read.
struct Seen {
    text: Vec<u8>,
    holder: Option<Holder>,
    /// Seconds since its last sign of life, by the clock of the file system: hosts' clocks differ.
    silence: f64,
}

/// This process's text under a name of its own, newly written: what becomes the lock. Removed when dropped.
struct Candidate {
    path: PathBuf,
    text: String,
    /// By the clock of the file system.
    written: SystemTime,
}

impl Lock {
    /// Takes the lock of `folder`, over a dead holder if need be. Errors: held by a process that may be alive; no room.
    pub fn take(folder: &Path) -> Result<Lock, OutputError> {
        let (path, me) = (folder.join(LOCK), Holder::here());
        for _ in 0..ATTEMPTS {
            match attempt(&path, &me) {
                Ok(Attempt::Taken) => return Ok(Lock::hold(path, me)),
                Ok(Attempt::InUse(error)) => return Err(error),
                Ok(Attempt::Again) => std::thread::sleep(PAUSE),
                Err(e) => {
                    return Err(OutputError::cannot("lock", &path, e)
                        .help("look at free space (df), quota and permissions of that folder, or choose another with --out DIR"));
                }
            }
        }
        Err(OutputError::new(format!("other processes are taking {} this moment", folder.display()))
            .help("two jobs write to one directory: give each its own with --out DIR"))
    }

    fn hold(path: PathBuf, me: Holder) -> Lock {
        let held = Arc::new(Held { path, me, rival: OnceLock::new(), looking: Mutex::new(()) });
        let (stop, stopped) = channel();
        let mut gaps = FIRST_BEATS.into_iter().chain(std::iter::repeat(BEAT));
        let beating = held.clone();
        let beat = move || {
            while stopped.recv_timeout(gaps.next().unwrap_or(BEAT)) == Err(RecvTimeoutError::Timeout) {
                beating.look();
            }
        };
        let thread = std::thread::Builder::new().name("lock".into()).spawn(beat);
        if let Err(e) = &thread {
            log::warn!("no thread for signs of life ({e}): after {SILENCE} s another host may take {} over", held.path.display());
        }
        Lock { held, stop: Some(stop), thread: thread.ok() }
    }

    /// Leaves the folder free from another thread, as this process ends.
    pub fn opener(&self) -> impl FnOnce() + Send + 'static {
        let held = self.held.clone();
        move || {
            // Nobody looks any more, and puts it back.
            std::mem::forget(held.looking.lock().unwrap_or_else(PoisonError::into_inner));
            held.free();
        }
    }

    /// Looks now, shows a sign of life, and puts the lock back if it or its folder was removed and the folder is there again.
    pub fn look(&self) {
        self.held.look();
    }

    /// Who took the lock over, as far as is known.
    pub fn rival(&self) -> Option<&str> {
        self.held.rival.get().map(String::as_str)
    }

    /// Who holds the lock of `folder`, for people; None where there is no lock.
    pub fn seen(folder: &Path) -> Option<String> {
        let mut file = File::open(folder.join(LOCK)).ok()?;
        let last = jiff::Timestamp::try_from(file.metadata().ok()?.modified().ok()?).ok()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        let holder = Holder::parse(&text)?;
        Some(match holder.dead(&Holder::here(), 0.0) {
            Some(why) => format!("{holder} ({why})"),
            None => format!("{holder} (last sign of life {})", last.strftime("%Y-%m-%d %H:%M:%S UTC")),
        })
    }
}

/// Leaves the folder free. A process that is killed cannot: the next one sees that it is gone.
impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
        self.held.free();
    }
}

impl Held {
    fn free(&self) {
        if fs::read(&self.path).is_ok_and(|text| text == self.me.text().as_bytes()) {
            let _ = fs::remove_file(&self.path);
        }
    }

    fn look(&self) {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if self.rival.get().is_some() {
            return;
        }
        match self.beat() {
            Ok(None) => {}
            Ok(Some(other)) => self.rival.set(other.to_string()).unwrap_or_default(),
            // Of a whole folder that is gone the run speaks; anything else may pass, such as a file server that is away.
            Err(e) => log::debug!("{}: {e}", self.path.display()),
        }
    }

    /// Touches the lock; gives another holder where there is one.
    fn beat(&self) -> io::Result<Option<Holder>> {
        let mut file = match File::open(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let back = Candidate::write(&self.path, &self.me)?.place(&self.path)?;
                if back {
                    log::warn!("{} was removed; it is there again", self.path.display());
                }
                return Ok(None);
            }
            file => file?,
        };
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        if text == self.me.text().as_bytes() {
            // Through this handle, so that never another's lock is touched.
            touch(&file)?;
            return Ok(None);
        }
        Ok(Holder::parse(&text))
    }
}

enum Attempt {
    Taken,
    InUse(OutputError),
    Again,
}

fn attempt(lock: &Path, me: &Holder) -> io::Result<Attempt> {
    let candidate = Candidate::write(lock, me)?;
    if candidate.place(lock)? {
        return Ok(Attempt::Taken);
    }
    let Some(seen) = candidate.examine(lock)? else { return Ok(Attempt::Again) };
    let Some(why) = seen.dead(me) else { return Ok(Attempt::InUse(in_use(lock, &seen))) };
    if !candidate.replace(lock, &seen.text, me)? {
        return Ok(Attempt::Again);
    }
    let whom = seen.holder.map_or("an unknown process".to_string(), |holder| holder.to_string());
    log::warn!("took {} over from {whom}: {why}", lock.display());
    Ok(Attempt::Taken)
}

impl Seen {
    fn dead(&self, me: &Holder) -> Option<String> {
        match &self.holder {
            Some(holder) => holder.dead(me, self.silence),
            // Damaged, or about to be written where links are not possible.
            None => (self.silence > SILENCE).then(|| format!("it cannot be read, and no sign of life for {:.0} s", self.silence)),
        }
    }
}

impl Candidate {
    fn write(lock: &Path, me: &Holder) -> io::Result<Candidate> {
        let path = lock.with_file_name(format!("{LOCK}.{}.tmp", me.token()));
        let mut candidate = Candidate { path, text: me.text(), written: SystemTime::UNIX_EPOCH };
        let mut file = File::create(&candidate.path)?;
        file.write_all(candidate.text.as_bytes())?;
        file.sync_all()?;
        touch(&file)?;
        candidate.written = file.metadata()?.modified()?;
        Ok(candidate)
    }

    /// Makes this `target` if there is none; says whether it is ours now. What counts is what is read afterwards: over NFS a call
    /// that succeeded may be reported as failed, when its first answer was lost.
    fn place(&self, target: &Path) -> io::Result<bool> {
        match fs::hard_link(&self.path, target) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {}
            Err(_) => self.create(target)?,
        }
        Ok(self.is_at(target))
    }

    /// For file systems without hard links.
    fn create(&self, target: &Path) -> io::Result<()> {
        match OpenOptions::new().write(true).create_new(true).open(target) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            file => file.and_then(|mut file| {
                file.write_all(self.text.as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| {
                    let _ = fs::remove_file(target);
                })
            }),
        }
    }

    fn is_at(&self, target: &Path) -> bool {
        fs::read(target).is_ok_and(|text| text == self.text.as_bytes())
    }

    /// Reads a lock; None if it went away.
    fn examine(&self, lock: &Path) -> io::Result<Option<Seen>> {
        let mut file = match File::open(lock) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let silence = self.written.duration_since(file.metadata()?.modified()?).unwrap_or_default();
        Ok(Some(Seen { holder: Holder::parse(&text), text, silence: silence.as_secs_f64() }))
    }

    /// Replaces a stale lock whose text is `stale`; false: look again.
    fn replace(&self, lock: &Path, stale: &[u8], me: &Holder) -> io::Result<bool> {
        let guard = lock.with_file_name(GUARD);
        if !self.place(&guard)? {
            // Somebody is at it, or was killed at it.
            if self.examine(&guard)?.is_some_and(|seen| seen.dead(me).is_some()) {
                let _ = fs::remove_file(&guard);
            }
            return Ok(false);
        }
        // With the guard, nobody else replaces what we see here.
        let renamed = match fs::read(lock).is_ok_and(|text| text == stale) {
            true => fs::rename(&self.path, lock),
            false => Ok(()),
        };
        let ours = self.is_at(lock);
        let _ = fs::remove_file(&guard);
        if ours { Ok(true) } else { renamed.map(|()| false) }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn in_use(lock: &Path, seen: &Seen) -> OutputError {
    let shown = lock.parent().unwrap_or(lock).display();
    let who = seen.holder.as_ref().map_or("a process that has not said which".to_string(), |holder| holder.to_string());
    OutputError::new(format!("the run directory {shown} is in use by {who}, last sign of life {:.0} s ago", seen.silence)).help(format!(
        "wait until it has ended, or end it ({}), or use another directory with --out DIR; if it was killed on another host, \
         the directory is free {SILENCE} s after its last sign of life",
        how_to_end(seen.holder.as_ref()),
    ))
}

/// Sets the time of the last change to now, by the clock of the file system (a file server's own, over NFS).
fn touch(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open, and a null pointer stands for now.
    match unsafe { libc::futimens(file.as_raw_fd(), std::ptr::null()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
