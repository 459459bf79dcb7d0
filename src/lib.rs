//! fitjob: Bayesian fits on one core or ten thousand, from one binary, with the same answer.

pub mod data;
pub mod expr;
pub mod bound;
pub mod model;
pub mod random;
pub mod sampler;
pub mod task;
