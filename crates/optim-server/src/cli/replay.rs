//! `optim replay`: measures the baseline once more, or takes a replay in.

use optim_core::campaign::command::Command;
use optim_core::id::{EvaluationId, RequestKey, RunId};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::run::finish;
use super::{Outcome, hold};
use crate::error::{CliError, Exit};
use crate::session::Session;

/// The flags of `optim replay`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Take in a replay whose case runs are all over, instead of queueing one: the id of its
    /// evaluation, or of one of its case runs.
    #[arg(long, value_name = "ID", conflicts_with = "reason")]
    record: Option<String>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
    /// A text of your own that stands for this request: asking again with it has no further effect.
    #[arg(long, value_name = "KEY", conflicts_with = "record")]
    #[serde(default)]
    key: Option<RequestKey>,
}

pub(super) async fn replay(call: &Call, args: Args) -> Outcome {
    let Some(recorded) = args.record else {
        let command = Command::QueueReplay { reason: args.reason };
        return hold::submit_once(call, args.campaign, command, args.key).await;
    };
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let evaluation = evaluation(&call.session, &recorded).await?;
    let engine = &call.session.engine;
    let campaign = engine.record_replay(&campaign.id, evaluation, call.actor.clone()).await?;
    finish(call, &campaign).await?;
    Ok(Exit::Success)
}

/// The evaluation that `id` names, itself or by one of its case runs.
async fn evaluation(session: &Session, id: &str) -> Result<EvaluationId, CliError> {
    if let Ok(evaluation) = id.parse() {
        return Ok(evaluation);
    }
    let not_found = |message| CliError::NotFound { code: "run_not_found", message };
    let run: RunId = id.parse().map_err(|_| {
        not_found(format!("{id:?} is the id of no evaluation (eval_…) and of no case run (run_…)"))
    })?;
    let found = session.engine.store().run(run).await?;
    found
        .map(|run| run.value.evaluation)
        .ok_or_else(|| not_found(format!("there is no case run {run}")))
}
