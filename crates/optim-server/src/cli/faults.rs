//! Why case runs gave no outcome, for those who look at a campaign.

use optim_core::campaign::Campaign;
use optim_core::experiment::Experiment;
use optim_core::id::EvaluationId;
use optim_core::run::faults::Faults;
use serde::Serialize;

use super::call::Call;
use crate::error::CliError;

/// The faults of one evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct FaultsView {
    /// What was measured: `baseline`, `in flight`, or `experiment #3`.
    of: String,
    #[serde(flatten)]
    faults: Faults,
}

impl std::fmt::Display for FaultsView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.of, self.faults)
    }
}

/// The faults behind the figures of `campaign`: of the replays that count, of its experiments on the
/// search cases, and of what is in flight.
///
/// # Errors
/// The store fails.
pub(super) async fn of(
    call: &Call,
    campaign: &Campaign,
    experiments: &[Experiment],
) -> Result<Vec<FaultsView>, CliError> {
    let replays = campaign.baseline.replays.iter();
    let replays = replays.filter(|replay| replay.metrics.void > 0);
    let judged = experiments.iter().filter_map(|experiment| {
        let judged = experiment.state.judged()?;
        let void = judged.judgement.candidate.void > 0;
        Some((judged.evaluation.filter(|_| void)?, format!("experiment #{}", experiment.number)))
    });
    let evaluations: Vec<(EvaluationId, String)> = replays
        .map(|replay| (replay.evaluation, "baseline".to_owned()))
        .chain(judged)
        .chain(campaign.in_flight().map(|open| (open.id, "in flight".to_owned())))
        .collect();
    let mut found = Vec::new();
    for (evaluation, of) in evaluations {
        let faults = call.session.engine.faults(evaluation).await?;
        found.extend(faults.map(|faults| FaultsView { of, faults }));
    }
    Ok(found)
}
