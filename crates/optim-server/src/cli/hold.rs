//! `optim pause`, `optim resume`, `optim cancel`.

use std::path::Path;

use optim_core::campaign::command::Command;

use super::Outcome;
use super::run::finish;
use crate::error::Exit;
use crate::session::{Session, actor};

/// The flags of these verbs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

pub(super) async fn pause(folder: &Path, args: Args, json: bool) -> Outcome {
    let command = Command::Pause { reason: args.reason.clone() };
    submit(folder, args, command, json).await
}

pub(super) async fn resume(folder: &Path, args: Args, json: bool) -> Outcome {
    submit(folder, args, Command::Resume, json).await
}

pub(super) async fn cancel(folder: &Path, args: Args, json: bool) -> Outcome {
    let command = Command::Cancel { reason: args.reason.clone() };
    submit(folder, args, command, json).await
}

async fn submit(folder: &Path, args: Args, command: Command, json: bool) -> Outcome {
    let session = Session::open(folder)?;
    let campaign = session.campaign(args.campaign.as_deref()).await?;
    let campaign = session.engine.submit(&campaign.id, &command, actor()).await?;
    finish(&session, &campaign, folder, json).await?;
    Ok(Exit::Success)
}
