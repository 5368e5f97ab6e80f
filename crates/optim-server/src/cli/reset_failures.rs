//! `optim reset-failures`: lets a campaign go on that failed too often.

use std::path::Path;

use optim_core::campaign::command::Command;

use super::{Outcome, hold};

/// The flags of `optim reset-failures`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Why it should not fail again; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: String,
}

pub(super) async fn reset_failures(folder: &Path, args: Args, json: bool) -> Outcome {
    let command = Command::ResetFailures { reason: args.reason };
    hold::submit(folder, args.campaign, command, json).await
}
