//! One call of a verb: on which project, by whom, and where what it says goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use optim_core::campaign::Campaign;
use optim_core::id::Actor;
use optim_runtime::engine::NewCampaign;
use optim_runtime::service::Service;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::output::Output;
use crate::error::{CliError, Exit};
use crate::session::{Session, actor};

/// What a verb works with.
pub(crate) struct Call {
    /// The open project.
    pub(crate) session: Arc<Session>,
    /// The loops, when this process runs them already: it executes the verb of another process.
    pub(crate) service: Option<Arc<Service>>,
    /// Who asks.
    pub(crate) actor: Actor,
    /// Where the answer goes.
    pub(crate) out: Output,
    /// What ends a verb that follows a campaign.
    pub(crate) stop: Stop,
    /// Whether the answer is one JSON document.
    pub(crate) json: bool,
    /// Where the caller's relative paths begin.
    pub(crate) directory: PathBuf,
    /// The project's folder as the caller wrote it.
    pub(crate) folder: PathBuf,
}

impl Call {
    /// A call from this process's own command line.
    pub(super) fn local(session: Session, directory: PathBuf, folder: PathBuf, json: bool) -> Self {
        Self {
            session: Arc::new(session),
            service: None,
            actor: actor(),
            out: Output::Terminal,
            stop: Stop::Signals,
            json,
            directory,
            folder,
        }
    }

    /// Creates a campaign.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn create(&self, new: NewCampaign) -> Result<Campaign, CliError> {
        Ok(self.session.engine.create(new, self.actor.clone()).await?)
    }

    /// How the commands of `next` begin.
    pub(super) fn prefix(&self) -> String {
        if self.folder == Path::new(".") {
            "optim".to_owned()
        } else {
            format!("optim -C {}", self.folder.display())
        }
    }
}

/// The wish that a verb ends before it is done.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A signal to this process.
    Signals,
    /// The caller went away, or this process ends.
    Told(watch::Receiver<Option<Exit>>),
}

impl Stop {
    /// Waits for the wish, and says how the caller exits then.
    pub(crate) async fn wished(&self) -> Exit {
        match self {
            Self::Signals => tokio::select! {
                _ = tokio::signal::ctrl_c() => Exit::Interrupted,
                () = terminated() => Exit::Terminated,
            },
            Self::Told(wish) => {
                let mut wish = wish.clone();
                let wish = wish.wait_for(Option::is_some).await;
                wish.ok().and_then(|exit| *exit).unwrap_or(Exit::Terminated)
            }
        }
    }
}

async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        // Without a handler the signal ends the process as it always did.
        Err(_) => std::future::pending().await,
    }
}
