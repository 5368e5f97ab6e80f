//! `optim show`: one experiment, whole.

use std::path::Path;

use optim_core::experiment::{Experiment, ExperimentState, Judged};
use optim_core::mutation::FieldValue;
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::status::metrics_words;
use super::{Outcome, output};
use crate::error::Exit;
use crate::session::Session;

/// The flags of `optim show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The experiment: its number or id.
    experiment: String,
    /// The campaign; the open or newest one when absent.
    #[arg(long)]
    campaign: Option<String>,
}

pub(super) async fn show(folder: &Path, args: Args, json: bool) -> Outcome {
    let session = Session::open(folder)?;
    let campaign = session.campaign(args.campaign.as_deref()).await?;
    let experiment = session.experiment(&campaign.id, &args.experiment).await?;
    if json {
        output::document(&json!({"schema": "optim/v1/experiment", "experiment": experiment}));
    } else {
        if campaign.frozen.simulated {
            output::line("SIMULATED FIGURES");
        }
        print(&experiment, campaign.frozen.holdout_cases);
    }
    Ok(Exit::Success)
}

fn print(experiment: &Experiment, holdout_cases: u32) {
    let mutation = &experiment.mutation;
    output::line(&format!("experiment #{} ({})", experiment.number, experiment.id));
    output::line(&format!(
        "  {}, by {} v{}",
        experiment.state.name(),
        experiment.proposer.name,
        experiment.proposer.version
    ));
    output::line(&format!("  changes {} of node {}:", mutation.field, mutation.node));
    for line in change(&mutation.before, &mutation.after) {
        output::line(&format!("    {line}"));
    }
    match &experiment.state {
        ExperimentState::Recommended(judged)
        | ExperimentState::NeedsReview(judged)
        | ExperimentState::Discarded(judged) => {
            print_judged(judged, holdout_cases);
        }
        ExperimentState::Approved { judged, by } | ExperimentState::Rejected { judged, by } => {
            print_judged(judged, holdout_cases);
            let why = by.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            output::line(&format!("  decided by {}{why}", by.actor));
        }
        ExperimentState::Failed { reason } | ExperimentState::Superseded { reason } => {
            output::line(&format!("  {reason}"))
        }
        ExperimentState::Evaluating => output::line("  is measured"),
    }
}

fn print_judged(judged: &Judged, holdout_cases: u32) {
    let judgement = &judged.judgement;
    output::line("  on the search cases:");
    output::line(&format!("    baseline   {}", metrics_words(&judgement.baseline)));
    output::line(&format!("    candidate  {}", metrics_words(&judgement.candidate)));
    match &judged.confirmation {
        Some(confirmation) => {
            output::line("  on the holdout cases, fresh runs that took no part in the selection:");
            output::line(&format!("    baseline   {}", metrics_words(&confirmation.baseline)));
            output::line(&format!("    candidate  {}", metrics_words(&confirmation.candidate)));
        }
        None if holdout_cases == 0 => {
            output::line(
                "  the pack has no holdout cases: the figure above is the one it was selected by",
            );
        }
        None => {}
    }
    let ids = |ids: &[optim_core::id::CaseId]| {
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    output::line(&format!("  fixed {}: {}", judged.flips.fixed.len(), ids(&judged.flips.fixed)));
    output::line(&format!("  broken {}: {}", judged.flips.broken.len(), ids(&judged.flips.broken)));
    output::line(&format!("  verdict: {:?}: {}", judgement.verdict, judgement.reason));
    for rule in &judgement.trace {
        output::line(&format!(
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
