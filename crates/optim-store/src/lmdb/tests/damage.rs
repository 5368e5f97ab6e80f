use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use optim_core::digest::Digest;
use optim_core::run::Run;

use crate::store::{
    Commit, EventSeq, Page, Revision, RunFilter, RunOutput, Store, StoreError, WorkflowRunFilter,
    Write,
};
use crate::testing::conformance::block_on;
use crate::testing::sample;
use crate::upkeep::Upkeep;

use heed::RwTxn;

use super::super::Error;
use super::super::envelope::{Codec, seal, unseal};
use super::super::file::DataFile;
use super::super::tables::Tables;
use super::super::view::View;
use super::{Lmdb, directory, everything, expect_intact, open, options};
use crate::encoded::encode;

fn filled(path: &Path) {
    let store = open(path);
    block_on(async {
        for id in ["a", "b", "c"] {
            store.commit(everything(id)).await.unwrap();
        }
    });
}

fn expect_corrupt(answer: Result<Lmdb, StoreError>, wanted: &str) {
    match answer {
        Err(error @ StoreError::Corrupt { .. }) => {
            assert!(error.to_string().contains(wanted), "{error}");
            assert!(error.to_string().contains("restore"), "{error}");
        }
        answer => panic!("a damaged store was opened: {answer:?}"),
    }
}

#[test]
fn threat_41_a_truncated_data_file_is_found_before_it_is_mapped() {
    let directory = directory();
    filled(directory.path());
    let data = directory.path().join("data.mdb");
    let whole = std::fs::read(&data).unwrap();
    let used = DataFile::inspect(&data).unwrap().unwrap().used;
    let cut_to =
        |length: u64| OpenOptions::new().write(true).open(&data).unwrap().set_len(length).unwrap();
    for length in [0, 1, 151, 4096, 4096 + 100, 8192, used / 2, used - 4096, used - 1] {
        cut_to(length);
        expect_corrupt(
            Lmdb::open(directory.path(), &options()),
            if length == 0 { "gone" } else { "truncated" },
        );
        std::fs::write(&data, &whole).unwrap();
    }
    // Behind the last page in use there is nothing to lose.
    cut_to(used);
    block_on(async { expect_intact(&open(directory.path())).await });
    std::fs::remove_file(&data).unwrap();
    expect_corrupt(Lmdb::open(directory.path(), &options()), "gone");
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_as_it_is() {
    let directory = directory();
    let data = directory.path().join("data.mdb");
    let foreign = vec![7; 100_000];
    std::fs::write(&data, &foreign).unwrap();
    expect_corrupt(Lmdb::open(directory.path(), &options()), "no LMDB file");
    assert!(std::fs::read(&data).unwrap() == foreign);
}

#[test]
fn threat_41_a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let directory = directory();
    filled(directory.path());
    let store = open(directory.path());
    let meta =
        r#"{"format":5,"page_size":4096,"byte_order":"little","created_by":"optim 9","more":[]}"#;
    store
        .environment
        .0
        .write(|tables, txn| {
            let sealed = seal("meta", b"store", Codec::Json, meta.as_bytes())?;
            tables.meta.put(txn, "store", &sealed).map_err(Error::from)
        })
        .unwrap();
    drop(store);
    let data = directory.path().join("data.mdb");
    let before = std::fs::read(&data).unwrap();
    match Lmdb::open(directory.path(), &options()) {
        Err(error @ StoreError::Newer { found: 5, supported: 4, .. }) => {
            assert!(error.to_string().contains("use a newer optim"), "{error}");
        }
        answer => panic!("a newer store was opened: {answer:?}"),
    }
    assert!(std::fs::read(&data).unwrap() == before);
}

#[test]
fn a_store_of_an_older_format_is_read_and_then_is_of_this_one() {
    for format in [1, 2, 3] {
        let directory = directory();
        filled(directory.path());
        let store = open(directory.path());
        let open_run = sample::workflow_run_on("open", "a");
        let run = sample::claimed_workflow_run(&sample::workflow_run("with output", "w"));
        let (run, output) = sample::with_output(&run, &[7; 9000]);
        let ended = sample::ended(&run);
        block_on(async {
            let runs =
                [&open_run, &ended].map(|run| Write { expected: Revision(0), value: run.clone() });
            let commit = Commit {
                workflow_runs: runs.to_vec(),
                outputs: vec![output.clone()],
                events: [&open_run, &ended].map(sample::event_of).to_vec(),
                ..Commit::default()
            };
            store.commit(commit).await.unwrap();
        });
        make_older(&store, format, &output);
        drop(store);
        let store = open(directory.path());
        let meta = meta(&store);
        assert!(meta.contains("\"format\":4") && meta.contains("optim 0"), "{meta}");
        block_on(async {
            expect_intact(&store).await;
            let filter = WorkflowRunFilter::OpenOn(open_run.workflow.clone());
            let found = store.workflow_runs(&filter, Page::first()).await.unwrap().items;
            assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), [open_run.id]);
            assert_eq!(store.workflow_runs_ended(sample::NOW, 9).await.unwrap(), [ended.id]);
            let events = store.events(EventSeq(0), 20).await.unwrap();
            assert_eq!(events.len(), 14);
            assert_eq!(store.audit_head().await.unwrap().seq, 14);
            let digest = output.output.digest();
            let read = store.workflow_run_output(ended.id, digest).await.unwrap();
            assert_eq!(read.as_deref(), Some(output.output.bytes()));
        });
    }
}

#[test]
fn a_damaged_event_of_an_older_format_is_not_sealed_into_the_chain() {
    for (seq, wanted) in [(1, "those before it are missing"), (2, "its checksum is wrong")] {
        let directory = directory();
        filled(directory.path());
        let store = open(directory.path());
        let run = sample::claimed_workflow_run(&sample::workflow_run("r", "w"));
        let (_, output) = sample::with_output(&run, &[7]);
        make_older(&store, 3, &output);
        let change = |tables: &Tables<'static>, txn: &mut RwTxn<'_>| -> Result<(), Error> {
            if seq == 1 {
                tables.events.delete(txn, &seq)?;
                return Ok(());
            }
            let mut value = tables.events.get(txn, &seq)?.unwrap().to_vec();
            *value.last_mut().unwrap() ^= 1;
            tables.events.put(txn, &seq, &value).map_err(Error::from)
        };
        store.environment.0.write(change).unwrap();
        drop(store);
        expect_corrupt(Lmdb::open(directory.path(), &options()), wanted);
    }
}

#[test]
fn an_entry_that_is_sealed_anew_with_other_words_breaks_the_chain() {
    let directory = directory();
    filled(directory.path());
    let store = open(directory.path());
    let change = |tables: &Tables<'static>, txn: &mut RwTxn<'_>| -> Result<(), Error> {
        let entry = View { tables, txn }.audit(EventSeq(1), 1)?.remove(0);
        let text = String::from_utf8(entry.to_bytes()).unwrap();
        let other = text.replace("candidate_proposed", "candidate_superseded");
        assert_ne!(other, text);
        let sealed = seal("events", &2_u64.to_be_bytes(), Codec::Json, other.as_bytes())?;
        tables.events.put(txn, &2, &sealed).map_err(Error::from)
    };
    store.environment.0.write(change).unwrap();
    block_on(async {
        let findings = store.verify().await.unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        let found = findings[0].to_string();
        assert!(
            found.contains("the audit chain") && found.contains("entry 2: its hash"),
            "{found}"
        );
    });
}

#[test]
fn a_record_that_the_chain_does_not_know_is_found() {
    let directory = directory();
    filled(directory.path());
    let store = open(directory.path());
    let id = sample::campaign("b").id;
    let change = |tables: &Tables<'static>, txn: &mut RwTxn<'_>| -> Result<(), Error> {
        let mut campaign = View { tables, txn }.campaign(&id)?.unwrap();
        campaign.value.name = "another".to_owned();
        let sealed = seal("campaigns", &2_u64.to_be_bytes(), Codec::Json, &encode(&campaign)?)?;
        tables.campaigns.put(txn, &2, &sealed).map_err(Error::from)
    };
    store.environment.0.write(change).unwrap();
    block_on(async {
        let findings = store.verify().await.unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        let found = findings[0].to_string();
        assert!(found.contains("campaign b") && found.contains("audit chain"), "{found}");
    });
}

#[test]
fn every_record_that_was_changed_behind_the_chain_is_found_and_one_that_moves_untold_may_move() {
    let directory = directory();
    filled(directory.path());
    let store = open(directory.path());
    let run = sample::run("a", sample::evaluation("a", "replay"), 0);
    let commit = |id: u64, value: &Run| Commit {
        runs: vec![Write { expected: Revision(id), value: value.clone() }],
        ..Commit::default()
    };
    let findings = || {
        let mut found = Vec::new();
        block_on(async {
            let [all, chain] =
                [store.verify().await, Upkeep::against_the_chain(&store).await].map(Result::unwrap);
            assert_eq!(format!("{all:?}"), format!("{chain:?}"));
            found.extend(chain.iter().map(StoreError::to_string));
        });
        found
    };
    // With a right envelope, byte for byte as decodable as before.
    let change = |table: &str, from: &str, to: &str| {
        let changed = store.environment.0.write(|tables, txn| {
            let numbered = |seq: u64| seq.to_be_bytes().to_vec();
            let (key, value) = match table {
                "campaigns" => (numbered(2), tables.campaigns.get(txn, &2)?),
                "experiments" => (numbered(2), tables.experiments.get(txn, &2)?),
                "runs" => (numbered(3), tables.runs.get(txn, &3)?),
                "workflows" => (numbered(2), tables.workflows.get(txn, &2)?),
                "workflow_runs" => (numbered(2), tables.workflow_runs.get(txn, &2)?),
                _ => (b"b".to_vec(), tables.throttles.get(txn, "b")?),
            };
            let payload = unseal(table, &key, Codec::Json, value.unwrap()).unwrap();
            let text = String::from_utf8(payload.to_vec()).unwrap();
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{table}");
            let sealed = seal(table, &key, Codec::Json, other.as_bytes())?;
            match table {
                "campaigns" => tables.campaigns.put(txn, &2, &sealed)?,
                "experiments" => tables.experiments.put(txn, &2, &sealed)?,
                "runs" => tables.runs.put(txn, &3, &sealed)?,
                "workflows" => tables.workflows.put(txn, &2, &sealed)?,
                "workflow_runs" => tables.workflow_runs.put(txn, &2, &sealed)?,
                _ => tables.throttles.put(txn, "b", &sealed)?,
            }
            Ok(())
        });
        changed.unwrap();
    };
    for (table, word, moves) in [
        ("campaigns", "campaign b", false),
        ("experiments", "experiment exp_", false),
        ("runs", "run run_", true),
        ("workflows", "workflow b", false),
        ("workflow_runs", "workflow run ", true),
        ("throttles", "throttle of b", false),
    ] {
        change(table, "{", "{ ");
        let found = findings();
        assert!(found.len() == 1 && found[0].starts_with(word), "{table}: {found:?}");
        change(table, "{ ", "{");
        if !["experiments", "throttles"].contains(&table) {
            for (revision, is_found) in [("0", true), ("2", !moves)] {
                let [is, was] = [revision, "1"].map(|it| format!("\"revision\":{it},"));
                change(table, &was, &is);
                assert_eq!(findings().len(), usize::from(is_found), "{table} at {revision}");
                change(table, &is, &was);
            }
        }
    }
    block_on(async {
        store.commit(commit(1, &sample::claimed(&run))).await.unwrap();
        let lifted = [(sample::throttle("a").provider, None)].into();
        store.commit(Commit { throttles: lifted, ..Commit::default() }).await.unwrap();
    });
    assert_eq!(findings(), [""; 0]);
}

/// The store as a version would have left it that knew no later format.
fn make_older(store: &Lmdb, format: u32, output: &RunOutput) {
    let older = format!(
        r#"{{"format":{format},"page_size":{},"byte_order":"{}","created_by":"optim 0"}}"#,
        rustix::param::page_size(),
        if cfg!(target_endian = "little") { "little" } else { "big" }
    );
    let change = |tables: &Tables<'static>, txn: &mut RwTxn<'_>| -> Result<(), Error> {
        if format < 3 {
            tables.workflow_runs_on.clear(txn)?;
            tables.workflow_runs_ended.clear(txn)?;
            tables.workflow_run_outputs.clear(txn)?;
            let (digest, bytes) = (output.output.digest(), output.output.bytes());
            let sealed = seal("blobs", digest.as_bytes(), Codec::Raw, bytes)?;
            tables.blobs.put(txn, digest.as_bytes(), &sealed)?;
        }
        for recorded in (View { tables, txn }).events(EventSeq(0), Page::LIMIT_MAX)? {
            let key = recorded.seq.0.to_be_bytes();
            let sealed = seal("events", &key, Codec::Json, &encode(&recorded.event)?)?;
            tables.events.put(txn, &recorded.seq.0, &sealed)?;
        }
        let sealed = seal("meta", b"store", Codec::Json, older.as_bytes())?;
        tables.meta.put(txn, "store", &sealed).map_err(Error::from)
    };
    store.environment.0.write(change).unwrap();
}

fn meta(store: &Lmdb) -> String {
    let meta = store.environment.0.read(|view| {
        let sealed = view.tables.meta.get(view.txn, "store")?.unwrap().to_vec();
        Ok(String::from_utf8_lossy(&sealed).into_owned())
    });
    meta.unwrap()
}

/// Where `needle` is in the data file: once in a page that is in use, and in pages that were replaced.
fn find(data: &Path, needle: &[u8]) -> Vec<u64> {
    let bytes = std::fs::read(data).unwrap();
    let found = bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle);
    found.map(|(offset, _)| u64::try_from(offset).unwrap()).collect()
}

fn flip(data: &Path, offsets: &[u64], bit: u64) {
    assert!(!offsets.is_empty());
    let file = OpenOptions::new().read(true).write(true).open(data).unwrap();
    for offset in offsets {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset + bit / 8).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], offset + bit / 8).unwrap();
    }
}

#[test]
fn threat_41_a_flipped_bit_of_a_record_is_found_wherever_it_is_and_the_others_stay_readable() {
    let directory = directory();
    filled(directory.path());
    let data = directory.path().join("data.mdb");
    let damaged = sample::run("b", sample::evaluation("b", "replay"), 0);
    let stored = crate::Versioned { revision: crate::Revision(1), value: &damaged };
    // The third run: each campaign brought two.
    let sealed =
        seal("runs", &3_u64.to_be_bytes(), Codec::Json, &encode(&stored).unwrap()).unwrap();
    let offsets = find(&data, &sealed);
    let bits = u64::try_from(sealed.len()).unwrap() * 8;
    for bit in (0..bits).step_by(41).chain(0..8) {
        flip(&data, &offsets, bit);
        let store = open(directory.path());
        block_on(async {
            let error = store.run(damaged.id).await.unwrap_err();
            assert!(
                matches!(&error, StoreError::Corrupt { what, .. } if *what == format!("run {}", damaged.id))
            );
            // Named among others; where it belongs to others, they are not whole without it.
            let queued = store.runs(&RunFilter::Queued, Page::first()).await.unwrap();
            assert_eq!((queued.items.len(), queued.damaged.len()), (2, 1), "{queued:?}");
            let of_one = RunFilter::Evaluation(damaged.evaluation);
            let listing = store.runs(&of_one, Page::first()).await;
            assert!(matches!(listing, Err(StoreError::Corrupt { .. })), "{listing:?}");
            let change =
                crate::Write { expected: crate::Revision(1), value: sample::claimed(&damaged) };
            let commit = Commit { runs: vec![change], ..Commit::default() };
            assert_eq!(store.commit(commit).await.unwrap_err().code(), "record_corrupt");
            store.commit(Commit::default()).await.unwrap();
            // The record, and that it is missing behind the four indexes that list it, and in the chain.
            assert_eq!(store.verify().await.unwrap().len(), 6);
            for id in ["a", "c"] {
                let other = sample::run(id, sample::evaluation(id, "replay"), 0);
                assert_eq!(store.run(other.id).await.unwrap().unwrap().value, other);
            }
        });
        drop(store);
        flip(&data, &offsets, bit);
    }
    block_on(async { expect_intact(&open(directory.path())).await });
}

#[test]
fn a_flipped_bit_of_a_payload_is_found() {
    let directory = directory();
    filled(directory.path());
    let data = directory.path().join("data.mdb");
    let payload = b"payload of b";
    flip(&data, &find(&data, payload), 21);
    block_on(async {
        let store = open(directory.path());
        let digest = Digest::of(payload);
        let error = store.blob(digest).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Corrupt { what, .. } if *what == format!("payload {digest}"))
        );
        assert_eq!(
            store.blob(Digest::of(b"payload of a")).await.unwrap().unwrap(),
            b"payload of a"
        );
        assert_eq!(store.verify().await.unwrap().len(), 1);
    });
}

#[test]
fn an_index_that_leads_astray_is_found() {
    let directory = directory();
    filled(directory.path());
    let store = open(directory.path());
    let [a, b] = ["a", "b"].map(|id| sample::run(id, sample::evaluation(id, "replay"), 0));
    store
        .environment
        .0
        .write(|tables, txn| {
            tables.run_ids.put(txn, a.id.as_bytes(), &3)?;
            tables.run_ids.put(txn, b.id.as_bytes(), &77)?;
            tables.campaign_ids.put(txn, "c", &1)?;
            tables.runs_running.put(txn, &5, &())?;
            tables.events.delete(txn, &2)?;
            Ok(())
        })
        .unwrap();
    block_on(async {
        let codes = [
            store.run(a.id).await.unwrap_err().code(),
            store.run(b.id).await.unwrap_err().code(),
            store.campaign(&sample::campaign("c").id).await.unwrap_err().code(),
            store.events(EventSeq(0), 10).await.unwrap_err().code(),
        ];
        assert_eq!(codes, ["record_corrupt"; 4]);
        let running = store.runs(&RunFilter::Running, Page::first()).await.unwrap();
        assert_eq!((running.items.len(), running.damaged.len()), (0, 1), "{running:?}");
        assert!(!store.verify().await.unwrap().is_empty());
    });
}

/// LMDB does not write pages at the end of the file that a transaction took and gave back.
#[test]
fn a_store_whose_last_pages_are_free_is_not_taken_for_a_truncated_one() {
    let directory = directory();
    let store = open(directory.path());
    let large = vec![0; 300_000];
    for step in 0..5_u64 {
        let change = |tables: &Tables<'static>, txn: &mut RwTxn<'_>| -> Result<(), Error> {
            match step {
                0 => (0..400).try_for_each(|key| tables.events.put(txn, &key, &large[..1000]))?,
                1 => (0..400)
                    .filter(|key| key % 50 < 25)
                    .try_for_each(|key| tables.events.delete(txn, &key).map(drop))?,
                2 | 3 => tables.events.put(txn, &(1000 + step), &large[..1000])?,
                _ => {
                    tables.events.put(txn, &(1000 + step), &large[..1000])?;
                    tables.blobs.put(txn, b"key", &large)?;
                    tables.blobs.delete(txn, b"key")?;
                }
            }
            Ok(())
        };
        store.environment.0.write(change).unwrap();
    }
    drop(store);
    drop(open(directory.path()));
}
