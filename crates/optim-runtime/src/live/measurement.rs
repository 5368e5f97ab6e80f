//! The measurement of what is live: the file or stored workflow is read when it begins, so what is
//! executed is what was applied or nothing.

use optim_core::campaign::Campaign;
use optim_core::campaign::command::{Command, Rejection};
use optim_core::campaign::observation::{LiveRead, Observation};
use optim_core::canonical;
use optim_core::id::{Actor, CampaignId};
use optim_store::Blob;

use crate::engine::{Engine, EngineError};

use super::{Live, LiveError, edited, settle};

/// Asks for a measurement of what the last apply made live. The loops carry it out.
///
/// # Errors
/// No apply is in effect, the live workflow has drifted, or the budget does not cover it.
pub async fn measure(
    engine: &Engine,
    id: &CampaignId,
    actor: Actor,
    reason: Option<String>,
) -> Result<Campaign, LiveError> {
    let campaign = settle(engine, id).await?;
    if campaign.live.applied.is_empty() {
        return Err(Rejection::NothingToMeasure.into());
    }
    let live = Live::of(engine, &campaign).await?;
    let found = &live.definition().workflow;
    let command = Command::Measure { live: found.fingerprint(), reason };
    match engine.submit(id, &command, actor).await {
        Err(EngineError::Rejected(rejection @ Rejection::MeasuresDrift { .. })) => {
            Err(edited(engine, &campaign, rejection, found).await)
        }
        submitted => Ok(submitted?),
    }
}

/// Reads the live workflow for the measurement that waits for it, and has the campaign begin or give up.
///
/// # Errors
/// The store fails.
pub(crate) async fn begin(engine: &Engine, campaign: &Campaign) -> Result<Campaign, EngineError> {
    let (read, blobs) = match Live::of(engine, campaign).await {
        Ok(live) => {
            let (read, blob) = executed(campaign, &live);
            (Ok(read), vec![blob])
        }
        Err(LiveError::Engine(EngineError::Store(error))) => return Err(error.into()),
        Err(error) => (Err(error.to_string()), Vec::new()),
    };
    engine.record(&campaign.id, &Observation::LiveRead(read), blobs).await
}

/// What is executed: what is live, on the campaign's model if it has one, like all that it measures.
fn executed(campaign: &Campaign, live: &Live) -> (LiveRead, Blob) {
    let workflow = &live.definition().workflow;
    let found = workflow.fingerprint();
    let overridden = campaign.execution_override.as_ref().map(|model| workflow.with_model(model));
    let workflow = overridden.as_ref().unwrap_or(workflow);
    let blob = Blob::new(canonical::bytes(&workflow.to_json()));
    (LiveRead { found, fingerprint: workflow.fingerprint(), snapshot: blob.digest() }, blob)
}
