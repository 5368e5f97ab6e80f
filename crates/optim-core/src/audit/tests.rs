//! Laws of the chain: whatever is done to it is found, and named.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::change::{Change, RecordKind};
use super::entry::{Entry, Payload};
use super::head::Head;
use super::verify::{Broken, Verifier, Whole, goes_through};
use crate::digest::Digest;

fn chain(length: usize) -> Vec<Entry> {
    let mut head = Head::default();
    let entry = |number| {
        let event = json!({"campaign": "c", "actor": "local:ann", "at": number, "what": {
            "event": "campaign_started", "reason": "because \u{e9}", "evidence": 0.198_440_042_788_562_86,
        }});
        let after = Digest::of(&[u8::try_from(number).unwrap()]);
        let change = Change {
            kind: RecordKind::Campaign,
            id: "c".to_owned(),
            revision: Some(1),
            before: None,
            after: Some(after),
        };
        let entry = Entry::after(head, &event, &[change]).unwrap();
        head = entry.head();
        entry
    };
    (0..length).map(entry).collect()
}

fn lines(chain: &[Entry]) -> Vec<Vec<u8>> {
    chain.iter().map(Entry::to_bytes).collect()
}

fn verify(lines: &[Vec<u8>], pinned: Option<Head>) -> Result<Whole, Broken> {
    let mut verifier = Verifier::new(pinned);
    lines.iter().try_for_each(|line| verifier.take_bytes(line))?;
    verifier.finish()
}

#[test]
fn a_chain_is_whole_and_an_entry_has_one_known_form() {
    let chain = chain(3);
    let head = chain[2].head();
    assert_eq!(verify(&lines(&chain), Some(head)), Ok(Whole { head, dropped: 0 }));
    assert_eq!(head.to_string().parse(), Ok(head));
    // These bytes are on disks and in files: a change of them breaks every chain that is kept.
    assert_eq!(
        Head::default().to_string(),
        "0:sha256:bd91d9f0880ae3b2b55c13194ad686acf7e5c33c008800ab852f5bb466ea5673"
    );
    assert_eq!(
        chain[0].hash.to_string(),
        "sha256:6faf5214098c9da66171e37b81bf21bfb63dec4b8f13dca6a30dea9bb486ffe1"
    );
    let keys: Value = serde_json::from_slice(&chain[0].to_bytes()).unwrap();
    let keys: Vec<_> = keys.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["hash", "payload", "previous", "seq"]);
    assert_eq!(chain[0].changes().unwrap().unwrap().len(), 1);
    assert_eq!(verify(&[], None), Ok(Whole { head: Head::default(), dropped: 0 }));
}

#[test]
fn every_changed_byte_is_found_at_its_entry() {
    let chain = lines(&chain(3));
    for at in 0..chain[1].len() {
        for bit in 0..8 {
            let mut broken = chain.clone();
            broken[1][at] ^= 1 << bit;
            assert_eq!(verify(&broken, None).unwrap_err().seq, 2, "byte {at}, bit {bit}");
        }
        let mut broken = chain.clone();
        broken[1].remove(at);
        assert_eq!(verify(&broken, None).unwrap_err().seq, 2, "byte {at} left out");
        let mut broken = chain.clone();
        broken[1].insert(at, b' ');
        assert_eq!(verify(&broken, None).unwrap_err().seq, 2, "a blank before byte {at}");
    }
}

#[test]
fn an_entry_that_is_edited_and_hashed_anew_is_found_at_the_next_one_or_by_the_head() {
    let mut chain = chain(3);
    let head = chain[2].head();
    let event = json!({"campaign": "c", "actor": "local:eve"});
    let before = chain[0].head();
    chain[1] = Entry::after(before, &event, &[]).unwrap();
    let broken = verify(&lines(&chain), None).unwrap_err();
    assert_eq!((broken.seq, broken.why.code()), (3, "audit_detached"));
    chain[2] = Entry::after(chain[1].head(), &event, &[]).unwrap();
    assert!(verify(&lines(&chain), None).is_ok(), "whole without a head that was noted");
    let broken = verify(&lines(&chain), Some(head)).unwrap_err();
    assert_eq!((broken.seq, broken.why.code()), (3, "audit_rewritten"));
}

#[test]
fn every_pinned_head_must_be_on_the_chain_and_one_is_looked_for_by_itself() {
    let chain = chain(3);
    let [first, _, end] = [0, 1, 2].map(|index| chain[index].head());
    let verify = |pinned: &[Head]| {
        let mut verifier = Verifier::new(pinned.iter().copied());
        chain.iter().try_for_each(|entry| verifier.take(entry))?;
        verifier.finish()
    };
    let moved = |head: Head, seq| Head { seq, ..head };
    assert!(verify(&[end, first, Head::default()]).is_ok());
    assert_eq!(verify(&[end, moved(first, 2)]).unwrap_err().why.code(), "audit_rewritten");
    assert_eq!(verify(&[moved(first, 0)]).unwrap_err().why.code(), "audit_rewritten");
    assert_eq!(verify(&[first, moved(end, 4)]).unwrap_err().why.code(), "audit_truncated");
    let through = |pinned: Head| {
        let at = usize::try_from(pinned.seq).unwrap().checked_sub(1);
        goes_through(pinned, end, at.and_then(|at| chain.get(at)))
            .map_err(|broken| (broken.seq, broken.why.code()))
    };
    assert_eq!([end, first, Head::default()].map(through), [Ok(()); 3]);
    assert_eq!(through(moved(first, 2)), Err((2, "audit_rewritten")));
    assert_eq!(through(moved(first, 0)), Err((0, "audit_rewritten")));
    assert_eq!(through(moved(first, 9)), Err((4, "audit_truncated")));
}

#[test]
fn a_name_that_is_there_twice_is_found() {
    let chain = lines(&chain(1));
    let twice = String::from_utf8(chain[0].clone()).unwrap();
    let twice = twice.replace("\"payload\":{", "\"payload\":{\"event\":{\"actor\":\"eve\"},");
    assert_eq!(verify(&[twice.into_bytes()], None).unwrap_err().why.code(), "audit_unreadable");
}

proptest! {
    #[test]
    fn a_drop_a_swap_a_repeat_and_a_cut_are_found(length in 2_usize..12, a in 0_usize..12, b in 0_usize..12) {
        let whole = chain(length);
        let head = whole[length - 1].head();
        let (a, b) = (a % length, b % length);
        let seq = |index: usize| u64::try_from(index).unwrap() + 1;

        let mut dropped = lines(&whole);
        dropped.remove(a);
        let pinned = verify(&dropped, Some(head)).unwrap_err();
        prop_assert_eq!(pinned.seq, seq(a));
        // Without a head that was noted nobody can tell that the end is missing.
        prop_assert_eq!(verify(&dropped, None).is_ok(), a == length - 1);

        let mut swapped = lines(&whole);
        swapped.swap(a, b);
        match verify(&swapped, None) {
            Ok(_) => prop_assert_eq!(a, b),
            Err(broken) => prop_assert_eq!(broken.seq, seq(a.min(b))),
        }

        let mut repeated = lines(&whole);
        repeated.insert(a, repeated[a].clone());
        prop_assert_eq!(verify(&repeated, None).unwrap_err().seq, seq(a) + 1);

        let cut = lines(&whole[..a]);
        let broken = verify(&cut, Some(head)).unwrap_err();
        prop_assert_eq!((broken.seq, broken.why.code()), (seq(a), "audit_truncated"));
    }

    #[test]
    fn payloads_may_be_dropped_and_what_is_left_is_as_safe(length in 1_usize..8, dropped in any::<u8>()) {
        let mut chain = chain(length);
        let head = chain[length - 1].head();
        for (index, entry) in chain.iter_mut().enumerate() {
            if dropped >> index & 1 == 1 {
                *entry = entry.clone().without_payload();
                prop_assert_eq!(entry.event().unwrap(), None);
                prop_assert_eq!(entry.clone().without_payload(), entry.clone());
            }
        }
        let count = chain.iter().filter(|entry| matches!(entry.payload, Payload::Dropped(_))).count();
        let whole = Whole { head, dropped: u64::try_from(count).unwrap() };
        prop_assert_eq!(verify(&lines(&chain), Some(head)), Ok(whole));
        if let Some(at) = chain.iter().position(|entry| matches!(entry.payload, Payload::Dropped(_))) {
            chain[at].payload = Payload::Dropped(Digest::of(b"another"));
            let broken = verify(&lines(&chain), None).unwrap_err();
            prop_assert_eq!((broken.seq, broken.why.code()), (u64::try_from(at).unwrap() + 1, "audit_edited"));
        }
    }
}
