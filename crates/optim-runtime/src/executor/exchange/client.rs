//! The real network: HTTP/1.1 with or without TLS.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::redirect;

use super::egress::{Egress, EgressError};
use super::retry_after::retry_after;
use super::{Exchange, ExchangeError, Post, Reply};

/// How long a server may take to take a connection. How long it may take to answer is the node's
/// timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests over the network.
#[derive(Debug, Clone)]
pub(in crate::executor) struct Client(reqwest::Client);

/// The network cannot be used as the settings say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no HTTP client can be made: {0}; check executor.proxy, and the certificates of the system"
)]
pub struct ClientError(String);

impl Client {
    /// A client for what `egress` lets through. It goes through `proxy`, which then resolves names, or
    /// through none: proxies of the environment are not used.
    pub(super) fn new(egress: Egress, proxy: Option<&str>) -> Result<Self, ClientError> {
        // The first one in the process stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = reqwest::Client::builder()
            .user_agent(concat!("optim/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .retry(reqwest::retry::never())
            .no_proxy();
        let refuse = |error: reqwest::Error| ClientError(reasons(&error));
        // A machine without certificates is good enough for a server without TLS.
        let builder = match egress.has_secure() {
            true => builder,
            false => builder.tls_certs_only([]),
        };
        let builder = match proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy).map_err(refuse)?),
            None => builder.dns_resolver(Arc::new(egress)),
        };
        Ok(Self(builder.build().map_err(refuse)?))
    }
}

#[async_trait]
impl Exchange for Client {
    async fn post(&self, post: Post<'_>) -> Result<Reply, ExchangeError> {
        let mut request = self.0.post(post.url).header(CONTENT_TYPE, "application/json");
        if let Some(key) = post.key {
            request = request.bearer_auth(key.expose());
        }
        let mut response = request.body(post.body).send().await.map_err(|error| {
            if let Some(denied) = denied(&error) {
                return ExchangeError::Denied(denied.clone());
            }
            match error.is_connect() || error.is_builder() {
                true => ExchangeError::Unreachable(reasons(&error)),
                // The server had the request, or a part of it.
                false => ExchangeError::Broken(reasons(&error)),
            }
        })?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let mut reply = Reply {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), SystemTime::now()),
            location: location.map(ToOwned::to_owned),
            body: Vec::new(),
        };
        loop {
            match response.chunk().await {
                Ok(None) => {
                    if let Some(key) = post.key {
                        reply.body = key.hide_in_body(reply.body);
                    }
                    return Ok(reply);
                }
                Ok(Some(chunk)) => reply.body.extend_from_slice(&chunk),
                Err(error) => return Err(ExchangeError::Broken(reasons(&error))),
            }
            if u64::try_from(reply.body.len()).unwrap_or(u64::MAX) > post.limit {
                return Err(ExchangeError::TooLarge(post.limit));
            }
        }
    }
}

/// Why the request was not let out, if it was not.
fn denied(error: &reqwest::Error) -> Option<&EgressError> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(denied) = error.downcast_ref() {
            return Some(denied);
        }
        cause = error.source();
    }
    None
}

/// An error with its causes. The address is left out, as the caller names the server.
fn reasons(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.is_empty() { "the request cannot be sent".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use optim_core::node_io::ErrorClass;
    use optim_core::quantity::Millis;

    use super::super::egress::Destination;
    use super::super::secret::Secret;
    use super::super::server::{Server, Step};
    use super::*;
    use crate::executor::address::Address;

    fn client(proxy: Option<&str>) -> Result<Client, ClientError> {
        Client::new(Egress::default(), proxy)
    }

    async fn post(server: &Server, limit: u64) -> Result<Reply, ExchangeError> {
        let (url, key) = (server.url("/v1/x"), Secret::new("sk-1"));
        let post = Post { url: &url, key: Some(&key), body: b"{}".to_vec(), own: &[], limit };
        client(None).unwrap().post(post).await
    }

    #[tokio::test]
    async fn the_document_the_key_and_nothing_else_is_sent() {
        let server = Server::start(vec![Step::json("{\"a\": 1}")]).await;
        let reply = post(&server, 100).await.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, b"{\"a\": 1}".as_slice()));
        let [request] = &server.requests()[..] else { panic!("one request") };
        assert!(request.head.starts_with("POST /v1/x HTTP/1.1\r\n"), "{}", request.head);
        let head = request.head.to_ascii_lowercase();
        for header in ["authorization: bearer sk-1", "content-type: application/json"] {
            assert!(head.contains(header), "{head}");
        }
        assert_eq!(request.body, "{}");
    }

    #[tokio::test]
    async fn threat_18_a_redirect_is_a_reply_and_is_not_followed() {
        let elsewhere = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://elsewhere/\r\n\
                         content-length: 0\r\n\r\n";
        let server = Server::start(vec![Step::raw(elsewhere)]).await;
        let reply = post(&server, 100).await.unwrap();
        assert_eq!((reply.status, reply.location.as_deref()), (307, Some("http://elsewhere/")));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn threat_18_what_a_name_leads_to_is_looked_at_when_it_is_asked() {
        let server = Server::start(vec![Step::json("{}")]).await;
        let port = server.url("").rsplit(':').next().unwrap().to_owned();
        let ask = async |named: &str| {
            let address = Address::new(named).unwrap();
            let egress = Egress::new([Destination { address: &address, allow_private: false }]);
            let url = format!("http://localhost:{port}/");
            let post = Post { url: &url, key: None, body: Vec::new(), own: &[], limit: 9 };
            Client::new(egress.unwrap(), None).unwrap().post(post).await
        };
        let denied = ask("https://api.example.com").await.unwrap_err();
        assert!(matches!(denied, ExchangeError::Denied(EgressError::Unnamed { .. })), "{denied}");
        assert_eq!(denied.of("acme").class, ErrorClass::Configuration);
        assert_eq!(server.requests().len(), 0, "nobody was asked");
        assert_eq!(ask("http://localhost").await.unwrap().status, 200, "the control");
    }

    #[tokio::test]
    async fn threat_19_a_reply_is_not_read_beyond_its_limit() {
        let server = Server::start(vec![Step::Endless]).await;
        assert_eq!(post(&server, 5000).await, Err(ExchangeError::TooLarge(5000)));
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_or_is_not_there_is_told_apart() {
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"a\": ";
        let server = Server::start(vec![Step::raw(cut), Step::raw("")]).await;
        for _ in 0..2 {
            assert!(matches!(post(&server, 100).await, Err(ExchangeError::Broken(_))));
        }
        let url = server.url("/");
        drop(server);
        let post = Post { url: &url, key: None, body: Vec::new(), own: &[], limit: 1 };
        let gone = client(None).unwrap().post(post).await;
        assert!(matches!(gone, Err(ExchangeError::Unreachable(_))), "{gone:?}");
    }

    #[tokio::test]
    async fn a_wish_for_rest_is_read_from_the_headers() {
        let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
        let server = Server::start(vec![Step::raw(busy)]).await;
        assert_eq!(post(&server, 100).await.unwrap().retry_after, Some(Millis(7000)));
    }

    #[test]
    fn a_proxy_that_is_no_address_is_found_out_at_once() {
        assert!(client(Some("not an address")).is_err());
        assert!(client(Some("http://127.0.0.1:1")).is_ok());
    }
}
