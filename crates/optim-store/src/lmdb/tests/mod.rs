//! What LMDB must do beyond the conformance suite.

mod child;
mod damage;
mod differential;
mod group;
mod growth;
mod kill;
mod owner;
mod upkeep;

use std::path::Path;

use optim_core::campaign::Campaign;
use optim_core::campaign::event::EventKind;
use tempfile::TempDir;

use crate::store::{Commit, Revision, Store, Write};
use crate::testing::conformance::{Fixture, block_on};
use crate::testing::sample;

use super::{Lmdb, Options};

crate::conformance_tests!(|| {
    let directory = directory();
    Fixture::durable(move || open(directory.path()))
});

/// A directory for a store: in memory where there is such a file system.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// A small map that grows, on any file system that the tests happen to run on.
fn options() -> Options {
    Options { map_initial: 1 << 20, allow_unsafe_file_system: true, ..Options::default() }
}

fn open(path: &Path) -> Lmdb {
    Lmdb::open(path, &options()).unwrap()
}

/// A commit that creates a campaign with one experiment, two runs and an event, a stored workflow and a workflow
/// run.
fn everything(id: &str) -> Commit {
    let evaluation = sample::evaluation(id, "replay");
    let runs = [
        sample::run(id, evaluation, 0),
        sample::finished(&sample::claimed(&sample::run(id, evaluation, 1))),
    ];
    let (experiment, run) = (sample::experiment(id, 1), sample::workflow_run(id, id));
    Commit {
        campaigns: vec![Write { expected: Revision(0), value: campaign(id) }],
        experiments: vec![experiment.clone()],
        runs: runs.map(|value| Write { expected: Revision(0), value }).to_vec(),
        workflows: vec![Write { expected: Revision(0), value: sample::workflow(id, 1, 1) }],
        texts: vec![sample::workflow_text(id, 1)],
        workflow_runs: vec![Write { expected: Revision(0), value: run.clone() }],
        outputs: Vec::new(),
        throttles: [sample::throttle(id)].map(|t| (t.provider.clone(), Some(t))).into(),
        blobs: vec![crate::Blob::new(format!("payload of {id}").into_bytes())],
        events: vec![
            sample::event(id, EventKind::CampaignCreated),
            sample::proposed(&experiment),
            sample::workflow_event(id, EventKind::WorkflowRestored { reason: None }),
            sample::event_of(&run),
        ],
    }
}

/// The campaign of [`everything`].
fn campaign(id: &str) -> Campaign {
    let funded = sample::funded(sample::campaign(id), &[sample::evaluation(id, "replay")]);
    sample::searched(funded, 1)
}

async fn expect_intact(store: &Lmdb) {
    let findings = store.verify().await.unwrap();
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn threat_48_the_directory_is_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = directory();
    let path = parent.path().join("deep/store");
    drop(open(&path));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("data.mdb")), 0o600);
}

#[test]
fn what_a_run_lists_no_more_takes_no_space_and_what_others_refer_to_stays() {
    let directory = directory();
    block_on(async {
        let store = open(directory.path());
        let queued = ["one", "other"].map(|id| sample::workflow_run(id, "w"));
        let [(run, output), (other, its)] =
            queued.map(|run| sample::with_output(&sample::claimed_workflow_run(&run), &[7; 9000]));
        let payload = output.output.clone();
        let ended = sample::ended(&run);
        let write = |value: &_| Write { expected: Revision(0), value: Clone::clone(value) };
        let commit = Commit {
            workflow_runs: vec![write(&ended), write(&other)],
            outputs: vec![output, its],
            // Somebody else refers to the same bytes.
            blobs: vec![payload.clone()],
            events: [&ended, &other].map(sample::event_of).to_vec(),
            ..Commit::default()
        };
        store.commit(commit).await.unwrap();
        let outputs = || {
            let environment = &store.environment.0;
            environment.read(|view| Ok(view.tables.workflow_run_outputs.len(view.txn)?)).unwrap()
        };
        assert_eq!(outputs(), 2);
        let expired = Write { expected: Revision(1), value: sample::expired(&ended) };
        let commit = Commit { workflow_runs: vec![expired], ..Commit::default() };
        store.commit(commit).await.unwrap();
        assert_eq!(outputs(), 1);
        let kept = store.workflow_run_output(other.id, payload.digest()).await.unwrap();
        assert_eq!(kept.as_deref(), Some(payload.bytes()));
        assert_eq!(store.blob(payload.digest()).await.unwrap().as_deref(), Some(payload.bytes()));
        expect_intact(&store).await;
    });
}

#[test]
fn a_reader_that_goes_away_or_a_store_that_closes_under_it_harms_nobody() {
    let directory = directory();
    block_on(async {
        let store = open(directory.path());
        store.commit(everything("c")).await.unwrap();
        let id = sample::campaign("c").id;
        for _ in 0..2000 {
            // Begun on a thread of the pool, and left.
            let mut read = std::pin::pin!(store.campaign(&id));
            std::future::poll_fn(|context| {
                std::task::Poll::Ready(read.as_mut().poll(context).is_ready())
            })
            .await;
        }
        drop(store);
        let store = open(directory.path());
        assert!(store.campaign(&id).await.unwrap().is_some());
        expect_intact(&store).await;
    });
}
