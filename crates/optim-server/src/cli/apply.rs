//! `optim apply` and `optim rollback`.

use optim_runtime::live::{self, LiveOutcome};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Outcome;
use super::call::Call;
use crate::error::Exit;

/// The flags of these verbs.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Write although the workflow was edited elsewhere; the fields to change must still be as expected.
    #[arg(long, value_name = "REASON")]
    accept_drift: Option<String>,
}

pub(super) async fn apply(call: &Call, args: Args) -> Outcome {
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let outcome =
        live::apply(&call.session.engine, &campaign.id, call.actor.clone(), args.accept_drift)
            .await?;
    print(call, "applied", &outcome);
    Ok(Exit::Success)
}

pub(super) async fn rollback(call: &Call, args: Args) -> Outcome {
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let outcome =
        live::rollback(&call.session.engine, &campaign.id, call.actor.clone(), args.accept_drift)
            .await?;
    print(call, "rolled back", &outcome);
    Ok(Exit::Success)
}

fn print(call: &Call, what: &str, outcome: &LiveOutcome) {
    let path = outcome.location.to_string();
    let diff = unified_diff(&outcome.before, &outcome.after, &path);
    if call.json {
        call.out.document(&json!({
            "schema": "optim/v1/live_write",
            "result": what,
            "workflow": path,
            "live_version": outcome.campaign.live.version(),
            "fingerprint": outcome.campaign.live.expected,
            "diff": diff,
        }));
        return;
    }
    call.out.line(&format!(
        "{what}: {path} (baseline version {} is live)",
        outcome.campaign.live.version()
    ));
    call.out.line(diff.trim_end());
}

/// The change of a file as a unified diff with one line of context.
fn unified_diff(before: &str, after: &str, path: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(1).header(path, path).to_string()
}
