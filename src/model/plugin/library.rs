//! Opening a shared library and finding functions in it, under the names that C, C++ and Fortran compilers give them.

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW, Symbol};

/// An open library. It stays loaded until the process ends: one that has threads or exit handlers of its own cannot be
/// taken out safely.
pub(super) struct Library {
    pub path: String,
    handle: std::mem::ManuallyDrop<Handle>,
}

/// An address, and how the function at it takes its counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub address: *const (),
    /// Fortran without bind(C): every argument is an address.
    pub by_reference: bool,
}

// SAFETY: an address of code that stays loaded.
unsafe impl Send for Found {}
unsafe impl Sync for Found {}

// Of C's <fenv.h>: a library made with -ffast-math changes how the thread that loads it treats tiny numbers.
unsafe extern "C" {
    fn fegetenv(environment: *mut [u64; 16]) -> i32;
    fn fesetenv(environment: *const [u64; 16]) -> i32;
}

impl Library {
    /// Loads the library at `path`, which is absolute. All its symbols are resolved at once and stay its own.
    ///
    /// Errors: the dynamic loader's message.
    pub fn open(path: &str) -> Result<Library, String> {
        let mut environment = [0; 16];
        // SAFETY: what the library does when it is loaded is its author's affair; `environment` is larger than any fenv_t.
        let opened = unsafe {
            fegetenv(&mut environment);
            let opened = Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL);
            fesetenv(&environment);
            opened
        };
        let handle = opened.map_err(|error| cause(&error))?;
        Ok(Library { path: path.into(), handle: std::mem::ManuallyDrop::new(handle) })
    }

    pub fn has(&self, symbol: &str) -> bool {
        self.address(symbol).is_some()
    }

    /// The function `name`: under this name, as C++ mangles it with one of `signatures`, or as gfortran does (lower case
    /// and an underscore; its arguments are then passed by reference).
    pub fn find(&self, name: &str, signatures: &[&str]) -> Option<Found> {
        let mangled = signatures.iter().map(|signature| format!("_Z{}{name}{signature}", name.len()));
        let plain = std::iter::once(name.to_string()).chain(mangled).find_map(|symbol| self.address(&symbol));
        let fortran = || self.address(&format!("{}_", name.to_lowercase()));
        let found = |by_reference| move |address| Found { address, by_reference };
        plain.map(found(false)).or_else(|| fortran().map(found(true)))
    }

    fn address(&self, symbol: &str) -> Option<*const ()> {
        // SAFETY: only the address is taken; it is called with the type that the job file's `abi` names.
        let found: Result<Symbol<*const ()>, _> = unsafe { self.handle.get(symbol.as_bytes()) };
        found.ok().map(|symbol| symbol.into_raw() as *const ()).filter(|address| !address.is_null())
    }
}

/// The loader's own words, without libloading's.
fn cause(error: &libloading::Error) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), |source| source.to_string())
}
