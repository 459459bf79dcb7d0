//! What the optimisers share: searches side by side, each a lane that asks for a batch and is told its values.
//!
//! `cube` is where they search, `start` where they begin, `lane` runs one search, `fleet` all of them as a sampler,
//! `curvature` takes the last steps to the top and the covariance there (`eigen`: its linear algebra), `verdict` says what came of it.

mod cube;
mod curvature;
pub mod eigen;
mod fleet;
mod lane;
mod start;
mod verdict;

pub use cube::Cube;
pub use fleet::{Fleet, Plan};
pub use lane::{Lane, Order};
pub use start::{Start, chosen, starts};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::sampler::{SamplerError, needs_parameters, refuse};

/// What came of a point. Searches minimise the cost, -log L.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// +inf where the point is impossible or the model failed: ranked last, and never a sign of convergence.
    pub cost: f64,
    /// d cost / du where the model gives it, else empty.
    pub slope: Vec<f64>,
}

/// How a search ended, in words that follow "because".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    pub why: String,
    /// At a maximum of the likelihood, as far as the search can tell.
    pub converged: bool,
}

impl Ending {
    pub fn converged(why: &str) -> Ending {
        Ending { why: why.into(), converged: true }
    }

    pub fn short(why: &str) -> Ending {
        Ending { why: why.into(), converged: false }
    }
}

/// One search from one starting point: a sequential program, inside out.
pub trait Search: Clone + Serialize + DeserializeOwned {
    /// What it is started with, but for the point.
    type Brief: Clone + Serialize + DeserializeOwned;

    fn begin(brief: &Self::Brief, u: Vec<f64>, reply: Reply) -> Self;
    /// Points of the cube to evaluate next; or how it ended.
    fn batch(&mut self) -> Result<Vec<Vec<f64>>, Ending>;
    /// What came of that batch, in its order.
    fn take(&mut self, batch: &[Vec<f64>], replies: &[Reply]);
}

/// Checks what all optimisers can be told. `searches`: how many begin.
///
/// # Errors
/// The setting that cannot work, by name.
pub fn check(n_dim: usize, searches: usize, points: &[Vec<f64>], tolerance: f64, n_like_max: Option<u64>) -> Result<(), SamplerError> {
    needs_parameters(n_dim)?;
    if searches == 0 || searches > 1 << 20 {
        return refuse("n_starts", searches, "from 1 to a million");
    }
    if points.len() > searches {
        return refuse("points", format!("{} points", points.len()), format!("no more than the {searches} starts"));
    }
    if let Some(bad) = points.iter().find(|p| p.len() != n_dim || !p.iter().all(|u| (0.0..=1.0).contains(u))) {
        let need = format!("points of {n_dim} prior quantiles, one for each free parameter, from 0 to 1");
        return refuse("points", format!("[{bad:?}]"), need);
    }
    if !(tolerance > 0.0 && tolerance.is_finite()) {
        return refuse("tol_log_like", tolerance, "above 0");
    }
    let least = curvature::reserve(n_dim) + 100 * searches as u64;
    match n_like_max {
        Some(most) if most < least => refuse("n_like_max", most, format!("at least {least} (100 a start, and the covariance)")),
        _ => Ok(()),
    }
}
