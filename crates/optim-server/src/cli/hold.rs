//! `optim pause`, `optim resume`, `optim cancel`.

use std::path::Path;

use optim_core::campaign::command::Command;

use super::Outcome;
use super::run::finish;
use crate::error::Exit;
use crate::session::{Session, actor};

/// The flags of the verbs that name a campaign and a reason.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

/// The flags of `optim pause`.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    common: Args,
    /// Cancel the case runs in flight too; their evaluation begins again on resume.
    #[arg(long)]
    cancel_runs: bool,
}

pub(super) async fn pause(folder: &Path, args: PauseArgs, json: bool) -> Outcome {
    let PauseArgs { common: Args { campaign, reason }, cancel_runs } = args;
    submit(folder, campaign, Command::Pause { reason, cancel_runs }, json).await
}

pub(super) async fn resume(folder: &Path, args: Args, json: bool) -> Outcome {
    submit(folder, args.campaign, Command::Resume { reason: args.reason }, json).await
}

pub(super) async fn cancel(folder: &Path, args: Args, json: bool) -> Outcome {
    submit(folder, args.campaign, Command::Cancel { reason: args.reason }, json).await
}

pub(super) async fn close(folder: &Path, args: Args, json: bool) -> Outcome {
    submit(folder, args.campaign, Command::Close { reason: args.reason }, json).await
}

/// Submits `command` to the campaign that is meant, and shows what became of it.
pub(super) async fn submit(
    folder: &Path,
    campaign: Option<String>,
    command: Command,
    json: bool,
) -> Outcome {
    let session = Session::open(folder)?;
    let campaign = session.campaign(campaign.as_deref()).await?;
    let campaign = session.engine.submit(&campaign.id, &command, actor()).await?;
    finish(&session, &campaign, folder, json).await?;
    Ok(Exit::Success)
}
