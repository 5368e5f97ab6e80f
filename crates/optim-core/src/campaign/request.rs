//! Requests that a person gave a key of their own: asked again after a crash, or by a script that does not know
//! what became of the first try, they have no further effect.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Digest;
use crate::id::RequestKey;
use crate::policy::Extension;

use super::Campaign;
use super::command::{Command, Rejection};

/// The keys that a campaign remembers; the oldest one is forgotten for the next.
pub const KEYS_KEPT: usize = 100;

/// What was asked for, as far as asking again must ask for the same. Who asks does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub enum Request<'a> {
    /// [`Command::Extend`]
    Extend {
        /// What is added.
        by: &'a Extension,
        /// Why.
        reason: &'a str,
    },
    /// [`Command::AddPairs`]
    AddPairs {
        /// The pairs.
        pairs: u32,
        /// Why.
        reason: &'a str,
    },
    /// [`Command::QueueReplay`]
    QueueReplay {
        /// Why.
        reason: Option<&'a str>,
    },
    /// [`Command::Measure`], whatever is live by then.
    Measure {
        /// Why.
        reason: Option<&'a str>,
    },
}

impl Request<'_> {
    fn digest(&self) -> Digest {
        // Texts and integers only: there is nothing that JSON could not hold.
        Digest::of(&canonical::bytes(&serde_json::to_value(self).unwrap_or_default()))
    }
}

impl Command {
    /// What it asks for, if asking twice would have two effects.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        Some(match self {
            Self::Extend { by, reason } => Request::Extend { by, reason },
            Self::AddPairs { pairs, reason } => Request::AddPairs { pairs: pairs.get(), reason },
            Self::QueueReplay { reason } => Request::QueueReplay { reason: reason.as_deref() },
            Self::Measure { reason, .. } => Request::Measure { reason: reason.as_deref() },
            Self::Start { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Cancel { .. }
            | Self::Close { .. }
            | Self::Archive { .. }
            | Self::ResetFailures { .. }
            | Self::RecordReplay(_)
            | Self::Suggest { .. }
            | Self::Approve { .. }
            | Self::ApproveAnyway { .. }
            | Self::Reject { .. }
            | Self::Apply(_)
            | Self::Rollback(_) => return None,
        })
    }
}

/// The requests with a key that had their effect, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Requests(Vec<Answered>);

/// A request that had its effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    /// The key.
    key: RequestKey,
    /// The digest of what was asked for.
    request: Digest,
}

impl Requests {
    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no key is in it twice, and no more than are kept.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_alone = |one: &Answered| self.0.iter().filter(|it| it.key == one.key).count() == 1;
        self.0.len() <= KEYS_KEPT && self.0.iter().all(is_alone)
    }

    /// Whether every key that `before` knew and that is still known stands for what it stood for.
    #[must_use]
    pub fn keeps(&self, before: &Self) -> bool {
        let is_kept =
            |one: &Answered| before.find(&one.key).is_none_or(|request| request == one.request);
        self.0.iter().all(is_kept)
    }

    pub(super) fn add(&mut self, key: RequestKey, request: &Request<'_>) {
        self.0.push(Answered { key, request: request.digest() });
        self.0.drain(..self.0.len().saturating_sub(KEYS_KEPT));
    }

    fn find(&self, key: &RequestKey) -> Option<Digest> {
        self.0.iter().find(|answered| answered.key == *key).map(|answered| answered.request)
    }
}

impl Campaign {
    /// Whether `request` had its effect under this key.
    ///
    /// # Errors
    /// [`Rejection::KeyReused`] when the key stands for something else.
    pub fn is_answered(&self, key: &RequestKey, request: &Request<'_>) -> Result<bool, Rejection> {
        match self.requests.find(key) {
            None => Ok(false),
            Some(known) if known == request.digest() => Ok(true),
            Some(_) => Err(Rejection::KeyReused { key: key.clone() }),
        }
    }
}
