//! The rounds on a store in memory that counts what is asked of it, in virtual time.

use optim_core::campaign::back_off::BackOff;
use optim_core::campaign::event::EventKind;
use optim_core::campaign::{Campaign, Phase, Replay, SearchMode};
use optim_core::id::{Actor, CampaignId};
use optim_core::metrics::Metrics;
use optim_core::quantity::Millis;
use optim_store::memory::Memory;
use optim_store::testing::{faulty::FaultyStore, sample};
use optim_store::{Commit, Revision, Store, Write};

use super::*;
use crate::clock::ManualClock;
use crate::engine::{Engine, NewCampaign};
use crate::tasks::TaskSet;

const MINUTE: u64 = 60_000;

/// A reconciler at work on campaigns that wait for a person.
struct Running {
    engine: Arc<Engine>,
    store: Arc<FaultyStore<Memory>>,
    clock: Arc<ManualClock>,
    _tasks: TaskSet,
}

impl Running {
    async fn start(campaigns: Vec<Campaign>) -> Self {
        let store = Arc::new(FaultyStore::planned(Memory::new(), []));
        let clock = Arc::new(ManualClock::at(sample::NOW));
        let engine = Arc::new(Engine::new(
            Arc::<FaultyStore<_>>::clone(&store),
            Arc::<ManualClock>::clone(&clock),
        ));
        let ids: Vec<_> = campaigns.iter().map(|campaign| campaign.id.clone()).collect();
        let write = |value| Write { expected: Revision(0), value };
        let created = |id: &CampaignId| sample::event(id.as_str(), EventKind::CampaignCreated);
        let events = ids.iter().map(created).collect();
        let campaigns = campaigns.into_iter().map(write).collect();
        store.commit(Commit { campaigns, events, ..Commit::default() }).await.unwrap();
        ids.iter().for_each(|id| engine.wakes().campaign_changed(id));
        let reconciler = Arc::new(Reconciler::new(Arc::clone(&engine), Vec::new()));
        let mut tasks = TaskSet::new();
        tasks.supervise("reconciler", move |shutdown| Arc::clone(&reconciler).run(shutdown));
        Self { engine, store, clock, _tasks: tasks }
    }

    /// What is asked of the store while so much time passes, by the wall clock and in truth.
    async fn asked_during(&self, wall: u64, truly: u64) -> u64 {
        let before = self.store.begun();
        self.clock.advance(Millis(wall));
        // Virtual time.
        let truly = Duration::from_millis(truly);
        drop(tokio::time::timeout(truly, std::future::pending::<()>()).await);
        self.store.begun() - before
    }
}

/// A campaign that waits for suggestions, and for its next replay in half an hour.
fn searching(id: &str) -> Campaign {
    let mut campaign = sample::campaign(id);
    campaign.phase = Phase::Searching;
    campaign.search.mode = SearchMode::Suggestions;
    campaign.baseline.replays.push(Replay {
        evaluation: sample::evaluation(id, "replay 1"),
        metrics: Metrics::default(),
        experiments: 0,
        at: sample::NOW,
        cases: BTreeMap::new(),
    });
    campaign
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_the_store_while_nothing_changes() {
    let drafts = (0..50).map(|number| sample::campaign(&format!("c{number}"))).collect();
    let running = Running::start(drafts).await;
    assert_eq!(running.asked_during(0, 1000).await, 50, "each is looked at once at the start");
    assert_eq!(running.asked_during(600 * MINUTE, 600 * MINUTE).await, 0);
    running.engine.wakes().campaign_changed(&sample::campaign("c7").id);
    assert_eq!(running.asked_during(0, 1000).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_refused_makes_nobody_look_again() {
    let running = Running::start(Vec::new()).await;
    let before = *running.engine.changes().borrow();
    let campaign = sample::searched(sample::campaign("a"), 5);
    let new = NewCampaign { campaign, blobs: Vec::new() };
    let refused = running.engine.create(new, Actor::engine()).await.unwrap_err();
    assert_eq!(refused.code(), "invariant_broken", "{refused}");
    assert_eq!(running.asked_during(0, 1000).await, 0, "or it would be refused for ever");
    assert_eq!(*running.engine.changes().borrow(), before);
}

#[tokio::test(start_paused = true)]
async fn a_campaign_is_looked_at_when_its_time_comes_and_not_again_for_that() {
    let running = Running::start(vec![searching("a")]).await;
    assert_eq!(running.asked_during(0, 1000).await, 1);
    assert_eq!(running.asked_during(29 * MINUTE, 29 * MINUTE).await, 0);
    assert_eq!(running.asked_during(MINUTE, MINUTE).await, 1);
    assert_eq!(running.asked_during(600 * MINUTE, 600 * MINUTE).await, 0);
}

#[tokio::test(start_paused = true)]
async fn threat_44_a_wall_clock_that_is_moved_is_noticed_within_a_minute_and_harms_nothing() {
    let running = Running::start(vec![searching("a")]).await;
    assert_eq!(running.asked_during(0, 1000).await, 1);
    assert_eq!(running.asked_during(0, 90 * MINUTE).await, 0, "the wall clock stands still");
    assert_eq!(running.asked_during(31 * MINUTE, MINUTE).await, 1, "it was put forward");
}

#[tokio::test(start_paused = true)]
async fn a_campaign_in_back_off_is_looked_at_when_that_is_over_and_not_before() {
    let mut failing = searching("a");
    failing.search.consecutive_failures = 1;
    let back_off = BackOff { since: sample::NOW, until: sample::NOW.after(Millis(MINUTE)) };
    failing.search.back_off = Some(back_off);
    let running = Running::start(vec![failing]).await;
    assert_eq!(running.asked_during(0, 1000).await, 1);
    assert_eq!(running.asked_during(MINUTE - 1, MINUTE - 1).await, 0);
    assert!(running.asked_during(1, MINUTE).await > 1, "it goes on");
    let after = running.engine.campaign(&sample::campaign("a").id).await.unwrap().value;
    assert_eq!(after.search.back_off, None);
}
