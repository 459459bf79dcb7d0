//! The last words of a plugin, or of a program's own likelihood: what it was doing when it crashed, or called exit().
//!
//! Every instance has a slot that says which points it is evaluating. A handler of SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT
//! (an exception or assertion that nobody caught) finds the slot of its thread, writes rank and parameter values to standard
//! error, and lets the signal end the process as if there had been no handler, so that mpiexec sees a crash. It runs on an
//! alternate stack, since the stack may be what overflowed. All it does is read memory, format numbers (`core::fmt` allocates
//! nothing and takes no lock) into a buffer on the stack, and write(2). An atexit function does the same for exit().

use crate::launch::{self, Env, WORDS};
use libc::{c_int, c_void, siginfo_t};
use std::fmt::Write;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Once, OnceLock};

/// What one instance is doing. Never freed: there is one for each bind of the model.
pub(super) struct Slot {
    next: *const Slot,
    /// "the plugin lib.so"
    what: String,
    pub names: Vec<String>,
    /// What is under way, on which thread; [`IDLE`] and so on.
    doing: AtomicI32,
    thread: AtomicUsize,
    /// The points of the call under way: n x names, row by row.
    thetas: AtomicPtr<f64>,
    n: AtomicUsize,
    /// Where their log-likelihoods go: those not yet written hold [`UNWRITTEN`].
    log_likes: AtomicPtr<AtomicU64>,
}

// SAFETY: all that changes is atomic; `next` points at another slot, which is never freed.
unsafe impl Sync for Slot {}

const IDLE: c_int = 0;
pub(super) const OPENING: c_int = 1;
pub(super) const CLOSING: c_int = 2;
const EVALUATING: c_int = 3;

/// A NaN that no calculation gives: the mark of a log-likelihood that is not written yet.
pub(super) const UNWRITTEN: f64 = f64::from_bits(0x7ff8_6669_746a_6f62);

/// Exit code of a model that failed, as the command line's.
const FAILED: c_int = 3;
/// Points whose values are written where it is unknown which of the calls under way crashed.
const SHOWN: usize = 4;

static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());
static RANK: OnceLock<usize> = OnceLock::new();
/// What the signals did before, by position in [`SIGNALS`].
static BEFORE: OnceLock<Vec<libc::sigaction>> = OnceLock::new();

const SIGNALS: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV, invalid memory access"),
    (libc::SIGBUS, "SIGBUS, bad memory access"),
    (libc::SIGFPE, "SIGFPE, arithmetic error"),
    (libc::SIGILL, "SIGILL, illegal instruction"),
    (libc::SIGABRT, "SIGABRT, it called abort: an assertion, or an exception that nobody caught"),
];

impl Slot {
    /// `what`: "the plugin lib.so"; `names`: of the values of a point.
    pub fn new(what: &str, names: &[String]) -> &'static Slot {
        // One for each instance: of two threads that call exit() at the same time each must find one that has not begun, or the
        // later one would end the process, with its own code, before the first has reported.
        // SAFETY: the function lives as long as the process.
        unsafe { libc::atexit(on_exit) };
        let slot = Box::leak(Box::new(Slot {
            next: ptr::null(),
            what: what.into(),
            names: names.to_vec(),
            doing: AtomicI32::new(IDLE),
            thread: AtomicUsize::new(0),
            thetas: AtomicPtr::new(ptr::null_mut()),
            n: AtomicUsize::new(0),
            log_likes: AtomicPtr::new(ptr::null_mut()),
        }));
        let mut head = SLOTS.load(SeqCst);
        loop {
            slot.next = head;
            match SLOTS.compare_exchange(head, slot, SeqCst, SeqCst) {
                Ok(_) => return slot,
                Err(now) => head = now,
            }
        }
    }

    /// Marks `work` as under way on this thread, until it returns.
    #[inline]
    pub fn during<T>(&self, doing: c_int, work: impl FnOnce() -> T) -> T {
        STACK.with(|_| {});
        // SAFETY: no preconditions.
        self.thread.store(unsafe { libc::pthread_self() } as usize, Relaxed);
        self.doing.store(doing, Relaxed);
        let _until_the_end = Mark(self);
        work()
    }

    /// The same for the evaluation of `thetas` (n x names) into `log_likes`, all [`UNWRITTEN`]; null where nobody sees them come.
    #[inline]
    pub fn evaluating<T>(&self, thetas: *const f64, log_likes: *mut f64, n: usize, work: impl FnOnce() -> T) -> T {
        self.thetas.store(thetas.cast_mut(), Relaxed);
        self.log_likes.store(log_likes.cast(), Relaxed);
        self.n.store(n, Relaxed);
        self.during(EVALUATING, work)
    }

    /// Called in a signal handler.
    fn describe(&self, text: &mut Text) -> std::fmt::Result {
        let (thetas, log_likes) = (self.thetas.load(Relaxed), self.log_likes.load(Relaxed));
        let n = self.n.load(Relaxed);
        match self.doing.load(Relaxed) {
            OPENING => return writeln!(text, "  while it was opened"),
            CLOSING => return writeln!(text, "  while it was closed"),
            _ => {}
        }
        // SAFETY: both arrays belong to the call that is under way on this thread, or on one that goes on beside it.
        let written = |i: usize| !log_likes.is_null() && unsafe { (*log_likes.add(i)).load(Relaxed) } != UNWRITTEN.to_bits();
        let at = (0..n).find(|i| !written(*i)).unwrap_or(0);
        writeln!(text, "  at these parameter values:")?;
        for (j, name) in self.names.iter().enumerate() {
            writeln!(text, "    {name} = {:?}", unsafe { *thetas.add(at * self.names.len() + j) })?;
        }
        if n > 1 && log_likes.is_null() {
            writeln!(text, "  (the first of {n} given together)")?;
        } else if n > 1 {
            writeln!(text, "  (point {} of {n} given together, the first that has no value yet)", at + 1)?;
        }
        Ok(())
    }
}

/// Ends the mark of a call, also where it panicked.
struct Mark<'s>(&'s Slot);

impl Drop for Mark<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.doing.store(IDLE, Relaxed);
    }
}

thread_local! {
    static STACK: Stack = Stack::new();
}

/// Room for a handler's own work, beside the registers that the kernel saves there.
const STACK_BYTES: usize = 64 * 1024;

/// The alternate stack of this thread, if it had none: Rust's runtime gives its threads one, but not where a library caught
/// SIGSEGV before it, as UCX does below MPICH.
struct Stack(Option<Box<[u8]>>);

impl Stack {
    fn new() -> Stack {
        // SAFETY: the system writes the old stack, and reads the new one, which lives until it is taken away.
        unsafe {
            let mut now: libc::stack_t = std::mem::zeroed();
            if libc::sigaltstack(ptr::null(), &mut now) != 0 || now.ss_flags & libc::SS_DISABLE == 0 {
                return Stack(None);
            }
            let mut room = vec![0; STACK_BYTES + libc::getauxval(libc::AT_MINSIGSTKSZ) as usize].into_boxed_slice();
            let new = libc::stack_t { ss_sp: room.as_mut_ptr().cast(), ss_flags: 0, ss_size: room.len() };
            libc::sigaltstack(&new, ptr::null_mut());
            Stack(Some(room))
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.0.is_some() {
            let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: this thread's alternate stack is ours, and no handler runs on it now.
            unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
        }
    }
}

/// The slots with a call under way; on this thread only, if `mine`.
fn busy(mine: bool) -> impl Iterator<Item = &'static Slot> {
    // SAFETY: slots are never freed.
    let first = unsafe { SLOTS.load(SeqCst).as_ref() };
    let all = std::iter::successors(first, |slot| unsafe { slot.next.as_ref() });
    let here = unsafe { libc::pthread_self() } as usize;
    all.filter(move |slot| slot.doing.load(Relaxed) != IDLE && (!mine || slot.thread.load(Relaxed) == here))
}

/// Sets handlers of signals, once in a process. Rust's and MPI's own handlers are there before.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        RANK.get_or_init(|| launch::detect(&Env::of_process()).rank);
        // SAFETY: zeroed is a valid sigaction, and the handlers do only what such handlers may do.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            let before = SIGNALS.map(|(signal, _)| {
                let mut before: libc::sigaction = std::mem::zeroed();
                libc::sigaction(signal, ptr::null(), &mut before);
                before
            });
            BEFORE.get_or_init(|| before.to_vec());
            for (signal, _) in SIGNALS {
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
    });
}

/// Ends the process by `signal` as if nobody had caught it; a crash of fitjob's own goes to whoever was there before.
extern "C" fn on_signal(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let place = SIGNALS.iter().position(|(known, _)| *known == signal).unwrap_or(0);
    let foreign = busy(false).next().is_some();
    // SAFETY: sigaction and raise may be called here. The signal is blocked until this function returns, and then does its work.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        match BEFORE.get() {
            Some(before) if !foreign => libc::sigaction(signal, &before[place], ptr::null_mut()),
            _ => libc::sigaction(signal, &action, ptr::null_mut()),
        };
        if foreign {
            let _ = report(format_args!("crashed ({})", SIGNALS[place].1));
        }
        libc::raise(signal);
    }
}

/// A likelihood that ends the process ends the run: without this, exit(0) would look like success.
extern "C" fn on_exit() {
    if busy(true).next().is_some() {
        let _ = report(format_args!("ended the process (exit() in C and Rust, STOP in Fortran)"));
        // SAFETY: what was printed is flushed; nothing else of this process shall run.
        unsafe {
            libc::fflush(ptr::null_mut());
            libc::_exit(FAILED);
        }
    }
}

/// Writes rank, library, and what was under way on this thread; if nothing was, on all others.
fn report(what: std::fmt::Arguments) -> std::fmt::Result {
    let mut text = Text { bytes: [0; 512], used: 0 };
    let rank = RANK.get().copied().unwrap_or(0);
    match busy(true).next() {
        Some(slot) => {
            writeln!(text, "fitjob: rank {rank}: {} {what}", slot.what)?;
            slot.describe(&mut text)?;
        }
        None => {
            writeln!(
                text,
                "fitjob: rank {rank}: a thread that evaluates no points {what}; maybe the likelihood started it. Calls under way:"
            )?;
            for slot in busy(false).take(SHOWN) {
                writeln!(text, "  {}", slot.what)?;
                slot.describe(&mut text)?;
            }
        }
    }
    text.flush();
    // MPICH's mpiexec drops what it has not passed on when a rank dies. Sleeping is allowed here: no lock, no memory.
    std::thread::sleep(WORDS);
    Ok(())
}

/// Text on its way to standard error.
struct Text {
    bytes: [u8; 512],
    used: usize,
}

impl Text {
    fn flush(&mut self) {
        // SAFETY: write(2) may be called in a signal handler.
        unsafe { libc::write(2, self.bytes.as_ptr().cast(), self.used) };
        self.used = 0;
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            if self.used == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.used] = byte;
            self.used += 1;
        }
        Ok(())
    }
}
