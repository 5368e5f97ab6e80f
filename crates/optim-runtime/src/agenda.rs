//! When campaigns want to be looked at again, by the wall clock.

use std::collections::{BTreeMap, BTreeSet};

use optim_core::id::CampaignId;
use optim_core::quantity::Timestamp;

/// One time at most for each campaign.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    times: BTreeMap<CampaignId, Timestamp>,
    by_time: BTreeSet<(Timestamp, CampaignId)>,
}

impl Agenda {
    /// Sets or strikes the time of a campaign.
    pub(crate) fn set(&mut self, campaign: &CampaignId, time: Option<Timestamp>) {
        let before = match time {
            Some(time) => self.times.insert(campaign.clone(), time),
            None => self.times.remove(campaign),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, campaign.clone()));
        }
        self.by_time.extend(time.map(|time| (time, campaign.clone())));
    }

    /// The next time.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// Takes the campaigns whose time has come.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<CampaignId> {
        let mut due = Vec::new();
        while let Some((time, campaign)) = self.by_time.first().cloned()
            && time <= now
        {
            self.set(&campaign, None);
            due.push(campaign);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_are_due_in_the_order_of_their_times_and_once_each() {
        let id = |id| CampaignId::new(id).unwrap();
        let mut agenda = Agenda::default();
        for (campaign, time) in [("a", 30), ("b", 10), ("c", 20), ("d", 40), ("a", 5), ("d", 60)] {
            agenda.set(&id(campaign), Some(Timestamp(time)));
        }
        agenda.set(&id("c"), None);
        agenda.set(&id("x"), None);
        assert_eq!((agenda.next(), agenda.due(Timestamp(4))), (Some(Timestamp(5)), vec![]));
        assert_eq!(agenda.due(Timestamp(59)), [id("a"), id("b")]);
        assert_eq!(agenda.due(Timestamp(60)), [id("d")]);
        assert_eq!((agenda.next(), agenda.due(Timestamp(i64::MAX))), (None, vec![]));
    }
}
