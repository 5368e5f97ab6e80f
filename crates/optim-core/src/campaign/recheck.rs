//! The last look before an approval takes effect.

use crate::experiment::Experiment;
use crate::mutation::validate::check_mutation;
use crate::policy::{Rule, Sequential};
use crate::trial::Trial;
use crate::verdict::Verdict;
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
    if let (Some(trial), Rule::Sequential(rules)) = (&experiment.trial, &policies.eval.rule) {
        return look_again(campaign, experiment, trial, rules);
    }
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

/// Whether the pairs on record say what the verdict says.
fn look_again(
    campaign: &Campaign,
    experiment: &Experiment,
    trial: &Trial,
    rules: &Sequential,
) -> Result<(), String> {
    let verdict = experiment.state.judged().map(|judged| judged.judgement.verdict);
    let needs_source = rules.needs_source(campaign.baseline.version);
    if verdict == Some(Verdict::Promote) && needs_source && !trial.is_anchored() {
        return Err("judged again, it was not compared with the source".to_owned());
    }
    let looked = trial.last_look(rules, campaign.frozen.policies.eval.score);
    let (_, look, _) = looked.map_err(|error| format!("its pairs are damaged: {error}"))?;
    if look.verdict() == verdict {
        Ok(())
    } else {
        Err(format!("judged again, its pairs say something else: {}", look.reason()))
    }
}
