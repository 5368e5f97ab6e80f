//! How long a sign of life lasts, and how a worker gives them.

use std::time::Duration;

use optim_core::run::Run;
use optim_core::run::transition::RunObservation;

use crate::engine::Engine;

/// How often a worker renews its lease; by a clock that does not jump. What ends sooner never renews.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(30);
/// A worker that neither renews its lease nor moves a node for so long is gone.
pub(crate) const LEASE_LOST_AFTER: Duration = Duration::from_secs(120);

/// Renews the lease of a case run; returns when the run is not the worker's any more, so that the
/// worker stops itself.
pub(crate) async fn keep(engine: &Engine, run: &Run) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let renewed = engine.observe_run(run.id, RunObservation::Renewed { epoch: run.epoch });
        match renewed.await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return,
            // This process owns the store, so nobody else can have reaped the run meanwhile.
            Err(error) => tracing::warn!(%error, "a lease cannot be renewed now"),
        }
    }
}
