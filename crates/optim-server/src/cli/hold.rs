//! `optim pause`, `optim resume`, `optim cancel`.

use optim_core::campaign::command::Command;
use serde::{Deserialize, Serialize};

use super::Outcome;
use super::call::Call;
use super::run::finish;
use crate::error::Exit;

/// The flags of these verbs.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

pub(super) async fn pause(call: &Call, args: Args) -> Outcome {
    let command = Command::Pause { reason: args.reason.clone() };
    submit(call, args, command).await
}

pub(super) async fn resume(call: &Call, args: Args) -> Outcome {
    submit(call, args, Command::Resume).await
}

pub(super) async fn cancel(call: &Call, args: Args) -> Outcome {
    let command = Command::Cancel { reason: args.reason.clone() };
    submit(call, args, command).await
}

async fn submit(call: &Call, args: Args, command: Command) -> Outcome {
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let campaign = call.session.engine.submit(&campaign.id, &command, call.actor.clone()).await?;
    finish(call, &campaign).await?;
    Ok(Exit::Success)
}
