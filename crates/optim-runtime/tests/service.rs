//! The loops over a real engine, in virtual time: faults of the store, errors and panics of one
//! campaign, processes that die.
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use optim_core::campaign::command::Command;
use optim_core::campaign::event::EventKind;
use optim_core::campaign::ledger::{Amount, Ledger};
use optim_core::campaign::location::Location;
use optim_core::campaign::{Campaign, Ending, Hold, Phase, Status};
use optim_core::digest::Digest;
use optim_core::experiment::{Experiment, ExperimentState, Proposer as Description};
use optim_core::id::{Actor, CampaignId};
use optim_core::outcome::{CaseOutcome, Measured, Usage};
use optim_core::proposal::Prepared;
use optim_core::quantity::{Millis, Timestamp, Tokens};
use optim_core::run::{Run, RunReport};
use optim_core::workflow::Fingerprint;
use optim_runtime::clock::{Clock, ManualClock};
use optim_runtime::dispatch::DispatchConfig;
use optim_runtime::engine::turn::Ended;
use optim_runtime::engine::{Engine, EngineError, NewCampaign};
use optim_runtime::executor::scripted::{Scripted, ScriptedConfig};
use optim_runtime::proposer::{ProposalRequest, Proposals, Proposer, built_in};
use optim_runtime::reconcile::Reconciler;
use optim_runtime::service::{Service, ServiceConfig};
use optim_runtime::tasks::TaskSet;
use optim_runtime::testing::{ANY_BASELINE, ONE_NODE, SmallProject};
use optim_store::memory::Memory;
use optim_store::testing::faulty::{Fault, FaultyStore};
use optim_store::testing::sample;
use optim_store::{Commit, EventSeq, Page, RunFilter, Store, Versioned, Write};
use serde_json::json;

/// A campaign on a small project of eight cases.
fn draft(id: &str, seed: u64) -> NewCampaign {
    let case = |index: u32| {
        let split = if index < 6 { "search" } else { "holdout" };
        let inputs = json!({"text": index});
        format!("{}\n", json!({"id": format!("c{index}"), "inputs": inputs, "split": split}))
    };
    let project = SmallProject {
        workflow: ONE_NODE,
        cases: &(0..8).map(case).collect::<String>(),
        text_fields: "[objective]",
        knob_fields: "[timeout_ms]",
        decision: ANY_BASELINE,
        max_experiments: 4,
    };
    project.draft(id, seed, "scripted")
}

/// Tells virtual time in whole steps of so many milliseconds.
struct Virtual {
    begun: tokio::time::Instant,
    step: u64,
}

impl Virtual {
    fn in_steps_of(step: u64) -> Self {
        Self { begun: tokio::time::Instant::now(), step }
    }
}

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap();
        Timestamp(1).after(Millis(passed - passed % self.step))
    }
}

/// An engine over `store`. The hours strike, and else the clock stands still, so that how long something
/// takes within an hour is in no record.
fn engine(store: Arc<dyn Store>) -> Arc<Engine> {
    Arc::new(Engine::new(store, Arc::new(Virtual::in_steps_of(3_600_000))))
}

async fn serve(engine: &Arc<Engine>, proposer: Arc<dyn Proposer>) -> Result<Service, EngineError> {
    let script = ScriptedConfig {
        pass_per_mille: 600,
        effect_per_mille: 200,
        fault_per_mille: 50,
        ..ScriptedConfig::default()
    };
    let dispatch = DispatchConfig { capacity: 3, ..DispatchConfig::default() };
    let config = ServiceConfig { dispatch, proposers: vec![proposer], ..ServiceConfig::default() };
    Service::start(Arc::clone(engine), Arc::new(Scripted::new(script)), config).await
}

fn rules() -> Arc<dyn Proposer> {
    built_in("rules").unwrap()
}

fn actor() -> Actor {
    Actor::new("local:test").unwrap()
}

/// Does `act` again until the store lets it.
async fn insist<T, F: Future<Output = Result<T, EngineError>>>(act: impl Fn() -> F) -> T {
    for _ in 0..100 {
        match act().await {
            Ok(done) => return done,
            Err(EngineError::Store(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the store never answers");
}

/// The longest that a step may take, in virtual time: a campaign that stalls fails its test at once.
const STEP_MAX: Duration = Duration::from_secs(4 * 3600);

/// Runs a campaign to where a person is needed, rejecting what is recommended, until it is over.
async fn to_the_end(engine: &Arc<Engine>, service: &Service, id: &CampaignId) -> Campaign {
    loop {
        let settled = tokio::time::timeout(STEP_MAX, insist(|| service.settled(id))).await;
        let settled = settled.unwrap_or_else(|_| panic!("{id} does not go on"));
        let Some(pending) = settled.current_experiment().map(|experiment| experiment.id) else {
            return settled;
        };
        let reject = Command::Reject { experiment: pending, reason: "not this time".to_owned() };
        match engine.submit(id, &reject, actor()).await {
            Ok(_) | Err(EngineError::Store(_) | EngineError::Rejected(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn experiments(store: &dyn Store, id: &CampaignId) -> Vec<Experiment> {
    store.experiments(id, Page::first()).await.unwrap().items
}

/// Both ended alike. A claim that was lost may have been paid, so it may have cost more, never less.
fn assert_same(found: Campaign, expected: &Campaign) {
    let (usage, least) = (found.ledger.usage, expected.ledger.usage);
    assert!(usage.tokens() >= least.tokens() && usage.latency >= least.latency, "{usage:?}");
    let ledger = Ledger { usage: least, ..found.ledger };
    assert_eq!(Campaign { ledger, ..found }, *expected);
}

/// A campaign from its draft to its end on `store`.
async fn whole<S: Store>(store: &Arc<S>, new: &NewCampaign) -> Campaign {
    let engine = engine(Arc::<S>::clone(store));
    let id = new.campaign.id.clone();
    for _ in 0..100 {
        match engine.create(new.clone(), actor()).await {
            Ok(_) | Err(EngineError::Exists(_)) => break,
            Err(_) => {}
        }
    }
    for _ in 0..100 {
        match engine.submit(&id, &Command::Start { reason: None }, actor()).await {
            Ok(_) | Err(EngineError::Rejected(_)) => break,
            Err(_) => {}
        }
    }
    let service = insist(|| serve(&engine, rules())).await;
    let ended = to_the_end(&engine, &service, &id).await;
    service.stop().await;
    ended
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_now_and_then_changes_no_result() {
    let mut injected = 0;
    for seed in 0..30 {
        let new = draft("c", seed);
        let calm = Arc::new(Memory::new());
        let expected = whole(&calm, &new).await;
        assert!(expected.is_closed());

        let faulty = Arc::new(FaultyStore::seeded(Memory::new(), seed, 60));
        let found = whole(&faulty, &new).await;
        faulty.heal();
        injected += faulty.injected();
        assert_same(found, &expected);
        let id = &expected.id;
        assert_eq!(
            experiments(faulty.as_ref(), id).await,
            experiments(calm.as_ref(), id).await,
            "seed {seed}"
        );
        for filter in [RunFilter::Queued, RunFilter::Running] {
            assert_eq!(
                faulty.runs(&filter, Page::first()).await.unwrap().items,
                [],
                "seed {seed}: no run is left over"
            );
        }
    }
    assert!(injected > 300, "the faults were reached: {injected}");
}

#[tokio::test(start_paused = true)]
async fn a_campaign_that_cannot_go_on_holds_up_no_other() {
    let engine = engine(Arc::new(Memory::new()));
    // The objective of this one is missing: it fails long before the other one is over.
    let mut broken = draft("broken", 1);
    broken.campaign.frozen.objective = Digest::of(b"lost");
    for new in [broken, draft("sound", 1)] {
        let id = new.campaign.id.clone();
        engine.create(new, actor()).await.unwrap();
        engine.submit(&id, &Command::Start { reason: None }, actor()).await.unwrap();
    }
    let service = serve(&engine, rules()).await.unwrap();
    let sound = to_the_end(&engine, &service, &CampaignId::new("sound").unwrap()).await;
    assert!(sound.is_closed());
    assert_eq!(sound.search.experiments, 4);
    let broken = engine.campaign(&CampaignId::new("broken").unwrap()).await.unwrap().value;
    assert!(!broken.is_closed(), "it waits for its objective");
    service.stop().await;
}

/// Panics for one campaign and proposes as `rules` for the others.
struct Explosive;

#[async_trait]
impl Proposer for Explosive {
    fn description(&self) -> Description {
        rules().description()
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        assert!(request.seed != 13, "this proposer cannot stand the number 13");
        rules().propose(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn threat_45_a_panic_in_one_campaign_is_its_own() {
    let engine = engine(Arc::new(Memory::new()));
    for new in [draft("unlucky", 13), draft("lucky", 7)] {
        let id = new.campaign.id.clone();
        engine.create(new, actor()).await.unwrap();
        engine.submit(&id, &Command::Start { reason: None }, actor()).await.unwrap();
    }
    let service = serve(&engine, Arc::new(Explosive)).await.unwrap();
    let lucky = to_the_end(&engine, &service, &CampaignId::new("lucky").unwrap()).await;
    assert_eq!(lucky.search.experiments, 4);
    let unlucky = engine.campaign(&CampaignId::new("unlucky").unwrap()).await.unwrap().value;
    assert!(!unlucky.is_closed(), "it waits for a better proposer");
    let status = service.status();
    let failing = &status.trouble.failing[&unlucky.id];
    assert!(failing.error.contains("panicked"), "{failing:?}");
    assert_eq!((status.trouble.failing.len(), status.trouble.panics), (1, failing.failures));
    assert!(status.loops.values().all(|status| status.running && status.panics == 0));
    service.stop().await;
}

/// Thinks for ever about one campaign and proposes as `rules` for the others.
struct Brooding;

#[async_trait]
impl Proposer for Brooding {
    fn description(&self) -> Description {
        rules().description()
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        if request.seed == 13 {
            std::future::pending::<()>().await;
        }
        rules().propose(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_proposer_that_thinks_for_long_holds_up_no_other_campaign_and_no_shutdown() {
    let engine = engine(Arc::new(Memory::new()));
    for new in [draft("slow", 13), draft("quick", 7)] {
        let id = new.campaign.id.clone();
        engine.create(new, actor()).await.unwrap();
        engine.submit(&id, &Command::Start { reason: None }, actor()).await.unwrap();
    }
    let service = serve(&engine, Arc::new(Brooding)).await.unwrap();
    let quick = to_the_end(&engine, &service, &CampaignId::new("quick").unwrap()).await;
    assert_eq!(quick.search.experiments, 4);
    let begun = tokio::time::Instant::now();
    service.stop().await;
    assert_eq!(begun.elapsed().as_secs(), 5, "the step that cannot end is stopped");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_in_any_phase_is_succeeded_by_the_next() {
    let new = draft("c", 5);
    let expected = whole(&Arc::new(Memory::new()), &new).await;
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let id = new.campaign.id.clone();
    let first = engine(Arc::clone(&store));
    first.create(new, actor()).await.unwrap();
    first.submit(&id, &Command::Start { reason: None }, actor()).await.unwrap();
    let mut deaths = 0;
    let ended = loop {
        let engine = engine(Arc::clone(&store));
        let service = serve(&engine, rules()).await.unwrap();
        // Each process lives for a few commits, then is gone, with whatever it had claimed.
        let mut changes = engine.changes();
        let life = async {
            for _ in 0..=deaths % 3 {
                changes.changed().await.unwrap();
            }
        };
        tokio::select! {
            ended = to_the_end(&engine, &service, &id) => break ended,
            () = life => deaths += 1,
        }
        drop(service);
    };
    assert!(deaths >= 4, "{deaths} deaths");
    assert_same(ended, &expected);
}

#[tokio::test(start_paused = true)]
async fn two_writers_of_one_campaign_lose_nothing() {
    let engine = engine(Arc::new(Memory::new()));
    let new = draft("c", 1);
    let id = new.campaign.id.clone();
    engine.create(new.clone(), actor()).await.unwrap();
    assert!(matches!(engine.create(new, actor()).await, Err(EngineError::Exists(_))));
    let starts = (0..4).map(|_| engine.submit(&id, &Command::Start { reason: None }, actor()));
    let mut started = 0;
    for start in starts {
        started += u32::from(start.await.is_ok());
    }
    assert_eq!(started, 1);
    let queued = engine.list_runs(&RunFilter::Queued).await.unwrap();
    let by_case: BTreeMap<_, _> = queued.iter().map(|run| (&run.case, run.id)).collect();
    assert_eq!((queued.len(), by_case.len()), (6, 6), "one run for each search case");
}

/// Proposes what `rules` propose first, whatever was tried.
struct Stubborn;

#[async_trait]
impl Proposer for Stubborn {
    fn description(&self) -> Description {
        Description { name: "stubborn".to_owned(), version: 1 }
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        let forgetful = ProposalRequest { tried: BTreeMap::new(), ..request.clone() };
        rules().propose(&forgetful).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_proposer_that_repeats_itself_ends_the_search() {
    let engine = engine(Arc::new(Memory::new()));
    let new = draft("c", 1);
    let id = new.campaign.id.clone();
    engine.create(new, actor()).await.unwrap();
    engine.submit(&id, &Command::Start { reason: None }, actor()).await.unwrap();
    let service = serve(&engine, Arc::new(Stubborn)).await.unwrap();
    let ended = to_the_end(&engine, &service, &id).await;
    assert_eq!(ended.search.experiments, 1);
    let Phase::Closed { ending: Ending::NoFurtherMutation { refused }, .. } = &ended.phase else {
        panic!("{:?}", ended.phase)
    };
    let told: Vec<_> = refused
        .kept()
        .iter()
        .filter(|refused| refused.code == "already_tried")
        .map(|refused| (refused.node.as_str(), refused.reason.as_str(), refused.count))
        .collect();
    assert_eq!(told, [("n", "stubborn proposes it again", 1)]);
    service.stop().await;
}

/// A started campaign without loops; its six replay runs are queued.
async fn started(engine: &Engine, new: NewCampaign) -> CampaignId {
    let id = new.campaign.id.clone();
    Box::pin(engine.create(new, actor())).await.unwrap();
    engine.submit(&id, &Command::Start { reason: None }, actor()).await.unwrap();
    id
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_campaign_has_cost_is_settled_at_once() {
    let engine = engine(Arc::new(Memory::new()));
    let id = started(&engine, draft("c", 1)).await;
    let queued = engine.list_runs(&RunFilter::Queued).await.unwrap();
    let claimed = engine.turn(&[], &[queued[0].id]).await.unwrap();
    let usage = Usage { prompt_tokens: Tokens(40), ..Usage::default() };
    engine.turn(&[ended(&claimed[0], usage)], &[queued[1].id]).await.unwrap();
    let cancelled = engine.submit(&id, &Command::Cancel { reason: None }, actor()).await.unwrap();
    assert_eq!(cancelled.unsettled().count(), 0);
    assert_eq!(cancelled.ledger.runs, 6);
    assert_eq!(
        cancelled.ledger.usage.tokens(),
        Tokens(80),
        "the claim that was cut off may have been paid like the dearest run"
    );
}

fn ended(run: &Run, usage: Usage) -> Ended {
    let measured = Measured { checks: Vec::new(), blocked: Vec::new(), over_limit: None };
    let report = RunReport {
        executed: run.fingerprint,
        outcome: CaseOutcome::Measured(measured),
        nodes: Vec::new(),
        usage,
        started_at: Timestamp(1),
        finished_at: Timestamp(2),
        spent_on_faults: Usage::default(),
        throttled: None,
        denied: Vec::new(),
    };
    Ended { run: run.id, epoch: run.epoch, report }
}

/// The reconcile loop alone: nobody executes runs.
fn reconcile(engine: &Arc<Engine>) -> TaskSet {
    let reconciler = Arc::new(Reconciler::new(Arc::clone(engine), vec![rules()]));
    let mut tasks = TaskSet::new();
    tasks.supervise("reconciler", move |shutdown| Arc::clone(&reconciler).run(shutdown));
    tasks
}

/// The campaign after the loop had all the time that it wants.
async fn after_a_while(engine: &Engine, id: &CampaignId) -> Campaign {
    for _ in 0..100 {
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    engine.campaign(id).await.unwrap().value
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_fails_the_last_look_demotes_and_says_so() {
    let store = Arc::new(Memory::new());
    let engine = engine(Arc::<Memory>::clone(&store));
    let id = started(&engine, draft("c", 5)).await;
    let service = serve(&engine, rules()).await.unwrap();
    let settled = insist(|| service.settled(&id)).await;
    service.stop().await;
    let pending = settled.current_experiment().expect("seed 5 finds a winner").clone();
    // What was allowed when the candidate was proposed is not any more.
    let mut damaged = store.campaign(&id).await.unwrap().unwrap().value;
    damaged.frozen.policies.mutation.allowed.clear();
    store.overwrite(damaged);
    let approve = Command::ApproveAnyway { experiment: pending.id, reason: "why".to_owned() };
    let after = engine.submit(&id, &approve, actor()).await.unwrap();
    assert_eq!((after.baseline.version, after.status()), (0, Status::Running));
    let demoted = store.experiment(pending.id).await.unwrap().unwrap();
    let ExperimentState::Discarded(judged) = demoted.state else { panic!("{:?}", demoted.state) };
    assert!(judged.judgement.reason.starts_with("the approval was refused: "));
    let told = store.events(EventSeq(0), 500).await.unwrap();
    let refused =
        told.iter().find(|told| matches!(told.event.what, EventKind::ApprovalRefused { .. }));
    assert_eq!(refused.unwrap().event.actor, actor(), "by the person who approved");
    let again = engine.submit(&id, &approve, actor()).await.unwrap_err();
    assert_eq!(again.code(), "not_pending");
}

/// Proposes as `rules`, for money.
struct Paid {
    worst: u64,
    asked: AtomicU64,
}

#[async_trait]
impl Proposer for Paid {
    fn description(&self) -> Description {
        rules().description()
    }

    fn worst_case(&self) -> Amount {
        Amount { tokens: Tokens(self.worst), ..Amount::default() }
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let usage = Usage { prompt_tokens: Tokens(30), ..Usage::default() };
        Proposals { usage, ..rules().propose(request).await }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_proposers_are_paid_from_the_budget_and_not_made_without_it() {
    let run = async |worst, calls| {
        let engine = engine(Arc::new(Memory::new()));
        let mut new = draft("c", 1);
        new.campaign.frozen.policies.budget.max_total_tokens = Some(Tokens(1_000_000));
        let id = started(&engine, new).await;
        let paid = Arc::new(Paid { worst, asked: AtomicU64::new(0) });
        let service = serve(&engine, Arc::<Paid>::clone(&paid)).await.unwrap();
        let ended = to_the_end(&engine, &service, &id).await;
        service.stop().await;
        assert_eq!(paid.asked.load(Ordering::SeqCst), calls);
        assert_eq!(ended.ledger.call, None);
        ended
    };
    let free = Box::pin(run(0, 4)).await;
    assert_eq!(
        Box::pin(run(100, 4)).await.ledger.usage,
        free.ledger.usage,
        "what was not used is given back"
    );
    let held = Box::pin(run(1_000_000, 0)).await;
    let Some(Hold::Budget { reason }) = &held.hold else { panic!("{:?}", held.hold) };
    assert!(reason.starts_with("the proposers need up to 1000000 tokens"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_evaluation_whose_runs_do_not_end_is_given_up_when_somebody_looks_after_its_deadline() {
    let clock = Arc::new(ManualClock::at(Timestamp(1)));
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let engine = Arc::new(Engine::new(store, shared));
    let id = started(&engine, draft("c", 1)).await;
    let first = engine.campaign(&id).await.unwrap().value;
    let tasks = reconcile(&engine);
    clock.advance(Millis::from_minutes(1439));
    assert_eq!(after_a_while(&engine, &id).await, first, "it has time left");
    clock.advance(Millis::from_minutes(1));
    after_a_while(&engine, &id).await;
    clock.advance(Millis(1000));
    let given_up = after_a_while(&engine, &id).await;
    assert_eq!(given_up.search.consecutive_failures, 1);
    let open = |campaign: &Campaign| campaign.in_flight().next().map(|open| open.id);
    assert_ne!(open(&given_up), open(&first), "another replay is queued");
    assert_eq!(engine.list_runs(&RunFilter::Queued).await.unwrap().len(), 6);
    engine.recover().await.unwrap();
    clock.advance(Millis::from_minutes(1439));
    let continued = after_a_while(&engine, &id).await;
    tasks.shutdown().await;
    assert_eq!(
        open(&continued),
        open(&given_up),
        "the time of a process that is gone does not count"
    );
}

#[tokio::test(start_paused = true)]
async fn runs_that_are_missing_are_queued_again() {
    let engine = engine(Arc::new(Memory::new()));
    let mut new = draft("c", 1);
    // The campaign waits for one more case than its evaluation has runs.
    new.campaign.frozen.search_cases = 7;
    let id = started(&engine, new).await;
    for queued in engine.list_runs(&RunFilter::Queued).await.unwrap() {
        let claimed = engine.turn(&[], &[queued.id]).await.unwrap();
        engine.turn(&[ended(&claimed[0], Usage::default())], &[]).await.unwrap();
    }
    let before = engine.campaign(&id).await.unwrap().value;
    let tasks = reconcile(&engine);
    let after = after_a_while(&engine, &id).await;
    tasks.shutdown().await;
    assert_eq!(after.baseline.replays.len(), 0, "it is not taken for a whole replay");
    assert_eq!(after.search.consecutive_failures, 1, "after two more tries it is given up");
    assert_ne!(after.phase, before.phase);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_file_that_is_deleted_ends_the_campaign_before_the_next_candidate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("workflow.yaml");
    let engine = engine(Arc::new(Memory::new()));
    let mut new = draft("c", 1);
    new.campaign.source.location = Location::File(file.display().to_string());
    let id = started(&engine, new).await;
    let service = serve(&engine, rules()).await.unwrap();
    let ended = insist(|| service.settled(&id)).await;
    service.stop().await;
    assert_eq!((ended.status(), ended.search.experiments), (Status::Cancelled, 0));
    assert!(matches!(ended.phase, Phase::Closed { ending: Ending::SourceGone { .. }, .. }));
}

#[tokio::test(start_paused = true)]
async fn replays_that_fail_are_queued_only_after_a_wait_that_grows_and_nobody_looks_meanwhile() {
    let store = Arc::new(FaultyStore::planned(Memory::new(), []));
    let shared: Arc<dyn Store> = Arc::<FaultyStore<_>>::clone(&store);
    let engine = Arc::new(Engine::new(shared, Arc::new(Virtual::in_steps_of(1))));
    let mut new = draft("c", 1);
    new.campaign.frozen.policies.budget.max_consecutive_failures = 7;
    let id = started(&engine, new).await;
    let tasks = reconcile(&engine);
    let (mut waits, mut asked) = (Vec::new(), Vec::new());
    let failed = loop {
        let queued = engine.list_runs(&RunFilter::Queued).await.unwrap();
        for queued in queued {
            // A fault of the outside is tried again twice.
            for _ in 0..3 {
                let claimed = engine.turn(&[], &[queued.id]).await.unwrap();
                engine.turn(&[void(&claimed[0], "the model is busy")], &[]).await.unwrap();
            }
        }
        let waits_or_is_held =
            |campaign: &Campaign| campaign.search.back_off.is_some() || campaign.hold.is_some();
        let campaign = reached(&engine, &id, waits_or_is_held).await;
        let Some(back_off) = campaign.search.back_off else { break campaign };
        let (begun, looks) = (tokio::time::Instant::now(), store.begun());
        engine.changes().changed().await.unwrap();
        waits.push(begun.elapsed().as_millis());
        asked.push(store.begun() - looks);
        assert!(engine.clock().now() >= back_off.until);
    };
    tasks.shutdown().await;
    let Some(Hold::Failures { failures: 7, last }) = &failed.hold else {
        panic!("{:?}", failed.hold)
    };
    assert_eq!(
        last,
        "a replay of the baseline gave no measurable result: \
         6 of 6 case runs gave no outcome: the model is busy (machine)"
    );
    for (wait, longest) in waits.iter().zip([1000, 2000, 4000, 8000, 16_000, 30_000]) {
        assert!((longest / 2 - 1..=longest).contains(wait), "{waits:?}");
    }
    assert_eq!(waits.len(), 6);
    assert!(asked.iter().all(|asked| *asked <= 5), "one look and one commit: {asked:?}");
}

/// The campaign as soon as it is as `until` says.
async fn reached(engine: &Engine, id: &CampaignId, until: impl Fn(&Campaign) -> bool) -> Campaign {
    let mut changes = engine.changes();
    loop {
        let campaign = engine.campaign(id).await.unwrap().value;
        if until(&campaign) {
            return campaign;
        }
        changes.changed().await.unwrap();
    }
}

fn void(run: &Run, fault: &str) -> Ended {
    let mut ended = ended(run, Usage::default());
    ended.report.outcome = CaseOutcome::Void { fault: fault.to_owned() };
    ended
}

/// A store whose operations fail from number `first` on, as for a process that dies then.
fn dying(first: u64) -> Arc<FaultyStore<Memory>> {
    let faults = (first..first + 1000).map(|number| (number, Fault::Before));
    Arc::new(FaultyStore::planned(Memory::new(), faults))
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_while_it_cancels_leaves_nothing_set_aside_for_ever() {
    let begun = async |store: &Arc<FaultyStore<Memory>>| {
        let engine = engine(Arc::<FaultyStore<_>>::clone(store));
        let mut new = draft("c", 1);
        new.campaign.frozen.policies.budget.max_total_tokens = Some(Tokens(1_000_000));
        let id = started(&engine, new).await;
        let queued = engine.list_runs(&RunFilter::Queued).await.unwrap();
        engine.turn(&[], &[queued[0].id]).await.unwrap();
        (engine, id)
    };
    let alive = dying(10_000);
    let (first, id) = begun(&alive).await;
    let before = alive.begun();
    let cancel = Command::Cancel { reason: None };
    let expected = first.submit(&id, &cancel, actor()).await.unwrap();
    let mut left_over = 0;
    for death in before + 1..=alive.begun() {
        let store = dying(death);
        let (engine, _) = begun(&store).await;
        let cancelled = engine.submit(&id, &cancel, actor()).await.is_ok();
        store.heal();
        drop(engine);
        let next = self::engine(Arc::<FaultyStore<_>>::clone(&store));
        let found = next.campaign(&id).await.unwrap().value;
        left_over += u32::from(found.is_closed() && found.ledger.reserves());
        next.recover().await.unwrap();
        if !cancelled {
            // The person asks again; when it was committed all the same, it is refused.
            drop(next.submit(&id, &cancel, actor()).await);
        }
        let settled = next.campaign(&id).await.unwrap().value;
        assert!(settled.is_closed() && !settled.ledger.reserves(), "death {death}: {settled:?}");
        assert_eq!(settled.ledger, expected.ledger, "death {death}");
    }
    assert!(left_over > 0, "a process died between the cancel and the settlement");
}

#[tokio::test(start_paused = true)]
async fn a_call_of_proposers_that_a_dead_process_made_for_an_ended_campaign_counts_as_paid() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let engine = engine(Arc::clone(&store));
    let id = started(&engine, draft("c", 1)).await;
    engine.submit(&id, &Command::Cancel { reason: None }, actor()).await.unwrap();
    let Versioned { revision, mut value } = store.campaign(&id).await.unwrap().unwrap();
    value.ledger.call = Some(Amount { tokens: Tokens(70), ..Amount::default() });
    let at_most = value.ledger.call.unwrap();
    let campaigns = vec![Write { expected: revision, value }];
    let events = vec![sample::event("c", EventKind::ProposersAsked { at_most })];
    store.commit(Commit { campaigns, events, ..Commit::default() }).await.unwrap();
    engine.recover().await.unwrap();
    let settled = engine.campaign(&id).await.unwrap().value;
    assert_eq!((settled.ledger.call, settled.ledger.usage.tokens()), (None, Tokens(70)));
}

/// Proposes as `rules`, and keeps the prepared baselines that it was given.
#[derive(Default)]
struct Observing(Mutex<Vec<(Fingerprint, Arc<Prepared>)>>);

#[async_trait]
impl Proposer for Observing {
    fn description(&self) -> Description {
        rules().description()
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        let seen = (request.prepared.fingerprint(), Arc::clone(&request.prepared));
        self.0.lock().unwrap().push(seen);
        rules().propose(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_baseline_is_prepared_once_for_all_its_proposals_and_another_one_anew() {
    let engine = engine(Arc::new(Memory::new()));
    let id = started(&engine, draft("c", 5)).await;
    let observing = Arc::new(Observing::default());
    let service = serve(&engine, Arc::<Observing>::clone(&observing)).await.unwrap();
    let settled = insist(|| service.settled(&id)).await;
    let pending = settled.current_experiment().expect("seed 5 finds a winner").id;
    let approve = Command::ApproveAnyway { experiment: pending, reason: "why".to_owned() };
    engine.submit(&id, &approve, actor()).await.unwrap();
    to_the_end(&engine, &service, &id).await;
    service.stop().await;
    let seen = observing.0.lock().unwrap();
    let baselines: BTreeSet<_> = seen.iter().map(|(baseline, _)| *baseline).collect();
    let preparations: BTreeSet<_> =
        seen.iter().map(|(_, prepared)| Arc::as_ptr(prepared)).collect();
    assert!(seen.len() > 2, "{} proposals", seen.len());
    assert_eq!((baselines.len(), preparations.len()), (2, 2));
}
