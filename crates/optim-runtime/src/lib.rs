//! Drives optim campaigns.
//!
//! [`engine`] is the one write path; [`service`] runs the loops over it: [`dispatch`] gives case runs
//! to workers as the [`scheduler`] allows, [`reconcile`] takes campaigns from one phase to the next,
//! [`reaper`] gives up what shows no sign of life. [`runner`] executes one case run through an
//! [`executor`]; [`workflow_order`] asks for a run of a workflow in its real workspace; [`proposer`] finds
//! candidates; [`live`] applies and rolls back; [`project`] reads and freezes a project's files.

mod agenda;
pub mod artifact;
mod beneath;
pub mod clock;
pub mod dispatch;
pub mod engine;
pub mod evidence;
pub mod executor;
pub mod frozen;
pub mod head_file;
mod lease;
pub mod listing;
pub mod live;
pub mod matcher;
pub mod project;
pub mod proposer;
pub mod quote;
pub mod reaper;
pub mod reconcile;
mod replacement;
pub mod runner;
pub mod scheduler;
pub mod service;
pub mod source;
pub mod tasks;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod wake;
pub mod workflow_order;
mod workflow_worker;
pub mod workspace;
