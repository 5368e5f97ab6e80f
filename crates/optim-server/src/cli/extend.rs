//! `optim extend`: adds to the budget of a campaign, or pairs to its candidate under review.

use std::num::NonZeroU32;

use optim_core::campaign::command::Command;
use optim_core::id::RequestKey;
use optim_core::policy::Extension;
use optim_core::quantity::{MicroUsd, Tokens};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Outcome, hold};
use crate::error::CliError;

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
    /// Further pairs for the candidate under review, whose comparison goes on; alone.
    #[arg(long, value_name = "N")]
    pairs: Option<NonZeroU32>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// A text of your own that stands for this request: asking again with it has no further effect.
    #[arg(long, value_name = "KEY")]
    #[serde(default)]
    key: Option<RequestKey>,
}

pub(super) async fn extend(call: &Call, args: Args) -> Outcome {
    let Args { campaign, experiments, tokens, cost, minutes, pairs, reason, key } = args;
    let by = Extension { experiments, minutes, tokens: Tokens(tokens), cost };
    let command = match pairs {
        None => Command::Extend { by, reason },
        Some(pairs) if by == Extension::default() => Command::AddPairs { pairs, reason },
        Some(_) => {
            return Err(CliError::Usage {
                code: "two_extensions",
                message: "pairs are of one candidate, the rest is of the whole campaign: extend \
                          the budget first, then add --pairs by itself"
                    .to_owned(),
            });
        }
    };
    hold::submit_once(call, campaign, command, key).await
}
