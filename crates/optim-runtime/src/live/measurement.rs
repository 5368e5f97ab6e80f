//! The measurement of what is live: the file or stored workflow is read when it begins, so what is
//! executed is what was applied or nothing.

use optim_core::campaign::Campaign;
use optim_core::campaign::command::{Command, Rejection};
use optim_core::campaign::observation::{LiveRead, Observation};
use optim_core::campaign::request::Request;
use optim_core::canonical;
use optim_core::id::{Actor, CampaignId, RequestKey};
use optim_store::Blob;

use crate::engine::{Engine, EngineError};

use super::{Live, LiveError, edited, settle};

/// Asks for a measurement of what the last apply made live, once for each `key`. The loops carry it out.
///
/// # Errors
/// No apply is in effect, the live workflow has drifted, or the budget does not cover it.
pub async fn measure(
    engine: &Engine,
    id: &CampaignId,
    actor: Actor,
    reason: Option<String>,
    key: Option<&RequestKey>,
) -> Result<Campaign, LiveError> {
    let campaign = settle(engine, id).await?;
    let request = Request::Measure { reason: reason.as_deref() };
    if let Some(key) = key
        && campaign.is_answered(key, &request)?
    {
        return Ok(campaign);
    }
    if campaign.live.applied.is_empty() {
        return Err(Rejection::NothingToMeasure.into());
    }
    let live = Live::of(engine, &campaign).await?;
    let found = &live.definition().workflow;
    let command = Command::Measure { live: found.fingerprint(), reason };
    match engine.submit_once(id, &command, key, actor).await {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use optim_core::campaign::work::{Work, work};

    use super::super::tests::applied;
    use super::*;
    use crate::executor::lexical::Lexical;
    use crate::service::{Service, ServiceConfig};

    #[tokio::test]
    async fn what_was_edited_since_the_apply_is_not_measured_and_its_places_are_named() {
        let (_folder, path, engine, id) = applied().await;
        let text = std::fs::read_to_string(&path).unwrap();
        let edited = text.replace("{agent_id: a}", "{agent_id: a, skills: [s]}");
        std::fs::write(&path, &edited).unwrap();
        let refused = measure(&engine, &id, Actor::engine(), None, None).await.unwrap_err();
        let LiveError::Edited { differences, .. } = &refused else { panic!("{refused}") };
        assert_eq!(
            (refused.code(), differences),
            ("live_drift", &vec!["agents[0].skills".to_owned()])
        );

        std::fs::write(&path, &text).unwrap();
        let campaign = measure(&engine, &id, Actor::engine(), None, None).await.unwrap();
        assert_eq!(work(&campaign), Work::ReadLive);
        std::fs::write(&path, &edited).unwrap();
        let campaign = begin(&engine, &campaign).await.unwrap();
        assert_eq!(campaign.live.measuring, None);
        let why = campaign.live.applied[0].unmeasured.clone().unwrap().reason;
        assert!(why.contains("it was edited since"), "{why}");
    }

    #[tokio::test]
    async fn a_live_workflow_that_cannot_be_read_ends_the_measurement_with_the_reason() {
        let (_folder, path, engine, id) = applied().await;
        let campaign = measure(&engine, &id, Actor::engine(), None, None).await.unwrap();
        std::fs::write(&path, "nonsense: [").unwrap();
        let campaign = begin(&engine, &campaign).await.unwrap();
        let why = campaign.live.applied[0].unmeasured.clone().unwrap().reason;
        assert!(why.contains("is not valid"), "{why}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_of_a_campaign_that_is_over_is_taken_up_by_the_next_process() {
        let (_folder, path, engine, id) = applied().await;
        let engine = Arc::new(engine);
        let cancel = Command::Cancel { reason: None };
        engine.submit(&id, &cancel, Actor::engine()).await.unwrap();
        measure(&engine, &id, Actor::engine(), None, None).await.unwrap();
        std::fs::write(&path, "nonsense: [").unwrap();
        let config = ServiceConfig::default();
        // Who was told of the wish is gone.
        drop(engine.wakes().changed_campaign().await);
        let service = Service::start(Arc::clone(&engine), Arc::new(Lexical), config).await.unwrap();
        let over = |campaign: &Campaign| campaign.live.measuring.is_none();
        let over = tokio::time::timeout(Duration::from_secs(60), service.reached(&id, over)).await;
        assert!(over.unwrap().unwrap().live.applied[0].unmeasured.is_some());
        service.stop().await;
    }

    #[tokio::test]
    async fn what_is_live_is_executed_on_the_model_of_the_campaign() {
        let (_folder, _path, engine, id) = applied().await;
        let mut campaign = engine.campaign(&id).await.unwrap().value;
        let live = Live::of(&engine, &campaign).await.unwrap();
        let (plain, _) = executed(&campaign, &live);
        assert_eq!(
            (plain.found, plain.fingerprint),
            (campaign.live.expected, campaign.live.expected)
        );
        let model = "openai/small".parse().unwrap();
        let expected = live.definition().workflow.with_model(&model).fingerprint();
        campaign.execution_override = Some(model);
        let (overridden, blob) = executed(&campaign, &live);
        assert_eq!((overridden.found, overridden.fingerprint), (plain.found, expected));
        assert_ne!(overridden.fingerprint, plain.fingerprint);
        assert_eq!(overridden.snapshot, blob.digest());
    }
}
