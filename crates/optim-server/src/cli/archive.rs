//! `optim archive`: takes a campaign that is over out of the lists.

use optim_core::campaign::command::Command;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Outcome, hold};

/// The flags of `optim archive`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign.
    campaign: String,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

pub(super) async fn archive(call: &Call, args: Args) -> Outcome {
    let command = Command::Archive { reason: args.reason };
    hold::submit(call, Some(args.campaign), command).await
}
