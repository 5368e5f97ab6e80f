//! Stored workflows on a real engine: versions, campaigns on them, apply and rollback, delete.
#![expect(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::sync::Arc;

use optim_core::campaign::event::{Event, EventKind, Subject};
use optim_core::campaign::ledger::Allowance;
use optim_core::campaign::live::Live;
use optim_core::campaign::{Campaign, Ending, Evaluation, Phase, Purpose};
use optim_core::id::{Actor, CampaignId, NodeId, WorkflowId};
use optim_core::mutation::patch::Patch;
use optim_core::mutation::{FieldValue, MutableField, Mutation};
use optim_core::outcome::Usage;
use optim_core::pack::Split;
use optim_core::quantity::{Millis, Timestamp};
use optim_core::run::RunState;
use optim_core::stored_workflow::transition::WorkflowCommand;
use optim_core::stored_workflow::{RESTORE_WINDOW, VersionNumber};
use optim_core::workflow_run::command::WorkflowRunCommand;
use optim_core::workflow_run::node::Output;
use optim_core::workflow_run::observation::{NodeEnd, WorkerEnd, WorkflowRunObservation};
use optim_core::workflow_run::state::WorkflowRunStatus;
use optim_core::workflow_run::transition::Order;
use optim_core::workflow_run::{Origin, Trigger, WorkflowRun};
use optim_runtime::clock::ManualClock;
use optim_runtime::dispatch::DispatchConfig;
use optim_runtime::engine::{Brought, Engine, EngineError, NewCampaign};
use optim_runtime::executor::lexical::Lexical;
use optim_runtime::live::{self, DefinitionText, LiveError, LiveRequest};
use optim_runtime::reaper::ReaperConfig;
use optim_runtime::service::{Service, ServiceConfig};
use optim_store::memory::Memory;
use optim_store::testing::faulty::{Fault, FaultyStore};
use optim_store::testing::{render, sample};
use optim_store::{Blob, Commit, EventSeq, Revision, RunFilter, Store, Write};

const TEXT: &str = "\
# Kept by the support team.
automation_id: triage
name: Triage
status: active
owner_team: {name: support, pager: '007'}   # a field that optim does not know
agents: [{agent_id: a}]
flow:
  nodes:
    - node_id: first
      agent_id: a
      objective: Read the ticket.   # short on purpose
      timeout_ms: 60000
    - node_id: second
      agent_id: a
      objective: Answer it.
";

fn text(text: &str) -> DefinitionText {
    DefinitionText::check("triage.yaml", text.as_bytes().to_vec()).unwrap().value
}

fn id() -> WorkflowId {
    WorkflowId::new("triage").unwrap()
}

fn actor() -> Actor {
    Actor::new("local:test").unwrap()
}

fn engine(store: impl Store) -> Engine {
    Engine::new(Arc::new(store), Arc::new(ManualClock::at(Timestamp(1))))
}

fn objective(node: &str, before: &str, after: &str) -> Mutation {
    Mutation {
        node: NodeId::new(node).unwrap(),
        field: MutableField::Objective,
        before: FieldValue::Text(before.to_owned()),
        after: FieldValue::Text(after.to_owned()),
    }
}

/// A campaign on the stored workflow as `source` defines it, with the changes approved.
fn campaign(id: &str, source: &DefinitionText, changes: &[Mutation]) -> Campaign {
    let mut campaign = sample::campaign_on(id, "triage");
    let patch = changes.iter().fold(Patch::default(), |patch, next| patch.then(next).unwrap());
    let fingerprint = source.workflow.fingerprint();
    campaign.source.fingerprint = fingerprint;
    campaign.live = Live::new(fingerprint);
    campaign.baseline.fingerprint = patch.apply(&source.workflow).unwrap().fingerprint();
    campaign.baseline.version = u32::try_from(changes.len()).unwrap();
    campaign.baseline.patch = patch;
    campaign
}

async fn create(engine: &Engine, campaign: &Campaign) -> Result<Campaign, EngineError> {
    engine.create(NewCampaign { campaign: campaign.clone(), blobs: Vec::new() }, actor()).await
}

async fn stored_text(engine: &Engine) -> (u32, String) {
    let stored = engine.definition(&id(), None).await.unwrap();
    (stored.version.0, stored.definition.text)
}

/// An engine with the workflow and a campaign that has approved one change.
async fn approved() -> (Engine, Campaign) {
    let engine = engine(Memory::new());
    engine.put_workflow(&text(TEXT), Some(VersionNumber(0)), actor()).await.unwrap();
    let change = objective("first", "Read the ticket.", "Read the ticket twice.");
    let campaign = campaign("c", &text(TEXT), &[change]);
    create(&engine, &campaign).await.unwrap();
    (engine, campaign)
}

fn code(error: &LiveError) -> &'static str {
    error.code()
}

#[tokio::test]
async fn an_apply_edits_the_text_in_place_and_a_rollback_gives_the_former_bytes() {
    let (engine, campaign) = approved().await;
    let applied = live::apply(&engine, &campaign.id, LiveRequest::by(actor())).await.unwrap();
    assert_eq!((applied.campaign.live.intent, applied.campaign.live.applied.len()), (None, 1));
    let expected = TEXT.replace("Read the ticket.", "Read the ticket twice.");
    assert_eq!(stored_text(&engine).await, (2, expected));
    let again = live::apply(&engine, &campaign.id, LiveRequest::by(actor())).await.unwrap_err();
    assert_eq!(code(&again), "nothing_to_apply");
    assert_eq!(stored_text(&engine).await.0, 2);

    let stored = engine.definition(&id(), None).await.unwrap();
    let told = stored.workflow.with_history(&stored.definition.workflow);
    let last = &told["metadata"]["last_optimization_apply"];
    assert_eq!(
        (&last["optimization_id"], &last["new_value"]),
        (&"c".into(), &"Read the ticket twice.".into())
    );
    assert_eq!(told["owner_team"]["pager"], "007");

    live::rollback(&engine, &campaign.id, LiveRequest::by(actor())).await.unwrap();
    assert_eq!(stored_text(&engine).await, (3, TEXT.to_owned()));
    let again = live::rollback(&engine, &campaign.id, LiveRequest::by(actor())).await.unwrap_err();
    assert_eq!(code(&again), "nothing_to_roll_back");
}

#[tokio::test]
async fn threat_30_an_edit_of_another_field_is_drift_that_only_a_reason_accepts_and_nothing_of_it_is_lost()
 {
    let (engine, campaign) = approved().await;
    let edited = TEXT.replace("Answer it.", "Answer it politely.");
    engine.put_workflow(&text(&edited), None, actor()).await.unwrap();
    let refused = live::apply(&engine, &campaign.id, LiveRequest::by(actor())).await.unwrap_err();
    assert_eq!(code(&refused), "live_drift");
    assert_eq!(stored_text(&engine).await, (2, edited.clone()));
    let reason = Some("only the tone".to_owned());
    live::apply(
        &engine,
        &campaign.id,
        LiveRequest { accept_drift: reason, ..LiveRequest::by(actor()) },
    )
    .await
    .unwrap();
    let both = edited.replace("Read the ticket.", "Read the ticket twice.");
    assert_eq!(stored_text(&engine).await, (3, both));
}

#[tokio::test]
async fn threat_30_an_edit_of_the_same_field_is_drift_that_no_reason_accepts() {
    let (engine, campaign) = approved().await;
    let edited = TEXT.replace("Read the ticket.", "Skim the ticket.");
    engine.put_workflow(&text(&edited), None, actor()).await.unwrap();
    let reason = Some("I insist".to_owned());
    let refused = live::apply(
        &engine,
        &campaign.id,
        LiveRequest { accept_drift: reason, ..LiveRequest::by(actor()) },
    )
    .await
    .unwrap_err();
    assert_eq!(code(&refused), "live_drift");
    assert_eq!(stored_text(&engine).await, (2, edited));
}

#[tokio::test]
async fn every_approved_change_is_applied_at_once_also_two_of_one_field() {
    let engine = engine(Memory::new());
    engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
    let changes = [
        objective("first", "Read the ticket.", "Read it."),
        objective("second", "Answer it.", "Answer it at once."),
        objective("first", "Read it.", "Read it twice."),
    ];
    let campaign = campaign("c", &text(TEXT), &changes);
    create(&engine, &campaign).await.unwrap();
    live::apply(&engine, &campaign.id, LiveRequest::by(actor())).await.unwrap();
    let both = TEXT.replace("Read the ticket.", "Read it twice.");
    let both = both.replace("Answer it.", "Answer it at once.");
    assert_eq!(stored_text(&engine).await, (2, both));
}

#[tokio::test]
async fn a_field_that_the_scope_forbids_is_not_applied_however_it_came_to_be_approved() {
    let engine = engine(Memory::new());
    engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
    let change = objective("first", "Read the ticket.", "Read the ticket twice.");
    let mut campaign = campaign("c", &text(TEXT), &[change]);
    campaign.frozen.policies.scope.forbidden_fields = vec!["nodes.first".parse().unwrap()];
    create(&engine, &campaign).await.unwrap();
    let refused = live::apply(&engine, &campaign.id, LiveRequest::by(actor())).await.unwrap_err();
    assert_eq!(code(&refused), "field_forbidden");
    assert_eq!(stored_text(&engine).await, (1, TEXT.to_owned()));
}

#[tokio::test]
async fn of_two_campaigns_on_one_workflow_the_second_apply_meets_drift() {
    let (engine, first) = approved().await;
    let change = objective("second", "Answer it.", "Answer it at once.");
    let second =
        Campaign { id: CampaignId::new("d").unwrap(), ..campaign("d", &text(TEXT), &[change]) };
    create(&engine, &second).await.unwrap();
    live::apply(&engine, &first.id, LiveRequest::by(actor())).await.unwrap();
    let refused = live::apply(&engine, &second.id, LiveRequest::by(actor())).await.unwrap_err();
    assert_eq!(code(&refused), "live_drift");
    assert!(refused.to_string().contains("it was edited since"), "{refused}");
    assert_eq!(stored_text(&engine).await.0, 2);
}

#[tokio::test]
async fn an_apply_whose_commit_failed_took_effect_whole_or_not_at_all() {
    let mut outcomes = Vec::new();
    for seed in 0..60 {
        let engine = Engine::new(
            Arc::new(FaultyStore::seeded(Memory::new(), seed, 150)),
            Arc::new(ManualClock::at(Timestamp(1))),
        );
        let change = objective("first", "Read the ticket.", "Read the ticket twice.");
        let campaign = campaign("c", &text(TEXT), &[change]);
        while engine.put_workflow(&text(TEXT), None, actor()).await.is_err() {}
        while !matches!(create(&engine, &campaign).await, Ok(_) | Err(EngineError::Exists(_))) {}
        let codes = loop {
            match live::apply(&engine, &campaign.id, LiveRequest::by(actor())).await {
                Ok(_) => break "applied",
                Err(error) if code(&error) == "store_io" => {}
                Err(error) => break code(&error),
            }
        };
        outcomes.push(codes);
        let stored = loop {
            if let Ok(stored) = engine.definition(&id(), None).await {
                break stored;
            }
        };
        assert_eq!((stored.version.0, stored.workflow.writes.len()), (2, 1), "seed {seed}");
        let campaign = loop {
            if let Ok(campaign) = engine.campaign(&campaign.id).await {
                break campaign.value;
            }
        };
        assert_eq!((campaign.live.intent, campaign.live.applied.len()), (None, 1), "seed {seed}");
    }
    // Some commits took effect though their answer was lost: then the next try finds it done.
    outcomes.sort_unstable();
    outcomes.dedup();
    assert_eq!(outcomes, ["applied", "nothing_to_apply"]);
}

/// A campaign that measures its baseline, with two runs in flight.
async fn replaying(engine: &Engine, id: &str) -> Campaign {
    let mut campaign = campaign(id, &text(TEXT), &[]);
    let purpose = Purpose::Replay { number: 1 };
    let evaluation = Evaluation {
        id: purpose.evaluation_id(&campaign.id, 0),
        purpose,
        snapshot: campaign.baseline.snapshot,
        fingerprint: campaign.baseline.fingerprint,
        split: Split::Search,
        queued_at: Timestamp(1),
        allowance: Allowance::default(),
        continued_at: None,
        requeued: 0,
        drawn: None,
    };
    let queued = sample::run(id, evaluation.id, 0);
    let runs = [queued, sample::claimed(&sample::run(id, evaluation.id, 1))];
    campaign = sample::funded(campaign, &[evaluation.id]);
    campaign.phase = Phase::Replaying { evaluation: Some(evaluation) };
    let new = |value| Write { expected: Revision(0), value };
    let created = Event { actor: actor(), ..sample::event(id, EventKind::CampaignCreated) };
    let commit = Commit {
        campaigns: vec![Write { expected: Revision(0), value: campaign.clone() }],
        runs: runs.map(new).to_vec(),
        events: vec![created],
        ..Commit::default()
    };
    engine.store().commit(commit).await.unwrap();
    campaign
}

fn delete() -> WorkflowCommand {
    WorkflowCommand::Delete { reason: "no use any more".to_owned() }
}

#[tokio::test]
async fn a_delete_ends_the_campaigns_on_the_workflow_and_their_runs_in_the_same_commit() {
    for command in [delete(), WorkflowCommand::Retire { reason: "replaced".to_owned() }] {
        let engine = engine(Memory::new());
        two_replaying(&engine).await;
        let on_a_file = sample::campaign("on-a-file");
        create(&engine, &on_a_file).await.unwrap();
        let before = engine.store().events(EventSeq(0), 500).await.unwrap().len();
        engine.change_workflow(&id(), &command, actor()).await.unwrap();
        for name in ["c", "d"] {
            let campaign = engine.campaign(&CampaignId::new(name).unwrap()).await.unwrap().value;
            let Phase::Closed { ending: Ending::SourceGone { reason }, .. } = &campaign.phase
            else {
                unreachable!("{:?}", campaign.phase)
            };
            assert!(reason.starts_with("workflow triage was "), "{reason}");
        }
        assert!(!engine.campaign(&on_a_file.id).await.unwrap().value.is_closed());
        for filter in [RunFilter::Queued, RunFilter::Running] {
            assert_eq!(engine.list_runs(&filter).await.unwrap(), []);
        }
        let purpose = Purpose::Replay { number: 1 };
        for name in ["c", "d"] {
            let evaluation = purpose.evaluation_id(&CampaignId::new(name).unwrap(), 0);
            let runs = engine.runs_of(evaluation).await.unwrap();
            assert!(runs.iter().all(|run| matches!(run.state, RunState::Cancelled { .. })));
        }
        let events = engine.store().events(EventSeq(0), 500).await.unwrap();
        // What the ends have cost is taken in later, by nobody.
        let of_the_commit = |it: &&Event| !matches!(it.what, EventKind::EvaluationSettled { .. });
        let told = events.iter().skip(before).map(|recorded| &recorded.event);
        let told: Vec<_> = told.filter(of_the_commit).collect();
        assert!(told.iter().all(|event| event.actor == actor()));
        let closed = told.iter().filter(|it| matches!(it.what, EventKind::CampaignClosed { .. }));
        assert_eq!(closed.count(), 2);
        assert_eq!(told.last().unwrap().subject, Subject::Workflow(id()));
    }
}

#[tokio::test]
async fn a_delete_cancels_the_runs_of_the_workflow_and_a_retirement_lets_them_end() {
    for (command, status) in [
        (WorkflowCommand::Retire { reason: "replaced".to_owned() }, WorkflowRunStatus::Queued),
        (delete(), WorkflowRunStatus::Cancelled),
    ] {
        let engine = engine(Memory::new());
        engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
        let run = begin(&engine).await.unwrap();
        engine.change_workflow(&id(), &command, actor()).await.unwrap();
        let run = engine.workflow_run(run.id).await.unwrap().value;
        assert_eq!(run.state.status(), status, "{command:?}");
    }
}

#[tokio::test]
async fn a_run_that_comes_too_late_is_told_that_the_workflow_is_not_in_use() {
    for (command, code) in [
        (WorkflowCommand::Retire { reason: "replaced".to_owned() }, "workflow_retired"),
        (delete(), "workflow_deleted"),
    ] {
        let engine = engine(Memory::new());
        engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
        let ended = begin(&engine).await.unwrap();
        let claimed = engine.claim_workflow_run(ended.id).await.unwrap().unwrap();
        let lost = WorkerEnd::Unreadable("as told".to_owned());
        let lost = WorkflowRunObservation::WorkerEnded {
            epoch: claimed.epoch,
            end: lost,
            worked: Millis(0),
        };
        engine.observe_workflow_run(ended.id, &lost, &Brought::default()).await.unwrap().unwrap();
        // What `begin` has read before it says nothing about now.
        engine.change_workflow(&id(), &command, actor()).await.unwrap();
        assert_eq!(begin(&engine).await.unwrap_err().code(), code);
        let recover = WorkflowRunCommand::Recover { reason: None };
        let again = engine.command_workflow_run(ended.id, &recover, actor()).await;
        assert_eq!(again.unwrap_err().code(), code);
        engine
            .change_workflow(&id(), &WorkflowCommand::Restore { reason: None }, actor())
            .await
            .unwrap();
        begin(&engine).await.unwrap();
        engine.command_workflow_run(ended.id, &recover, actor()).await.unwrap();
    }
}

/// Begins a run of the stored workflow.
async fn begin(engine: &Engine) -> Result<WorkflowRun, EngineError> {
    let definition = Blob::new(TEXT.as_bytes().to_vec());
    let order = Order {
        id: engine.new_workflow_run_id(),
        origin: Origin::Stored { version: VersionNumber(1) },
        snapshot: definition.digest(),
        trigger: Trigger::Manual,
        dry_run: false,
        inputs: serde_json::Map::new(),
        workspace: "/w".to_owned(),
    };
    engine.create_workflow_run(order, &text(TEXT).workflow, definition, actor()).await
}

#[tokio::test]
async fn what_a_run_has_put_out_is_dropped_when_its_time_is_over_or_its_workflow_is_purged() {
    for purged in [false, true] {
        let clock = Arc::new(ManualClock::at(Timestamp(1)));
        let engine = Engine::new(Arc::new(Memory::new()), clock.clone());
        engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
        let run = begin(&engine).await.unwrap();
        let epoch = engine.claim_workflow_run(run.id).await.unwrap().unwrap().epoch;
        let output = Blob::new(vec![b'7'; 9000]);
        for node in &run.nodes {
            let stored = Output::Stored { digest: output.digest(), bytes: 9000 };
            let node = node.node.clone();
            let begins =
                WorkflowRunObservation::NodeStarted { epoch, node: node.clone(), attempt: 1 };
            let (end, worked) = (NodeEnd::Done(stored), Millis(0));
            let usage = Usage::default();
            let ends = WorkflowRunObservation::NodeEnded { epoch, node, end, usage, worked };
            // Both nodes put out the same.
            for fact in [begins, ends] {
                let brought = Brought { outputs: vec![output.clone()], throttled: None };
                engine.observe_workflow_run(run.id, &fact, &brought).await.unwrap().unwrap();
            }
        }
        let read = || engine.store().workflow_run_output(run.id, output.digest());
        assert_eq!(read().await.unwrap().as_deref(), Some(output.bytes()));
        engine.change_workflow(&id(), &delete(), actor()).await.unwrap();
        clock.advance(RESTORE_WINDOW);
        if purged {
            assert_eq!(engine.purge_workflows().await.unwrap(), 0);
            assert!(read().await.unwrap().is_some());
            clock.advance(Millis(1));
            assert_eq!(engine.purge_workflows().await.unwrap(), 1);
        } else {
            let late = Millis(RESTORE_WINDOW.0 + 1);
            assert_eq!(engine.retain_workflow_runs(late).await.unwrap(), 0);
            assert!(read().await.unwrap().is_some());
            assert_eq!(engine.retain_workflow_runs(RESTORE_WINDOW).await.unwrap(), 1);
            assert_eq!(engine.retain_workflow_runs(RESTORE_WINDOW).await.unwrap(), 0);
        }
        assert_eq!(read().await.unwrap(), None);
        assert!(engine.workflow_run(run.id).await.unwrap().value.expired);
    }
}

#[tokio::test]
async fn under_faults_a_delete_is_whole_or_absent() {
    let mut outcomes = Vec::new();
    for fault in [Fault::Before, Fault::After] {
        // Operations of the setup come first; each one of the delete fails in turn, until none is left.
        for operation in 1.. {
            let setup = {
                let store = Arc::new(FaultyStore::planned(Memory::new(), []));
                let engine = engine_over(&store);
                two_replaying(&engine).await;
                store.begun()
            };
            let store = Arc::new(FaultyStore::planned(Memory::new(), [(setup + operation, fault)]));
            let engine = engine_over(&store);
            two_replaying(&engine).await;
            let answer = engine.change_workflow(&id(), &delete(), actor()).await.is_ok();
            let text = render(store.inner()).await.unwrap();
            let deleted = text.contains("restore_until");
            let closed = text.matches("\"phase\":\"closed\"").count();
            assert_eq!(closed, if deleted { 2 } else { 0 }, "operation {operation}\n{text}");
            outcomes.push((answer, deleted));
            if store.injected() == 0 {
                break;
            }
        }
    }
    outcomes.sort_unstable();
    outcomes.dedup();
    assert_eq!(outcomes, [(false, false), (false, true), (true, true)]);
}

fn engine_over(store: &Arc<FaultyStore<Memory>>) -> Engine {
    let store: Arc<dyn Store> = Arc::<FaultyStore<Memory>>::clone(store);
    Engine::new(store, Arc::new(ManualClock::at(Timestamp(1))))
}

async fn two_replaying(engine: &Engine) {
    engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
    for name in ["c", "d"] {
        replaying(engine, name).await;
    }
}

#[tokio::test]
async fn no_campaign_begins_on_a_workflow_that_is_not_in_use() {
    let engine = engine(Memory::new());
    engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
    let campaign = campaign("c", &text(TEXT), &[]);
    engine.change_workflow(&id(), &delete(), actor()).await.unwrap();
    assert_eq!(create(&engine, &campaign).await.unwrap_err().code(), "workflow_deleted");
    engine
        .change_workflow(&id(), &WorkflowCommand::Restore { reason: None }, actor())
        .await
        .unwrap();
    create(&engine, &campaign).await.unwrap();
    assert_eq!(create(&engine, &campaign).await.unwrap_err().code(), "campaign_exists");
}

#[tokio::test]
async fn a_deleted_workflow_is_not_read_can_be_restored_and_is_purged_after_its_window() {
    let clock = Arc::new(ManualClock::at(Timestamp(1)));
    let engine = Engine::new(Arc::new(Memory::new()), clock.clone());
    engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
    engine.change_workflow(&id(), &delete(), actor()).await.unwrap();
    let read = engine.definition(&id(), None).await.unwrap_err();
    assert_eq!(read.code(), "workflow_deleted");
    assert_eq!(engine.purge_workflows().await.unwrap(), 0);
    engine
        .change_workflow(&id(), &WorkflowCommand::Restore { reason: None }, actor())
        .await
        .unwrap();
    assert_eq!(stored_text(&engine).await, (1, TEXT.to_owned()));

    engine.change_workflow(&id(), &delete(), actor()).await.unwrap();
    clock.advance(RESTORE_WINDOW);
    assert_eq!(engine.purge_workflows().await.unwrap(), 0);
    clock.advance(Millis(1));
    assert_eq!(engine.purge_workflows().await.unwrap(), 1);
    assert_eq!(engine.purge_workflows().await.unwrap(), 0);
    let text = engine.store().workflow_text(&id(), VersionNumber(1)).await.unwrap();
    assert_eq!(text, None);
    let late = engine
        .change_workflow(&id(), &WorkflowCommand::Restore { reason: None }, actor())
        .await
        .unwrap_err();
    assert_eq!(late.code(), "restore_window_over");
    let tombstone = engine.stored_workflow(&id()).await.unwrap().value.deleted.unwrap();
    assert_eq!(tombstone.reason, "no use any more");
}

#[tokio::test(start_paused = true)]
async fn a_service_purges_what_was_deleted_long_enough_ago() {
    let clock = Arc::new(ManualClock::at(Timestamp(1)));
    let engine = Arc::new(Engine::new(Arc::new(Memory::new()), clock.clone()));
    engine.put_workflow(&text(TEXT), None, actor()).await.unwrap();
    engine.change_workflow(&id(), &delete(), actor()).await.unwrap();
    let dispatch = DispatchConfig { capacity: 1, ..DispatchConfig::default() };
    let config = ServiceConfig {
        dispatch,
        proposers: Vec::new(),
        reaper: ReaperConfig::default(),
        retention: RESTORE_WINDOW,
        ..ServiceConfig::default()
    };
    let service = Service::start(Arc::clone(&engine), Arc::new(Lexical), config).await.unwrap();
    let mut changes = engine.changes();
    // The window ends while the service runs; it looks again within the hour.
    clock.advance(RESTORE_WINDOW);
    clock.advance(Millis(1));
    changes.changed().await.unwrap();
    assert_eq!(engine.stored_workflow(&id()).await.unwrap().value.versions, []);
    service.stop().await;
}

#[tokio::test]
async fn a_version_is_put_over_the_one_that_was_read_and_former_ones_stay_readable() {
    let engine = engine(Memory::new());
    let edited = TEXT.replace("Answer it.", "Answer it politely.");
    engine.put_workflow(&text(TEXT), Some(VersionNumber(0)), actor()).await.unwrap();
    engine.put_workflow(&text(&edited), Some(VersionNumber(1)), actor()).await.unwrap();
    let stale =
        engine.put_workflow(&text(TEXT), Some(VersionNumber(1)), actor()).await.unwrap_err();
    assert_eq!(stale.code(), "workflow_version_moved");
    assert_eq!(stored_text(&engine).await, (2, edited));
    let first = engine.definition(&id(), Some(VersionNumber(1))).await.unwrap();
    assert_eq!(first.definition.text, TEXT);
    let none = engine.definition(&id(), Some(VersionNumber(3))).await.unwrap_err();
    assert_eq!(none.code(), "workflow_version_not_found");
}

#[test]
fn a_definition_that_could_not_run_is_not_stored() {
    let code = |edit: &dyn Fn(&str) -> String| {
        let refused = DefinitionText::check("w", edit(TEXT).into_bytes()).unwrap_err();
        refused.0.first().unwrap().code
    };
    assert_eq!(code(&|text| text.replace("active", "asleep")), "unknown_status");
    assert_eq!(
        code(&|text| text.replace("node_id: second", "node_id: first")),
        "duplicate_node_id"
    );
    assert_eq!(
        code(&|text| text.replace("automation_id: triage", "automation_id: ' '")),
        "wrong_type"
    );
    assert_eq!(code(&|text| " ".repeat(17 << 20) + text), "file_too_large");
}
