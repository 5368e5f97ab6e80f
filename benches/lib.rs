//! What the benchmarks share: workloads of any size, a plain reference, and medians.

pub mod measure;
pub mod reference;
pub mod targets;
pub mod workload;
