//! Records to fill stores with.
//!
//! They are valid one by one and small; a test changes the fields that it is about.

use std::collections::{BTreeMap, BTreeSet};

use optim_core::campaign::command::Context;
use optim_core::campaign::event::{Event, EventKind, Subject};
use optim_core::campaign::ledger::{Allowance, Amount, Ledger};
use optim_core::campaign::live::Live;
use optim_core::campaign::location::Location;
use optim_core::campaign::request::Requests;
use optim_core::campaign::{
    Baseline, Campaign, Evaluation, Fate, Frozen, Phase, Purpose, Search, SearchMode, Source,
};
use optim_core::digest::Digest;
use optim_core::experiment::{
    Anyway, Decision, Experiment, ExperimentState, Flips, Judged, Proposer, experiment_id,
};
use optim_core::id::{
    Actor, CampaignId, CaseId, EvaluationId, NodeId, ProviderId, RunId, WorkerId, WorkflowId,
    WorkflowRunId,
};
use optim_core::lease::Lease;
use optim_core::metrics::Metrics;
use optim_core::mutation::patch::Patch;
use optim_core::mutation::{FieldValue, MutableField, Mutation};
use optim_core::outcome::{CaseOutcome, Check, CheckKind, Measured, Outcome, Usage};
use optim_core::pack::Split;
use optim_core::policy::{
    BudgetPolicy, EvalPolicy, Extension, MetricName, MutationPolicy, PackRef, Policies, PostApply,
    Profile, Rule, ScopePolicy, Score,
};
use optim_core::proposal::refusals::Refusals;
use optim_core::quantity::{Millis, Timestamp};
use optim_core::run::{Epoch, NodeReport, Run, RunReport, RunState};
use optim_core::shadow::Denial;
use optim_core::stored_workflow::{
    Definition, Retirement, StoredWorkflow, Tombstone, VersionNumber, WorkflowStatus,
    WorkflowVersion,
};
use optim_core::throttle::{AnsweredRun, Throttle};
use optim_core::verdict::{ErrorControl, Judgement, Verdict};
use optim_core::workflow::{Fingerprint, Workflow};
use optim_core::workflow_run::command::WorkflowRunCommand;
use optim_core::workflow_run::event::WorkflowRunEvent;
use optim_core::workflow_run::node::Output;
use optim_core::workflow_run::observation::{NodeEnd, WorkerEnd, WorkflowRunObservation};
use optim_core::workflow_run::transition::{self, Order};
use optim_core::workflow_run::{Origin, Trigger, WorkflowRun};

use crate::store::{Blob, RunOutput, WorkflowText};

/// When everything in a sample happened.
pub const NOW: Timestamp = Timestamp(1_750_000_000_000);

/// A campaign that was just created.
///
/// # Panics
/// When `id` is no campaign id.
#[must_use]
pub fn campaign(id: &str) -> Campaign {
    let fingerprint = fingerprint("source");
    let snapshot = Digest::of(b"snapshot of the source");
    Campaign {
        id: CampaignId::new(id).unwrap(),
        name: format!("Optimize {id}"),
        seed: u64::MAX,
        source: Source {
            workflow: WorkflowId::new("support-triage").unwrap(),
            name: "Support triage".to_owned(),
            location: Location::File("/project/workflow.yaml".to_owned()),
            workspace: None,
            snapshot,
            fingerprint,
        },
        execution_override: None,
        frozen: frozen(),
        baseline: Baseline {
            version: 0,
            snapshot,
            fingerprint,
            origin: None,
            worst_case: None,
            patch: Patch::default(),
            replays: Vec::new(),
            established: None,
        },
        phase: Phase::Draft,
        hold: None,
        search: Search {
            mode: SearchMode::Proposers,
            experiments: 0,
            replays: 0,
            gathered: Vec::new(),
            suggestions: Vec::new(),
            tried: BTreeMap::new(),
            consecutive_failures: 0,
            last_failure: None,
            back_off: None,
            replay_wanted: false,
            retries: 0,
            refused: Refusals::default(),
            prospect: None,
        },
        errors: None,
        extension: Extension::default(),
        ledger: Ledger::default(),
        live: Live::new(fingerprint),
        closing: None,
        archived: None,
        requests: Requests::default(),
        created_at: NOW,
    }
}

fn frozen() -> Frozen {
    Frozen {
        policies: policies(),
        objective: Digest::of(b"objective"),
        pack: Digest::of(b"pack"),
        search_cases: 3,
        holdout_cases: 0,
        tune_cases: 0,
        files: Vec::new(),
        executor: "lexical".to_owned(),
        simulated: false,
        worst_case: None,
        executor_settings: None,
    }
}

fn policies() -> Policies {
    Policies {
        eval: EvalPolicy {
            profile: Profile::Strict,
            pack_ref: PackRef::Implicit,
            primary_metric: MetricName::ArtifactValidatorPassRate,
            secondary_metric: MetricName::UnmetRequirementCount,
            hard_guardrails: Vec::new(),
            campaign_start_baseline_runs: 2,
            baseline_replay_every_candidates: 5,
            baseline_replay_every_minutes: 30,
            evaluation_deadline_minutes: 1440,
            score: Score::default(),
            rule: Rule::point(),
            post_apply: PostApply::default(),
        },
        mutation: MutationPolicy::strict(BTreeSet::from(MutableField::ALL)),
        scope: ScopePolicy::default(),
        budget: BudgetPolicy {
            profile: Profile::Strict,
            max_experiments: 1_000,
            max_runtime_minutes: 120,
            max_consecutive_failures: 3,
            max_total_tokens: None,
            max_total_cost: None,
        },
    }
}

/// `campaign`, with something set aside for each of `evaluations`: their case runs may be queued.
#[must_use]
pub fn funded(mut campaign: Campaign, evaluations: &[EvaluationId]) -> Campaign {
    campaign.ledger.reserved.extend(evaluations.iter().map(|id| (*id, Amount::default())));
    campaign
}

/// `campaign` after so many experiments.
#[must_use]
pub fn searched(mut campaign: Campaign, experiments: u32) -> Campaign {
    campaign.search.experiments = experiments;
    campaign
}

/// `campaign`, which waits for a person to decide about `experiment`, and `experiment` as it is then.
#[must_use]
pub fn reviewed(campaign: Campaign, experiment: Experiment) -> (Campaign, Experiment) {
    let judgement = Judgement {
        verdict: Verdict::NeedsOperatorReview,
        reason: "größe 票".to_owned(),
        trace: Vec::new(),
        evidence: None,
        error_control: ErrorControl::None,
        baseline: Metrics::default(),
        candidate: Metrics::default(),
    };
    let judged =
        Judged { evaluation: None, judgement, flips: Flips::default(), confirmation: None };
    let experiment = Experiment { state: ExperimentState::NeedsReview(judged), ..experiment };
    let mut campaign = searched(campaign, experiment.number);
    campaign.search.tried = BTreeMap::from([(experiment.mutation.key(), Fate::Pending)]);
    campaign.baseline.established = Some(Metrics::default());
    campaign.phase = Phase::AwaitingApproval { experiment: Box::new(experiment.clone()) };
    (campaign, experiment)
}

/// `experiment` after a person approved it all the same, and `campaign` after that.
#[must_use]
pub fn approved(campaign: &Campaign, experiment: &Experiment) -> (Experiment, Campaign) {
    let mut approved = experiment.clone();
    if let ExperimentState::NeedsReview(judged) = &experiment.state {
        let actor = Actor::new("local:ünal").unwrap_or_else(|_| Actor::engine());
        let by = Decision { actor, at: NOW, reason: Some("looks good".to_owned()) };
        let (judged, anyway) = (judged.clone(), Some(Anyway::OutsideGuarantee));
        approved.state = ExperimentState::Approved { judged, by, anyway };
    }
    let mut moved = campaign.clone();
    moved.search.tried = BTreeMap::from([(experiment.mutation.key(), Fate::Approved)]);
    moved.baseline = Baseline {
        version: campaign.baseline.version.saturating_add(1),
        snapshot: experiment.snapshot,
        fingerprint: experiment.candidate,
        origin: Some(campaign.baseline.origin()),
        established: None,
        ..campaign.baseline.clone()
    };
    moved.phase = Phase::Replaying { evaluation: None };
    (approved, moved)
}

/// A campaign whose first replay is in flight.
///
/// # Panics
/// When `id` is no campaign id.
#[must_use]
pub fn replaying(id: &str) -> (Campaign, EvaluationId) {
    let mut campaign = campaign(id);
    let purpose = Purpose::Replay { number: 1 };
    let id = purpose.evaluation_id(&campaign.id, 0);
    let evaluation = Evaluation {
        id,
        purpose,
        snapshot: campaign.baseline.snapshot,
        fingerprint: campaign.baseline.fingerprint,
        split: Split::Search,
        queued_at: NOW,
        allowance: Allowance::default(),
        continued_at: None,
        requeued: 0,
        drawn: None,
    };
    campaign.phase = Phase::Replaying { evaluation: Some(evaluation) };
    (funded(campaign, &[id]), id)
}

/// What is told of a new experiment.
#[must_use]
pub fn proposed(experiment: &Experiment) -> Event {
    let subject = Subject::Campaign(experiment.campaign.clone());
    let what = EventKind::CandidateProposed { experiment: experiment.id };
    Event { subject, actor: Actor::engine(), at: NOW, what }
}

/// The experiment `number` of a campaign, which ended without a decision.
///
/// # Panics
/// When `campaign` is no campaign id.
#[must_use]
pub fn experiment(campaign: &str, number: u32) -> Experiment {
    let campaign = CampaignId::new(campaign).unwrap();
    let (baseline, candidate) = (fingerprint("source"), fingerprint("candidate"));
    Experiment {
        id: experiment_id(&campaign, number, baseline, candidate),
        campaign,
        number,
        proposer: Proposer { name: "rules".to_owned(), version: 1 },
        mutation: Mutation {
            node: NodeId::new("größe 2 — 票").unwrap(),
            field: MutableField::Objective,
            before: FieldValue::Text("Classify the ticket.".to_owned()),
            after: FieldValue::Text(format!("Classify the ticket, attempt {number}. 🎫")),
        },
        baseline_version: 0,
        baseline,
        candidate,
        snapshot: Digest::of(b"snapshot of the candidate"),
        worst_case: None,
        state: ExperimentState::Superseded { reason: "the campaign ended".to_owned() },
        trial: None,
        created_at: NOW,
    }
}

/// An evaluation's id.
#[must_use]
pub fn evaluation(campaign: &str, purpose: &str) -> EvaluationId {
    EvaluationId::derive(&[campaign.as_bytes(), purpose.as_bytes()])
}

/// A queued run of an evaluation on the case with this index.
///
/// # Panics
/// When `campaign` is no campaign id.
#[must_use]
pub fn run(campaign: &str, evaluation: EvaluationId, case_index: u32) -> Run {
    let case = CaseId::new(format!("ticket {case_index} — 票")).unwrap();
    Run {
        id: RunId::derive(&[evaluation.as_bytes(), case.as_str().as_bytes()]),
        campaign: CampaignId::new(campaign).unwrap(),
        evaluation,
        case,
        case_index,
        snapshot: Digest::of(b"snapshot of the source"),
        fingerprint: fingerprint("source"),
        seed: u64::from(case_index),
        epoch: Epoch(0),
        faults: 0,
        paired: false,
        spent_on_faults: Usage::default(),
        unreported: 0,
        allowance: Allowance::default(),
        state: RunState::Queued,
        queued_at: NOW,
    }
}

/// `run`, claimed once more.
#[must_use]
pub fn claimed(run: &Run) -> Run {
    Run {
        epoch: Epoch(run.epoch.0.saturating_add(1)),
        state: RunState::Running { since: NOW, lease: Lease::default() },
        ..run.clone()
    }
}

/// `run`, finished with one check that passed and an output that is not easy to store.
///
/// # Panics
/// Never.
#[must_use]
pub fn finished(run: &Run) -> Run {
    let node = NodeId::new("answer").unwrap();
    let usage = Usage { latency: Millis(1_200), ..Usage::default() };
    let report = RunReport {
        executed: run.fingerprint,
        outcome: CaseOutcome::Measured(Measured {
            checks: vec![Check {
                node: node.clone(),
                kind: CheckKind::Assertion(0),
                outcome: Outcome::Passed,
                unmet: Vec::new(),
                warnings: vec!["a \"quoted\" warning\nwith a line".to_owned()],
            }],
            blocked: Vec::new(),
            over_limit: None,
        }),
        nodes: vec![NodeReport { node, attempts: 1, result: Ok(intricate_output()), usage }],
        usage,
        started_at: NOW,
        finished_at: NOW.after(Millis(1_200)),
        denied: vec![Denial::OutputTarget { target: "s3://größe/票".to_owned() }],
        spent_on_faults: Usage::default(),
        throttled: None,
    };
    Run { state: RunState::Finished(Box::new(report)), ..run.clone() }
}

/// JSON with floats that a careless parser rounds, text of several scripts, and depth beyond what a
/// parser accepts by default.
fn intricate_output() -> serde_json::Value {
    let mut nested = serde_json::json!({ "floats": [0.198_440_042_788_562_86, 5e-324, 1.797e308, 0.1 + 0.2], "text": "größe 票 🎫 \u{0}" });
    for _ in 0..200 {
        nested = serde_json::json!([nested]);
    }
    nested
}

/// `run`, cancelled.
#[must_use]
pub fn cancelled(run: &Run) -> Run {
    Run {
        state: RunState::Cancelled { at: NOW, reason: "the baseline moved".to_owned() },
        ..run.clone()
    }
}

/// A campaign on the stored workflow `workflow`.
///
/// # Panics
/// When a text is no id.
#[must_use]
pub fn campaign_on(id: &str, workflow: &str) -> Campaign {
    let mut campaign = campaign(id);
    campaign.source.workflow = WorkflowId::new(workflow).unwrap();
    campaign.source.location = Location::Stored(campaign.source.workflow.clone());
    campaign
}

/// A stored workflow with the versions `first..=last`.
///
/// # Panics
/// When `id` is no workflow id.
#[must_use]
pub fn workflow(id: &str, first: u32, last: u32) -> StoredWorkflow {
    let version = |number| WorkflowVersion {
        number: VersionNumber(number),
        definition: Definition {
            name: format!("Workflow {id}"),
            status: WorkflowStatus::Active,
            snapshot: workflow_text(id, number).text.digest(),
            fingerprint: fingerprint(&format!("{id} {number}")),
        },
        actor: Actor::engine(),
        at: NOW,
    };
    let versions = (first..=last).map(version).collect();
    StoredWorkflow { versions, ..StoredWorkflow::new(WorkflowId::new(id).unwrap()) }
}

/// A throttle of a provider for the next minute.
///
/// # Panics
/// When `provider` is no provider id.
#[must_use]
pub fn throttle(provider: &str) -> Throttle {
    let provider = ProviderId::new(provider).unwrap();
    let run = AnsweredRun::Case(RunId::derive(&[]));
    Throttle { provider, since: NOW, until: NOW.after(Millis(60_000)), run }
}

/// The text of a version of a stored workflow.
///
/// # Panics
/// When `id` is no workflow id.
#[must_use]
pub fn workflow_text(id: &str, number: u32) -> WorkflowText {
    let text = Blob::new(format!("version {number} of {id} — größe 票").into_bytes());
    WorkflowText { workflow: WorkflowId::new(id).unwrap(), version: VersionNumber(number), text }
}

/// `workflow`, deleted.
#[must_use]
pub fn deleted(workflow: &StoredWorkflow) -> StoredWorkflow {
    let reason = "no use any more".to_owned();
    let tombstone = Tombstone { actor: Actor::engine(), at: NOW, reason, restore_until: NOW };
    StoredWorkflow { deleted: Some(tombstone), ..workflow.clone() }
}

/// `workflow`, retired.
#[must_use]
pub fn retired(workflow: &StoredWorkflow) -> StoredWorkflow {
    let reason = "replaced".to_owned();
    let retired = Some(Retirement { actor: Actor::engine(), at: NOW, reason });
    StoredWorkflow { retired, ..workflow.clone() }
}

/// An event of a stored workflow.
///
/// # Panics
/// When `workflow` is no workflow id.
#[must_use]
pub fn workflow_event(workflow: &str, what: EventKind) -> Event {
    let subject = Subject::Workflow(WorkflowId::new(workflow).unwrap());
    Event { subject, actor: Actor::engine(), at: NOW, what }
}

/// A queued workflow run of one node.
///
/// # Panics
/// When `workflow` is no workflow id.
#[must_use]
pub fn workflow_run(id: &str, workflow: &str) -> WorkflowRun {
    let node = serde_json::json!({"node_id": "größe 票", "agent_id": "x", "objective": "o"});
    let definition = serde_json::json!({
        "automation_id": workflow, "agents": [{"agent_id": "x"}], "flow": {"nodes": [node]},
    });
    let order = Order {
        id: WorkflowRunId::derive(&[id.as_bytes()]),
        origin: Origin::File { path: "/project/workflow.yaml".to_owned() },
        snapshot: Digest::of(b"snapshot of the source"),
        trigger: Trigger::Manual,
        dry_run: false,
        inputs: serde_json::Map::from_iter([("票".to_owned(), intricate_output())]),
        workspace: format!("/project/{id}"),
    };
    let workflow = Workflow::from_json(definition).unwrap();
    transition::create(order, &workflow, &context()).unwrap().next
}

/// A queued run of the stored workflow `workflow`.
///
/// # Panics
/// When `workflow` is no workflow id.
#[must_use]
pub fn workflow_run_on(id: &str, workflow: &str) -> WorkflowRun {
    let origin = Origin::Stored { version: VersionNumber(1) };
    WorkflowRun { origin, ..workflow_run(id, workflow) }
}

/// `run`, taken by a worker.
///
/// # Panics
/// When it is not queued.
#[must_use]
pub fn claimed_workflow_run(run: &WorkflowRun) -> WorkflowRun {
    commanded(run, &[claim()])
}

/// `run`, which a worker has, after its node has put out `bytes`.
///
/// # Panics
/// When its node has begun.
#[must_use]
pub fn with_output(run: &WorkflowRun, bytes: &[u8]) -> (WorkflowRun, RunOutput) {
    let (epoch, node) = (run.epoch, run.nodes[0].node.clone());
    let output = Blob::new(bytes.to_vec());
    let stored = Output::Stored { digest: output.digest(), bytes: 1 };
    let facts = [
        WorkflowRunObservation::NodeStarted { epoch, node: node.clone(), attempt: 1 },
        WorkflowRunObservation::NodeEnded {
            epoch,
            node,
            end: NodeEnd::Done(stored),
            usage: Usage::default(),
            worked: Millis(0),
        },
    ];
    (observed(run, &facts), RunOutput { run: run.id, output })
}

/// `run`, which a worker has, after that has ended.
///
/// # Panics
/// When no worker has it.
#[must_use]
pub fn ended(run: &WorkflowRun) -> WorkflowRun {
    let (epoch, end) = (run.epoch, WorkerEnd::Walked);
    observed(run, &[WorkflowRunObservation::WorkerEnded { epoch, end, worked: Millis(0) }])
}

/// `run`, which is over, after its time is over too.
///
/// # Panics
/// When it is not over.
#[must_use]
pub fn expired(run: &WorkflowRun) -> WorkflowRun {
    observed(run, &[WorkflowRunObservation::Expired])
}

fn observed(run: &WorkflowRun, facts: &[WorkflowRunObservation]) -> WorkflowRun {
    facts
        .iter()
        .fold(run.clone(), |run, fact| transition::observe(&run, fact, &context()).unwrap().next)
}

/// `run` after the commands.
///
/// # Panics
/// When one of them is refused.
#[must_use]
pub fn commanded(run: &WorkflowRun, commands: &[WorkflowRunCommand]) -> WorkflowRun {
    commands.iter().fold(run.clone(), |run, command| {
        transition::decide(&run, command, &context()).unwrap().next
    })
}

/// A worker takes a workflow run.
#[must_use]
pub fn claim() -> WorkflowRunCommand {
    WorkflowRunCommand::Claim { worker: WorkerId::process(1) }
}

fn context() -> Context {
    Context { now: NOW, actor: Actor::engine() }
}

/// An event of the workflow run that [`workflow_run`] makes of this id.
#[must_use]
pub fn workflow_run_event(run: &str) -> Event {
    told_of(WorkflowRunId::derive(&[run.as_bytes()]))
}

/// An event of `run`.
#[must_use]
pub fn event_of(run: &WorkflowRun) -> Event {
    told_of(run.id)
}

fn told_of(run: WorkflowRunId) -> Event {
    let subject = Subject::WorkflowRun(run);
    let what = EventKind::WorkflowRun { change: WorkflowRunEvent::RunInterrupted };
    Event { subject, actor: Actor::engine(), at: NOW, what }
}

/// An event of a provider.
///
/// # Panics
/// When `provider` is no provider id.
#[must_use]
pub fn provider_event(provider: &str) -> Event {
    let subject = Subject::Provider(ProviderId::new(provider).unwrap());
    let what = EventKind::ProviderThrottled { until: NOW };
    Event { subject, actor: Actor::engine(), at: NOW, what }
}

/// An event of a campaign.
///
/// # Panics
/// When `campaign` is no campaign id.
#[must_use]
pub fn event(campaign: &str, what: EventKind) -> Event {
    let subject = Subject::Campaign(CampaignId::new(campaign).unwrap());
    Event { subject, actor: Actor::engine(), at: NOW, what }
}

fn fingerprint(of: &str) -> Fingerprint {
    Fingerprint(Digest::of(of.as_bytes()))
}
