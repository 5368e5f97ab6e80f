//! `optim archive`: takes a campaign that is over out of the lists.

use std::path::Path;

use optim_core::campaign::command::Command;

use super::{Outcome, hold};

/// The flags of `optim archive`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The campaign.
    campaign: String,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

pub(super) async fn archive(folder: &Path, args: Args, json: bool) -> Outcome {
    let command = Command::Archive { reason: args.reason };
    hold::submit(folder, Some(args.campaign), command, json).await
}
