//! What a Rust caller of fitjob sees: engines, models, priors, files. No test here starts the program or a rank.

#[path = "../common/mod.rs"]
mod common;
mod support;

mod architecture;
mod certified;
mod command;
mod corners;
mod crashing;
mod crashing_storage;
mod damage;
mod damage_on_disk;
mod ensemble;
mod importance_nested;
mod job_file;
mod launch;
mod laws;
mod likelihood;
mod liveness;
mod models;
mod nested;
mod nuts;
#[cfg(feature = "ode")]
mod ode;
#[cfg(feature = "ode")]
mod ode_steps;
#[cfg(feature = "ode")]
mod ode_tolerance;
mod optimise;
mod output;
mod plugin;
mod priors;
mod python;
mod resume_model;
mod rundir;
mod session;
mod smc;
mod truth;
