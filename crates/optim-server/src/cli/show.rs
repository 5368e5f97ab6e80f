//! `optim show`: one experiment, whole.

use optim_core::campaign::Campaign;
use optim_core::experiment::{Anyway, Experiment, ExperimentState, Judged};
use optim_core::id::EvaluationId;
use optim_core::judge::comparison::Crossing;
use optim_core::judge::gain::Gain;
use optim_core::mutation::FieldValue;
use optim_core::shadow::Denial;
use optim_store::{Page, RunFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::Outcome;
use super::after_apply::{self, AfterApply};
use super::call::Call;
use super::comparison::ComparisonView;
use super::output::Output;
use super::status::metrics_words;
use super::suspicious::{SuspiciousView, evaluation};
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
    let suspicious = SuspiciousView::of(call, &campaign, &experiment).await?;
    if call.json {
        let after_apply = applied(&campaign, &experiment).then(|| AfterApply::of(&campaign));
        call.out.document(&json!({
            "schema": "optim/v1/experiment",
            "experiment": experiment,
            "denied": denied,
            "faults": faults,
            "suspicious": suspicious,
            "after_apply": after_apply.flatten(),
        }));
    } else {
        if campaign.frozen.simulated {
            call.out.line("SIMULATED FIGURES");
        }
        print(&call.out, &campaign, &experiment);
        if let Some(faults) = &faults {
            call.out.line(&format!("  {faults}"));
        }
        suspicious.lines().for_each(|line| call.out.line(&format!("  {line}")));
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

fn print(out: &Output, campaign: &Campaign, experiment: &Experiment) {
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
            print_judged(out, campaign, experiment, judged);
            print_review(out, experiment, judged);
        }
        ExperimentState::Approved { judged, by, .. } | ExperimentState::Rejected { judged, by } => {
            print_judged(out, campaign, experiment, judged);
            if let Some(anyway) = experiment.state.anyway() {
                out.line(&format!("  approved {anyway}"));
            }
            let why = by.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            out.line(&format!("  decided by {}{why}", by.actor));
        }
        ExperimentState::Failed { reason } | ExperimentState::Superseded { reason } => {
            out.line(&format!("  {reason}"))
        }
        ExperimentState::Evaluating => {
            let comparison = ComparisonView::of(campaign, experiment);
            let words = comparison.map(|words| format!(": {words}")).unwrap_or_default();
            out.line(&format!("  is measured{words}"));
        }
    }
}

/// What a person can do about a candidate under review, and what that means.
fn print_review(out: &Output, experiment: &Experiment, judged: &Judged) {
    let ExperimentState::NeedsReview(_) = experiment.state else { return };
    if experiment.trial.is_some() {
        out.line("  `extend --pairs` goes on with the comparison");
        out.line("  `reject` closes it: what its evidence leaves of its stake goes back");
    }
    if let Some(anyway) = Anyway::of(&judged.judgement) {
        out.line(&format!("  `approve --anyway` would be {anyway}"));
    }
}

fn print_judged(out: &Output, campaign: &Campaign, experiment: &Experiment, judged: &Judged) {
    let judgement = &judged.judgement;
    let pairs = experiment.trial.as_ref().and_then(|trial| Gain::of(&trial.pairs));
    let gain = pairs.map(|gain| format!(" {gain}")).unwrap_or_default();
    out.line(&format!("  on the search cases, by which it was selected:{gain}"));
    out.line(&format!("    baseline   {}", metrics_words(&judgement.baseline)));
    out.line(&format!("    candidate  {}", metrics_words(&judgement.candidate)));
    match &judged.confirmation {
        Some(confirmation) => {
            let gain = confirmation.gain.map(|gain| format!(" {gain}")).unwrap_or_default();
            out.line(&format!(
                "  on holdout, fresh runs that took no part in the selection:{gain}"
            ));
            out.line(&format!("    baseline   {}", metrics_words(&confirmation.baseline)));
            out.line(&format!("    candidate  {}", metrics_words(&confirmation.candidate)));
        }
        None if campaign.frozen.holdout_cases == 0 => {
            out.line(
                "  the pack has no holdout cases: the figure above is the one it was selected by, \
                 and likely too high",
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
    if let Some(evidence) = &judgement.evidence {
        if let Some(Crossing { pairs, evidence }) = evidence.crossing {
            out.line(&format!(
                "  its bar was reached after {pairs} pairs, with evidence {evidence}"
            ));
        }
        if let Some(common) = evidence.intersection {
            out.line(&format!("  by all looks together the gain lies {common}"));
        }
    }
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
