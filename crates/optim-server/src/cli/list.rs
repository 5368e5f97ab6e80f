//! `optim list`: campaigns, newest first.

use optim_store::Page;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Outcome;
use super::call::Call;
use crate::error::Exit;

/// The flags of `optim list`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// Show archived campaigns too.
    #[arg(long)]
    all: bool,
}

pub(super) async fn list(call: &Call, args: Args) -> Outcome {
    let store = call.session.engine.store();
    let mut campaigns = Page::all(|page| store.campaigns(page)).await?;
    campaigns.retain(|found| args.all || !found.archived);
    if call.json {
        let items: Vec<_> = campaigns
            .iter()
            .map(|campaign| {
                json!({
                    "id": campaign.id,
                    "name": campaign.name,
                    "status": campaign.status.name(),
                    "experiments": campaign.experiments,
                    "archived": campaign.archived,
                    "created_at_ms": campaign.created_at,
                })
            })
            .collect();
        call.out.document(
            &json!({"schema": "optim/v1/campaigns", "campaigns": items, "count": items.len()}),
        );
        return Ok(Exit::Success);
    }
    for campaign in &campaigns {
        let created = jiff::Timestamp::from_millisecond(campaign.created_at.0)
            .map(|at| at.to_string())
            .unwrap_or_default();
        let (id, status, experiments) =
            (&campaign.id, campaign.status.name(), campaign.experiments);
        call.out.line(&format!(
            "{id}  {status}  {experiments} experiments  {created}  {}",
            campaign.name
        ));
    }
    if campaigns.is_empty() {
        call.out.error_line("no campaign yet; `optim run` starts one");
    }
    Ok(Exit::Success)
}
