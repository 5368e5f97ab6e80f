//! One entry of the chain, and how the next one follows it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::campaign::event::Event;
use crate::canonical;
use crate::digest::{Digest, Hasher};

use super::change::Change;
use super::head::Head;

/// An entry of the audit chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// The hash of the entry before it; that of the empty chain for the first one.
    pub previous: Digest,
    /// What it says.
    pub payload: Payload,
    /// Its own hash.
    pub hash: Digest,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// All of it: an object with `event` and `changes`. It is kept as JSON, so that a chain holds for
    /// every version that can read JSON.
    Kept(Value),
    /// It was dropped; this was its digest.
    Dropped(Digest),
}

/// How an entry is written down. Exactly one of `payload` and `dropped` is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    seq: u64,
    previous: Digest,
    #[serde(default)]
    payload: Option<Value>,
    #[serde(default)]
    dropped: Option<Digest>,
    hash: Digest,
}

/// What a payload is made of.
#[derive(Serialize)]
struct Body<'a> {
    event: &'a Value,
    changes: &'a [Change],
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not the JSON of an entry.
    #[error("it is no entry: {0}")]
    NotAnEntry(String),
    /// An entry, but not as it is written down.
    #[error("it is not written as entries are: in canonical JSON")]
    NotCanonical,
}

impl Entry {
    /// The entry that comes after `head` and tells of `event`, whose commit made `changes`.
    ///
    /// # Errors
    /// The event cannot be written as JSON.
    pub fn after(head: Head, event: &Value, changes: &[Change]) -> Result<Self, serde_json::Error> {
        let payload = Payload::Kept(serde_json::to_value(Body { event, changes })?);
        let (seq, previous) = (head.seq.saturating_add(1), head.hash);
        Ok(Self { seq, previous, hash: hash(seq, previous, payload.digest()), payload })
    }

    /// Reads an entry as [`Entry::to_bytes`] writes it.
    ///
    /// # Errors
    /// The bytes are not exactly those of an entry. Its hash is not looked at; [`super::verify`] does.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EntryError> {
        let not_an_entry = |why: String| EntryError::NotAnEntry(why);
        let written: Written =
            serde_json::from_slice(bytes).map_err(|error| not_an_entry(error.to_string()))?;
        let payload = match (written.payload, written.dropped) {
            (Some(payload), None) => Payload::Kept(payload),
            (None, Some(digest)) => Payload::Dropped(digest),
            _ => return Err(not_an_entry("it has not one of payload and dropped".to_owned())),
        };
        let Written { seq, previous, hash, .. } = written;
        let entry = Self { seq, previous, payload, hash };
        // Otherwise the same entry could be written in a way that others read differently.
        if entry.to_bytes() == bytes { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }

    /// The entry as canonical JSON, without a line break.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { seq, previous, payload, hash } = self;
        let mut written = json!({"seq": seq, "previous": previous, "hash": hash});
        if let Some(fields) = written.as_object_mut() {
            let (name, value) = match payload {
                Payload::Kept(payload) => ("payload", payload.clone()),
                Payload::Dropped(digest) => ("dropped", Value::String(digest.to_string())),
            };
            fields.insert(name.to_owned(), value);
        }
        canonical::bytes(&written)
    }

    /// The head of a chain that ends with it.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }

    /// Whether its hash is that of what it says.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.hash == hash(self.seq, self.previous, self.payload.digest())
    }

    /// The same entry without its payload. Its hash stays.
    #[must_use]
    pub fn without_payload(self) -> Self {
        Self { payload: Payload::Dropped(self.payload.digest()), ..self }
    }

    /// The event that it tells of; `None` when its payload was dropped.
    ///
    /// # Errors
    /// This version does not know such an event.
    pub fn event(&self) -> Result<Option<Event>, serde_json::Error> {
        self.part("event")
    }

    /// What the commit of its event changed, on the last entry of the commit; `None` when its payload was
    /// dropped.
    ///
    /// # Errors
    /// This version does not know such a change.
    pub fn changes(&self) -> Result<Option<Vec<Change>>, serde_json::Error> {
        self.part("changes")
    }

    fn part<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, serde_json::Error> {
        match &self.payload {
            Payload::Kept(payload) => {
                T::deserialize(payload.get(name).unwrap_or(&Value::Null)).map(Some)
            }
            Payload::Dropped(_) => Ok(None),
        }
    }
}

impl Payload {
    /// The digest that the entry's hash covers.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Kept(payload) => {
                let mut hasher = Hasher::new("optim/audit-payload/1");
                hasher.part(&canonical::bytes(payload));
                hasher.finish()
            }
            Self::Dropped(digest) => *digest,
        }
    }
}

fn hash(seq: u64, previous: Digest, payload: Digest) -> Digest {
    let mut hasher = Hasher::new("optim/audit-entry/1");
    hasher.part(&seq.to_be_bytes()).part(previous.as_bytes()).part(payload.as_bytes());
    hasher.finish()
}
