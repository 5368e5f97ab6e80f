//! What the benchmarks share: workloads of any size, a plain reference, medians, and a simulated world.

pub mod measure;
pub mod reference;
pub mod workload;
pub mod world;
