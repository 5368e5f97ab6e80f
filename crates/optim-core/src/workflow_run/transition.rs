//! Every change of a workflow run: [`create`], [`decide`] for commands, [`observe`] for facts.

use super::command::{GateDecision, WorkflowRunCommand, WorkflowRunRejection};
use super::event::WorkflowRunEvent;
use super::history::{Entry, History};
use super::node::{Gate, NodeRecord, NodeState, Output, PlanError, ensure_active, plan};
use super::observation::{NodeEnd, WorkerEnd, WorkflowRunIgnored, WorkflowRunObservation};
use super::state::{Failure, FailureKind, Pause, Stop, WorkflowRunState, WorkflowRunStatus};
use super::{LastFailure, Origin, Trigger, Used, WorkflowRun};
use crate::campaign::command::Context;
use crate::digest::Digest;
use crate::id::{NodeId, WorkflowRunId};
use crate::lease::Lease;
use crate::node_io::RETRY_AFTER_MAX;
use crate::outcome::Usage;
use crate::quantity::Millis;
use crate::run::Epoch;
use crate::workflow::Workflow;
use serde_json::{Map, Value};

/// How often a run that was reaped goes on by itself before a person must look at it.
pub const AUTO_RESUMES_MAX: u32 = 2;
/// A run that was reaped longer ago does not go on by itself.
pub const AUTO_RESUME_WITHIN: Millis = Millis(20 * 60 * 1000);

/// What is asked for when a run is created.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The run's id.
    pub id: WorkflowRunId,
    /// Where the definition came from.
    pub origin: Origin,
    /// The definition's content digest.
    pub snapshot: Digest,
    /// What begins the run.
    pub trigger: Trigger,
    /// Whether nothing is executed.
    pub dry_run: bool,
    /// What the root nodes get.
    pub inputs: Map<String, Value>,
    /// The canonical path of the folder that it works in.
    pub workspace: String,
}

/// The next state of a run, with what is told about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The run as it is now.
    pub next: WorkflowRun,
    /// What happened, in order; empty when only the lease was renewed.
    pub events: Vec<WorkflowRunEvent>,
}

/// A run of `workflow` as it is asked for: queued, or, when nothing is to be executed, completed.
///
/// # Errors
/// [`PlanError`] when the workflow is not active and more is asked for than a dry run, or when its nodes
/// cannot be executed in an order.
pub fn create(order: Order, workflow: &Workflow, cx: &Context) -> Result<Decision, PlanError> {
    let Order { id, origin, snapshot, trigger, dry_run, inputs, workspace } = order;
    if !dry_run {
        ensure_active(workflow)?;
    }
    let run = WorkflowRun {
        id,
        workflow: workflow.id().clone(),
        name: workflow.name().to_owned(),
        origin,
        snapshot,
        fingerprint: workflow.fingerprint(),
        trigger,
        actor: cx.actor.clone(),
        dry_run,
        inputs,
        workspace,
        epoch: Epoch(0),
        state: WorkflowRunState::Queued,
        nodes: plan(workflow)?,
        last_failure: None,
        used: Used::default(),
        granted_at: Used::default(),
        auto_resumes: 0,
        expired: false,
        history: History::default(),
        created_at: cx.now,
        started_at: None,
    };
    let mut step = Step::new(&run, cx);
    step.tell(WorkflowRunEvent::RunCreated { dry_run });
    if dry_run {
        step.next.nodes.iter_mut().for_each(|node| node.state = NodeState::Skipped);
        step.complete();
    }
    Ok(step.done())
}

/// Answers `command`.
///
/// # Errors
/// [`WorkflowRunRejection`] when the run's state does not allow it.
pub fn decide(
    run: &WorkflowRun,
    command: &WorkflowRunCommand,
    cx: &Context,
) -> Result<Decision, WorkflowRunRejection> {
    use WorkflowRunCommand as Command;
    use WorkflowRunState as State;
    let mut step = Step::new(run, cx);
    match (&run.state, command) {
        (State::Queued, Command::Claim { worker }) => {
            step.next.epoch = run.epoch.next();
            step.next.started_at.get_or_insert(cx.now);
            step.next.state = State::Running { since: cx.now, lease: Lease::new(worker.clone()) };
            step.tell(WorkflowRunEvent::RunClaimed {
                epoch: step.next.epoch,
                worker: worker.clone(),
            });
        }
        (State::Queued, Command::Pause { reason }) => step.pause(by_operator(reason.as_deref())),
        (State::Running { lease, .. }, Command::Pause { reason }) => {
            let pause = by_operator(reason.as_deref());
            step.next.state = State::Pausing { lease: lease.clone(), pause: pause.clone() };
            step.tell(WorkflowRunEvent::PauseRequested { pause });
        }
        (State::Paused { pause, .. }, Command::Resume { reason }) => {
            if pause.stop == Stop::GuardrailStopped {
                step.next.granted_at = run.used;
            }
            step.queue(WorkflowRunEvent::RunResumed { reason: reason.clone() });
        }
        (State::Blocked { .. } | State::Failed { .. }, Command::Recover { .. }) if run.expired => {
            return Err(WorkflowRunRejection::Expired { run: run.id });
        }
        (
            State::Paused { .. } | State::Blocked { .. } | State::Failed { .. },
            Command::Recover { reason },
        ) => step.recover(reason.clone()),
        (State::AwaitingApproval { gate: awaited, .. }, Command::Decide { gate, .. })
            if gate != awaited =>
        {
            return Err(WorkflowRunRejection::OtherGate {
                run: run.id,
                asked: gate.clone(),
                awaited: awaited.clone(),
            });
        }
        (State::AwaitingApproval { .. }, Command::Decide { gate, decision, reason }) => {
            let words = reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
            if *decision != GateDecision::Approve && !words {
                return Err(WorkflowRunRejection::ReasonRequired { decision: *decision });
            }
            step.decide_gate(gate, *decision, reason.clone());
        }
        (state, Command::Cancel { reason }) if !state.status().is_terminal() => {
            step.cancel(reason.clone().unwrap_or_else(|| "by hand".to_owned()));
        }
        (state, _) => {
            let status = state.status();
            let (command, help) = refusal(status, command);
            return Err(WorkflowRunRejection::WrongStatus { run: run.id, command, status, help });
        }
    }
    Ok(step.done())
}

fn by_operator(reason: Option<&str>) -> Pause {
    let detail = reason.unwrap_or("by hand").to_owned();
    Pause { stop: Stop::OperatorStopped, detail }
}

/// What was asked, as a participle, and what can be done instead.
fn refusal(
    status: WorkflowRunStatus,
    command: &WorkflowRunCommand,
) -> (&'static str, &'static str) {
    use WorkflowRunCommand as Command;
    use WorkflowRunStatus as Status;
    let asked = match command {
        Command::Claim { .. } => "claimed",
        Command::Pause { .. } => "paused",
        Command::Resume { .. } => "resumed",
        Command::Recover { .. } => "recovered",
        Command::Cancel { .. } => "cancelled",
        Command::Decide { .. } => "decided upon",
    };
    let help = match status {
        Status::Queued => "it waits for a worker",
        Status::Running => "it is at work; pause or cancel it",
        Status::Pausing => "wait until it is paused, or cancel it",
        Status::Paused => "resume, recover or cancel it",
        Status::AwaitingApproval => "decide at its gate, or cancel it",
        Status::Blocked | Status::Failed => {
            "repair what is wrong and recover it, or begin another run"
        }
        Status::Completed | Status::Cancelled => "it is over; begin another run",
    };
    (asked, help)
}

/// Takes in a fact.
///
/// # Errors
/// [`WorkflowRunIgnored`] says why the fact changes nothing.
pub fn observe(
    run: &WorkflowRun,
    observation: &WorkflowRunObservation,
    cx: &Context,
) -> Result<Decision, WorkflowRunIgnored> {
    use WorkflowRunObservation as Fact;
    let mut step = Step::new(run, cx);
    match observation {
        Fact::NodeStarted { epoch, node, attempt } => step.node_started(*epoch, node, *attempt)?,
        Fact::NodeSkipped { epoch, node } => step.node_skipped(*epoch, node)?,
        Fact::NodeEnded { epoch, node, end, usage, worked } => {
            step.node_ended(*epoch, node, end, Used { usage: *usage, worked: *worked })?;
        }
        Fact::WorkerEnded { epoch, end, worked } => {
            step.at_work(*epoch)?;
            step.spend(Used { usage: Usage::default(), worked: *worked });
            step.worker_ended(end);
        }
        Fact::Renewed { epoch } => {
            step.at_work(*epoch)?;
            if let WorkflowRunState::Running { lease, .. }
            | WorkflowRunState::Pausing { lease, .. } = &mut step.next.state
            {
                *lease = lease.clone().renewed();
            }
        }
        Fact::Lost { epoch } => {
            step.at_work(*epoch)?;
            step.lost();
        }
        Fact::Stalled { signs, signal, stale_after } => {
            step.at_work(signs.epoch)?;
            if run.signs().is_none_or(|now| !signal.is_missing(*signs, now)) {
                return Err(WorkflowRunIgnored::Alive);
            }
            step.stalled(*signal, *stale_after);
        }
        Fact::AutoResumeDue => step.auto_resume()?,
        Fact::Expired => step.expire()?,
    }
    Ok(step.done())
}

/// A step from one state to the next.
pub(super) struct Step<'a> {
    pub(super) next: WorkflowRun,
    events: Vec<WorkflowRunEvent>,
    cx: &'a Context,
}

impl<'a> Step<'a> {
    fn new(run: &WorkflowRun, cx: &'a Context) -> Self {
        Self { next: run.clone(), events: Vec::new(), cx }
    }

    fn done(self) -> Decision {
        Decision { next: self.next, events: self.events }
    }

    pub(super) fn tell(&mut self, what: WorkflowRunEvent) {
        let (at, actor) = (self.cx.now, self.cx.actor.clone());
        self.next.history.add(Entry { at, actor, what: what.clone() });
        self.events.push(what);
    }

    /// A fact of an earlier claim, or about a run that nobody works on, is none.
    fn at_work(&self, epoch: Epoch) -> Result<(), WorkflowRunIgnored> {
        if !self.next.state.status().is_at_work() {
            Err(WorkflowRunIgnored::NotAtWork)
        } else if epoch != self.next.epoch {
            Err(WorkflowRunIgnored::StaleEpoch)
        } else {
            Ok(())
        }
    }

    fn spend(&mut self, spent: Used) {
        let used = &mut self.next.used;
        used.usage = used.usage.plus(spent.usage);
        used.worked = used.worked.plus(spent.worked);
    }

    // --- nodes ------------------------------------------------------------------------------

    fn node_started(
        &mut self,
        epoch: Epoch,
        node: &NodeId,
        attempt: u32,
    ) -> Result<(), WorkflowRunIgnored> {
        self.at_work(epoch)?;
        let begun = |record: &NodeRecord| record.is_running() && record.attempts == attempt;
        if self.next.node(node).is_some_and(|(_, record)| begun(record)) {
            return Err(WorkflowRunIgnored::Known);
        }
        if self.next.state.status() != WorkflowRunStatus::Running || !self.may_begin(node, attempt)
        {
            return Err(WorkflowRunIgnored::MayNotBegin);
        }
        if let Some(record) = self.next.nodes.iter_mut().find(|record| record.node == *node) {
            (record.attempts, record.state) = (attempt, NodeState::Running);
        }
        self.tell(WorkflowRunEvent::NodeStarted { node: node.clone(), attempt });
        Ok(())
    }

    /// Attempts begin one after the other, while no node has failed for good.
    fn may_begin(&self, node: &NodeId, attempt: u32) -> bool {
        let nodes = &self.next.nodes;
        let failed = nodes.iter().any(|node| matches!(node.state, NodeState::Failed { .. }));
        let open = self.next.node(node).is_some_and(|(place, record)| {
            let again = record.is_running() && record.attempts < record.attempts_max;
            attempt == record.attempts.saturating_add(1)
                && (again || record.may_begin())
                && self.is_supplied(place)
        });
        open && !failed
    }

    /// A node without work is over before it begins.
    fn node_skipped(&mut self, epoch: Epoch, node: &NodeId) -> Result<(), WorkflowRunIgnored> {
        self.at_work(epoch)?;
        let found = self.next.node(node).map(|(place, record)| (place, &record.state));
        match found {
            Some((_, NodeState::Skipped)) => return Err(WorkflowRunIgnored::Known),
            Some((place, NodeState::Pending)) if self.is_supplied(place) => {}
            _ => return Err(WorkflowRunIgnored::MayNotBegin),
        }
        if let Some(record) = self.next.nodes.iter_mut().find(|record| record.node == *node) {
            record.state = NodeState::Skipped;
        }
        self.tell(WorkflowRunEvent::NodeSkipped { node: node.clone() });
        Ok(())
    }

    /// Whether everything that the node at `place` needs is over.
    fn is_supplied(&self, place: usize) -> bool {
        let needs = self.next.nodes.get(place).map_or(&[][..], |node| &node.needs);
        needs.iter().all(|need| self.next.nodes.get(*need).is_some_and(NodeRecord::is_over))
    }

    /// What was used counts also when the run was stopped meanwhile.
    fn node_ended(
        &mut self,
        epoch: Epoch,
        node: &NodeId,
        end: &NodeEnd,
        used: Used,
    ) -> Result<(), WorkflowRunIgnored> {
        if epoch != self.next.epoch {
            return Err(WorkflowRunIgnored::StaleEpoch);
        }
        if self.at_work(epoch).is_err() {
            if used.usage == Usage::default() {
                return Err(WorkflowRunIgnored::NotAtWork);
            }
            self.spend(used);
            self.tell(WorkflowRunEvent::UsageBooked { node: node.clone() });
            return Ok(());
        }
        let running = self.next.node(node).filter(|(_, record)| record.is_running());
        let Some((place, _)) = running else {
            return Err(WorkflowRunIgnored::MayNotBegin);
        };
        self.spend(used);
        match end {
            NodeEnd::Done(output) => self.node_done(place, output.clone()),
            NodeEnd::Blocked(reason) => self.block(place, reason.clone()),
            NodeEnd::Unanswered { reason, rest } => self.postpone(place, reason, *rest),
            NodeEnd::Failed(reason) => drop(self.give_back(place, reason)),
        }
        Ok(())
    }

    fn postpone(&mut self, place: usize, reason: &str, rest: Millis) {
        let until = self.cx.now.after(rest.min(RETRY_AFTER_MAX));
        let Some(record) = self.next.nodes.get_mut(place) else { return };
        if record.postpone(until, reason.to_owned()) {
            let (node, reason) = (record.node.clone(), reason.to_owned());
            self.tell(WorkflowRunEvent::NodePostponed { node, until, reason });
        } else {
            self.give_back(place, reason);
        }
    }

    fn node_done(&mut self, place: usize, output: Output) {
        if let Some(record) = self.next.nodes.get_mut(place) {
            record.state = NodeState::Done { output };
            let node = record.node.clone();
            self.tell(WorkflowRunEvent::NodeDone { node });
        }
    }

    pub(super) fn block(&mut self, place: usize, reason: String) {
        if let Some(record) = self.next.nodes.get_mut(place) {
            record.state = NodeState::Blocked { reason: reason.clone() };
            let node = record.node.clone();
            self.tell(WorkflowRunEvent::NodeBlocked { node, reason });
        }
    }

    /// An attempt that did not succeed; says whether another one is allowed.
    pub(super) fn give_back(&mut self, place: usize, reason: &str) -> bool {
        let Some(record) = self.next.nodes.get_mut(place) else {
            return false;
        };
        record.give_back(reason.to_owned());
        let (node, reason) = (record.node.clone(), reason.to_owned());
        let (attempts, attempts_max) = (record.attempts, record.attempts_max);
        let failure = LastFailure { node: node.clone(), reason: reason.clone(), at: self.cx.now };
        self.next.last_failure.get_or_insert(failure);
        let repairable = attempts < attempts_max;
        self.tell(if repairable {
            WorkflowRunEvent::NodeNeedsRepair { node, reason }
        } else {
            WorkflowRunEvent::NodeFailed { node, attempts, attempts_max, reason }
        });
        repairable
    }

    // --- the run ----------------------------------------------------------------------------

    pub(super) fn queue(&mut self, event: WorkflowRunEvent) {
        self.next.state = WorkflowRunState::Queued;
        if matches!(
            event,
            WorkflowRunEvent::RunResumed { .. } | WorkflowRunEvent::RunRecovered { .. }
        ) {
            self.next.auto_resumes = 0;
        }
        self.tell(event);
    }

    pub(super) fn pause(&mut self, pause: Pause) {
        self.next.state = WorkflowRunState::Paused { at: self.cx.now, pause: pause.clone() };
        self.tell(WorkflowRunEvent::RunPaused { pause });
    }

    pub(super) fn fail(&mut self, kind: FailureKind, detail: String) {
        let failure = Failure { kind, detail };
        self.next.state = WorkflowRunState::Failed { at: self.cx.now, failure: failure.clone() };
        self.tell(WorkflowRunEvent::RunFailed { failure });
    }

    fn complete(&mut self) {
        self.next.state = WorkflowRunState::Completed { at: self.cx.now };
        self.tell(WorkflowRunEvent::RunCompleted);
    }

    fn cancel(&mut self, reason: String) {
        self.next.state = WorkflowRunState::Cancelled { at: self.cx.now, reason: reason.clone() };
        for node in &mut self.next.nodes {
            if node.is_running() {
                node.give_back("the run was cancelled".to_owned());
            }
        }
        self.tell(WorkflowRunEvent::RunCancelled { reason });
    }

    fn worker_ended(&mut self, end: &WorkerEnd) {
        let pause = match &self.next.state {
            WorkflowRunState::Pausing { pause, .. } => Some(pause.clone()),
            _ => None,
        };
        self.interrupt("its worker ended");
        match (end, pause) {
            (WorkerEnd::Panicked(why), _) => self.fail(FailureKind::Panic, why.clone()),
            (WorkerEnd::Unreadable(why), _) => self.fail(FailureKind::Unreadable, why.clone()),
            (WorkerEnd::Walked | WorkerEnd::OverLimit(_), Some(pause)) => {
                if self.is_all_over() {
                    self.complete();
                } else {
                    self.pause(pause);
                }
            }
            (WorkerEnd::OverLimit(limit), None) => {
                self.pause(Pause { stop: Stop::GuardrailStopped, detail: limit.clone() });
            }
            (WorkerEnd::Walked, None) => self.end(),
        }
    }

    /// The end of a run in which nothing may begin any more.
    fn end(&mut self) {
        let unfinished = self.next.nodes.iter().find_map(|node| match &node.state {
            NodeState::Failed { reason } | NodeState::NeedsRepair { reason } => {
                Some(format!("node {}: {reason}", node.node))
            }
            _ => None,
        });
        if let Some(detail) = unfinished {
            return self.fail(FailureKind::NodeFailed, detail);
        }
        let postponed = self.next.nodes.iter().filter_map(|node| match &node.state {
            NodeState::Postponed { until, .. } => Some(*until),
            _ => None,
        });
        if let Some(until) = postponed.max() {
            return self.queue(WorkflowRunEvent::RunPostponed { until });
        }
        if let Some(gate) = self.open_gate() {
            self.next.state =
                WorkflowRunState::AwaitingApproval { at: self.cx.now, gate: gate.clone() };
            return self.tell(WorkflowRunEvent::GateOpened { gate });
        }
        self.block_dependents();
        let blocked: Vec<_> = (self.next.nodes.iter())
            .filter(|node| matches!(node.state, NodeState::Blocked { .. }))
            .map(|node| node.node.clone())
            .collect();
        if !blocked.is_empty() {
            self.next.state = WorkflowRunState::Blocked { at: self.cx.now };
            self.tell(WorkflowRunEvent::RunBlocked { nodes: blocked });
        } else if self.is_all_over() {
            self.complete();
        } else {
            self.fail(FailureKind::Deadlock, "nothing can start, though nodes are left".to_owned());
        }
    }

    fn is_all_over(&self) -> bool {
        self.next.nodes.iter().all(NodeRecord::is_over)
    }

    /// The first node, in document order, that only a decision keeps from beginning.
    fn open_gate(&self) -> Option<NodeId> {
        let mut nodes = self.next.nodes.iter().enumerate();
        let gate = nodes.find(|(place, node)| {
            node.state == NodeState::Pending && node.awaits_decision() && self.is_supplied(*place)
        });
        gate.map(|(_, node)| node.node.clone())
    }

    /// Blocks what needs a node that is blocked, and what needs that.
    fn block_dependents(&mut self) {
        loop {
            let blocked = |place: &usize| {
                let node = self.next.nodes.get(*place)?;
                matches!(node.state, NodeState::Blocked { .. }).then(|| node.node.clone())
            };
            let next = self.next.nodes.iter().enumerate().find_map(|(place, node)| {
                let open = node.state == NodeState::Pending;
                let cause = node.needs.iter().find_map(blocked)?;
                open.then_some((place, cause))
            });
            let Some((place, cause)) = next else { return };
            self.block(place, format!("it needs node {cause}, which is blocked"));
        }
    }

    fn decide_gate(&mut self, gate: &NodeId, decision: GateDecision, reason: Option<String>) {
        self.tell(WorkflowRunEvent::GateDecided {
            gate: gate.clone(),
            decision,
            reason: reason.clone(),
        });
        let place = self.next.node(gate).map(|(place, _)| place).unwrap_or_default();
        match decision {
            GateDecision::Approve => self.approve(place, reason.as_deref()),
            GateDecision::Rework => {
                let targets = self.next.nodes.get(place).and_then(|node| node.gate.clone());
                let targets = targets.map(|gate| gate.rework).unwrap_or_default();
                self.redo(targets);
            }
            GateDecision::Cancel => return self.cancel(reason.unwrap_or_default()),
        }
        self.next.state = WorkflowRunState::Queued;
    }

    fn approve(&mut self, place: usize, reason: Option<&str>) {
        let actor = self.cx.actor.clone();
        if let Some(record) = self.next.nodes.get_mut(place)
            && let Some(Gate { only, approved, .. }) = &mut record.gate
        {
            *approved = true;
            if *only {
                let decision =
                    serde_json::json!({"decision": "approve", "actor": actor, "reason": reason});
                self.node_done(place, Output::Inline(decision));
            }
        }
    }

    /// Forgets what the nodes at `places` have done, and all that needs them.
    fn redo(&mut self, places: Vec<usize>) {
        let mut again = places;
        let mut seen = 0;
        while let Some(place) = again.get(seen).copied() {
            seen += 1;
            let needing = self.next.nodes.iter().enumerate();
            let needing = needing.filter(|(_, node)| node.needs.contains(&place));
            for place in needing.map(|(place, _)| place).collect::<Vec<_>>() {
                if !again.contains(&place) {
                    again.push(place);
                }
            }
        }
        for place in again {
            if let Some(node) = self.next.nodes.get_mut(place) {
                node.reset();
            }
        }
    }

    fn recover(&mut self, reason: Option<String>) {
        let mut nodes = Vec::new();
        for node in &mut self.next.nodes {
            let approved = node.gate.as_ref().is_some_and(|gate| gate.approved);
            if !node.is_over() && (node.state != NodeState::Pending || node.attempts > 0) {
                node.reset();
                nodes.push(node.node.clone());
            }
            // What a person decided stays decided.
            if let Some(gate) = &mut node.gate {
                gate.approved = approved;
            }
        }
        self.next.last_failure = None;
        self.next.granted_at = self.next.used;
        self.queue(WorkflowRunEvent::RunRecovered { nodes, reason });
    }

    fn expire(&mut self) -> Result<(), WorkflowRunIgnored> {
        if self.next.expired || !self.next.state.status().is_terminal() {
            return Err(WorkflowRunIgnored::NothingToDrop);
        }
        self.next.expired = true;
        self.next.inputs.clear();
        for node in &mut self.next.nodes {
            if let NodeState::Done { output } = &mut node.state {
                *output = output.dropped();
            }
        }
        self.tell(WorkflowRunEvent::OutputsDropped);
        Ok(())
    }

    pub(super) fn cx(&self) -> &Context {
        self.cx
    }
}
