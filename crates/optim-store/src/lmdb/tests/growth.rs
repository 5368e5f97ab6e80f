use std::sync::Arc;

use crate::store::{Blob, Commit, Page, Store, StoreError};
use crate::testing::conformance::block_on;
use crate::testing::sample;

use super::child::{self, Second};
use super::{Lmdb, Options, directory, everything, expect_intact, open, options};

const MIB: u64 = 1 << 20;

fn blob(number: usize, bytes: usize) -> Commit {
    let mut payload = vec![0; bytes];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    Commit { blobs: vec![Blob::new(payload)], ..Commit::default() }
}

#[test]
fn the_map_grows_under_load_and_nothing_is_lost() {
    let directory = directory();
    let options = Options { map_initial: MIB, map_max: 64 * MIB, ..options() };
    block_on(async {
        let store = Arc::new(Lmdb::open(directory.path(), &options).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                for number in 0..40 {
                    let id = format!("c{task}-{number}");
                    store.commit(everything(&id)).await.unwrap();
                    store.commit(blob(task * 1000 + number, 64 * 1024)).await.unwrap();
                    assert!(store.campaign(&sample::campaign(&id).id).await.unwrap().is_some());
                    store.campaigns(Page { after: None, limit: 20 }).await.unwrap();
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        expect_intact(&store).await;
        let length = directory.path().join("data.mdb").metadata().unwrap().len();
        assert!((20 * MIB..=64 * MIB).contains(&length), "{length}");
        drop(store);
        // It opens at its size, whatever the options say.
        let store = Lmdb::open(directory.path(), &options).unwrap();
        for task in 0..8 {
            for number in 0..40 {
                let payload = blob(task * 1000 + number, 64 * 1024).blobs.remove(0);
                assert!(store.blob(payload.digest()).await.unwrap().is_some());
            }
        }
    });
}

#[test]
fn threat_39_a_full_store_says_so_and_goes_on_when_its_limit_is_raised() {
    let directory = directory();
    let limited = Options { map_initial: MIB, map_max: 4 * MIB, ..options() };
    block_on(async {
        let store = Lmdb::open(directory.path(), &limited).unwrap();
        let mut stored = 0;
        let error = loop {
            match store.commit(blob(stored, 256 * 1024)).await {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::Full { limit_mib: 4, .. }), "{error:?}");
        assert!((8..16).contains(&stored), "{stored}");
        assert!(store.blob(blob(0, 256 * 1024).blobs.remove(0).digest()).await.unwrap().is_some());
        store.commit(everything("small")).await.unwrap();
        drop(store);
        let store = Lmdb::open(directory.path(), &Options { map_max: 8 * MIB, ..limited }).unwrap();
        store.commit(blob(stored, 256 * 1024)).await.unwrap();
        expect_intact(&store).await;
    });
}

#[test]
fn a_commit_that_does_not_fit_takes_none_of_its_group_down() {
    let directory = directory();
    let limited = Options { map_initial: MIB, map_max: 4 * MIB, ..options() };
    block_on(async {
        let store = Arc::new(Lmdb::open(directory.path(), &limited).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let store = Arc::clone(&store);
            let bytes = if number % 4 == 0 { 5 << 20 } else { 1000 };
            tasks.spawn(async move { (number % 4 == 0, store.commit(blob(number, bytes)).await) });
        }
        while let Some(answer) = tasks.join_next().await {
            match answer.unwrap() {
                (true, Err(StoreError::Full { .. })) | (false, Ok(_)) => {}
                answer => panic!("{answer:?}"),
            }
        }
    });
}

/// In a file system of 8 MiB, which takes the right to mount one in a namespace of one's own.
#[test]
fn threat_39_on_a_full_disk_reads_go_on_and_writes_do_when_there_is_space_again() {
    if let Some(path) = child::directory() {
        child::tell("mounted");
        let filler = path.join("filler");
        std::fs::write(&filler, vec![0; 2 << 20]).unwrap();
        block_on(async {
            let store = open(&path.join("store"));
            let mut stored = 0;
            let error = loop {
                match store.commit(blob(stored, 100_000)).await {
                    Ok(_) => stored += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
            assert!(store.commit(blob(stored, 100_000)).await.is_err());
            expect_intact(&store).await;
            std::fs::remove_file(filler).unwrap();
            store.commit(blob(stored, 100_000)).await.unwrap();
            drop(store);
            let store = open(&path.join("store"));
            for number in 0..=stored {
                let digest = blob(number, 100_000).blobs.remove(0).digest();
                assert!(store.blob(digest).await.unwrap().is_some(), "{number} of {stored}");
            }
        });
        child::tell("done");
        return;
    }
    let directory = directory();
    let mut second = Second::start(
        "lmdb::tests::growth::threat_39_on_a_full_disk_reads_go_on_and_writes_do_when_there_is_space_again",
        directory.path(),
        r#"exec unshare --map-root-user --mount sh -c '
            mount -t tmpfs -o size=8m tmpfs "$OPTIM_STORE_TEST_CHILD" && exec "$0" "$@"
        ' "$0" "$@""#,
    );
    if second.hear().is_none() {
        eprintln!("SKIPPED: a file system cannot be mounted here, so no disk was filled");
        return;
    }
    assert_eq!(second.hear().as_deref(), Some("done"));
}
