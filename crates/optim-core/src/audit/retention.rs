//! Which entries may lose their payload.
//!
//! A payload is kept, however old it is, as long as something that is stored is held against it:
//!
//! - what is told of a campaign or workflow run that is not over;
//! - what decisions are made again from, and what invariants compare with a campaign's records
//!   ([`EventKind::is_evidence`](crate::campaign::event::EventKind::is_evidence));
//! - the last word on a record, which has the digest that it was stored with.

use std::collections::{BTreeMap, BTreeSet};

use crate::campaign::event::Subject;
use crate::quantity::Timestamp;

use super::change::RecordKind;
use super::entry::Entry;

/// Looks through a chain, entry by entry, for payloads that nothing needs any more.
#[derive(Debug)]
pub struct Retention {
    /// What happened then or later is kept.
    before: Timestamp,
    open: BTreeSet<Subject>,
    unneeded: BTreeSet<u64>,
    /// The records on which an entry among those has the last word so far.
    last_words: BTreeMap<(RecordKind, String), u64>,
}

impl Retention {
    /// Keeps what happened at `before` or later, and all that is told of what is `open`.
    #[must_use]
    pub fn new(before: Timestamp, open: BTreeSet<Subject>) -> Self {
        Self { before, open, unneeded: BTreeSet::new(), last_words: BTreeMap::new() }
    }

    /// Looks at the next entry.
    ///
    /// # Errors
    /// This version does not know what it says.
    pub fn take(&mut self, entry: &Entry) -> Result<(), serde_json::Error> {
        let (Some(event), Some(changes)) = (entry.event()?, entry.changes()?) else {
            return Ok(());
        };
        let is_old = event.at < self.before && !self.open.contains(&event.subject);
        let is_unneeded = is_old && !event.what.is_evidence();
        if is_unneeded {
            self.unneeded.insert(entry.seq);
        }
        for change in changes {
            let record = (change.kind, change.id);
            if is_unneeded && change.after.is_some() {
                self.last_words.insert(record, entry.seq);
            } else {
                self.last_words.remove(&record);
            }
        }
        Ok(())
    }

    /// The numbers of the entries whose payload may be dropped, once all entries were looked at.
    #[must_use]
    pub fn unneeded(mut self) -> Vec<u64> {
        for last in self.last_words.values() {
            self.unneeded.remove(last);
        }
        self.unneeded.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::Change;
    use super::super::head::Head;
    use super::*;
    use crate::campaign::event::{Event, EventKind};
    use crate::digest::Digest;
    use crate::id::{Actor, CampaignId, ProviderId};

    const RESUMED: EventKind = EventKind::CampaignResumed { reason: None };

    fn campaign(id: &str) -> Subject {
        Subject::Campaign(CampaignId::new(id).unwrap())
    }

    /// What is unneeded before the time 10 in a chain of what was told when, and of the campaigns that were
    /// changed or, with a minus, removed then.
    fn unneeded(open: &[Subject], told: &[(Subject, i64, EventKind, &[&str])]) -> Vec<u64> {
        let mut retention = Retention::new(Timestamp(10), open.iter().cloned().collect());
        let mut head = Head::default();
        for (subject, at, what, changed) in told {
            let (subject, what, at) = (subject.clone(), what.clone(), Timestamp(*at));
            let event = Event { subject, actor: Actor::engine(), at, what };
            let change = |record: &&str| Change {
                kind: RecordKind::Campaign,
                id: record.trim_start_matches('-').to_owned(),
                revision: Some(1),
                before: None,
                after: (!record.starts_with('-')).then(|| Digest::of(record.as_bytes())),
            };
            let changes: Vec<_> = changed.iter().map(change).collect();
            let entry =
                Entry::after(head, &serde_json::to_value(event).unwrap(), &changes).unwrap();
            head = entry.head();
            retention.take(&entry).unwrap();
            retention.take(&entry.without_payload()).unwrap();
        }
        retention.unneeded()
    }

    #[test]
    fn what_is_old_over_and_no_evidence_goes() {
        let provider = Subject::Provider(ProviderId::new("p").unwrap());
        let throttled = EventKind::ProviderThrottled { until: Timestamp(0) };
        let told = [
            (campaign("over"), 9, RESUMED, &[][..]),
            (campaign("over"), 10, RESUMED, &[]),
            (campaign("open"), 9, RESUMED, &[]),
            (campaign("over"), 9, EventKind::CampaignCreated, &[]),
            (provider, 9, throttled, &[]),
            // The clock went back.
            (campaign("over"), 3, RESUMED, &[]),
        ];
        assert_eq!(unneeded(&[campaign("open")], &told), [1, 5, 6]);
    }

    #[test]
    fn the_last_word_on_a_record_stays() {
        let c = || campaign("c");
        let told = [
            (c(), 1, RESUMED, &["a", "b"][..]),
            (c(), 2, RESUMED, &["a"]),
            (c(), 3, RESUMED, &["gone"]),
            (c(), 4, RESUMED, &["-gone"]),
            (c(), 5, RESUMED, &["young", "evident"]),
            (c(), 6, EventKind::CampaignCreated, &["evident"]),
            (c(), 11, RESUMED, &["young"]),
        ];
        assert_eq!(unneeded(&[], &told), [3, 4, 5], "b stays with 1, a with 2");
    }
}
