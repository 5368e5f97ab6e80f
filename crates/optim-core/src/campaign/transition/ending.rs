//! How a campaign ends, and what becomes of it then.

use crate::experiment::{Decision, Experiment, ExperimentState};

use super::super::command::Rejection;
use super::super::event::EventKind;
use super::super::{Ending, Phase};
use super::Step;

impl Step<'_> {
    pub(super) fn cancel(&mut self, reason: Option<String>) -> Result<(), Rejection> {
        if self.next.is_closed() && self.next.live.measuring.is_some() {
            let why = reason.map(|why| format!(": {why}")).unwrap_or_default();
            self.give_up_measurement(format!("cancelled by {}{why}", self.cx.actor));
            return Ok(());
        }
        if self.next.is_closed() {
            return Err(self.wrong_status("cancel", "it is over already"));
        }
        self.close(Ending::Cancelled { actor: self.cx.actor.clone(), reason });
        Ok(())
    }

    /// Notes the wish; `advance` fulfils it when nothing is in flight.
    pub(super) fn wish_to_close(&mut self, reason: Option<String>) -> Result<(), Rejection> {
        let help = match self.next.phase {
            Phase::Closed { .. } => "it is over already",
            Phase::Draft => "nothing has run yet: cancel it instead",
            _ if self.next.winner().is_some() => {
                "it has a winner: approve or reject that first, or cancel the campaign"
            }
            _ => {
                if self.next.closing.is_none() {
                    self.next.closing = Some(self.decided(reason.clone()));
                    self.tell(EventKind::CampaignClosing { reason });
                }
                return Ok(());
            }
        };
        Err(self.wrong_status("close", help))
    }

    /// Ends the campaign if a person wished it and no winner waits; whether it did.
    pub(super) fn close_as_wished(&mut self) -> bool {
        if self.next.winner().is_some() {
            return false;
        }
        let Some(by) = self.next.closing.take() else {
            return false;
        };
        self.close(Ending::ClosedByOperator { by });
        true
    }

    pub(super) fn archive(&mut self, reason: Option<String>) -> Result<(), Rejection> {
        if !self.next.is_closed() {
            return Err(self.wrong_status("be archived", "only a campaign that is over can"));
        }
        if self.next.archived.is_none() {
            self.next.archived = Some(self.decided(reason.clone()));
            self.tell(EventKind::CampaignArchived { reason });
        }
        Ok(())
    }

    /// Ends the campaign: runs in flight are cancelled, an undecided experiment is superseded.
    pub(super) fn close(&mut self, ending: Ending) {
        if matches!(ending, Ending::Cancelled { .. } | Ending::SourceGone { .. }) {
            self.give_up_measurement("the campaign was ended".to_owned());
        }
        let open: Vec<_> = self.next.phase.in_flight().iter().map(|open| open.id).collect();
        open.into_iter().for_each(|id| self.drop_evaluation(id, "the campaign ended"));
        let open = self.next.current_experiments().to_vec();
        self.enter(Phase::Closed { ending: ending.clone(), at: self.cx.now });
        for experiment in open {
            self.supersede(experiment, "the campaign ended");
        }
        self.next.search.gathered.clear();
        self.next.hold = None;
        self.next.closing = None;
        self.next.search.replay_wanted = false;
        self.next.search.back_off = None;
        self.next.search.suggestions.clear();
        self.tell(EventKind::CampaignClosed { ending });
    }

    /// Ends an experiment that nobody has decided. Its change may come again.
    pub(super) fn supersede(&mut self, mut experiment: Experiment, reason: &str) {
        self.next.search.tried.remove(&experiment.mutation.key());
        self.close_trial(&mut experiment);
        experiment.state = ExperimentState::Superseded { reason: reason.to_owned() };
        self.tell(EventKind::CandidateSuperseded { experiment: experiment.id });
        self.keep(experiment);
    }

    /// What the actor decides now.
    pub(super) fn decided(&self, reason: Option<String>) -> Decision {
        Decision { actor: self.cx.actor.clone(), at: self.cx.now, reason }
    }
}
