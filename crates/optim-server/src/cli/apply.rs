//! `optim apply` and `optim rollback`.

use optim_runtime::live::{self, LiveOutcome, LiveRequest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::after_apply::{self, AfterApply};
use super::call::Call;
use super::report::next;
use super::{Outcome, measure, run};
use crate::error::{CliError, Exit};

/// The flags of these verbs.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Write although the workflow was edited elsewhere; the fields to change must still be as expected.
    #[arg(long, value_name = "REASON")]
    accept_drift: Option<String>,
    /// Write only while this baseline version is live: what is asked for again has no second effect.
    #[arg(long, value_name = "VERSION")]
    if_live: Option<u32>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

impl Args {
    fn request(self, call: &Call) -> LiveRequest {
        let Self { accept_drift, if_live, reason, .. } = self;
        LiveRequest { actor: call.actor.clone(), reason, accept_drift, if_live }
    }
}

pub(super) async fn apply(call: &Call, args: Args) -> Outcome {
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let request = args.request(call);
    let mut outcome = live::apply(&call.session.engine, &campaign.id, request).await?;
    print_write(call, "applied", &outcome);
    let exit = Box::pin(measure_by_policy(call, &mut outcome)).await?;
    finish(call, "applied", &outcome);
    Ok(exit)
}

pub(super) async fn rollback(call: &Call, args: Args) -> Outcome {
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let request = args.request(call);
    let outcome = live::rollback(&call.session.engine, &campaign.id, request).await?;
    print_write(call, "rolled back", &outcome);
    finish(call, "rolled back", &outcome);
    Ok(Exit::Success)
}

/// Carries out the measurement that the policy wants after an apply. The apply is done, whatever comes
/// of it.
async fn measure_by_policy(call: &Call, outcome: &mut LiveOutcome) -> Outcome {
    if outcome.campaign.live.measuring.is_none() {
        return Ok(Exit::Success);
    }
    let campaign = outcome.campaign.clone();
    let measured = match run::may_follow(&call.session, &campaign).await {
        Ok(()) => measure::follow(call, campaign).await,
        Err(error) => Err(error),
    };
    outcome.campaign = call.session.engine.campaign(&outcome.campaign.id).await?.value;
    match measured {
        Ok(_) => Ok(Exit::Success),
        Err(CliError::Stopped(exit)) => Ok(exit),
        Err(error) => {
            call.out.error_line(&format!("note: what is live is not measured now: {error}"));
            Ok(Exit::Success)
        }
    }
}

/// Shows the change to a person at once.
fn print_write(call: &Call, what: &str, outcome: &LiveOutcome) {
    if call.json {
        return;
    }
    let (path, version) = (&outcome.location, outcome.campaign.live.version());
    call.out.line(&format!("{what}: {path} (baseline version {version} is live)"));
    call.out.line(diff(outcome).trim_end());
}

fn finish(call: &Call, what: &str, outcome: &LiveOutcome) {
    let (campaign, prefix) = (&outcome.campaign, call.prefix());
    let next = next(campaign, &prefix);
    if call.json {
        call.out.document(&json!({
            "schema": "optim/v1/live_write",
            "result": what,
            "workflow": outcome.location.to_string(),
            "live_version": campaign.live.version(),
            "fingerprint": campaign.live.expected,
            "diff": diff(outcome),
            "after_apply": AfterApply::of(campaign),
            "next": next,
        }));
    } else {
        after_apply::lines(campaign, &prefix).iter().for_each(|line| call.out.line(line));
        call.out.next(&next);
    }
}

/// The change of the workflow as a unified diff with one line of context.
fn diff(outcome: &LiveOutcome) -> String {
    let (path, LiveOutcome { before, after, .. }) = (outcome.location.to_string(), outcome);
    let diff = similar::TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(1).header(&path, &path).to_string()
}
