//! Removes what nothing refers to.

use std::collections::BTreeSet;

use heed::types::Bytes;
use heed::{Database, RwTxn};
use optim_core::digest::Digest;

use crate::upkeep::Swept;

use super::Error;
use super::tables::{Seq, Tables};

/// How a digest begins where it is written down, and how many digits follow.
const MARK: &[u8] = b"sha256:";
const DIGITS: usize = 64;

/// Removes the payloads that no record names, and none that a payload names which stays. A digest counts
/// as named wherever it is written, so that rather too much is kept than too little.
pub(super) fn sweep(tables: &Tables<'static>, txn: &mut RwTxn<'_>) -> Result<Swept, Error> {
    let mut named = BTreeSet::new();
    let records: [Database<'static, Seq, Bytes>; 5] =
        [tables.campaigns, tables.experiments, tables.runs, tables.workflows, tables.workflow_runs];
    for table in records {
        for entry in table.iter(txn)? {
            named.extend(digests(entry?.1));
        }
    }
    let mut to_look_at: Vec<Digest> = named.iter().copied().collect();
    while let Some(digest) = to_look_at.pop() {
        if let Some(payload) = tables.blobs.get(txn, digest.as_bytes())? {
            to_look_at.extend(digests(payload).into_iter().filter(|it| named.insert(*it)));
        }
    }
    let (mut unused, mut swept) = (Vec::new(), Swept::default());
    for entry in tables.blobs.iter(txn)? {
        let (key, value) = entry?;
        let digest = <[u8; 32]>::try_from(key).map(Digest::from_bytes);
        if digest.is_ok_and(|digest| !named.contains(&digest)) {
            swept.payloads = swept.payloads.saturating_add(1);
            let bytes = u64::try_from(value.len()).unwrap_or(u64::MAX);
            swept.bytes = swept.bytes.saturating_add(bytes);
            unused.push(key.to_vec());
        }
    }
    for key in unused {
        tables.blobs.delete(txn, &key)?;
    }
    Ok(swept)
}

/// The digests that are written in `bytes`.
fn digests(bytes: &[u8]) -> Vec<Digest> {
    let mut found = Vec::new();
    for window in bytes.windows(MARK.len() + DIGITS).filter(|window| window.starts_with(MARK)) {
        found.extend(std::str::from_utf8(window).ok().and_then(|text| text.parse::<Digest>().ok()));
    }
    found
}
