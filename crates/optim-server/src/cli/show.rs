//! `optim show`: one experiment, whole.

use optim_core::campaign::{Campaign, Purpose};
use optim_core::experiment::{Experiment, ExperimentState, Judged};
use optim_core::id::EvaluationId;
use optim_core::mutation::FieldValue;
use optim_core::shadow::Denial;
use optim_store::{Page, RunFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::Outcome;
use super::after_apply::{self, AfterApply};
use super::call::Call;
use super::output::Output;
use super::status::metrics_words;
use crate::error::{CliError, Exit};

/// The flags of `optim show`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The experiment: its number or id.
    experiment: String,
    /// The campaign; the open or newest one when absent.
    #[arg(long)]
    campaign: Option<String>,
}

pub(super) async fn show(call: &Call, args: Args) -> Outcome {
    let campaign = call.session.campaign(args.campaign.as_deref()).await?;
    let experiment = call.session.experiment(&campaign.id, &args.experiment).await?;
    let evaluation = evaluation(&campaign, &experiment);
    let denied = denied(call, evaluation).await?;
    let faults = call.session.engine.faults(evaluation).await?;
    if call.json {
        let after_apply = applied(&campaign, &experiment).then(|| AfterApply::of(&campaign));
        call.out.document(&json!({
            "schema": "optim/v1/experiment",
            "experiment": experiment,
            "denied": denied,
            "faults": faults,
            "after_apply": after_apply.flatten(),
        }));
    } else {
        if campaign.frozen.simulated {
            call.out.line("SIMULATED FIGURES");
        }
        print(&call.out, &experiment, campaign.frozen.holdout_cases);
        if let Some(faults) = &faults {
            call.out.line(&format!("  {faults}"));
        }
        for denial in &denied {
            call.out.line(&format!("  its runs did not get {denial}"));
        }
        if applied(&campaign, &experiment) {
            let lines = after_apply::lines(&campaign, &call.prefix());
            lines.iter().for_each(|line| call.out.line(line));
        }
    }
    Ok(Exit::Success)
}

/// Whether the last apply in effect brought the experiment's change.
fn applied(campaign: &Campaign, experiment: &Experiment) -> bool {
    let mut applied = campaign.live.applied.iter().rev().map(|write| write.version);
    let (live, before) = (applied.next().unwrap_or(0), applied.next().unwrap_or(0));
    let version = experiment.baseline_version.saturating_add(1);
    matches!(experiment.state, ExperimentState::Approved { .. })
        && (before < version && version <= live)
}

/// The evaluation of an experiment on the search cases.
fn evaluation(campaign: &Campaign, experiment: &Experiment) -> EvaluationId {
    let purpose = Purpose::Candidate { experiment: experiment.id };
    let judged = experiment.state.judged().and_then(|judged| judged.evaluation);
    let open = campaign.in_flight().find(|open| open.purpose == purpose).map(|open| open.id);
    judged.or(open).unwrap_or_else(|| purpose.evaluation_id(&campaign.id, 0))
}

/// What the runs of an evaluation were denied. All execute one definition, so the first one tells.
async fn denied(call: &Call, evaluation: EvaluationId) -> Result<Vec<Denial>, CliError> {
    let filter = RunFilter::Evaluation(evaluation);
    let store = call.session.engine.store();
    let listed = store.runs(&filter, Page { after: None, limit: 1 }).await?;
    let Some(first) = listed.items.first() else {
        return Ok(Vec::new());
    };
    let run = store.run(first.id).await?.map(|run| run.value);
    Ok(run.and_then(|run| Some(run.report()?.denied.clone())).unwrap_or_default())
}

fn print(out: &Output, experiment: &Experiment, holdout_cases: u32) {
    let mutation = &experiment.mutation;
    out.line(&format!("experiment #{} ({})", experiment.number, experiment.id));
    out.line(&format!(
        "  {}, by {} v{}",
        experiment.state.name(),
        experiment.proposer.name,
        experiment.proposer.version
    ));
    match mutation.is_nothing() {
        true => out.line("  changes nothing: it is the baseline itself"),
        false => out.line(&format!("  changes {} of node {}:", mutation.field, mutation.node)),
    }
    for line in change(&mutation.before, &mutation.after) {
        out.line(&format!("    {line}"));
    }
    match &experiment.state {
        ExperimentState::Recommended(judged)
        | ExperimentState::NeedsReview(judged)
        | ExperimentState::Discarded(judged) => {
            print_judged(out, judged, holdout_cases);
        }
        ExperimentState::Approved { judged, by } | ExperimentState::Rejected { judged, by } => {
            print_judged(out, judged, holdout_cases);
            let why = by.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            out.line(&format!("  decided by {}{why}", by.actor));
        }
        ExperimentState::Failed { reason } | ExperimentState::Superseded { reason } => {
            out.line(&format!("  {reason}"))
        }
        ExperimentState::Evaluating => out.line("  is measured"),
    }
}

fn print_judged(out: &Output, judged: &Judged, holdout_cases: u32) {
    let judgement = &judged.judgement;
    out.line("  on the search cases:");
    out.line(&format!("    baseline   {}", metrics_words(&judgement.baseline)));
    out.line(&format!("    candidate  {}", metrics_words(&judgement.candidate)));
    match &judged.confirmation {
        Some(confirmation) => {
            out.line("  on the holdout cases, fresh runs that took no part in the selection:");
            out.line(&format!("    baseline   {}", metrics_words(&confirmation.baseline)));
            out.line(&format!("    candidate  {}", metrics_words(&confirmation.candidate)));
        }
        None if holdout_cases == 0 => {
            out.line(
                "  the pack has no holdout cases: the figure above is the one it was selected by",
            );
        }
        None => {}
    }
    let ids = |ids: &[optim_core::id::CaseId]| {
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    out.line(&format!("  fixed {}: {}", judged.flips.fixed.len(), ids(&judged.flips.fixed)));
    out.line(&format!("  broken {}: {}", judged.flips.broken.len(), ids(&judged.flips.broken)));
    out.line(&format!("  verdict: {:?}: {}", judgement.verdict, judgement.reason));
    for rule in &judgement.trace {
        out.line(&format!(
            "    {} {}: {}",
            if rule.fired { ">" } else { " " },
            rule.rule,
            rule.detail
        ));
    }
}

/// A change for people: the lines of a longer text that are gone (`-`) and new (`+`), or one line word
/// by word, `[-gone-]` and `{+new+}`.
pub(super) fn change(before: &FieldValue, after: &FieldValue) -> Vec<String> {
    let (FieldValue::Text(before), FieldValue::Text(after)) = (before, after) else {
        return vec![format!("{before} -> {after}")];
    };
    let lines = TextDiff::from_lines(before, after);
    let changed = |tag: ChangeTag| {
        let changes = lines.iter_all_changes().filter(move |change| change.tag() == tag);
        changes.map(|change| change.value().trim_end().to_owned()).collect::<Vec<_>>()
    };
    let (gone, new) = (changed(ChangeTag::Delete), changed(ChangeTag::Insert));
    match (gone.as_slice(), new.as_slice()) {
        ([gone], [new]) => vec![words(gone, new)],
        _ => gone
            .iter()
            .map(|line| format!("- {line}"))
            .chain(new.iter().map(|line| format!("+ {line}")))
            .collect(),
    }
}

fn words(before: &str, after: &str) -> String {
    let mut text = String::new();
    for change in TextDiff::from_words(before, after).iter_all_changes() {
        match change.tag() {
            ChangeTag::Equal => text.push_str(change.value()),
            ChangeTag::Delete => text.extend(["[-", change.value(), "-]"]),
            ChangeTag::Insert => text.extend(["{+", change.value(), "+}"]),
        }
    }
    text.replace("+}{+", "").replace("-][-", "")
}
