//! The tables, and what each of them maps.

use std::collections::BTreeMap;

use heed::byteorder::BigEndian;
use heed::types::{Bytes, Str, U64, Unit};
use heed::{CommitToken, Database, DatabaseOpener, OnCommit, RoTxn, RwTxn, WithoutTls};

/// A number that grows with every record of its kind. Big-endian, so that records lie in the order
/// of their creation and new ones are appended.
pub(super) type Seq = U64<BigEndian>;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $value:ty,)+) => {
        /// All tables of a store. A table is called like its field.
        #[derive(Debug, Clone, Copy)]
        pub(super) struct Tables<'t> {
            $($(#[$doc])* pub $name: Database<'t, $key, $value>,)+
        }

        impl<'t> Tables<'t> {
            /// How many tables there are.
            pub(super) const COUNT: u32 = 0 $(+ { let _ = stringify!($name); 1 })+;

            /// Opens the tables; those that do not exist are created.
            pub(super) fn create(opener: &DatabaseOpener<'t, WithoutTls>, txn: &mut RwTxn<'t>) -> heed::Result<Self> {
                Ok(Self { $($name: opener.create_database(txn, Some(stringify!($name)))?,)+ })
            }
        }

        impl Tables<'static> {
            /// How many entries each table has.
            pub(super) fn counts(&self, txn: &RoTxn<'_>) -> heed::Result<BTreeMap<&'static str, u64>> {
                Ok([$((stringify!($name), self.$name.len(txn)?),)+].into())
            }

            /// The bytes that they take together.
            pub(super) fn bytes(&self, txn: &RoTxn<'_>) -> heed::Result<usize> {
                Ok(0 $(+ self.$name.stat(txn)?.non_free_page_size())+)
            }
        }

        impl OnCommit for Tables<'_> {
            type Committed = Tables<'static>;
            fn on_commit(self, token: &CommitToken) -> Tables<'static> {
                Tables { $($name: self.$name.on_commit(token),)+ }
            }
        }
    };
}

tables! {
    /// `store` to what is known of the store as a whole.
    meta: Str => Bytes,
    /// Sequence to campaign.
    campaigns: Seq => Bytes,
    /// Campaign id to sequence.
    campaign_ids: Str => Seq,
    /// Digest of the id of a stored workflow, and sequence of each open campaign on it.
    campaigns_on: Bytes => Unit,
    /// Sequence to experiment.
    experiments: Seq => Bytes,
    /// Experiment id to sequence.
    experiment_ids: Bytes => Seq,
    /// Campaign sequence and number to sequence.
    experiments_by_number: Bytes => Seq,
    /// Sequence to run.
    runs: Seq => Bytes,
    /// Run id to sequence.
    run_ids: Bytes => Seq,
    /// Sequences of the runs that wait for a slot.
    runs_queued: Seq => Unit,
    /// Sequences of the runs that are claimed.
    runs_running: Seq => Unit,
    /// Evaluation id and sequence of every run.
    runs_by_evaluation: Bytes => Unit,
    /// Evaluation id and sequence of every run that is queued or claimed.
    runs_open: Bytes => Unit,
    /// Sequence to stored workflow.
    workflows: Seq => Bytes,
    /// Digest of a stored workflow's id to sequence; an id itself may be too long for a key.
    workflow_ids: Bytes => Seq,
    /// Sequences of the workflows that are not deleted.
    workflows_kept: Seq => Unit,
    /// Sequences of the workflows that are deleted and can be restored.
    workflows_restorable: Seq => Unit,
    /// Workflow sequence and version to text.
    workflow_texts: Bytes => Bytes,
    /// Sequence to workflow run.
    workflow_runs: Seq => Bytes,
    /// Workflow run id to sequence.
    workflow_run_ids: Bytes => Seq,
    /// Digest of the workflow's id, and sequence of every workflow run.
    workflow_runs_by_workflow: Bytes => Unit,
    /// Status and sequence of every workflow run.
    workflow_runs_by_status: Bytes => Unit,
    /// Digest of the id of a stored workflow, and sequence of every open run of it.
    workflow_runs_on: Bytes => Unit,
    /// Time of the end and sequence of every workflow run that is over and has not expired.
    workflow_runs_ended: Bytes => Unit,
    /// Workflow run sequence and digest to output.
    workflow_run_outputs: Bytes => Bytes,
    /// Provider to throttle.
    throttles: Str => Bytes,
    /// Number to event.
    events: Seq => Bytes,
    /// Digest to payload.
    blobs: Bytes => Bytes,
}
