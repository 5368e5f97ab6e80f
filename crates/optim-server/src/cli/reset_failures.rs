//! `optim reset-failures`: lets a campaign go on that failed too often.

use optim_core::campaign::command::Command;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Outcome, hold};

/// The flags of `optim reset-failures`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Why it should not fail again; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: String,
}

pub(super) async fn reset_failures(call: &Call, args: Args) -> Outcome {
    let command = Command::ResetFailures { reason: args.reason };
    hold::submit(call, args.campaign, command).await
}
