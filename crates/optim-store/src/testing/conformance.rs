//! The suite that every backend passes.
//!
//! ```
//! # use optim_store::{memory::Memory, testing::conformance::Fixture};
//! # fn main() {}
//! optim_store::conformance_tests!(|| Fixture::volatile(Memory::new()));
//! ```

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::Poll;

use optim_core::audit::change::{Change, RecordKind};
use optim_core::audit::head::Head;
use optim_core::audit::verify::{Verifier, Whole};
use optim_core::campaign::event::{Event, EventKind};
use optim_core::campaign::{Campaign, Ending, Hold, Phase, Status};
use optim_core::digest::Digest;
use optim_core::experiment::{Experiment, ExperimentState};
use optim_core::id::{Actor, CampaignId, CaseId, RunId, WorkflowId};
use optim_core::quantity::Timestamp;
use optim_core::run::Run;
use optim_core::stored_workflow::{StoredWorkflow, VersionNumber};
use optim_core::throttle::Throttle;
use optim_core::workflow_run::WorkflowRun;
use optim_core::workflow_run::command::WorkflowRunCommand;
use optim_core::workflow_run::state::{WorkflowRunState, WorkflowRunStatus};

use crate::store::{
    Blob, Commit, Cursor, EventSeq, Page, Paged, Recorded, Revision, RunFilter, RunOutput, Store,
    StoreError, Versioned, WorkflowFilter, WorkflowRunFilter, WorkflowText, Write,
};

use super::{render, sample};

/// A backend under test: an empty store, and a way to open it again if it is durable.
pub struct Fixture {
    store: Option<Arc<dyn Store>>,
    reopen: Option<Box<dyn Fn() -> Arc<dyn Store>>>,
}

impl Fixture {
    /// A backend that forgets.
    #[must_use]
    pub fn volatile(store: impl Store) -> Self {
        Self { store: Some(Arc::new(store)), reopen: None }
    }

    /// A backend that remembers: `open` opens the same store each time, after it was closed.
    #[must_use]
    pub fn durable<S: Store>(open: impl Fn() -> S + 'static) -> Self {
        let open = move || -> Arc<dyn Store> { Arc::new(open()) };
        Self { store: Some(open()), reopen: Some(Box::new(open)) }
    }

    /// The store.
    ///
    /// # Panics
    /// Never, unless [`Fixture::reopen`] panicked.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        self.store.as_ref().unwrap()
    }

    /// Closes the store and opens it again; leaves a backend that forgets as it is.
    pub fn reopen(&mut self) {
        if let Some(reopen) = &self.reopen {
            drop(self.store.take());
            self.store = Some(reopen());
        }
    }
}

/// Runs one test of the suite to its end, on a runtime of its own.
///
/// # Panics
/// When the test fails.
pub fn block_on(test: impl Future<Output = ()>) {
    runtime().block_on(test);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// Writes one `#[test]` for each test of the suite; `$make` is a closure or function that makes a
/// [`Fixture`] with an empty store.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests!(@each $make;
            a_new_store_is_empty
            a_revision_is_created_once_and_then_grows_by_one
            of_racing_writers_exactly_one_wins
            a_commit_with_a_conflict_leaves_no_trace
            a_commit_that_nobody_waits_for_is_whole_or_absent
            records_come_back_as_they_were
            campaigns_change_together
            an_empty_commit_changes_nothing
            campaigns_are_listed_newest_first
            experiments_are_listed_by_number
            runs_are_listed_oldest_first
            run_listings_follow_the_state
            events_are_numbered_without_gaps
            every_event_is_in_the_audit_chain_with_what_its_commit_changed
            payloads_of_entries_are_dropped_inside_the_chain
            throttles_are_kept_by_provider_until_they_are_removed
            payloads_are_stored_once_and_may_be_large
            commits_that_break_a_rule_are_refused
            commits_that_break_an_invariant_are_refused_by_its_number
            what_ended_leaves_nothing_open_and_a_folder_has_one_holder
            foreign_cursors_are_refused
            page_limits_are_clamped
            the_versions_of_a_workflow_that_its_record_lists_have_their_texts
            workflows_are_listed_newest_first
            open_campaigns_on_a_workflow_are_listed_oldest_first
            no_open_campaign_is_on_a_workflow_that_is_not_in_use
            workflow_commits_that_break_a_rule_are_refused
            workflow_runs_come_back_as_they_were_and_are_listed_newest_first
            workflow_run_commits_that_break_a_rule_are_refused
            open_runs_on_a_stored_workflow_are_listed_newest_first
            no_run_begins_on_a_workflow_that_is_not_in_use_or_is_left_on_a_deleted_one
            ended_runs_are_listed_in_the_order_of_their_ends_until_they_expire
            the_outputs_of_a_run_are_kept_as_long_as_its_record_lists_them
        );
    };
    (@each $make:expr; $($name:ident)+) => {
        $(#[test]
        fn $name() {
            use $crate::testing::conformance;
            conformance::block_on(conformance::$name(($make)()));
        })+
    };
}

/// Nothing is found in a new store, and every listing is one empty page.
pub async fn a_new_store_is_empty(fixture: Fixture) {
    let store = fixture.store();
    let (id, evaluation) = (CampaignId::new("none").unwrap(), sample::evaluation("none", "none"));
    assert_eq!(store.campaign(&id).await.unwrap(), None);
    assert_eq!(store.experiment(sample::experiment("none", 1).id).await.unwrap(), None);
    assert_eq!(store.run(RunId::derive(&[])).await.unwrap(), None);
    assert_eq!(store.blob(Digest::of(b"none")).await.unwrap(), None);
    assert_eq!(store.throttles().await.unwrap(), []);
    assert_eq!(store.events(EventSeq(0), 10).await.unwrap(), []);
    assert_eq!(
        store.campaigns(Page::first()).await.unwrap(),
        Paged { items: vec![], damaged: vec![], next: None }
    );
    assert_eq!(
        store.experiments(&id, Page::first()).await.unwrap(),
        Paged { items: vec![], damaged: vec![], next: None }
    );
    let workflow = WorkflowId::new("none").unwrap();
    assert_eq!(store.workflow(&workflow).await.unwrap(), None);
    assert_eq!(store.workflow_text(&workflow, VersionNumber(1)).await.unwrap(), None);
    assert_eq!(
        store.campaigns_on(&workflow, Page::first()).await.unwrap(),
        Paged { items: vec![], damaged: vec![], next: None }
    );
    for filter in [WorkflowFilter::Kept, WorkflowFilter::Restorable] {
        assert_eq!(
            store.workflows(filter, Page::first()).await.unwrap(),
            Paged { items: vec![], damaged: vec![], next: None }
        );
    }
    for filter in [
        RunFilter::Queued,
        RunFilter::Running,
        RunFilter::Evaluation(evaluation),
        RunFilter::Open(evaluation),
    ] {
        assert_eq!(
            store.runs(&filter, Page::first()).await.unwrap(),
            Paged { items: vec![], damaged: vec![], next: None }
        );
    }
}

/// A record is written only over the revision that the writer names, and each write adds one.
pub async fn a_revision_is_created_once_and_then_grows_by_one(fixture: Fixture) {
    let store = fixture.store();
    let evaluation = sample::evaluation("c", "replay");
    let mut campaign = sample::funded(sample::campaign("c"), &[evaluation]);
    let run = sample::run("c", evaluation, 0);
    expect_conflict(store.commit(campaign_commit(1, &campaign)).await, "campaign c");
    for expected in 0..3 {
        campaign.name = format!("revision {}", expected + 1);
        let commit =
            Commit { runs: vec![write(expected, &run)], ..campaign_commit(expected, &campaign) };
        store.commit(commit).await.unwrap();
        let (found, found_run) = (stored(store, &campaign).await, stored_run(store, &run).await);
        assert_eq!(found, Versioned { revision: Revision(expected + 1), value: campaign.clone() });
        assert_eq!(found_run, Versioned { revision: Revision(expected + 1), value: run.clone() });
        for wrong in [0, expected, expected + 2, u64::MAX] {
            expect_conflict(store.commit(campaign_commit(wrong, &campaign)).await, "campaign c");
            expect_conflict(
                store.commit(runs_commit(wrong, [&run])).await,
                &format!("run {}", run.id),
            );
        }
    }
    assert_eq!(stored(store, &campaign).await.revision, Revision(3));
}

/// Of writers that decided on the same revision, one wins and the others are told.
pub async fn of_racing_writers_exactly_one_wins(fixture: Fixture) {
    const WRITERS: usize = 8;
    let store = fixture.store();
    store.commit(campaign_commit(0, &sample::campaign("c"))).await.unwrap();
    for revision in 1..=10 {
        let start = Barrier::new(WRITERS);
        let race = |writer: usize| {
            let campaign =
                Campaign { name: format!("of writer {writer}"), ..sample::campaign("c") };
            let events = vec![sample::event("c", EventKind::CampaignStarted { reason: None })];
            let commit = Commit { events, ..campaign_commit(revision, &campaign) };
            start.wait();
            runtime().block_on(store.commit(commit)).ok().map(|_| campaign.name)
        };
        let winners = std::thread::scope(|scope| {
            let race = &race;
            let writers: Vec<_> =
                (0..WRITERS).map(|writer| scope.spawn(move || race(writer))).collect();
            writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        let found = stored(store, &sample::campaign("c")).await;
        assert_eq!((winners, revision + 1), (vec![found.value.name], found.revision.0));
    }
    assert_eq!(store.events(EventSeq(0), 500).await.unwrap().len(), 11);
}

/// A conflict of the last record leaves nothing of the ones before it, and of the payloads and events.
pub async fn a_commit_with_a_conflict_leaves_no_trace(fixture: Fixture) {
    let store = fixture.store();
    let evaluation = sample::evaluation("c", "replay");
    let [first, second] = [0, 1].map(|case| sample::run("c", evaluation, case));
    let campaign = sample::funded(sample::campaign("c"), &[evaluation]);
    let commit = Commit { runs: vec![write(0, &first)], ..campaign_commit(0, &campaign) };
    store.commit(commit).await.unwrap();
    let told = store.events(EventSeq(0), 10).await.unwrap();
    let blob = Blob::new(b"of a refused commit".to_vec());
    let commit = Commit {
        experiments: vec![sample::experiment("c", 1)],
        runs: vec![write(0, &second), write(0, &sample::claimed(&first))],
        blobs: vec![blob.clone()],
        events: vec![sample::event("c", EventKind::CampaignStarted { reason: None })],
        ..campaign_commit(1, &Campaign { name: "changed".to_owned(), ..campaign.clone() })
    };
    expect_conflict(store.commit(commit).await, &format!("run {}", first.id));
    assert_eq!(stored(store, &campaign).await.value, campaign);
    assert_eq!(store.experiment(sample::experiment("c", 1).id).await.unwrap(), None);
    assert_eq!(store.run(second.id).await.unwrap(), None);
    assert_eq!(stored_run(store, &first).await.value, first);
    assert_eq!(list_runs(store, &RunFilter::Queued).await, [first.id]);
    assert_eq!(list_runs(store, &RunFilter::Open(evaluation)).await, [first.id]);
    assert_eq!(store.blob(blob.digest()).await.unwrap(), None);
    assert_eq!(store.events(EventSeq(0), 10).await.unwrap(), told);
}

/// A commit whose future is dropped takes effect as a whole or not at all.
pub async fn a_commit_that_nobody_waits_for_is_whole_or_absent(fixture: Fixture) {
    let store = fixture.store();
    for number in 0..20 {
        let id = format!("c{number}");
        let events = vec![sample::event(&id, EventKind::CampaignCreated)];
        let commit = Commit { events, ..campaign_commit(0, &sample::campaign(&id)) };
        let mut abandoned = pin!(store.commit(commit));
        std::future::poll_fn(|context| {
            let _ready_or_not: Poll<_> = abandoned.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    store.commit(campaign_commit(0, &sample::campaign("last"))).await.unwrap();
    let mut announced = Vec::new();
    for recorded in store.events(EventSeq(0), 500).await.unwrap() {
        announced.extend(recorded.event.subject.campaign().cloned());
    }
    for number in 0..20 {
        let id = CampaignId::new(format!("c{number}")).unwrap();
        assert_eq!(store.campaign(&id).await.unwrap().is_some(), announced.contains(&id), "{id}");
    }
}

/// Every record is read back as it was written, also after the store was opened again.
pub async fn records_come_back_as_they_were(mut fixture: Fixture) {
    let evaluation = sample::evaluation("c", "replay");
    let queued = sample::run("c", evaluation, 0);
    let running = sample::claimed(&sample::run("c", evaluation, 1));
    let finished = sample::finished(&sample::claimed(&sample::run("c", evaluation, 2)));
    let cancelled = sample::cancelled(&sample::run("c", evaluation, 3));
    let runs = [queued, running, finished, cancelled];
    let funded = sample::funded(sample::campaign("c"), &[evaluation]);
    let (campaign, experiment) = sample::reviewed(funded, sample::experiment("c", 1));
    let hold = Some(Hold::Operator { actor: Actor::new("local:ünal").unwrap(), reason: None });
    let campaign = Campaign { hold, ..campaign };
    let events = vec![
        sample::event("c", EventKind::CampaignCreated),
        sample::proposed(&experiment),
        sample::event(
            "c",
            EventKind::CampaignHeld { reason: Hold::Budget { reason: "票".to_owned() } },
        ),
        sample::event("c", EventKind::CandidateSuggested { mutation: "\0\u{7f}\"\\".to_owned() }),
    ];
    let commit = Commit {
        experiments: vec![experiment.clone()],
        runs: runs.iter().map(|run| write(0, run)).collect(),
        events: events.clone(),
        ..campaign_commit(0, &campaign)
    };
    let committed = fixture.store().commit(commit).await.unwrap();
    assert_eq!(committed.last_event, EventSeq(4));
    for _ in 0..2 {
        let store = fixture.store();
        assert_eq!(
            stored(store, &campaign).await,
            Versioned { revision: Revision(1), value: campaign.clone() }
        );
        let found = store.experiment(experiment.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&experiment));
        for run in &runs {
            assert_eq!(
                stored_run(store, run).await,
                Versioned { revision: Revision(1), value: run.clone() }
            );
        }
        let found = store.events(EventSeq(0), 500).await.unwrap();
        assert_eq!(found.into_iter().map(|recorded| recorded.event).collect::<Vec<_>>(), events);
        fixture.reopen();
    }
}

/// Several campaigns change together, each with its experiments; a conflict of one stops them all.
pub async fn campaigns_change_together(fixture: Fixture) {
    let store = fixture.store();
    let both = |expected: [u64; 2]| {
        let [c, d] = ["c", "d"].map(|id| sample::searched(sample::campaign(id), 1));
        let experiments = ["c", "d"].map(|id| sample::experiment(id, 1));
        let created =
            [&c, &d].map(|one| sample::event(one.id.as_str(), EventKind::CampaignCreated));
        Commit {
            campaigns: vec![write(expected[0], &c), write(expected[1], &d)],
            events: experiments.iter().map(sample::proposed).chain(created).collect(),
            experiments: experiments.to_vec(),
            ..Commit::default()
        }
    };
    store.commit(both([0, 0])).await.unwrap();
    let conflict = store.commit(both([1, 0])).await.unwrap_err();
    assert!(matches!(conflict, StoreError::Conflict { .. }), "{conflict}");
    for id in ["c", "d"] {
        let id = CampaignId::new(id).unwrap();
        assert_eq!(store.campaign(&id).await.unwrap().unwrap().revision, Revision(1));
        let listed = store.experiments(&id, Page::first()).await.unwrap().items;
        assert_eq!(listed, [sample::experiment(id.as_str(), 1)]);
    }
}

/// An empty commit is allowed and changes nothing.
pub async fn an_empty_commit_changes_nothing(fixture: Fixture) {
    let store = fixture.store();
    assert_eq!(store.commit(Commit::default()).await.unwrap().last_event, EventSeq(0));
    let events = vec![sample::event("c", EventKind::CampaignCreated)];
    store.commit(Commit { events, ..campaign_commit(0, &sample::campaign("c")) }).await.unwrap();
    assert_eq!(store.commit(Commit::default()).await.unwrap().last_event, EventSeq(1));
}

/// Campaigns are listed newest first; one that is added between two pages comes in no later page,
/// and one that changes stays where it is.
pub async fn campaigns_are_listed_newest_first(fixture: Fixture) {
    let store = fixture.store();
    let add = async |number: u32| {
        let campaign = sample::campaign(&format!("c{number}"));
        store.commit(campaign_commit(0, &campaign)).await.unwrap();
    };
    for number in 0..7 {
        add(number).await;
    }
    let pages = pages(3, async |page, turn| {
        let found = store.campaigns(page).await.unwrap();
        add(100 + turn).await;
        let touched = sample::campaign(&format!("c{turn}"));
        store.commit(campaign_commit(1, &touched)).await.unwrap();
        found
    });
    let ids: Vec<_> = pages.await.into_iter().map(|campaign| campaign.id.to_string()).collect();
    assert_eq!(ids, ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]);

    let held = Campaign {
        hold: Some(Hold::Budget { reason: "over".to_owned() }),
        name: "Änderung".to_owned(),
        ..sample::campaign("c6")
    };
    store.commit(campaign_commit(1, &held)).await.unwrap();
    let first = store.campaigns(Page::first()).await.unwrap().items;
    let found = first.iter().find(|campaign| campaign.id == held.id).unwrap();
    assert_eq!((found.status, &found.name), (Status::PausedBudget, &held.name));
}

/// Experiments are listed by number, whatever the order in which they came, and of one campaign only.
pub async fn experiments_are_listed_by_number(fixture: Fixture) {
    let store = fixture.store();
    let (mut revision, mut known) = (0, 0);
    let mut add = async |count: u32| {
        for id in ["c", "d"] {
            let numbers = (known + 1..=known + count).rev();
            let experiments = numbers.map(|number| sample::experiment(id, number)).collect();
            let campaign = sample::searched(sample::campaign(id), known + count);
            store.commit(proposing(revision, &campaign, experiments)).await.unwrap();
        }
        (revision, known) = (revision + 1, known + count);
    };
    add(3).await;
    add(297).await;
    let id = CampaignId::new("c").unwrap();
    let pages = pages(70, async |page, turn| {
        let found = store.experiments(&id, page).await.unwrap();
        // A page that is not full ends the listing.
        add(u32::from(turn < 2)).await;
        found
    });
    let found = pages.await;
    assert!(found.iter().all(|experiment| experiment.campaign == id));
    let numbers: Vec<_> = found.iter().map(|experiment| experiment.number).collect();
    assert_eq!(numbers, (1..=302).collect::<Vec<_>>());
}

/// Every listing of runs is oldest first; a run that is added or changes its state between two
/// pages makes no other one come twice or not at all.
pub async fn runs_are_listed_oldest_first(fixture: Fixture) {
    let store = fixture.store();
    store.commit(campaign_commit(0, &sample::campaign("c"))).await.unwrap();
    let evaluation = sample::evaluation("c", "replay");
    let other = sample::evaluation("c", "candidate");
    let run = |case| sample::run("c", evaluation, case);
    for case in 0..8 {
        store.commit(runs_commit(0, [&run(case), &sample::run("c", other, case)])).await.unwrap();
    }
    for filter in
        [RunFilter::Evaluation(evaluation), RunFilter::Open(evaluation), RunFilter::Queued]
    {
        let pages = pages(3, async |page, turn| {
            let found = store.runs(&filter, page).await.unwrap();
            let added =
                sample::run("c", other, 100 * (1 + u32::from(filter == RunFilter::Queued)) + turn);
            if store.run(added.id).await.unwrap().is_none() {
                store.commit(runs_commit(0, [&added])).await.unwrap();
            }
            found
        });
        let found: Vec<_> = pages
            .await
            .into_iter()
            .map(|run| run.id)
            .filter(|id| (0..8).any(|c| run(c).id == *id))
            .collect();
        assert_eq!(found, (0..8).map(|case| run(case).id).collect::<Vec<_>>(), "{filter:?}");
    }
    // The first one leaves the listing, one of the rest comes later: nothing else moves.
    let page = Page { after: None, limit: 3 };
    let first = store.runs(&RunFilter::Open(evaluation), page).await.unwrap();
    store
        .commit(runs_commit(1, [&sample::cancelled(&run(0)), &sample::cancelled(&run(4))]))
        .await
        .unwrap();
    let rest = store
        .runs(&RunFilter::Open(evaluation), Page { after: first.next, limit: 500 })
        .await
        .unwrap();
    assert_eq!(
        rest.items.iter().map(|run| run.id).collect::<Vec<_>>(),
        [3, 5, 6, 7].map(|case| run(case).id)
    );
}

/// A run is in exactly the listings that its state says, at each step of its life.
pub async fn run_listings_follow_the_state(mut fixture: Fixture) {
    fixture.store().commit(campaign_commit(0, &sample::campaign("c"))).await.unwrap();
    let [first, other] = ["first", "other"].map(|purpose| sample::evaluation("c", purpose));
    let queued = sample::run("c", first, 0);
    let running = sample::claimed(&queued);
    let requeued = Run { state: queued.state.clone(), ..running.clone() };
    let again = sample::claimed(&requeued);
    let finished = sample::finished(&again);
    let unlucky = sample::run("c", other, 0);
    let cancelled = sample::cancelled(&unlucky);
    for life in
        [&[&queued, &running, &requeued, &again, &finished][..], &[&unlucky, &cancelled][..]]
    {
        for (expected, run) in (0..).zip(life) {
            fixture.store().commit(runs_commit(expected, [run])).await.unwrap();
            fixture.reopen();
            let store = fixture.store();
            let evaluation = run.evaluation;
            for filter in [
                RunFilter::Queued,
                RunFilter::Running,
                RunFilter::Open(evaluation),
                RunFilter::Evaluation(evaluation),
                RunFilter::Open(sample::evaluation("c", "none")),
                RunFilter::Evaluation(sample::evaluation("c", "none")),
            ] {
                let wanted = if filter.admits(run) { vec![run.id] } else { vec![] };
                let found = list_runs(store, &filter).await;
                assert_eq!(found, wanted, "{filter:?} after {expected} changes");
            }
            let of_evaluation = RunFilter::Evaluation(evaluation);
            let listed = store.runs(&of_evaluation, Page::first()).await.unwrap().items;
            assert_eq!(listed[0].epoch, run.epoch);
        }
    }
}

/// Events have the numbers 1, 2, 3, …, in the order of the commits, and are read from any number on.
pub async fn events_are_numbered_without_gaps(mut fixture: Fixture) {
    let event = |number: u32| match number {
        1 => sample::event("c", EventKind::CampaignCreated),
        _ => sample::event("c", EventKind::CandidateSuggested { mutation: number.to_string() }),
    };
    let store = fixture.store();
    store.commit(campaign_commit(0, &sample::campaign("c"))).await.unwrap();
    let mut last = 1;
    for size in [0, 1, 2, 0, 5, 600] {
        let events = (last + 1..=last + size).map(event).collect();
        last += size;
        let committed = store.commit(Commit { events, ..Commit::default() }).await.unwrap();
        assert_eq!(committed.last_event, EventSeq(last.into()));
        // A refused commit uses up no number.
        let refused =
            Commit { events: vec![event(0)], ..campaign_commit(9, &sample::campaign("c")) };
        expect_conflict(store.commit(refused).await, "campaign c");
    }
    fixture.reopen();
    let store = fixture.store();
    for (after, limit, wanted) in
        [(0, 3, 1..=3), (3, 2, 4..=5), (607, 10, 608..=609), (0, 0, 1..=1), (7, 501, 8..=507)]
    {
        let found = store.events(EventSeq(after), limit).await.unwrap();
        assert_eq!(
            found.iter().map(|event| event.seq.0).collect::<Vec<_>>(),
            wanted.collect::<Vec<u64>>()
        );
        for recorded in found {
            assert_eq!(recorded.event, event(u32::try_from(recorded.seq.0).unwrap()));
        }
    }
    assert_eq!(store.events(EventSeq(609), 10).await.unwrap(), []);
    assert_eq!(store.events(EventSeq(u64::MAX), 10).await.unwrap(), []);
}

/// The audit chain has one entry for each event. The last one of a commit says which records changed from
/// what to what; a refused commit leaves the chain as it was.
pub async fn every_event_is_in_the_audit_chain_with_what_its_commit_changed(mut fixture: Fixture) {
    let store = fixture.store();
    assert_eq!(store.audit_head().await.unwrap(), Head::default());
    let evaluation = sample::evaluation("c", "replay");
    let campaign = sample::searched(sample::funded(sample::campaign("c"), &[evaluation]), 1);
    let first = Commit {
        runs: vec![write(0, &sample::run("c", evaluation, 0))],
        throttles: [sample::throttle("p")].map(|it| (it.provider.clone(), Some(it))).into(),
        ..proposing(0, &campaign, vec![sample::experiment("c", 1)])
    };
    let lifted = [(sample::throttle("p").provider, None)].into();
    store.commit(first).await.unwrap();
    let head = store.audit_head().await.unwrap();
    expect_conflict(store.commit(campaign_commit(9, &campaign)).await, "campaign c");
    assert_eq!(store.audit_head().await.unwrap(), head);
    store.commit(untold(1, &campaign)).await.unwrap();
    assert_eq!(store.audit_head().await.unwrap(), head, "no event, no entry");
    let events = vec![sample::event("c", EventKind::BackOffEnded); 2];
    let second = Commit { throttles: lifted, events, ..untold(2, &campaign) };
    store.commit(second).await.unwrap();
    fixture.reopen();
    let store = fixture.store();
    let entries = store.audit(EventSeq(0), 500).await.unwrap();
    let mut verifier = Verifier::new(Some(head));
    entries.iter().for_each(|entry| verifier.take(entry).unwrap());
    let head = store.audit_head().await.unwrap();
    assert_eq!(verifier.finish().unwrap(), Whole { head, dropped: 0 });
    let events = store.events(EventSeq(0), 500).await.unwrap();
    let of_entries = entries
        .iter()
        .map(|entry| Recorded { seq: EventSeq(entry.seq), event: entry.event().unwrap().unwrap() });
    assert_eq!(of_entries.collect::<Vec<_>>(), events);
    let changes = entries.iter().map(|entry| entry.changes().unwrap().unwrap());
    let [none, created, nothing, changed] = changes.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((none, nothing), (Vec::new(), Vec::new()));
    let kinds = |changes: &[Change]| changes.iter().map(|it| it.kind).collect::<Vec<_>>();
    let all = [RecordKind::Campaign, RecordKind::Experiment, RecordKind::Run, RecordKind::Throttle];
    assert_eq!(kinds(&created), all);
    assert!(created.iter().all(|it| it.before.is_none() && it.after.is_some()), "{created:?}");
    assert_eq!(kinds(&changed), [RecordKind::Campaign, RecordKind::Throttle]);
    let campaign = serde_json::to_vec(&store.campaign(&sample::campaign("c").id).await.unwrap());
    assert_eq!(changed[0].after, Some(Digest::of(&campaign.unwrap())));
    assert_eq!((changed[0].revision, created[0].revision), (Some(3), Some(1)));
    assert!(changed[0].before.is_some_and(|before| Some(before) != created[0].after));
    assert_eq!((changed[1].before, changed[1].after), (created[3].after, None));
    assert_eq!(store.audit(EventSeq(1), 2).await.unwrap(), entries[1..3]);
    assert_eq!(store.audit(EventSeq(4), 1).await.unwrap(), []);
}

/// Entries lose their payloads, all that are named or none, and the chain holds and goes on.
pub async fn payloads_of_entries_are_dropped_inside_the_chain(mut fixture: Fixture) {
    let told = |mutation: &str| Commit {
        events: vec![sample::event(
            "c",
            EventKind::CandidateSuggested { mutation: mutation.to_owned() },
        )],
        ..Commit::default()
    };
    let seqs = |seqs: &[u64]| seqs.iter().copied().map(EventSeq).collect::<Vec<_>>();
    let store = fixture.store();
    store.commit(campaign_commit(0, &sample::campaign("c"))).await.unwrap();
    for number in 2..=5 {
        store.commit(told(&number.to_string())).await.unwrap();
    }
    let before = store.audit(EventSeq(0), 500).await.unwrap();
    for unknown in [0, 6, u64::MAX] {
        let refused = store.drop_payloads(&seqs(&[2, unknown])).await.unwrap_err();
        assert_eq!(refused.code(), "commit_refused", "{refused}");
    }
    assert_eq!(store.audit(EventSeq(0), 500).await.unwrap(), before);
    assert_eq!(store.drop_payloads(&[]).await.unwrap(), 0);
    assert_eq!(store.drop_payloads(&seqs(&[4, 1])).await.unwrap(), 2);
    assert_eq!(store.drop_payloads(&seqs(&[4, 2, 2])).await.unwrap(), 1, "two are gone already");
    fixture.reopen();
    let store = fixture.store();
    store.commit(told("6")).await.unwrap();
    let entries = store.audit(EventSeq(0), 500).await.unwrap();
    for (entry, before) in entries.iter().zip(before) {
        let is_dropped = [1, 2, 4].contains(&entry.seq);
        assert_eq!(*entry, if is_dropped { before.without_payload() } else { before });
    }
    let mut verifier = Verifier::new(Some(entries[4].head()));
    entries.iter().for_each(|entry| verifier.take(entry).unwrap());
    let head = store.audit_head().await.unwrap();
    assert_eq!(verifier.finish().unwrap(), Whole { head, dropped: 3 });
    let left = store.events(EventSeq(0), 2).await.unwrap();
    assert_eq!(left.iter().map(|event| event.seq).collect::<Vec<_>>(), seqs(&[3, 5]));
    assert_eq!(store.events(EventSeq(5), 2).await.unwrap()[0].seq, EventSeq(6));
}

/// The last throttle that was written for a provider holds, until it is removed.
pub async fn throttles_are_kept_by_provider_until_they_are_removed(mut fixture: Fixture) {
    let set = |throttle: &Throttle| (throttle.provider.clone(), Some(throttle.clone()));
    let lift = |throttle: &Throttle| (throttle.provider.clone(), None);
    let [p, q] = ["p", "q"].map(sample::throttle);
    let shorter = Throttle { until: p.since, ..p.clone() };
    for (changes, wanted) in [
        (vec![set(&q), set(&p)], vec![&p, &q]),
        (vec![set(&shorter)], vec![&shorter, &q]),
        (vec![lift(&p)], vec![&q]),
        (vec![lift(&p), lift(&q), set(&p)], vec![&p]),
    ] {
        let mut throttles = BTreeMap::new();
        throttles.extend(changes);
        fixture.store().commit(Commit { throttles, ..Commit::default() }).await.unwrap();
        fixture.reopen();
        assert_eq!(fixture.store().throttles().await.unwrap().iter().collect::<Vec<_>>(), wanted);
    }
    let misplaced = BTreeMap::from([(q.provider, Some(p))]);
    expect_refused(
        fixture.store().commit(Commit { throttles: misplaced, ..Commit::default() }).await,
    );
}

/// A payload is stored once, however often it comes; empty and large ones too.
pub async fn payloads_are_stored_once_and_may_be_large(mut fixture: Fixture) {
    let large: Vec<u8> = (0..8 * 1024 * 1024_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
        .collect();
    let blobs = [Blob::new(large), Blob::new(Vec::new()), Blob::new(b"small".to_vec())];
    for _ in 0..2 {
        let commit = Commit { blobs: blobs.to_vec(), ..Commit::default() };
        fixture.store().commit(commit).await.unwrap();
        fixture.reopen();
        for blob in &blobs {
            let found = fixture.store().blob(blob.digest()).await.unwrap();
            assert!(found.as_deref() == Some(blob.bytes()), "{:?}", blob.digest());
        }
    }
    let half = vec![0; Commit::BLOB_BYTES_MAX / 2];
    let too_much = Commit {
        blobs: vec![Blob::new(half.clone()), Blob::new(half), Blob::new(vec![1])],
        ..Commit::default()
    };
    expect_refused(fixture.store().commit(too_much).await);
}

/// The rules of [`Commit`] hold; a commit that breaks one changes nothing.
pub async fn commits_that_break_a_rule_are_refused(fixture: Fixture) {
    let store = fixture.store();
    let evaluation = sample::evaluation("c", "replay");
    let run = sample::run("c", evaluation, 0);
    let one = sample::experiment("c", 1);
    let campaign = sample::searched(sample::funded(sample::campaign("c"), &[evaluation]), 1);
    let base = |expected| campaign_commit(expected, &campaign);
    store.commit(campaign_commit(0, &sample::campaign("d"))).await.unwrap();
    let proposed = proposing(0, &campaign, vec![one.clone()]);
    store.commit(Commit { runs: vec![write(0, &run)], ..proposed }).await.unwrap();
    let told = store.events(EventSeq(0), 10).await.unwrap();

    let mut renumbered = one.clone();
    renumbered.number = 2;
    let mut usurper = sample::experiment("c", 2);
    usurper.number = 1;
    let mut moved = one.clone();
    moved.campaign = CampaignId::new("d").unwrap();
    let with = |experiments| Commit { experiments, ..base(1) };
    let change = |change: fn(&mut Run)| {
        let mut run = run.clone();
        change(&mut run);
        runs_commit(1, [&run])
    };
    let new_run = sample::run("c", evaluation, 1);
    let unknown = sample::event("unknown", EventKind::CampaignStarted { reason: None });
    let again = base(2).campaigns;
    let twice = Commit { campaigns: [base(1).campaigns, again].concat(), ..Commit::default() };
    let broken = [
        Commit { experiments: vec![one.clone()], ..Commit::default() },
        Commit { experiments: vec![one.clone()], ..campaign_commit(1, &sample::campaign("d")) },
        Commit { experiments: vec![moved], ..campaign_commit(1, &sample::campaign("d")) },
        with(vec![renumbered]),
        with(vec![usurper]),
        with(vec![one.clone(), one.clone()]),
        twice,
        runs_commit(0, [&new_run, &new_run]),
        runs_commit(0, [&sample::run("unknown", evaluation, 2)]),
        Commit { events: vec![unknown.clone()], ..Commit::default() },
        Commit { events: vec![unknown], ..base(1) },
        change(|run| run.campaign = CampaignId::new("d").unwrap()),
        change(|run| run.evaluation = sample::evaluation("c", "other")),
        change(|run| run.case = CaseId::new("other").unwrap()),
        change(|run| run.snapshot = Digest::of(b"other")),
    ];
    for (number, commit) in broken.into_iter().enumerate() {
        match store.commit(commit).await {
            Err(StoreError::Refused(_)) => {}
            answer => panic!("commit {number} was answered {answer:?}"),
        }
    }
    assert_eq!(stored(store, &sample::campaign("c")).await.revision, Revision(1));
    assert_eq!(stored_run(store, &run).await, Versioned { revision: Revision(1), value: run });
    assert_eq!(store.experiment(one.id).await.unwrap(), Some(one));
    assert_eq!(store.run(new_run.id).await.unwrap(), None);
    assert_eq!(store.events(EventSeq(0), 10).await.unwrap(), told);
}

/// A commit that would break an invariant is refused with its number, and leaves no trace.
pub async fn commits_that_break_an_invariant_are_refused_by_its_number(fixture: Fixture) {
    let store = fixture.store();
    let evaluation = sample::evaluation("c", "replay");
    let funded = sample::funded(sample::campaign("c"), &[evaluation]);
    let (campaign, pending) = sample::reviewed(funded, sample::experiment("c", 1));
    let [queued, other] = [0, 1].map(|case| sample::run("c", evaluation, case));
    let claimed = sample::claimed(&queued);
    let ended = sample::cancelled(&other);
    let runs = [&claimed, &ended].map(|run| write(0, run)).to_vec();
    let first = Commit { runs, ..proposing(0, &campaign, vec![pending.clone()]) };
    store.commit(first).await.unwrap();
    let workflow = sample::workflow("w", 2, 2);
    let texts = vec![sample::workflow_text("w", 2)];
    store.commit(workflow_commit(0, &workflow, texts)).await.unwrap();
    let run = sample::claimed_workflow_run(&sample::workflow_run("r", "w"));
    store.commit(workflow_run_commit(0, &run)).await.unwrap();
    let over = closed(sample::campaign("over"));
    let created = vec![sample::event("over", EventKind::CampaignCreated), told(1, &over).remove(0)];
    store.commit(Commit { events: created, ..untold(0, &over) }).await.unwrap();
    let before = render(store.as_ref()).await.unwrap();

    let next = |change: fn(&mut Campaign)| {
        let mut next = campaign.clone();
        change(&mut next);
        campaign_commit(1, &next)
    };
    let told_as = |what: EventKind, commit: Commit| {
        let mut commit = commit;
        commit.events.push(sample::event("c", what));
        commit
    };
    let (approved, moved) = sample::approved(&campaign, &pending);
    let approval = EventKind::CandidateApproved {
        experiment: pending.id,
        version: 1,
        reason: None,
        anyway: None,
    };
    let approve = |campaign: &Campaign, experiment: &Experiment| {
        let commit =
            Commit { experiments: vec![experiment.clone()], ..campaign_commit(1, campaign) };
        told_as(approval.clone(), commit)
    };
    let changed = |change: fn(&mut Experiment)| {
        let mut one = pending.clone();
        change(&mut one);
        let mut next = campaign.clone();
        next.phase = Phase::AwaitingApproval { experiment: Box::new(one.clone()) };
        Commit { experiments: vec![one], ..campaign_commit(1, &next) }
    };
    let new_run = sample::run("c", sample::evaluation("c", "unpaid"), 0);
    let misnamed = Run { id: RunId::derive(&[b"x"]), ..sample::run("c", evaluation, 7) };
    let broken = [
        (1, "what waits is forgotten", next(|campaign| campaign.phase = Phase::Searching)),
        (2, "a version is another one", {
            let mut other = workflow.clone();
            other.versions[0].definition.name = "another".to_owned();
            let text = sample::workflow_text("w", 2);
            workflow_commit(1, &other, vec![text])
        }),
        (3, "the baseline moves by itself", next(|campaign| campaign.baseline.version += 1)),
        (3, "the baseline skips a version", {
            let mut skips = moved.clone();
            skips.baseline.version += 1;
            approve(&skips, &approved)
        }),
        (3, "the baseline does not move", {
            let stays = Campaign { baseline: campaign.baseline.clone(), ..moved.clone() };
            approve(&stays, &approved)
        }),
        (
            4,
            "the judge said something else",
            changed(|one| {
                let ExperimentState::NeedsReview(judged) = one.state.clone() else { return };
                one.state = ExperimentState::Recommended(judged);
            }),
        ),
        (5, "what is over goes on", campaign_commit(1, &sample::campaign("over"))),
        (
            5,
            "a run that is over goes on",
            runs_commit(1, [&Run { state: queued.state.clone(), ..ended.clone() }]),
        ),
        (5, "a workflow goes back", {
            let text = sample::workflow_text("w", 1);
            workflow_commit(1, &sample::workflow("w", 1, 1), vec![text])
        }),
        (
            7,
            "a run is not paid",
            Commit {
                runs: vec![write(0, &new_run)],
                ..next(|campaign| campaign.name = "another".to_owned())
            },
        ),
        (7, "more experiments than the budget has", {
            let mut campaign = campaign.clone();
            let more: Vec<_> = (2..=1_001).map(|number| sample::experiment("c", number)).collect();
            campaign.search.experiments = 1_001;
            proposing(1, &campaign, more)
        }),
        (9, "a number is left out", {
            let campaign = sample::searched(campaign.clone(), 3);
            proposing(1, &campaign, vec![sample::experiment("c", 3)])
        }),
        (9, "a run has an id of its own", runs_commit(0, [&misnamed])),
        (10, "a candidate becomes another one", changed(|one| one.candidate = one.baseline)),
        (11, "the policies change", next(|campaign| campaign.frozen.search_cases += 1)),
        (
            12,
            "a write ends that was not announced",
            told_as(
                EventKind::LiveWriteFailed { reason: "none".to_owned() },
                next(|campaign| campaign.name = "another".to_owned()),
            ),
        ),
        (14, "nobody approves", {
            let mut approved = approved.clone();
            if let ExperimentState::Approved { by, .. } = &mut approved.state {
                by.actor = Actor::engine();
            }
            approve(&moved, &approved)
        }),
        (15, "a claim has the epoch of an earlier one", {
            runs_commit(1, [&Run { epoch: queued.epoch, ..claimed.clone() }])
        }),
        (15, "a worker takes what another one has", runs_commit(1, [&sample::claimed(&claimed)])),
        (15, "a workflow run goes back to an earlier claim", {
            let back = WorkflowRun { epoch: sample::workflow_run("r", "w").epoch, ..run.clone() };
            workflow_run_commit(1, &back)
        }),
        (
            31,
            "nothing is told",
            Commit { events: Vec::new(), ..next(|campaign| campaign.name = "another".to_owned()) },
        ),
        (
            31,
            "an approval is not told",
            Commit { experiments: vec![approved.clone()], ..campaign_commit(1, &moved) },
        ),
        (
            31,
            "a campaign begins twice",
            told_as(
                EventKind::CampaignCreated,
                next(|campaign| campaign.name = "another".to_owned()),
            ),
        ),
    ];
    for (number, name, commit) in broken {
        expect_broken(store.commit(commit).await, number, name);
        assert_eq!(render(store.as_ref()).await.unwrap(), before, "{name}");
    }
    store.commit(approve(&moved, &approved)).await.unwrap();
}

/// A campaign that ends, or gives up an evaluation, ends the case runs in the same commit; and two workflow
/// runs are at work in one folder at no time.
pub async fn what_ended_leaves_nothing_open_and_a_folder_has_one_holder(fixture: Fixture) {
    let store = fixture.store();
    let (campaign, evaluation) = sample::replaying("c");
    let [one, two] = [0, 1].map(|case| sample::run("c", evaluation, case));
    let runs = [&one, &two].map(|run| write(0, run)).to_vec();
    store.commit(Commit { runs, ..campaign_commit(0, &campaign) }).await.unwrap();
    let ending = |expected, runs: &[&Run]| Commit {
        runs: runs.iter().map(|run| write(expected, *run)).collect(),
        ..campaign_commit(1, &closed(campaign.clone()))
    };
    let idle = Campaign { phase: Phase::Replaying { evaluation: None }, ..campaign.clone() };
    expect_broken(store.commit(campaign_commit(1, &idle)).await, 21, "it is given up");
    expect_broken(store.commit(ending(1, &[])).await, 22, "both are left");
    let cancelled = [&one, &two].map(sample::cancelled);
    expect_broken(store.commit(ending(1, &[&cancelled[0]])).await, 22, "one is left");
    expect_broken(
        store.commit(ending(1, &[&cancelled[0], &sample::claimed(&two)])).await,
        22,
        "one",
    );
    store.commit(ending(1, &[&cancelled[0], &cancelled[1]])).await.unwrap();
    let late = sample::run("c", evaluation, 2);
    let late = Commit { runs: vec![write(0, &late)], ..untold(2, &closed(campaign.clone())) };
    expect_broken(store.commit(late).await, 22, "it begins after the end");

    let at = |id, workspace: &str| WorkflowRun {
        workspace: workspace.to_owned(),
        ..sample::claimed_workflow_run(&sample::workflow_run(id, "w"))
    };
    store.commit(workflow_run_commit(0, &at("one", "/home/a/b"))).await.unwrap();
    store.commit(workflow_run_commit(0, &at("beside", "/home/a/b-c"))).await.unwrap();
    for workspace in ["/home/a/b", "/home/a/b/c", "/home/a", "/"] {
        let commit = workflow_run_commit(0, &at("two", workspace));
        expect_broken(store.commit(commit).await, 18, workspace);
    }
    let ended = sample::ended(&at("one", "/home/a/b"));
    let both = Commit {
        workflow_runs: vec![write(1, &ended), write(0, &at("two", "/home/a/b"))],
        events: [&ended, &at("two", "/home/a/b")].map(sample::event_of).to_vec(),
        ..Commit::default()
    };
    store.commit(both).await.unwrap();
}

/// A cursor is good for the listing that it came from, and for nothing else.
pub async fn foreign_cursors_are_refused(fixture: Fixture) {
    let store = fixture.store();
    let evaluation = sample::evaluation("c", "replay");
    let [c, d] = ["c", "d"].map(|id| CampaignId::new(id).unwrap());
    for id in [&c, &d].map(CampaignId::as_str) {
        let evaluation = sample::evaluation(id, "replay");
        let campaign = sample::searched(sample::funded(sample::campaign(id), &[evaluation]), 2);
        let experiments = [1, 2].map(|number| sample::experiment(id, number)).to_vec();
        let runs = [0, 1].map(|case| write(0, &sample::run(id, evaluation, case))).to_vec();
        store.commit(Commit { runs, ..proposing(0, &campaign, experiments) }).await.unwrap();
    }
    let page = |after| Page { after, limit: 1 };
    let of_campaigns = store.campaigns(page(None)).await.unwrap().next;
    let of_experiments = store.experiments(&c, page(None)).await.unwrap().next;
    let of_runs = store.runs(&RunFilter::Evaluation(evaluation), page(None)).await.unwrap().next;
    let mut bad = vec![
        String::new(),
        "x".to_owned(),
        "ä".repeat(12),
        "0".repeat(24),
        "f".repeat(24),
        "0".repeat(1000),
    ];
    for cursor in [&of_campaigns, &of_experiments, &of_runs] {
        let Cursor(text) = cursor.clone().unwrap();
        bad.extend([
            format!("{text}0"),
            format!("+{text}"),
            text.to_uppercase() + " ",
            text.replace('0', "1"),
        ]);
    }
    let bad: Vec<_> = bad.into_iter().map(|text| Some(Cursor(text))).collect();
    for cursor in bad.iter().chain([&of_experiments, &of_runs]) {
        expect_bad_cursor(store.campaigns(page(cursor.clone())).await);
    }
    for cursor in bad.iter().chain([&of_campaigns, &of_runs]) {
        expect_bad_cursor(store.experiments(&c, page(cursor.clone())).await);
    }
    expect_bad_cursor(store.experiments(&d, page(of_experiments)).await);
    for cursor in bad.iter().chain([&of_campaigns, &of_runs]) {
        expect_bad_cursor(store.runs(&RunFilter::Queued, page(cursor.clone())).await);
        expect_bad_cursor(store.runs(&RunFilter::Open(evaluation), page(cursor.clone())).await);
    }
}

/// A limit outside 1..=500 is read as the nearest one inside.
pub async fn page_limits_are_clamped(fixture: Fixture) {
    let store = fixture.store();
    let evaluation = sample::evaluation("c", "replay");
    let runs = (0..502).map(|case| write(0, &sample::run("c", evaluation, case))).collect();
    let campaign = sample::funded(sample::campaign("c"), &[evaluation]);
    store.commit(Commit { runs, ..campaign_commit(0, &campaign) }).await.unwrap();
    for (limit, wanted) in [(0, 1), (1, 1), (500, 500), (501, 500), (u32::MAX, 500)] {
        let found = store.runs(&RunFilter::Queued, Page { after: None, limit }).await.unwrap();
        assert_eq!((found.items.len(), found.next.is_some()), (wanted, true), "{limit}");
    }
    let all = pages(251, async |page, _| store.runs(&RunFilter::Queued, page).await.unwrap()).await;
    assert_eq!(all.len(), 502);
}

/// Each version that the record lists has its text, as it was put; a version that it lists no more has
/// none. The longest id is as good as a short one.
pub async fn the_versions_of_a_workflow_that_its_record_lists_have_their_texts(
    mut fixture: Fixture,
) {
    let long = "票".repeat(128);
    for id in ["w", long.as_str()] {
        let texts = |numbers: &[u32]| {
            numbers.iter().map(|number| sample::workflow_text(id, *number)).collect::<Vec<_>>()
        };
        let purged =
            sample::deleted(&StoredWorkflow { versions: Vec::new(), ..sample::workflow(id, 1, 1) });
        let other = sample::workflow(&format!("{}x", id.chars().skip(1).collect::<String>()), 1, 1);
        let of_other = sample::workflow_text(other.id.as_str(), 1);
        let other_commit = workflow_commit(0, &other, vec![of_other.clone()]);
        fixture.store().commit(other_commit).await.unwrap();
        for (expected, (workflow, new)) in (0..).zip([
            (sample::workflow(id, 1, 1), texts(&[1])),
            (sample::workflow(id, 1, 3), texts(&[2, 3])),
            (sample::workflow(id, 2, 3), Vec::new()),
            (sample::workflow(id, 3, 4), texts(&[4])),
            (sample::deleted(&sample::workflow(id, 3, 4)), Vec::new()),
            (purged, Vec::new()),
        ]) {
            fixture.store().commit(workflow_commit(expected, &workflow, new)).await.unwrap();
            fixture.reopen();
            let store = fixture.store();
            let found = store.workflow(&workflow.id).await.unwrap().unwrap();
            assert_eq!((found.revision, &found.value), (Revision(expected + 1), &workflow));
            for number in 0..=5 {
                let listed = workflow.version(VersionNumber(number)).is_some();
                let wanted = listed.then(|| sample::workflow_text(id, number).text.into_bytes());
                let found = store.workflow_text(&workflow.id, VersionNumber(number)).await.unwrap();
                assert_eq!(found, wanted, "version {number} after {expected} changes");
            }
            let beside = store.workflow_text(&other.id, VersionNumber(1)).await.unwrap();
            assert_eq!(beside, Some(of_other.text.bytes().to_vec()));
        }
    }
}

/// Workflows are listed newest first, each in the listing that its state says; one whose history was
/// purged is in none.
pub async fn workflows_are_listed_newest_first(fixture: Fixture) {
    let store = fixture.store();
    for number in 0..7 {
        let id = format!("w{number}");
        let texts = vec![sample::workflow_text(&id, 1)];
        let commit = workflow_commit(0, &sample::workflow(&id, 1, 1), texts);
        store.commit(commit).await.unwrap();
    }
    let list = async |filter| {
        let pages = pages(2, async |page, _| store.workflows(filter, page).await.unwrap());
        let found = pages.await.into_iter().map(|workflow| workflow.id.to_string());
        found.collect::<Vec<_>>()
    };
    assert_eq!(list(WorkflowFilter::Kept).await, ["w6", "w5", "w4", "w3", "w2", "w1", "w0"]);
    for id in ["w1", "w4", "w6"] {
        let gone = sample::deleted(&sample::workflow(id, 1, 1));
        store.commit(workflow_commit(1, &gone, Vec::new())).await.unwrap();
    }
    let mut purged = sample::deleted(&sample::workflow("w4", 1, 1));
    purged.versions.clear();
    store.commit(workflow_commit(2, &purged, Vec::new())).await.unwrap();
    assert_eq!(list(WorkflowFilter::Kept).await, ["w5", "w3", "w2", "w0"]);
    assert_eq!(list(WorkflowFilter::Restorable).await, ["w6", "w1"]);
    let restored = sample::workflow("w6", 1, 2);
    let commit = workflow_commit(2, &restored, vec![sample::workflow_text("w6", 2)]);
    store.commit(commit).await.unwrap();
    let first = store.workflows(WorkflowFilter::Kept, Page::first()).await.unwrap().items.remove(0);
    assert_eq!((first.id, first.version, first.state), (restored.id, VersionNumber(2), "active"));
    let cursor = store.workflows(WorkflowFilter::Kept, Page { after: None, limit: 1 }).await;
    let page = Page { after: cursor.unwrap().next, limit: 1 };
    expect_bad_cursor(store.workflows(WorkflowFilter::Restorable, page.clone()).await);
    expect_bad_cursor(store.campaigns(page).await);
}

/// The campaigns on a stored workflow are those that name it as their place and are not over.
pub async fn open_campaigns_on_a_workflow_are_listed_oldest_first(mut fixture: Fixture) {
    let store = fixture.store();
    for id in ["w", "v"] {
        let texts = vec![sample::workflow_text(id, 1)];
        let commit = workflow_commit(0, &sample::workflow(id, 1, 1), texts);
        store.commit(commit).await.unwrap();
    }
    for number in 0..5 {
        for campaign in [
            sample::campaign_on(&format!("c{number}"), "w"),
            sample::campaign_on(&format!("other{number}"), "v"),
            // One on a file that defines a workflow of the same id.
            Campaign {
                source: sample::campaign(&format!("file{number}")).source,
                ..sample::campaign_on(&format!("file{number}"), "w")
            },
        ] {
            store.commit(campaign_commit(0, &campaign)).await.unwrap();
        }
    }
    store.commit(campaign_commit(1, &closed(sample::campaign_on("c3", "w")))).await.unwrap();
    fixture.reopen();
    let store = fixture.store();
    let id = WorkflowId::new("w").unwrap();
    let pages = pages(2, async |page, _| store.campaigns_on(&id, page).await.unwrap());
    let found: Vec<_> = pages.await.into_iter().map(|campaign| campaign.id.to_string()).collect();
    assert_eq!(found, ["c0", "c1", "c2", "c4"]);
}

/// Whichever side is decided without knowing of the other is told to decide again.
pub async fn no_open_campaign_is_on_a_workflow_that_is_not_in_use(fixture: Fixture) {
    let store = fixture.store();
    let workflow = sample::workflow("w", 1, 1);
    let texts = vec![sample::workflow_text("w", 1)];
    store.commit(workflow_commit(0, &workflow, texts)).await.unwrap();
    let [c, d] = ["c", "d"].map(|id| sample::campaign_on(id, "w"));
    for campaign in [&c, &d] {
        store.commit(campaign_commit(0, campaign)).await.unwrap();
    }
    let gone = sample::deleted(&workflow);
    let delete = |campaigns: Vec<Write<Campaign>>| {
        let mut commit = workflow_commit(1, &gone, Vec::new());
        commit.events.extend(campaigns.iter().flat_map(|write| told(1, &write.value)));
        Commit { campaigns, ..commit }
    };
    expect_conflict(store.commit(delete(Vec::new())).await, "campaign c");
    let ended = closed(c.clone());
    expect_conflict(store.commit(delete(vec![write(1, &ended)])).await, "campaign d");
    // A write of the campaign that does not end it is not enough.
    let still_open = vec![write(1, &ended), write(1, &d)];
    expect_conflict(store.commit(delete(still_open)).await, "campaign d");
    store.commit(delete(vec![write(1, &ended), write(1, &closed(d))])).await.unwrap();
    let late = sample::campaign_on("e", "w");
    expect_conflict(store.commit(campaign_commit(0, &late)).await, "workflow w");
    // Those that are over may still be written.
    store.commit(untold(2, &ended)).await.unwrap();
}

/// The rules of [`Commit`] about workflows hold; a commit that breaks one changes nothing.
pub async fn workflow_commits_that_break_a_rule_are_refused(fixture: Fixture) {
    let store = fixture.store();
    let (first, second) = (sample::workflow("w", 1, 1), sample::workflow("w", 1, 2));
    let [text, next] = [1, 2].map(|number| sample::workflow_text("w", number));
    store.commit(workflow_commit(0, &first, vec![text.clone()])).await.unwrap();
    expect_conflict(
        store.commit(workflow_commit(0, &second, vec![next.clone()])).await,
        "workflow w",
    );
    let wrong = WorkflowText { text: text.text.clone(), ..next.clone() };
    let event = sample::workflow_event("unknown", EventKind::WorkflowRestored { reason: None });
    let twice = [write(1, &first), write(2, &first)].to_vec();
    for (number, commit) in [
        workflow_commit(1, &second, Vec::new()),
        workflow_commit(1, &second, vec![wrong]),
        workflow_commit(1, &second, vec![next.clone(), next.clone()]),
        workflow_commit(1, &second, vec![next.clone(), text]),
        workflow_commit(1, &first, vec![next.clone()]),
        Commit { texts: vec![next], ..Commit::default() },
        Commit { workflows: twice, ..Commit::default() },
        Commit { events: vec![event], ..Commit::default() },
        campaign_commit(0, &sample::campaign_on("c", "unknown")),
    ]
    .into_iter()
    .enumerate()
    {
        match store.commit(commit).await {
            Err(StoreError::Refused(_)) => {}
            answer => panic!("commit {number} was answered {answer:?}"),
        }
    }
    let found = store.workflow(&first.id).await.unwrap().unwrap();
    assert_eq!(found, Versioned { revision: Revision(1), value: first });
    assert_eq!(store.workflow_text(&second.id, VersionNumber(2)).await.unwrap(), None);
}

/// A workflow run is in the listings that its state says, newest first, also after the store was opened
/// again; no cursor of one listing is good for another.
pub async fn workflow_runs_come_back_as_they_were_and_are_listed_newest_first(
    mut fixture: Fixture,
) {
    let long = "票".repeat(128);
    let cancel = WorkflowRunCommand::Cancel { reason: Some("enough".to_owned()) };
    let steps: [&[WorkflowRunCommand]; 3] =
        [&[], &[sample::claim()], &[sample::claim(), cancel.clone()]];
    let mut runs = Vec::new();
    for number in 0..7 {
        let workflow = if number % 2 == 0 { long.as_str() } else { "v" };
        let mut run = sample::workflow_run(&format!("r{number}"), workflow);
        fixture.store().commit(workflow_run_commit(0, &run)).await.unwrap();
        for (revision, command) in (1..).zip(steps[number % 3]) {
            run = sample::commanded(&run, std::slice::from_ref(command));
            fixture.store().commit(workflow_run_commit(revision, &run)).await.unwrap();
        }
        runs.push(run);
    }
    fixture.reopen();
    let store = fixture.store();
    let list = async |filter: &WorkflowRunFilter| {
        let pages = pages(2, async |page, _| store.workflow_runs(filter, page).await.unwrap());
        let place = |id| runs.iter().position(|run| run.id == id).unwrap();
        pages.await.into_iter().map(|run| place(run.id)).collect::<Vec<_>>()
    };
    for (number, run) in (0..).zip(&runs) {
        let found = store.workflow_run(run.id).await.unwrap().unwrap();
        assert_eq!(found, Versioned { revision: Revision(1 + number % 3), value: run.clone() });
    }
    let status = WorkflowRunFilter::Status;
    let of = |workflow: &str| WorkflowRunFilter::Workflow(WorkflowId::new(workflow).unwrap());
    assert_eq!(list(&WorkflowRunFilter::All).await, [6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(list(&of(&long)).await, [6, 4, 2, 0]);
    assert_eq!(list(&of("v")).await, [5, 3, 1]);
    assert_eq!(list(&status(WorkflowRunStatus::Queued)).await, [6, 3, 0]);
    assert_eq!(list(&status(WorkflowRunStatus::Running)).await, [4, 1]);
    assert_eq!(list(&status(WorkflowRunStatus::Cancelled)).await, [5, 2]);
    assert_eq!(list(&status(WorkflowRunStatus::Paused)).await, Vec::<usize>::new());
    let first = Page { after: None, limit: 1 };
    let next = store.workflow_runs(&of("v"), first).await.unwrap().next;
    for filter in [WorkflowRunFilter::All, of("w"), status(WorkflowRunStatus::Queued)] {
        let page = Page { after: next.clone(), limit: 1 };
        expect_bad_cursor(store.workflow_runs(&filter, page).await);
    }
}

/// What a workflow run executes never changes, and its history never shrinks.
pub async fn workflow_run_commits_that_break_a_rule_are_refused(fixture: Fixture) {
    let store = fixture.store();
    let run = sample::workflow_run("r", "w");
    let claimed = sample::commanded(&run, &[sample::claim()]);
    store.commit(workflow_run_commit(0, &claimed)).await.unwrap();
    for wrong in [0, 2] {
        let what = format!("workflow run {}", run.id);
        expect_conflict(store.commit(workflow_run_commit(wrong, &claimed)).await, &what);
    }
    let other = WorkflowRun { snapshot: Digest::of(b"another"), ..claimed.clone() };
    let moved = WorkflowRun { workflow: WorkflowId::new("v").unwrap(), ..claimed.clone() };
    let events = vec![sample::workflow_run_event("unknown")];
    let twice = [write(1, &claimed), write(2, &claimed)].to_vec();
    for (number, commit) in [
        workflow_run_commit(1, &other),
        workflow_run_commit(1, &moved),
        // The run as it was before the claim: it knows less.
        workflow_run_commit(1, &run),
        Commit { workflow_runs: twice, ..Commit::default() },
        Commit { events, ..Commit::default() },
    ]
    .into_iter()
    .enumerate()
    {
        match store.commit(commit).await {
            Err(StoreError::Refused(_)) => {}
            answer => panic!("commit {number} was answered {answer:?}"),
        }
    }
    let events = vec![sample::workflow_run_event("r")];
    store.commit(Commit { events, ..workflow_run_commit(1, &claimed) }).await.unwrap();
    let found = store.workflow_run(run.id).await.unwrap().unwrap();
    assert_eq!(found, Versioned { revision: Revision(2), value: claimed });
}

/// The open runs on a stored workflow are those that were begun from the store and are not over.
pub async fn open_runs_on_a_stored_workflow_are_listed_newest_first(mut fixture: Fixture) {
    let store = fixture.store();
    for id in ["w", "v"] {
        let texts = vec![sample::workflow_text(id, 1)];
        store.commit(workflow_commit(0, &sample::workflow(id, 1, 1), texts)).await.unwrap();
    }
    let mut runs = Vec::new();
    for number in 0..5 {
        let run = sample::workflow_run_on(&format!("r{number}"), "w");
        for run in [
            &run,
            &sample::workflow_run_on(&format!("other{number}"), "v"),
            // One of a file that defines a workflow of the same id.
            &sample::workflow_run(&format!("file{number}"), "w"),
        ] {
            store.commit(workflow_run_commit(0, run)).await.unwrap();
        }
        runs.push(run);
    }
    let cancel = WorkflowRunCommand::Cancel { reason: None };
    store.commit(workflow_run_commit(1, &sample::commanded(&runs[3], &[cancel]))).await.unwrap();
    let claimed = sample::claimed_workflow_run(&runs[1]);
    store.commit(workflow_run_commit(1, &claimed)).await.unwrap();
    fixture.reopen();
    let store = fixture.store();
    let open = WorkflowRunFilter::OpenOn(WorkflowId::new("w").unwrap());
    let pages = pages(2, async |page, _| store.workflow_runs(&open, page).await.unwrap());
    let found: Vec<_> = pages.await.into_iter().map(|run| run.id).collect();
    assert_eq!(found, [4, 2, 1, 0].map(|number| runs[number].id));
}

/// Whichever side is decided without knowing of the other is told to decide again.
pub async fn no_run_begins_on_a_workflow_that_is_not_in_use_or_is_left_on_a_deleted_one(
    fixture: Fixture,
) {
    let store = fixture.store();
    let workflow = sample::workflow("w", 1, 1);
    let texts = vec![sample::workflow_text("w", 1)];
    let run = sample::workflow_run_on("r", "w");
    expect_refused(store.commit(workflow_run_commit(0, &run)).await);
    store.commit(workflow_commit(0, &workflow, texts)).await.unwrap();
    store.commit(workflow_run_commit(0, &run)).await.unwrap();
    let late = sample::workflow_run_on("late", "w");
    let failed = sample::ended(&sample::claimed_workflow_run(&late));
    store.commit(workflow_run_commit(0, &failed)).await.unwrap();
    let retired = sample::retired(&workflow);
    // What has begun may end.
    store.commit(workflow_commit(1, &retired, Vec::new())).await.unwrap();
    let other = sample::workflow_run_on("other", "w");
    expect_conflict(store.commit(workflow_run_commit(0, &other)).await, "workflow w");
    let again = sample::commanded(&failed, &[WorkflowRunCommand::Recover { reason: None }]);
    expect_conflict(store.commit(workflow_run_commit(1, &again)).await, "workflow w");
    let claimed = sample::claimed_workflow_run(&run);
    store.commit(workflow_run_commit(1, &claimed)).await.unwrap();

    let gone = sample::deleted(&workflow);
    let delete = |run: &WorkflowRun| {
        let mut commit = workflow_run_commit(2, run);
        let Commit { workflows, events, .. } = workflow_commit(2, &gone, Vec::new());
        commit.events.extend(events);
        Commit { workflows, ..commit }
    };
    let in_the_way = format!("workflow run {}", run.id);
    expect_conflict(store.commit(workflow_commit(2, &gone, Vec::new())).await, &in_the_way);
    // A write of the run that does not end it is not enough.
    expect_conflict(store.commit(delete(&claimed)).await, &in_the_way);
    let cancel = WorkflowRunCommand::Cancel { reason: None };
    let cancelled = sample::commanded(&claimed, &[cancel]);
    store.commit(delete(&cancelled)).await.unwrap();
    expect_conflict(store.commit(workflow_run_commit(0, &other)).await, "workflow w");
    expect_conflict(store.commit(workflow_run_commit(1, &again)).await, "workflow w");
    // Those that are over may still be written, and those of a file have nothing to do with it.
    store.commit(workflow_run_commit(3, &cancelled)).await.unwrap();
    store.commit(workflow_run_commit(0, &sample::workflow_run("file", "w"))).await.unwrap();
}

/// Only runs that are over and have something to drop are listed; a run that goes on leaves the listing.
pub async fn ended_runs_are_listed_in_the_order_of_their_ends_until_they_expire(
    mut fixture: Fixture,
) {
    let store = fixture.store();
    let cancelled = |id: &str, at: i64| WorkflowRun {
        state: WorkflowRunState::Cancelled { at: Timestamp(at), reason: "enough".to_owned() },
        ..sample::workflow_run(id, "w")
    };
    let runs = [("a", 30), ("b", -10), ("c", 20), ("d", 20), ("e", i64::MIN), ("f", i64::MAX)];
    let runs = runs.map(|(id, at)| cancelled(id, at));
    for run in &runs {
        store.commit(workflow_run_commit(0, run)).await.unwrap();
    }
    store.commit(workflow_run_commit(0, &sample::workflow_run("open", "w"))).await.unwrap();
    store.commit(workflow_run_commit(1, &sample::expired(&runs[2]))).await.unwrap();
    // It failed at the time of `NOW`, and goes on.
    let failed = sample::ended(&sample::claimed_workflow_run(&sample::workflow_run("g", "w")));
    store.commit(workflow_run_commit(0, &failed)).await.unwrap();
    fixture.reopen();
    let store = fixture.store();
    let list = async |by: i64, limit| {
        let ended = store.workflow_runs_ended(Timestamp(by), limit).await.unwrap();
        let place = |id| runs.iter().position(|run| run.id == id).unwrap_or(usize::MAX);
        ended.into_iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(list(19, 9).await, [4, 1]);
    assert_eq!(list(20, 9).await, [4, 1, 3]);
    assert_eq!(list(30, 0).await, [4], "at least one");
    assert_eq!(list(sample::NOW.0, 9).await, [4, 1, 3, 0, usize::MAX]);
    let again = sample::commanded(&failed, &[WorkflowRunCommand::Recover { reason: None }]);
    store.commit(workflow_run_commit(1, &again)).await.unwrap();
    assert_eq!(list(i64::MAX, 9).await, [4, 1, 3, 0, 5]);
}

/// An output comes with the record that lists it, and goes with it; the same bytes elsewhere stay.
pub async fn the_outputs_of_a_run_are_kept_as_long_as_its_record_lists_them(mut fixture: Fixture) {
    let store = fixture.store();
    let bytes = "a large output — größe 票".repeat(1000).into_bytes();
    let blob = Blob::new(bytes.clone());
    let [one, other] = ["one", "other"].map(|id| {
        sample::with_output(&sample::claimed_workflow_run(&sample::workflow_run(id, "w")), &bytes)
    });
    let with = |expected, run: &WorkflowRun, outputs: Vec<RunOutput>| Commit {
        outputs,
        ..workflow_run_commit(expected, run)
    };
    let foreign = RunOutput { run: one.0.id, output: Blob::new(b"another".to_vec()) };
    for outputs in [
        vec![],
        vec![foreign.clone()],
        vec![other.1.clone()],
        vec![one.1.clone(), foreign],
        vec![one.1.clone(), one.1.clone()],
    ] {
        expect_refused(store.commit(with(0, &one.0, outputs)).await);
    }
    for (run, output) in [&one, &other] {
        store.commit(with(0, run, vec![output.clone()])).await.unwrap();
    }
    expect_refused(store.commit(with(1, &one.0, vec![one.1.clone()])).await);
    store.commit(Commit { blobs: vec![blob.clone()], ..Commit::default() }).await.unwrap();
    fixture.reopen();
    let store = fixture.store();
    let read =
        async |run: &WorkflowRun| store.workflow_run_output(run.id, blob.digest()).await.unwrap();
    assert_eq!(read(&one.0).await.as_ref(), Some(&bytes));
    assert_eq!(store.workflow_run_output(one.0.id, Digest::of(b"none")).await.unwrap(), None);
    let ended = sample::ended(&one.0);
    store.commit(workflow_run_commit(1, &ended)).await.unwrap();
    assert_eq!(read(&ended).await.as_ref(), Some(&bytes), "it is still listed");
    store.commit(workflow_run_commit(2, &sample::expired(&ended))).await.unwrap();
    assert_eq!(read(&ended).await, None);
    assert_eq!(read(&other.0).await.as_ref(), Some(&bytes), "the other run has its own");
    assert_eq!(store.blob(blob.digest()).await.unwrap().as_ref(), Some(&bytes), "so has a payload");
}

fn workflow_run_commit(expected: u64, run: &WorkflowRun) -> Commit {
    let events = vec![sample::event_of(run)];
    Commit { workflow_runs: vec![write(expected, run)], events, ..Commit::default() }
}

fn closed(campaign: Campaign) -> Campaign {
    let ending = Ending::SuggestionsDone;
    Campaign { phase: Phase::Closed { ending, at: sample::NOW }, ..campaign }
}

fn workflow_commit(expected: u64, workflow: &StoredWorkflow, texts: Vec<WorkflowText>) -> Commit {
    let restored = EventKind::WorkflowRestored { reason: None };
    let events = vec![sample::workflow_event(workflow.id.as_str(), restored)];
    Commit { workflows: vec![write(expected, workflow)], texts, events, ..Commit::default() }
}

/// Reads all pages of a listing, counting them from 0, and expects none to be longer than `limit`
/// or empty before the end.
async fn pages<T>(limit: u32, mut read: impl AsyncFnMut(Page, u32) -> Paged<T>) -> Vec<T> {
    let mut all = Vec::new();
    let mut after = None;
    for turn in 0..100 {
        let Paged { items, next, .. } = read(Page { after, limit }, turn).await;
        assert!(items.len() <= Page::size(limit));
        assert!(next.is_none() || items.len() == Page::size(limit));
        all.extend(items);
        if next.is_none() {
            return all;
        }
        after = next;
    }
    panic!("a listing does not end");
}

fn write<T: Clone>(expected: u64, value: &T) -> Write<T> {
    Write { expected: Revision(expected), value: value.clone() }
}

/// Writes a campaign and tells of it.
fn campaign_commit(expected: u64, campaign: &Campaign) -> Commit {
    Commit { events: told(expected, campaign), ..untold(expected, campaign) }
}

/// Writes a campaign in which nothing changed.
fn untold(expected: u64, campaign: &Campaign) -> Commit {
    Commit { campaigns: vec![write(expected, campaign)], ..Commit::default() }
}

fn told(expected: u64, campaign: &Campaign) -> Vec<Event> {
    let what = match (expected, &campaign.phase) {
        (0, _) => EventKind::CampaignCreated,
        (_, Phase::Closed { ending, .. }) => EventKind::CampaignClosed { ending: ending.clone() },
        _ => EventKind::BackOffEnded,
    };
    vec![sample::event(campaign.id.as_str(), what)]
}

/// Writes a campaign with new experiments.
fn proposing(expected: u64, campaign: &Campaign, experiments: Vec<Experiment>) -> Commit {
    let mut commit = campaign_commit(expected, campaign);
    commit.events.extend(experiments.iter().map(sample::proposed));
    Commit { experiments, ..commit }
}

fn runs_commit<const N: usize>(expected: u64, runs: [&Run; N]) -> Commit {
    Commit { runs: runs.map(|run| write(expected, run)).to_vec(), ..Commit::default() }
}

async fn stored(store: &Arc<dyn Store>, campaign: &Campaign) -> Versioned<Campaign> {
    store.campaign(&campaign.id).await.unwrap().unwrap()
}

async fn stored_run(store: &Arc<dyn Store>, run: &Run) -> Versioned<Run> {
    store.run(run.id).await.unwrap().unwrap()
}

async fn list_runs(store: &Arc<dyn Store>, filter: &RunFilter) -> Vec<RunId> {
    let page = store.runs(filter, Page::first()).await.unwrap();
    page.items.into_iter().map(|run| run.id).collect()
}

fn expect_conflict<T: std::fmt::Debug>(answer: Result<T, StoreError>, record: &str) {
    match answer {
        Err(StoreError::Conflict { what }) => assert_eq!(what, record),
        answer => panic!("no conflict, but {answer:?}"),
    }
}

fn expect_broken<T: std::fmt::Debug>(answer: Result<T, StoreError>, number: u8, name: &str) {
    match answer {
        Err(StoreError::Invariant(violation)) => {
            assert_eq!(violation.invariant, number, "{name}: {violation}");
        }
        answer => panic!("{name}: {answer:?}"),
    }
}

fn expect_refused<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
}

fn expect_bad_cursor<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::BadCursor)), "{answer:?}");
}
