//! Invariants of a campaign, as findings. Debug builds look at them after every step.

use crate::experiment::ExperimentState;
use crate::judge::error_budget::Stake;
use crate::metrics::baseline::required;
use crate::policy::Rule;

use super::transition::SUGGESTIONS_MAX;
use super::{Campaign, Fate, Phase, Purpose, SearchMode};

/// A rule that a campaign breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name.
    pub rule: &'static str,
    /// What was found.
    pub detail: String,
}

/// Every rule that `campaign` breaks; empty for a campaign that only [`super::transition`] has touched.
#[must_use]
pub fn check(campaign: &Campaign) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut require = |holds: bool, rule: &'static str, detail: String| {
        if !holds {
            violations.push(Violation { rule, detail });
        }
    };
    let Campaign { baseline, search, frozen, live, phase, .. } = campaign;
    let budget = campaign.budget();

    require(
        search.experiments <= budget.max_experiments,
        "experiments_within_budget",
        format!("{} of {}", search.experiments, budget.max_experiments),
    );
    require(
        usize::try_from(search.experiments)
            .is_ok_and(|experiments| search.tried.len() <= experiments),
        "tried_has_an_experiment_each",
        format!("{} tried, {} experiments", search.tried.len(), search.experiments),
    );
    require(
        search.suggestions.len() <= SUGGESTIONS_MAX,
        "suggestions_bounded",
        search.suggestions.len().to_string(),
    );
    require(
        baseline.replays.len() <= required(&frozen.policies.eval),
        "replays_bounded",
        baseline.replays.len().to_string(),
    );
    require(
        baseline.version > 0
            || (baseline.patch.is_empty()
                && (campaign.execution_override.is_some()
                    || baseline.fingerprint == campaign.source.fingerprint)),
        "version_0_is_the_source",
        format!("{:?}", baseline.fingerprint),
    );
    let pending = search.tried.values().filter(|fate| **fate == Fate::Pending).count();
    require(
        pending == campaign.current_experiments().len(),
        "each_open_experiment_is_pending",
        format!(
            "{pending} pending mutations, {} current experiments",
            campaign.current_experiments().len()
        ),
    );
    for experiment in campaign.current_experiments() {
        require(
            experiment.baseline == baseline.fingerprint
                && experiment.baseline_version == baseline.version,
            "pending_belongs_to_the_baseline",
            experiment.id.to_string(),
        );
        require(
            state_fits(phase, &experiment.state),
            "experiment_state_fits_the_phase",
            format!("{:?}", experiment.state),
        );
        require(
            baseline.established.is_some() || experiment.trial.is_some(),
            "measured_against_a_baseline",
            experiment.id.to_string(),
        );
    }
    if let (Some(errors), Rule::Sequential(rules)) = (&campaign.errors, &frozen.policies.eval.rule)
    {
        let trials = campaign.current_experiments().iter().filter_map(|one| one.trial.as_ref());
        let at_risk = trials.fold(errors.pool(), |sum, trial| sum.with(trial.stake));
        require(
            at_risk <= Stake::whole(rules.alpha),
            "stakes_within_alpha",
            format!("{at_risk:?} of {:?}", Stake::whole(rules.alpha)),
        );
    }
    require(
        phase.in_flight().iter().all(|open| !matches!(open.purpose, Purpose::MeasureLive { .. })),
        "a_phase_waits_for_its_own_evaluations",
        format!("{phase:?}"),
    );
    require(
        live.measuring.is_none() || !live.applied.is_empty(),
        "only_what_was_applied_is_measured",
        format!("{:?}", live.measuring),
    );
    require(
        !(campaign.is_closed() && campaign.hold.is_some()),
        "an_ended_campaign_is_not_held",
        format!("{:?}", campaign.hold),
    );
    require(
        !(campaign.is_closed() && campaign.closing.is_some()),
        "an_ended_campaign_is_not_about_to_end",
        format!("{:?}", campaign.closing),
    );
    require(
        search.back_off.is_none() || (search.consecutive_failures > 0 && !campaign.is_closed()),
        "only_failures_make_an_open_campaign_wait",
        format!("{:?}", search.back_off),
    );
    require(
        campaign.is_closed() || campaign.archived.is_none(),
        "only_what_is_over_is_archived",
        format!("{:?}", campaign.archived),
    );
    require(
        campaign.ledger.is_covered(&budget.allowance()),
        "spending_within_the_budget",
        format!("{:?} of {:?}", campaign.ledger, budget),
    );
    require(
        search.mode != SearchMode::Health
            || (baseline.version == 0
                && !matches!(phase, Phase::Confirming { .. } | Phase::AwaitingApproval { .. })),
        "a_health_check_promotes_nothing",
        format!("version {}, {phase:?}", baseline.version),
    );
    require(campaign.requests.is_sound(), "each_key_once", format!("{:?}", campaign.requests));
    require(
        live.version() <= baseline.version,
        "live_is_not_ahead",
        format!("{} > {}", live.version(), baseline.version),
    );
    violations
}

fn state_fits(phase: &Phase, state: &ExperimentState) -> bool {
    use ExperimentState::{Evaluating, NeedsReview, Recommended};
    matches!(
        (phase, state),
        (Phase::Comparing { .. }, NeedsReview(_) | Recommended(_))
            | (
                Phase::Evaluating { .. }
                    | Phase::Comparing { .. }
                    | Phase::Searching
                    | Phase::Replaying { .. },
                Evaluating
            )
            | (
                Phase::Confirming { .. } | Phase::AwaitingApproval { .. },
                Recommended(_) | NeedsReview(_)
            )
    )
}
