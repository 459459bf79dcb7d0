//! `abi = "fitjob"`: the functions of include/fitjob.h.

use super::batch::{Batch, MESSAGE, text_of};
use super::library::Library;
use crate::model::crash::{CLOSING, OPENING, Slot};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// FITJOB_ABI_VERSION of fitjob.h.
pub(super) const VERSION: c_int = 1;

type Version = extern "C" fn() -> c_int;
type Open = extern "C" fn(*const c_char, *const *const c_char, c_int, c_int, c_int, *mut *mut c_void, *mut c_char) -> c_int;
type Evaluate = extern "C" fn(*mut c_void, *const f64, c_int, *mut f64, *mut f64, *mut c_int, *mut c_char) -> c_int;
type Close = extern "C" fn(*mut c_void);

/// The functions of one library.
pub(super) struct Functions {
    open: Open,
    evaluate: Evaluate,
    /// Has the signature of `evaluate`.
    gradient: Option<Evaluate>,
    close: Option<Close>,
    /// Instances are made and ended one at a time.
    door: Mutex<()>,
}

/// One instance. It may be opened on one thread and used on another.
pub(super) struct Instance<'m> {
    functions: &'m Functions,
    state: State,
    slot: &'static Slot,
}

/// What `open` gave: the plugin's own.
pub(super) struct State(*mut c_void);

// SAFETY: fitjob.h says that an instance may be opened on one thread and used on another.
unsafe impl Send for State {}

impl Functions {
    /// Errors: what is missing, or of another version.
    pub fn of(library: &Library) -> Result<Functions, String> {
        let address = |name: &str| library.find(name, &[]).filter(|found| !found.by_reference).map(|found| found.address);
        let needed = |name: &str| address(name).ok_or(format!("the library has no function `{name}`, which fitjob.h requires"));
        // SAFETY: functions of these names have these types by fitjob.h.
        unsafe {
            let version = std::mem::transmute::<*const (), Version>(needed("fitjob_abi_version")?)();
            if version != VERSION {
                return Err(format!("the library was made for version {version} of fitjob.h, this fitjob has version {VERSION}"));
            }
            Ok(Functions {
                open: std::mem::transmute::<*const (), Open>(needed("fitjob_open")?),
                evaluate: std::mem::transmute::<*const (), Evaluate>(needed("fitjob_evaluate")?),
                gradient: address("fitjob_gradient").map(|f| std::mem::transmute::<*const (), Evaluate>(f)),
                close: address("fitjob_close").map(|f| std::mem::transmute::<*const (), Close>(f)),
                door: Mutex::new(()),
            })
        }
    }

    pub fn has_gradient(&self) -> bool {
        self.gradient.is_some()
    }

    fn door(&self) -> MutexGuard<'_, ()> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens instance `number` for parameters `names` and `k` derived quantities.
    ///
    /// Errors: the plugin's message.
    pub fn open(&self, config: &CString, names: &[String], k: usize, number: usize, slot: &Slot) -> Result<State, String> {
        let names: Vec<CString> = names.iter().map(|name| CString::new(name.as_str()).unwrap_or_default()).collect();
        let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let (mut state, mut message) = (ptr::null_mut(), [0_u8; MESSAGE]);
        let _door = self.door();
        let code = slot.during(OPENING, || {
            let d = names.len() as c_int;
            (self.open)(config.as_ptr(), names.as_ptr(), d, k as c_int, number as c_int, &mut state, message.as_mut_ptr().cast())
        });
        match (code, text_of(&message)) {
            (0, _) => Ok(State(state)),
            (_, text) if text.is_empty() => Err(format!("fitjob_open returned {code} and gave no reason")),
            (_, text) => Err(text),
        }
    }

    pub fn close(&self, state: State, slot: &Slot) {
        let _door = self.door();
        if let Some(close) = self.close {
            slot.during(CLOSING, || close(state.0));
        }
    }
}

impl<'m> Instance<'m> {
    pub fn new(functions: &'m Functions, state: State, slot: &'static Slot) -> Instance<'m> {
        Instance { functions, state, slot }
    }

    /// Errors: the plugin is broken, and why.
    pub fn evaluate(&mut self, batch: &mut Batch) -> Result<(), String> {
        let derived = batch.derived.as_mut_ptr();
        self.call(self.functions.evaluate, "fitjob_evaluate", batch, derived)
    }

    /// The same for log-likelihoods and their `gradients` (n x d); `None` if the plugin has none.
    pub fn gradient(&mut self, batch: &mut Batch, gradients: &mut [f64]) -> Option<Result<(), String>> {
        let gradient = self.functions.gradient?;
        assert_eq!(gradients.len(), batch.n * batch.d, "one slope for each parameter of each point");
        Some(self.call(gradient, "fitjob_gradient", batch, gradients.as_mut_ptr()))
    }

    fn call(&mut self, function: Evaluate, name: &str, batch: &mut Batch, out: *mut f64) -> Result<(), String> {
        let (thetas, log_likes, n) = (batch.thetas.as_ptr(), batch.log_likes.as_mut_ptr(), batch.n);
        let (status, messages) = (batch.status.as_mut_ptr(), batch.messages_ptr());
        let work = || function(self.state.0, thetas, n as c_int, log_likes, out, status, messages);
        match self.slot.evaluating(thetas, log_likes, n, work) {
            0 => Ok(()),
            code => Err(batch.message(0, &format!("{name} returned {code} and gave no reason"))),
        }
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        self.functions.close(State(self.state.0), self.slot);
    }
}
