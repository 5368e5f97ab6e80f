//! `optim run --aa`: the baseline against itself, which shows whether the evaluator is healthy.

use optim_core::campaign::{Campaign, SearchMode};
use optim_core::experiment::Experiment;
use optim_core::judge::health::{Drift, Finding, Health};
use optim_core::judge::look::{Funds, Look};
use optim_core::judge::plan::Goal;
use optim_core::policy::{Rule, Sequential};
use optim_runtime::project::Project;

use super::call::Call;
use super::outlook::{self, Outlook};
use crate::error::CliError;

/// Pairs without `--pairs`: the share of those that differ is known to about 6 points then, or 3.
const PAIRS: std::ops::RangeInclusive<u32> = 64..=240;

/// `project` with rules by which the comparison ends after `pairs`, whatever they show.
pub(super) fn project(mut project: Project, outlook: &Outlook, pairs: Option<u32>) -> Project {
    let cases = outlook.cases.search;
    let twice = cases.saturating_mul(2).clamp(*PAIRS.start(), *PAIRS.end());
    let pairs = pairs.unwrap_or(twice);
    // The halves that are compared are of batches.
    let batch = outlook.rules.batch.min(pairs.div_ceil(2));
    let rules = Sequential { n_min: pairs, n_max: pairs, batch, group: 1, ..outlook.rules };
    project.policies.eval.rule = Rule::Sequential(rules);
    project
}

/// The name of the campaign.
pub(super) fn name(campaign: &Campaign) -> String {
    format!("Check the evaluator of {}", campaign.source.name)
}

/// What the pairs of the baseline with itself show; `None` for another campaign, and before there is one.
///
/// # Errors
/// The store fails.
pub(super) async fn of(
    call: &Call,
    campaign: &Campaign,
    experiments: &[Experiment],
) -> Result<Option<Health>, CliError> {
    let (SearchMode::Health, Rule::Sequential(rules), [experiment, ..]) =
        (campaign.search.mode, campaign.frozen.policies.eval.rule.clone(), experiments)
    else {
        return Ok(None);
    };
    let Some(trial) = experiment.trial.as_ref().filter(|trial| !trial.pairs.is_empty()) else {
        return Ok(None);
    };
    let score = campaign.frozen.policies.eval.score;
    let (comparison, look) = trial
        .looked_at(&rules, score, Funds::Left)
        .map_err(|error| CliError::Usage { code: error.code(), message: error.to_string() })?;
    let runs = call.session.engine.observed(campaign, experiment).await?;
    // Those of the campaign end it after its pairs; what is in reach is a question to the project's.
    let project = call.session.project().await.ok();
    let rules = project.map_or_else(|| Sequential::of(rules.profile), |read| outlook::rules(&read));
    let goal = |flips| Goal::new(&rules, trial.stake, flips, rules.n_max);
    Ok(Some(Health::new(&trial.pairs, &comparison, look, &runs, goal)))
}

/// Prints what the pairs show, for people.
pub(super) fn print(call: &Call, health: Option<&Health>) {
    let Some(health) = health else { return };
    let line = |text: String| call.out.line(&text);
    let Health { differing, void, faults: [first, second], passed, flaky, drift, .. } = health;
    line(format!(
        "  {} of {} pairs of one definition differ ({}); {} of {} case runs pass ({})",
        differing.num,
        differing.den,
        differing.percent(),
        passed.num,
        passed.den,
        passed.percent()
    ));
    for case in flaky {
        let (case, passed, runs) = (&case.case, case.passed, case.passed + case.failed);
        line(format!("    flaky: {case} passed {passed} of {runs} times"));
    }
    let Drift { cases, better, worse, earlier, later, .. } = drift;
    line(format!(
        "  drift: {} passed in the first half and {} in the second, on {cases} cases: {better} better and \
         {worse} worse (level 1 %)",
        earlier.percent(),
        later.percent()
    ));
    line(format!(
        "  faults of the outside: {first} and {second} first attempts of the two sides; {} of {} pairs are \
         without an outcome",
        void.num, void.den
    ));
    let promoted = match health.look {
        Look::Promote => "would have promoted it",
        _ => "would not have promoted it",
    };
    line(format!("  evidence {} of {} needed: the rule {promoted}", health.evidence, health.bar));
    match health.findings.as_slice() {
        [] => line("  healthy: nothing but noise tells the sides apart".to_owned()),
        findings => {
            let words = findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ");
            line(format!("  not healthy: {words}"));
        }
    }
}
