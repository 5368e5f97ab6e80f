//! What was refused on the way to candidates, for people and as a document.

use std::collections::BTreeMap;

use optim_core::proposal::prospect::Prospect;
use optim_core::proposal::refusals::{Refusals, Refused};
use serde::Serialize;

/// Refusals that are printed for people, those with the highest counts.
const SHOWN: usize = 8;

/// Refusals as a document.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RefusalsView {
    total: u32,
    /// Each with its node, field and code.
    kept: Vec<Refused>,
    /// Further ones, by code.
    others: BTreeMap<String, u32>,
}

impl From<&Refusals> for RefusalsView {
    fn from(refusals: &Refusals) -> Self {
        let (kept, others) = (refusals.kept().to_vec(), refusals.others().clone());
        Self { total: refusals.total(), kept, others }
    }
}

/// What the proposers could offer at the beginning, as a document.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ProspectView {
    candidates: u32,
    /// Whether there may be more.
    more: bool,
    refused: RefusalsView,
}

impl From<&Prospect> for ProspectView {
    fn from(Prospect { candidates, more, refused }: &Prospect) -> Self {
        Self { candidates: *candidates, more: *more, refused: refused.into() }
    }
}

/// The refusals with the highest counts, a line each, and how many others there are.
pub(super) fn lines(refusals: &Refusals) -> Vec<String> {
    let shown = most_frequent(refusals);
    let mut lines: Vec<_> = shown
        .iter()
        .map(|Refused { code, reason, count, .. }| format!("{count} x {code}: {reason}"))
        .collect();
    lines.extend(others(refusals, &shown));
    lines
}

/// `2 of n.timeout_ms (no_room), 3 others`: the same on one line.
pub(crate) fn words(refusals: &Refusals) -> String {
    let shown = most_frequent(refusals);
    let mut words: Vec<_> = shown
        .iter()
        .map(|Refused { node, field, code, count, .. }| {
            format!("{count} of {node}.{field} ({code})")
        })
        .collect();
    words.extend(others(refusals, &shown));
    words.join(", ")
}

fn most_frequent(refusals: &Refusals) -> Vec<&Refused> {
    let mut kept: Vec<_> = refusals.kept().iter().collect();
    kept.sort_by_key(|refused| std::cmp::Reverse(refused.count));
    kept.truncate(SHOWN);
    kept
}

fn others(refusals: &Refusals, shown: &[&Refused]) -> Option<String> {
    let shown = shown.iter().fold(0, |sum: u32, refused| sum.saturating_add(refused.count));
    let others = refusals.total().saturating_sub(shown);
    (others > 0).then(|| format!("{others} others"))
}

/// What a campaign begins with, on one line.
pub(super) fn prospect_words(prospect: &Prospect) -> String {
    let Prospect { candidates, more, refused } = prospect;
    let found = match (candidates, more) {
        (0, _) => "candidates show only when the baseline is measured".to_owned(),
        (_, true) => format!("at least {candidates} candidates for this baseline"),
        (1, false) => "1 candidate for this baseline".to_owned(),
        (_, false) => format!("{candidates} candidates for this baseline"),
    };
    match refused.total() {
        0 => found,
        _ => format!("{found}; refused: {}", words(refused)),
    }
}
