//! The pure core of optim: what is decided, without any I/O, clock, async, or randomness of its own.
//!
//! [`workflow`] is what is optimized, [`policy`] the rules, [`pack`] the cases. [`mutation`] changes
//! one field of one node, [`proposal`] finds such changes. A case run is a [`run`]; its outputs are
//! checked by [`validator`] and [`assertion`], counted by [`metrics`], and judged by [`judge`].
//! [`campaign`] is the whole effort as a state machine, [`stored_workflow`] a definition that is kept
//! here, version by version. A [`workflow_run`] carries a workflow out for its effect, on the real
//! workspace. [`audit`] is the chain of everything that happened.

pub mod assertion;
pub mod audit;
pub mod backoff;
pub mod campaign;
pub mod canonical;
pub mod decisions;
pub mod diagnostic;
pub mod digest;
pub mod document;
pub mod experiment;
pub mod id;
pub mod invariants;
pub mod judge;
pub mod lease;
pub mod metrics;
pub mod mutation;
pub mod node_io;
pub mod outcome;
pub mod pack;
pub mod policy;
pub mod proposal;
pub mod quantity;
pub mod rate;
pub mod run;
pub mod secret;
pub mod shadow;
pub mod stored_workflow;
mod suggest;
pub mod suspicion;
pub mod throttle;
pub mod triage;
pub mod trial;
pub mod validator;
pub mod verdict;
pub mod workflow;
pub mod workflow_run;
