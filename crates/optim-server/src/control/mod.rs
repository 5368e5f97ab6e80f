//! How one process executes the verbs of others.
//!
//! One process owns the store. While it runs campaigns it listens on a socket in the project's
//! `.optim`; a verb that finds it sends itself there, is executed by the owner, and prints what the
//! owner says. Only the owner's own user and root may ask.
//!
//! [`protocol`] has the messages, `frame` their form on the wire, `socket` the place,
//! `server` and `client` the two sides.

pub(crate) mod client;
mod frame;
pub mod protocol;
pub(crate) mod server;
mod socket;
