use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Waker};

use optim_core::campaign::event::EventKind;

use crate::store::{Commit, Committed, Revision, Store, StoreError, Write};
use crate::testing::conformance::block_on;
use crate::testing::sample;

use super::super::Error;
use super::{Lmdb, directory, everything, expect_intact, open};

type Commits<'s> = Vec<Pin<Box<dyn Future<Output = Result<Committed, StoreError>> + Send + 's>>>;

fn last_transaction(store: &Lmdb) -> usize {
    store.environment.0.read(|view| Ok(view.txn.id())).unwrap()
}

/// Queues `commits` while the writer is held up, lets it go, and returns the answers.
async fn commit_together(store: &Lmdb, commits: Vec<Commit>) -> Vec<Result<Committed, StoreError>> {
    let mut waiting: Commits<'_> = commits.into_iter().map(|commit| store.commit(commit)).collect();
    std::thread::scope(|scope| {
        let (held, is_held) = mpsc::channel();
        let (release, released) = mpsc::channel();
        scope.spawn(move || {
            store.environment.0.write(|_, _| {
                held.send(()).unwrap();
                released.recv().unwrap();
                Ok::<(), Error>(())
            })
        });
        is_held.recv().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        for commit in &mut waiting {
            assert!(commit.as_mut().poll(&mut context).is_pending());
        }
        release.send(()).unwrap();
    });
    let mut answers = Vec::new();
    for commit in waiting {
        answers.push(commit.await);
    }
    answers
}

#[test]
fn commits_that_wait_share_a_transaction_and_one_with_a_conflict_leaves_no_trace_in_it() {
    let directory = directory();
    block_on(async {
        let store = open(directory.path());
        let before = last_transaction(&store);
        // Every fourth one wants to create what the one before it created.
        let commits =
            (0..100).map(|number| everything(&format!("c{}", number - u32::from(number % 4 == 3))));
        let answers = commit_together(&store, commits.collect()).await;
        for (number, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(_) if number % 4 != 3 => {}
                Err(StoreError::Conflict { .. }) if number % 4 == 3 => {}
                answer => panic!("commit {number} was answered {answer:?}"),
            }
        }
        // The writer takes what it finds when it wakes, then, behind the one that held it up, the rest.
        let used = last_transaction(&store) - before;
        assert!((1..=2).contains(&used), "100 commits took {used} transactions");
        expect_intact(&store).await;
    });
}

#[test]
fn commits_of_one_group_see_each_other() {
    let directory = directory();
    block_on(async {
        let store = open(directory.path());
        let step = |expected| Commit {
            campaigns: vec![Write { expected: Revision(expected), value: sample::campaign("c") }],
            events: match expected {
                0 => vec![sample::event("c", EventKind::CampaignCreated)],
                _ => Vec::new(),
            },
            ..Commit::default()
        };
        let answers = commit_together(&store, (0..50).map(step).collect()).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let campaign = store.campaign(&sample::campaign("c").id).await.unwrap().unwrap();
        assert_eq!(campaign.revision, Revision(50));
    });
}
