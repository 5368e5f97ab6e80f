//! Every change of a campaign: [`decide`] for commands, [`observe`] for facts.
//!
//! Both return the whole next state together with what must be committed with it. After each step
//! `advance` takes the campaign as far as it can go without the outside.

use crate::experiment::{Decision as PersonDecision, Experiment, ExperimentState, Judged};
use crate::id::{EvaluationId, ExperimentId};
use crate::judge;
use crate::metrics::Metrics;
use crate::metrics::baseline::{establish, replay_due, required};
use crate::pack::Split;
use crate::verdict::Verdict;
use crate::workflow::Fingerprint;

use super::command::{Command, Context, LiveChange, Rejection};
use super::event::{Event, EventKind, Subject};
use super::live::{LiveWrite, LiveWriteKind, plan_apply, plan_rollback};
use super::observation::{Candidate, EvaluationResult, Observation};
use super::{
    Campaign, Ending, Evaluation, Fate, Hold, Phase, Purpose, Replay, SearchMode, needs_a_person,
};

/// Candidates of people that may wait at once.
pub const SUGGESTIONS_MAX: usize = 100;

/// A step: the next state, and what must be committed with it.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The campaign after the step.
    pub next: Campaign,
    /// Experiments that are new or changed.
    pub experiments: Vec<Experiment>,
    /// Records to create or end in the same commit.
    pub effects: Vec<Effect>,
    /// What is told about the step; empty when nothing changed.
    pub events: Vec<Event>,
}

impl Decision {
    /// This step and the one after it as one step.
    pub fn then(mut self, step: impl FnOnce(&Campaign) -> Self) -> Self {
        let Self { next, experiments, effects, events } = step(&self.next);
        self.experiments.extend(experiments);
        self.effects.extend(effects);
        self.events.extend(events);
        Self { next, ..self }
    }
}

/// Case runs to create or end in the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Queue one run for each case of the evaluation's split.
    QueueRuns(Evaluation),
    /// Cancel the runs of the evaluation that are not over.
    CancelRuns {
        /// The evaluation.
        evaluation: EvaluationId,
        /// Why, for the run records.
        reason: &'static str,
    },
}

/// The events of a campaign that is being created.
pub fn create(campaign: Campaign, cx: &Context) -> Decision {
    let mut step = Step::new(&campaign, cx);
    step.tell(EventKind::CampaignCreated);
    step.finish()
}

/// Answers `command`.
///
/// # Errors
/// [`Rejection`] when the command is not allowed now; nothing has changed then.
pub fn decide(campaign: &Campaign, command: &Command, cx: &Context) -> Result<Decision, Rejection> {
    let mut step = Step::new(campaign, cx);
    match command {
        Command::Start => step.start()?,
        Command::Pause { reason } => step.pause(reason.clone())?,
        Command::Resume => step.resume()?,
        Command::Cancel { reason } => step.cancel(reason.clone())?,
        Command::Suggest { mutation } => step.suggest(mutation)?,
        Command::Approve { experiment, reason } => step.approve(*experiment, reason.clone())?,
        Command::Reject { experiment, reason } => step.reject(*experiment, reason)?,
        Command::Apply(change) => step.announce(LiveWriteKind::Apply, change)?,
        Command::Rollback(change) => step.announce(LiveWriteKind::Rollback, change)?,
    }
    step.advance();
    Ok(step.finish())
}

/// Takes in a fact. A fact that the campaign does not wait for leaves it as it is, without events.
pub fn observe(campaign: &Campaign, observation: &Observation, cx: &Context) -> Decision {
    let mut step = Step::new(campaign, cx);
    match observation {
        Observation::EvaluationFinished { evaluation, result } => {
            step.evaluation_finished(*evaluation, result)
        }
        Observation::Proposed { baseline, proposer, candidate, refused } => {
            if step.wants_candidate(*baseline) {
                step.next.search.refused.clone_from(refused);
                step.evaluate(proposer.clone(), candidate);
            }
        }
        Observation::NothingToPropose { baseline, refused } => {
            if step.wants_candidate(*baseline) && step.next.search.suggestions.is_empty() {
                step.close(Ending::NoFurtherMutation { refused: refused.clone() });
            }
        }
        Observation::SuggestionRefused { mutation, reason } => {
            let before = step.next.search.suggestions.len();
            step.next.search.suggestions.retain(|waiting| waiting != mutation);
            if step.next.search.suggestions.len() < before {
                let mutation = mutation_words(mutation);
                step.tell(EventKind::SuggestionRefused { mutation, reason: reason.clone() });
            }
        }
        Observation::LiveWriteEnded { found } => step.live_write_ended(*found),
        Observation::SourceGone { reason } => {
            if !step.next.is_closed() {
                step.close(Ending::SourceGone { reason: reason.clone() });
            }
        }
        Observation::Woke => {}
    }
    step.advance();
    step.finish()
}

/// A change in words, for events.
fn mutation_words(mutation: &crate::mutation::Mutation) -> String {
    format!("{}.{}", mutation.node, mutation.field)
}

/// A step in the making.
struct Step<'a> {
    before: &'a Campaign,
    next: Campaign,
    cx: &'a Context,
    experiments: Vec<Experiment>,
    effects: Vec<Effect>,
    events: Vec<Event>,
}

impl<'a> Step<'a> {
    fn new(before: &'a Campaign, cx: &'a Context) -> Self {
        let (experiments, effects, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { before, next: before.clone(), cx, experiments, effects, events }
    }

    fn finish(self) -> Decision {
        debug_assert!(
            self.next == *self.before || !self.events.is_empty(),
            "a change without an event"
        );
        Decision {
            next: self.next,
            experiments: self.experiments,
            effects: self.effects,
            events: self.events,
        }
    }

    fn tell(&mut self, what: EventKind) {
        let subject = Subject::Campaign(self.next.id.clone());
        let (actor, at) = (self.cx.actor.clone(), self.cx.now);
        self.events.push(Event { subject, actor, at, what });
    }

    fn wrong_status(&self, command: &'static str, help: &'static str) -> Rejection {
        Rejection::WrongStatus { command, status: self.next.status(), help }
    }

    /// Puts the campaign into `phase` and returns the one that it was in.
    fn enter(&mut self, phase: Phase) -> Phase {
        std::mem::replace(&mut self.next.phase, phase)
    }

    // --- commands ---------------------------------------------------------------------------

    fn start(&mut self) -> Result<(), Rejection> {
        match self.next.phase {
            Phase::Draft => {
                self.enter(Phase::Replaying { evaluation: None });
                self.tell(EventKind::CampaignStarted);
                Ok(())
            }
            _ => Err(self.wrong_status("start", "only a draft can")),
        }
    }

    fn pause(&mut self, reason: Option<String>) -> Result<(), Rejection> {
        if self.next.is_closed() || self.next.hold.is_some() || self.next.phase == Phase::Draft {
            return Err(self.wrong_status("pause", "only a campaign at work can"));
        }
        self.hold(Hold::Operator { actor: self.cx.actor.clone(), reason });
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Rejection> {
        match self.next.hold.take() {
            None => return Err(self.wrong_status("resume", "only a paused campaign can")),
            // Replays that disagree are evidence about the evaluator, not about the baseline: a person
            // who resumes has looked into it, and the baseline is measured afresh.
            Some(Hold::BaselineUnstable { .. }) => self.next.baseline.replays.clear(),
            Some(Hold::Operator { .. } | Hold::Budget { .. }) => {}
        }
        self.tell(EventKind::CampaignResumed);
        Ok(())
    }

    fn cancel(&mut self, reason: Option<String>) -> Result<(), Rejection> {
        if self.next.is_closed() {
            return Err(self.wrong_status("cancel", "it is over already"));
        }
        self.close(Ending::Cancelled { actor: self.cx.actor.clone(), reason });
        Ok(())
    }

    fn suggest(&mut self, mutation: &crate::mutation::Mutation) -> Result<(), Rejection> {
        let search = &self.next.search;
        if self.next.is_closed() {
            return Err(self.wrong_status("take a candidate", "start a new campaign"));
        }
        if let Some(fate) = search.tried.get(&mutation.key()) {
            return Err(Rejection::AlreadyTried { fate: *fate });
        }
        if search.suggestions.len() >= SUGGESTIONS_MAX {
            return Err(Rejection::TooManySuggestions { waiting: search.suggestions.len() });
        }
        if !search.suggestions.contains(mutation) {
            self.next.search.suggestions.push(mutation.clone());
            self.tell(EventKind::CandidateSuggested { mutation: mutation_words(mutation) });
        }
        Ok(())
    }

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

    fn approve(&mut self, asked: ExperimentId, reason: Option<String>) -> Result<(), Rejection> {
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
        self.next.search.tried.insert(experiment.mutation.key(), Fate::Approved);
        self.next.search.refused.clear();
        let baseline = &mut self.next.baseline;
        baseline.version += 1;
        baseline.snapshot = experiment.snapshot;
        baseline.fingerprint = experiment.candidate;
        baseline.patch = patch;
        // The candidate's own runs were selected for being good; they are no evidence about the new
        // baseline, which is measured afresh.
        baseline.replays.clear();
        baseline.established = None;
        let version = baseline.version;
        let by = PersonDecision {
            actor: self.cx.actor.clone(),
            at: self.cx.now,
            reason: reason.clone(),
        };
        experiment.state = ExperimentState::Approved { judged, by };
        self.experiments.push(experiment);
        self.enter(Phase::Replaying { evaluation: None });
        self.tell(EventKind::CandidateApproved { experiment: asked, version, reason });
        Ok(())
    }

    fn reject(&mut self, asked: ExperimentId, reason: &str) -> Result<(), Rejection> {
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
        let by = PersonDecision {
            actor: self.cx.actor.clone(),
            at: self.cx.now,
            reason: Some(reason.to_owned()),
        };
        experiment.state = ExperimentState::Rejected { judged, by };
        self.experiments.push(experiment);
        self.enter(Phase::Searching);
        self.tell(EventKind::CandidateRejected { experiment: asked, reason: reason.to_owned() });
        Ok(())
    }

    fn announce(&mut self, kind: LiveWriteKind, change: &LiveChange) -> Result<(), Rejection> {
        if self.next.live.intent.is_some() {
            return Err(Rejection::WriteInProgress);
        }
        let (patch, version) = match kind {
            LiveWriteKind::Apply => (plan_apply(&self.next)?, self.next.baseline.version),
            LiveWriteKind::Rollback => {
                let below =
                    self.next.live.applied.iter().rev().nth(1).map_or(0, |write| write.version);
                (plan_rollback(&self.next)?, below)
            }
        };
        if patch != change.patch {
            return Err(Rejection::StalePatch);
        }
        if change.from != self.next.live.expected && !has_words(change.accept_drift.as_deref()) {
            return Err(Rejection::LiveDrift {
                expected: self.next.live.expected,
                found: change.from,
            });
        }
        let (actor, at) = (self.cx.actor.clone(), self.cx.now);
        let LiveChange { from, to, .. } = *change;
        self.next.live.intent = Some(LiveWrite { kind, patch, from, to, version, actor, at });
        self.tell(EventKind::LiveWriteAnnounced {
            kind,
            from,
            to,
            accepted_drift: change.accept_drift.clone(),
        });
        Ok(())
    }

    // --- facts ------------------------------------------------------------------------------

    fn live_write_ended(&mut self, found: Fingerprint) {
        let Some(write) = self.next.live.intent.take() else {
            return;
        };
        if found != write.to {
            let reason = if found == write.from {
                "the live workflow is as it was before".to_owned()
            } else {
                format!(
                    "the live workflow is {found}, which is neither what it was nor what was written"
                )
            };
            self.tell(EventKind::LiveWriteFailed { reason });
            return;
        }
        let live = &mut self.next.live;
        live.expected = write.to;
        match write.kind {
            LiveWriteKind::Apply => live.applied.push(write),
            LiveWriteKind::Rollback => drop(live.applied.pop()),
        }
        self.tell(EventKind::LiveWriteDone { to: found });
    }

    fn wants_candidate(&self, baseline: Fingerprint) -> bool {
        let searching = self.next.phase == Phase::Searching && self.next.hold.is_none();
        searching && self.next.baseline.fingerprint == baseline
    }

    /// Makes an experiment of `candidate` and queues its evaluation.
    fn evaluate(&mut self, proposer: crate::experiment::Proposer, candidate: &Candidate) {
        let key = candidate.mutation.key();
        self.next.search.suggestions.retain(|waiting| waiting.key() != key);
        if self.next.search.tried.contains_key(&key)
            || self.next.search.experiments >= self.max_experiments()
        {
            return;
        }
        self.next.search.tried.insert(key, Fate::Pending);
        self.next.search.experiments += 1;
        let number = self.next.search.experiments;
        let baseline = self.next.baseline.fingerprint;
        let id = ExperimentId::derive(&[
            self.next.id.as_str().as_bytes(),
            &number.to_be_bytes(),
            baseline.0.as_bytes(),
            candidate.fingerprint.0.as_bytes(),
        ]);
        let experiment = Experiment {
            id,
            campaign: self.next.id.clone(),
            number,
            proposer,
            mutation: candidate.mutation.clone(),
            baseline_version: self.next.baseline.version,
            baseline,
            candidate: candidate.fingerprint,
            snapshot: candidate.snapshot,
            state: ExperimentState::Evaluating,
            created_at: self.cx.now,
        };
        self.experiments.push(experiment.clone());
        self.tell(EventKind::CandidateProposed { experiment: id });
        let purpose = Purpose::Candidate { experiment: id };
        let evaluation =
            self.queue(purpose, candidate.snapshot, candidate.fingerprint, Split::Search);
        self.enter(Phase::Evaluating { experiment: Box::new(experiment), evaluation });
    }

    fn evaluation_finished(&mut self, id: EvaluationId, result: &EvaluationResult) {
        let Some(evaluation) =
            self.next.in_flight().find(|evaluation| evaluation.id == id).cloned()
        else {
            return;
        };
        self.next.spent = self.next.spent.plus(result.spent);
        self.tell(EventKind::EvaluationFinished { evaluation: id, purpose: evaluation.purpose });
        match self.enter(Phase::Searching) {
            Phase::Replaying { .. } => self.replay_finished(id, result),
            Phase::Evaluating { experiment, .. } => self.candidate_finished(*experiment, result),
            Phase::Confirming { experiment, evaluations, baseline, candidate } => {
                let evaluations = evaluations.into_iter().filter(|open| open.id != id).collect();
                let (baseline, candidate) = match evaluation.purpose {
                    Purpose::ConfirmBaseline { .. } => (Some(result.metrics), candidate),
                    _ => (baseline, Some(result.metrics)),
                };
                self.enter(Phase::Confirming { experiment, evaluations, baseline, candidate });
            }
            // Nothing is in flight in the other phases.
            phase => drop(self.enter(phase)),
        }
    }

    fn replay_finished(&mut self, evaluation: EvaluationId, result: &EvaluationResult) {
        self.enter(Phase::Replaying { evaluation: None });
        if !result.is_measurable() {
            self.count_failure("a replay of the baseline gave no measurable result");
            return;
        }
        self.next.search.consecutive_failures = 0;
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

    fn candidate_finished(&mut self, mut experiment: Experiment, result: &EvaluationResult) {
        let (Some(baseline), true) = (self.next.baseline.established, result.is_measurable())
        else {
            let reason = "no case run gave a measurable result".to_owned();
            // An outage says nothing about the mutation: it may come again.
            self.next.search.tried.remove(&experiment.mutation.key());
            experiment.state = ExperimentState::Failed { reason: reason.clone() };
            self.tell(EventKind::CandidateFailed {
                experiment: experiment.id,
                reason: reason.clone(),
            });
            self.experiments.push(experiment);
            self.count_failure(&reason);
            return;
        };
        self.next.search.consecutive_failures = 0;
        let judged = self.judge(baseline, result);
        let verdict = judged.judgement.verdict;
        self.tell(EventKind::CandidateJudged { experiment: experiment.id, verdict });
        experiment.state = match verdict {
            Verdict::Promote => ExperimentState::Recommended(judged),
            Verdict::NeedsOperatorReview => ExperimentState::NeedsReview(judged),
            Verdict::Discard => ExperimentState::Discarded(judged),
        };
        self.experiments.push(experiment.clone());
        if needs_a_person(verdict) {
            let (evaluations, baseline, candidate) = (Vec::new(), None, None);
            self.enter(Phase::Confirming {
                experiment: Box::new(experiment),
                evaluations,
                baseline,
                candidate,
            });
        } else {
            self.next.search.tried.insert(experiment.mutation.key(), Fate::Discarded);
        }
    }

    fn judge(&self, baseline: Metrics, result: &EvaluationResult) -> Judged {
        let eval = &self.next.frozen.policies.eval;
        let evidence = judge::Evidence::new(&self.next.baseline.replays, baseline, result, eval);
        Judged {
            judgement: judge::judge(eval, &evidence),
            flips: judge::flips(&evidence),
            confirmation: None,
        }
    }

    fn count_failure(&mut self, last: &str) {
        self.next.search.consecutive_failures += 1;
        let failures = self.next.search.consecutive_failures;
        if failures >= self.next.frozen.policies.budget.max_consecutive_failures {
            self.close(Ending::TooManyFailures { failures, last: last.to_owned() });
        }
    }

    // --- as far as it goes without the outside ----------------------------------------------

    /// Takes the campaign as far as it can go now. Every turn of the loop leaves a phase for good.
    fn advance(&mut self) {
        while self.next.hold.is_none() && self.next.in_flight().next().is_none() {
            let moved = match &self.next.phase {
                Phase::Replaying { .. } => self.advance_replaying(),
                Phase::Searching => self.advance_searching(),
                Phase::Confirming { .. } => self.advance_confirming(),
                Phase::Draft
                | Phase::Evaluating { .. }
                | Phase::AwaitingApproval { .. }
                | Phase::Closed { .. } => false,
            };
            if !moved {
                return;
            }
        }
    }

    fn replay_is_due(&self) -> bool {
        let (baseline, search) = (&self.next.baseline, &self.next.search);
        replay_due(
            &baseline.replays,
            search.experiments,
            self.cx.now,
            &self.next.frozen.policies.eval,
        )
    }

    fn advance_replaying(&mut self) -> bool {
        if self.replay_is_due() {
            if self.budget_is_spent() {
                return true;
            }
            self.next.search.replays += 1;
            let purpose = Purpose::Replay { number: self.next.search.replays };
            let (snapshot, fingerprint) =
                (self.next.baseline.snapshot, self.next.baseline.fingerprint);
            let evaluation = self.queue(purpose, snapshot, fingerprint, Split::Search);
            self.enter(Phase::Replaying { evaluation: Some(evaluation) });
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

    fn advance_searching(&mut self) -> bool {
        if self.next.search.experiments >= self.max_experiments() {
            self.close(Ending::ExperimentsUsedUp);
            return true;
        }
        if self.next.search.mode == SearchMode::Suggestions
            && self.next.search.suggestions.is_empty()
        {
            self.close(Ending::SuggestionsDone);
            return true;
        }
        if self.replay_is_due() {
            self.enter(Phase::Replaying { evaluation: None });
            return true;
        }
        self.budget_is_spent()
    }

    fn advance_confirming(&mut self) -> bool {
        let Phase::Confirming { mut experiment, baseline, candidate, .. } =
            self.enter(Phase::Searching)
        else {
            return false;
        };
        let confirmation = match (baseline, candidate) {
            _ if self.next.frozen.holdout_cases == 0 => None,
            (Some(baseline), Some(candidate)) => {
                Some(crate::experiment::Confirmation { baseline, candidate })
            }
            _ => {
                let id = experiment.id;
                let (old, new) = (&self.next.baseline, (experiment.snapshot, experiment.candidate));
                let (snapshot, fingerprint) = (old.snapshot, old.fingerprint);
                let of_baseline = Purpose::ConfirmBaseline { experiment: id };
                let of_candidate = Purpose::ConfirmCandidate { experiment: id };
                let evaluations = vec![
                    self.queue(of_baseline, snapshot, fingerprint, Split::Holdout),
                    self.queue(of_candidate, new.0, new.1, Split::Holdout),
                ];
                self.enter(Phase::Confirming {
                    experiment,
                    evaluations,
                    baseline: None,
                    candidate: None,
                });
                return true;
            }
        };
        if let Some(confirmation) = confirmation {
            if let ExperimentState::Recommended(judged) | ExperimentState::NeedsReview(judged) =
                &mut experiment.state
            {
                judged.confirmation = Some(confirmation);
            }
            self.tell(EventKind::CandidateConfirmed { experiment: experiment.id });
            self.experiments.push(experiment.as_ref().clone());
        }
        self.enter(Phase::AwaitingApproval { experiment });
        true
    }

    // --- pieces -----------------------------------------------------------------------------

    fn max_experiments(&self) -> u32 {
        self.next.frozen.policies.budget.max_experiments
    }

    /// Holds the campaign when a limit is reached. A limit that nothing is left of covers no more work.
    fn budget_is_spent(&mut self) -> bool {
        match self.next.spent.exceeded(&self.next.frozen.policies.budget) {
            Some(reason) => {
                self.hold(Hold::Budget { reason });
                true
            }
            None => false,
        }
    }

    fn queue(
        &mut self,
        purpose: Purpose,
        snapshot: crate::digest::Digest,
        fingerprint: Fingerprint,
        split: Split,
    ) -> Evaluation {
        let id = purpose.evaluation_id(&self.next.id);
        let evaluation =
            Evaluation { id, purpose, snapshot, fingerprint, split, queued_at: self.cx.now };
        self.effects.push(Effect::QueueRuns(evaluation.clone()));
        self.tell(EventKind::EvaluationQueued { evaluation: id, purpose });
        evaluation
    }

    fn hold(&mut self, reason: Hold) {
        self.next.hold = Some(reason.clone());
        self.tell(EventKind::CampaignHeld { reason });
    }

    /// Ends the campaign: runs in flight are cancelled, an undecided experiment is superseded.
    fn close(&mut self, ending: Ending) {
        let open: Vec<_> = self.next.in_flight().map(|evaluation| evaluation.id).collect();
        for evaluation in open {
            self.effects.push(Effect::CancelRuns { evaluation, reason: "the campaign ended" });
            self.tell(EventKind::EvaluationDropped { evaluation });
        }
        let phase = self.enter(Phase::Closed { ending: ending.clone(), at: self.cx.now });
        if let Phase::Evaluating { mut experiment, .. }
        | Phase::Confirming { mut experiment, .. }
        | Phase::AwaitingApproval { mut experiment } = phase
        {
            self.next.search.tried.remove(&experiment.mutation.key());
            experiment.state =
                ExperimentState::Superseded { reason: "the campaign ended".to_owned() };
            self.tell(EventKind::CandidateSuperseded { experiment: experiment.id });
            self.experiments.push(*experiment);
        }
        self.next.hold = None;
        self.next.search.suggestions.clear();
        self.tell(EventKind::CampaignClosed { ending });
    }
}

fn has_words(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| !reason.trim().is_empty())
}
