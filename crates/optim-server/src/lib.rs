//! Wires optim together and gives it a command line.
//!
//! [`config`] reads `optim.toml`, [`session`] opens a project's store and engine, [`cli`] has one
//! file for each verb, [`control`] lets the process that owns the store execute the verbs of others.
//! Nothing is decided here.

pub mod cli;
pub mod config;
pub mod control;
pub mod error;
mod guard;
pub mod session;
