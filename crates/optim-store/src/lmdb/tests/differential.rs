//! LMDB answers every sequence of operations as the reference does.

use optim_core::campaign::event::EventKind;
use optim_core::campaign::{Campaign, Hold};
use optim_core::id::{CampaignId, EvaluationId, WorkflowId};
use optim_core::quantity::Timestamp;
use optim_core::run::Run;
use optim_core::stored_workflow::VersionNumber;
use optim_core::workflow_run::command::WorkflowRunCommand;
use optim_core::workflow_run::state::WorkflowRunStatus;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::memory::Memory;
use crate::store::{
    Blob, Commit, Cursor, EventSeq, Page, Revision, RunFilter, Store, StoreError, WorkflowFilter,
    WorkflowRunFilter, Write,
};
use crate::testing::conformance::block_on;
use crate::testing::{render, sample};

use super::{directory, expect_intact, open};

#[derive(Debug, Clone)]
enum Operation {
    Commit(Draft),
    Campaigns { limit: u32, on: bool },
    Experiments { campaign: usize, limit: u32, on: bool },
    Runs { filter: RunFilter, limit: u32, on: bool },
    Workflows { filter: WorkflowFilter, limit: u32, on: bool },
    CampaignsOn { workflow: usize, limit: u32, on: bool },
    Texts { workflow: usize, version: u32 },
    WorkflowRuns { filter: WorkflowRunFilter, limit: u32, on: bool },
    Ended { by: i64, limit: u32 },
    Events { after: u64, limit: u32 },
    Reopen,
}

/// A commit over few records, so that most of them meet.
#[derive(Debug, Clone)]
struct Draft {
    campaign: Option<(usize, u64)>,
    workflow: Option<(usize, usize, u64)>,
    experiments: Vec<(usize, u32)>,
    runs: Vec<(usize, u32, usize, u64)>,
    workflow_runs: Vec<(usize, usize, u64)>,
    throttle: Option<(usize, bool)>,
    blobs: Vec<u8>,
    events: Vec<usize>,
}

const CAMPAIGNS: [&str; 3] = ["a", "b", "c"];
const WORKFLOWS: [&str; 2] = ["v", "w"];

fn evaluation(campaign: usize) -> EvaluationId {
    sample::evaluation(CAMPAIGNS[campaign], "replay")
}

/// Mostly right: the revision is what the caller's bookkeeping says, moved by `off`.
fn revision(found: Option<Revision>, off: u64) -> Revision {
    let found = found.unwrap_or_default();
    if off == 1 { found.next() } else { found }
}

impl Draft {
    async fn commit(&self, reference: &Memory) -> Commit {
        let mut commit = Commit::default();
        if let Some((campaign, off)) = self.campaign {
            self.write_campaign(campaign, off, reference, &mut commit).await;
        }
        for (campaign, case, step, off) in &self.runs {
            let queued = sample::run(CAMPAIGNS[*campaign], evaluation(*campaign), *case);
            let found = reference.run(queued.id).await.unwrap();
            let before = found.as_ref().map_or(&queued, |found| &found.value);
            // Mostly the next step of its life; one that is over, or that nobody has, cannot take it.
            let value: Run = match step {
                0 => before.clone(),
                1 => sample::claimed(before),
                2 => sample::finished(before),
                _ => sample::cancelled(before),
            };
            let found = found.as_ref().map(|found| found.revision);
            commit.runs.push(Write { expected: revision(found, *off), value });
        }
        for (run, step, off) in &self.workflow_runs {
            let cancel = WorkflowRunCommand::Cancel { reason: None };
            let commands = &[sample::claim(), cancel][..*step];
            // Two of a file, two of a stored workflow.
            let of = if *run < 2 { sample::workflow_run } else { sample::workflow_run_on };
            let queued = of(&format!("r{run}"), WORKFLOWS[run % 2]);
            let value = sample::commanded(&queued, commands);
            let found = reference.workflow_run(value.id).await.unwrap();
            let expected = revision(found.map(|found| found.revision), *off);
            commit.events.push(sample::event_of(&value));
            commit.workflow_runs.push(Write { expected, value });
        }
        if let Some((workflow, step, off)) = self.workflow {
            let (id, steps) = (WORKFLOWS[workflow], [(1, 1), (1, 2), (2, 3)]);
            let (first, last) = steps[step % 3];
            let mut value = sample::workflow(id, first, last);
            let found = reference.workflow(&value.id).await.unwrap();
            let before = found.as_ref().map(|found| found.value.versions.clone());
            for version in &value.versions {
                if !before.iter().flatten().any(|known| known == version) {
                    commit.texts.push(sample::workflow_text(id, version.number.0));
                }
            }
            if step >= 3 {
                value = sample::deleted(&value);
            }
            let found = found.map(|found| found.revision);
            let told = EventKind::WorkflowRestored { reason: None };
            commit.events.push(sample::workflow_event(id, told));
            commit.workflows = vec![Write { expected: revision(found, off), value }];
        }
        if let Some((provider, set)) = self.throttle {
            let throttle = sample::throttle(CAMPAIGNS[provider]);
            commit.throttles.insert(throttle.provider.clone(), set.then_some(throttle));
        }
        commit.blobs = self.blobs.iter().map(|byte| Blob::new(vec![*byte; 5000])).collect();
        let event = |campaign: &usize| {
            sample::event(CAMPAIGNS[*campaign], EventKind::CampaignStarted { reason: None })
        };
        commit.events.extend(self.events.iter().map(event));
        // What the engine never changes without a word.
        let is_told = self.campaign.is_some() || self.workflow.is_some() || self.throttle.is_some();
        if is_told && commit.events.is_empty() {
            commit.events.push(sample::provider_event("p"));
        }
        commit
    }

    /// A campaign, with the experiments that it has then.
    async fn write_campaign(
        &self,
        campaign: usize,
        off: u64,
        reference: &Memory,
        commit: &mut Commit,
    ) {
        let id = CAMPAIGNS[campaign];
        // The first one is on a file, the others on a stored workflow.
        let draft = match campaign {
            0 => sample::campaign(id),
            _ => sample::campaign_on(id, WORKFLOWS[campaign - 1]),
        };
        let found = reference.campaign(&draft.id).await.unwrap();
        let mut known = found.as_ref().map_or(0, |found| found.value.search.experiments);
        for number in self.experiments.iter().filter(|(of, _)| *of == campaign).map(|(_, it)| it) {
            let experiment = sample::experiment(id, *number);
            // Numbers that leave a gap are refused.
            if reference.experiment(experiment.id).await.unwrap().is_none() {
                commit.events.push(sample::proposed(&experiment));
                known += 1;
            }
            commit.experiments.push(experiment);
        }
        let hold = (off == 2).then(|| Hold::Budget { reason: "over".to_owned() });
        let funded = sample::funded(draft, &[evaluation(campaign)]);
        let value = Campaign { hold, ..sample::searched(funded, known) };
        let what = match &found {
            None => EventKind::CampaignCreated,
            Some(_) => EventKind::BackOffEnded,
        };
        commit.events.push(sample::event(id, what));
        let found = found.map(|found| found.revision);
        commit.campaigns = vec![Write { expected: revision(found, off), value }];
    }
}

fn draft() -> impl Strategy<Value = Draft> {
    let campaign = 0..CAMPAIGNS.len();
    // One in nine writes expects a wrong revision.
    let off = prop_oneof![6 => Just(0_u64), 1 => Just(1), 2 => Just(2)];
    let run = (campaign.clone(), 0..6_u32, 0..4_usize, off.clone());
    let workflow = (0..WORKFLOWS.len(), 0..6_usize, off.clone());
    (
        prop::option::weighted(0.6, (campaign.clone(), off.clone())),
        prop::option::weighted(0.4, workflow),
        prop::collection::vec((campaign.clone(), 1..4_u32), 0..2),
        prop::collection::vec(run, 0..3),
        prop::collection::vec((0..4_usize, 0..3_usize, off), 0..3),
        prop::option::weighted(0.2, (campaign.clone(), any::<bool>())),
        prop::collection::vec(0..4_u8, 0..2),
        prop::collection::vec(campaign, 0..3),
    )
        .prop_map(
            |(campaign, workflow, experiments, runs, workflow_runs, throttle, blobs, events)| {
                Draft {
                    campaign,
                    workflow,
                    experiments,
                    runs,
                    workflow_runs,
                    throttle,
                    blobs,
                    events,
                }
            },
        )
}

fn operation() -> impl Strategy<Value = Operation> {
    let filter = prop_oneof![
        Just(RunFilter::Queued),
        Just(RunFilter::Running),
        (0..CAMPAIGNS.len()).prop_map(|campaign| RunFilter::Evaluation(evaluation(campaign))),
        (0..CAMPAIGNS.len()).prop_map(|campaign| RunFilter::Open(evaluation(campaign))),
    ];
    let runs = prop_oneof![
        Just(WorkflowRunFilter::All),
        prop::sample::select(&WORKFLOWS[..])
            .prop_map(|id| WorkflowRunFilter::Workflow(WorkflowId::new(id).unwrap())),
        prop::sample::select(&WORKFLOWS[..])
            .prop_map(|id| WorkflowRunFilter::OpenOn(WorkflowId::new(id).unwrap())),
        prop::sample::select(&WorkflowRunStatus::ALL[..]).prop_map(WorkflowRunFilter::Status),
    ];
    let (limit, on) = (0..4_u32, any::<bool>());
    prop_oneof![
        12 => draft().prop_map(Operation::Commit),
        2 => (limit.clone(), on).prop_map(|(limit, on)| Operation::Campaigns { limit, on }),
        2 => (0..CAMPAIGNS.len(), limit.clone(), on)
            .prop_map(|(campaign, limit, on)| Operation::Experiments { campaign, limit, on }),
        4 => (filter, limit.clone(), on).prop_map(|(filter, limit, on)| Operation::Runs { filter, limit, on }),
        4 => (runs, limit.clone(), on)
            .prop_map(|(filter, limit, on)| Operation::WorkflowRuns { filter, limit, on }),
        2 => (0..WORKFLOWS.len(), 0..4_u32).prop_map(|(workflow, version)| Operation::Texts { workflow, version }),
        2 => (any::<bool>(), limit.clone(), on).prop_map(|(kept, limit, on)| Operation::Workflows {
            filter: if kept { WorkflowFilter::Kept } else { WorkflowFilter::Restorable }, limit, on,
        }),
        2 => (0..WORKFLOWS.len(), limit.clone(), on)
            .prop_map(|(workflow, limit, on)| Operation::CampaignsOn { workflow, limit, on }),
        2 => (-1..1_i64, limit.clone()).prop_map(|(by, limit)| Operation::Ended { by, limit }),
        2 => (0..10_u64, limit).prop_map(|(after, limit)| Operation::Events { after, limit }),
        1 => Just(Operation::Reopen),
    ]
}

fn text<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    format!("{answer:?}")
}

/// What `store` answers; `next` is the cursor of the last listing, right for this one or not.
async fn answer(
    store: &dyn Store,
    operation: &Operation,
    commit: &Commit,
    next: &mut Option<Cursor>,
) -> String {
    let page = |limit: u32, on: bool| Page { after: next.clone().filter(|_| on), limit };
    match operation {
        Operation::Commit(_) => text(store.commit(commit.clone()).await),
        Operation::Campaigns { limit, on } => {
            let found = store.campaigns(page(*limit, *on)).await;
            *next = found.as_ref().ok().and_then(|page| page.next.clone());
            text(found)
        }
        Operation::Experiments { campaign, limit, on } => {
            let id = CampaignId::new(CAMPAIGNS[*campaign]).unwrap();
            let found = store.experiments(&id, page(*limit, *on)).await;
            *next = found.as_ref().ok().and_then(|page| page.next.clone());
            text(found)
        }
        Operation::Runs { filter, limit, on } => {
            let found = store.runs(filter, page(*limit, *on)).await;
            *next = found.as_ref().ok().and_then(|page| page.next.clone());
            text(found)
        }
        Operation::Workflows { filter, limit, on } => {
            let found = store.workflows(*filter, page(*limit, *on)).await;
            *next = found.as_ref().ok().and_then(|page| page.next.clone());
            text(found)
        }
        Operation::CampaignsOn { workflow, limit, on } => {
            let id = WorkflowId::new(WORKFLOWS[*workflow]).unwrap();
            let found = store.campaigns_on(&id, page(*limit, *on)).await;
            *next = found.as_ref().ok().and_then(|page| page.next.clone());
            text(found)
        }
        Operation::WorkflowRuns { filter, limit, on } => {
            let found = store.workflow_runs(filter, page(*limit, *on)).await;
            *next = found.as_ref().ok().and_then(|page| page.next.clone());
            text(found)
        }
        Operation::Texts { workflow, version } => {
            let id = WorkflowId::new(WORKFLOWS[*workflow]).unwrap();
            text(store.workflow_text(&id, VersionNumber(*version)).await)
        }
        Operation::Ended { by, limit } => {
            let by = Timestamp(sample::NOW.0 + by);
            text(store.workflow_runs_ended(by, *limit).await)
        }
        Operation::Events { after, limit } => {
            let after = EventSeq(*after);
            let events = text(store.events(after, *limit).await);
            events + &text(store.audit(after, *limit).await)
        }
        Operation::Reopen => String::new(),
    }
}

/// So many sequences, or those that `PROPTEST_CASES` asks for.
fn sequences(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(sequences(48))]

    #[test]
    fn lmdb_answers_as_the_reference_does(operations in prop::collection::vec(operation(), 1..60)) {
        let directory = directory();
        let reference = Memory::new();
        let mut lmdb = open(directory.path());
        let mut nexts = [None, None];
        block_on(async {
            for operation in &operations {
                if let Operation::Reopen = operation {
                    drop(lmdb);
                    lmdb = open(directory.path());
                }
                let commit = match operation {
                    Operation::Commit(draft) => draft.commit(&reference).await,
                    Operation::Campaigns { .. }
                    | Operation::Experiments { .. }
                    | Operation::Runs { .. }
                    | Operation::Workflows { .. }
                    | Operation::CampaignsOn { .. }
                    | Operation::Texts { .. }
                    | Operation::WorkflowRuns { .. }
                    | Operation::Ended { .. }
                    | Operation::Events { .. }
                    | Operation::Reopen => Commit::default(),
                };
                let [of_reference, of_lmdb] = &mut nexts;
                let wanted = answer(&reference, operation, &commit, of_reference).await;
                assert_eq!(answer(&lmdb, operation, &commit, of_lmdb).await, wanted, "{operation:?}");
            }
            assert_eq!(render(&lmdb).await.unwrap(), render(&reference).await.unwrap());
            expect_intact(&lmdb).await;
        });
    }
}

/// The walk is about what is stored, so most of what it tries has to be allowed.
#[test]
fn a_walk_commits_more_than_it_is_refused() {
    let mut runner = TestRunner::deterministic();
    let reference = Memory::new();
    let (mut done, mut broken) = (0, 0);
    block_on(async {
        for _ in 0..400 {
            let draft = draft().new_tree(&mut runner).unwrap().current();
            match reference.commit(draft.commit(&reference).await).await {
                Ok(_) => done += 1,
                Err(StoreError::Invariant(_)) => broken += 1,
                Err(_) => {}
            }
        }
    });
    assert!(done > 60 && broken > 20, "{done} were committed, {broken} broke an invariant");
}
