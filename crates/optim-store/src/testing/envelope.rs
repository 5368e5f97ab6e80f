//! Records in their envelope, as LMDB keeps them.

use crate::lmdb::envelope::{Codec, seal, unseal};

const TABLE: &str = "runs";

/// `payload` in its envelope, for the record `key`.
#[must_use]
pub fn seal_record(key: &[u8], payload: &[u8]) -> Vec<u8> {
    seal(TABLE, key, Codec::Raw, payload).unwrap()
}

/// What is in the envelope `value` of the record `key`.
///
/// # Errors
/// What is wrong with it.
pub fn open_record(key: &[u8], value: &[u8]) -> Result<Vec<u8>, &'static str> {
    unseal(TABLE, key, Codec::Raw, value).map(<[u8]>::to_vec)
}
