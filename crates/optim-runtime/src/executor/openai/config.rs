//! The settings of the `openai` executor.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use optim_core::id::ProviderId;
use optim_core::workflow::ModelRef;
use serde::{Deserialize, Serialize};

use super::price::Prices;
use crate::executor::address::Address;
use crate::executor::exchange::ExchangeConfigError;
use crate::executor::exchange::cassette::CassetteConfig;

/// The settings of the `openai` executor. What is not written into their digest changes no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAiConfig {
    /// Who may be asked, by the name that workflows use, in lower case.
    pub providers: BTreeMap<ProviderId, ProviderConfig>,
    /// The model of agents that name none.
    #[serde(default)]
    pub model: Option<ModelRef>,
    /// How an output contract with a schema is put to the server.
    #[serde(default)]
    pub structured_output: StructuredOutput,
    /// 0..=2; the server's own when absent.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// The most tokens of an answer, 1..=1 000 000; fewer when the run has fewer left.
    #[serde(default = "default_max_completion_tokens")]
    pub max_completion_tokens: u64,
    /// Sends that limit as `max_tokens`, as servers before 2024 know it.
    #[serde(default)]
    pub legacy_max_tokens: bool,
    /// Whether the attempt's seed is sent.
    #[serde(default = "yes")]
    pub send_seed: bool,
    /// The address of a proxy; those of the environment are not used.
    #[serde(default, skip_serializing)]
    pub proxy: Option<String>,
    /// Records replies, or plays them back.
    #[serde(default, skip_serializing)]
    pub cassette: Option<CassetteConfig>,
}

/// One provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// The address before `/chat/completions`, for instance `https://api.openai.com/v1`.
    pub base_url: Address,
    /// Whether it may be in a private network; there and on this machine it may speak plain `http`.
    #[serde(default, skip_serializing)]
    pub allow_private: bool,
    /// The environment variable that holds the key; absent when the server wants none.
    #[serde(default, skip_serializing)]
    pub api_key_env: Option<String>,
    /// What models cost: `"free"`, or a price for each model.
    #[serde(default)]
    pub prices: Prices,
    /// The most requests that are sent in a minute.
    #[serde(default, skip_serializing)]
    pub requests_per_minute: Option<NonZeroU32>,
}

/// How an output contract with a schema is put to the server. The prompt says it in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// The schema goes along, and the server keeps to it.
    #[default]
    JsonSchema,
    /// The server keeps to JSON.
    JsonObject,
    /// The server is told nothing.
    Off,
}

fn default_max_completion_tokens() -> u64 {
    1024
}

fn yes() -> bool {
    true
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpenAiConfigError {
    /// There is nobody to ask.
    #[error("executor.providers is empty; add [executor.providers.NAME] with a base_url")]
    NoProviders,
    /// A provider's name does not match those of workflows.
    #[error("executor.providers.{0}: write the name in lower case, as it is compared so")]
    ProviderName(ProviderId),
    /// The temperature is out of range.
    #[error("executor.temperature is {0}, allowed are 0..=2")]
    Temperature(f64),
    /// The limit is out of range.
    #[error("executor.max_completion_tokens is {0}, allowed are 1..=1000000")]
    MaxCompletionTokens(u64),
    /// The servers cannot be asked so.
    #[error(transparent)]
    Exchange(#[from] ExchangeConfigError),
}

impl OpenAiConfig {
    /// Checks what the types leave open.
    pub(super) fn check(&self) -> Result<(), OpenAiConfigError> {
        if self.providers.is_empty() {
            return Err(OpenAiConfigError::NoProviders);
        }
        if let Some(name) =
            self.providers.keys().find(|name| *name.as_str() != name.as_str().to_ascii_lowercase())
        {
            return Err(OpenAiConfigError::ProviderName(name.clone()));
        }
        if let Some(temperature) = self.temperature.filter(|value| !(0.0..=2.0).contains(value)) {
            return Err(OpenAiConfigError::Temperature(temperature));
        }
        if !(1..=1_000_000).contains(&self.max_completion_tokens) {
            return Err(OpenAiConfigError::MaxCompletionTokens(self.max_completion_tokens));
        }
        Ok(())
    }
}
