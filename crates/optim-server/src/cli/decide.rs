//! `optim approve` and `optim reject`.

use optim_core::campaign::command::Command;
use optim_core::experiment::ExperimentState;
use serde::{Deserialize, Serialize};

use super::Outcome;
use super::call::Call;
use super::run::finish;
use crate::error::Exit;

/// The flags of `optim approve`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApproveArgs {
    /// The experiment: its number or id.
    experiment: String,
    /// The campaign; the open or newest one when absent.
    #[arg(long)]
    campaign: Option<String>,
    /// Approve it though the judge does not recommend it; the record says so. Needs a reason.
    #[arg(long)]
    anyway: bool,
    /// Why; kept with the experiment.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

/// The flags of `optim reject`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RejectArgs {
    /// The experiment: its number or id.
    experiment: String,
    /// The campaign; the open or newest one when absent.
    #[arg(long)]
    campaign: Option<String>,
    /// Why; kept with the experiment.
    #[arg(long, value_name = "WHY")]
    reason: String,
}

pub(super) async fn approve(call: &Call, args: ApproveArgs) -> Outcome {
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let experiment = call.session.experiment(&campaign.id, &args.experiment).await?;
    let (experiment_id, reason) = (experiment.id, args.reason);
    let command = match args.anyway {
        false => Command::Approve { experiment: experiment_id, reason },
        true => {
            Command::ApproveAnyway { experiment: experiment_id, reason: reason.unwrap_or_default() }
        }
    };
    let campaign = call.session.engine.submit(&campaign.id, &command, call.actor.clone()).await?;
    finish(call, &campaign).await?;
    let decided = call.session.engine.store().experiment(experiment.id).await?;
    match decided.map(|experiment| experiment.state) {
        Some(ExperimentState::Discarded(judged)) => {
            let (number, reason) = (experiment.number, judged.judgement.reason);
            call.out.error_line(&format!("experiment #{number} is not approved: {reason}"));
            Ok(Exit::Conflict)
        }
        _ => Ok(Exit::Success),
    }
}

pub(super) async fn reject(call: &Call, args: RejectArgs) -> Outcome {
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let experiment = call.session.experiment(&campaign.id, &args.experiment).await?;
    let command = Command::Reject { experiment: experiment.id, reason: args.reason };
    let campaign = call.session.engine.submit(&campaign.id, &command, call.actor.clone()).await?;
    finish(call, &campaign).await?;
    Ok(Exit::Success)
}
