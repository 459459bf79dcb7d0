//! The built program on one process: commands, run directories, errors, models in other languages.

#[path = "../common/mod.rs"]
mod common;

mod command;
mod compare;
mod compat;
mod edges;
mod full_disk;
mod init;
mod lynx_hare;
mod nuts;
mod optimise;
mod output;
mod plugin;
mod python;
mod rundir;
mod sbc;
mod silence;
mod verdict;
