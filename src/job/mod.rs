//! The job file: what was typed (`file`), what it means (`resolve`), what names it (`digest`), what is wrong (`error`).

mod check;
mod digest;
mod emit;
mod error;
mod file;
mod json;
mod overrides;
mod read;
mod resolve;
pub mod schema;
mod source;
pub mod tolerance;
mod tree;

pub use error::{JobError, Mistake, Problem};
pub use file::{OutputSpec, RunSpec};
pub use resolve::{Job, Package, load, resolve};
pub use source::Source;
