//! What is suspicious about experiments, for the person who decides. It decides nothing.

use std::collections::BTreeSet;

use optim_core::campaign::{Campaign, Purpose, Side};
use optim_core::experiment::Experiment;
use optim_core::id::EvaluationId;
use optim_core::judge::sample::Purpose as Pairs;
use optim_core::mutation::FieldValue;
use optim_core::suspicion::{Suspicion, suspicions};
use serde::Serialize;

use super::call::Call;
use crate::error::CliError;

/// What is suspicious about one experiment.
#[derive(Debug, Clone, Serialize)]
pub struct SuspiciousView {
    /// About the new value of its field.
    change: BTreeSet<Suspicion>,
    /// About the outputs of its runs; `None` when nobody looked at them.
    outputs: Option<BTreeSet<Suspicion>>,
}

impl SuspiciousView {
    /// What is suspicious about the change alone.
    fn of_change(experiment: &Experiment) -> Self {
        let change = match &experiment.mutation.after {
            FieldValue::Text(text) => suspicions(text),
            FieldValue::Integer(_) => BTreeSet::new(),
        };
        Self { change, outputs: None }
    }

    /// What is suspicious about the change and the outputs.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of(
        call: &Call,
        campaign: &Campaign,
        experiment: &Experiment,
    ) -> Result<Self, CliError> {
        let outputs = call.session.engine.suspicions(evaluation(campaign, experiment)).await?;
        Ok(Self { outputs: Some(outputs), ..Self::of_change(experiment) })
    }

    /// A line for each suspicion.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let of = |whose: &'static str, found: &BTreeSet<Suspicion>| {
            let line = move |it| format!("SUSPICIOUS: {whose} {it}; it decides nothing");
            found.iter().copied().map(line).collect::<Vec<_>>()
        };
        let outputs = self.outputs.as_ref().map(|found| of("an output", found));
        of("its change", &self.change).into_iter().chain(outputs.into_iter().flatten())
    }
}

/// What is suspicious about each of `experiments`: about the outputs only of those on which somebody must
/// decide, as the others have too many.
///
/// # Errors
/// The store fails.
pub(super) async fn of_all(
    call: &Call,
    campaign: &Campaign,
    experiments: &[Experiment],
) -> Result<Vec<SuspiciousView>, CliError> {
    let mut found = Vec::new();
    for experiment in experiments {
        found.push(match experiment.state.undecided() {
            Some(_) => SuspiciousView::of(call, campaign, experiment).await?,
            None => SuspiciousView::of_change(experiment),
        });
    }
    Ok(found)
}

/// The evaluation of an experiment on the search cases: the first one, if it is compared by pairs.
pub(super) fn evaluation(campaign: &Campaign, experiment: &Experiment) -> EvaluationId {
    if let Some(group) = experiment.trial.as_ref().and_then(|trial| trial.group) {
        let (side, pairs) = (Side::Candidate { candidate: experiment.id }, Pairs::Comparison);
        let (batch, round, attempt) = (0, 1, 0);
        let purpose = Purpose::Paired { experiment: group, pairs, side, batch, round, attempt };
        return purpose.evaluation_id(&campaign.id, 0);
    }
    let purpose = Purpose::Candidate { experiment: experiment.id };
    let judged = experiment.state.judged().and_then(|judged| judged.evaluation);
    let open = campaign.in_flight().find(|open| open.purpose == purpose).map(|open| open.id);
    judged.or(open).unwrap_or_else(|| purpose.evaluation_id(&campaign.id, 0))
}
