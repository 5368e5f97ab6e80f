//! Evaluations that give no result: given up at their deadline, queued again, counted.

use crate::id::EvaluationId;

use super::super::back_off::BackOff;
use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::{Campaign, Hold, Phase};
use super::{Effect, Step, has_words};

/// How often the runs of one evaluation are queued again because they are not on record.
const REQUEUES_MAX: u32 = 2;

impl Step<'_> {
    /// Gives up the evaluations whose deadline has passed.
    pub(super) fn give_up_overdue(&mut self) {
        let eval = &self.next.frozen.policies.eval;
        let overdue: Vec<_> = (self.next.in_flight())
            .filter(|evaluation| evaluation.deadline(eval) <= self.cx.now)
            .map(|evaluation| evaluation.id)
            .collect();
        let minutes = eval.evaluation_deadline_minutes;
        for evaluation in overdue {
            self.lose(
                evaluation,
                "it did not end before its deadline",
                format!("an evaluation did not end within {minutes} minutes"),
            );
        }
    }

    /// Queues runs that should be on record and are not, a few times. While the campaign is held,
    /// nothing is queued; the same is told again later.
    pub(super) fn runs_missing(&mut self, id: EvaluationId) {
        if self.next.hold.is_some() {
            return;
        }
        let Campaign { phase, live, .. } = &mut self.next;
        let mut open = phase.in_flight_mut().iter_mut().chain(live.in_flight_mut());
        let Some(evaluation) = open.find(|evaluation| evaluation.id == id) else {
            return;
        };
        if evaluation.requeued < REQUEUES_MAX {
            evaluation.requeued += 1;
            let evaluation = evaluation.clone();
            let purpose = evaluation.purpose;
            self.effects.push(Effect::QueueRuns(evaluation));
            self.tell(EventKind::EvaluationQueued { evaluation: id, purpose });
        } else {
            let failure = "case runs of an evaluation went missing".to_owned();
            self.lose(id, "runs of it are missing", failure);
        }
    }

    /// Drops an evaluation that gives no result. That is a failure of the search, unless it is of a
    /// measurement, which is not tried again by itself.
    fn lose(&mut self, id: EvaluationId, reason: &'static str, failure: String) {
        if self.next.live.in_flight().iter().any(|open| open.id == id) {
            self.give_up_measurement(failure);
        } else {
            self.drop_evaluation(id, reason);
            self.count_failure(failure);
        }
    }

    /// Takes the evaluation out of its phase and cancels its runs. Its purpose is queued again, under
    /// another id, when the campaign goes on in that phase.
    pub(super) fn drop_evaluation(&mut self, id: EvaluationId, reason: &'static str) {
        match &mut self.next.phase {
            Phase::Replaying { evaluation } | Phase::Evaluating { evaluation, .. } => {
                *evaluation = None;
            }
            Phase::Confirming { evaluations, .. } => evaluations.retain(|open| open.id != id),
            // What had ended of a batch stays: it lands without what is stopped now.
            _ => {}
        }
        self.next.search.retries += 1;
        if let Some(measuring) = &mut self.next.live.measuring {
            measuring.evaluations.retain(|open| open.id != id);
        }
        self.effects.push(Effect::CancelRuns { evaluation: id, reason });
        self.tell(EventKind::EvaluationDropped { evaluation: id, reason: reason.to_owned() });
    }

    pub(super) fn drop_all(&mut self, reason: &'static str) {
        let open: Vec<_> = self.next.in_flight().map(|evaluation| evaluation.id).collect();
        open.into_iter().for_each(|evaluation| self.drop_evaluation(evaluation, reason));
    }

    pub(super) fn count_failure(&mut self, reason: String) {
        self.next.search.consecutive_failures += 1;
        self.next.search.last_failure = Some(reason);
        let failures = self.next.search.consecutive_failures;
        // Too many hold the campaign until a person has looked, however long that takes.
        let back_off =
            (!self.has_failed()).then(|| BackOff::begin(failures, self.next.seed, self.cx.now));
        self.next.search.back_off = back_off;
        if let Some(BackOff { until, .. }) = back_off {
            self.tell(EventKind::BackOffBegun { failures, until });
        }
    }

    /// Ends a back-off that is over. A campaign that is held waits for more than that: nobody wakes it.
    pub(super) fn end_back_off(&mut self) {
        if self.next.hold.is_none()
            && self.next.search.back_off.is_some_and(|back_off| back_off.is_over(self.cx.now))
        {
            self.next.search.back_off = None;
            self.tell(EventKind::BackOffEnded);
        }
    }

    pub(super) fn count_success(&mut self) {
        self.next.search.consecutive_failures = 0;
        self.next.search.last_failure = None;
        self.next.search.back_off = None;
    }

    /// Whether too many evaluations in a row gave no result.
    pub(super) fn has_failed(&self) -> bool {
        let most = self.next.frozen.policies.budget.max_consecutive_failures;
        self.next.search.consecutive_failures >= most
    }

    pub(super) fn hold_for_failures(&mut self) -> bool {
        let search = &self.next.search;
        let last = search.last_failure.clone().unwrap_or_default();
        self.hold(Hold::Failures { failures: search.consecutive_failures, last });
        true
    }

    pub(super) fn reset_failures(&mut self, reason: &str) -> Result<(), Rejection> {
        let Some(Hold::Failures { failures, .. }) = self.next.hold else {
            return Err(self.wrong_status("reset its failures", "only a failed campaign can"));
        };
        if !has_words(Some(reason)) {
            return Err(Rejection::ReasonRequired { what: "going on after too many failures" });
        }
        self.next.hold = None;
        self.count_success();
        self.tell(EventKind::FailuresReset { failures, reason: reason.to_owned() });
        Ok(())
    }
}
