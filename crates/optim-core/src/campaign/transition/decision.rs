//! A person's decision on the pending experiment.

use crate::experiment::{Experiment, ExperimentState};
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
        let mut experiment = self.pending(asked)?;
        let judged = match experiment.state.clone() {
            ExperimentState::Recommended(judged) => judged,
            ExperimentState::NeedsReview(judged) if has_words(reason.as_deref()) => judged,
            ExperimentState::NeedsReview(_) => {
                return Err(Rejection::ReasonRequired {
                    what: "approving a candidate that the judge did not recommend",
                });
            }
            _ => {
                return Err(Rejection::NotPending { asked, pending: None });
            }
        };
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
        experiment.state = ExperimentState::Approved { judged, by };
        self.experiments.push(experiment);
        // Pairs have a baseline side of their own, so nothing has to be measured before.
        self.enter(match is_sequential {
            true => Phase::Searching,
            false => Phase::Replaying { evaluation: None },
        });
        self.tell(EventKind::CandidateApproved { experiment: asked, version, reason });
        Ok(())
    }

    pub(super) fn reject(&mut self, asked: ExperimentId, reason: &str) -> Result<(), Rejection> {
        let mut experiment = self.pending(asked)?;
        if !has_words(Some(reason)) {
            return Err(Rejection::ReasonRequired { what: "a rejection" });
        }
        let (ExperimentState::Recommended(judged) | ExperimentState::NeedsReview(judged)) =
            experiment.state.clone()
        else {
            return Err(Rejection::NotPending { asked, pending: None });
        };
        self.next.search.tried.insert(experiment.mutation.key(), Fate::Rejected);
        self.close_trial(&mut experiment);
        let by = self.decided(Some(reason.to_owned()));
        experiment.state = ExperimentState::Rejected { judged, by };
        self.experiments.push(experiment);
        self.enter(Phase::Searching);
        self.tell(EventKind::CandidateRejected { experiment: asked, reason: reason.to_owned() });
        Ok(())
    }

    /// Demotes the pending experiment: it was approved, and must not be.
    pub(super) fn approval_refused(&mut self, asked: ExperimentId, reason: &str) {
        let Ok(mut experiment) = self.pending(asked) else {
            return;
        };
        let (ExperimentState::Recommended(mut judged) | ExperimentState::NeedsReview(mut judged)) =
            experiment.state
        else {
            return;
        };
        judged.judgement.verdict = Verdict::Discard;
        judged.judgement.reason = format!("the approval was refused: {reason}");
        experiment.state = ExperimentState::Discarded(judged);
        self.next.search.tried.insert(experiment.mutation.key(), Fate::Discarded);
        self.close_trial(&mut experiment);
        self.experiments.push(experiment);
        self.enter(Phase::Searching);
        self.tell(EventKind::ApprovalRefused { experiment: asked, reason: reason.to_owned() });
    }
}
