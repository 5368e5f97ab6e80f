//! Executes claimed workflow runs in their real workspace. Each step is recorded before the next one, so
//! that whoever takes the run after a crash goes on where this worker stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use optim_core::canonical;
use optim_core::id::{NodeId, WorkflowRunId};
use optim_core::node_io::{ErrorClass, NodeError};
use optim_core::quantity::Millis;
use optim_core::run::{Epoch, NodeReport, Throttled};
use optim_core::validator::validate;
use optim_core::workflow::Workflow;
use optim_core::workflow_run::WorkflowRun;
use optim_core::workflow_run::node::{INLINE_BYTES_MAX, NodeState, Output};
use optim_core::workflow_run::observation::{
    NodeEnd, WorkerEnd, WorkflowRunIgnored, WorkflowRunObservation,
};
use optim_store::Blob;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::dispatch::patiently;
use crate::engine::{Brought, Engine, EngineError};
use crate::lease::RENEW_EVERY;
use crate::runner::{Ended, Errand, FAULTS_MAX, Fault, Progress, Runner, Walk, Walked};
use crate::workspace::{Folder, RealFolder};

/// Executes a claimed run to its end, or until it is not this worker's any more. When it returns,
/// nothing of the run is at work.
///
/// Once `draining` is set no attempt begins: the run is left as it is, for the next process.
pub(crate) async fn work(
    engine: Arc<Engine>,
    runner: Arc<Runner>,
    run: WorkflowRun,
    draining: Arc<AtomicBool>,
) {
    let log = Arc::new(Log {
        engine,
        run: run.id,
        epoch: run.epoch,
        folder: Arc::new(RealFolder::new(Path::new(&run.workspace).to_owned())),
        runner,
        workflow: Mutex::default(),
        draining,
        left: AtomicBool::new(false),
        told: Mutex::new(Instant::now()),
    });
    let mut body = JoinSet::new();
    let followed = Arc::clone(&log);
    body.spawn(async move { execute(&followed, run).await });
    let end = match body.join_next().await {
        Some(Ok(end)) => end,
        Some(Err(panic)) => WorkerEnd::Panicked(format!("the worker panicked: {panic}")),
        None => WorkerEnd::Panicked("there was no worker".to_owned()),
    };
    if !log.left.load(Ordering::SeqCst) {
        let worked = log.worked();
        let ended = WorkflowRunObservation::WorkerEnded { epoch: log.epoch, end, worked };
        drop(log.tell(ended, &Brought::default()).await);
    }
}

async fn execute(log: &Arc<Log>, run: WorkflowRun) -> WorkerEnd {
    let mut walk = match log.prepare(&run).await {
        Ok(walk) => walk,
        Err(why) => return WorkerEnd::Unreadable(why),
    };
    let errand = Errand {
        run: (run.id.to_string(), run.epoch.0, run.seed()),
        inputs: run.inputs,
        folder: Arc::<dyn Folder>::clone(&log.folder),
        progress: Arc::<Log>::clone(log),
        faults_max: FAULTS_MAX,
    };
    match log.runner.walk(&errand, &mut walk).await {
        Walked::Through => WorkerEnd::Walked,
        Walked::OverLimit(limit) => WorkerEnd::OverLimit(limit),
        // A run that was taken away ignores what is told about it.
        Walked::Fault(why) => WorkerEnd::Panicked(why),
    }
}

/// The log of a run in the making.
struct Log {
    engine: Arc<Engine>,
    run: WorkflowRunId,
    epoch: Epoch,
    folder: Arc<dyn Folder>,
    runner: Arc<Runner>,
    workflow: Mutex<Option<Arc<Workflow>>>,
    draining: Arc<AtomicBool>,
    /// Whether an attempt did not begin because the process ends.
    left: AtomicBool,
    told: Mutex<Instant>,
}

impl Log {
    /// The walk from where the run stands.
    async fn prepare(&self, run: &WorkflowRun) -> Result<Walk, String> {
        let text = |error: EngineError| error.to_string();
        let workflow = patiently(|| self.engine.workflow(run.snapshot)).await.map_err(text)?;
        if workflow.fingerprint() != run.fingerprint {
            return Err("the definition is not the one that was frozen".to_owned());
        }
        if !self.folder.path().is_dir() {
            return Err(format!("the workspace {} is no folder any more", run.workspace));
        }
        let (mut outputs, mut skipped) = (BTreeMap::new(), BTreeSet::new());
        for (place, node) in run.nodes.iter().enumerate() {
            if let NodeState::Done { output } = &node.state {
                let read = self.read(output).await;
                outputs.insert(place, read.map_err(|why| format!("node {}: {why}", node.node))?);
            } else if node.is_over() {
                skipped.insert(place);
            }
        }
        *self.workflow.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&workflow));
        let begun = run.nodes.iter().map(|node| node.attempts).collect();
        Walk::resumed(workflow, outputs, skipped, begun, run.used.since(run.granted_at))
    }

    async fn read(&self, output: &Output) -> Result<Value, String> {
        match output {
            Output::Inline(value) => Ok(value.clone()),
            Output::Dropped { .. } => Err("its output was dropped".to_owned()),
            Output::Stored { digest, .. } => {
                let store = self.engine.store();
                let read = || async { Ok(store.workflow_run_output(self.run, *digest).await?) };
                let bytes = patiently(read).await.map_err(|error| error.to_string())?;
                let bytes = bytes.ok_or_else(|| "its output is missing".to_owned())?;
                serde_json::from_slice(&bytes).map_err(|error| error.to_string())
            }
        }
    }

    /// Records a fact. A store that fails is waited for, as what is told was paid for.
    async fn tell(
        &self,
        fact: WorkflowRunObservation,
        brought: &Brought,
    ) -> Result<WorkflowRun, Option<WorkflowRunIgnored>> {
        match patiently(|| self.engine.observe_workflow_run(self.run, &fact, brought)).await {
            Ok(observed) => observed.map_err(Some),
            Err(error) => {
                tracing::error!(run = %self.run, %error, "a step cannot be recorded");
                Err(None)
            }
        }
    }

    /// The time since the last fact.
    fn worked(&self) -> Millis {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let since = told.elapsed();
        *told = Instant::now();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// How a node ended, and what that brings along.
    fn end(&self, ended: &Ended) -> (NodeEnd, Brought) {
        let nothing = Brought::default();
        match ended {
            Ended::Done(NodeReport { result: Ok(output), .. }) => {
                let bytes = canonical::bytes(output);
                if bytes.len() <= INLINE_BYTES_MAX {
                    return (NodeEnd::Done(Output::Inline(output.clone())), nothing);
                }
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                let output = Blob::new(bytes);
                let stored = Output::Stored { digest: output.digest(), bytes: length };
                (NodeEnd::Done(stored), Brought { outputs: vec![output], ..nothing })
            }
            Ended::Fault(report, Fault { message, rest: Some(rest) }) => {
                let (reason, rest) = (message.clone(), *rest);
                let throttled = self.throttled(&report.node, rest);
                (NodeEnd::Unanswered { reason, rest }, Brought { throttled, ..nothing })
            }
            Ended::Fault(_, fault) => (NodeEnd::Failed(fault.message.clone()), nothing),
            Ended::Done(report) | Ended::Failed(report) | Ended::Stopped(report) => {
                let end = match &report.result {
                    Err(NodeError { class: ErrorClass::Blocked, message, .. }) => {
                        NodeEnd::Blocked(message.clone())
                    }
                    Err(error) => NodeEnd::Failed(error.to_string()),
                    Ok(output) => NodeEnd::Failed(self.unmet(&report.node, output)),
                };
                (end, nothing)
            }
        }
    }

    fn workflow(&self) -> Option<Arc<Workflow>> {
        self.workflow.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The wish of a node's provider.
    fn throttled(&self, node: &NodeId, rest: Millis) -> Option<Throttled> {
        let workflow = self.workflow()?;
        let (_, node) = workflow.node(node)?;
        self.runner.throttled(&workflow, node, rest)
    }

    /// What an output lacks.
    fn unmet(&self, node: &NodeId, output: &Value) -> String {
        let workflow = self.workflow();
        let node = workflow.as_ref().and_then(|workflow| workflow.node(node));
        let check = node.and_then(|(_, node)| {
            validate(node, output, self.folder.as_ref(), self.runner.matcher().as_ref())
        });
        let unmet = check.map(|check| check.unmet.join("; ")).unwrap_or_default();
        format!("its output does not meet its contract: {unmet}")
    }
}

#[async_trait]
impl Progress for Log {
    async fn begins(&self, node: &NodeId, attempt: u32) -> bool {
        if self.draining.load(Ordering::SeqCst) {
            self.left.store(true, Ordering::SeqCst);
            return false;
        }
        let epoch = self.epoch;
        let fact = WorkflowRunObservation::NodeStarted { epoch, node: node.clone(), attempt };
        matches!(
            self.tell(fact, &Brought::default()).await,
            Ok(_) | Err(Some(WorkflowRunIgnored::Known))
        )
    }

    async fn skipped(&self, node: &NodeId) {
        let (epoch, node) = (self.epoch, node.clone());
        // Whoever takes the run next finds the same out again.
        drop(
            self.tell(WorkflowRunObservation::NodeSkipped { epoch, node }, &Brought::default())
                .await,
        );
    }

    async fn ended(&self, ended: Ended) -> Ended {
        let (Ended::Done(report)
        | Ended::Failed(report)
        | Ended::Stopped(report)
        | Ended::Fault(report, _)) = &ended;
        if report.attempts > 0 {
            let (end, brought) = self.end(&ended);
            let fact = WorkflowRunObservation::NodeEnded {
                epoch: self.epoch,
                node: report.node.clone(),
                end,
                usage: report.usage,
                worked: self.worked(),
            };
            if let Err(ignored) = self.tell(fact, &brought).await {
                tracing::info!(run = %self.run, node = %report.node, ?ignored, "a node's end came too late");
            }
        }
        match ended {
            // One node's provider is no reason to stop the others.
            Ended::Fault(report, _) => Ended::Failed(report),
            ended => ended,
        }
    }

    async fn halted(&self) -> String {
        let mut changes = self.engine.workflow_run_changes();
        loop {
            changes.borrow_and_update();
            match self.engine.workflow_run(self.run).await {
                Ok(run)
                    if run.value.epoch == self.epoch && run.value.state.status().is_at_work() => {}
                Ok(_) => return "the run is not this worker's any more".to_owned(),
                Err(error) => tracing::warn!(run = %self.run, %error, "a run cannot be looked at"),
            }
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = tokio::time::sleep(RENEW_EVERY) => {
                    let renewed = WorkflowRunObservation::Renewed { epoch: self.epoch };
                    drop(self.tell(renewed, &Brought::default()).await);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
