//! `optim list`: campaigns, newest first.

use std::path::Path;

use optim_store::Page;
use serde_json::json;

use super::{Outcome, output};
use crate::error::Exit;
use crate::session::Session;

/// The flags of `optim list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show archived campaigns too.
    #[arg(long)]
    all: bool,
}

pub(super) async fn list(folder: &Path, args: Args, json: bool) -> Outcome {
    let session = Session::open(folder)?;
    let mut campaigns = Vec::new();
    let mut page = Page::first();
    loop {
        let listed = session.engine.store().campaigns(page).await?;
        campaigns.extend(listed.items.into_iter().filter(|found| args.all || !found.archived));
        match listed.next {
            Some(after) => page = Page { after: Some(after), ..Page::first() },
            None => break,
        }
    }
    if json {
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
        output::document(
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
        output::line(&format!(
            "{id}  {status}  {experiments} experiments  {created}  {}",
            campaign.name
        ));
    }
    if campaigns.is_empty() {
        output::error_line("no campaign yet; `optim run` starts one");
    }
    Ok(Exit::Success)
}
