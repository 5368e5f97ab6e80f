//! The process dies at any moment. (This says nothing about a loss of power, since what was
//! written stays in the system's memory.)

use std::collections::BTreeMap;
use std::sync::Arc;

use optim_core::campaign::event::EventKind;

use crate::store::{Commit, EventSeq, Page, Revision, RunFilter, Store, StoreError, Write};
use crate::testing::conformance::block_on;
use crate::testing::sample;

use super::child::{self, Second};
use super::{Lmdb, directory, expect_intact, open};

const WRITERS: u32 = 4;
const CYCLES: u32 = 20;

fn name(writer: u32) -> String {
    format!("writer-{writer}")
}

async fn revision(store: &Lmdb, writer: u32) -> u64 {
    let campaign = store.campaign(&sample::campaign(&name(writer)).id).await.unwrap();
    campaign.map_or(0, |campaign| campaign.revision.0)
}

/// The commit that moves a writer's campaign on from `revision`, with one run and one event.
fn step(writer: u32, revision: u64) -> Commit {
    let id = name(writer);
    let case = u32::try_from(revision).unwrap();
    let evaluation = sample::evaluation(&id, "replay");
    let run = sample::run(&id, evaluation, case);
    let campaign = sample::funded(sample::campaign(&id), &[evaluation]);
    let what = match revision {
        0 => EventKind::CampaignCreated,
        _ => EventKind::CampaignStarted { reason: None },
    };
    Commit {
        campaigns: vec![Write { expected: Revision(revision), value: campaign }],
        runs: vec![Write { expected: Revision(0), value: run }],
        events: vec![sample::event(&id, what)],
        ..Commit::default()
    }
}

/// Commits without end, and tells of each commit that was acknowledged.
async fn write(store: Arc<Lmdb>, writer: u32) {
    let mut revision = revision(&store, writer).await;
    loop {
        store.commit(step(writer, revision)).await.unwrap();
        revision += 1;
        child::tell(&format!("{writer} {revision}"));
    }
}

#[test]
fn every_acknowledged_commit_is_there_after_kill_9_and_no_half_of_another() {
    if let Some(path) = child::directory() {
        let store = Arc::new(open(&path));
        block_on(async {
            let writers = (0..WRITERS).map(|writer| write(Arc::clone(&store), writer));
            let mut tasks: tokio::task::JoinSet<()> = writers.collect();
            tasks.join_next().await;
        });
        return;
    }
    let directory = directory();
    for cycle in 0..CYCLES {
        let mut second = Second::start(
            "lmdb::tests::kill::every_acknowledged_commit_is_there_after_kill_9_and_no_half_of_another",
            directory.path(),
            "",
        );
        let mut acknowledged = BTreeMap::new();
        let mut hear = |second: &mut Second| {
            let told = second.hear()?;
            let (writer, revision) = told.split_once(' ').unwrap();
            acknowledged.insert(writer.parse::<u32>().unwrap(), revision.parse::<u64>().unwrap());
            Some(())
        };
        for _ in 0..=(cycle * 7 % 40) {
            hear(&mut second).unwrap();
        }
        second.kill();
        // What it had told before it died.
        while hear(&mut second).is_some() {}

        let store = open(directory.path());
        block_on(async {
            expect_intact(&store).await;
            let mut commits = 0;
            for writer in 0..WRITERS {
                let found = revision(&store, writer).await;
                let acked = acknowledged.get(&writer).copied().unwrap_or(0);
                assert!(found >= acked, "writer {writer} was told {acked}, there is {found}");
                commits += found;
                let runs = RunFilter::Evaluation(sample::evaluation(&name(writer), "replay"));
                assert_eq!(count_runs(&store, &runs).await, found);
            }
            assert_eq!(count_events(&store).await, commits);
        });
    }
}

async fn count_runs(store: &Lmdb, filter: &RunFilter) -> u64 {
    let mut count = 0;
    let mut page = Page::first();
    loop {
        let found = store.runs(filter, page).await.unwrap();
        count += u64::try_from(found.items.len()).unwrap();
        if found.next.is_none() {
            return count;
        }
        page = Page { after: found.next, ..Page::first() };
    }
}

async fn count_events(store: &Lmdb) -> u64 {
    let mut last = EventSeq(0);
    while let Some(recorded) = store.events(last, Page::LIMIT_MAX).await.unwrap().last() {
        last = recorded.seq;
    }
    last.0
}

/// The limit on the size of files makes the next write fail with an error of the file system.
#[test]
fn threat_40_after_a_commit_that_failed_nothing_is_answered_until_the_store_is_opened_again() {
    if let Some(path) = child::directory() {
        let store = open(&path);
        block_on(async {
            store.commit(step(0, 0)).await.unwrap();
            let none = rustix::process::Rlimit { current: Some(0), maximum: None };
            rustix::process::setrlimit(rustix::process::Resource::Fsize, none).unwrap();
            for _ in 0..2 {
                let error = store.commit(step(0, 1)).await.unwrap_err();
                assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
                child::tell(&error.to_string());
            }
            child::tell(&store.campaigns(Page::first()).await.unwrap_err().to_string());
        });
        return;
    }
    let directory = directory();
    let mut second = Second::start(
        "lmdb::tests::kill::threat_40_after_a_commit_that_failed_nothing_is_answered_until_the_store_is_opened_again",
        directory.path(),
        "trap '' XFSZ",
    );
    for _ in 0..3 {
        let told = second.hear().unwrap();
        assert!(
            told.contains("a commit failed") && told.contains("open the store again"),
            "{told}"
        );
    }
    assert_eq!(second.hear(), None);
    let store = open(directory.path());
    block_on(async {
        assert_eq!(revision(&store, 0).await, 1);
        store.commit(step(0, 1)).await.unwrap();
        expect_intact(&store).await;
    });
}

/// From the Nth of its kind on, a call of the system fails as on a disk that breaks: `strace` sees to it.
#[test]
fn threat_40_a_disk_that_breaks_acknowledges_nothing_and_loses_nothing() {
    if let Some(path) = child::directory() {
        let store = open(&path);
        block_on(async {
            let mut acknowledged = 0;
            let error = loop {
                match store.commit(step(0, acknowledged)).await {
                    Ok(_) => acknowledged += 1,
                    Err(error) => break error,
                }
                child::tell(&acknowledged.to_string());
            };
            assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
            assert!(store.campaigns(Page::first()).await.is_err(), "nothing is answered any more");
            child::tell("failed");
        });
        return;
    }
    let mut seen = 0;
    for call in ["fdatasync", "pwrite64"] {
        for from in 30..34 {
            let directory = directory();
            let mut second = Second::start(
                "lmdb::tests::kill::threat_40_a_disk_that_breaks_acknowledges_nothing_and_loses_nothing",
                directory.path(),
                &format!(
                    "strace -o /dev/null true || exit 1
                    exec strace -f -qq -o /dev/null -e trace={call} -e inject={call}:error=EIO:when={from}+ \"$0\" \"$@\""
                ),
            );
            let told: Vec<String> = std::iter::from_fn(|| second.hear()).collect();
            let [before @ .., last] = told.as_slice() else {
                eprintln!("SKIPPED: no process can be traced here, so no disk broke");
                return;
            };
            assert_eq!(last, "failed", "{call} from {from}");
            let acknowledged = before.last().map_or(0, |told| told.parse::<u64>().unwrap());
            seen += acknowledged;
            let store = open(directory.path());
            block_on(async {
                expect_intact(&store).await;
                let found = revision(&store, 0).await;
                let allowed = acknowledged..=acknowledged + 1;
                assert!(allowed.contains(&found), "{call} from {from}: {acknowledged}, {found}");
                store.commit(step(0, found)).await.unwrap();
            });
        }
    }
    assert!(seen > 0, "some commits came before");
}
