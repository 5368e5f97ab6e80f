//! What an operator does with a store as a whole.

use std::collections::BTreeMap;
use std::fs::File;

use async_trait::async_trait;
use optim_core::audit::head::Head;
use optim_core::digest::Digest;
use serde::Serialize;

use crate::store::StoreError;

/// A store that can be looked after. All of it works while others read and write.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Reads everything and compares it with everything else; the findings, at most 100, are what is
    /// damaged.
    ///
    /// # Errors
    /// The store fails; so for all of these.
    async fn verify(&self) -> Result<Vec<StoreError>, StoreError>;

    /// Compares the records with the last word that the audit chain has on each; the findings, at most 100,
    /// are records that somebody changed behind its back.
    async fn against_the_chain(&self) -> Result<Vec<StoreError>, StoreError>;

    /// Sizes and counts.
    async fn stat(&self) -> Result<Stat, StoreError>;

    /// Writes all records to `to`, as they are between two commits: docs/store.md has the lines.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a damaged record, [`StoreError::File`] when `to` cannot be written.
    async fn export(&self, to: File) -> Result<Exported, StoreError>;

    /// Takes in all records of an export, or nothing.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] unless nothing was ever stored here, [`StoreError::NotAnExport`] for a
    /// file that is not whole or contradicts itself.
    async fn import(&self, from: File) -> Result<Exported, StoreError>;

    /// Removes the payloads that no record refers to. Commits wait meanwhile.
    async fn sweep(&self) -> Result<Swept, StoreError>;
}

/// What is in an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Records by their kind.
    pub records: BTreeMap<&'static str, u64>,
    /// The hash of them all. Stores with the same records have the same one.
    pub hash: Digest,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Payloads.
    pub payloads: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How large a store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// The format on disk.
    pub format: u32,
    /// Bytes that its tables take.
    pub table_bytes: u64,
    /// Bytes of the file up to its last page in use; pages between that are free are used again.
    pub used_bytes: u64,
    /// Bytes of the map, which is as long as the file; it grows by itself.
    pub map_bytes: u64,
    /// Bytes up to which the map may grow.
    pub map_bytes_max: u64,
    /// Slots of readers that were in use at once.
    pub readers: u32,
    /// Slots of readers.
    pub readers_max: u32,
    /// Transactions since the store was made.
    pub transactions: u64,
    /// Entries by table.
    pub tables: BTreeMap<&'static str, u64>,
    /// The end of the audit chain.
    pub head: Head,
}
