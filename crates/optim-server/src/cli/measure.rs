//! `optim measure`: what is live after an apply, compared with what was promised.

use optim_core::campaign::Campaign;
use optim_core::campaign::measurement::Finding;
use optim_core::id::RequestKey;
use optim_runtime::live;
use optim_runtime::service::settled;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Outcome, run};
use crate::error::{CliError, Exit};

/// The flags of `optim measure`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
    /// A text of your own that stands for this request: asking again with it has no further effect.
    #[arg(long, value_name = "KEY")]
    #[serde(default)]
    key: Option<RequestKey>,
}

pub(super) async fn measure(call: &Call, args: Args) -> Outcome {
    let (session, engine) = (&call.session, &call.session.engine);
    let campaign = session.campaign(args.campaign.as_deref()).await?;
    run::may_follow(session, &campaign).await?;
    let (actor, key) = (call.actor.clone(), args.key.as_ref());
    let campaign = live::measure(engine, &campaign.id, actor, args.reason, key).await?;
    let campaign = follow(call, campaign).await?;
    run::finish(call, &campaign).await?;
    Ok(exit(&campaign))
}

/// Works the campaign off until its measurement is over or held.
pub(super) async fn follow(call: &Call, campaign: Campaign) -> Result<Campaign, CliError> {
    let over = |campaign: &Campaign| campaign.live.measuring.is_none() || settled(campaign);
    run::follow(call, campaign, None, over).await
}

/// Success when the promise is kept; else a person must look.
fn exit(campaign: &Campaign) -> Exit {
    let newest = campaign.live.applied.last().filter(|write| write.unmeasured.is_none());
    let measured = newest.and_then(|write| write.measured.as_ref());
    let kept = measured.is_some_and(|measured| measured.finding == Finding::Kept);
    if kept && campaign.live.measuring.is_none() { Exit::Success } else { Exit::Waiting }
}
