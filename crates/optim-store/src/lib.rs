//! The state of optim behind one small trait.
//!
//! [`Store`] is the whole contract, in plain data: reads by id, listings by cursor, and one
//! all-or-nothing [`Commit`], which chains its events. `check` holds the rules of a commit and `cursor` the paging, for every
//! backend the same code. [`memory`] is the reference, `lmdb` the backend of one machine; both pass
//! the suite in `testing`, which is published for backends of others. [`upkeep`] is what an operator does with
//! a store as a whole. [`url::open`] picks a backend.

mod check;
mod cursor;
mod encoded;
#[cfg(feature = "lmdb")]
pub mod lmdb;
pub mod memory;
#[cfg(feature = "lmdb")]
mod portable;
mod snapshot;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod upkeep;
pub mod url;

pub use snapshot::snapshot;
pub use store::{
    Blob, CampaignSummary, Commit, Committed, Cursor, Damaged, EventSeq, ExperimentSummary, Page,
    Paged, Recorded, Revision, RunFilter, RunOutput, RunSummary, Store, StoreError, Versioned,
    WorkflowFilter, WorkflowRunFilter, WorkflowRunSummary, WorkflowSummary, WorkflowText, Write,
};
