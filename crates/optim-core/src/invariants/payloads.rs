//! What records refer to: the yardstick is the one that was frozen, and what was written can be undone.

use crate::campaign::Campaign;
use crate::digest::Digest;

use super::{Findings, Snapshot};

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    for campaign in &snapshot.campaigns {
        yardstick(snapshot, campaign, findings);
        undoable(snapshot, campaign, findings);
    }
}

/// I11 and I24: the objective and the pack are there, as they were frozen.
fn yardstick(snapshot: &Snapshot, campaign: &Campaign, findings: &mut Findings) {
    let frozen = &campaign.frozen;
    for (what, digest) in [("objective", frozen.objective), ("eval pack", frozen.pack)] {
        match snapshot.payloads.get(&digest) {
            None => {}
            Some(None) => {
                findings.add(24, super::campaign(campaign), format!("its {what} {digest} is gone"));
            }
            Some(Some(found)) => findings.require(
                *found == digest,
                11,
                || super::campaign(campaign),
                || format!("its {what} was frozen as {digest}, and is {found}"),
            ),
        }
    }
    if let Some(Some(counts)) = snapshot.packs.get(&frozen.pack) {
        findings.require(
            *counts == frozen.case_counts(),
            11,
            || super::campaign(campaign),
            || format!("it was frozen with {}, its pack has {counts}", frozen.case_counts()),
        );
    }
}

/// I13: the text that a write replaced is there, so that the write can be taken back to the byte.
fn undoable(snapshot: &Snapshot, campaign: &Campaign, findings: &mut Findings) {
    let live = &campaign.live;
    let is_there = |digest: Digest| snapshot.payloads.get(&digest) != Some(&None);
    for write in live.applied.iter().chain(&live.intent) {
        let Some(texts) = write.texts else { continue };
        findings.require(
            is_there(texts.before),
            13,
            || super::campaign(campaign),
            || {
                format!(
                    "what its write of version {} replaced is gone: {}",
                    write.version, texts.before
                )
            },
        );
    }
}
