//! The end of an audit chain.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, Hasher};

/// The last entry of a chain: its number and its hash, written `SEQ:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 while there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Default for Head {
    /// The head of a chain without entries.
    fn default() -> Self {
        Self { seq: 0, hash: Hasher::new("optim/audit/1").finish() }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// A text that is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is the number of an entry, `:` and its hash, as `optim audit head` prints it")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;
    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (seq, hash) = text.split_once(':').ok_or(HeadError)?;
        let seq = seq.parse().map_err(|_| HeadError)?;
        let hash = hash.parse().map_err(|_| HeadError)?;
        Ok(Self { seq, hash })
    }
}

impl Serialize for Head {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
