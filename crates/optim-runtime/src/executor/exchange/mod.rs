//! One request to a server of others, and its reply.
//!
//! The address and the key come from the settings, never from a workflow or a case. No redirect is
//! followed, and no reply is read beyond its limit.

pub mod cassette;
pub mod client;
pub mod egress;
pub(super) mod refusal;
mod retry_after;
pub(super) mod secret;
#[cfg(test)]
pub(super) mod server;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use optim_core::digest::Digest;
use optim_core::node_io::{ErrorClass, Limits, NodeError};
use optim_core::quantity::Millis;

use self::cassette::{CassetteConfig, CassetteError};
use self::client::{Client, ClientError};
use self::egress::{Destination, Egress, EgressError};
use self::secret::Secret;

/// A JSON document to post.
#[derive(Debug)]
pub(super) struct Post<'a> {
    pub(super) url: &'a str,
    /// Sent as the bearer token.
    pub(super) key: Option<&'a Secret>,
    pub(super) body: Vec<u8>,
    /// Texts that belong to this request alone, such as the id of its attempt: a cassette knows the
    /// request without them.
    pub(super) own: &'a [&'a str],
    /// The most bytes of the reply.
    pub(super) limit: u64,
}

/// The most bytes of a reply that holds an output under `limits`: there is something around it.
pub(super) fn reply_bytes_max(limits: &Limits) -> u64 {
    limits.max_output_bytes.saturating_add(256 * 1024)
}

/// What a server replied, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// For how long it wants to be left alone.
    pub(super) retry_after: Option<Millis>,
    /// Where it says that the resource is.
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// A success with this body.
    pub(super) fn good(body: Vec<u8>) -> Self {
        Self { status: 200, retry_after: None, location: None, body }
    }

    /// Whether it is a success.
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("egress_denied: {0}")]
    Denied(EgressError),
    #[error("the connection broke off: {0}")]
    Broken(String),
    #[error("its reply has more than {0} bytes")]
    TooLarge(u64),
    #[error("the cassette holds no reply to this request ({0}); record it first")]
    NotRecorded(Digest),
    #[error("the cassette cannot be written: {0}")]
    NotWritten(String),
}

impl ExchangeError {
    /// Whether the server may have done the work all the same, for money: it had the request.
    pub(super) fn may_be_charged(&self) -> bool {
        match self {
            Self::Broken(_) | Self::TooLarge(_) | Self::NotWritten(_) => true,
            Self::Unreachable(_) | Self::Denied(_) | Self::NotRecorded(_) => false,
        }
    }

    /// The error of an attempt that got no reply from `server`.
    pub(super) fn of(self, server: &str) -> NodeError {
        let class = match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::TooLarge(_) => ErrorClass::Provider,
            Self::Denied(_) | Self::NotRecorded(_) | Self::NotWritten(_) => {
                ErrorClass::Configuration
            }
        };
        NodeError::new(class, format!("{server}: {self}"))
    }
}

/// Servers that cannot be asked as the settings say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeConfigError {
    /// An address leads to where nothing is sent.
    #[error("egress_denied: {0}")]
    Egress(#[from] EgressError),
    /// The network cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The cassette cannot be used.
    #[error(transparent)]
    Cassette(#[from] CassetteError),
}

/// The way to `destinations`: through `proxy` or none, and through a cassette of the project's `folder`
/// or none.
pub(super) fn open<'a>(
    destinations: impl IntoIterator<Item = Destination<'a>>,
    proxy: Option<&str>,
    cassette: Option<&CassetteConfig>,
    folder: &Path,
) -> Result<Arc<dyn Exchange>, ExchangeConfigError> {
    let client = Arc::new(Client::new(Egress::new(destinations)?, proxy)?);
    Ok(match cassette {
        Some(cassette) => cassette::insert(cassette, folder, client)?,
        None => client,
    })
}

/// Carries requests to servers.
#[async_trait]
pub(super) trait Exchange: Send + Sync {
    /// Posts a document and reads the whole reply.
    async fn post(&self, post: Post<'_>) -> Result<Reply, ExchangeError>;
}
