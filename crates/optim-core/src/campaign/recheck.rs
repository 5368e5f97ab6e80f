//! The last look before an approval takes effect.

use crate::experiment::Experiment;
use crate::mutation::validate::check_mutation;
use crate::workflow::Workflow;

use super::observation::EvaluationResult;
use super::transition::judged;
use super::{Campaign, needs_a_person};

/// Validates the change of `experiment` against the policies and `baseline` once more, and judges its
/// evidence again; `result` is absent when its runs are not all on record any more.
///
/// # Errors
/// Why the experiment must not be approved, for people.
pub fn recheck(
    campaign: &Campaign,
    experiment: &Experiment,
    baseline: &Workflow,
    result: Option<&EvaluationResult>,
) -> Result<(), String> {
    let policies = &campaign.frozen.policies;
    check_mutation(baseline, &experiment.mutation, &policies.mutation, &policies.scope)
        .map_err(|error| error.to_string())?;
    let evaluation = experiment.state.judged().and_then(|judged| judged.evaluation);
    let (Some(established), Some(evaluation), Some(result)) =
        (campaign.baseline.established, evaluation, result)
    else {
        return Ok(());
    };
    let judgement = judged(campaign, established, evaluation, result).judgement;
    if needs_a_person(judgement.verdict) {
        Ok(())
    } else {
        Err(format!("judged again, it is no improvement: {}", judgement.reason))
    }
}
