//! `optim approve` and `optim reject`.

use std::path::Path;

use optim_core::campaign::command::Command;
use optim_core::experiment::ExperimentState;

use super::run::finish;
use super::{Outcome, output};
use crate::error::Exit;
use crate::session::{Session, actor};

/// The flags of `optim approve`.
#[derive(Debug, clap::Args)]
pub(super) struct ApproveArgs {
    /// The experiment: its number or id.
    experiment: String,
    /// The campaign; the open or newest one when absent.
    #[arg(long)]
    campaign: Option<String>,
    /// Why; required when the judge did not recommend it.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

/// The flags of `optim reject`.
#[derive(Debug, clap::Args)]
pub(super) struct RejectArgs {
    /// The experiment: its number or id.
    experiment: String,
    /// The campaign; the open or newest one when absent.
    #[arg(long)]
    campaign: Option<String>,
    /// Why; kept with the experiment.
    #[arg(long, value_name = "WHY")]
    reason: String,
}

pub(super) async fn approve(folder: &Path, args: ApproveArgs, json: bool) -> Outcome {
    let session = Session::open(folder)?;
    let campaign = session.campaign(args.campaign.as_deref()).await?;
    let experiment = session.experiment(&campaign.id, &args.experiment).await?;
    let command = Command::Approve { experiment: experiment.id, reason: args.reason };
    let campaign = session.engine.submit(&campaign.id, &command, actor()).await?;
    finish(&session, &campaign, folder, json).await?;
    let decided = session.engine.store().experiment(experiment.id).await?;
    match decided.map(|experiment| experiment.state) {
        Some(ExperimentState::Discarded(judged)) => {
            let (number, reason) = (experiment.number, judged.judgement.reason);
            output::error_line(&format!("experiment #{number} is not approved: {reason}"));
            Ok(Exit::Conflict)
        }
        _ => Ok(Exit::Success),
    }
}

pub(super) async fn reject(folder: &Path, args: RejectArgs, json: bool) -> Outcome {
    let session = Session::open(folder)?;
    let campaign = session.campaign(args.campaign.as_deref()).await?;
    let experiment = session.experiment(&campaign.id, &args.experiment).await?;
    let command = Command::Reject { experiment: experiment.id, reason: args.reason };
    let campaign = session.engine.submit(&campaign.id, &command, actor()).await?;
    finish(&session, &campaign, folder, json).await?;
    Ok(Exit::Success)
}
