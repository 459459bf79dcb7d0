//! What starts ranks: the same bits on any number of them, kills and signals, models that break on one of them.

#[path = "../common/mod.rs"]
mod common;

mod command;
mod digest;
mod init;
mod lynx_hare;
#[cfg(feature = "mpi")]
mod mpi;
mod output;
mod plugin;
mod python;
mod resume;
mod rust_library;
mod sbc;
mod stuck;
mod torture;
#[cfg(feature = "mpi")]
mod tutorial;
