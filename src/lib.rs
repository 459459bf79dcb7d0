//! fitjob: Bayesian fits on one core or ten thousand, from one binary, with the same answer.

pub mod bound;
pub mod bulk;
pub mod cli;
pub mod compare;
pub mod data;
pub mod driver;
pub mod exec;
pub mod expr;
pub mod fit;
pub mod job;
pub mod launch;
pub mod model;
pub mod output;
pub mod prior;
pub mod random;
pub mod sampler;
pub mod sbc;
pub mod session;
pub mod state;
pub mod stats;
pub mod stop;
pub mod task;
pub mod world;

pub use model::{Evaluated, Likelihood};
pub use task::EvalError;

/// The whole of a program with a likelihood of its own: does what the command line says, and ends the process (docs/rust.md).
pub fn main<L: Likelihood>() -> ! {
    std::process::exit(cli::main_with::<L>())
}
