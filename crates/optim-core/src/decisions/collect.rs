//! The lines of what is on record.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CampaignLine, Decisions, EvaluationLine, ExperimentLine, FORMAT, PairLine, Risk, StateName,
    StepLine,
};
use crate::campaign::event::EventKind;
use crate::campaign::{self, Campaign};
use crate::experiment::{Experiment, ExperimentState};
use crate::id::{Actor, EvaluationId, ExperimentId};
use crate::judge::error_budget::ErrorBudget;
use crate::judge::pair::PairRecord;
use crate::judge::sample::Purpose;
use crate::pack::{Pack, Split};

impl Decisions {
    /// The decisions of `campaign` on `pack`, from its records as they were at one time: its `experiments`,
    /// all that was `told` about it, oldest first, and how many case runs its evaluations have.
    #[must_use]
    pub fn of(
        campaign: &Campaign,
        pack: &Pack,
        experiments: &[Experiment],
        told: &[EventKind],
        runs: &BTreeMap<EvaluationId, u64>,
    ) -> Self {
        // The campaign has what its open experiments have shown so far.
        let current = campaign.current_experiments().iter().map(|open| (open.number, open));
        let stored = experiments.iter().map(|stored| (stored.number, stored));
        let experiments: BTreeMap<_, _> = stored.chain(current).collect();
        let numbers: BTreeMap<_, _> =
            experiments.iter().map(|(number, one)| (one.id, *number)).collect();
        Self {
            campaign: campaign_line(campaign, pack),
            evaluations: evaluations(campaign, told, runs),
            steps: told.iter().filter_map(|event| step(event, &numbers)).collect(),
            experiments: experiments.values().map(|one| experiment_line(one)).collect(),
            pairs: experiments.values().flat_map(|one| pairs(one, &extensions(told))).collect(),
        }
    }
}

fn campaign_line(campaign: &Campaign, pack: &Pack) -> CampaignLine {
    let policies = &campaign.frozen.policies;
    let cases = |split: Split| pack.split(split).map(|case| case.id.clone()).collect();
    let (_, baseline) = campaign.baseline.origin();
    CampaignLine {
        format: FORMAT,
        campaign: campaign.id.clone(),
        status: campaign.status(),
        seed: campaign.seed,
        rule: policies.eval.rule.clone(),
        score: policies.eval.score,
        max_experiments: policies.budget.max_experiments,
        baseline,
        search_cases: cases(Split::Search),
        holdout_cases: cases(Split::Holdout),
        pack: campaign.frozen.pack,
        files: campaign.frozen.files.iter().map(|file| (file.role, file.sha256)).collect(),
        experiments: campaign.search.experiments,
        runs: campaign.ledger.runs,
        pool: campaign.errors.as_ref().map(ErrorBudget::pool),
    }
}

fn evaluations(
    campaign: &Campaign,
    told: &[EventKind],
    runs: &BTreeMap<EvaluationId, u64>,
) -> Vec<EvaluationLine> {
    let mut seen = BTreeSet::new();
    let queued = told.iter().filter_map(|event| match event {
        // Runs that went missing are queued once more, under the same id.
        EventKind::EvaluationQueued { evaluation, purpose } if seen.insert(*evaluation) => {
            Some(EvaluationLine {
                evaluation: *evaluation,
                purpose: *purpose,
                runs: runs.get(evaluation).copied().unwrap_or(0),
                settled: !campaign.ledger.reserved.contains_key(evaluation),
            })
        }
        _ => None,
    });
    queued.collect()
}

fn step(event: &EventKind, numbers: &BTreeMap<ExperimentId, u32>) -> Option<StepLine> {
    let number = |id: &ExperimentId| numbers.get(id).copied();
    Some(match event {
        EventKind::CandidateProposed { experiment } => {
            StepLine::Opened { experiment: number(experiment)? }
        }
        EventKind::BudgetExtended { by, .. } if by.experiments > 0 => {
            StepLine::Extended { experiments: by.experiments }
        }
        EventKind::CandidateJudged { experiment, verdict } => {
            StepLine::Judged { experiment: number(experiment)?, verdict: *verdict }
        }
        EventKind::PairsAdded { experiment, pairs, .. } => {
            StepLine::PairsAdded { experiment: number(experiment)?, pairs: *pairs }
        }
        EventKind::CandidateFailed { experiment, .. } => {
            StepLine::Failed { experiment: number(experiment)? }
        }
        EventKind::CandidateSuperseded { experiment } => {
            StepLine::Superseded { experiment: number(experiment)? }
        }
        EventKind::CandidateApproved { experiment, .. } => {
            StepLine::Approved { experiment: number(experiment)? }
        }
        EventKind::CandidateRejected { experiment, .. } => {
            StepLine::Rejected { experiment: number(experiment)? }
        }
        EventKind::ApprovalRefused { experiment, reason } => {
            StepLine::ApprovalRefused { experiment: number(experiment)?, reason: reason.clone() }
        }
        _ => return None,
    })
}

fn experiment_line(experiment: &Experiment) -> ExperimentLine {
    let (state, by, reason) = state(&experiment.state);
    let judged = experiment.state.judged();
    let risk = experiment.trial.as_ref().map(|trial| Risk {
        pool: trial.pool,
        shares: trial.shares,
        stake: trial.stake,
        extended: trial.extended,
        refund: trial.refund,
    });
    ExperimentLine {
        number: experiment.number,
        experiment: experiment.id,
        baseline_version: experiment.baseline_version,
        baseline: experiment.baseline,
        candidate: experiment.candidate,
        state,
        by,
        reason,
        risk,
        judgement: judged.map(|judged| judged.judgement.clone()),
        confirmation: judged.and_then(|judged| judged.confirmation.clone()),
        anyway: experiment.state.anyway(),
    }
}

fn state(state: &ExperimentState) -> (StateName, Option<Actor>, Option<String>) {
    match state {
        ExperimentState::Evaluating => (StateName::Evaluating, None, None),
        ExperimentState::Recommended(_) => (StateName::Recommended, None, None),
        ExperimentState::NeedsReview(_) => (StateName::NeedsReview, None, None),
        ExperimentState::Discarded(_) => (StateName::Discarded, None, None),
        ExperimentState::Failed { reason } => (StateName::Failed, None, Some(reason.clone())),
        ExperimentState::Superseded { reason } => {
            (StateName::Superseded, None, Some(reason.clone()))
        }
        ExperimentState::Approved { by, .. } => {
            (StateName::Approved, Some(by.actor.clone()), by.reason.clone())
        }
        ExperimentState::Rejected { by, .. } => {
            (StateName::Rejected, Some(by.actor.clone()), by.reason.clone())
        }
    }
}

/// The candidates with the numbers of their batches that were drawn after a person had added pairs.
fn extensions(told: &[EventKind]) -> BTreeSet<(ExperimentId, u32)> {
    let queued = told.iter().filter_map(|event| match event {
        EventKind::EvaluationQueued { purpose, .. } => Some(purpose),
        _ => None,
    });
    let extensions = queued.filter_map(|purpose| match purpose {
        campaign::Purpose::Paired { experiment, pairs: Purpose::Extension, batch, .. } => {
            Some((*experiment, *batch))
        }
        _ => None,
    });
    extensions.collect()
}

fn pairs(experiment: &Experiment, extensions: &BTreeSet<(ExperimentId, u32)>) -> Vec<PairLine> {
    let Some(trial) = &experiment.trial else { return Vec::new() };
    let line = |purpose: Purpose, pair: &PairRecord| PairLine {
        experiment: experiment.number,
        purpose,
        pair: pair.clone(),
    };
    let compared = trial.pairs.iter().map(|pair| {
        let is_extension = extensions.contains(&(experiment.id, pair.batch));
        line(if is_extension { Purpose::Extension } else { Purpose::Comparison }, pair)
    });
    let anchored = trial.anchor.iter().flatten().map(|pair| line(Purpose::Anchor, pair));
    let confirmed = trial.holdout.iter().flat_map(|holdout| &holdout.pairs);
    let confirmed = confirmed.map(|pair| line(Purpose::Confirmation, pair));
    compared.chain(anchored).chain(confirmed).collect()
}
