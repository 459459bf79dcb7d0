//! Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018, arXiv:1804.06788): is the posterior of a job what
//! it says it is?
//!
//! True values are drawn from the prior, data from the model at them, and the data are fitted. The rank of each true value among
//! draws from its posterior is then uniform over many such simulations, if prior, model and sampler are what they are taken for. Each
//! fit is one task for one thread of one rank: they need nothing of each other, and the bits of each depend on its number alone.

mod assess;
mod report;
mod trial;

pub use assess::{Quantity, assess};
pub use report::{About, Kept};
pub use trial::{Plan, Trial};
