//! A person's decision on the pending experiment.

use std::num::NonZeroU32;

use crate::experiment::{Anyway, Experiment, ExperimentState, Judged};
use crate::id::ExperimentId;
use crate::proposal::refusals::Refusals;
use crate::verdict::Verdict;

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::{Fate, Phase};
use super::{Step, has_words};

impl Step<'_> {
    /// Takes the pending experiment out of its phase, if it is the one that was named.
    fn pending(&mut self, asked: ExperimentId) -> Result<Experiment, Rejection> {
        match &self.next.phase {
            Phase::AwaitingApproval { experiment } if experiment.id == asked => {
                let experiment = experiment.as_ref().clone();
                if experiment.baseline == self.next.baseline.fingerprint {
                    Ok(experiment)
                } else {
                    Err(Rejection::BaselineMoved { experiment: asked })
                }
            }
            Phase::AwaitingApproval { experiment } => {
                Err(Rejection::NotPending { asked, pending: Some(experiment.id) })
            }
            _ => Err(Rejection::NotPending { asked, pending: None }),
        }
    }

    pub(super) fn approve(
        &mut self,
        asked: ExperimentId,
        reason: Option<String>,
    ) -> Result<(), Rejection> {
        let experiment = self.pending(asked)?;
        match experiment.state.clone() {
            ExperimentState::Recommended(judged) => self.accept(experiment, judged, reason),
            ExperimentState::NeedsReview(judged) => {
                let why = judged.judgement.reason;
                Err(Rejection::NotRecommended { experiment: asked, why })
            }
            _ => Err(Rejection::NotPending { asked, pending: None }),
        }
    }

    pub(super) fn approve_anyway(
        &mut self,
        asked: ExperimentId,
        reason: &str,
    ) -> Result<(), Rejection> {
        let experiment = self.pending(asked)?;
        if !has_words(Some(reason)) {
            return Err(Rejection::ReasonRequired {
                what: "approving a candidate that the judge does not recommend",
            });
        }
        let judged = undecided(&experiment)?;
        self.accept(experiment, judged, Some(reason.to_owned()))
    }

    /// Makes the candidate the baseline.
    fn accept(
        &mut self,
        mut experiment: Experiment,
        judged: Judged,
        reason: Option<String>,
    ) -> Result<(), Rejection> {
        let (asked, anyway) = (experiment.id, Anyway::of(&judged.judgement));
        let patch = self.next.baseline.patch.then(&experiment.mutation);
        let patch = patch.map_err(|_| Rejection::BaselineMoved { experiment: asked })?;
        self.keep_figures(&judged);
        self.next.search.tried.insert(experiment.mutation.key(), Fate::Approved);
        self.next.search.refused = Refusals::default();
        self.next.search.replay_wanted = false;
        self.close_trial(&mut experiment);
        let is_sequential = self.sequential().is_some();
        let baseline = &mut self.next.baseline;
        baseline.origin.get_or_insert((baseline.snapshot, baseline.fingerprint));
        baseline.version += 1;
        baseline.snapshot = experiment.snapshot;
        baseline.fingerprint = experiment.candidate;
        baseline.worst_case = experiment.worst_case;
        baseline.patch = patch;
        // The candidate's own runs were selected for being good; they are no evidence about the new
        // baseline, which is measured afresh.
        baseline.established = None;
        if !is_sequential {
            baseline.replays.clear();
        }
        let version = baseline.version;
        let by = self.decided(reason.clone());
        experiment.state = ExperimentState::Approved { judged, by, anyway };
        self.keep(experiment);
        // Pairs have a baseline side of their own, so nothing has to be measured before.
        self.enter(match is_sequential {
            true => Phase::Searching,
            false => Phase::Replaying { evaluation: None },
        });
        self.tell(EventKind::CandidateApproved { experiment: asked, version, reason, anyway });
        Ok(())
    }

    /// Goes on with the comparison of the candidate under review. Its evidence and its stake stay as they
    /// are, and so do its pairs on the holdout cases: to draw them again until they please would make their
    /// figure worth nothing.
    pub(super) fn add_pairs(&mut self, pairs: NonZeroU32, reason: &str) -> Result<(), Rejection> {
        let nothing = |why: String| Err(Rejection::NothingUnderReview { why });
        let Phase::AwaitingApproval { experiment } = &self.next.phase else {
            return nothing("no experiment awaits a decision".to_owned());
        };
        let mut experiment = experiment.as_ref().clone();
        let number = experiment.number;
        let Some(trial) = &mut experiment.trial else {
            return nothing("only the sequential rule decides on pairs".to_owned());
        };
        if !matches!(experiment.state, ExperimentState::NeedsReview(_)) {
            return nothing(format!("#{number} is recommended; approve or reject it"));
        }
        if !has_words(Some(reason)) {
            return Err(Rejection::ReasonRequired { what: "to add pairs" });
        }
        trial.extended = trial.extended.saturating_add(pairs.get());
        experiment.state = ExperimentState::Evaluating;
        // What is in flight has its share of the budget, and mostly gives some of it back.
        let all_is_settled = self.next.ledger.reserved.is_empty();
        let candidates = vec![experiment.clone()];
        if let (true, Err(shortage)) = (all_is_settled, self.covers_batch(&candidates)) {
            return Err(Rejection::Unaffordable { what: "another batch of pairs", shortage });
        }
        let (id, reason) = (experiment.id, reason.to_owned());
        self.keep(experiment);
        self.enter(Phase::Comparing { candidates, batch: None });
        self.tell(EventKind::PairsAdded { experiment: id, pairs, reason });
        Ok(())
    }

    pub(super) fn reject(&mut self, asked: ExperimentId, reason: &str) -> Result<(), Rejection> {
        let mut experiment = self.pending(asked)?;
        if !has_words(Some(reason)) {
            return Err(Rejection::ReasonRequired { what: "a rejection" });
        }
        let judged = undecided(&experiment)?;
        self.next.search.tried.insert(experiment.mutation.key(), Fate::Rejected);
        self.close_trial(&mut experiment);
        let by = self.decided(Some(reason.to_owned()));
        experiment.state = ExperimentState::Rejected { judged, by };
        self.keep(experiment);
        self.enter(Phase::Searching);
        self.tell(EventKind::CandidateRejected { experiment: asked, reason: reason.to_owned() });
        Ok(())
    }

    /// Demotes the pending experiment: it was approved, and must not be.
    pub(super) fn approval_refused(&mut self, asked: ExperimentId, reason: &str) {
        let Ok(mut experiment) = self.pending(asked) else {
            return;
        };
        let Ok(mut judged) = undecided(&experiment) else {
            return;
        };
        judged.judgement.verdict = Verdict::Discard;
        judged.judgement.reason = format!("the approval was refused: {reason}");
        experiment.state = ExperimentState::Discarded(judged);
        self.next.search.tried.insert(experiment.mutation.key(), Fate::Discarded);
        self.close_trial(&mut experiment);
        self.keep(experiment);
        self.enter(Phase::Searching);
        self.tell(EventKind::ApprovalRefused { experiment: asked, reason: reason.to_owned() });
    }
}

/// What a person is to decide on.
fn undecided(experiment: &Experiment) -> Result<Judged, Rejection> {
    let nothing = Rejection::NotPending { asked: experiment.id, pending: None };
    experiment.state.undecided().cloned().ok_or(nothing)
}
