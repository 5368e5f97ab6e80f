//! `optim pause`, `optim resume`, `optim close`, `optim cancel`.

use optim_core::campaign::command::Command;
use optim_core::id::RequestKey;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::run::finish;
use super::{Outcome, run};
use crate::error::Exit;

/// The flags of the verbs that name a campaign and a reason.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

/// The flags of `optim pause`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    common: Args,
    /// Cancel the case runs in flight too; their evaluation begins again on resume.
    #[arg(long)]
    cancel_runs: bool,
}

/// The flags of `optim resume`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    common: Args,
    /// Go on with the files as the campaign froze them, though some were edited since.
    #[arg(long)]
    #[serde(default)]
    frozen: bool,
}

pub(super) async fn pause(call: &Call, args: PauseArgs) -> Outcome {
    let PauseArgs { common: Args { campaign, reason }, cancel_runs } = args;
    submit(call, campaign, Command::Pause { reason, cancel_runs }).await
}

pub(super) async fn resume(call: &Call, args: ResumeArgs) -> Outcome {
    let ResumeArgs { common: Args { campaign, reason }, frozen } = args;
    if !frozen {
        run::unedited(&call.session.campaign(campaign.as_deref()).await?)?;
    }
    submit(call, campaign, Command::Resume { reason }).await
}

pub(super) async fn close(call: &Call, args: Args) -> Outcome {
    submit(call, args.campaign, Command::Close { reason: args.reason }).await
}

pub(super) async fn cancel(call: &Call, args: Args) -> Outcome {
    submit(call, args.campaign, Command::Cancel { reason: args.reason }).await
}

/// Submits `command` to the campaign that is meant, and shows what became of it.
pub(super) async fn submit(call: &Call, campaign: Option<String>, command: Command) -> Outcome {
    submit_once(call, campaign, command, None).await
}

/// The same, once for each key.
pub(super) async fn submit_once(
    call: &Call,
    campaign: Option<String>,
    command: Command,
    key: Option<RequestKey>,
) -> Outcome {
    let campaign = call.session.campaign(campaign.as_deref()).await?;
    let (engine, actor) = (&call.session.engine, call.actor.clone());
    let campaign = engine.submit_once(&campaign.id, &command, key.as_ref(), actor).await?;
    finish(call, &campaign).await?;
    Ok(Exit::Success)
}
