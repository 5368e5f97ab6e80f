//! How long a sign of life lasts, and how a worker gives them.

use std::time::Duration;

use optim_core::run::Run;
use optim_core::run::transition::RunObservation;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::engine::Engine;

/// How often a worker renews its lease; by a clock that does not jump. What ends sooner never renews.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(30);
/// A worker that could not renew its lease for so long stops itself: before anybody may give it up.
pub(crate) const STOPS_AFTER: Duration = Duration::from_secs(80);
/// A worker that neither renews its lease nor moves a node for so long is gone.
pub(crate) const LEASE_LOST_AFTER: Duration = Duration::from_secs(120);

/// Renews the lease of a case run; returns when the run is not the worker's any more, or may soon be another
/// one's, so that the worker stops itself.
pub(crate) async fn keep(engine: &Engine, run: &Run) {
    let mut renewed = Instant::now();
    loop {
        let end = renewed + STOPS_AFTER;
        sleep_until(end.min(Instant::now() + RENEW_EVERY)).await;
        let renewal = engine.observe_run(run.id, RunObservation::Renewed { epoch: run.epoch });
        match timeout_at(end, renewal).await {
            Ok(Ok(Ok(_))) => renewed = Instant::now(),
            Ok(Ok(Err(_))) => return,
            Ok(Err(error)) => tracing::warn!(%error, "a lease cannot be renewed now"),
            Err(_) => {}
        }
        if Instant::now() >= renewed + STOPS_AFTER {
            return tracing::warn!(run = %run.id, "a worker stops: it could not renew its lease");
        }
    }
}
