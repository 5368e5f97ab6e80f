//! `http`: an agent of one's own behind an address. The request goes there as one JSON document, the
//! answer comes back as one JSON document; both are those of `process`.
//!
//! That the agent is gone, hangs up or answers with an error is a fault of the outside: over a network
//! nobody can tell a crash of the agent from one of the way to it. An agent says in its answer what
//! counts against the definition.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use optim_core::digest::Digest;
use optim_core::id::ProviderId;
use optim_core::node_io::{ErrorClass, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::{MicroUsd, Millis};
use optim_core::workflow::{Agent, Workflow};
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::exchange::cassette::CassetteConfig;
use super::exchange::egress::Destination;
use super::exchange::refusal::refusal;
use super::exchange::secret::Secret;
use super::exchange::{self, Exchange, ExchangeConfigError, ExchangeError, Post, reply_bytes_max};
use super::{Capabilities, NodeExecutor, Unready};

/// What the scheduler calls the agent when it wants to be left alone.
const PROVIDER: &str = "http";

/// The settings of the `http` executor. What is not written into their digest changes no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where the agent takes requests.
    pub url: Address,
    /// Whether it may be in a private network; there and on this machine it may speak plain `http`.
    #[serde(default, skip_serializing)]
    pub allow_private: bool,
    /// The environment variable that holds the agent's bearer token; absent when it wants none.
    #[serde(default, skip_serializing)]
    pub token_env: Option<String>,
    /// The most requests that are sent in a minute.
    #[serde(default, skip_serializing)]
    pub requests_per_minute: Option<NonZeroU32>,
    /// The address of a proxy; those of the environment are not used.
    #[serde(default, skip_serializing)]
    pub proxy: Option<String>,
    /// Records answers, or plays them back.
    #[serde(default, skip_serializing)]
    pub cassette: Option<CassetteConfig>,
}

/// Posts each attempt to an agent.
pub struct Http {
    config: HttpConfig,
    token: Option<Secret>,
    exchange: Arc<dyn Exchange>,
    provider: Option<ProviderId>,
    settings: Digest,
}

impl Http {
    /// An executor that asks the configured agent. The token is read from the environment now, and
    /// missed when it is needed.
    ///
    /// # Errors
    /// The agent cannot be asked as the settings say.
    pub fn new(config: HttpConfig, folder: &Path) -> Result<Self, ExchangeConfigError> {
        let (proxy, cassette) = (config.proxy.as_deref(), config.cassette.as_ref());
        let agent = Destination { address: &config.url, allow_private: config.allow_private };
        let exchange = exchange::open([agent], proxy, cassette, folder)?;
        Ok(Self::over(exchange, config))
    }

    /// The same with another way to its servers.
    pub(super) fn over(exchange: Arc<dyn Exchange>, config: HttpConfig) -> Self {
        let token = config.token_env.as_deref().and_then(Secret::from_env);
        let (provider, settings) = (ProviderId::new(PROVIDER).ok(), super::digest_of(&config));
        Self { config, token, exchange, provider, settings }
    }

    async fn attempt(&self, request: &NodeRequest) -> Result<NodeResponse, NodeError> {
        let url = self.config.url.at("");
        let agent = format!("the agent at {url}");
        let body = serde_json::to_vec(request).map_err(|error| {
            NodeError::new(ErrorClass::Provider, format!("the request cannot be written: {error}"))
        })?;
        let limit = reply_bytes_max(&request.limits);
        let own = [request.attempt.id.as_str(), request.working_directory.as_str()];
        let post = Post { url: &url, key: self.token.as_ref(), body, own: &own, limit };
        let reply = self.exchange.post(post).await.map_err(|error| match error {
            // An agent is to blame for what it answers; a network is not.
            ExchangeError::TooLarge(_) => {
                NodeError::new(ErrorClass::InvalidOutput, format!("{agent}: {error}"))
            }
            other => other.of(&agent),
        })?;
        if !reply.is_good() {
            return Err(refusal(&reply, &agent, self.config.token_env.as_deref(), "executor.url"));
        }
        NodeResponse::read(&reply.body, &request.attempt).map_err(|error| {
            let message = format!("{agent} does not answer as it should: {}", error.message);
            NodeError { message, ..error }
        })
    }
}

#[async_trait]
impl NodeExecutor for Http {
    fn name(&self) -> &str {
        "http"
    }

    /// What the agent can do is not known here; it is its owner's business.
    fn capabilities(&self) -> &Capabilities {
        &Capabilities { tools: true, mcp: true, waits: false }
    }

    fn simulated(&self) -> bool {
        false
    }

    fn settings(&self) -> Digest {
        self.settings
    }

    fn provider(&self, _agent: &Agent) -> Option<ProviderId> {
        self.provider.clone()
    }

    fn rate_limits(&self) -> BTreeMap<ProviderId, u32> {
        let limit = self.config.requests_per_minute.map(NonZeroU32::get);
        self.provider.clone().zip(limit).into_iter().collect()
    }

    fn ready(&self, _workflow: &Workflow, _cost_limit: Option<MicroUsd>) -> Result<(), Unready> {
        let is_replay = self.config.cassette.as_ref().is_some_and(CassetteConfig::is_replay);
        match (&self.config.token_env, &self.token, &self.provider) {
            (Some(variable), None, Some(provider)) if !is_replay => {
                Err(Unready::KeyMissing { provider: provider.clone(), variable: variable.clone() })
            }
            _ => Ok(()),
        }
    }

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        let begun = tokio::time::Instant::now();
        let mut response = self.attempt(&request).await.unwrap_or_else(|error| {
            let message = match &self.token {
                Some(token) => token.hide_in(&error.message),
                None => error.message,
            };
            let error = NodeError { message, ..error };
            NodeResponse { result: Err(error), usage: Usage::default() }
        });
        if response.usage.latency == Millis(0) {
            let took = begun.elapsed().as_millis();
            response.usage.latency = Millis(u64::try_from(took).unwrap_or(u64::MAX));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use optim_core::node_io::{Attempt, Limits};
    use serde_json::{Map, Value, json};

    use super::super::exchange::server::{Server, Step};
    use super::*;

    fn request() -> NodeRequest {
        NodeRequest {
            objective: "say it".to_owned(),
            inputs: Map::new(),
            upstream: Map::new(),
            contract: None,
            attempt: Attempt { id: "1f".to_owned(), number: 1, seed: 1 },
            limits: Limits { timeout_ms: 1000, max_output_bytes: 1000, max_tokens: None },
            working_directory: "/scratch".to_owned(),
            for_effect: false,
            agent: Map::new(),
        }
    }

    fn executor(server: &Server, more: &Value) -> Http {
        let mut config = json!({"url": server.url("/agent")});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Http::new(serde_json::from_value(config).unwrap(), Path::new("/")).unwrap()
    }

    async fn answer(step: Step) -> Result<Value, (ErrorClass, String)> {
        let server = Server::start(vec![step]).await;
        let answer = executor(&server, &json!({})).execute(request()).await;
        answer.result.map_err(|error| (error.class, error.message))
    }

    #[tokio::test]
    async fn the_request_goes_out_and_the_answer_comes_back() {
        let reply =
            r#"{"content": {"queue": "bug"}, "usage": {"prompt_tokens": 3}, "attempt_id": "1f"}"#;
        let server = Server::start(vec![Step::json(reply)]).await;
        // Cargo sets it for tests.
        let executor = executor(&server, &json!({"token_env": "CARGO_PKG_NAME"}));
        let answer = executor.execute(request()).await;
        assert_eq!(answer.result, Ok(json!({"queue": "bug"})));
        assert_eq!(answer.usage.tokens().0, 3);
        let [sent] = &server.requests()[..] else { panic!("one request") };
        assert!(sent.head.starts_with("POST /agent HTTP/1.1\r\n"), "{}", sent.head);
        let token = "authorization: bearer optim-runtime";
        assert!(sent.head.to_ascii_lowercase().contains(token), "{}", sent.head);
        assert_eq!(serde_json::from_str::<NodeRequest>(&sent.body).unwrap(), request());
    }

    #[tokio::test]
    async fn what_goes_wrong_has_its_class() {
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"content\": ";
        let own = r#"{"error": {"class": "blocked", "message": "no access"}}"#;
        let other = r#"{"content": 1, "attempt_id": "2e"}"#;
        for (step, class, says) in [
            (Step::json(own), ErrorClass::Blocked, "no access"),
            (Step::json(other), ErrorClass::Provider, "\"2e\""),
            (Step::json("not json"), ErrorClass::InvalidOutput, "does not answer as it should"),
            (Step::json("[1]"), ErrorClass::InvalidOutput, "a list, not an object"),
            (Step::Endless, ErrorClass::InvalidOutput, "more than 263144 bytes"),
            (Step::raw(cut), ErrorClass::Provider, "broke off"),
            (Step::raw(""), ErrorClass::Provider, "broke off"),
            (Step::status("500 Oops", "", ""), ErrorClass::Provider, "answers 500"),
            (Step::status("404 Not Found", "", ""), ErrorClass::Configuration, "executor.url"),
        ] {
            let (found, message) = answer(step.clone()).await.unwrap_err();
            assert_eq!(found, class, "{step:?}: {message}");
            assert!(message.contains(says), "{message}");
        }
    }

    #[tokio::test]
    async fn a_token_that_is_missing_is_found_before_anything_is_asked() {
        let server = Server::start(vec![Step::json("{}")]).await;
        let workflow = json!({"automation_id": "w", "flow": {"nodes": []}});
        let workflow = Workflow::from_json(workflow).unwrap();
        let ready = |variable: &str| {
            executor(&server, &json!({"token_env": variable})).ready(&workflow, None)
        };
        assert_eq!(ready("CARGO_PKG_NAME"), Ok(()));
        assert_eq!(ready("NOT_SET_ANYWHERE").unwrap_err().code(), "key_missing");
    }

    #[tokio::test]
    async fn an_answer_on_record_is_played_back_to_the_same_request_of_another_run() {
        let reply = r#"{"content": "see /scratch/log", "attempt_id": "1f"}"#;
        let server = Server::start(vec![Step::json(reply)]).await;
        let folder = tempfile::tempdir().unwrap();
        let tape = folder.path().join("tape.jsonl");
        let with =
            |mode: &str| executor(&server, &json!({"cassette": {"file": tape, "mode": mode}}));
        let recorded = with("record").execute(request()).await;
        assert_eq!(recorded.result, Ok(json!("see /scratch/log")));
        let player = with("replay");
        let mut other = request();
        (other.attempt.id, other.working_directory) = ("2e".to_owned(), "/elsewhere".to_owned());
        assert_eq!(player.execute(other.clone()).await.result, Ok(json!("see /elsewhere/log")));
        other.attempt.seed = 2;
        let error = player.execute(other).await.result.unwrap_err();
        assert_eq!(error.class, ErrorClass::Configuration, "another seed is another request");
        assert_eq!(server.requests().len(), 1);
        let keyless =
            json!({"token_env": "NOT_SET_ANYWHERE", "cassette": {"file": tape, "mode": "replay"}});
        let workflow = Workflow::from_json(json!({"automation_id": "w", "flow": {"nodes": []}}));
        assert_eq!(executor(&server, &keyless).ready(&workflow.unwrap(), None), Ok(()));
    }

    #[tokio::test]
    async fn an_agent_is_a_provider_to_the_scheduler() {
        let server = Server::start(vec![Step::json("{}")]).await;
        let limits = executor(&server, &json!({"requests_per_minute": 30})).rate_limits();
        assert_eq!(limits.into_iter().collect::<Vec<_>>(), [("http".parse().unwrap(), 30)]);
    }
}
