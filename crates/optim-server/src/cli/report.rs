//! A campaign as one document: what `--json` prints, and what the human views are made of.

use optim_core::campaign::ledger::{Allowance, Amount};
use optim_core::campaign::work::{Work, work};
use optim_core::campaign::{Campaign, Ending, Hold, Phase};
use optim_core::experiment::{Anyway, Confirmation, Experiment, ExperimentState};
use optim_core::judge::gain::Gain;
use optim_core::judge::health::Health;
use optim_core::metrics::Metrics;
use optim_core::mutation::Mutation;
use optim_core::proposal::refusals::Refusals;
use optim_core::quantity::{Fraction, Timestamp};
use optim_core::verdict::{RuleTrace, Verdict};
use optim_core::workflow::ModelRef;
use serde::Serialize;

use super::after_apply::AfterApply;
use super::comparison::ComparisonView;
use super::faults::FaultsView;
use super::refusals::{ProspectView, RefusalsView};
use super::suspicious::SuspiciousView;

/// The document's shape; raised when a field changes its meaning.
pub const SCHEMA: &str = "optim/v1/campaign";

/// A campaign with its experiments.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    schema: &'static str,
    campaign: CampaignView,
    spend: SpendView,
    ledger: LedgerView,
    /// What is live of it; absent when nothing that it applied is.
    after_apply: Option<AfterApply>,
    /// Case runs that ended.
    runs_executed: u64,
    /// Why case runs gave no outcome, where some did not.
    faults: Vec<FaultsView>,
    experiments: Vec<ExperimentView>,
    /// What the baseline against itself showed; absent in other campaigns, and before there is a pair.
    health: Option<Health>,
    /// The commands that make sense next.
    next: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct CampaignView {
    id: String,
    name: String,
    status: &'static str,
    /// Why it stands where it stands.
    reason: Option<String>,
    /// When it goes on by itself after an evaluation without a result.
    waits_until_ms: Option<Timestamp>,
    seed: u64,
    executor: String,
    /// Whether the figures come from a simulation.
    simulated: bool,
    /// The model that every agent runs on instead of its own.
    model: Option<ModelRef>,
    search_cases: u32,
    tune_cases: u32,
    holdout_cases: u32,
    baseline_version: u32,
    baseline_fingerprint: String,
    baseline: Option<MetricsView>,
    live_version: u32,
    workflow: String,
    /// What the proposers could offer at the beginning.
    prospect: Option<ProspectView>,
    /// What was refused on the way to the last candidate, or to the end of the search.
    refused: RefusalsView,
}

#[derive(Debug, Clone, Serialize)]
struct SpendView {
    prompt_tokens: u64,
    completion_tokens: u64,
    cost_micro_usd: u64,
    /// Run time as the executor reports it, summed over case runs.
    run_time_ms: u64,
    /// Whether a part of it is the most that it may have been, and not counted.
    estimated: bool,
}

/// The budget that counts, and what became of it so far.
#[derive(Debug, Clone, Serialize)]
struct LedgerView {
    limit: Allowance,
    settled: Amount,
    /// Set aside for what is in flight.
    reserved: Amount,
    left: Allowance,
    /// Used beyond what was set aside.
    overdrawn: Amount,
    experiments_left: u32,
}

impl From<&Campaign> for LedgerView {
    fn from(campaign: &Campaign) -> Self {
        let (ledger, budget) = (&campaign.ledger, campaign.budget());
        let (limit, settled) = (budget.allowance(), Amount::of(&ledger.usage));
        Self {
            limit,
            settled,
            reserved: ledger.taken().minus(settled),
            left: ledger.left(&limit),
            overdrawn: ledger.overdrawn,
            experiments_left: budget.max_experiments.saturating_sub(campaign.search.experiments),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct ExperimentView {
    number: u32,
    id: String,
    state: &'static str,
    proposer: String,
    proposer_version: u32,
    mutation: Mutation,
    /// The candidate on the search cases.
    metrics: Option<MetricsView>,
    /// The baseline that it was compared with.
    baseline: Option<MetricsView>,
    holdout: Option<HoldoutView>,
    /// What its pairs say, decided or not; absent under the point rule.
    comparison: Option<ComparisonView>,
    verdict: Option<Verdict>,
    reason: Option<String>,
    trace: Vec<RuleTrace>,
    fixed: Vec<String>,
    broken: Vec<String>,
    decided_by: Option<String>,
    decision_reason: Option<String>,
    /// What it means that it was approved though the judge had not recommended it; absent otherwise.
    anyway: Option<Anyway>,
    /// Texts that a person should know of before deciding.
    suspicious: SuspiciousView,
}

#[derive(Debug, Clone, Serialize)]
struct HoldoutView {
    baseline: MetricsView,
    candidate: MetricsView,
    /// The gain on cases that took no part in the selection; absent under the point rule.
    gain: Option<Gain>,
}

/// Metrics as exact counts.
#[derive(Debug, Clone, Serialize)]
pub struct MetricsView {
    replicates: u32,
    cases: Fraction,
    checks: Fraction,
    unmet_requirements: u64,
    blocked: Fraction,
    within_limits: bool,
    void: u32,
}

impl From<&Metrics> for MetricsView {
    fn from(metrics: &Metrics) -> Self {
        let Metrics { replicates, cases, checks, unmet, blocked, within_limits, void, usage: _ } =
            *metrics;
        Self { replicates, cases, checks, unmet_requirements: unmet, blocked, within_limits, void }
    }
}

impl ExperimentView {
    fn new(campaign: &Campaign, experiment: &Experiment, suspicious: &SuspiciousView) -> Self {
        let judged = experiment.state.judged();
        let decision = experiment.state.decision();
        let reason = match &experiment.state {
            ExperimentState::Failed { reason } | ExperimentState::Superseded { reason } => {
                Some(reason.clone())
            }
            _ => judged.map(|judged| judged.judgement.reason.clone()),
        };
        let names = |ids: &[optim_core::id::CaseId]| ids.iter().map(ToString::to_string).collect();
        Self {
            number: experiment.number,
            id: experiment.id.to_string(),
            state: experiment.state.name(),
            proposer: experiment.proposer.name.clone(),
            proposer_version: experiment.proposer.version,
            mutation: experiment.mutation.clone(),
            metrics: judged.map(|judged| (&judged.judgement.candidate).into()),
            baseline: judged.map(|judged| (&judged.judgement.baseline).into()),
            holdout: judged.and_then(|judged| judged.confirmation.as_ref()).map(
                |Confirmation { baseline, candidate, gain }| HoldoutView {
                    baseline: baseline.into(),
                    candidate: candidate.into(),
                    gain: *gain,
                },
            ),
            comparison: ComparisonView::of(campaign, experiment),
            verdict: judged.map(|judged| judged.judgement.verdict),
            reason,
            trace: judged.map(|judged| judged.judgement.trace.clone()).unwrap_or_default(),
            fixed: judged.map(|judged| names(&judged.flips.fixed)).unwrap_or_default(),
            broken: judged.map(|judged| names(&judged.flips.broken)).unwrap_or_default(),
            decided_by: decision.map(|by| by.actor.to_string()),
            decision_reason: decision.and_then(|by| by.reason.clone()),
            anyway: experiment.state.anyway(),
            suspicious: suspicious.clone(),
        }
    }
}

impl Report {
    /// The document of `campaign`; `prefix` begins each command of `next`, for instance `optim -C DIR`.
    #[must_use]
    pub fn new(
        campaign: &Campaign,
        experiments: &[Experiment],
        faults: Vec<FaultsView>,
        suspicious: &[SuspiciousView],
        prefix: &str,
    ) -> Self {
        let ledger = &campaign.ledger;
        Self {
            schema: SCHEMA,
            campaign: CampaignView {
                id: campaign.id.to_string(),
                name: campaign.name.clone(),
                status: campaign.status().name(),
                reason: reason(campaign),
                waits_until_ms: waits_until(campaign),
                seed: campaign.seed,
                executor: campaign.frozen.executor.clone(),
                simulated: campaign.frozen.simulated,
                model: campaign.execution_override.clone(),
                search_cases: campaign.frozen.search_cases,
                tune_cases: campaign.frozen.tune_cases,
                holdout_cases: campaign.frozen.holdout_cases,
                baseline_version: campaign.baseline.version,
                baseline_fingerprint: campaign.baseline.fingerprint.to_string(),
                baseline: campaign.baseline.established.as_ref().map(Into::into),
                live_version: campaign.live.version(),
                workflow: campaign.source.location.to_string(),
                prospect: campaign.search.prospect.as_deref().map(Into::into),
                refused: refused(campaign).into(),
            },
            spend: SpendView {
                prompt_tokens: ledger.usage.prompt_tokens.0,
                completion_tokens: ledger.usage.completion_tokens.0,
                cost_micro_usd: ledger.usage.cost.0,
                run_time_ms: ledger.usage.latency.0,
                estimated: ledger.usage.estimated,
            },
            ledger: campaign.into(),
            after_apply: AfterApply::of(campaign),
            runs_executed: ledger.runs,
            faults,
            experiments: experiments
                .iter()
                .zip(suspicious)
                .map(|(one, suspicious)| ExperimentView::new(campaign, one, suspicious))
                .collect(),
            health: None,
            next: next(campaign, prefix),
        }
    }

    /// The same with what the baseline against itself showed.
    pub(super) fn with_health(self, health: Option<Health>) -> Self {
        Self { health, ..self }
    }

    /// What the baseline against itself showed.
    pub(super) fn health(&self) -> Option<&Health> {
        self.health.as_ref()
    }

    /// Why case runs gave no outcome, where some did not.
    pub(super) fn faults(&self) -> &[FaultsView] {
        &self.faults
    }

    /// The commands that make sense next.
    #[must_use]
    pub fn next(&self) -> &[String] {
        &self.next
    }
}

/// What was refused on the way to the last candidate, or to the end of the search.
pub(super) fn refused(campaign: &Campaign) -> &Refusals {
    match &campaign.phase {
        Phase::Closed { ending: Ending::NoFurtherMutation { refused }, .. } => refused,
        _ => &campaign.search.refused,
    }
}

/// When a campaign goes on by itself after an evaluation without a result.
fn waits_until(campaign: &Campaign) -> Option<Timestamp> {
    match work(campaign) {
        Work::BackOff(until) => Some(until),
        _ => None,
    }
}

/// A time for people.
pub(super) fn time_words(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0);
    time.map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}

/// Why a campaign stands where it stands, as a sentence.
#[must_use]
pub fn reason(campaign: &Campaign) -> Option<String> {
    match (&campaign.phase, &campaign.hold) {
        (Phase::Closed { ending, .. }, _) => Some(ending_words(campaign, ending)),
        (_, Some(Hold::Operator { actor, reason })) => {
            Some(format!("paused by {actor}{}", because(reason)))
        }
        (_, Some(Hold::BaselineUnstable { reason })) => {
            Some(format!("the baseline is unstable: {reason}"))
        }
        (_, Some(Hold::Budget { reason })) => {
            Some(format!("the budget does not cover what comes next: {reason}"))
        }
        (_, Some(Hold::Failures { failures, last })) => Some(failure_words(*failures, last)),
        _ if campaign.closing.is_some() => {
            Some("ends as completed when what is in flight has landed".to_owned())
        }
        _ if let Some(until) = waits_until(campaign) => {
            let search = &campaign.search;
            let (failures, until) = (search.consecutive_failures, time_words(until));
            let last = search.last_failure.as_deref().unwrap_or_default();
            Some(format!("waits until {until}, after failure {failures} in a row: {last}"))
        }
        (Phase::AwaitingApproval { experiment }, None) => {
            Some(format!("experiment #{} waits for your decision", experiment.number))
        }
        (Phase::Draft, None) => Some("not started".to_owned()),
        (Phase::Replaying { .. }, None) => Some("measures the baseline".to_owned()),
        (Phase::Searching, None) => Some("looks for the next candidate".to_owned()),
        (Phase::Evaluating { experiment, .. }, None) => {
            Some(format!("measures experiment #{}", experiment.number))
        }
        (Phase::Comparing { .. }, None) if let Some(winner) = campaign.winner() => {
            Some(format!("confirms experiment #{} on the holdout cases", winner.number))
        }
        (Phase::Comparing { candidates, .. }, None) => {
            let numbers: Vec<_> =
                candidates.iter().map(|experiment| format!("#{}", experiment.number)).collect();
            Some(format!("compares {} with the baseline, pair by pair", numbers.join(", ")))
        }
        (Phase::Confirming { experiment, .. }, None) => {
            Some(format!("confirms experiment #{} on the holdout cases", experiment.number))
        }
    }
}

fn because(reason: &Option<String>) -> String {
    reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

fn failure_words(failures: u32, last: &str) -> String {
    format!("gave up after {failures} evaluations in a row without a result; the last one: {last}")
}

fn ending_words(campaign: &Campaign, ending: &Ending) -> String {
    let result = match campaign.baseline.version {
        0 => "no improvement".to_owned(),
        1 => "1 improvement approved".to_owned(),
        version => format!("{version} improvements approved"),
    };
    match ending {
        Ending::ExperimentsUsedUp => {
            format!(
                "{result}: all {} experiments of the budget are used",
                campaign.search.experiments
            )
        }
        Ending::NoFurtherMutation { refused } => {
            let refusals = refused.total();
            format!(
                "{result}: no proposer has a further candidate ({refusals} proposals were refused)"
            )
        }
        Ending::SuggestionsDone => format!("{result}: your candidate is judged"),
        Ending::HealthChecked => "the baseline was compared with itself".to_owned(),
        Ending::TooManyFailures { failures, last } => failure_words(*failures, last),
        Ending::ClosedByOperator { by } => {
            format!("{result}: closed by {}{}", by.actor, because(&by.reason))
        }
        Ending::SourceGone { reason } => format!("cancelled: {reason}"),
        Ending::Cancelled { actor, reason } => {
            format!("cancelled by {actor}{}", because(reason))
        }
    }
}

/// The commands that make sense next, each beginning with `prefix`.
pub(super) fn next(campaign: &Campaign, prefix: &str) -> Vec<String> {
    let mut next = Vec::new();
    let command = |words: String| format!("{prefix} {words}");
    match (&campaign.phase, &campaign.hold) {
        (Phase::AwaitingApproval { experiment }, _) => {
            let number = experiment.number;
            next.push(command(format!("show {number}")));
            match experiment.state {
                ExperimentState::NeedsReview(_) => {
                    if experiment.trial.is_some() {
                        next.push(command("extend --pairs N --reason WHY".to_owned()));
                    }
                    next.push(command(format!("approve {number} --anyway --reason WHY")));
                }
                _ => next.push(command(format!("approve {number}"))),
            }
            next.push(command(format!("reject {number} --reason WHY")));
        }
        (Phase::Closed { .. }, _) => {}
        (_, Some(Hold::Budget { .. })) => {
            next.push(command("extend --reason WHY".to_owned()));
        }
        (_, Some(Hold::Failures { .. })) => {
            next.push(command("reset-failures --reason WHY".to_owned()));
        }
        (_, Some(_)) => next.push(command("resume".to_owned())),
        (_, None) => next.push(command("run".to_owned())),
    }
    if campaign.live.version() < campaign.baseline.version {
        next.push(command("apply".to_owned()));
    } else if let Some(write) = campaign.live.applied.last() {
        if write.measured.is_none() || campaign.live.measuring.is_some() {
            next.push(command("measure".to_owned()));
        }
        next.push(command("rollback".to_owned()));
    }
    if campaign.is_closed() {
        next.push(command("run --new".to_owned()));
    }
    next
}
