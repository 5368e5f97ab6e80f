//! What is live of a campaign, and what measuring it has shown: for people and as a document.

use optim_core::campaign::Campaign;
use optim_core::campaign::live::LiveWrite;
use optim_core::campaign::measurement::{Figures, Finding, Measured, Unmeasured};
use optim_core::quantity::{PerMillion, Timestamp};
use serde::Serialize;

use super::report::MetricsView;
use super::status::metrics_words;

/// The last apply in effect, and what is known of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AfterApply {
    /// The baseline's version that is live.
    version: u32,
    applied_by: String,
    applied_at: Timestamp,
    /// Whether a measurement is wanted or in flight.
    measuring: bool,
    measured: Option<MeasuredView>,
    /// Why the newest measurement gave no figures.
    unmeasured: Option<Unmeasured>,
    /// How far a pass rate may lie below the promised one.
    max_drop: String,
}

#[derive(Debug, Clone, Serialize)]
struct MeasuredView {
    finding: Finding,
    live: FiguresView,
    promised: Option<FiguresView>,
    before: Option<FiguresView>,
    asked_by: String,
    reason: Option<String>,
    at: Timestamp,
}

#[derive(Debug, Clone, Serialize)]
struct FiguresView {
    search: MetricsView,
    holdout: Option<MetricsView>,
}

impl From<&Figures> for FiguresView {
    fn from(figures: &Figures) -> Self {
        let holdout = figures.holdout.as_ref().map(Into::into);
        Self { search: (&figures.search).into(), holdout }
    }
}

impl From<&Measured> for MeasuredView {
    fn from(measured: &Measured) -> Self {
        Self {
            finding: measured.finding,
            live: (&measured.live).into(),
            promised: measured.promised.as_ref().map(Into::into),
            before: measured.before.as_ref().map(Into::into),
            asked_by: measured.by.actor.to_string(),
            reason: measured.by.reason.clone(),
            at: measured.at,
        }
    }
}

impl AfterApply {
    /// The view of `campaign`; absent when nothing that it applied is live.
    #[must_use]
    pub(super) fn of(campaign: &Campaign) -> Option<Self> {
        let write = campaign.live.applied.last()?;
        Some(Self {
            version: write.version,
            applied_by: write.actor.to_string(),
            applied_at: write.at,
            measuring: campaign.live.measuring.is_some(),
            measured: write.measured.as_deref().map(Into::into),
            unmeasured: write.unmeasured.clone(),
            max_drop: margin(campaign).to_string(),
        })
    }
}

fn margin(campaign: &Campaign) -> PerMillion {
    campaign.frozen.policies.eval.post_apply.max_drop
}

/// The same for people; empty when nothing that the campaign applied is live. `prefix` begins each
/// command that is named.
pub(super) fn lines(campaign: &Campaign, prefix: &str) -> Vec<String> {
    let Some(write) = campaign.live.applied.last() else {
        return Vec::new();
    };
    let mut lines = vec![head(campaign, write)];
    if let Some(measured) = &write.measured {
        lines.extend(figures(measured));
        lines.push(format!("    {}", finding(measured.finding, margin(campaign), prefix)));
    }
    if let Some(Unmeasured { reason, .. }) = &write.unmeasured {
        lines.push(format!(
            "    the newest measurement gave no figures: {reason}; `{prefix} measure` begins another one"
        ));
    }
    lines
}

fn head(campaign: &Campaign, write: &LiveWrite) -> String {
    let state = match (&campaign.live.measuring, &write.measured, &write.unmeasured) {
        (Some(measuring), ..) if measuring.evaluations.is_empty() => "waits to be measured",
        (Some(_), ..) => "is being measured",
        (None, Some(_), _) => "measured after the apply:",
        (None, None, Some(_)) => "not measured after the apply:",
        (None, None, None) => "not measured since the apply",
    };
    format!("  live v{}, applied by {}: {state}", write.version, write.actor)
}

fn figures(measured: &Measured) -> Vec<String> {
    let rows = [
        ("before", measured.before.as_ref()),
        ("promised", measured.promised.as_ref()),
        ("live", Some(&measured.live)),
    ];
    let row = |(name, figures): (&str, Option<&Figures>)| {
        let Figures { search, holdout } = figures?;
        let holdout = holdout.as_ref().map(metrics_words);
        let holdout = holdout.map(|words| format!("; holdout: {words}")).unwrap_or_default();
        Some(format!("    {name:<9} {}{holdout}", metrics_words(search)))
    };
    rows.into_iter().filter_map(row).collect()
}

fn finding(finding: Finding, margin: PerMillion, prefix: &str) -> String {
    match finding {
        Finding::Kept => {
            format!("it keeps what was promised: no pass rate is more than {margin} below it")
        }
        Finding::Dropped => format!(
            "WORSE THAN PROMISED: a pass rate is more than {margin} below it; `{prefix} rollback` \
             takes the apply back"
        ),
        Finding::Inconclusive => format!(
            "it says nothing: more than {margin} of its case runs gave no outcome; see why, then \
             `{prefix} measure` again"
        ),
        Finding::NoPromise => {
            "what was promised is not on record, so there is nothing to compare with".to_owned()
        }
    }
}
