//! The life of a campaign: tables for single steps, random walks for all of them.

pub(super) mod comparing;
mod decision;
mod decisions;
mod ending;
mod funding;
mod health;
mod measurement;
mod replay;
mod setback;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::check::check;
use super::command::{Command, Context, LiveChange, Rejection};
use super::event::{Event, EventKind};
use super::ledger::Amount;
use super::live::{Texts, plan_apply, plan_rollback};
use super::location::Location;
use super::observation::{Candidate, EvaluationResult, LiveRead, Observation};
use super::pairing::Landings;
use super::transition::{Decision, Effect, decide, decide_once, observe};
use super::work::{Work, work};
use super::*;
use crate::experiment::{Anyway, ExperimentState, Proposer};
use crate::id::NodeId;
use crate::invariants::change::{Change, Changed, check_change};
use crate::mutation::{FieldValue, MutableField, Mutation};
use crate::outcome::Usage;
use crate::policy::{
    AfterApply, BudgetPolicy, EvalPolicy, Extension, MutationPolicy, PackRef, Profile, ScopePolicy,
};
use crate::proposal::refusals::Refusals;
use crate::quantity::{Fraction, Tokens};

const CASES: u64 = 10;

fn policies(max_experiments: u32) -> Policies {
    Policies {
        eval: EvalPolicy { rule: Rule::point(), ..EvalPolicy::strict(PackRef::Implicit) },
        mutation: MutationPolicy::strict(MutableField::ALL),
        scope: ScopePolicy::default(),
        budget: BudgetPolicy {
            profile: Profile::Strict,
            max_experiments,
            max_runtime_minutes: 600,
            max_consecutive_failures: 3,
            max_total_tokens: Some(Tokens(10_000)),
            max_total_cost: None,
        },
    }
}

pub(super) fn campaign(max_experiments: u32, holdout_cases: u32) -> Campaign {
    let fingerprint = Fingerprint(Digest::of(b"source"));
    let source = Source {
        workflow: WorkflowId::new("w").unwrap(),
        name: "w".to_owned(),
        location: Location::File("/w.yaml".to_owned()),
        workspace: None,
        snapshot: Digest::of(b"snapshot"),
        fingerprint,
    };
    let frozen = Frozen {
        policies: policies(max_experiments),
        objective: Digest::of(b"objective"),
        pack: Digest::of(b"pack"),
        search_cases: u32::try_from(CASES).unwrap(),
        holdout_cases,
        tune_cases: 0,
        files: Vec::new(),
        executor: "scripted".to_owned(),
        simulated: true,
        worst_case: None,
        executor_settings: None,
    };
    Campaign::draft(CampaignId::new("c").unwrap(), "c".to_owned(), 1, source, frozen, Timestamp(0))
}

pub(super) fn cx(now: i64) -> Context {
    Context { now: Timestamp(now), actor: Actor::new("local:test").unwrap() }
}

/// A result with `passed` of the cases passing; `None` when nothing could be measured.
fn result(passed: Option<u64>) -> EvaluationResult {
    let mark = |index: u64| match passed {
        Some(passed) if index < passed => CaseMark::Passed,
        Some(_) => CaseMark::Failed,
        None => CaseMark::Void,
    };
    let cases = (0..CASES)
        .map(|index| (CaseId::new(format!("case-{index}")).unwrap(), mark(index)))
        .collect();
    let count = Fraction::new(passed.unwrap_or(0), CASES);
    let void = if passed.is_none() { 10 } else { 0 };
    let metrics = Metrics {
        replicates: 1,
        cases: count,
        checks: count,
        unmet: CASES - passed.unwrap_or(0),
        blocked: Fraction::new(0, CASES),
        within_limits: true,
        void,
        usage: Usage::default(),
    };
    EvaluationResult { metrics, cases, faults: None, spent: spent(10) }
}

/// What an evaluation of ten runs that used `tokens` together has cost.
fn spent(tokens: u64) -> Spent {
    let usage = Usage { prompt_tokens: Tokens(tokens), ..Usage::default() };
    let dearest = Amount { tokens: Tokens(tokens.div_ceil(CASES)), ..Amount::default() };
    Spent { runs: CASES, usage, dearest }
}

pub(super) fn mutation(tag: u64) -> Mutation {
    Mutation {
        node: NodeId::new("n").unwrap(),
        field: MutableField::TimeoutMs,
        before: FieldValue::Integer(0),
        after: FieldValue::Integer(i64::try_from(tag).unwrap() + 1),
    }
}

fn candidate(tag: u64) -> Candidate {
    let bytes = format!("candidate {tag}");
    let digest = Digest::of(bytes.as_bytes());
    Candidate {
        mutation: mutation(tag),
        fingerprint: Fingerprint(digest),
        snapshot: digest,
        worst_case: None,
    }
}

/// A campaign that is driven step by step, with everything that was asked of the outside.
pub(super) struct Driven {
    pub(super) campaign: Campaign,
    now: i64,
    queued: BTreeSet<EvaluationId>,
    landed: Landings,
    told: Vec<EventKind>,
    runs: BTreeMap<EvaluationId, u64>,
    experiments: BTreeMap<ExperimentId, Experiment>,
}

impl Driven {
    pub(super) fn new(campaign: Campaign) -> Self {
        let (queued, landed, told, runs, experiments) = Default::default();
        Self { campaign, now: 0, queued, landed, told, runs, experiments }
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), Rejection> {
        self.now += 1;
        let decision = decide(&self.campaign, &command, &cx(self.now))?;
        self.take(decision);
        Ok(())
    }

    /// A command with a key of the caller's own.
    fn once(&mut self, key: &str, command: Command) -> Result<(), Rejection> {
        self.now += 1;
        let key = crate::id::RequestKey::new(key).unwrap();
        let decision = decide_once(&self.campaign, &command, Some(&key), &cx(self.now))?;
        self.take(decision);
        Ok(())
    }

    fn observe(&mut self, observation: Observation) {
        self.now += 1;
        let decision = observe(&self.campaign, &observation, &cx(self.now));
        self.take(decision);
    }

    /// Commits a decision, checking what must hold for every one of them.
    fn take(&mut self, decision: Decision) {
        let Decision { next, experiments, effects, events } = decision;
        assert_eq!(
            next != self.campaign,
            !events.is_empty(),
            "changed exactly when there is an event: {events:?}"
        );
        assert_eq!(check(&next), Vec::new());
        self.keeps_the_invariants(&next, &experiments, &events);
        if matches!(work(&next), Work::AwaitOperator | Work::Nothing) {
            let looked_at = observe(&next, &Observation::Woke, &cx(i64::MAX / 2));
            let by_itself = "what waits for a person changes nothing by itself";
            assert_eq!(looked_at.events, vec![], "{by_itself}");
        }
        self.told.extend(events.into_iter().map(|event| event.what));
        for effect in effects {
            match effect {
                Effect::QueueRuns(evaluation) => {
                    self.runs.insert(evaluation.id, next.frozen.runs(&evaluation).into());
                    assert!(next.hold.is_none(), "nothing starts while held");
                    assert!(
                        next.search.back_off.is_none() || evaluation.requeued > 0,
                        "nothing starts before the wait after a failure is over"
                    );
                    assert!(
                        self.queued.insert(evaluation.id) || evaluation.requeued > 0,
                        "no evaluation is queued twice"
                    );
                    assert!(next.ledger.reserved.contains_key(&evaluation.id), "it is set aside");
                }
                Effect::QueuePairs { evaluations, order } => {
                    assert!(next.hold.is_none(), "nothing starts while held");
                    assert_eq!(next.search.back_off, None, "nothing starts during a back-off");
                    let runs =
                        evaluations.iter().filter_map(|one| one.drawn.as_ref()).map(Vec::len);
                    assert_eq!(runs.sum::<usize>(), order.len(), "each run is queued once");
                    for evaluation in evaluations {
                        self.runs.insert(evaluation.id, next.frozen.runs(&evaluation).into());
                        assert!(self.queued.insert(evaluation.id), "no evaluation is queued twice");
                        assert!(
                            next.ledger.reserved.contains_key(&evaluation.id),
                            "it is set aside"
                        );
                    }
                }
                Effect::CancelRuns { evaluation, .. } => assert!(self.queued.contains(&evaluation)),
            }
        }
        let written: BTreeSet<_> = experiments.iter().map(|experiment| experiment.id).collect();
        assert_eq!(written.len(), experiments.len(), "each record is written once");
        assert!(next.in_flight().all(|evaluation| self.queued.contains(&evaluation.id)));
        self.experiments
            .extend(experiments.into_iter().map(|experiment| (experiment.id, experiment)));
        for current in next.current_experiments() {
            // Pairs are written down with the decision; until then the campaign has them.
            let mut recorded = self.experiments[&current.id].clone();
            if matches!(next.phase, Phase::Comparing { .. }) {
                recorded.trial.clone_from(&current.trial);
            }
            assert_eq!(recorded, *current, "the record and the campaign's copy are equal");
        }
        self.campaign = next;
    }

    /// As a store would look at the commit of it.
    fn keeps_the_invariants(&self, next: &Campaign, experiments: &[Experiment], events: &[Event]) {
        let change = Change {
            campaigns: vec![Changed { before: Some(self.campaign.clone()), after: next }],
            experiments: experiments
                .iter()
                .map(|after| Changed { before: self.experiments.get(&after.id).cloned(), after })
                .collect(),
            events,
            ..Change::default()
        };
        assert_eq!(check_change(&change), Vec::new(), "{events:?}");
    }

    /// Ends the first evaluation in flight, once the campaign waits no longer.
    pub(super) fn land(&mut self, passed: Option<u64>) {
        self.wait_out();
        let evaluation = self.open();
        let mut result = result(passed);
        result.spent.runs = self.runs[&evaluation];
        self.observe(Observation::EvaluationFinished { evaluation, result });
    }

    pub(super) fn propose(&mut self, tag: u64) {
        self.observe(Observation::Proposed {
            baseline: self.campaign.baseline.fingerprint,
            proposer: Proposer { name: "test".to_owned(), version: 1 },
            candidate: candidate(tag),
            refused: Refusals::default(),
            usage: Usage::default(),
        });
    }

    /// The evaluation in flight.
    fn open(&self) -> EvaluationId {
        self.campaign.in_flight().next().expect("something is in flight").id
    }

    /// Lets the time pass that the campaign waits after a failure.
    fn wait_out(&mut self) {
        if let Work::BackOff(until) = work(&self.campaign) {
            self.now = until.0 - 1;
            self.observe(Observation::Woke);
        }
    }

    /// Lets the deadlines of all that is in flight pass, and takes in what that has cost.
    pub(super) fn days_pass(&mut self) {
        self.wait_out();
        self.now += 2 * 24 * 60 * 60 * 1000;
        self.observe(Observation::Woke);
        self.settle(10);
    }

    /// Settles what was cancelled, as if each evaluation had used `tokens`.
    fn settle(&mut self, tokens: u64) {
        for evaluation in self.campaign.unsettled().collect::<Vec<_>>() {
            let spent = Spent { runs: self.runs[&evaluation], ..spent(tokens) };
            self.observe(Observation::EvaluationSettled { evaluation, spent });
        }
    }

    /// Started, with a baseline that passes `passed` cases.
    pub(super) fn searching(campaign: Campaign, passed: u64) -> Self {
        let mut driven = Self::new(campaign);
        driven.command(Command::Start { reason: None }).unwrap();
        driven.land(Some(passed));
        driven.land(Some(passed));
        assert_eq!(work(&driven.campaign), Work::Propose);
        driven
    }

    /// Writes the approved baseline to the live workflow.
    pub(super) fn apply(&mut self) {
        let patch = plan_apply(&self.campaign).unwrap();
        let to = self.campaign.baseline.fingerprint;
        self.write_live(Command::Apply, patch, to);
    }

    /// Takes the last apply back.
    fn roll_back(&mut self) {
        let patch = plan_rollback(&self.campaign).unwrap();
        let to = self.campaign.live.applied.last().unwrap().from;
        self.write_live(Command::Rollback, patch, to);
    }

    fn write_live(&mut self, kind: fn(LiveChange) -> Command, patch: Patch, to: Fingerprint) {
        let from = self.campaign.live.expected;
        let texts = texts("before", "after");
        self.command(kind(LiveChange { from, to, texts, patch, accept_drift: None, reason: None }))
            .unwrap();
        self.observe(Observation::LiveWriteEnded { found: to });
    }

    /// Reads the live workflow, as this campaign left it.
    fn read_live(&mut self) {
        let fingerprint = self.campaign.live.expected;
        let read = LiveRead { found: fingerprint, fingerprint, snapshot: fingerprint.0 };
        self.observe(Observation::LiveRead(Ok(read)));
    }

    pub(super) fn pending(&self) -> ExperimentId {
        self.campaign.current_experiment().expect("an experiment is pending").id
    }
}

#[test]
fn nothing_runs_before_start() {
    let mut driven = Driven::new(campaign(5, 0));
    assert_eq!(work(&driven.campaign), Work::AwaitOperator);
    driven.observe(Observation::Woke);
    driven.propose(1);
    assert!(driven.queued.is_empty());
    driven.command(Command::Start { reason: None }).unwrap();
    assert_eq!(driven.queued.len(), 1);
    assert_eq!(
        driven.command(Command::Start { reason: None }).unwrap_err().code(),
        "campaign_wrong_status"
    );
}

#[test]
fn a_better_candidate_is_confirmed_approved_and_becomes_the_measured_baseline() {
    let mut driven = Driven::searching(campaign(5, 4), 6);
    driven.propose(1);
    driven.land(Some(9));
    let confirming: Vec<_> =
        driven.campaign.in_flight().map(|evaluation| evaluation.split).collect();
    assert_eq!(confirming, [Split::Holdout, Split::Holdout]);
    driven.land(Some(5));
    driven.land(Some(7));
    let pending = driven.pending();
    let ExperimentState::Recommended(judged) = &driven.experiments[&pending].state else {
        panic!("not recommended")
    };
    let confirmation = judged.confirmation.clone().unwrap();
    assert_eq!((confirmation.baseline.cases.num, confirmation.candidate.cases.num), (5, 7));
    driven.command(Command::Approve { experiment: pending, reason: None }).unwrap();
    assert_eq!(driven.campaign.baseline.version, 1);
    assert_eq!(driven.campaign.baseline.fingerprint, candidate(1).fingerprint);
    // Its own runs are no evidence about the new baseline: two fresh replays come first.
    assert_eq!(driven.campaign.baseline.established, None);
    driven.land(Some(9));
    driven.land(Some(9));
    assert_eq!(work(&driven.campaign), Work::Propose);
}

#[test]
fn threat_29_only_the_pending_experiment_can_be_decided() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let early = driven.pending();
    assert_eq!(
        driven.command(Command::Approve { experiment: early, reason: None }).unwrap_err().code(),
        "not_pending"
    );
    driven.land(Some(2));
    assert!(matches!(driven.experiments[&early].state, ExperimentState::Discarded(_)));
    assert_eq!(
        driven.command(Command::Approve { experiment: early, reason: None }).unwrap_err().code(),
        "not_pending"
    );
    driven.propose(2);
    driven.land(Some(9));
    let wrong = Command::Reject { experiment: early, reason: "no".to_owned() };
    assert_eq!(driven.command(wrong).unwrap_err().code(), "not_pending");
    let blank = Command::Reject { experiment: driven.pending(), reason: " ".to_owned() };
    assert_eq!(driven.command(blank).unwrap_err().code(), "reason_required");
}

#[test]
fn a_candidate_under_review_is_approved_only_if_a_person_says_anyway_and_why() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let mut unsure = result(Some(9));
    unsure.metrics.void = 2;
    let evaluation = driven.campaign.in_flight().next().unwrap().id;
    driven.observe(Observation::EvaluationFinished { evaluation, result: unsure });
    let experiment = driven.pending();
    assert!(matches!(driven.experiments[&experiment].state, ExperimentState::NeedsReview(_)));
    for reason in [None, Some("it reads well".to_owned())] {
        let refused = driven.command(Command::Approve { experiment, reason }).unwrap_err();
        assert_eq!(refused.code(), "not_recommended");
        assert!(refused.to_string().contains("--anyway"), "{refused}");
    }
    let blank = Command::ApproveAnyway { experiment, reason: " ".to_owned() };
    assert_eq!(driven.command(blank).unwrap_err().code(), "reason_required");
    let reason = "the two that are void are known".to_owned();
    driven.command(Command::ApproveAnyway { experiment, reason }).unwrap();
    assert_eq!(driven.campaign.baseline.version, 1);
    let ExperimentState::Approved { anyway, .. } = &driven.experiments[&experiment].state else {
        panic!("not approved")
    };
    assert_eq!(*anyway, Some(Anyway::OutsideGuarantee), "the point rule guarantees nothing");
}

#[test]
fn an_experiment_keeps_the_figures_that_it_was_compared_with() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    driven.land(Some(2));
    driven.propose(2);
    driven.land(Some(9));
    driven.command(Command::Approve { experiment: driven.pending(), reason: None }).unwrap();
    driven.land(Some(9));
    driven.land(Some(9));
    driven.propose(3);
    driven.land(Some(2));
    let mut compared: Vec<_> = driven.experiments.values().collect();
    compared.sort_by_key(|experiment| experiment.number);
    let figures = compared.into_iter().map(|experiment| {
        let judged = experiment.state.judged().unwrap();
        (experiment.baseline_version, judged.judgement.baseline.cases.to_string())
    });
    let expected = [(0, "12/20"), (0, "12/20"), (1, "18/20")];
    assert!(figures.eq(expected.map(|(version, share)| (version, share.to_owned()))));
}

#[test]
fn a_rejected_mutation_does_not_come_again_and_a_failed_one_may() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    driven.land(Some(9));
    let rejected = driven.pending();
    driven
        .command(Command::Reject { experiment: rejected, reason: "too long".to_owned() })
        .unwrap();
    let ExperimentState::Rejected { by, .. } = &driven.experiments[&rejected].state else {
        panic!("not rejected")
    };
    assert_eq!(by.reason.as_deref(), Some("too long"));
    driven.propose(1);
    assert_eq!(work(&driven.campaign), Work::Propose, "a rejected mutation is not evaluated again");
    let again = Command::Suggest { mutation: mutation(1) };
    assert_eq!(driven.command(again).unwrap_err().code(), "already_tried");
    driven.propose(2);
    driven.land(None);
    driven.wait_out();
    driven.propose(2);
    assert!(
        matches!(work(&driven.campaign), Work::AwaitRuns(_)),
        "an outage says nothing about the mutation"
    );
}

#[test]
fn a_paused_campaign_keeps_what_lands_and_starts_nothing() {
    let mut driven = Driven::searching(campaign(5, 4), 6);
    driven.propose(1);
    let queued = driven.queued.len();
    driven
        .command(Command::Pause { reason: Some("lunch".to_owned()), cancel_runs: false })
        .unwrap();
    driven.land(Some(9));
    assert_eq!(driven.queued.len(), queued);
    assert_eq!(driven.campaign.status(), Status::PausedManual);
    assert!(matches!(driven.experiments[&driven.pending()].state, ExperimentState::Recommended(_)));
    driven.command(Command::Resume { reason: None }).unwrap();
    assert_eq!(driven.queued.len(), queued + 2, "the confirmation is queued on resume");
}

#[test]
fn a_campaign_ends_only_when_nothing_is_in_flight() {
    let mut driven = Driven::searching(campaign(1, 0), 6);
    driven.propose(1);
    assert_eq!(driven.campaign.status(), Status::Running, "the last experiment is still in flight");
    driven.land(Some(2));
    assert!(matches!(
        driven.campaign.phase,
        Phase::Closed { ending: Ending::ExperimentsUsedUp, .. }
    ));
}

#[test]
fn replays_that_disagree_hold_the_campaign_and_resume_measures_afresh() {
    let mut driven = Driven::new(campaign(5, 0));
    driven.command(Command::Start { reason: None }).unwrap();
    driven.land(Some(9));
    driven.land(Some(4));
    assert_eq!(driven.campaign.status(), Status::PausedEvaluatorUnstable);
    driven.command(Command::Resume { reason: None }).unwrap();
    driven.land(Some(9));
    driven.land(Some(9));
    assert_eq!(work(&driven.campaign), Work::Propose);
}

#[test]
fn a_cancelled_campaign_supersedes_what_was_open() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let open = driven.pending();
    driven.command(Command::Cancel { reason: None }).unwrap();
    assert!(matches!(driven.experiments[&open].state, ExperimentState::Superseded { .. }));
    assert_eq!(
        driven.command(Command::Resume { reason: None }).unwrap_err().code(),
        "campaign_wrong_status"
    );
}

#[test]
fn every_status_is_that_of_some_campaign() {
    let mut reached = BTreeSet::new();
    let mut see = |driven: &Driven| reached.insert(driven.campaign.status().name());
    let mut waiting = Driven::new(campaign(1, 0));
    see(&waiting);
    waiting = Driven::searching(campaign(1, 0), 6);
    see(&waiting);
    waiting.propose(1);
    waiting.land(Some(9));
    see(&waiting);
    waiting.command(Command::Pause { reason: None, cancel_runs: false }).unwrap();
    see(&waiting);
    waiting.command(Command::Resume { reason: None }).unwrap();
    let experiment = waiting.pending();
    waiting.command(Command::Reject { experiment, reason: "no".to_owned() }).unwrap();
    see(&waiting);

    let mut failing = Driven::new(campaign(1, 0));
    failing.command(Command::Start { reason: None }).unwrap();
    (0..3).for_each(|_| failing.land(None));
    see(&failing);

    let mut unstable = Driven::new(campaign(1, 0));
    unstable.command(Command::Start { reason: None }).unwrap();
    unstable.land(Some(9));
    unstable.land(Some(2));
    see(&unstable);
    unstable.command(Command::Cancel { reason: None }).unwrap();
    see(&unstable);

    let mut costly = campaign(1, 0);
    costly.frozen.policies.budget.max_total_tokens = Some(Tokens(10));
    let mut spent = Driven::new(costly);
    spent.command(Command::Start { reason: None }).unwrap();
    spent.land(Some(6));
    see(&spent);
    let all = [
        Status::Draft,
        Status::Running,
        Status::AwaitingPromotionApproval,
        Status::PausedManual,
        Status::PausedBudget,
        Status::PausedEvaluatorUnstable,
        Status::Completed,
        Status::Failed,
        Status::Cancelled,
    ];
    assert_eq!(reached, all.map(Status::name).into());
}

#[test]
fn a_campaign_whose_workflow_is_gone_is_cancelled_with_its_runs() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let (open, running) =
        (driven.pending(), driven.campaign.in_flight().next().map(|evaluation| evaluation.id));
    let gone = Observation::SourceGone { reason: "w was deleted".to_owned() };
    let decision = observe(&driven.campaign, &gone, &cx(99));
    let cancelled = decision.effects.iter().map(|effect| match effect {
        Effect::CancelRuns { evaluation, .. } => Some(*evaluation),
        Effect::QueueRuns(_) | Effect::QueuePairs { .. } => None,
    });
    assert_eq!(cancelled.collect::<Vec<_>>(), [running]);
    driven.take(decision);
    assert_eq!(driven.campaign.status(), Status::Cancelled);
    let Phase::Closed { ending: Ending::SourceGone { reason }, .. } = &driven.campaign.phase else {
        panic!("not ended")
    };
    assert_eq!(reason, "w was deleted");
    assert!(matches!(driven.experiments[&open].state, ExperimentState::Superseded { .. }));
    let before = driven.campaign.clone();
    driven.observe(gone);
    assert_eq!(driven.campaign, before, "what is over stays as it ended");
}

fn texts(before: &str, after: &str) -> Texts {
    Texts { before: Digest::of(before.as_bytes()), after: Digest::of(after.as_bytes()) }
}

fn fingerprint(text: &str) -> Fingerprint {
    Fingerprint(Digest::of(text.as_bytes()))
}

#[test]
fn apply_and_rollback_are_announced_checked_for_drift_and_recorded_once() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    assert_eq!(plan_apply(&driven.campaign).unwrap_err().code(), "nothing_to_apply");
    driven.propose(1);
    driven.land(Some(9));
    driven.command(Command::Approve { experiment: driven.pending(), reason: None }).unwrap();
    let patch = plan_apply(&driven.campaign).unwrap();
    let change = |from: &str, to: &str, patch: &Patch| LiveChange {
        from: fingerprint(from),
        to: fingerprint(to),
        texts: texts(from, to),
        patch: patch.clone(),
        accept_drift: None,
        reason: None,
    };
    let drifted = Command::Apply(change("edited", "candidate 1", &patch));
    assert_eq!(driven.command(drifted).unwrap_err().code(), "live_drift");
    let stale = Command::Apply(change("source", "candidate 1", &Patch::default()));
    assert_eq!(driven.command(stale).unwrap_err().code(), "stale_patch");

    let apply = Command::Apply(change("source", "candidate 1", &patch));
    driven.command(apply.clone()).unwrap();
    assert_eq!(driven.command(apply.clone()).unwrap_err().code(), "write_in_progress");
    driven.observe(Observation::LiveWriteEnded { found: fingerprint("source") });
    assert_eq!(driven.campaign.live.version(), 0, "the write did not take effect");
    driven.command(apply.clone()).unwrap();
    driven.observe(Observation::LiveWriteEnded { found: fingerprint("edited meanwhile") });
    assert_eq!(driven.campaign.live.version(), 0, "somebody else's edit is not the write");
    driven.command(apply.clone()).unwrap();
    driven.observe(Observation::LiveWriteEnded { found: fingerprint("candidate 1") });
    assert_eq!(driven.campaign.live.version(), 1);
    assert_eq!(driven.command(apply).unwrap_err().code(), "nothing_to_apply");

    let inverse = plan_rollback(&driven.campaign).unwrap();
    driven.command(Command::Rollback(change("candidate 1", "source", &inverse))).unwrap();
    driven.observe(Observation::LiveWriteEnded { found: fingerprint("source") });
    assert_eq!(driven.campaign.live.version(), 0);
    assert_eq!(plan_rollback(&driven.campaign).unwrap_err().code(), "nothing_to_roll_back");
}

#[test]
fn an_apply_leads_from_what_is_live_to_the_baseline_over_every_approval() {
    use MutableField::{RetryPolicyRetries as Retries, TimeoutMs as Timeout};
    let step = |field, before: i64, after: i64| Mutation {
        node: NodeId::new("n").unwrap(),
        field,
        before: before.into(),
        after: after.into(),
    };
    let approve = |driven: &mut Driven, tag, mutation, passed| {
        driven.observe(Observation::Proposed {
            baseline: driven.campaign.baseline.fingerprint,
            proposer: Proposer { name: "test".to_owned(), version: 1 },
            candidate: Candidate { mutation, ..candidate(tag) },
            refused: Refusals::default(),
            usage: Usage::default(),
        });
        driven.land(Some(passed));
        driven.command(Command::Approve { experiment: driven.pending(), reason: None }).unwrap();
        driven.land(Some(passed));
        driven.land(Some(passed));
    };
    let apply = |driven: &mut Driven, from, to| {
        let patch = plan_apply(&driven.campaign).unwrap();
        let texts = texts(from, to);
        let (from, to) = (fingerprint(from), fingerprint(to));
        let change =
            LiveChange { from, to, texts, patch: patch.clone(), accept_drift: None, reason: None };
        driven.command(Command::Apply(change)).unwrap();
        driven.observe(Observation::LiveWriteEnded { found: to });
        patch
    };
    let mut driven = Driven::searching(campaign(5, 0), 4);
    approve(&mut driven, 1, step(Timeout, 0, 1), 6);
    let first = apply(&mut driven, "source", "candidate 1");
    assert_eq!(first.changes(), [step(Timeout, 0, 1)]);
    approve(&mut driven, 2, step(Timeout, 1, 2), 8);
    approve(&mut driven, 3, step(Retries, 5, 6), 10);
    let second = apply(&mut driven, "candidate 1", "candidate 3");
    assert_eq!(second.changes(), [step(Timeout, 1, 2), step(Retries, 5, 6)]);
    let back = plan_rollback(&driven.campaign).unwrap();
    assert_eq!(back.changes(), [step(Retries, 6, 5), step(Timeout, 2, 1)]);
}

/// One move of a random walk.
#[derive(Debug, Clone)]
enum Move {
    Start,
    Pause(bool),
    Resume,
    Cancel,
    Close,
    Archive,
    Extend(u64),
    ResetFailures,
    QueueReplay,
    Suggest(u64),
    Propose(u64),
    NothingToPropose,
    Land(Option<u64>, u64),
    Settle(u64),
    Continued,
    RunsMissing,
    DaysPass,
    AskProposers(u64, u64),
    ApprovalRefused,
    Approve,
    ApproveAnyway,
    AddPairs,
    Reject,
    Repeat,
    SourceGone,
    Apply,
    RollBack,
    Measure,
    ReadLive(bool),
    Woke,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        2 => Just(Move::Start),
        1 => any::<bool>().prop_map(Move::Pause),
        1 => prop::bool::weighted(0.1).prop_map(|yes| if yes { Move::Close } else { Move::Archive }),
        1 => (0..4_000u64).prop_map(Move::Extend),
        1 => Just(Move::ResetFailures),
        1 => Just(Move::QueueReplay),
        2 => Just(Move::Resume),
        1 => prop::bool::weighted(0.1).prop_map(|yes| if yes { Move::Cancel } else { Move::Woke }),
        1 => (0..6u64).prop_map(Move::Suggest),
        4 => (0..6u64).prop_map(Move::Propose),
        1 => prop::bool::weighted(0.1).prop_map(|yes| if yes { Move::NothingToPropose } else { Move::Woke }),
        8 => (prop::option::weighted(0.9, 5..=CASES), 0..3_000u64)
            .prop_map(|(passed, tokens)| Move::Land(passed, tokens)),
        2 => (0..3_000u64).prop_map(Move::Settle),
        1 => Just(Move::Continued),
        1 => Just(Move::RunsMissing),
        1 => Just(Move::DaysPass),
        2 => (0..900u64, 0..1_000u64).prop_map(|(most, used)| Move::AskProposers(most, used)),
        1 => Just(Move::ApprovalRefused),
        2 => Just(Move::Approve),
        1 => Just(Move::ApproveAnyway),
        1 => Just(Move::AddPairs),
        2 => Just(Move::Reject),
        1 => Just(Move::Repeat),
        1 => prop::bool::weighted(0.1).prop_map(|yes| if yes { Move::SourceGone } else { Move::Woke }),
        2 => prop::bool::weighted(0.8).prop_map(|yes| if yes { Move::Apply } else { Move::RollBack }),
        1 => Just(Move::Measure),
        3 => prop::bool::weighted(0.9).prop_map(Move::ReadLive),
    ];
    prop::collection::vec(one, 0..60)
}

fn walk(moves: &[Move], holdout: u32, measure: AfterApply) -> Driven {
    let mut draft = campaign(4, holdout);
    draft.frozen.policies.eval.post_apply.measure = measure;
    let mut driven = Driven::new(draft);
    let mut last = None;
    for step in moves {
        let pending = driven.campaign.current_experiment().map(|experiment| experiment.id);
        let command = match step {
            Move::Start => Some(Command::Start { reason: None }),
            Move::Pause(cancel_runs) => {
                Some(Command::Pause { reason: None, cancel_runs: *cancel_runs })
            }
            Move::Close => Some(Command::Close { reason: None }),
            Move::Archive => Some(Command::Archive { reason: None }),
            Move::Extend(tokens) => Some(Command::Extend {
                by: Extension { tokens: Tokens(*tokens), ..Extension::default() },
                reason: "why".to_owned(),
            }),
            Move::ResetFailures => Some(Command::ResetFailures { reason: "why".to_owned() }),
            Move::QueueReplay => Some(Command::QueueReplay { reason: None }),
            Move::Resume => Some(Command::Resume { reason: None }),
            Move::Cancel => Some(Command::Cancel { reason: None }),
            Move::Suggest(tag) => Some(Command::Suggest { mutation: mutation(*tag) }),
            Move::Approve => pending
                .map(|experiment| Command::Approve { experiment, reason: Some("why".to_owned()) }),
            Move::ApproveAnyway => pending
                .map(|experiment| Command::ApproveAnyway { experiment, reason: "why".to_owned() }),
            Move::AddPairs => {
                Some(Command::AddPairs { pairs: NonZeroU32::MIN, reason: "why".to_owned() })
            }
            Move::Reject => {
                pending.map(|experiment| Command::Reject { experiment, reason: "why".to_owned() })
            }
            Move::Propose(tag) => {
                driven.propose(*tag);
                None
            }
            Move::NothingToPropose => {
                let baseline = driven.campaign.baseline.fingerprint;
                driven.observe(Observation::NothingToPropose {
                    baseline,
                    refused: Refusals::default(),
                    usage: Usage::default(),
                });
                None
            }
            Move::Land(passed, tokens) => {
                let open = driven.campaign.in_flight().next().map(|evaluation| evaluation.id);
                if let Some(evaluation) = open {
                    let result = EvaluationResult { spent: spent(*tokens), ..result(*passed) };
                    let landed = Observation::EvaluationFinished { evaluation, result };
                    last = Some(landed.clone());
                    driven.observe(landed);
                }
                None
            }
            Move::Repeat => {
                // A fact that is told twice changes nothing the second time.
                if let Some(landed) = last.clone() {
                    let before = driven.campaign.clone();
                    driven.observe(landed);
                    assert_eq!(driven.campaign, before);
                }
                None
            }
            Move::Settle(tokens) => {
                driven.settle(*tokens);
                None
            }
            Move::Continued => {
                driven.observe(Observation::Continued);
                None
            }
            Move::RunsMissing => {
                let open = driven.campaign.in_flight().next().map(|evaluation| evaluation.id);
                if let Some(evaluation) = open {
                    driven.observe(Observation::RunsMissing { evaluation });
                }
                None
            }
            Move::DaysPass => {
                driven.days_pass();
                None
            }
            Move::AskProposers(most, used) => {
                let at_most = Amount { tokens: Tokens(*most), ..Amount::default() };
                driven.observe(Observation::ProposersAsked { at_most });
                if driven.campaign.ledger.call.is_some() {
                    driven.observe(Observation::Proposed {
                        baseline: driven.campaign.baseline.fingerprint,
                        proposer: Proposer { name: "paid".to_owned(), version: 1 },
                        candidate: candidate(used % 6),
                        refused: Refusals::default(),
                        usage: Usage { prompt_tokens: Tokens(*used), ..Usage::default() },
                    });
                }
                None
            }
            Move::ApprovalRefused => {
                if let Some(experiment) = pending {
                    let reason = "no improvement any more".to_owned();
                    driven.observe(Observation::ApprovalRefused { experiment, reason });
                }
                None
            }
            Move::SourceGone => {
                driven.observe(Observation::SourceGone { reason: "deleted".to_owned() });
                None
            }
            Move::Apply => {
                if plan_apply(&driven.campaign).is_ok() {
                    driven.apply();
                }
                None
            }
            Move::RollBack => {
                if plan_rollback(&driven.campaign).is_ok() {
                    driven.roll_back();
                }
                None
            }
            Move::Measure => {
                Some(Command::Measure { live: driven.campaign.live.expected, reason: None })
            }
            Move::ReadLive(true) => {
                driven.read_live();
                None
            }
            Move::ReadLive(false) => {
                driven.observe(Observation::LiveRead(Err("it is gone".to_owned())));
                None
            }
            Move::Woke => {
                driven.observe(Observation::Woke);
                None
            }
        };
        if let Some(command) = command {
            let before = driven.campaign.clone();
            if driven.command(command).is_err() {
                assert_eq!(driven.campaign, before, "a refused command changes nothing");
            }
        }
    }
    driven
}

/// So many sequences, or more if `PROPTEST_CASES` asks for them.
fn sequences(usual: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(usual), ..asked }
}

proptest! {
    #![proptest_config(sequences(512))]

    #[test]
    fn every_walk_keeps_the_invariants_and_equal_walks_are_equal(
        moves in moves(),
        holdout in 0..2u32,
        measure in prop_oneof![Just(AfterApply::OnRequest), Just(AfterApply::Automatic)],
    ) {
        let (one, two) = (walk(&moves, holdout, measure), walk(&moves, holdout, measure));
        prop_assert_eq!(one.campaign, two.campaign);
        prop_assert_eq!(one.experiments, two.experiments);
    }
}

#[test]
fn a_start_and_a_write_are_told_with_their_reason() {
    let told = |driven: &Driven, command: &Command| {
        let decision = decide(&driven.campaign, command, &cx(99)).unwrap();
        decision.events.into_iter().find_map(|event| match event.what {
            EventKind::CampaignStarted { reason }
            | EventKind::LiveWriteAnnounced { reason, .. } => reason,
            _ => None,
        })
    };
    let why = Some("the quarter ends".to_owned());
    let start = Command::Start { reason: why.clone() };
    assert_eq!(told(&Driven::new(campaign(1, 0)), &start), why);
    let mut driven = Driven::searching(campaign(1, 0), 6);
    driven.propose(1);
    driven.land(Some(9));
    driven.command(Command::Approve { experiment: driven.pending(), reason: None }).unwrap();
    let change = LiveChange {
        from: driven.campaign.live.expected,
        to: driven.campaign.baseline.fingerprint,
        texts: texts("before", "after"),
        patch: plan_apply(&driven.campaign).unwrap(),
        accept_drift: None,
        reason: why.clone(),
    };
    assert_eq!(told(&driven, &Command::Apply(change)), why);
}

#[test]
fn events_name_the_rejection_reason() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    driven.land(Some(9));
    let command = Command::Reject { experiment: driven.pending(), reason: "tone".to_owned() };
    let decision = decide(&driven.campaign, &command, &cx(99)).unwrap();
    let told = decision.events.iter().any(
        |event| matches!(&event.what, EventKind::CandidateRejected { reason, .. } if reason == "tone"),
    );
    assert!(told);
    assert_eq!(decision.events[0].actor.as_str(), "local:test");
}
