//! result.h5: the posterior as ArviZ InferenceData (HDF5 that netCDF readers open), and the weighted samples.
//! The layout is written down in docs/file-format.md.

use super::scales::{dimension, number, text, variable};
use super::{OutputError, Root, RunFacts, atomic};
use crate::fit::{BestFit, Column, End, Fit, Role};
use crate::sampler::Transitions;
use crate::stats;
use hdf5::plist::file_create::LinkCreationOrder;
use hdf5::{Dataset, File, Group, Result};
use std::path::Path;

/// Raised when a reader of an older version would be misled.
pub const FORMAT_VERSION: u32 = 1;

/// Names in a group that no parameter may take; a parameter so called is written with an underscore after it.
const RESERVED: [&str; 11] = [
    "chain",
    "draw",
    "sample",
    "free_parameter",
    "free_parameter_2",
    "log_weight",
    "log_like",
    "log_prior",
    "unit_cube",
    "at_bound",
    "covariance",
];

/// Turns HDF5's own file locks off, unless the user has set HDF5_USE_FILE_LOCKING: where a network file system has no locks, it
/// could neither write results nor read data. Results have the lock of the run directory, and data nobody writes.
///
/// # Safety
/// To be called while the process has one thread (others could read the environment), and before anything uses HDF5.
pub unsafe fn no_hdf5_locks() {
    const NAME: &str = "HDF5_USE_FILE_LOCKING";
    if std::env::var_os(NAME).is_none() {
        // SAFETY: the caller's promise.
        unsafe { std::env::set_var(NAME, "FALSE") };
    }
}

/// Writes `fit` to `path`, complete or not at all.
pub fn write_result(_root: &Root, path: &Path, fit: &Fit, facts: &RunFacts) -> std::result::Result<(), OutputError> {
    atomic::write_with(path, |temporary| {
        let (file, driver) = create(temporary)?;
        let created_at = super::text::now();
        root_attributes(&file, fit, facts, driver, &created_at)?;
        let draws = Draws::of(fit, facts.seed);
        posterior(&group(&file, "posterior")?, fit, facts, &draws, &created_at)?;
        sample_stats(&group(&file, "sample_stats")?, fit, &draws, &created_at)?;
        weighted(&group(&file, "weighted")?, fit)?;
        if let Some(best) = &fit.optimum {
            optimum(&group(&file, "optimum")?, fit, best)?;
        }
        constants(&file, fit)?;
        file.close()
    })
}

/// Through the MPI-IO driver on the root's own communicator where MPI runs (what parallel file systems are tuned
/// for), and through HDF5's default driver elsewhere. The bytes are the same. A file system that MPI-IO cannot use
/// must not cost a finished run its samples: the default driver is tried then. On NFS it is the only one, since MPI-IO
/// locks there with fcntl, and ROMIO ends the whole job where it cannot.
fn create(path: &Path) -> Result<(File, &'static str)> {
    let mut options = File::with_options();
    // Groups list their members in the order in which they were written: parameters in the job's order.
    options.with_fcpl(|p| p.link_creation_order(LinkCreationOrder::Indexed));
    #[cfg(feature = "mpio")]
    if let Some(communicator) = crate::world::comm_self().filter(|_| !on_nfs(path)) {
        let mut parallel = options.clone();
        match parallel.with_fapl(|p| p.mpio(communicator, None)).create(path) {
            Ok(file) => return Ok((file, "mpio")),
            Err(e) => log::warn!("MPI-IO cannot write {}: {e}; using HDF5's default driver", path.display()),
        }
    }
    Ok((options.create(path)?, "default"))
}

#[cfg(feature = "mpio")]
fn on_nfs(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Some(folder) = path.parent().and_then(|f| std::ffi::CString::new(f.join(".").as_os_str().as_bytes()).ok()) else { return false };
    // SAFETY: the text outlives the call, and zeroes are a valid statfs for it to fill.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    unsafe { libc::statfs(folder.as_ptr(), &mut found) == 0 && found.f_type == libc::NFS_SUPER_MAGIC }
}

fn group(file: &File, name: &str) -> Result<Group> {
    let order = LinkCreationOrder::Indexed;
    file.create_group_builder().with_gcpl(|p| p.link_creation_order(order)).create(name)
}

fn root_attributes(file: &File, fit: &Fit, facts: &RunFacts, driver: &str, created_at: &str) -> Result<()> {
    text(file, "format", "fitjob-result")?;
    number(file, "format_version", FORMAT_VERSION)?;
    text(file, "fitjob_version", env!("CARGO_PKG_VERSION"))?;
    text(file, "created_at", created_at)?;
    text(file, "job", &facts.job)?;
    text(file, "job_digest", &facts.job_digest)?;
    text(file, "digest", &fit.digest)?;
    text(file, "verdict", fit.verdict.level.word())?;
    text(file, "verdict_reasons", &fit.verdict.reasons.join("\n"))?;
    text(file, "method", &facts.method)?;
    number(file, "seed", facts.seed)?;
    if !fit.log_z.is_nan() {
        number(file, "log_z", fit.log_z)?;
        number(file, "log_z_err", fit.log_z_err)?;
    }
    number(file, "n_eff", fit.n_eff)?;
    number(file, "n_like", fit.n_like)?;
    number(file, "n_samples", fit.len() as u64)?;
    number(file, "best", fit.best as u64)?;
    number(file, "rejected", facts.rejected)?;
    number(file, "timed_out", facts.timed_out)?;
    number(file, "ranks", facts.ranks as u64)?;
    number(file, "threads", facts.threads as u64)?;
    number(file, "wall_s", facts.wall_s)?;
    number(file, "total_wall_s", facts.total_wall_s)?;
    number(file, "resumes", facts.resumes)?;
    text(file, "warnings", &fit.warnings.join("\n"))?;
    text(file, "hdf5_driver", driver)?;
    for (name, value) in &fit.diagnostics {
        number(file, &format!("diagnostic_{name}"), *value)?;
    }
    Ok(())
}

/// Rows of the weighted table that make the equal-weight sample.
struct Draws {
    rows: Vec<usize>,
    n_chains: usize,
}

impl Draws {
    /// Markov chains as they are. Else as many as the sample is worth (n_eff), since more would only repeat them and make
    /// a reader's own effective sample size too high.
    fn of(fit: &Fit, seed: u64) -> Draws {
        if fit.n_chains > 0 {
            return Draws { rows: (0..fit.len()).collect(), n_chains: fit.n_chains };
        }
        let n = (fit.n_eff.round() as usize).clamp(1, fit.len());
        Draws { rows: stats::systematic(&fit.weights(), n, seed), n_chains: 1 }
    }

    fn dimensions(&self, group: &Group) -> Result<(Dataset, Dataset)> {
        let n_draws = self.rows.len() / self.n_chains;
        Ok((dimension(group, "chain", self.n_chains)?, dimension(group, "draw", n_draws)?))
    }
}

/// Attributes of the ArviZ schema.
fn schema_attributes(group: &Group, created_at: &str) -> Result<()> {
    text(group, "created_at", created_at)?;
    text(group, "creation_library", "fitjob")?;
    text(group, "creation_library_version", env!("CARGO_PKG_VERSION"))?;
    text(group, "inference_library", "fitjob")?;
    text(group, "inference_library_version", env!("CARGO_PKG_VERSION"))
}

fn posterior(group: &Group, fit: &Fit, facts: &RunFacts, draws: &Draws, created_at: &str) -> Result<()> {
    schema_attributes(group, created_at)?;
    number(group, "sampling_time", facts.sampling_s())?;
    let (chain, draw) = draws.dimensions(group)?;
    for column in varying(fit) {
        quantity(group, &column, &pick(&column.values, &draws.rows), &[&chain, &draw])?;
    }
    Ok(())
}

fn sample_stats(group: &Group, fit: &Fit, draws: &Draws, created_at: &str) -> Result<()> {
    schema_attributes(group, created_at)?;
    let (chain, draw) = draws.dimensions(group)?;
    let dimensions = [&chain, &draw];
    let (log_like, log_prior) = (pick(&fit.log_like, &draws.rows), pick(&fit.log_prior, &draws.rows));
    let lp: Vec<f64> = log_like.iter().zip(&log_prior).map(|(l, p)| l + p).collect();
    described(&variable(group, "lp", &lp, &dimensions)?, "log posterior density, unnormalised: log L + log prior")?;
    described(&variable(group, "log_like", &log_like, &dimensions)?, "natural log of the likelihood")?;
    described(&variable(group, "log_prior", &log_prior, &dimensions)?, "natural log of the prior density")?;
    let rows: Vec<i64> = draws.rows.iter().map(|row| *row as i64).collect();
    described(&variable(group, "weighted_row", &rows, &dimensions)?, "index of this draw in the group `weighted`")?;
    fit.transitions.as_ref().map_or(Ok(()), |it| transitions(group, it, &dimensions))
}

/// What Hamiltonian chains tell of each draw, by the names that ArviZ knows.
fn transitions(group: &Group, it: &Transitions, dimensions: &[&Dataset]) -> Result<()> {
    let diverging: Vec<i8> = it.diverging.iter().map(|d| i8::from(*d)).collect();
    let diverging = variable(group, "diverging", &diverging, dimensions)?;
    text(&diverging, "dtype", "bool")?; // so that xarray reads it as such
    described(&diverging, "the trajectory left the level of its energy")?;
    let whole = |values: &[u32]| values.iter().map(|n| i64::from(*n)).collect::<Vec<_>>();
    described(&variable(group, "tree_depth", &whole(&it.tree_depth), dimensions)?, "doublings of the trajectory")?;
    described(&variable(group, "n_steps", &whole(&it.n_steps), dimensions)?, "leapfrog steps: gradients")?;
    described(&variable(group, "energy", &it.energy, dimensions)?, "total energy at the start, in standard coordinates")
}

fn weighted(group: &Group, fit: &Fit) -> Result<()> {
    text(group, "description", "every sample of the run with its weight: sum of exp(log_weight) = 1")?;
    let sample = dimension(group, "sample", fit.len())?;
    for column in varying(fit) {
        quantity(group, &column, &column.values, &[&sample])?;
    }
    described(&variable(group, "log_weight", &fit.log_weight, &[&sample])?, "natural log of the posterior weight, normalised")?;
    described(&variable(group, "log_like", &fit.log_like, &[&sample])?, "natural log of the likelihood")?;
    described(&variable(group, "log_prior", &fit.log_prior, &[&sample])?, "natural log of the prior density")?;
    if fit.n_free() > 0 {
        let axis = dimension(group, "free_parameter", fit.n_free())?;
        let cube = variable(group, "unit_cube", &fit.u, &[&sample, &axis])?;
        described(&cube, "the same points in the unit cube")?;
        text(&cube, "axes", &free_names(fit).join(" "))?;
    }
    Ok(())
}

/// The best point of an optimiser: values, errors and covariance.
fn optimum(group: &Group, fit: &Fit, best: &BestFit) -> Result<()> {
    text(group, "description", "the point of the highest likelihood, with errors from the curvature of log L there")?;
    number(group, "log_like", fit.log_like[fit.best])?;
    number(group, "starts", best.starts as u64)?;
    number(group, "starts_agree", best.agree as u64)?;
    for (column, error) in fit.columns().iter().zip(&best.errors).filter(|(column, _)| column.role != Role::Fixed) {
        let dataset = variable(group, &free_name(group, column.name), &[column.values[fit.best]], &[])?;
        text(&dataset, "name", column.name)?;
        text(&dataset, "role", role_name(column.role))?;
        number(&dataset, "error", *error)?;
    }
    let n = fit.n_free();
    let (rows, columns) = (dimension(group, "free_parameter", n)?, dimension(group, "free_parameter_2", n)?);
    let side = |end: &Option<End>| end.map_or(0, |end| if end == End::Lower { -1 } else { 1 });
    let ends: Vec<i64> = best.at_bound.iter().map(side).collect();
    described(&variable(group, "at_bound", &ends, &[&rows])?, "-1 at the lower end of the prior, 1 at the upper, else 0")?;
    if !best.covariance.is_empty() {
        let matrix = variable(group, "covariance", &best.covariance, &[&rows, &columns])?;
        described(&matrix, "covariance of the free parameters")?;
        text(&matrix, "axes", &free_names(fit).join(" "))?;
    }
    Ok(())
}

/// Values of fixed parameters, where there are any.
fn constants(file: &File, fit: &Fit) -> Result<()> {
    let columns = fit.columns();
    let mut fixed = columns.iter().filter(|c| c.role == Role::Fixed).peekable();
    if fixed.peek().is_none() {
        return Ok(());
    }
    let group = group(file, "constant_data")?;
    for column in fixed {
        quantity(&group, column, &column.values[..1], &[])?;
    }
    Ok(())
}

fn quantity(group: &Group, column: &Column, values: &[f64], dimensions: &[&Dataset]) -> Result<()> {
    let dataset = variable(group, &free_name(group, column.name), values, dimensions)?;
    text(&dataset, "name", column.name)?;
    text(&dataset, "role", role_name(column.role))
}

fn described(dataset: &Dataset, description: &str) -> Result<()> {
    text(dataset, "description", description)
}

fn varying(fit: &Fit) -> Vec<Column<'_>> {
    fit.columns().into_iter().filter(|c| c.role != Role::Fixed).collect()
}

fn pick(values: &[f64], rows: &[usize]) -> Vec<f64> {
    rows.iter().map(|row| values[*row]).collect()
}

fn free_names(fit: &Fit) -> Vec<&str> {
    let named = fit.names.iter().zip(&fit.roles);
    named.filter(|(_, role)| **role == Role::Free).map(|(name, _)| name.as_str()).collect()
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Free => "free",
        Role::Fixed => "fixed",
        Role::Tied => "tied",
        Role::Derived => "derived",
    }
}

/// A slash would make a group, and some names are taken. The attribute `name` keeps the job's own.
fn free_name(group: &Group, name: &str) -> String {
    let mut free = name.replace('/', "_");
    while RESERVED.contains(&free.as_str()) || group.link_exists(&free) {
        free.push('_');
    }
    free
}
