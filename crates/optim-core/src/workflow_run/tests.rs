//! The life of a workflow run: tables for single steps, random walks for all of them.

use proptest::prelude::*;
use serde_json::json;

use super::check::check;
use super::command::{GateDecision, WorkflowRunCommand as Command, WorkflowRunRejection};
use super::event::WorkflowRunEvent;
use super::node::{NodeState, Output, POSTPONEMENTS_MAX};
use super::observation::{
    NodeEnd, WorkerEnd, WorkflowRunIgnored as Ignored, WorkflowRunObservation as Fact,
};
use super::state::{FailureKind, Stop, WorkflowRunStatus as Status};
use super::transition::{AUTO_RESUME_WITHIN, Decision, Order, create, decide, observe};
use super::*;
use crate::campaign::command::Context;
use crate::campaign::event::{Event, EventKind, Subject};
use crate::id::WorkerId;
use crate::invariants::change::{Change, Changed, check_change};
use crate::lease::Signal;
use crate::quantity::Tokens;
use crate::workflow::Workflow;

/// `a`, then `b` and `c`, then the gate `g` with what it lets through: `d`.
fn workflow() -> Workflow {
    let node = |id: &str, after: &[&str]| {
        json!({"node_id": id, "agent_id": "x", "objective": "o", "depends_on": after,
               "retry_policy": {"max_attempts": 2}})
    };
    let mut nodes = vec![
        node("a", &[]),
        node("b", &["a"]),
        node("c", &["a"]),
        node("g", &["b", "c"]),
        node("d", &["g"]),
    ];
    nodes[3]["stage_kind"] = json!("approval");
    nodes[3]["gate"] = json!({"required": true, "rework_targets": ["b"]});
    let agents = json!([{"agent_id": "x"}]);
    Workflow::from_json(
        json!({"automation_id": "w", "name": "W", "agents": agents, "flow": {"nodes": nodes}}),
    )
    .unwrap()
}

fn order() -> Order {
    Order {
        id: WorkflowRunId::derive(&[b"r"]),
        origin: Origin::File { path: "/w.yaml".to_owned() },
        snapshot: Digest::of(b"definition"),
        trigger: Trigger::Manual,
        dry_run: false,
        inputs: json!({"text": "hello"}).as_object().unwrap().clone(),
        workspace: "/w".to_owned(),
    }
}

fn id(node: &str) -> NodeId {
    NodeId::new(node).unwrap()
}

fn pause() -> Command {
    Command::Pause { reason: None }
}

fn resume() -> Command {
    Command::Resume { reason: None }
}

fn recover() -> Command {
    Command::Recover { reason: Some("the disk is back".to_owned()) }
}

fn cancel() -> Command {
    Command::Cancel { reason: Some("enough".to_owned()) }
}

fn at_gate(decision: GateDecision) -> Command {
    Command::Decide { gate: id("g"), decision, reason: Some("as agreed".to_owned()) }
}

/// A run that is driven step by step.
struct Driven {
    run: WorkflowRun,
    now: i64,
}

impl Driven {
    fn new() -> Self {
        let created = create(order(), &workflow(), &cx(0)).unwrap();
        Self { run: created.next, now: 0 }
    }

    fn command(&mut self, command: &Command) -> Result<(), WorkflowRunRejection> {
        self.now += 1;
        let decision = decide(&self.run, command, &cx(self.now))?;
        self.take(decision, false);
        Ok(())
    }

    fn fact(&mut self, fact: &Fact) -> Result<(), Ignored> {
        self.now += 1;
        let decision = observe(&self.run, fact, &cx(self.now))?;
        self.take(decision, matches!(fact, Fact::Renewed { .. }));
        Ok(())
    }

    /// Commits a decision, checking what must hold for every one of them.
    fn take(&mut self, Decision { next, events }: Decision, silent: bool) {
        self.keeps_the_invariants(&next, &events);
        assert_ne!(next, self.run, "a decision changes something");
        assert_eq!(events.is_empty(), silent, "changed exactly when there is an event: {events:?}");
        let told = u64::try_from(events.len()).unwrap();
        assert_eq!(next.history.total(), self.run.history.total() + told, "the history only grows");
        assert!(next.used.usage.tokens() >= self.run.used.usage.tokens());
        let json = serde_json::to_string(&next).unwrap();
        assert_eq!(serde_json::from_str::<WorkflowRun>(&json).unwrap(), next);
        self.run = next;
    }

    /// As a store would look at the commit of it.
    fn keeps_the_invariants(&self, next: &WorkflowRun, events: &[WorkflowRunEvent]) {
        let told = events.iter().map(|change| Event {
            subject: Subject::WorkflowRun(next.id),
            actor: cx(self.now).actor,
            at: cx(self.now).now,
            what: EventKind::WorkflowRun { change: change.clone() },
        });
        let told: Vec<_> = told.collect();
        let workflow_runs = vec![Changed { before: Some(self.run.clone()), after: next }];
        let change = Change { workflow_runs, events: &told, ..Change::default() };
        assert_eq!(check_change(&change), Vec::new());
    }

    fn claim(&mut self) -> Epoch {
        self.command(&Command::Claim { worker: WorkerId::process(1) }).unwrap();
        self.run.epoch
    }

    fn start(&mut self, node: &str) -> Result<(), Ignored> {
        let attempt = self.run.node(&id(node)).unwrap().1.attempts + 1;
        self.fact(&Fact::NodeStarted { epoch: self.run.epoch, node: id(node), attempt })
    }

    fn end(&mut self, node: &str, end: NodeEnd) -> Result<(), Ignored> {
        let fact = ended(self.run.epoch, node, end);
        self.fact(&fact)
    }

    fn done(&mut self, node: &str) {
        self.start(node).unwrap();
        self.end(node, output()).unwrap();
    }

    fn walked(&mut self) {
        self.worker_ended(WorkerEnd::Walked);
    }

    fn worker_ended(&mut self, end: WorkerEnd) {
        let fact = Fact::WorkerEnded { epoch: self.run.epoch, end, worked: Millis(1) };
        self.fact(&fact).unwrap();
    }

    fn status(&self) -> Status {
        self.run.state.status()
    }

    fn state_of(&self, node: &str) -> &NodeState {
        &self.run.node(&id(node)).unwrap().1.state
    }

    /// A run in each status.
    fn in_status(status: Status) -> Self {
        let mut driven = Self::new();
        if status == Status::Queued {
            return driven;
        }
        driven.claim();
        match status {
            Status::Queued | Status::Running => {}
            Status::Pausing => driven.command(&pause()).unwrap(),
            Status::Paused => {
                driven.command(&pause()).unwrap();
                driven.walked();
            }
            Status::AwaitingApproval => {
                ["a", "b", "c"].into_iter().for_each(|node| driven.done(node));
                driven.walked();
            }
            Status::Completed => {
                driven = Self::in_status(Status::AwaitingApproval);
                driven.command(&at_gate(GateDecision::Approve)).unwrap();
                driven.claim();
                driven.done("d");
                driven.walked();
            }
            Status::Blocked => {
                driven.start("a").unwrap();
                driven.end("a", NodeEnd::Blocked("no access".to_owned())).unwrap();
                driven.walked();
            }
            Status::Failed => {
                driven.start("a").unwrap();
                driven.end("a", NodeEnd::Failed("broken".to_owned())).unwrap();
                driven.walked();
            }
            Status::Cancelled => driven.command(&cancel()).unwrap(),
        }
        assert_eq!(driven.status(), status);
        driven
    }
}

fn cx(now: i64) -> Context {
    Context { now: Timestamp(now), actor: Actor::new("local:test").unwrap() }
}

fn output() -> NodeEnd {
    NodeEnd::Done(Output::Inline(json!("out")))
}

fn ended(epoch: Epoch, node: &str, end: NodeEnd) -> Fact {
    let usage = Usage { prompt_tokens: Tokens(5), ..Usage::default() };
    Fact::NodeEnded { epoch, node: id(node), end, usage, worked: Millis(10) }
}

#[test]
fn who_is_at_work_and_what_is_over_stands_in_one_table() {
    let table = [
        (Status::Queued, false, false),
        (Status::Running, true, false),
        (Status::Pausing, true, false),
        (Status::Paused, false, false),
        (Status::AwaitingApproval, false, false),
        (Status::Completed, false, true),
        (Status::Blocked, false, true),
        (Status::Failed, false, true),
        (Status::Cancelled, false, true),
    ];
    for (status, at_work, terminal) in table {
        let run = Driven::in_status(status).run;
        assert_eq!((status.is_at_work(), status.is_terminal()), (at_work, terminal), "{status:?}");
        assert_eq!((run.signs().is_some(), run.state.ended_at().is_some()), (at_work, terminal));
    }
    assert_eq!(table.map(|(status, ..)| status), Status::ALL);
}

#[test]
fn each_command_is_allowed_where_the_table_says_and_nowhere_else() {
    let claim = Command::Claim { worker: WorkerId::process(2) };
    let table: [(Command, &[(Status, Status)]); 6] = [
        (claim, &[(Status::Queued, Status::Running)]),
        (pause(), &[(Status::Queued, Status::Paused), (Status::Running, Status::Pausing)]),
        (resume(), &[(Status::Paused, Status::Queued)]),
        (
            recover(),
            &[
                (Status::Paused, Status::Queued),
                (Status::Blocked, Status::Queued),
                (Status::Failed, Status::Queued),
            ],
        ),
        (at_gate(GateDecision::Approve), &[(Status::AwaitingApproval, Status::Queued)]),
        (
            cancel(),
            &[
                (Status::Queued, Status::Cancelled),
                (Status::Running, Status::Cancelled),
                (Status::Pausing, Status::Cancelled),
                (Status::Paused, Status::Cancelled),
                (Status::AwaitingApproval, Status::Cancelled),
            ],
        ),
    ];
    for (command, allowed) in table {
        for status in Status::ALL {
            let mut driven = Driven::in_status(status);
            let before = driven.run.clone();
            let answer = driven.command(&command);
            match allowed.iter().find(|(from, _)| *from == status) {
                Some((_, to)) => {
                    assert_eq!((answer, driven.status()), (Ok(()), *to), "{command:?}")
                }
                None => {
                    let refused = answer.unwrap_err();
                    assert_eq!(refused.code(), "workflow_run_wrong_status", "{command:?}");
                    assert_eq!(driven.run, before);
                }
            }
        }
    }
}

#[test]
fn a_node_that_is_done_is_not_begun_again_however_often_the_process_dies() {
    let mut driven = Driven::new();
    let first = driven.claim();
    driven.done("a");
    driven.start("b").unwrap();
    driven.fact(&Fact::Lost { epoch: first }).unwrap();
    assert_eq!(driven.status(), Status::Queued);
    assert!(matches!(driven.state_of("b"), NodeState::NeedsRepair { .. }));
    driven.claim();
    assert_eq!(driven.start("a"), Err(Ignored::MayNotBegin));
    let late = ended(first, "b", output());
    assert_eq!(driven.fact(&late), Err(Ignored::StaleEpoch));
    driven.start("b").unwrap();
    // That was the last attempt that it may have: a person decides about another one.
    driven.fact(&Fact::Lost { epoch: driven.run.epoch }).unwrap();
    let WorkflowRunState::Failed { failure, .. } = &driven.run.state else { panic!("it failed") };
    assert_eq!(failure.kind, FailureKind::ServerRestart);
    assert_eq!(driven.run.last_failure.as_ref().unwrap().node, id("b"));
    driven.command(&recover()).unwrap();
    driven.claim();
    assert_eq!(driven.start("a"), Err(Ignored::MayNotBegin));
    driven.done("b");
}

#[test]
fn an_attempt_begins_only_in_its_turn() {
    let mut driven = Driven::new();
    let epoch = driven.claim();
    let begin = |node: &str, attempt| Fact::NodeStarted { epoch, node: id(node), attempt };
    for (node, attempt) in [("b", 1), ("g", 1), ("a", 0), ("a", 2), ("nobody", 1)] {
        assert_eq!(
            driven.fact(&begin(node, attempt)),
            Err(Ignored::MayNotBegin),
            "{node} {attempt}"
        );
    }
    driven.fact(&begin("a", 1)).unwrap();
    assert_eq!(driven.fact(&begin("a", 1)), Err(Ignored::Known));
    driven.fact(&begin("a", 2)).unwrap();
    assert_eq!(driven.fact(&begin("a", 3)), Err(Ignored::MayNotBegin), "two are allowed");
    driven.end("a", output()).unwrap();
    driven.start("b").unwrap();
    driven.start("b").unwrap();
    driven.end("b", NodeEnd::Failed("broken".to_owned())).unwrap();
    assert_eq!(
        driven.start("c"),
        Err(Ignored::MayNotBegin),
        "nothing begins once a node has failed"
    );
    driven.walked();
    let WorkflowRunState::Failed { failure, .. } = &driven.run.state else { panic!("it failed") };
    assert_eq!(
        (failure.kind, failure.detail.as_str()),
        (FailureKind::NodeFailed, "node b: broken")
    );
}

#[test]
fn a_blocked_node_blocks_what_needs_it_and_nothing_else() {
    let mut driven = Driven::new();
    driven.claim();
    driven.done("a");
    driven.start("b").unwrap();
    driven.end("b", NodeEnd::Blocked("no access".to_owned())).unwrap();
    driven.done("c");
    driven.walked();
    assert_eq!(driven.status(), Status::Blocked);
    let blocked: Vec<_> = (driven.run.nodes.iter())
        .filter(|node| matches!(node.state, NodeState::Blocked { .. }))
        .map(|node| node.node.as_str())
        .collect();
    assert_eq!(blocked, ["b", "g", "d"]);
    driven.command(&recover()).unwrap();
    assert!(driven.run.node(&id("c")).unwrap().1.is_done());
}

fn unanswered(rest: u64) -> NodeEnd {
    NodeEnd::Unanswered { reason: "too many requests".to_owned(), rest: Millis(rest) }
}

#[test]
fn a_provider_that_fails_postpones_its_node_and_takes_none_of_its_attempts() {
    let mut driven = Driven::new();
    driven.claim();
    driven.done("a");
    driven.start("b").unwrap();
    driven.end("b", unanswered(7_000)).unwrap();
    let until = Timestamp(driven.now + 7_000);
    let reason = "too many requests".to_owned();
    assert_eq!(*driven.state_of("b"), NodeState::Postponed { until, reason });
    assert_eq!(driven.run.wait(), None, "what does not need it goes on");
    driven.start("c").unwrap();
    // Whatever is asked for, no wait is longer than an hour.
    driven.end("c", unanswered(u64::MAX)).unwrap();
    let until = Timestamp(driven.now + 3_600_000);
    driven.walked();
    assert_eq!(driven.status(), Status::Queued);
    let reason = "node c: too many requests".to_owned();
    assert_eq!(driven.run.wait(), Some(Wait { not_before: until, reason }), "until both may begin");
    driven.claim();
    for node in ["b", "c"] {
        assert_eq!(driven.run.node(&id(node)).unwrap().1.attempts, 0);
        driven.done(node);
    }
    driven.walked();
    assert_eq!(driven.status(), Status::AwaitingApproval);
}

#[test]
fn a_provider_that_fails_again_and_again_uses_the_attempt_up() {
    let mut driven = Driven::new();
    for _ in 0..POSTPONEMENTS_MAX {
        driven.claim();
        driven.start("a").unwrap();
        driven.end("a", unanswered(1)).unwrap();
        driven.walked();
        assert_eq!(driven.status(), Status::Queued);
    }
    driven.claim();
    driven.start("a").unwrap();
    driven.end("a", unanswered(1)).unwrap();
    driven.walked();
    let WorkflowRunState::Failed { failure, .. } = &driven.run.state else { panic!("it failed") };
    assert_eq!(failure.detail, "node a: too many requests");
    driven.command(&recover()).unwrap();
    driven.claim();
    driven.start("a").unwrap();
    driven.end("a", unanswered(1)).unwrap();
    assert!(matches!(driven.state_of("a"), NodeState::Postponed { .. }), "it is asked anew");
}

#[test]
fn a_node_that_is_skipped_is_over_and_what_needs_it_may_begin() {
    let mut driven = Driven::new();
    let epoch = driven.claim();
    let skipped = |node: &str| Fact::NodeSkipped { epoch, node: id(node) };
    assert_eq!(driven.fact(&skipped("b")), Err(Ignored::MayNotBegin), "a is not over");
    driven.done("a");
    assert_eq!(driven.fact(&skipped("a")), Err(Ignored::MayNotBegin), "it is done");
    driven.fact(&skipped("b")).unwrap();
    assert_eq!(driven.fact(&skipped("b")), Err(Ignored::Known));
    assert_eq!(driven.start("b"), Err(Ignored::MayNotBegin));
    driven.done("c");
    // Nothing to decide about either.
    driven.fact(&skipped("g")).unwrap();
    driven.done("d");
    driven.walked();
    assert_eq!(driven.status(), Status::Completed);

    let mut driven = Driven::new();
    let epoch = driven.claim();
    driven.done("a");
    driven.fact(&Fact::NodeSkipped { epoch, node: id("b") }).unwrap();
    driven.start("c").unwrap();
    driven.end("c", NodeEnd::Failed("broken".to_owned())).unwrap();
    driven.walked();
    driven.command(&recover()).unwrap();
    assert_eq!(*driven.state_of("b"), NodeState::Skipped, "a repair of c is none of b");
}

#[test]
fn a_workflow_that_says_it_is_not_to_run_is_refused_but_for_a_dry_run() {
    for (status, code) in [
        ("active", None),
        ("paused", Some("workflow_not_active")),
        ("draft", Some("workflow_not_active")),
        ("asleep", Some("workflow_not_active")),
    ] {
        let mut definition = workflow().to_json();
        definition["status"] = json!(status);
        let workflow = Workflow::from_json(definition).unwrap();
        let refused = create(order(), &workflow, &cx(0)).err();
        assert_eq!(refused.map(|error| error.code()), code, "{status}");
        create(Order { dry_run: true, ..order() }, &workflow, &cx(0)).unwrap();
    }
}

#[test]
fn a_pause_lets_what_is_at_work_end_and_begins_nothing() {
    let mut driven = Driven::new();
    driven.claim();
    driven.done("a");
    driven.start("b").unwrap();
    driven.command(&pause()).unwrap();
    assert_eq!(driven.start("c"), Err(Ignored::MayNotBegin));
    driven.end("b", output()).unwrap();
    driven.walked();
    assert_eq!(driven.status(), Status::Paused);
    driven.command(&resume()).unwrap();
    driven.claim();
    driven.done("c");
    driven.walked();
    assert_eq!(driven.status(), Status::AwaitingApproval);
}

#[test]
fn what_was_used_counts_also_after_a_cancel_and_never_from_an_earlier_claim() {
    let mut driven = Driven::new();
    let first = driven.claim();
    driven.start("a").unwrap();
    driven.fact(&Fact::Lost { epoch: first }).unwrap();
    driven.claim();
    driven.start("a").unwrap();
    driven.command(&cancel()).unwrap();
    assert_eq!(driven.fact(&ended(first, "a", output())), Err(Ignored::StaleEpoch));
    let late = ended(driven.run.epoch, "a", output());
    driven.fact(&late).unwrap();
    assert_eq!(driven.run.used.usage.tokens(), Tokens(5));
    assert_eq!(driven.status(), Status::Cancelled);
    assert!(!driven.run.node(&id("a")).unwrap().1.is_done(), "the late result itself is not used");
}

#[test]
fn a_gate_takes_a_decision_of_the_offered_kinds_with_a_reason() {
    let mut driven = Driven::in_status(Status::AwaitingApproval);
    let other = Command::Decide { gate: id("d"), decision: GateDecision::Approve, reason: None };
    assert_eq!(driven.command(&other).unwrap_err().code(), "gate_not_open");
    for decision in [GateDecision::Rework, GateDecision::Cancel] {
        let wordless = Command::Decide { gate: id("g"), decision, reason: Some("  ".to_owned()) };
        assert_eq!(driven.command(&wordless).unwrap_err().code(), "reason_required");
    }
    driven.command(&at_gate(GateDecision::Rework)).unwrap();
    let done: Vec<_> = driven
        .run
        .nodes
        .iter()
        .filter(|node| node.is_done())
        .map(|node| node.node.as_str())
        .collect();
    assert_eq!(done, ["a", "c"], "only what the gate names is done again");
    driven.claim();
    driven.done("b");
    driven.walked();
    assert_eq!(driven.status(), Status::AwaitingApproval, "it is decided anew");
    driven.command(&at_gate(GateDecision::Cancel)).unwrap();
    assert_eq!(driven.status(), Status::Cancelled);
}

#[test]
fn a_gate_before_work_is_kept_when_the_run_is_recovered() {
    let mut definition = workflow().to_json();
    definition["flow"]["nodes"] = json!([
        {"node_id": "a", "agent_id": "x", "objective": "o", "gate": {"required": true}},
        {"node_id": "b", "agent_id": "x", "objective": "o", "gate": {"required": false}},
    ]);
    let workflow = Workflow::from_json(definition).unwrap();
    let created = create(order(), &workflow, &cx(0)).unwrap();
    let mut driven = Driven { run: created.next, now: 0 };
    driven.claim();
    assert_eq!(driven.start("a"), Err(Ignored::MayNotBegin));
    driven.done("b");
    driven.walked();
    let approve = Command::Decide { gate: id("a"), decision: GateDecision::Approve, reason: None };
    driven.command(&approve).unwrap();
    driven.claim();
    driven.start("a").unwrap();
    driven.end("a", NodeEnd::Failed("broken".to_owned())).unwrap();
    driven.walked();
    driven.command(&recover()).unwrap();
    driven.claim();
    driven.done("a");
    driven.walked();
    assert_eq!(driven.status(), Status::Completed);
}

#[test]
fn a_person_who_resumes_grants_the_limits_once_more() {
    let mut driven = Driven::new();
    driven.claim();
    driven.done("a");
    driven.start("b").unwrap();
    driven.worker_ended(WorkerEnd::OverLimit("max_total_tokens: 5 of 4".to_owned()));
    let WorkflowRunState::Paused { pause, .. } = &driven.run.state else { panic!("it is paused") };
    assert_eq!(pause.stop, Stop::GuardrailStopped);
    assert!(matches!(driven.state_of("b"), NodeState::NeedsRepair { .. }));
    assert_eq!(driven.run.used.since(driven.run.granted_at).usage.tokens(), Tokens(5));
    driven.command(&resume()).unwrap();
    assert_eq!(driven.run.used.since(driven.run.granted_at), Used::default());
}

/// What the reaper saw, and when it gives the run up.
fn stalled(run: &WorkflowRun, signal: Signal) -> Fact {
    Fact::Stalled { signs: run.signs().unwrap(), signal, stale_after: Millis(600_000) }
}

#[test]
fn a_run_is_reaped_once_and_only_if_it_has_not_moved_since_it_was_seen() {
    for signal in [Signal::Lease, Signal::Progress] {
        let mut driven = Driven::new();
        driven.claim();
        driven.start("a").unwrap();
        let early = stalled(&driven.run, signal);
        driven.fact(&Fact::Renewed { epoch: driven.run.epoch }).unwrap();
        if signal == Signal::Lease {
            assert_eq!(
                driven.fact(&early),
                Err(Ignored::Alive),
                "a renewed lease is a sign of life"
            );
        }
        driven.end("a", output()).unwrap();
        assert_eq!(driven.fact(&early), Err(Ignored::Alive), "a node that ends is one too");
        driven.start("b").unwrap();
        let reap = stalled(&driven.run, signal);
        driven.fact(&reap).unwrap();
        assert_eq!(driven.fact(&reap), Err(Ignored::NotAtWork));
        let WorkflowRunState::Paused { pause, .. } = &driven.run.state else {
            panic!("it is paused")
        };
        assert_eq!(pause.stop, Stop::StaleReaped);
        assert_eq!(pause.detail, "no sign of life for 600000 ms; repairable: b");
        assert_eq!(driven.run.last_failure.as_ref().unwrap().node, id("b"));
        let reaped = driven.run.history.entries().find_map(|entry| match &entry.what {
            WorkflowRunEvent::RunReaped(reaped) => Some(reaped),
            _ => None,
        });
        let reaped = reaped.unwrap();
        assert_eq!((reaped.signal, reaped.stale_after), (signal, Millis(600_000)));
        assert_eq!((reaped.workflow.as_str(), reaped.name.as_str()), ("w", "W"));
        assert_eq!((&reaped.repairable[..], &reaped.exhausted[..]), (&[id("b")][..], &[][..]));
        let done = driven.fact(&ended(driven.run.epoch, "b", output()));
        assert_eq!(
            (done, driven.status()),
            (Ok(()), Status::Paused),
            "only what it used is booked"
        );
        assert!(!driven.run.node(&id("b")).unwrap().1.is_done());
    }
}

#[test]
fn a_reaped_run_goes_on_by_itself_twice_and_then_fails_for_want_of_attempts() {
    let mut driven = Driven::new();
    driven.claim();
    driven.start("a").unwrap();
    let reap = stalled(&driven.run, Signal::Lease);
    driven.fact(&reap).unwrap();
    driven.fact(&Fact::AutoResumeDue).unwrap();
    assert_eq!((driven.status(), driven.run.auto_resumes), (Status::Queued, 1));
    driven.claim();
    driven.start("a").unwrap();
    let reap = stalled(&driven.run, Signal::Lease);
    driven.fact(&reap).unwrap();
    let WorkflowRunState::Failed { failure, .. } = &driven.run.state else { panic!("it failed") };
    assert_eq!(failure.kind, FailureKind::StaleReaped);
    assert_eq!(driven.fact(&Fact::AutoResumeDue), Err(Ignored::NoAutoResume));
}

#[test]
fn a_reaped_run_stays_where_it_is_when_it_is_old_or_has_nothing_to_repair() {
    let reaped = |begin: bool| {
        let mut driven = Driven::new();
        driven.claim();
        if begin {
            driven.start("a").unwrap();
        }
        let reap = stalled(&driven.run, Signal::Lease);
        driven.fact(&reap).unwrap();
        driven
    };
    assert_eq!(reaped(false).fact(&Fact::AutoResumeDue), Err(Ignored::NoAutoResume));
    let within = i64::try_from(AUTO_RESUME_WITHIN.0).unwrap();
    for (later, resumes) in [(0, true), (within - 1, true), (within, false)] {
        let mut driven = reaped(true);
        driven.now += later;
        assert_eq!(driven.fact(&Fact::AutoResumeDue).is_ok(), resumes, "{later}");
    }
    let mut worn = reaped(true);
    worn.run.auto_resumes = 2;
    assert_eq!(worn.fact(&Fact::AutoResumeDue), Err(Ignored::NoAutoResume));
    let mut by_person = Driven::in_status(Status::Paused);
    assert_eq!(by_person.fact(&Fact::AutoResumeDue), Err(Ignored::NoAutoResume));
}

#[test]
fn a_person_who_asked_for_a_pause_has_the_last_word_over_the_reaper_and_a_restart() {
    for lost in [false, true] {
        let mut driven = Driven::new();
        driven.claim();
        driven.start("a").unwrap();
        driven.command(&pause()).unwrap();
        let fact = match lost {
            true => Fact::Lost { epoch: driven.run.epoch },
            false => stalled(&driven.run, Signal::Lease),
        };
        driven.fact(&fact).unwrap();
        let WorkflowRunState::Paused { pause, .. } = &driven.run.state else { panic!("paused") };
        assert_eq!(pause.stop, Stop::OperatorStopped);
        assert_eq!(driven.fact(&Fact::AutoResumeDue), Err(Ignored::NoAutoResume));
    }
}

#[test]
fn a_dry_run_is_complete_at_once_and_executes_nothing() {
    let created = create(Order { dry_run: true, ..order() }, &workflow(), &cx(3)).unwrap();
    let run = created.next;
    assert_eq!(run.state, WorkflowRunState::Completed { at: Timestamp(3) });
    assert!(run.nodes.iter().all(|node| node.state == NodeState::Skipped));
    assert_eq!(
        created.events,
        [WorkflowRunEvent::RunCreated { dry_run: true }, WorkflowRunEvent::RunCompleted]
    );
    assert_eq!((run.epoch, check(&run)), (Epoch(0), Vec::new()));
}

#[test]
fn outputs_are_dropped_once_from_a_run_that_is_over_and_then_it_is_not_recovered() {
    for status in Status::ALL {
        let mut driven = Driven::in_status(status);
        let dropped = driven.fact(&Fact::Expired);
        assert_eq!(dropped.is_ok(), status.is_terminal(), "{status:?}");
        assert_eq!(driven.fact(&Fact::Expired), Err(Ignored::NothingToDrop));
        assert_eq!(driven.run.inputs.is_empty(), status.is_terminal());
        if matches!(status, Status::Blocked | Status::Failed) {
            assert_eq!(driven.command(&recover()).unwrap_err().code(), "workflow_run_expired");
        }
    }
    let mut driven = Driven::in_status(Status::Completed);
    driven.fact(&Fact::Expired).unwrap();
    let NodeState::Done { output } = driven.state_of("a") else { panic!("it is still done") };
    assert_eq!(*output, Output::Dropped { bytes: 5 });
}

#[test]
fn a_history_keeps_its_end_and_counts_what_it_forgot() {
    let mut driven = Driven::new();
    while driven.run.history.dropped() < 10 {
        driven.command(&pause()).unwrap();
        driven.command(&resume()).unwrap();
    }
    assert_eq!(driven.run.history.entries().count(), history::ENTRIES_MAX);
    let last = &driven.run.history.entries().next_back().unwrap().what;
    assert_eq!(*last, WorkflowRunEvent::RunResumed { reason: None });
}

#[test]
fn a_gate_that_leads_nowhere_and_a_ring_are_refused() {
    let of = |nodes: serde_json::Value| {
        let json =
            json!({"automation_id": "w", "agents": [{"agent_id": "x"}], "flow": {"nodes": nodes}});
        let workflow = Workflow::from_json(json).unwrap();
        create(order(), &workflow, &cx(0)).unwrap_err().code()
    };
    let gate = json!({"required": true, "rework_targets": ["gone"]});
    let node = json!({"node_id": "a", "agent_id": "x", "objective": "o", "gate": gate});
    assert_eq!(of(json!([node])), "gate_target_unknown");
    let node = json!({"node_id": "a", "agent_id": "x", "objective": "o", "depends_on": ["a"]});
    assert_eq!(of(json!([node])), "workflow_no_order");
}

/// One move of a random walk: what a scheduler, a worker, an outage, the reaper or a person does.
#[derive(Debug, Clone)]
enum Move {
    Command(Command),
    Start(&'static str),
    Skip(&'static str),
    End(&'static str, u8),
    WorkerEnded(u8),
    Renewed,
    Lost,
    Stalled(Signal),
    AutoResume,
    /// A fact of the claim before.
    Late(&'static str),
}

fn moves() -> impl Strategy<Value = Move> {
    let node = || prop::sample::select(&["a", "b", "c", "g", "d"][..]);
    let commands = vec![
        pause(),
        resume(),
        recover(),
        at_gate(GateDecision::Approve),
        at_gate(GateDecision::Rework),
        at_gate(GateDecision::Cancel),
    ];
    prop_oneof![
        3 => Just(Move::Command(Command::Claim { worker: WorkerId::process(1) })),
        3 => prop::sample::select(commands).prop_map(Move::Command),
        8 => node().prop_map(Move::Start),
        1 => node().prop_map(Move::Skip),
        8 => (node(), 0..6_u8).prop_map(|(node, end)| Move::End(node, end)),
        3 => (0..8_u8).prop_map(Move::WorkerEnded),
        1 => Just(Move::Renewed),
        1 => Just(Move::Lost),
        1 => prop_oneof![Just(Signal::Lease), Just(Signal::Progress)].prop_map(Move::Stalled),
        1 => Just(Move::AutoResume),
        1 => node().prop_map(Move::Late),
    ]
}

proptest! {
    #[test]
    fn every_walk_keeps_the_invariants_and_repeats_no_node_that_is_done(
        moves in prop::collection::vec(moves(), 0..80),
    ) {
        let mut driven = Driven::new();
        for step in moves {
            let before = driven.run.clone();
            let epoch = before.epoch;
            let rework = matches!(&step, Move::Command(Command::Decide { decision: GateDecision::Rework, .. }));
            let moved = match step {
                Move::Command(command) => driven.command(&command).is_ok(),
                Move::Start(node) => driven.start(node).is_ok(),
                Move::Skip(node) => driven.fact(&Fact::NodeSkipped { epoch, node: id(node) }).is_ok(),
                Move::End(node, end) => driven.end(node, match end {
                    0..3 => output(),
                    3 => NodeEnd::Blocked("no access".to_owned()),
                    4 => unanswered(1_000),
                    _ => NodeEnd::Failed("broken".to_owned()),
                }).is_ok(),
                Move::WorkerEnded(end) => driven.fact(&Fact::WorkerEnded { epoch, worked: Millis(1), end: match end {
                    0 => WorkerEnd::OverLimit("tokens".to_owned()),
                    1 => WorkerEnd::Panicked("oh".to_owned()),
                    2 => WorkerEnd::Unreadable("gone".to_owned()),
                    _ => WorkerEnd::Walked,
                } }).is_ok(),
                Move::Renewed => driven.fact(&Fact::Renewed { epoch }).is_ok(),
                Move::Lost => driven.fact(&Fact::Lost { epoch }).is_ok(),
                Move::Stalled(signal) => before.signs().is_some_and(|signs| {
                    driven.fact(&Fact::Stalled { signs, signal, stale_after: Millis(1) }).is_ok()
                }),
                Move::AutoResume => driven.fact(&Fact::AutoResumeDue).is_ok(),
                Move::Late(node) => {
                    let Some(earlier) = epoch.0.checked_sub(1) else { continue };
                    let late = driven.fact(&ended(Epoch(earlier), node, output()));
                    prop_assert!(late.is_err(), "a late fact changes nothing");
                    false
                }
            };
            prop_assert_eq!(moved, driven.run != before);
            for (was, is) in before.nodes.iter().zip(&driven.run.nodes) {
                prop_assert!(!was.is_done() || is == was || rework, "{} was done", was.node);
            }
        }
    }
}
