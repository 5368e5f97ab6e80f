//! The pure core of optim.

pub mod assertion;
pub mod campaign;
pub mod canonical;
pub mod diagnostic;
pub mod digest;
pub mod document;
pub mod experiment;
pub mod id;
pub mod metrics;
pub mod mutation;
pub mod node_io;
pub mod outcome;
pub mod pack;
pub mod policy;
pub mod proposal;
pub mod quantity;
pub mod run;
pub mod suggest;
pub mod validator;
pub mod verdict;
pub mod workflow;
