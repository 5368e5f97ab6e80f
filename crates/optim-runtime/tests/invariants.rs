//! The invariants of everything that is stored: kept by a whole campaign, and each of them noticed when it
//! is broken.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers fail the test that calls them"
)]

use std::sync::Arc;

use optim_core::campaign::command::Command;
use optim_core::campaign::event::{Event, EventKind};
use optim_core::campaign::live::{LiveWrite, LiveWriteKind, Texts};
use optim_core::campaign::{Campaign, Ending, Hold, Phase, Purpose};
use optim_core::digest::Digest;
use optim_core::experiment::{Experiment, ExperimentState};
use optim_core::id::{Actor, EvaluationId, RunId, WorkerId};
use optim_core::invariants::{Snapshot, check_invariants};
use optim_core::lease::Signal;
use optim_core::quantity::{Millis, Timestamp};
use optim_core::run::{Epoch, Run, RunState};
use optim_core::verdict::Verdict;
use optim_core::workflow::Fingerprint;
use optim_core::workflow_run::WorkflowRun;
use optim_core::workflow_run::event::{Reaped, WorkflowRunEvent};
use optim_runtime::clock::{Clock, ManualClock};
use optim_runtime::engine::Engine;
use optim_runtime::executor::scripted::{Scripted, ScriptedConfig};
use optim_runtime::proposer::built_in;
use optim_runtime::service::{Service, ServiceConfig};
use optim_runtime::testing::{ANY_BASELINE, ONE_NODE, SmallProject};
use optim_store::memory::Memory;
use optim_store::testing::sample;

const CASES: &str = r#"{"id":"a","inputs":{"text":"one"}}
{"id":"b","inputs":{"text":"two"}}
{"id":"c","inputs":{"text":"three"},"split":"holdout"}
"#;

/// What is stored when a campaign has approved its first winner, and is looking for another.
async fn stored() -> Snapshot {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp(1)));
    let engine = Arc::new(Engine::new(Arc::new(Memory::new()), clock));
    let project = SmallProject {
        workflow: ONE_NODE,
        cases: CASES,
        text_fields: "[objective]",
        knob_fields: "[]",
        decision: ANY_BASELINE,
        max_experiments: 9,
    };
    let new = project.draft("c", 5, "scripted");
    let (id, actor) = (new.campaign.id.clone(), Actor::new("local:test").unwrap());
    engine.create(new, actor.clone()).await.unwrap();
    engine.submit(&id, &Command::Start { reason: None }, actor.clone()).await.unwrap();
    let script = ScriptedConfig { effect_per_mille: 500, ..ScriptedConfig::default() };
    let config =
        ServiceConfig { proposers: vec![built_in("rules").unwrap()], ..ServiceConfig::default() };
    let service = Service::start(Arc::clone(&engine), Arc::new(Scripted::new(script)), config);
    let service = service.await.unwrap();
    let settled = service.settled(&id).await.unwrap();
    let winner = settled.current_experiment().expect("a candidate awaits a decision").id;
    let approve = Command::ApproveAnyway { experiment: winner, reason: "why not".to_owned() };
    let approve = match settled.current_experiment().unwrap().state {
        ExperimentState::Recommended(_) => Command::Approve { experiment: winner, reason: None },
        _ => approve,
    };
    engine.submit(&id, &approve, actor).await.unwrap();
    service.settled(&id).await.unwrap();
    service.stop().await;
    optim_store::snapshot(engine.store().as_ref()).await.unwrap()
}

/// The numbers of the broken invariants, each once.
fn broken(snapshot: &Snapshot) -> Vec<u8> {
    let mut numbers: Vec<_> = check_invariants(snapshot).iter().map(|it| it.invariant).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn approved(snapshot: &mut Snapshot) -> &mut Experiment {
    let is_approved = |one: &&mut Experiment| matches!(one.state, ExperimentState::Approved { .. });
    snapshot.experiments.iter_mut().find(is_approved).expect("one is approved")
}

fn campaign(snapshot: &mut Snapshot) -> &mut Campaign {
    &mut snapshot.campaigns[0]
}

fn open_again(run: &mut Run) {
    (run.state, run.epoch) = (RunState::Queued, Epoch(1));
}

fn other() -> Fingerprint {
    Fingerprint(Digest::of(b"something else"))
}

fn tell(snapshot: &mut Snapshot, what: EventKind) {
    let told = snapshot.events[0].clone();
    snapshot.events.push(Event { what, ..told });
}

/// The last evaluation that was told of begins once more.
fn begin_again(snapshot: &mut Snapshot) {
    let is_begin = |what: &&EventKind| matches!(what, EventKind::EvaluationQueued { .. });
    let begin = snapshot.events.iter().map(|event| &event.what).rev().find(is_begin);
    let begin = begin.unwrap().clone();
    tell(snapshot, begin);
}

fn claimed(run: &WorkflowRun) -> WorkflowRunEvent {
    WorkflowRunEvent::RunClaimed { epoch: run.epoch, worker: WorkerId::process(1) }
}

fn reaped(run: &WorkflowRun) -> WorkflowRunEvent {
    WorkflowRunEvent::RunReaped(Box::new(Reaped {
        workflow: run.workflow.clone(),
        name: run.name.clone(),
        signal: Signal::Lease,
        stale_after: Millis(1),
        repairable: Vec::new(),
        exhausted: Vec::new(),
    }))
}

/// A change of what is stored that breaks an invariant.
type Break = fn(&mut Snapshot);

const BREAKS: &[(u8, &str, Break)] = &[
    (1, "an open experiment is forgotten", |all| {
        let one = all
            .experiments
            .iter_mut()
            .find(|one| !matches!(one.state, ExperimentState::Approved { .. }));
        one.unwrap().state = ExperimentState::Evaluating;
    }),
    (2, "a definition is another one", |all| {
        let other = all.definitions.values().last().unwrap().clone();
        all.definitions.values_mut().for_each(|it| it.clone_from(&other));
    }),
    (3, "the baseline moves by itself", |all| campaign(all).baseline.fingerprint = other()),
    (4, "the judge had said no", |all| {
        if let ExperimentState::Approved { judged, .. } = &mut approved(all).state {
            judged.judgement.verdict = Verdict::Discard;
        }
    }),
    (5, "it ends without a word", |all| {
        campaign(all).phase = Phase::Closed { ending: Ending::SuggestionsDone, at: Timestamp(1) };
    }),
    (6, "an evaluation begins while it is held", |all| {
        let hold = Hold::Budget { reason: "over".to_owned() };
        tell(all, EventKind::CampaignHeld { reason: hold });
        begin_again(all);
    }),
    (6, "an evaluation begins after the end", |all| {
        tell(all, EventKind::CampaignClosed { ending: Ending::SuggestionsDone });
        begin_again(all);
    }),
    (6, "what was rejected is measured again", |all| {
        let experiment = all.experiments.last().unwrap().id;
        tell(all, EventKind::CandidateRejected { experiment, reason: "too long".to_owned() });
        let purpose = Purpose::Candidate { experiment };
        let evaluation = purpose.evaluation_id(&all.campaigns[0].id, 0);
        tell(all, EventKind::EvaluationQueued { evaluation, purpose });
    }),
    (7, "a paid run is forgotten", |all| campaign(all).ledger.runs -= 1),
    (7, "a run is paid twice", |all| campaign(all).ledger.runs += 1),
    (8, "a replay counts twice", |all| {
        let replays = &mut campaign(all).baseline.replays;
        replays[1] = replays[0].clone();
    }),
    (9, "an experiment is on record twice", |all| {
        let twice = all.experiments[0].clone();
        all.experiments.push(twice);
    }),
    (9, "a run has an id of its own", |all| all.runs[0].id = RunId::derive(&[b"x"])),
    (10, "a candidate changes what it does not say", |all| {
        let one = approved(all);
        std::mem::swap(&mut one.mutation.before, &mut one.mutation.after);
    }),
    (11, "the objective is another one", |all| {
        let objective = campaign(all).frozen.objective;
        all.payloads.insert(objective, Some(Digest::of(b"another")));
    }),
    (11, "the pack has more cases", |all| campaign(all).frozen.search_cases += 1),
    (13, "what an apply replaced is gone", |all| {
        let gone = Digest::of(b"the text before");
        let to = campaign(all).baseline.fingerprint;
        let write = LiveWrite {
            kind: LiveWriteKind::Apply,
            patch: campaign(all).baseline.patch.clone(),
            from: other(),
            to,
            texts: Some(Texts { before: gone, after: gone }),
            version: 1,
            actor: Actor::engine(),
            at: Timestamp(1),
            measured: None,
            unmeasured: None,
        };
        campaign(all).live.applied.push(write);
        all.payloads.insert(gone, None);
    }),
    (12, "a write has no end", |all| {
        let text = serde_json::json!({
            "event": "live_write_done", "to": campaign(all).baseline.fingerprint,
        });
        let mut event = all.events[0].clone();
        event.what = serde_json::from_value(text).unwrap();
        all.events.push(event);
    }),
    (14, "nobody approved it", |all| {
        if let ExperimentState::Approved { by, .. } = &mut approved(all).state {
            by.actor = Actor::engine();
        }
    }),
    (15, "a run is at work that nobody claimed", |all| {
        let run = &mut all.runs[0];
        run.state = sample::claimed(run).state;
        run.epoch = Epoch(0);
    }),
    (18, "two runs work in one folder", |all| {
        let at = |id, workspace: &str| WorkflowRun {
            workspace: workspace.to_owned(),
            ..sample::claimed_workflow_run(&sample::workflow_run(id, "w"))
        };
        all.workflow_runs = vec![at("one", "/home/a/b"), at("two", "/home/a")];
    }),
    (20, "a run is given up twice", |all| {
        let run = sample::claimed_workflow_run(&sample::workflow_run("r", "w"));
        let mut told = sample::event_of(&run);
        for change in [claimed(&run), reaped(&run), reaped(&run)] {
            told.what = EventKind::WorkflowRun { change };
            all.events.push(told.clone());
        }
    }),
    (21, "a run is open that nobody waits for", |all| open_again(&mut all.runs[0])),
    (24, "a definition is gone", |all| {
        let baseline = campaign(all).baseline.snapshot;
        all.definitions.insert(baseline, None);
    }),
    (24, "the pack is gone", |all| {
        let pack = campaign(all).frozen.pack;
        all.payloads.insert(pack, None);
    }),
    (30, "a key stands for two requests", |all| {
        let twice = serde_json::json!([
            {"key": "k", "request": campaign(all).frozen.pack},
            {"key": "k", "request": campaign(all).frozen.objective},
        ]);
        campaign(all).requests = serde_json::from_value(twice).unwrap();
    }),
    (31, "nobody was told of the approval", |all| {
        all.events.retain(|event| !matches!(event.what, EventKind::CandidateApproved { .. }));
    }),
];

#[tokio::test(start_paused = true)]
async fn a_campaign_keeps_them_and_each_break_is_noticed_by_its_number() {
    let sound = Box::pin(stored()).await;
    assert!(sound.runs.len() > 8 && sound.campaigns[0].baseline.version > 0);
    let violations = check_invariants(&sound);
    assert!(violations.is_empty(), "{violations:#?}");
    for (number, name, breaks) in BREAKS {
        let mut snapshot = sound.clone();
        breaks(&mut snapshot);
        assert!(broken(&snapshot).contains(number), "{name}: {:?}", broken(&snapshot));
        let violations = check_invariants(&snapshot);
        let said = violations.iter().find(|it| it.invariant == *number).unwrap().to_string();
        assert!(said.starts_with(&format!("I{number}: ")) && said.contains("; "), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn folders_that_only_look_alike_are_different_folders() {
    let at = |id, workspace: &str| WorkflowRun {
        workspace: workspace.to_owned(),
        ..sample::claimed_workflow_run(&sample::workflow_run(id, "w"))
    };
    for (one, two, conflict) in
        [("/a/b", "/a/b-c", false), ("/a/b", "/a/b/c", true), ("/", "/a", true)]
    {
        let workflow_runs = vec![at("one", one), at("between", "/a/b-"), at("two", two)];
        let workflow_runs =
            if one == "/" { vec![at("one", one), at("two", two)] } else { workflow_runs };
        let snapshot = Snapshot { workflow_runs, ..Snapshot::default() };
        assert_eq!(broken(&snapshot).contains(&18), conflict, "{one} and {two}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_closed_campaign_left_open_is_said_as_such() {
    let mut snapshot = Box::pin(stored()).await;
    let evaluation: EvaluationId = snapshot.runs[0].evaluation;
    open_again(&mut snapshot.runs[0]);
    campaign(&mut snapshot).phase =
        Phase::Closed { ending: Ending::SuggestionsDone, at: Timestamp(1) };
    let violations = check_invariants(&snapshot);
    assert!(violations.iter().any(|it| it.invariant == 22), "{evaluation}: {violations:?}");
}
