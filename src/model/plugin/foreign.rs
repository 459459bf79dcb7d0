//! The signatures that likelihoods already have: a plain function, PolyChord's, MultiNest's and UltraNest's.
//!
//! * plain: `double f(const double *theta, int n)`
//! * PolyChord (its C++ interface, `CC_likelihood.cpp`): `double loglikelihood(double theta[], int nDims, double phi[], int nDerived)`
//!   and `void prior(double cube[], double theta[], int nDims)`
//! * MultiNest (`example_eggbox_C/eggbox.c`): `void LogLike(double *Cube, int *ndim, int *npars, double *lnew, void *context)`
//! * UltraNest (`languages/c/mylib.c`): `void f(double *params, size_t d, size_t n, double *like)` and, for the prior,
//!   `void g(double *params, size_t d, size_t n)`, both over n points
//!
//! Counts are passed as machine words, which hold the value, or for Fortran its address: in the calling conventions of 64-bit
//! Linux an `int`, a `size_t` and a pointer each fill one argument register.

use super::batch::Batch;
use super::library::{Found, Library};
use crate::model::Abi;
use crate::model::crash::Slot;
use std::ffi::{c_int, c_void};
use std::ptr;

type Plain = extern "C" fn(*const f64, usize) -> f64;
type PolychordPrior = extern "C" fn(*mut f64, *mut f64, usize);
type Polychord = extern "C" fn(*mut f64, usize, *mut f64, usize) -> f64;
type Multinest = extern "C" fn(*mut f64, *mut c_int, *mut c_int, *mut f64, *mut c_void);
type UltranestPrior = extern "C" fn(*mut f64, usize, usize);
type Ultranest = extern "C" fn(*mut f64, usize, usize, *mut f64);

/// A function with one of these signatures, and the prior transform that the job asks for.
pub(super) struct Foreign {
    pub abi: Abi,
    function: Found,
    prior: Option<Found>,
}

/// What the compilers of C++ append to the name of a function with such arguments.
fn signatures(abi: Abi, prior: bool) -> &'static [&'static str] {
    match (abi, prior) {
        (Abi::Polychord, false) => &["PdiS_i"],
        (Abi::Polychord, true) => &["PdS_i"],
        (Abi::Multinest, _) => &["PdPiS0_S_Pv", "PdRiS0_RdPv"],
        (Abi::Ultranest, false) => &["PdmmS_", "PKdmmPd"],
        (Abi::Ultranest, true) => &["Pdmm"],
        (Abi::Plain | Abi::Fitjob, _) => &["PKdi", "Pdi"],
    }
}

impl Foreign {
    /// The name of the function where the job gives none: that of the code's own examples.
    pub fn default_symbol(abi: Abi) -> &'static str {
        match abi {
            Abi::Polychord => "loglikelihood",
            Abi::Multinest => "LogLike",
            Abi::Ultranest => "my_c_likelihood_vectorized",
            Abi::Plain | Abi::Fitjob => "log_likelihood",
        }
    }

    /// Finds the function and the transform; else gives the name that is missing.
    pub fn find(library: &Library, abi: Abi, symbol: &str, prior: Option<&str>) -> Result<Foreign, String> {
        let find = |name: &str, is_prior| library.find(name, signatures(abi, is_prior)).ok_or(name.to_string());
        Ok(Foreign { abi, function: find(symbol, false)?, prior: prior.map(|name| find(name, true)).transpose()? })
    }

    /// Whether it is given points of the unit cube, and itself says what parameters they mean.
    pub fn takes_cube(&self) -> bool {
        self.abi == Abi::Multinest || self.prior.is_some()
    }

    /// Evaluates the points of `batch`; the plugin writes to `scratch` only.
    pub fn evaluate(&self, batch: &mut Batch, scratch: &mut Vec<f64>, slot: &Slot) {
        let (thetas, log_likes, n) = (batch.thetas.as_ptr(), batch.log_likes.as_mut_ptr(), batch.n);
        // SAFETY: the job file says that the function has this signature.
        slot.evaluating(thetas, log_likes, n, || unsafe {
            match self.abi {
                Abi::Polychord => self.polychord(batch, scratch),
                Abi::Multinest => self.multinest(batch, scratch),
                Abi::Ultranest => self.ultranest(batch, scratch),
                Abi::Plain | Abi::Fitjob => self.plain(batch),
            }
        });
    }

    unsafe fn plain(&self, batch: &mut Batch) {
        let function = unsafe { std::mem::transmute::<*const (), Plain>(self.function.address) };
        let d = self.function.count(&batch.d);
        for (theta, log_like) in batch.thetas.chunks_exact(batch.d).zip(&mut batch.log_likes) {
            *log_like = function(theta.as_ptr(), d);
        }
    }

    /// With a prior transform the derived quantities are theta and then phi, else phi.
    unsafe fn polychord(&self, batch: &mut Batch, scratch: &mut Vec<f64>) {
        let function = unsafe { std::mem::transmute::<*const (), Polychord>(self.function.address) };
        let prior = self.prior.map(|f| (f, unsafe { std::mem::transmute::<*const (), PolychordPrior>(f.address) }));
        let d = batch.d;
        let n_phi = if prior.is_some() { batch.k.saturating_sub(d) } else { batch.k };
        scratch.resize(2 * d + n_phi, 0.0);
        let (cube, rest) = scratch.split_at_mut(d);
        let (theta, phi) = rest.split_at_mut(d);
        for (i, point) in batch.thetas.chunks_exact(d).enumerate() {
            phi.fill(f64::NAN);
            theta.copy_from_slice(point);
            if let Some((found, prior)) = prior {
                cube.copy_from_slice(point);
                prior(cube.as_mut_ptr(), theta.as_mut_ptr(), found.count(&d));
            }
            let log_like = function(theta.as_mut_ptr(), self.function.count(&d), phi.as_mut_ptr(), self.function.count(&n_phi));
            let physical = if prior.is_some() { &theta[..d.min(batch.k)] } else { &[] };
            batch.derived[i * batch.k..][..physical.len()].copy_from_slice(physical);
            batch.derived[i * batch.k + physical.len()..][..n_phi].copy_from_slice(phi);
            batch.log_likes[i] = log_like;
        }
    }

    /// The derived quantities are what is in Cube afterwards.
    unsafe fn multinest(&self, batch: &mut Batch, cube: &mut Vec<f64>) {
        let function = unsafe { std::mem::transmute::<*const (), Multinest>(self.function.address) };
        let size = batch.d.max(batch.k);
        for (i, point) in batch.thetas.chunks_exact(batch.d).enumerate() {
            cube.clear();
            cube.extend_from_slice(point);
            cube.resize(size, f64::NAN);
            let (mut d, mut size) = (batch.d as c_int, size as c_int);
            let mut log_like = batch.log_likes[i];
            function(cube.as_mut_ptr(), &mut d, &mut size, &mut log_like, ptr::null_mut());
            batch.derived[i * batch.k..][..batch.k].copy_from_slice(&cube[..batch.k]);
            batch.log_likes[i] = log_like;
        }
    }

    /// All points in one call. With a prior transform the derived quantities are the transformed parameters.
    unsafe fn ultranest(&self, batch: &mut Batch, thetas: &mut Vec<f64>) {
        let function = unsafe { std::mem::transmute::<*const (), Ultranest>(self.function.address) };
        let (d, n) = (batch.d, batch.n);
        thetas.clear();
        thetas.extend_from_slice(&batch.thetas);
        if let Some(prior) = self.prior {
            let transform = unsafe { std::mem::transmute::<*const (), UltranestPrior>(prior.address) };
            transform(thetas.as_mut_ptr(), prior.count(&d), prior.count(&n));
            let rows = thetas.chunks_exact(d).zip(batch.derived.chunks_exact_mut(batch.k.max(1)));
            rows.for_each(|(theta, derived)| derived.copy_from_slice(&theta[..derived.len()]));
        }
        function(thetas.as_mut_ptr(), self.function.count(&d), self.function.count(&n), batch.log_likes.as_mut_ptr());
    }
}

impl Found {
    /// `count` as the function takes it.
    fn count(&self, count: &usize) -> usize {
        if self.by_reference { ptr::from_ref(count) as usize } else { *count }
    }
}
