//! What the outside should do for a campaign now. Derived from the state alone, so a restart asks
//! for the same.

use crate::id::EvaluationId;
use crate::metrics::baseline::next_replay_at;
use crate::mutation::Mutation;
use crate::quantity::Timestamp;

use super::{Campaign, Phase, SearchMode};

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Execute the open case runs of these evaluations, and report when all of one are over.
    AwaitRuns(Vec<EvaluationId>),
    /// Take in what these cancelled evaluations have cost.
    Settle(Vec<EvaluationId>),
    /// Read what is live, for the measurement that waits for it.
    ReadLive,
    /// Make a candidate of this change that a person handed in.
    Suggested(Mutation),
    /// Find the next candidate.
    Propose,
    /// Make a candidate of the baseline itself.
    CompareWithItself,
    /// Wait until then, and look again: the last evaluation gave no result.
    BackOff(Timestamp),
    /// A person must decide, resume or start.
    AwaitOperator,
    /// The campaign is over.
    Nothing,
}

/// The work of `campaign` now.
#[must_use]
pub fn work(campaign: &Campaign) -> Work {
    let open: Vec<_> = campaign.in_flight().map(|evaluation| evaluation.id).collect();
    if !open.is_empty() {
        return Work::AwaitRuns(open);
    }
    let unsettled: Vec<_> = campaign.unsettled().collect();
    if !unsettled.is_empty() {
        return Work::Settle(unsettled);
    }
    if campaign.wants_live() {
        return Work::ReadLive;
    }
    match (&campaign.phase, campaign.search.back_off) {
        (Phase::Closed { .. }, _) => Work::Nothing,
        _ if campaign.hold.is_some() => Work::AwaitOperator,
        (_, Some(back_off)) => Work::BackOff(back_off.until),
        (Phase::Searching, None) => {
            match (campaign.search.suggestions.first(), campaign.search.mode) {
                (Some(mutation), _) => Work::Suggested(mutation.clone()),
                (None, SearchMode::Proposers) => Work::Propose,
                (None, SearchMode::Suggestions) => Work::AwaitOperator,
                (None, SearchMode::Health) => Work::CompareWithItself,
            }
        }
        (
            Phase::Draft
            | Phase::Replaying { .. }
            | Phase::Evaluating { .. }
            | Phase::Comparing { .. }
            | Phase::Confirming { .. }
            | Phase::AwaitingApproval { .. },
            None,
        ) => Work::AwaitOperator,
    }
}

/// When the campaign wants to be looked at again though nothing has happened; absent when never.
#[must_use]
pub fn next_wakeup(campaign: &Campaign) -> Option<Timestamp> {
    let eval = &campaign.frozen.policies.eval;
    if let Work::BackOff(until) = work(campaign) {
        return Some(until);
    }
    let deadline = campaign.in_flight().map(|evaluation| evaluation.deadline(eval)).min();
    match (&campaign.phase, &campaign.hold, deadline) {
        (Phase::Searching, None, None) => next_replay_at(&campaign.baseline.replays, eval),
        (_, _, deadline) => deadline,
    }
}
