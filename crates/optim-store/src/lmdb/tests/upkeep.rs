use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;

use optim_core::audit::entry::Payload;
use optim_core::campaign::event::EventKind;
use optim_core::digest::Digest;
use proptest::prelude::*;

use crate::portable::{Tally, Trailer};
use crate::store::{Blob, Commit, EventSeq, Revision, Store, StoreError, Write};
use crate::testing::conformance::block_on;
use crate::testing::{render, sample};
use crate::upkeep::{Exported, Swept, Upkeep};

use super::super::envelope::{Codec, seal};
use super::super::view::entry_of;
use super::{Lmdb, campaign, directory, everything, expect_intact, open};

/// A store with records of every kind, payloads of any bytes, and one record that changed.
async fn filled(path: &Path) -> Lmdb {
    let store = open(path);
    for id in ["a", "b"] {
        store.commit(everything(id)).await.unwrap();
    }
    let run = sample::claimed_workflow_run(&sample::workflow_run("with output", "w"));
    let (run, output) = sample::with_output(&run, &[7, 0xFF, 0]);
    let commit = Commit {
        campaigns: vec![Write { expected: Revision(1), value: campaign("a") }],
        events: vec![sample::event("a", EventKind::BackOffEnded), sample::event_of(&run)],
        workflow_runs: vec![Write { expected: Revision(0), value: run }],
        outputs: vec![output],
        blobs: vec![Blob::new(vec![0, 0xFE, 10, 13])],
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
    store
}

async fn export(store: &Lmdb) -> (Exported, String) {
    let file = tempfile::tempfile().unwrap();
    let exported = Upkeep::export(store, file.try_clone().unwrap()).await.unwrap();
    (exported, text(file))
}

fn text(mut file: File) -> String {
    file.rewind().unwrap();
    std::io::read_to_string(file).unwrap()
}

async fn import(store: &Lmdb, text: impl AsRef<[u8]>) -> Result<Exported, StoreError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_ref()).unwrap();
    store.import(file).await
}

#[test]
fn what_is_exported_and_imported_is_the_same_store() {
    let (one, other) = (directory(), directory());
    block_on(async {
        let store = filled(one.path()).await;
        let (exported, text) = export(&store).await;
        assert_eq!(exported.records.values().sum::<u64>(), 31, "{exported:?}");
        assert!(exported.records.values().all(|count| *count > 0), "{exported:?}");
        let copy = open(other.path());
        assert_eq!(import(&copy, &text).await.unwrap(), exported);
        expect_intact(&copy).await;
        assert_eq!(render(&copy).await.unwrap(), render(&store).await.unwrap());
        assert_eq!(export(&copy).await, (exported, text.clone()));
        assert_eq!(copy.audit_head().await.unwrap(), store.audit_head().await.unwrap());
        // It goes on as the other one would.
        let next = Commit {
            campaigns: vec![Write { expected: Revision(2), value: campaign("a") }],
            events: vec![sample::event("a", EventKind::BackOffEnded)],
            ..Commit::default()
        };
        store.commit(next.clone()).await.unwrap();
        copy.commit(next).await.unwrap();
        assert_eq!(copy.audit_head().await.unwrap(), store.audit_head().await.unwrap());
        assert_eq!(import(&copy, &text).await.unwrap_err().code(), "store_not_empty");
    });
}

#[test]
fn a_large_export_is_taken_in_though_the_map_has_to_grow() {
    let (one, other) = (directory(), directory());
    block_on(async {
        let store = filled(one.path()).await;
        let blobs = (0..40_u8).map(|number| Blob::new(vec![number; 100_000])).collect();
        store.commit(Commit { blobs, ..Commit::default() }).await.unwrap();
        let (exported, text) = export(&store).await;
        assert!(text.len() > 4 << 20);
        let copy = open(other.path());
        assert_eq!(import(&copy, &text).await.unwrap(), exported);
    });
}

#[test]
fn threat_17_an_export_that_was_changed_leaves_nothing_behind() {
    let (one, other) = (directory(), directory());
    block_on(async {
        let (_, text) = export(&filled(one.path()).await).await;
        let lines: Vec<_> = text.lines().collect();
        let copy = open(other.path());
        let refused = async |text: &str| {
            let error = import(&copy, text).await.unwrap_err();
            assert_eq!(error.code(), "export_invalid", "{error}");
            error.to_string()
        };
        for cut in 0..lines.len() {
            let mut fewer = lines.clone();
            fewer.remove(cut);
            refused(&(fewer.join("\n") + "\n")).await;
            let mut swapped = lines.clone();
            swapped.swap(cut, (cut + 1) % lines.len());
            refused(&(swapped.join("\n") + "\n")).await;
            refused(&(lines[..cut].join("\n") + "\n")).await;
            let twice = [&lines[..=cut], &lines[cut..]].concat();
            refused(&(twice.join("\n") + "\n")).await;
        }
        refused(text.trim_end()).await;
        refused("").await;
        let newer = refused(&text.replacen("\"optim_store\":1", "\"optim_store\":2", 1)).await;
        assert!(newer.contains("version 2") && newer.contains("line 1"), "{newer}");
        let stat = copy.stat().await.unwrap();
        assert!(stat.tables.iter().all(|(name, count)| *name == "meta" || *count == 0), "{stat:?}");
        import(&copy, &text).await.unwrap();
    });
}

#[test]
fn a_flipped_bit_anywhere_in_an_export_is_found() {
    let (one, other) = (directory(), directory());
    let mut whole = Vec::new();
    block_on(async { whole = export(&filled(one.path()).await).await.1.into_bytes() });
    let store = open(other.path());
    let expect_refused = |at: usize, bit: u8| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << bit;
        let mut answer = None;
        block_on(async { answer = Some(import(&store, &flipped).await) });
        let code = answer.unwrap().map_err(|error| error.code());
        assert_eq!(code, Err("export_invalid"), "byte {at}, bit {bit}");
    };
    // The lines that no hash of records covers, all of them; of the others a sample.
    let breaks = || whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let (first, last) = (breaks().next().unwrap(), breaks().nth_back(1).unwrap());
    for at in (0..=first).chain(last..whole.len()) {
        (0..8).for_each(|bit| expect_refused(at, bit));
    }
    proptest!(|(at in 0..whole.len(), bit in 0..8_u8)| expect_refused(at, bit));
    block_on(async { drop(import(&store, &whole).await.unwrap()) });
}

#[test]
fn an_export_of_a_version_that_did_not_hash_its_first_line_is_taken_in() {
    let (one, other) = (directory(), directory());
    block_on(async {
        let (exported, text) = export(&filled(one.path()).await).await;
        let (rest, header) = text.rsplit_once(",\"header\":").unwrap();
        assert!(header.ends_with("\"}\n"), "{header}");
        let older = format!("{rest}}}\n");
        assert_eq!(import(&open(other.path()), &older).await.unwrap(), exported);
    });
}

#[test]
fn a_chain_from_which_payloads_were_dropped_holds_and_goes_on() {
    let (one, other) = (directory(), directory());
    block_on(async {
        let store = filled(one.path()).await;
        let head = store.audit_head().await.unwrap();
        assert_eq!(store.drop_payloads(&[EventSeq(1), EventSeq(2)]).await.unwrap(), 2);
        expect_intact(&store).await;
        assert_eq!(store.audit_head().await.unwrap(), head);
        // A page begins with the first event that is left, however many were dropped before it.
        let left = store.events(EventSeq(0), 1).await.unwrap();
        assert_eq!(left.iter().map(|event| event.seq).collect::<Vec<_>>(), [EventSeq(3)]);
        assert_eq!(store.audit(EventSeq(0), 20).await.unwrap().len(), 10);
        let copy = open(other.path());
        let (exported, text) = export(&store).await;
        assert_eq!(import(&copy, &text).await.unwrap(), exported);
        let event = sample::event("a", EventKind::BackOffEnded);
        copy.commit(Commit { events: vec![event], ..Commit::default() }).await.unwrap();
        expect_intact(&copy).await;
    });
}

#[test]
fn an_entry_that_was_changed_keeps_its_payload_and_a_changed_one_without_is_found() {
    let directory = directory();
    block_on(async {
        let store = filled(directory.path()).await;
        // With a right envelope, as somebody would write it who knows the format.
        let rewrite = |seq: u64, from: &str, to: &str| {
            let rewritten = store.environment.0.write(|tables, txn| {
                let entry = entry_of(seq, tables.events.get(txn, &seq)?.unwrap())?;
                let text = String::from_utf8(entry.to_bytes()).unwrap();
                let changed = text.replacen(from, to, 1);
                assert_ne!(changed, text);
                let key = seq.to_be_bytes();
                let value = seal("events", &key, Codec::Json, changed.as_bytes())?;
                Ok(tables.events.put(txn, &seq, &value)?)
            });
            rewritten.unwrap();
        };
        let findings = async || Upkeep::verify(&store).await.unwrap();
        store.drop_payloads(&[EventSeq(2)]).await.unwrap();
        let whole = store.audit(EventSeq(0), 9).await.unwrap();
        let Payload::Dropped(digest) = whole[1].payload else { panic!("it is dropped") };
        let another = Digest::of(b"another").to_string();
        rewrite(2, &format!("\"dropped\":\"{digest}"), &format!("\"dropped\":\"{another}"));
        let found = findings().await;
        assert!(found[0].to_string().contains("entry 2: its hash is not"), "{found:?}");
        rewrite(2, &another, &digest.to_string());
        expect_intact(&store).await;

        let actor = "\"actor\":\"";
        rewrite(1, actor, "\"actor\":\"x");
        let refused = store.drop_payloads(&[EventSeq(1), EventSeq(3)]).await.unwrap_err();
        assert_eq!(refused.code(), "record_corrupt", "{refused}");
        rewrite(1, "\"actor\":\"x", actor);
        assert_eq!(store.audit(EventSeq(0), 9).await.unwrap(), whole);
    });
}

/// The lines of records with a header before and a trailer behind that counts and hashes them.
fn sealed(records: &[&str]) -> String {
    let mut tally = Tally::new();
    let counted = records.iter().filter(|record| tally.record(record.as_bytes()).is_some()).count();
    assert_eq!(counted, records.len());
    let Exported { records: kinds, hash } = tally.finish();
    let records_of_kinds = kinds.into_iter().map(|(kind, count)| (kind.to_owned(), count));
    let trailer = Trailer { records: records_of_kinds.collect(), hash, header: None };
    let trailer = serde_json::to_string(&trailer).unwrap();
    let header = r#"{"optim_store":1,"created_by":"hand"}"#;
    format!("{header}\n{}\n{trailer}\n", records.join("\n"))
}

#[test]
fn threat_17_an_export_that_contradicts_itself_is_refused_though_its_hash_is_right() {
    let (one, other) = (directory(), directory());
    block_on(async {
        let (_, text) = export(&filled(one.path()).await).await;
        let lines: Vec<_> = text.lines().collect();
        let records = &lines[1..lines.len() - 1];
        let copy = open(other.path());
        let refused = async |records: &[&str], what: &str| {
            let error = import(&copy, &sealed(records)).await.unwrap_err();
            assert_eq!(error.code(), "export_invalid", "{what}: {error}");
        };
        let last_entry =
            records.iter().rposition(|line| line.contains("\"kind\":\"entry\"")).unwrap();
        for (index, line) in records.iter().enumerate() {
            refused(&[&records[..=index], &records[index..]].concat(), "twice").await;
            // Nobody can tell that these were there.
            let is_missed = !["experiment", "throttle", "payload"]
                .iter()
                .any(|kind| line.starts_with(&format!("{{\"kind\":\"{kind}\"")));
            if is_missed && index != last_entry {
                let fewer = [&records[..index], &records[index + 1..]].concat();
                refused(&fewer, line).await;
            }
        }
        let mut renamed = records.to_vec();
        let other_name = records[0].replacen("\"name\":\"", "\"name\":\"x", 1);
        assert_ne!(other_name, records[0]);
        renamed[0] = &other_name;
        refused(&renamed, "a record that the chain does not know").await;
        import(&copy, &sealed(records)).await.unwrap();
    });
}

#[test]
fn threat_17_an_import_that_is_nested_without_end_is_refused_before_it_is_read() {
    let (one, other) = (directory(), directory());
    block_on(async {
        let (_, text) = export(&filled(one.path()).await).await;
        let lines: Vec<_> = text.lines().collect();
        let output = "\"result\":{\"Ok\":";
        let at = lines.iter().position(|line| line.contains(output)).expect("a run has an output");
        let (before, _) = lines[at].split_once(output).unwrap();
        let copy = open(other.path());
        // Of each kind, also where strings hold brackets.
        for deep in ["[".repeat(1_000_000), "{\"]\\\"]\":".repeat(1_000_000)] {
            let hostile = format!("{before}{output}{deep}}}");
            let text = [&lines[..at], &[hostile.as_str()], &lines[at + 1..]].concat();
            let error = import(&copy, &(text.join("\n") + "\n")).await.unwrap_err();
            assert_eq!(error.code(), "export_invalid");
            assert!(error.to_string().contains("nested too deep"), "{error}");
        }
        import(&copy, &text).await.unwrap();
    });
}

#[test]
fn an_export_is_one_state_while_others_write() {
    let (one, other) = (directory(), directory());
    block_on(async {
        let store = filled(one.path()).await;
        let copy = open(other.path());
        let (mut revision, mut text) = (2, String::new());
        for _ in 0..20 {
            let writes = async {
                for _ in 0..5 {
                    let commit = Commit {
                        campaigns: vec![Write {
                            expected: Revision(revision),
                            value: campaign("a"),
                        }],
                        events: vec![sample::event("a", EventKind::BackOffEnded)],
                        ..Commit::default()
                    };
                    store.commit(commit).await.unwrap();
                    revision += 1;
                }
            };
            let ((), exported) = tokio::join!(writes, export(&store));
            text = exported.1;
        }
        import(&copy, &text).await.unwrap();
        expect_intact(&copy).await;
    });
}

#[test]
fn a_sweep_removes_what_nothing_names_and_nothing_else() {
    let directory = directory();
    block_on(async {
        let store = filled(directory.path()).await;
        let named = Blob::new(b"named by a payload".to_vec());
        let definition = Blob::new(format!("{{\"uses\":\"{}\"}}", named.digest()).into_bytes());
        let mut run = sample::run("a", sample::evaluation("a", "other"), 7);
        run.snapshot = definition.digest();
        let commit = Commit {
            runs: vec![Write { expected: Revision(0), value: run }],
            blobs: vec![named.clone(), definition.clone()],
            ..Commit::default()
        };
        store.commit(commit).await.unwrap();
        let unnamed = [&b"payload of a"[..], b"payload of b", &[0, 0xFE, 10, 13]];
        let bytes = unnamed.iter().map(|bytes| u64::try_from(bytes.len()).unwrap() + 9).sum();
        assert_eq!(store.sweep().await.unwrap(), Swept { payloads: 3, bytes });
        assert_eq!(store.sweep().await.unwrap(), Swept::default());
        for blob in [&named, &definition] {
            assert_eq!(store.blob(blob.digest()).await.unwrap().as_deref(), Some(blob.bytes()));
        }
        assert_eq!(store.blob(Blob::new(unnamed[0].to_vec()).digest()).await.unwrap(), None);
        expect_intact(&store).await;
    });
}

#[test]
fn the_sizes_of_a_store_are_told() {
    let directory = directory();
    block_on(async {
        let store = filled(directory.path()).await;
        let stat = store.stat().await.unwrap();
        assert_eq!((stat.format, stat.tables["campaigns"], stat.tables["events"]), (4, 2, 10));
        assert_eq!(stat.head, store.audit_head().await.unwrap());
        assert!(stat.table_bytes > 0 && stat.table_bytes < stat.used_bytes, "{stat:?}");
        assert!(stat.used_bytes <= stat.map_bytes && stat.map_bytes <= stat.map_bytes_max);
        let file = directory.path().join("data.mdb").metadata().unwrap();
        assert_eq!(file.len(), stat.map_bytes);
        assert!(stat.readers >= 1 && stat.readers <= stat.readers_max, "{stat:?}");
    });
}

#[test]
fn a_damaged_record_is_not_exported() {
    let directory = directory();
    block_on(async {
        let store = filled(directory.path()).await;
        store
            .environment
            .0
            .write(|tables, txn| {
                let mut value = tables.runs.get(txn, &1)?.unwrap().to_vec();
                value[20] ^= 1;
                Ok(tables.runs.put(txn, &1, &value)?)
            })
            .unwrap();
        let refused = Upkeep::export(&store, tempfile::tempfile().unwrap()).await.unwrap_err();
        assert_eq!(refused.code(), "record_corrupt");
    });
}
