//! Gives queued case runs to workers while there is room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use optim_core::id::RunId;
use optim_core::run::Run;
use optim_core::run::transition::Ignored;
use optim_store::{Page, RunFilter, RunSummary};
use tokio::task::JoinSet;

use crate::engine::{Engine, EngineError};
use crate::runner::{Job, Runner};
use crate::tasks::Shutdown;

/// How long the dispatcher leaves a failing store alone.
const BACK_OFF: Duration = Duration::from_secs(1);

/// The dispatch loop.
pub struct Dispatcher {
    engine: Arc<Engine>,
    runner: Arc<Runner>,
    capacity: usize,
}
