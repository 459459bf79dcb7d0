//! Regions of the unit cube that hold the points above a likelihood threshold.

pub mod blocks;
pub mod cpu;
pub mod ellipsoid;
pub mod emulator;
pub mod gemm;
pub mod linalg;
pub mod mixture;
pub mod network;
pub mod periodic;
pub mod region;
pub mod split;
pub mod training;
pub mod union;
