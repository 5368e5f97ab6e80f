//! What becomes of a run whose worker is gone: at a restart, and when the reaper gives it up.

use super::WorkflowRun;
use super::event::{Reaped, WorkflowRunEvent};
use super::node::{NodeRecord, NodeState};
use super::observation::WorkflowRunIgnored;
use super::state::{FailureKind, Pause, Stop, WorkflowRunState};
use super::transition::{AUTO_RESUME_WITHIN, AUTO_RESUMES_MAX, Step};
use crate::id::NodeId;
use crate::lease::Signal;
use crate::quantity::Millis;

/// The nodes whose attempts were cut short.
struct Interrupted {
    /// Those that have attempts left.
    repairable: Vec<NodeId>,
    /// Those that have none.
    exhausted: Vec<NodeId>,
}

impl Step<'_> {
    /// Gives back every attempt that is under way.
    fn cut_short(&mut self, why: &str) -> Interrupted {
        let nodes = self.next.nodes.iter().enumerate();
        let running: Vec<_> = nodes
            .filter(|(_, node)| node.is_running())
            .map(|(place, node)| (place, node.node.clone()))
            .collect();
        let (repairable, exhausted) =
            running.into_iter().partition::<Vec<_>, _>(|(place, _)| self.give_back(*place, why));
        let names = |nodes: Vec<(usize, NodeId)>| nodes.into_iter().map(|(_, node)| node).collect();
        Interrupted { repairable: names(repairable), exhausted: names(exhausted) }
    }

    pub(super) fn interrupt(&mut self, why: &str) {
        drop(self.cut_short(why));
    }

    /// The process that had the run is gone. A node that has used its last attempt is not tried again
    /// without a person: it acts on the real workspace.
    pub(super) fn lost(&mut self) {
        let Interrupted { exhausted, .. } = self.cut_short("its process ended");
        match &self.next.state {
            WorkflowRunState::Pausing { pause, .. } => {
                let pause = pause.clone();
                self.pause(pause);
            }
            _ if exhausted.is_empty() => self.queue(WorkflowRunEvent::RunInterrupted),
            _ => self.fail(
                FailureKind::ServerRestart,
                format!("the process ended during the last attempt at {}", listed(&exhausted)),
            ),
        }
    }

    /// The worker has shown no sign of life. A person who asked for a pause meanwhile has the last word.
    pub(super) fn stalled(&mut self, signal: Signal, stale_after: Millis) {
        let Interrupted { repairable, exhausted } =
            self.cut_short("its worker showed no sign of life");
        let asked = match &self.next.state {
            WorkflowRunState::Pausing { pause, .. } => Some(pause.clone()),
            _ => None,
        };
        let WorkflowRun { workflow, name, .. } = &self.next;
        self.tell(WorkflowRunEvent::RunReaped(Box::new(Reaped {
            workflow: workflow.clone(),
            name: name.clone(),
            signal,
            stale_after,
            repairable: repairable.clone(),
            exhausted: exhausted.clone(),
        })));
        if !exhausted.is_empty() {
            let detail = format!(
                "no sign of life for {} ms during the last attempt at {}",
                stale_after.0,
                listed(&exhausted)
            );
            return self.fail(FailureKind::StaleReaped, detail);
        }
        let detail = if repairable.is_empty() {
            format!("no sign of life for {} ms; no node was at work", stale_after.0)
        } else {
            format!("no sign of life for {} ms; repairable: {}", stale_after.0, listed(&repairable))
        };
        self.pause(asked.unwrap_or(Pause { stop: Stop::StaleReaped, detail }));
    }

    /// A run that was reaped goes on by itself if a node can be repaired, soon, and not for ever.
    pub(super) fn auto_resume(&mut self) -> Result<(), WorkflowRunIgnored> {
        let reaped_at = match &self.next.state {
            WorkflowRunState::Paused { at, pause } if pause.stop == Stop::StaleReaped => *at,
            _ => return Err(WorkflowRunIgnored::NoAutoResume),
        };
        let in_time = self.cx().now.since(reaped_at) <= AUTO_RESUME_WITHIN;
        let repairable = self.next.nodes.iter().any(NodeRecord::is_repairable);
        if !in_time || !repairable || self.next.auto_resumes >= AUTO_RESUMES_MAX {
            return Err(WorkflowRunIgnored::NoAutoResume);
        }
        self.next.auto_resumes = self.next.auto_resumes.saturating_add(1);
        self.queue(WorkflowRunEvent::RunAutoResumed { times: self.next.auto_resumes });
        Ok(())
    }
}

impl NodeRecord {
    /// Whether it was cut short, postponed, or failed, and may be tried again.
    fn is_repairable(&self) -> bool {
        let open =
            matches!(self.state, NodeState::NeedsRepair { .. } | NodeState::Postponed { .. });
        open && self.attempts < self.attempts_max
    }
}

fn listed(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")
}
