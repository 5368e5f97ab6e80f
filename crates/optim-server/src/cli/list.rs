//! `optim list`: campaigns, newest first.

use optim_core::campaign::{Phase, Status};
use optim_core::id::CampaignId;
use optim_runtime::listing;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Outcome;
use super::call::Call;
use super::comparison::ComparisonView;
use crate::error::{CliError, Exit};

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
    let mut campaigns = listing::readable(|page| store.campaigns(page)).await?;
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
        if campaign.status == Status::Running {
            for line in compared(call, &campaign.id).await? {
                call.out.line(&line);
            }
        }
    }
    if campaigns.is_empty() {
        call.out.error_line("no campaign yet; `optim run` starts one");
    }
    Ok(Exit::Success)
}

/// A line for each candidate that is compared pair by pair now.
async fn compared(call: &Call, id: &CampaignId) -> Result<Vec<String>, CliError> {
    let campaign = call.session.engine.campaign(id).await?.value;
    let Phase::Comparing { candidates, .. } = &campaign.phase else {
        return Ok(Vec::new());
    };
    let line = |candidate| Some((candidate, ComparisonView::of(&campaign, candidate)?));
    let lines = candidates.iter().filter_map(line);
    Ok(lines.map(|(candidate, words)| format!("  #{}  {words}", candidate.number)).collect())
}
