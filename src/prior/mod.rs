//! Priors: distributions, and the space of parameters that a job describes.

mod far;
mod kinds;
mod law;
mod space;
mod square;
mod truncated;

pub use kinds::{KINDS, PriorError, PriorSpec, Uniform, kind_named};
pub use law::Law;
pub use space::{Parameter, Role, Space, SpaceError};
pub use truncated::Prior;
