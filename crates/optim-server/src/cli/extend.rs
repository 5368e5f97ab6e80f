//! `optim extend`: adds to the budget of a campaign.

use optim_core::campaign::command::Command;
use optim_core::policy::Extension;
use optim_core::quantity::{MicroUsd, Tokens};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Outcome, hold};

/// The flags of `optim extend`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Further experiments.
    #[arg(long, value_name = "N", default_value_t = 0)]
    experiments: u32,
    /// Further tokens.
    #[arg(long, value_name = "N", default_value_t = 0)]
    tokens: u64,
    /// Further US dollars.
    #[arg(long, value_name = "USD", default_value = "0")]
    cost: MicroUsd,
    /// Further minutes of run time.
    #[arg(long, value_name = "N", default_value_t = 0)]
    minutes: u32,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: String,
}

pub(super) async fn extend(call: &Call, args: Args) -> Outcome {
    let Args { campaign, experiments, tokens, cost, minutes, reason } = args;
    let by = Extension { experiments, minutes, tokens: Tokens(tokens), cost };
    hold::submit(call, campaign, Command::Extend { by, reason }).await
}
