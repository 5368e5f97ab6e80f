//! What is said on the control socket: one request, then answers until the exit.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cli::Verb;
use crate::error::Exit;

/// The version of these messages; raised when a message changes its meaning.
pub const PROTOCOL: u32 = 1;

/// The part of a request that every version has.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    /// The version that the asker speaks.
    pub(super) protocol: u32,
}

/// A verb, with what its execution needs to know about the asker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// [`PROTOCOL`].
    pub(crate) protocol: u32,
    /// The asker's working directory, from which its relative paths count.
    pub(crate) directory: PathBuf,
    /// The project's folder as the asker wrote it.
    pub(crate) folder: PathBuf,
    /// Whether the answer is one JSON document.
    pub(crate) json: bool,
    /// What is asked.
    pub(crate) verb: Verb,
}

/// What the owner says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// The verb is executed from here on. Before it nothing was done.
    Accepted,
    /// Nothing was done and nothing will be.
    Refused(Refusal),
    /// A line for stdout.
    Line(String),
    /// Text for stdout, as it is.
    Text(String),
    /// A line for stderr.
    ErrorLine(String),
    /// The verb is done: how the asker should exit. Nothing follows.
    Exit(Exit),
}

/// Why a request is not executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// Another user asks.
    #[error(
        "the process that owns the store belongs to the user id {owner}, you are {asker}; only that user and root may ask it"
    )]
    NotAllowed {
        /// The owner's user id.
        owner: u32,
        /// The asker's user id.
        asker: u32,
    },
    /// Too many ask at once.
    #[error("the process that owns the store answers {limit} requests already; try again")]
    Busy {
        /// How many it answers at once.
        limit: usize,
    },
    /// Another version of optim owns the store.
    #[error(
        "the process that owns the store speaks version {owner} of the control protocol, this optim {asker}; end that process, or use its version of optim"
    )]
    OtherVersion {
        /// What the owner speaks.
        owner: u32,
        /// What the asker speaks.
        asker: u32,
    },
    /// The request cannot be read.
    #[error("the request cannot be read: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "control_not_allowed",
            Self::Busy { .. } => "control_busy",
            Self::OtherVersion { .. } => "control_other_version",
            Self::Malformed { .. } => "control_malformed",
        }
    }

    /// How the asker exits.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotAllowed { .. } => Exit::NotAllowed,
            Self::Busy { .. } => Exit::Unreachable,
            Self::OtherVersion { .. } => Exit::Conflict,
            Self::Malformed { .. } => Exit::Usage,
        }
    }
}
