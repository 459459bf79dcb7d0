//! `kind = "rust"`: the likelihood that a program with fitjob as a library brings along ([`Likelihood`]).

mod settings;

use super::crash::{self, Slot};
use super::curve::push_numbers;
use super::{Density, Evaluated, FileRef, Files, Likelihood, Loaded, Model, ModelError, RustSpec, positions};
use crate::task::EvalError;
use settings::Shape;
use std::any::type_name;
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};
use toml::{Table, Value};

/// A settings table on its way in: serde knows the place of what it refuses.
type Tracked<'a, 'b> = serde_path_to_error::Deserializer<'a, 'b, Value>;

/// The program's own likelihood, its type forgotten.
pub struct Own {
    /// The type's name.
    pub name: &'static str,
    shape: Shape,
    /// Reads the settings, and gives them with their defaults.
    pub read: for<'a, 'b> fn(Tracked<'a, 'b>) -> Result<Table, toml::de::Error>,
    files: fn(&Table) -> Vec<FileRef>,
    build: fn(&RustSpec, &Files) -> Result<Box<dyn Model>, ModelError>,
}

static OWN: OnceLock<Own> = OnceLock::new();

/// Makes `L` the likelihood of `kind = "rust"` in this process, which has one.
pub fn register<L: Likelihood>() {
    let own = OWN.get_or_init(|| Own {
        name: type_name::<L>(),
        shape: Shape::of::<L>(),
        read: |value| settings::table(&settings::read::<L, _>(value)?),
        files: |settings| settings::of_table::<L>(settings).map(|own| own.files()).unwrap_or_default(),
        build: build_own::<L>,
    });
    assert_eq!(own.name, type_name::<L>(), "a program has one likelihood of its own");
}

/// The program's own likelihood, if it has one.
pub fn own() -> Option<&'static Own> {
    OWN.get()
}

impl Own {
    /// The keys of its settings; none where they are not known beforehand.
    pub fn keys(&self) -> &'static [&'static str] {
        self.shape.keys()
    }

    /// Whether its settings may have this key.
    pub fn has_key(&self, name: &str) -> bool {
        self.shape == Shape::Any || self.keys().contains(&name)
    }
}

pub(super) fn build(spec: &RustSpec, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    match own() {
        Some(own) => (own.build)(spec, files),
        None => {
            let error = ModelError::new(&["kind"], "this program has no likelihood of its own");
            Err(error.help("run the job with the program that has it: one with fitjob as a library, docs/rust.md"))
        }
    }
}

pub(super) fn files(spec: &RustSpec) -> Vec<FileRef> {
    own().map(|own| (own.files)(&spec.settings)).unwrap_or_default()
}

fn build_own<L: Likelihood>(spec: &RustSpec, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    let mut likelihood = settings::of_table::<L>(&spec.settings).map_err(|e| ModelError::new(&[], e.to_string()))?;
    let fingerprint = fingerprint::<L>(&spec.settings, &likelihood.files(), files);
    likelihood.prepare(files)?;
    crash::watch();
    Ok(Box::new(Adapter { likelihood, fingerprint, slots: Mutex::default() }))
}

/// Everything of the job that changes values: the settings, and the content of files, wherever they lie.
fn fingerprint<L: Likelihood>(settings: &Table, named: &[FileRef], files: &Files) -> Vec<u8> {
    let mut settings = settings.clone();
    let mut contents = Vec::new();
    for file in named {
        settings::replace(&mut settings, file.key, &file.path, "");
        match files.get(&file.path) {
            Some(Loaded::Table(table)) => table.columns.iter().for_each(|(name, values)| {
                contents.extend_from_slice(name.as_bytes());
                push_numbers(&mut contents, values);
            }),
            Some(Loaded::Text(text)) => contents.extend_from_slice(text.as_bytes()),
            Some(Loaded::Program { hash, .. }) => contents.extend_from_slice(hash.as_bytes()),
            None => {}
        }
        contents.push(0);
    }
    let about = format!("rust {} {settings:?}", type_name::<L>());
    [about.into_bytes(), contents].concat()
}

/// A [`Likelihood`] as a model.
struct Adapter<L> {
    likelihood: L,
    fingerprint: Vec<u8>,
    /// Of threads that are gone: a slot is never freed.
    slots: Mutex<Vec<&'static Slot>>,
}

impl<L> Adapter<L> {
    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<&'static Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, names: &[String]) -> &'static Slot {
        let spare = self.slots().pop_if(|slot| slot.names == names);
        spare.unwrap_or_else(|| Slot::new("the likelihood", names))
    }
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(String::from).collect()
}

impl<L: Likelihood> Model for Adapter<L> {
    fn parameters(&self) -> Vec<String> {
        owned(self.likelihood.parameters())
    }

    fn takes_all(&self) -> bool {
        self.likelihood.parameters().is_empty()
    }

    fn derived(&self) -> Vec<String> {
        owned(self.likelihood.derived())
    }

    fn has_gradient(&self) -> bool {
        self.likelihood.has_gradient()
    }

    fn batch(&self) -> usize {
        self.likelihood.batch()
    }

    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        let own = if self.takes_all() { names.to_vec() } else { self.parameters() };
        let places = positions(&own, names)?;
        let (slot, places) = (self.slot(&own), (own != names).then_some(places));
        let (batch, derived) = (self.likelihood.batch(), self.likelihood.derived().len());
        Ok(Box::new(Bound { model: self, slot, places, thetas: Vec::new(), batch, derived }))
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.fingerprint.clone()
    }

    fn program(&self) -> String {
        format!("version {}", L::VERSION)
    }
}

/// A [`Likelihood`] as one thread uses it.
struct Bound<'m, L> {
    model: &'m Adapter<L>,
    slot: &'static Slot,
    /// Where in theta each of its parameters stands; None: as they come.
    places: Option<Vec<usize>>,
    /// Its own values, where they are not those that came.
    thetas: Vec<f64>,
    batch: usize,
    /// Derived quantities a point.
    derived: usize,
}

impl<L> Drop for Bound<'_, L> {
    fn drop(&mut self) {
        self.model.slots().push(self.slot);
    }
}

impl<L: Likelihood> Bound<'_, L> {
    /// Takes up its own values of the points `thetas` (n x d), if they differ from those.
    fn pick(&mut self, thetas: &[f64], d: usize) {
        if let Some(places) = &self.places {
            self.thetas.clear();
            thetas.chunks_exact(d).for_each(|theta| self.thetas.extend(places.iter().map(|&place| theta[place])));
        }
    }

    fn checked(&self, result: Result<Evaluated, EvalError>) -> Result<Evaluated, EvalError> {
        match result {
            Ok(it) if it.derived.len() != self.derived => Err(EvalError::Fatal(format!(
                "the likelihood gave {} derived quantities and has names for {} (its `evaluate` and `derived` must agree)",
                it.derived.len(),
                self.derived
            ))),
            result => result,
        }
    }
}

impl<L: Likelihood> Density for Bound<'_, L> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        self.pick(theta, theta.len());
        let own = if self.places.is_some() { &self.thetas[..] } else { theta };
        self.slot.evaluating(own.as_ptr(), ptr::null_mut(), 1, || self.model.likelihood.log_like(own))
    }

    fn evaluate(&mut self, thetas: &[f64], d: usize, out: &mut Vec<Result<Evaluated, EvalError>>) {
        self.pick(thetas, d);
        let (own, likelihood) = (if self.places.is_some() { &self.thetas[..] } else { thetas }, &self.model.likelihood);
        let d = self.places.as_ref().map_or(d, Vec::len);
        if self.batch > 1 {
            let (from, n) = (out.len(), own.len() / d);
            self.slot.evaluating(own.as_ptr(), ptr::null_mut(), n, || likelihood.evaluate_many(own, d, out));
            for result in &mut out[from..] {
                *result = self.checked(std::mem::replace(result, Ok(Evaluated::default())));
            }
        } else {
            let one = |theta: &[f64]| self.slot.evaluating(theta.as_ptr(), ptr::null_mut(), 1, || likelihood.evaluate(theta));
            out.extend(own.chunks_exact(d).map(|theta| self.checked(one(theta))));
        }
    }

    fn log_like_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        let likelihood = &self.model.likelihood;
        if !likelihood.has_gradient() {
            return None;
        }
        self.pick(theta, theta.len());
        let Some(places) = &self.places else {
            return Some(self.slot.evaluating(theta.as_ptr(), ptr::null_mut(), 1, || likelihood.gradient(theta, gradient)));
        };
        let own = &self.thetas[..];
        let mut slopes = vec![0.0; places.len()];
        let outcome = self.slot.evaluating(own.as_ptr(), ptr::null_mut(), 1, || likelihood.gradient(own, &mut slopes));
        gradient.fill(0.0);
        places.iter().zip(slopes).for_each(|(&place, slope)| gradient[place] += slope);
        Some(outcome)
    }
}
