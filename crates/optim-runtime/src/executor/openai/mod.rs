//! `openai`: any server with an OpenAI-compatible `/chat/completions`.
//!
//! One attempt is one request, without streaming. Which model is asked is the workflow's to say;
//! where it is, with which key and at which price, is the settings'.

mod answer;
mod config;
mod price;
mod prompt;
mod usage;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use optim_core::digest::Digest;
use optim_core::id::ProviderId;
use optim_core::node_io::{ErrorClass, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::{MicroUsd, Millis, Tokens};
use optim_core::workflow::{Agent, ModelRef, Workflow};
use serde_json::{Map, Value, json};

#[cfg(any(test, feature = "testing"))]
pub(crate) use answer::read_in_every_way;
pub use config::{OpenAiConfig, OpenAiConfigError, ProviderConfig, StructuredOutput};
pub use price::{Free, Price, Prices};

use self::answer::Completion;
use self::prompt::Wanted;
use super::exchange::cassette::CassetteConfig;
use super::exchange::egress::Destination;
use super::exchange::refusal::refusal;
use super::exchange::secret::Secret;
use super::exchange::{self, Exchange, Post, reply_bytes_max};
use super::{Capabilities, NodeExecutor, Unready};

/// Asks models.
pub struct OpenAi {
    config: OpenAiConfig,
    keys: BTreeMap<ProviderId, Secret>,
    exchange: Arc<dyn Exchange>,
    settings: Digest,
}

/// A model, and where it is.
struct Target<'a> {
    model: ModelRef,
    provider: &'a ProviderConfig,
}

impl Target<'_> {
    /// `usage` with what its tokens cost.
    fn charge(&self, usage: Usage) -> Usage {
        let price = self.provider.prices.of(self.model.model()).unwrap_or_default();
        Usage { cost: price.cost(&usage), ..usage }
    }
}

impl OpenAi {
    /// An executor with these settings. Keys are read from the environment now, and missed when they
    /// are needed.
    ///
    /// # Errors
    /// The settings cannot work.
    pub fn new(config: OpenAiConfig, folder: &Path) -> Result<Self, OpenAiConfigError> {
        config.check()?;
        let servers = config.providers.values().map(|provider| Destination {
            address: &provider.base_url,
            allow_private: provider.allow_private,
        });
        let (proxy, cassette) = (config.proxy.as_deref(), config.cassette.as_ref());
        let exchange = exchange::open(servers, proxy, cassette, folder)?;
        Ok(Self::over(exchange, config))
    }

    /// The same with another way to its servers.
    pub(super) fn over(exchange: Arc<dyn Exchange>, config: OpenAiConfig) -> Self {
        let key = |(id, provider): (&ProviderId, &ProviderConfig)| {
            Some((id.clone(), Secret::from_env(provider.api_key_env.as_deref()?)?))
        };
        let keys = config.providers.iter().filter_map(key).collect();
        let settings = super::digest_of(&config);
        Self { config, keys, exchange, settings }
    }

    /// The model of an agent: its own, else that of the settings.
    fn model(&self, agent: &Agent) -> Option<ModelRef> {
        agent.models().ok()?.default.or_else(|| self.config.model.clone())
    }

    fn target(&self, agent: &Agent) -> Result<Target<'_>, Unready> {
        let model =
            self.model(agent).ok_or_else(|| Unready::NoModel { agent: agent.id.clone() })?;
        match self.config.providers.get(model.provider()) {
            Some(provider) => Ok(Target { model, provider }),
            None => Err(Unready::UnknownProvider { provider: model.provider().clone() }),
        }
    }

    /// The most that the exchange of `body` can use: no token is shorter than a byte, and no answer
    /// longer than it may be.
    fn most(&self, target: &Target<'_>, request: &NodeRequest, body: &[u8]) -> Usage {
        let completion_tokens = self.tokens_max(request);
        target.charge(Usage { completion_tokens, ..usage::at_most(body, &[]) })
    }
}

#[async_trait]
impl NodeExecutor for OpenAi {
    fn name(&self) -> &str {
        "openai"
    }

    fn capabilities(&self) -> &Capabilities {
        &Capabilities { tools: false, mcp: false, waits: false }
    }

    fn simulated(&self) -> bool {
        false
    }

    fn settings(&self) -> Digest {
        self.settings
    }

    fn provider(&self, agent: &Agent) -> Option<ProviderId> {
        self.model(agent).map(|model| model.provider().clone())
    }

    fn rate_limits(&self) -> BTreeMap<ProviderId, u32> {
        let limit = |(id, provider): (&ProviderId, &ProviderConfig)| {
            Some((id.clone(), provider.requests_per_minute?.get()))
        };
        self.config.providers.iter().filter_map(limit).collect()
    }

    fn ready(&self, workflow: &Workflow, cost_limit: Option<MicroUsd>) -> Result<(), Unready> {
        let agents = workflow.nodes().iter().filter_map(|node| workflow.agent(node.agent()));
        let is_replay = self.config.cassette.as_ref().is_some_and(CassetteConfig::is_replay);
        for agent in agents {
            let Target { model, provider } = self.target(agent)?;
            let price = provider.prices.of(model.model());
            let price = price.ok_or_else(|| Unready::PriceUnknown { model: model.clone() })?;
            if !price.is_free() && cost_limit.is_none() {
                return Err(Unready::CostLimitMissing { model });
            }
            match &provider.api_key_env {
                Some(variable) if !is_replay && !self.keys.contains_key(model.provider()) => {
                    let provider = model.provider().clone();
                    return Err(Unready::KeyMissing { provider, variable: variable.clone() });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn quote(&self, request: &NodeRequest) -> Option<Usage> {
        let agent = agent_of(request)?;
        let target = self.target(&agent).ok()?;
        let body = self.body(request, &target.model).to_string();
        Some(self.most(&target, request, body.as_bytes()))
    }

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        let begun = tokio::time::Instant::now();
        let mut usage = Usage::default();
        let result = self.attempt(&request, &mut usage).await;
        usage.latency = Millis(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        NodeResponse { result, usage }
    }
}

impl OpenAi {
    /// Asks, and notes in `usage` what that took, whatever comes of it.
    async fn attempt(&self, request: &NodeRequest, usage: &mut Usage) -> Result<Value, NodeError> {
        let refuse = |why: String| NodeError::new(ErrorClass::Configuration, why);
        let agent = agent_of(request).ok_or_else(|| refuse("the agent has no id".to_owned()))?;
        let target = self.target(&agent).map_err(|unready| refuse(unready.to_string()))?;
        let Target { model, provider } = &target;
        let server = format!("provider {}", model.provider());
        let body = self.body(request, model).to_string().into_bytes();
        let key = self.keys.get(model.provider());
        let post = Post {
            url: &provider.base_url.at("/chat/completions"),
            key,
            body: body.clone(),
            own: &[],
            limit: reply_bytes_max(&request.limits),
        };
        let hide = |error: NodeError| match key {
            Some(key) => NodeError { message: key.hide_in(&error.message), ..error },
            None => error,
        };
        let reply = self.exchange.post(post).await.map_err(|error| {
            if error.may_be_charged() {
                *usage = self.most(&target, request, &body);
            }
            error.of(&server)
        })?;
        if !reply.is_good() {
            let address = format!("executor.providers.{}.base_url", model.provider());
            let key = provider.api_key_env.as_deref();
            return Err(hide(refusal(&reply, &server, key, &address)));
        }
        let completion = Completion::read(&reply.body, &server);
        let counted = completion.as_ref().ok().and_then(|read| usage::counted(read.usage.as_ref()));
        *usage = target.charge(counted.unwrap_or_else(|| {
            tracing::warn!(server, "tokens are not counted, or not as can be; bytes stand in");
            let by_bytes = usage::at_most(&body, &reply.body);
            let completion_tokens = by_bytes.completion_tokens.min(self.tokens_max(request));
            Usage { completion_tokens, ..by_bytes }
        }));
        completion.and_then(|read| read.output(&Wanted::of(request), &server)).map_err(hide)
    }

    fn body(&self, request: &NodeRequest, model: &ModelRef) -> Value {
        let config = &self.config;
        let mut body = Map::new();
        let mut put = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
        put("model", model.model().as_str().into());
        put("messages", prompt::messages(request).into());
        put("stream", false.into());
        let limit = if config.legacy_max_tokens { "max_tokens" } else { "max_completion_tokens" };
        put(limit, self.tokens_max(request).0.into());
        if let Some(temperature) = config.temperature {
            put("temperature", temperature.into());
        }
        if config.send_seed {
            // Servers keep seeds in 32 bits, some of them with a sign.
            put("seed", (request.attempt.seed & 0x7fff_ffff).into());
        }
        match (config.structured_output, Wanted::of(request)) {
            (StructuredOutput::Off, _) | (_, Wanted::Text) => {}
            (StructuredOutput::JsonSchema, Wanted::Schema(schema)) => {
                let schema = json!({"name": "output", "schema": schema});
                put("response_format", json!({"type": "json_schema", "json_schema": schema}));
            }
            (_, Wanted::Json | Wanted::Schema(_)) => {
                put("response_format", json!({"type": "json_object"}));
            }
        }
        Value::Object(body)
    }

    /// The most tokens that the answer may have.
    fn tokens_max(&self, request: &NodeRequest) -> Tokens {
        let left = request.limits.max_tokens.unwrap_or(u64::MAX);
        Tokens(self.config.max_completion_tokens.min(left).max(1))
    }
}

/// The agent of a request, which carries it as it was written.
fn agent_of(request: &NodeRequest) -> Option<Agent> {
    let id = request.agent.get("agent_id")?.as_str()?.parse().ok()?;
    Some(Agent { id, definition: request.agent.clone() })
}

#[cfg(test)]
mod tests;
