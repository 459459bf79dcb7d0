//! Regions of the unit cube that hold the points above a likelihood threshold.

pub mod cpu;
pub mod gemm;
pub mod network;
pub mod training;
