//! The reconcile loop with few and with many campaigns: when nothing has changed, and when one has.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use optim_benches::measure::{is_tried_out, median_ns};
use optim_core::campaign::Campaign;
use optim_core::campaign::event::EventKind;
use optim_core::id::CampaignId;
use optim_runtime::clock::SystemClock;
use optim_runtime::engine::Engine;
use optim_runtime::reconcile::Reconciler;
use optim_runtime::tasks::TaskSet;
use optim_store::memory::Memory;
use optim_store::testing::{faulty::FaultyStore, sample};
use optim_store::{Commit, Revision, Store, Write};
use tokio::runtime::Runtime;

const SIZES: [u32; 2] = [100, 10_000];
/// Changes in one timed run.
const CHANGES: u32 = 200;
/// How long nothing happens.
const QUIET: Duration = Duration::from_secs(2);

/// A reconciler at work on campaigns that wait for a person.
struct Loaded {
    runtime: Runtime,
    engine: Arc<Engine>,
    /// Counts what is asked of the store.
    store: Arc<FaultyStore<Memory>>,
    _tasks: TaskSet,
}

impl Loaded {
    #[expect(clippy::expect_used, reason = "a benchmark without a runtime or a store is none")]
    fn new(campaigns: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime starts");
        let store = Arc::new(FaultyStore::planned(Memory::new(), []));
        let engine =
            Arc::new(Engine::new(Arc::<FaultyStore<_>>::clone(&store), Arc::new(SystemClock)));
        let tasks = runtime.block_on(async {
            let drafts = (0..campaigns).map(|number| sample::campaign(&format!("c{number}")));
            let write = |value| Write { expected: Revision(0), value };
            let campaigns: Vec<_> = drafts.map(write).collect();
            let created = |campaign: &Write<Campaign>| {
                sample::event(campaign.value.id.as_str(), EventKind::CampaignCreated)
            };
            let events = campaigns.iter().map(created).collect();
            let commit = Commit { campaigns, events, ..Commit::default() };
            store.commit(commit).await.expect("memory takes everything");
            let mut tasks = TaskSet::new();
            let reconciler = Arc::new(Reconciler::new(Arc::clone(&engine), Vec::new()));
            tasks.supervise("reconciler", move |shutdown| Arc::clone(&reconciler).run(shutdown));
            tasks
        });
        let loaded = Self { runtime, engine, store, _tasks: tasks };
        // As after a start: each of them is looked at once.
        for number in 0..campaigns {
            loaded.change(number);
        }
        loaded
    }

    /// One campaign changes, and the loop looks at it.
    fn change(&self, number: u32) {
        let id =
            CampaignId::new(format!("c{number}")).unwrap_or_else(|error| unreachable!("{error}"));
        let before = self.store.begun();
        self.runtime.block_on(async {
            self.engine.wakes().campaign_changed(&id);
            while self.store.begun() == before {
                tokio::task::yield_now().await;
            }
        });
    }

    /// What is asked of the store while nothing happens.
    fn quiet(&self) -> u64 {
        let before = self.store.begun();
        self.runtime.block_on(async { tokio::time::sleep(QUIET).await });
        self.store.begun() - before
    }
}

fn benchmarks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reconcile");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    for campaigns in SIZES {
        let loaded = Loaded::new(campaigns);
        group.bench_function(BenchmarkId::new("one changed", campaigns), |bencher| {
            bencher.iter(|| loaded.change(black_box(7)));
        });
    }
    group.finish();
}

#[expect(clippy::print_stdout, reason = "the report is the purpose")]
fn report() {
    println!(
        "\ncampaigns  quiet for {} s: store asked  CPU (us)  one changed (ns)",
        QUIET.as_secs()
    );
    for campaigns in SIZES {
        let loaded = Loaded::new(campaigns);
        let asked = loaded.quiet();
        let quiet = median_ns(1, || {
            black_box(loaded.quiet());
        });
        let changes = || (0..CHANGES).for_each(|number| loaded.change(number % campaigns));
        let changed = median_ns(21, changes) / f64::from(CHANGES);
        println!("{campaigns:>9} {asked:>27} {:>9.0} {changed:>17.0}", quiet / 1e3);
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    benchmarks(&mut criterion);
    criterion.final_summary();
    if !is_tried_out() {
        report();
    }
}
