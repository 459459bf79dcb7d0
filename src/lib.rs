//! fitjob: Bayesian fits on one core or ten thousand, from one binary, with the same answer.

pub mod bound;
pub mod data;
pub mod expr;
pub mod fit;
pub mod model;
pub mod output;
pub mod random;
pub mod sampler;
pub mod stats;
pub mod task;
