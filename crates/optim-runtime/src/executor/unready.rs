//! What an executor misses before it can begin.

use optim_core::id::{AgentId, ProviderId};
use optim_core::workflow::ModelRef;

/// Why an executor cannot carry a workflow out yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// Nobody says which model to ask.
    #[error(
        "agent `{agent}` names no model; give it a model_policy, or set executor.model in optim.toml"
    )]
    NoModel {
        /// The agent.
        agent: AgentId,
    },
    /// The settings do not know a provider.
    #[error(
        "the workflow uses the provider {provider}; add [executor.providers.{provider}] to optim.toml"
    )]
    UnknownProvider {
        /// The provider.
        provider: ProviderId,
    },
    /// The key is not where the settings say.
    #[error("the key for {provider} is missing: set the environment variable {variable}")]
    KeyMissing {
        /// The provider.
        provider: ProviderId,
        /// The variable.
        variable: String,
    },
    /// Nobody says what a model costs.
    #[error(
        "the price of {model} is unknown; add it under executor.providers.{}.prices in optim.toml, or write prices = \"free\" there",
        model.provider()
    )]
    PriceUnknown {
        /// The model.
        model: ModelRef,
    },
    /// A model costs money, and nothing limits that.
    #[error(
        "{model} costs money, so the campaign needs a limit: set max_total_cost_usd in budget.yaml"
    )]
    CostLimitMissing {
        /// The model.
        model: ModelRef,
    },
}

impl Unready {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoModel { .. } => "model_missing",
            Self::UnknownProvider { .. } => "provider_unknown",
            Self::KeyMissing { .. } => "key_missing",
            Self::PriceUnknown { .. } => "price_unknown",
            Self::CostLimitMissing { .. } => "cost_limit_missing",
        }
    }
}
