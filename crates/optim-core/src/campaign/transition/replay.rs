//! The baseline's replays: when one is queued, what it adds, whether they agree.

use crate::id::EvaluationId;
use crate::metrics::baseline::{establish, replay_due, required};
use crate::pack::Split;

use super::super::command::{Rejection, ReplayRecord};
use super::super::event::EventKind;
use super::super::observation::EvaluationResult;
use super::super::{Hold, Phase, Purpose, Replay};
use super::Step;
use super::funding::Wanted;

impl Step<'_> {
    pub(super) fn want_replay(&mut self, reason: Option<String>) -> Result<(), Rejection> {
        match self.next.phase {
            Phase::Draft | Phase::Closed { .. } => {
                return Err(self.wrong_status("replay its baseline", "only a started one can"));
            }
            // At most one is pending: the one in flight is the answer.
            Phase::Replaying { evaluation: Some(_) } => return Ok(()),
            _ => {}
        }
        if !self.next.search.replay_wanted {
            self.next.search.replay_wanted = true;
            self.tell(EventKind::ReplayWanted { reason });
        }
        Ok(())
    }

    pub(super) fn record_replay(&mut self, record: &ReplayRecord) -> Result<(), Rejection> {
        let ReplayRecord { evaluation, runs, open, foreign, result } = record;
        let refuse = |why: String| Err(Rejection::NoReplay { evaluation: *evaluation, why });
        let awaited = self
            .next
            .in_flight()
            .find(|open| open.id == *evaluation && matches!(open.purpose, Purpose::Replay { .. }));
        let cases = awaited.map(|awaited| self.next.frozen.runs(awaited));
        if self.next.baseline.replays.iter().any(|replay| replay.evaluation == *evaluation) {
            return refuse("it is recorded already, and counts once".to_owned());
        }
        let Some(cases) = cases else {
            return refuse("it is not the replay that the current baseline waits for".to_owned());
        };
        if *open > 0 {
            return refuse(format!("{open} of its {runs} case runs are not over"));
        }
        if *runs != cases {
            return refuse(format!("{runs} of {cases} case runs are on record"));
        }
        if *foreign > 0 {
            return refuse(format!("{foreign} of its case runs executed another definition"));
        }
        if !result.is_measurable() {
            return refuse("no case run gave a measurable outcome".to_owned());
        }
        self.evaluation_finished(*evaluation, result);
        Ok(())
    }

    pub(super) fn replay_finished(&mut self, evaluation: EvaluationId, result: &EvaluationResult) {
        self.enter(Phase::Replaying { evaluation: None });
        if !result.is_measurable() {
            self.count_failure(result.without_result("a replay of the baseline"));
            return;
        }
        self.count_success();
        let replays = &mut self.next.baseline.replays;
        replays.push(Replay {
            evaluation,
            metrics: result.metrics,
            experiments: self.next.search.experiments,
            at: self.cx.now,
            cases: result.cases.clone(),
        });
        // Older replays decide nothing; a campaign's record stays as small as its policy asks for.
        while replays.len() > required(&self.next.frozen.policies.eval) {
            replays.remove(0);
        }
    }

    pub(super) fn replay_is_due(&self) -> bool {
        let (baseline, search) = (&self.next.baseline, &self.next.search);
        let eval = &self.next.frozen.policies.eval;
        search.replay_wanted || replay_due(&baseline.replays, search.experiments, self.cx.now, eval)
    }

    pub(super) fn advance_replaying(&mut self) -> bool {
        if self.replay_is_due() {
            let wanted = Wanted {
                purpose: Purpose::Replay { number: self.next.search.replays + 1 },
                snapshot: self.next.baseline.snapshot,
                fingerprint: self.next.baseline.fingerprint,
                split: Split::Search,
                worst_case: self.next.baseline.worst_case,
            };
            if let Some(queued) = self.queue(vec![wanted]) {
                self.next.search.replays += 1;
                self.next.search.replay_wanted = false;
                self.enter(Phase::Replaying { evaluation: queued.into_iter().next() });
            }
            return true;
        }
        match establish(&self.next.baseline.replays, &self.next.frozen.policies.eval) {
            Ok(metrics) => {
                self.next.baseline.established = Some(metrics);
                self.enter(Phase::Searching);
                self.tell(EventKind::BaselineEstablished { version: self.next.baseline.version });
            }
            Err(instability) => {
                self.hold(Hold::BaselineUnstable { reason: instability.to_string() })
            }
        }
        true
    }
}
