//! Every change of a campaign: [`decide`] for commands, [`observe`] for facts.
//!
//! Both return the whole next state together with what must be committed with it. After each step
//! `advance` takes the campaign as far as it can go without the outside.

mod comparing;
mod decision;
mod ending;
mod funding;
mod measurement;
mod replay;
mod setback;

use crate::experiment::{Confirmation, Experiment, ExperimentState, Judged, experiment_id};
use crate::id::{EvaluationId, RequestKey};
use crate::judge;
use crate::metrics::Metrics;
use crate::pack::Split;
use crate::verdict::Verdict;
use crate::workflow::Fingerprint;

use self::funding::Wanted;
use super::check::check;
use super::command::{Command, Context, LiveChange, Rejection};
use super::event::{Event, EventKind, Subject};
use super::live::{LiveWrite, LiveWriteKind, plan_apply, plan_rollback};
use super::observation::{Candidate, EvaluationResult, Observation};
use super::{Campaign, Ending, Evaluation, Fate, Hold, Phase, Purpose, SearchMode, needs_a_person};

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
    /// Queue one run for each case of the evaluation's split that is not on record.
    QueueRuns(Evaluation),
    /// Queue the runs of both sides of pairs, in this order.
    QueuePairs {
        /// The evaluations that the runs belong to.
        evaluations: Vec<Evaluation>,
        /// Each run once: its evaluation, and the place of its case in the pack.
        order: Vec<(EvaluationId, u32)>,
    },
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
        Command::Start { reason } => step.start(reason.clone())?,
        Command::Pause { reason, cancel_runs } => step.pause(reason.clone(), *cancel_runs)?,
        Command::Resume { reason } => step.resume(reason.clone())?,
        Command::Cancel { reason } => step.cancel(reason.clone())?,
        Command::Close { reason } => step.wish_to_close(reason.clone())?,
        Command::Archive { reason } => step.archive(reason.clone())?,
        Command::Extend { by, reason } => step.extend(by, reason)?,
        Command::ResetFailures { reason } => step.reset_failures(reason)?,
        Command::QueueReplay { reason } => step.want_replay(reason.clone())?,
        Command::RecordReplay(record) => step.record_replay(record)?,
        Command::Suggest { mutation } => step.suggest(mutation)?,
        Command::Approve { experiment, reason } => step.approve(*experiment, reason.clone())?,
        Command::ApproveAnyway { experiment, reason } => {
            step.approve_anyway(*experiment, reason)?
        }
        Command::AddPairs { pairs, reason } => step.add_pairs(*pairs, reason)?,
        Command::Reject { experiment, reason } => step.reject(*experiment, reason)?,
        Command::Measure { live, reason } => step.measure(*live, reason.clone())?,
        Command::Apply(change) => step.announce(LiveWriteKind::Apply, change)?,
        Command::Rollback(change) => step.announce(LiveWriteKind::Rollback, change)?,
    }
    step.advance();
    if matches!(command, Command::Resume { .. }) && step.next == *campaign {
        let help = "the budget does not cover what comes next; `optim extend` adds to it";
        return Err(step.wrong_status("resume", help));
    }
    Ok(step.finish())
}

/// Answers `command`, once for each key: asked again, it changes nothing.
///
/// # Errors
/// Those of [`decide`], and [`Rejection::KeyReused`] when the key stands for something else.
pub fn decide_once(
    campaign: &Campaign,
    command: &Command,
    key: Option<&RequestKey>,
    cx: &Context,
) -> Result<Decision, Rejection> {
    let Some((key, request)) = key.zip(command.request()) else {
        return decide(campaign, command, cx);
    };
    if campaign.is_answered(key, &request)? {
        return Ok(Step::new(campaign, cx).finish());
    }
    let mut decision = decide(campaign, command, cx)?;
    // What changes nothing may be asked for again without harm.
    if !decision.events.is_empty() {
        decision.next.requests.add(key.clone(), &request);
    }
    Ok(decision)
}

/// Takes in a fact. A fact that the campaign does not wait for leaves it as it is, without events.
pub fn observe(campaign: &Campaign, observation: &Observation, cx: &Context) -> Decision {
    let mut step = Step::new(campaign, cx);
    match observation {
        Observation::EvaluationFinished { evaluation, result } => {
            step.evaluation_finished(*evaluation, result)
        }
        Observation::BatchLanded { batch, landed, faults, spent } => {
            step.batch_landed(*batch, landed, faults.as_ref(), spent)
        }
        Observation::RunsMissing { evaluation } => step.runs_missing(*evaluation),
        Observation::EvaluationSettled { evaluation, spent } => {
            step.settle_dropped(*evaluation, spent)
        }
        Observation::Continued => step.continued(),
        Observation::ProposersAsked { at_most } => {
            if step.wants_candidate(campaign.baseline.fingerprint) {
                step.proposers_asked(*at_most);
            }
        }
        Observation::Proposed { baseline, proposer, candidate, refused, usage } => {
            step.proposers_paid(*usage);
            if step.wants_candidate(*baseline) {
                step.next.search.refused.clone_from(refused);
                step.evaluate(proposer.clone(), candidate);
            }
        }
        Observation::NothingToPropose { baseline, refused, usage } => {
            step.proposers_paid(*usage);
            if step.wants_candidate(*baseline)
                && step.next.search.suggestions.is_empty()
                && !step.compare_gathered()
            {
                step.close(Ending::NoFurtherMutation { refused: refused.clone() });
            }
        }
        Observation::ApprovalRefused { experiment, reason } => {
            step.approval_refused(*experiment, reason)
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
        Observation::LiveRead(read) => step.live_read(read),
        Observation::SourceGone { reason } => {
            if !step.next.is_closed() {
                step.close(Ending::SourceGone { reason: reason.clone() });
            }
        }
        Observation::Woke => step.give_up_overdue(),
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
        debug_assert_eq!(check(&self.next), Vec::new(), "after {:?}", self.events);
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

    /// Has the record of an experiment written with the step: as it is in the end, once.
    fn keep(&mut self, experiment: Experiment) {
        self.experiments.retain(|earlier| earlier.id != experiment.id);
        self.experiments.push(experiment);
    }

    fn wrong_status(&self, command: &'static str, help: &'static str) -> Rejection {
        Rejection::WrongStatus { command, status: self.next.status(), help }
    }

    /// Puts the campaign into `phase` and returns the one that it was in.
    fn enter(&mut self, phase: Phase) -> Phase {
        std::mem::replace(&mut self.next.phase, phase)
    }

    // --- commands ---------------------------------------------------------------------------

    fn start(&mut self, reason: Option<String>) -> Result<(), Rejection> {
        match self.next.phase {
            Phase::Draft => {
                self.enter(match self.next.search.mode {
                    SearchMode::Proposers | SearchMode::Suggestions => {
                        Phase::Replaying { evaluation: None }
                    }
                    // Its pairs are all that is asked for.
                    SearchMode::Health => Phase::Searching,
                });
                self.tell(EventKind::CampaignStarted { reason });
                Ok(())
            }
            _ => Err(self.wrong_status("start", "only a draft can")),
        }
    }

    fn pause(&mut self, reason: Option<String>, cancel_runs: bool) -> Result<(), Rejection> {
        let at_work = !self.next.is_closed() && self.next.phase != Phase::Draft;
        let stops_runs = cancel_runs && self.next.in_flight().next().is_some();
        match self.next.hold {
            None if at_work => {
                self.hold(Hold::Operator { actor: self.cx.actor.clone(), reason });
            }
            Some(Hold::Operator { .. }) if stops_runs => {}
            _ => return Err(self.wrong_status("pause", "only a campaign at work can")),
        }
        if cancel_runs {
            self.drop_all("the campaign was paused");
        }
        Ok(())
    }

    fn resume(&mut self, reason: Option<String>) -> Result<(), Rejection> {
        match self.next.hold.take() {
            None => return Err(self.wrong_status("resume", "only a paused campaign can")),
            // Replays that disagree are evidence about the evaluator, not about the baseline: a person
            // who resumes has looked into it, and the baseline is measured afresh.
            Some(Hold::BaselineUnstable { .. }) => self.next.baseline.replays.clear(),
            Some(Hold::Failures { .. }) => {
                let help =
                    "too many evaluations gave no result; see why, then `optim reset-failures`";
                self.next.hold.clone_from(&self.before.hold);
                return Err(self.wrong_status("resume", help));
            }
            Some(Hold::Operator { .. } | Hold::Budget { .. }) => {}
        }
        self.tell(EventKind::CampaignResumed { reason });
        Ok(())
    }

    fn suggest(&mut self, mutation: &crate::mutation::Mutation) -> Result<(), Rejection> {
        let search = &self.next.search;
        if self.next.is_closed() {
            return Err(self.wrong_status("take a candidate", "start a new campaign"));
        }
        if search.mode == SearchMode::Health {
            let help =
                "it compares the baseline with itself only; end it, and start a new campaign";
            return Err(self.wrong_status("take a candidate", help));
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
        let LiveChange { from, to, texts, .. } = *change;
        let texts = Some(texts);
        self.next.live.intent = Some(LiveWrite {
            measured: None,
            unmeasured: None,
            kind,
            patch,
            from,
            to,
            texts,
            version,
            actor,
            at,
        });
        self.tell(EventKind::LiveWriteAnnounced {
            kind,
            from,
            to,
            accepted_drift: change.accept_drift.clone(),
            reason: change.reason.clone(),
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
        // A measurement is of what was live.
        self.give_up_measurement("the live workflow was written again".to_owned());
        let (live, kind) = (&mut self.next.live, write.kind);
        live.expected = write.to;
        match kind {
            LiveWriteKind::Apply => live.applied.push(write),
            LiveWriteKind::Rollback => drop(live.applied.pop()),
        }
        self.tell(EventKind::LiveWriteDone { to: found });
        if kind == LiveWriteKind::Apply {
            self.measure_by_policy();
        }
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
            || self.next.search.experiments >= self.next.budget().max_experiments
        {
            return;
        }
        let trial = match self.sequential() {
            Some(_) => match self.open_trial() {
                Some(trial) => Some(Box::new(trial)),
                None => return,
            },
            None => None,
        };
        self.next.search.tried.insert(key, Fate::Pending);
        self.next.search.experiments += 1;
        let number = self.next.search.experiments;
        let baseline = self.next.baseline.fingerprint;
        let id = experiment_id(&self.next.id, number, baseline, candidate.fingerprint);
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
            worst_case: candidate.worst_case,
            state: ExperimentState::Evaluating,
            trial,
            created_at: self.cx.now,
        };
        self.tell(EventKind::CandidateProposed { experiment: id });
        self.keep(experiment.clone());
        if experiment.trial.is_some() {
            self.next.search.gathered.push(experiment);
        } else {
            self.enter(Phase::Evaluating { experiment: Box::new(experiment), evaluation: None });
        }
    }

    /// A process takes up the work: what an earlier one has waited counts against no deadline.
    fn continued(&mut self) {
        self.proposers_lost();
        let Campaign { phase, live, .. } = &mut self.next;
        let open = phase.in_flight_mut().iter_mut().chain(live.in_flight_mut());
        open.for_each(|evaluation| evaluation.continued_at = Some(self.cx.now));
        let open: Vec<_> = self.next.in_flight().map(|evaluation| evaluation.id).collect();
        for evaluation in open {
            self.tell(EventKind::EvaluationContinued { evaluation });
        }
    }

    fn evaluation_finished(&mut self, id: EvaluationId, result: &EvaluationResult) {
        let Some(evaluation) =
            self.next.in_flight().find(|evaluation| evaluation.id == id).cloned()
        else {
            return;
        };
        self.settle(id, &result.spent);
        self.tell(EventKind::EvaluationFinished { evaluation: id, purpose: evaluation.purpose });
        if let Purpose::MeasureLive { split, .. } = evaluation.purpose {
            self.measurement_landed(id, split, result);
            return;
        }
        match self.enter(Phase::Searching) {
            Phase::Replaying { .. } => self.replay_finished(id, result),
            Phase::Evaluating { experiment, .. } => {
                self.candidate_finished(*experiment, id, result)
            }
            Phase::Confirming { experiment, evaluations, baseline, candidate } => {
                let evaluations = evaluations.into_iter().filter(|open| open.id != id).collect();
                let (baseline, candidate) = match evaluation.purpose {
                    _ if !result.is_measurable() => (baseline, candidate),
                    Purpose::ConfirmBaseline { .. } => (Some(result.metrics), candidate),
                    _ => (baseline, Some(result.metrics)),
                };
                self.confirmation_finished(result);
                self.enter(Phase::Confirming { experiment, evaluations, baseline, candidate });
            }
            // Nothing is in flight in the other phases.
            phase => drop(self.enter(phase)),
        }
    }

    /// A confirmation without a result is measured again; what the other side showed is kept.
    fn confirmation_finished(&mut self, result: &EvaluationResult) {
        if result.is_measurable() {
            self.count_success();
        } else {
            self.next.search.retries += 1;
            self.count_failure(result.without_result("a confirmation"));
        }
    }

    fn candidate_finished(
        &mut self,
        mut experiment: Experiment,
        evaluation: EvaluationId,
        result: &EvaluationResult,
    ) {
        let (Some(baseline), true) = (self.next.baseline.established, result.is_measurable())
        else {
            let reason = result.without_result("the candidate");
            // An outage says nothing about the mutation: it may come again.
            self.next.search.tried.remove(&experiment.mutation.key());
            experiment.state = ExperimentState::Failed { reason: reason.clone() };
            self.tell(EventKind::CandidateFailed {
                experiment: experiment.id,
                reason: reason.clone(),
            });
            self.keep(experiment);
            self.count_failure(reason);
            return;
        };
        self.count_success();
        let judged = judged(&self.next, baseline, evaluation, result);
        let verdict = judged.judgement.verdict;
        let experiment = self.record(experiment, judged);
        if needs_a_person(verdict) {
            self.confirm_next(experiment);
        }
    }

    /// Writes down what was judged, and gives back what is left of the stake of a candidate that is
    /// discarded. That of another one stays until a person has decided.
    fn record(&mut self, mut experiment: Experiment, judged: Judged) -> Experiment {
        let verdict = judged.judgement.verdict;
        self.tell(EventKind::CandidateJudged { experiment: experiment.id, verdict });
        experiment.state = match verdict {
            Verdict::Promote => ExperimentState::Recommended(judged),
            Verdict::NeedsOperatorReview => ExperimentState::NeedsReview(judged),
            Verdict::Discard => {
                self.next.search.tried.insert(experiment.mutation.key(), Fate::Discarded);
                self.close_trial(&mut experiment);
                ExperimentState::Discarded(judged)
            }
        };
        self.keep(experiment.clone());
        experiment
    }

    /// Has a candidate confirmed that a person is to decide: by fresh pairs on the holdout cases, or under
    /// the point rule by an evaluation of each side.
    fn confirm_next(&mut self, experiment: Experiment) {
        if let (Some((rules, _)), Some(trial)) = (self.sequential(), &experiment.trial)
            && self.next.frozen.holdout_cases > 0
        {
            match trial.confirmation(rules.confirm_pairs) {
                Some(confirmation) => self.confirmed(experiment, confirmation),
                None => {
                    let candidates = vec![experiment];
                    self.enter(Phase::Comparing { candidates, batch: None });
                }
            }
            return;
        }
        let experiment = Box::new(experiment);
        let (evaluations, baseline, candidate) = (Vec::new(), None, None);
        self.enter(Phase::Confirming { experiment, evaluations, baseline, candidate });
    }

    // --- as far as it goes without the outside ----------------------------------------------

    /// Takes the campaign as far as it can go now. Every turn of the loop leaves a phase for good, or
    /// puts something in flight, or holds the campaign.
    fn advance(&mut self) {
        self.end_back_off();
        while self.next.in_flight().next().is_none() {
            // What is cancelled has its share of the budget until its cost is known.
            let waits = self.next.hold.is_some()
                || self.next.unsettled().next().is_some()
                || self.next.search.back_off.is_some();
            if self.close_as_wished() || waits || !self.advance_once() {
                return;
            }
        }
    }

    fn advance_once(&mut self) -> bool {
        match self.next.phase {
            Phase::Draft | Phase::AwaitingApproval { .. } | Phase::Closed { .. } => false,
            _ if self.has_failed() => self.hold_for_failures(),
            Phase::Replaying { .. } => self.advance_replaying(),
            Phase::Searching => self.advance_searching(),
            Phase::Evaluating { .. } => self.advance_evaluating(),
            Phase::Comparing { .. } => self.advance_comparing(),
            Phase::Confirming { .. } => self.advance_confirming(),
        }
    }

    fn advance_searching(&mut self) -> bool {
        if self.next.search.replay_wanted {
            self.enter(Phase::Replaying { evaluation: None });
            return true;
        }
        if self.begin_comparing() {
            return true;
        }
        if self.next.search.mode == SearchMode::Health && self.next.search.experiments > 0 {
            self.close(Ending::HealthChecked);
            return true;
        }
        if self.next.search.experiments >= self.next.budget().max_experiments {
            self.close(Ending::ExperimentsUsedUp);
            return true;
        }
        if self.next.search.mode == SearchMode::Suggestions
            && self.next.search.suggestions.is_empty()
        {
            if !self.compare_gathered() {
                self.close(Ending::SuggestionsDone);
            }
            return true;
        }
        if self.next.search.mode != SearchMode::Health && self.replay_is_due() {
            self.enter(Phase::Replaying { evaluation: None });
            return true;
        }
        // A candidate that cannot be measured is not looked for.
        self.affordable(self.runs(Split::Search), self.next.baseline.worst_case).is_none()
    }

    fn advance_evaluating(&mut self) -> bool {
        let Phase::Evaluating { experiment, .. } = &self.next.phase else {
            return false;
        };
        let wanted = Wanted {
            purpose: Purpose::Candidate { experiment: experiment.id },
            snapshot: experiment.snapshot,
            fingerprint: experiment.candidate,
            split: Split::Search,
            worst_case: experiment.worst_case,
        };
        let queued = self.queue(vec![wanted]);
        if let (Some(queued), Phase::Evaluating { evaluation, .. }) = (queued, &mut self.next.phase)
        {
            *evaluation = queued.into_iter().next();
        }
        true
    }

    fn advance_confirming(&mut self) -> bool {
        let Phase::Confirming { experiment, baseline, candidate, .. } = self.next.phase.clone()
        else {
            return false;
        };
        match (baseline, candidate) {
            _ if self.next.frozen.holdout_cases == 0 => {
                self.enter(Phase::AwaitingApproval { experiment });
            }
            (Some(baseline), Some(candidate)) => {
                self.confirmed(*experiment, Confirmation { baseline, candidate, gain: None });
            }
            _ => self.confirm(&experiment, baseline.is_none(), candidate.is_none()),
        }
        true
    }

    /// Queues the sides of a confirmation that are wanted.
    fn confirm(&mut self, winner: &Experiment, baseline: bool, candidate: bool) {
        let split = Split::Holdout;
        let old = Wanted {
            purpose: Purpose::ConfirmBaseline { experiment: winner.id },
            snapshot: self.next.baseline.snapshot,
            fingerprint: self.next.baseline.fingerprint,
            split,
            worst_case: self.next.baseline.worst_case,
        };
        let new = Wanted {
            purpose: Purpose::ConfirmCandidate { experiment: winner.id },
            snapshot: winner.snapshot,
            fingerprint: winner.candidate,
            split,
            worst_case: winner.worst_case,
        };
        let wanted = baseline.then_some(old).into_iter().chain(candidate.then_some(new)).collect();
        let queued = self.queue(wanted);
        if let (Some(queued), Phase::Confirming { evaluations, .. }) =
            (queued, &mut self.next.phase)
        {
            *evaluations = queued;
        }
    }

    fn confirmed(&mut self, mut winner: Experiment, confirmation: Confirmation) {
        if let ExperimentState::Recommended(judged) | ExperimentState::NeedsReview(judged) =
            &mut winner.state
        {
            judged.confirmation = Some(confirmation);
        }
        self.tell(EventKind::CandidateConfirmed { experiment: winner.id });
        self.keep(winner.clone());
        self.enter(Phase::AwaitingApproval { experiment: Box::new(winner) });
    }

    fn hold(&mut self, reason: Hold) {
        self.next.hold = Some(reason.clone());
        self.tell(EventKind::CampaignHeld { reason });
    }
}

/// What the judge says of a candidate of `campaign`, on what its baseline showed.
pub(super) fn judged(
    campaign: &Campaign,
    baseline: Metrics,
    evaluation: EvaluationId,
    result: &EvaluationResult,
) -> Judged {
    let eval = &campaign.frozen.policies.eval;
    let evidence = judge::Evidence::new(&campaign.baseline.replays, baseline, result, eval);
    Judged {
        evaluation: Some(evaluation),
        judgement: judge::judge(eval, &evidence),
        flips: judge::flips(&evidence),
        confirmation: None,
    }
}

fn has_words(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| !reason.trim().is_empty())
}
