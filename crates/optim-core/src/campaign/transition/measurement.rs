//! Measurements of what is live: wanted once, begun on what is read then, compared with the promise.

use crate::experiment::{Decision, Judged};
use crate::id::EvaluationId;
use crate::pack::Split;
use crate::policy::AfterApply;
use crate::quantity::{Millis, Timestamp};
use crate::workflow::Fingerprint;

use super::super::Purpose;
use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::measurement::{Figures, Measured, Measuring, Unmeasured, compare};
use super::super::observation::{EvaluationResult, LiveRead};
use super::Step;
use super::funding::Wanted;

impl Step<'_> {
    pub(super) fn measure(
        &mut self,
        found: Fingerprint,
        reason: Option<String>,
    ) -> Result<(), Rejection> {
        let live = &self.next.live;
        if live.intent.is_some() {
            return Err(Rejection::WriteInProgress);
        }
        if live.applied.is_empty() {
            return Err(Rejection::NothingToMeasure);
        }
        if found != live.expected {
            return Err(Rejection::MeasuresDrift { expected: live.expected, found });
        }
        // At most one is pending: it is the answer.
        if live.measuring.is_some() {
            return Ok(());
        }
        // What is in flight has its share of the budget, and mostly gives some of it back.
        let all_is_settled = self.next.ledger.reserved.is_empty();
        let runs = self.runs(Split::Search) + self.runs(Split::Holdout);
        if let (true, Err(shortage)) = (all_is_settled, self.share(runs, None)) {
            return Err(Rejection::Unaffordable { what: "a measurement", shortage });
        }
        self.want_measurement(self.decided(reason), None);
        Ok(())
    }

    /// Wants a measurement after an apply, if the policy says so.
    pub(super) fn measure_by_policy(&mut self) {
        let policy = &self.next.frozen.policies.eval.post_apply;
        if policy.measure == AfterApply::Automatic {
            let until = self.cx.now.after(Millis::from_minutes(policy.window_minutes));
            self.want_measurement(self.decided(None), Some(until));
        }
    }

    fn want_measurement(&mut self, by: Decision, until: Option<Timestamp>) {
        let live = &mut self.next.live;
        live.measurements += 1;
        let (version, number, reason) = (live.version(), live.measurements, by.reason.clone());
        let (evaluations, search, holdout) = (Vec::new(), None, None);
        let measuring = Measuring { number, by, until, evaluations, search, holdout };
        live.measuring = Some(Box::new(measuring));
        self.tell(EventKind::MeasurementWanted { version, reason });
    }

    /// Begins the measurement whose turn it is on what was read, or gives it up.
    pub(super) fn live_read(&mut self, read: &Result<LiveRead, String>) {
        let Some(waiting) = self.next.live.waiting().filter(|_| self.next.wants_live()).cloned()
        else {
            return;
        };
        let applied = self.next.live.expected;
        let begun = match read {
            _ if waiting.until.is_some_and(|until| until <= self.cx.now) => {
                let minutes = self.next.frozen.policies.eval.post_apply.window_minutes;
                Err(format!("it could not begin within {minutes} minutes of the apply"))
            }
            Ok(read) if read.found != applied => {
                let found = read.found;
                Err(Rejection::MeasuresDrift { expected: applied, found }.to_string())
            }
            Ok(read) => self.begin_measurement(&waiting, read),
            Err(reason) => Err(reason.clone()),
        };
        if let Err(reason) = begun {
            self.give_up_measurement(reason);
        }
    }

    /// Queues what has not landed before a pause; says which limit does not cover it.
    fn begin_measurement(&mut self, waiting: &Measuring, read: &LiveRead) -> Result<(), String> {
        let LiveRead { fingerprint, snapshot, .. } = *read;
        let open = [Split::Search, Split::Holdout]
            .into_iter()
            .filter(|split| self.next.frozen.cases(*split) > 0 && waiting.landed(*split).is_none());
        let open: Vec<_> = open.collect();
        let each = self.share(open.iter().map(|split| self.runs(*split)).sum(), None)?;
        for split in open {
            let purpose = Purpose::MeasureLive { number: waiting.number, split };
            let wanted = Wanted { purpose, snapshot, fingerprint, split, worst_case: None };
            let queued = self.queue_one(wanted, each);
            if let Some(measuring) = &mut self.next.live.measuring {
                measuring.evaluations.push(queued);
            }
        }
        Ok(())
    }

    pub(super) fn measurement_landed(
        &mut self,
        id: EvaluationId,
        split: Split,
        result: &EvaluationResult,
    ) {
        let Some(measuring) = &mut self.next.live.measuring else {
            return;
        };
        measuring.evaluations.retain(|open| open.id != id);
        if !result.is_measurable() {
            return self.give_up_measurement(result.without_result("the measurement"));
        }
        *measuring.landed_mut(split) = Some(result.metrics);
        let (by, holdout) = (measuring.by.clone(), measuring.holdout);
        if let (Some(search), true) = (measuring.search, measuring.evaluations.is_empty()) {
            self.measured(by, Figures { search, holdout });
        }
    }

    /// Records on the apply what it has led to.
    fn measured(&mut self, by: Decision, figures: Figures) {
        let eval = &self.next.frozen.policies.eval;
        let live = &mut self.next.live;
        live.measuring = None;
        let version = live.version();
        let before = live.applied.iter().rev().nth(1).map_or(0, |write| write.version);
        let promised = live.figures.get(&version).copied();
        let before = live.figures.get(&before).copied();
        let finding = compare(&figures, promised.as_ref(), eval);
        let at = self.cx.now;
        let measured = Box::new(Measured { by, live: figures, promised, before, finding, at });
        if let Some(write) = live.applied.last_mut() {
            write.measured = Some(measured.clone());
            write.unmeasured = None;
        }
        self.tell(EventKind::LiveMeasured { version, measured });
    }

    /// Ends the measurement that is wanted or in flight, if one is. A person may ask for another one.
    pub(super) fn give_up_measurement(&mut self, reason: String) {
        let Some(measuring) = &self.next.live.measuring else {
            return;
        };
        let open: Vec<_> = measuring.evaluations.iter().map(|open| open.id).collect();
        open.into_iter().for_each(|id| self.drop_evaluation(id, "its measurement was given up"));
        let live = &mut self.next.live;
        live.measuring = None;
        if let Some(write) = live.applied.last_mut() {
            write.unmeasured = Some(Unmeasured { reason: reason.clone(), at: self.cx.now });
        }
        self.tell(EventKind::MeasurementGivenUp { reason });
    }

    /// Keeps what the judge saw of the baseline, and of the candidate that becomes the next one: what
    /// was promised is compared with what is live later.
    pub(super) fn keep_figures(&mut self, judged: &Judged) {
        let version = self.next.baseline.version;
        let holdout = judged.confirmation.as_ref();
        let old = Figures {
            search: judged.judgement.baseline,
            holdout: holdout.map(|confirmation| confirmation.baseline),
        };
        let new = Figures {
            search: judged.judgement.candidate,
            holdout: holdout.map(|confirmation| confirmation.candidate),
        };
        let figures = &mut self.next.live.figures;
        figures.entry(version).or_insert(old);
        figures.insert(version + 1, new);
    }
}
