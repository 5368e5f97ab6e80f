//! `optim apply` and `optim rollback`.

use std::path::Path;

use optim_runtime::live::{self, LiveOutcome};
use serde_json::json;

use super::{Outcome, output};
use crate::error::Exit;
use crate::session::{Session, actor};

/// The flags of these verbs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Write although the workflow was edited elsewhere; the fields to change must still be as expected.
    #[arg(long, value_name = "REASON")]
    accept_drift: Option<String>,
}

pub(super) async fn apply(folder: &Path, args: Args, json: bool) -> Outcome {
    let session = Session::open(folder)?;
    let campaign = session.campaign(args.campaign.as_deref()).await?;
    let outcome = live::apply(&session.engine, &campaign.id, actor(), args.accept_drift).await?;
    print("applied", &outcome, json);
    Ok(Exit::Success)
}

pub(super) async fn rollback(folder: &Path, args: Args, json: bool) -> Outcome {
    let session = Session::open(folder)?;
    let campaign = session.campaign(args.campaign.as_deref()).await?;
    let outcome = live::rollback(&session.engine, &campaign.id, actor(), args.accept_drift).await?;
    print("rolled back", &outcome, json);
    Ok(Exit::Success)
}

fn print(what: &str, outcome: &LiveOutcome, json: bool) {
    let path = outcome.location.to_string();
    let diff = unified_diff(&outcome.before, &outcome.after, &path);
    if json {
        output::document(&json!({
            "schema": "optim/v1/live_write",
            "result": what,
            "workflow": path,
            "live_version": outcome.campaign.live.version(),
            "fingerprint": outcome.campaign.live.expected,
            "diff": diff,
        }));
        return;
    }
    output::line(&format!(
        "{what}: {path} (baseline version {} is live)",
        outcome.campaign.live.version()
    ));
    output::line(diff.trim_end());
}

/// The change of a file as a unified diff with one line of context.
fn unified_diff(before: &str, after: &str, path: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(1).header(path, path).to_string()
}
