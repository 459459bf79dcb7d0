//! fitjob: Bayesian fits on one core or ten thousand, from one binary, with the same answer.

pub mod exec;
pub mod launch;
pub mod model;
pub mod random;
pub mod sampler;
pub mod task;
pub mod world;
pub mod cli { pub mod info; }
