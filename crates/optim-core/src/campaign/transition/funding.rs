//! Money and its like: nothing is queued before the most that it may use is set aside.

use crate::digest::Digest;
use crate::id::EvaluationId;
use crate::outcome::Usage;
use crate::pack::Split;
use crate::policy::Extension;
use crate::workflow::Fingerprint;

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::ledger::{Allowance, Amount, Spent};
use super::super::{Evaluation, Hold, Purpose};
use super::{Effect, Step, has_words};

/// An evaluation to be queued.
pub(super) struct Wanted {
    pub(super) purpose: Purpose,
    pub(super) snapshot: Digest,
    pub(super) fingerprint: Fingerprint,
    pub(super) split: Split,
    /// The most that one of its case runs can use, where that is known.
    pub(super) worst_case: Option<Allowance>,
}

impl Step<'_> {
    /// Queues all of `wanted`, or holds the campaign when the budget does not cover them together.
    pub(super) fn queue(&mut self, wanted: Vec<Wanted>) -> Option<Vec<Evaluation>> {
        let runs = wanted.iter().map(|wanted| self.runs_of(wanted)).sum();
        let worst = wanted.iter().map(|wanted| wanted.worst_case);
        let worst = worst.reduce(|one, other| Some(one?.covering(other?))).flatten();
        let each = self.affordable(runs, worst)?;
        Some(wanted.into_iter().map(|wanted| self.queue_one(wanted, each)).collect())
    }

    pub(super) fn queue_one(&mut self, wanted: Wanted, allowance: Allowance) -> Evaluation {
        let runs = self.runs_of(&wanted);
        let Wanted { purpose, snapshot, fingerprint, split, .. } = wanted;
        let evaluation = Evaluation {
            id: purpose.evaluation_id(&self.next.id, self.next.search.retries),
            purpose,
            snapshot,
            fingerprint,
            split,
            queued_at: self.cx.now,
            allowance,
            continued_at: None,
            requeued: 0,
            drawn: None,
        };
        self.next.ledger.reserve(evaluation.id, runs, allowance);
        self.effects.push(Effect::QueueRuns(evaluation.clone()));
        self.tell(EventKind::EvaluationQueued { evaluation: evaluation.id, purpose });
        evaluation
    }

    /// What each of `runs` case runs may use, at most `worst`; the campaign is held when that is too
    /// little.
    pub(super) fn affordable(&mut self, runs: u64, worst: Option<Allowance>) -> Option<Allowance> {
        match self.share(runs, worst) {
            Ok(each) => Some(each),
            Err(reason) => {
                self.hold(Hold::Budget { reason });
                None
            }
        }
    }

    /// What each of `runs` case runs may use, at most `worst`, or which limit that is too little for.
    pub(super) fn share(&self, runs: u64, worst: Option<Allowance>) -> Result<Allowance, String> {
        let share = self.next.ledger.share(runs, &self.total(), worst.as_ref());
        share.map_err(|shortage| shortage.to_string())
    }

    pub(super) fn runs(&self, split: Split) -> u64 {
        self.next.frozen.cases(split).into()
    }

    fn runs_of(&self, wanted: &Wanted) -> u64 {
        self.next.frozen.runs_for(&wanted.purpose, wanted.split).into()
    }

    fn total(&self) -> Allowance {
        self.next.budget().allowance()
    }

    /// Takes in what an evaluation has cost; whether that was not known before.
    pub(super) fn settle(&mut self, evaluation: EvaluationId, spent: &Spent) -> bool {
        let total = self.total();
        self.next.ledger.settle(evaluation, spent, &total)
    }

    pub(super) fn settle_dropped(&mut self, evaluation: EvaluationId, spent: &Spent) {
        let dropped = self.next.unsettled().any(|id| id == evaluation);
        if dropped && self.settle(evaluation, spent) {
            self.tell(EventKind::EvaluationSettled { evaluation, spent: *spent });
        }
    }

    pub(super) fn proposers_asked(&mut self, at_most: Amount) {
        let total = self.total();
        match self.next.ledger.begin_call(at_most, &total) {
            Ok(()) => self.tell(EventKind::ProposersAsked { at_most }),
            Err(shortage) => self.hold(Hold::Budget { reason: shortage.to_string() }),
        }
    }

    pub(super) fn proposers_paid(&mut self, usage: Usage) {
        let total = self.total();
        if self.next.ledger.end_call(usage, &total) {
            self.tell(EventKind::ProposersPaid { usage });
        }
    }

    /// A call that the process before has not ended may have been paid: it counts as if it was.
    pub(super) fn proposers_lost(&mut self) {
        if let Some(lost) = self.next.ledger.call {
            self.proposers_paid(lost.usage());
        }
    }

    pub(super) fn extend(&mut self, by: &Extension, reason: &str) -> Result<(), Rejection> {
        if self.next.is_closed() {
            return Err(self.wrong_status("be extended", "start a new campaign"));
        }
        if !has_words(Some(reason)) {
            return Err(Rejection::ReasonRequired { what: "an extension of the budget" });
        }
        self.next.budget().may_grow(by)?;
        self.next.extension = self.next.extension.plus(*by);
        self.tell(EventKind::BudgetExtended { by: *by, reason: reason.to_owned() });
        if matches!(self.next.hold, Some(Hold::Budget { .. })) {
            self.next.hold = None;
            self.tell(EventKind::CampaignResumed { reason: Some(reason.to_owned()) });
        }
        Ok(())
    }
}
