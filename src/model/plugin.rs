//! `kind = "plugin"`: a function in a shared library, called by include/fitjob.h or by a signature that it already has.

mod batch;
mod foreign;
mod library;
mod native;

use super::crash::{self, Slot};
use super::{Abi, Density, Evaluated, Files, Loaded, Model, ModelError, PluginSpec, positions};
use crate::task::EvalError;
use batch::Batch;
use foreign::Foreign;
use library::Library;
use native::{Functions, Instance, State};
use std::ffi::CString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

struct Plugin {
    spec: PluginSpec,
    /// Where the library is, for messages.
    path: String,
    interface: Interface,
    /// Held during calls, if the library is not made for several threads.
    turn: Option<Mutex<()>>,
    fingerprint: Vec<u8>,
    /// Hash of the library.
    program: String,
}

enum Interface {
    Native(Native),
    Foreign(Foreign),
}

/// The functions of fitjob.h, and what their instances need.
struct Native {
    functions: Functions,
    config: CString,
    opened: AtomicUsize,
    /// An instance that was opened to see whether it can be, for the first thread that wants one.
    spare: Mutex<Option<Spare>>,
}

struct Spare {
    names: Vec<String>,
    state: State,
    slot: &'static Slot,
}

pub(super) fn build(spec: &PluginSpec, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    check_keys(spec)?;
    let Some(Loaded::Program { path, hash }) = files.get(&spec.library) else {
        return Err(ModelError::new(&["library"], format!("no library was found at \"{}\"", spec.library)));
    };
    let library = Library::open(path).map_err(|cause| {
        let help = format!("`ldd {path}` shows the libraries that it needs and whether they are found; it must be built for this machine");
        ModelError::new(&["library"], format!("the library cannot be opened: {cause}")).help(help)
    })?;
    crash::watch();
    let interface = match spec.abi {
        Abi::Fitjob => Interface::Native(Native::of(&library, spec)?),
        abi => Interface::Foreign(foreign(&library, abi, spec)?),
    };
    // Codes for PolyChord, MultiNest and UltraNest were never called by two threads at once.
    let alone = match spec.abi {
        Abi::Fitjob | Abi::Plain => library.has("fitjob_not_thread_safe"),
        _ => !library.has("fitjob_thread_safe"),
    };
    let (fingerprint, program) = (fingerprint(spec), hash.clone());
    Ok(Box::new(Plugin { spec: spec.clone(), path: library.path, interface, turn: alone.then(Mutex::default), fingerprint, program }))
}

/// Everything of the job that changes values. Where the library lies does not.
fn fingerprint(spec: &PluginSpec) -> Vec<u8> {
    let PluginSpec { library: _, abi, symbol, prior, parameters, derived, config } = spec;
    format!("plugin {abi:?} {symbol:?} {prior:?} {parameters:?} {derived:?} {config:?}").into_bytes()
}

/// Keys that mean nothing beside others.
fn check_keys(spec: &PluginSpec) -> Result<(), ModelError> {
    let with = format!("abi = \"{}\"", format!("{:?}", spec.abi).to_lowercase());
    let fault = |key: &str, message: &str, help: &str| Err(ModelError::new(&[key], format!("with {with} {message}")).help(help));
    if spec.parameters.as_ref().is_some_and(Vec::is_empty) {
        return Err(ModelError::new(&["parameters"], "the list is empty").help("leave it out to give the function all parameters"));
    }
    if spec.abi == Abi::Fitjob && spec.symbol.is_some() {
        return fault("symbol", "the functions have the names of fitjob.h", "leave it out, or choose another abi, such as \"plain\"");
    }
    if spec.abi != Abi::Fitjob && !spec.config.is_empty() {
        return fault("config", "the library cannot be given a text", "use abi = \"fitjob\", or an environment variable");
    }
    if !matches!(spec.abi, Abi::Polychord | Abi::Ultranest) && spec.prior.is_some() {
        let help = "leave it out: \"multinest\" functions map the cube themselves, others use the priors of the job";
        return fault("prior", "there is no prior transform", help);
    }
    let none = spec.abi == Abi::Plain || (spec.abi == Abi::Ultranest && spec.prior.is_none());
    if none && !spec.derived.is_empty() {
        return fault("derived", "the function gives log L only", "use abi = \"fitjob\" for derived quantities");
    }
    Ok(())
}

fn foreign(library: &Library, abi: Abi, spec: &PluginSpec) -> Result<Foreign, ModelError> {
    let symbol = spec.symbol.as_deref().unwrap_or(Foreign::default_symbol(abi));
    Foreign::find(library, abi, symbol, spec.prior.as_deref()).map_err(|missing| {
        let named = |name: &Option<String>| name.as_ref() == Some(&missing);
        let key = if named(&spec.symbol) {
            "symbol"
        } else if named(&spec.prior) {
            "prior"
        } else {
            "library"
        };
        let help = format!(
            "`nm -D {}` lists what it has; [model] symbol chooses one; in C++ write extern \"C\" before the function, in Fortran bind(C)",
            library.path
        );
        ModelError::new(&[key], format!("the library has no function `{missing}`")).help(help)
    })
}

impl Native {
    fn of(library: &Library, spec: &PluginSpec) -> Result<Native, ModelError> {
        let help = "compile it with this fitjob's include/fitjob.h (docs/plugins.md); if it is a plain function, say so: abi = \"plain\"";
        let functions = Functions::of(library).map_err(|message| ModelError::new(&["library"], message).help(help))?;
        let config = CString::new(spec.config.as_str());
        let config = config.map_err(|_| ModelError::new(&["config"], "the text contains a zero character, which C cannot take"))?;
        Ok(Native { functions, config, opened: AtomicUsize::new(0), spare: Mutex::new(None) })
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Option<Spare>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an instance, or takes the one that was opened for the same parameters.
    fn open(&self, path: &str, names: Vec<String>, k: usize) -> Result<Spare, String> {
        if let Some(spare) = self.spare().take_if(|spare| spare.names == names) {
            return Ok(spare);
        }
        let slot = Slot::new(&format!("the plugin {path}"), &names);
        let state = self.functions.open(&self.config, &names, k, self.opened.fetch_add(1, Ordering::Relaxed), slot)?;
        Ok(Spare { names, state, slot })
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let spare = self.spare().take();
        spare.into_iter().for_each(|spare| self.functions.close(spare.state, spare.slot));
    }
}

impl Plugin {
    /// What the function is called with, of the job's `names`.
    fn own(&self, names: &[String]) -> Vec<String> {
        self.spec.parameters.clone().unwrap_or(names.to_vec())
    }

    /// Functions that fill in the physical values first must be told to give all of them.
    fn check_derived(&self, foreign: &Foreign, d: usize) -> Result<(), ModelError> {
        let k = self.spec.derived.len();
        let most = if foreign.abi == Abi::Ultranest { d } else { usize::MAX };
        if !foreign.takes_cube() || k == 0 || (d..=most).contains(&k) {
            return Ok(());
        }
        let message = format!("{k} names, but the function gives the physical values of its {d} parameters first, then the others");
        Err(ModelError::new(&["derived"], message).help("name all of them in that order, or none"))
    }
}

impl Model for Plugin {
    fn parameters(&self) -> Vec<String> {
        self.spec.parameters.clone().unwrap_or_default()
    }

    fn takes_all(&self) -> bool {
        self.spec.parameters.is_none()
    }

    fn has_gradient(&self) -> bool {
        matches!(&self.interface, Interface::Native(native) if native.functions.has_gradient())
    }

    fn derived(&self) -> Vec<String> {
        self.spec.derived.clone()
    }

    fn check(&self, names: &[String]) -> Result<(), ModelError> {
        let own = self.own(names);
        match &self.interface {
            Interface::Foreign(foreign) => self.check_derived(foreign, own.len()),
            Interface::Native(native) => {
                let opened = native.open(&self.path, own, self.spec.derived.len());
                let spare = opened.map_err(|cause| ModelError::new(&["library"], format!("the plugin cannot be opened: {cause}")))?;
                *native.spare() = Some(spare);
                Ok(())
            }
        }
    }

    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        let own = self.own(names);
        let places = positions(&own, names)?;
        let places = (own != names).then_some(places);
        let (d, k) = (own.len(), self.spec.derived.len());
        let caller = match &self.interface {
            Interface::Foreign(foreign) => {
                self.check_derived(foreign, d).map_err(|e| EvalError::Fatal(e.to_string()))?;
                Caller::Foreign(foreign, Slot::new(&format!("the plugin {}", self.path), &own))
            }
            Interface::Native(native) => {
                let opened = native.open(&self.path, own, k);
                let Spare { state, slot, .. } = opened.map_err(|e| EvalError::Fatal(format!("the plugin cannot be opened: {e}")))?;
                Caller::Native(Instance::new(&native.functions, state, slot))
            }
        };
        Ok(Box::new(Bound { plugin: self, caller, places, batch: Batch::new(d, k), scratch: Vec::new() }))
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.fingerprint.clone()
    }

    fn program(&self) -> String {
        self.program.clone()
    }
}

/// A plugin as one thread uses it.
struct Bound<'m> {
    plugin: &'m Plugin,
    caller: Caller<'m>,
    /// Where in theta each parameter of the function stands; `None`: as they come.
    places: Option<Vec<usize>>,
    batch: Batch,
    scratch: Vec<f64>,
}

enum Caller<'m> {
    Native(Instance<'m>),
    Foreign(&'m Foreign, &'static Slot),
}

impl Bound<'_> {
    /// Evaluates `thetas` (n x d) into `self.batch`.
    fn call(&mut self, thetas: &[f64], d: usize) -> Result<(), EvalError> {
        self.batch.fill(thetas, d, self.places.as_deref());
        let _turn = self.plugin.turn.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        match &mut self.caller {
            Caller::Native(instance) => instance.evaluate(&mut self.batch).map_err(EvalError::Fatal),
            Caller::Foreign(foreign, slot) => {
                if foreign.takes_cube() {
                    check_cube(&self.batch.thetas)?;
                }
                foreign.evaluate(&mut self.batch, &mut self.scratch, slot);
                Ok(())
            }
        }
    }
}

fn check_cube(thetas: &[f64]) -> Result<(), EvalError> {
    match thetas.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        None => Ok(()),
        Some(outside) => Err(EvalError::Fatal(format!(
            "the function takes points of the unit cube and got {outside:?}: give its parameters the prior uniform from 0 to 1"
        ))),
    }
}

impl Density for Bound<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        self.call(theta, theta.len())?;
        self.batch.result(0).map(|result| result.log_like)
    }

    fn evaluate(&mut self, thetas: &[f64], d: usize, out: &mut Vec<Result<Evaluated, EvalError>>) {
        match self.call(thetas, d) {
            Ok(()) => out.extend((0..self.batch.n).map(|i| self.batch.result(i))),
            Err(error) => out.extend(thetas.chunks_exact(d).map(|_| Err(error.clone()))),
        }
    }

    fn log_like_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        let Caller::Native(instance) = &mut self.caller else { return None };
        self.batch.fill(theta, theta.len(), self.places.as_deref());
        self.scratch.clear();
        self.scratch.resize(self.batch.d, f64::NAN);
        let turn = self.plugin.turn.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = instance.gradient(&mut self.batch, &mut self.scratch)?;
        drop(turn);
        match &self.places {
            None => gradient.copy_from_slice(&self.scratch),
            Some(places) => {
                gradient.fill(0.0);
                places.iter().zip(&self.scratch).for_each(|(&place, slope)| gradient[place] += slope);
            }
        }
        Some(outcome.map_err(EvalError::Fatal).and_then(|()| self.batch.result(0).map(|result| result.log_like)))
    }
}
