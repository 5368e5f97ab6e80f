//! The seed's rule: point estimates, first match wins, no error control.
//!
//! The order is that of the seed; comparisons are of exact fractions, so a tie is a tie. Where the
//! figures contradict each other or are not enough, a person decides: when a better pass rate comes
//! with more unmet requirements, when more case runs are void than may be flaky, when those that are
//! void could undo what looks better, and when what is better costs more than the policy's margin. Void
//! case runs are counted on neither side.

use crate::metrics::Metrics;
use crate::policy::Score;
use crate::quantity::{Fraction, PerMillion};
use crate::verdict::{ErrorControl, Judgement, RuleTrace, Verdict};

use super::Evidence;
use super::cost::Costs;

/// One row of the rule: what it looks at, and what follows if it fires.
struct Row {
    rule: &'static str,
    detail: String,
    fires: bool,
    verdict: Verdict,
    reason: String,
}

pub(super) fn judge(
    score: Score,
    void_max: PerMillion,
    cost_margin: Option<PerMillion>,
    evidence: &Evidence,
) -> Judgement {
    let (baseline, candidate) = (evidence.baseline, evidence.candidate);
    let passes = passes(score, &baseline, &candidate);
    let otherwise = Row {
        rule: "otherwise",
        detail: passes.clone(),
        fires: true,
        verdict: Verdict::Discard,
        reason: format!("did not beat the baseline: {passes}"),
    };
    let rows = guardrails(&baseline, &candidate)
        .into_iter()
        .chain(review(score, void_max, &baseline, &candidate))
        .chain([cost_trade_off(score, cost_margin, &baseline, &candidate)])
        .chain(gains(score, &baseline, &candidate))
        .chain([otherwise]);
    let (mut verdict, mut reason, mut trace) = (Verdict::Discard, String::new(), Vec::new());
    for row in rows {
        trace.push(RuleTrace { rule: row.rule.to_owned(), fired: row.fires, detail: row.detail });
        if row.fires {
            (verdict, reason) = (row.verdict, row.reason);
            break;
        }
    }
    let (evidence, error_control) = (None, ErrorControl::None);
    Judgement { verdict, reason, trace, evidence, error_control, baseline, candidate }
}

/// What must not get worse.
fn guardrails(baseline: &Metrics, candidate: &Metrics) -> [Row; 2] {
    let blocked = format!("blocked nodes {}, baseline {}", candidate.blocked, baseline.blocked);
    [
        Row {
            rule: "budget_ceilings",
            detail: format!("within limits: {}", candidate.within_limits),
            fires: !candidate.within_limits,
            verdict: Verdict::Discard,
            reason: "a case run broke a limit of the workflow".to_owned(),
        },
        Row {
            rule: "blocked_node_rate",
            detail: blocked.clone(),
            fires: candidate.blocked > baseline.blocked,
            verdict: Verdict::Discard,
            reason: format!("more nodes are blocked: {blocked}"),
        },
    ]
}

/// Where the figures are not enough, or contradict each other.
fn review(score: Score, void_max: PerMillion, baseline: &Metrics, candidate: &Metrics) -> [Row; 3] {
    let passes = passes(score, baseline, candidate);
    let unmet = unmet(baseline, candidate);
    let voids = [candidate, baseline].map(Metrics::void_share);
    let [new_void, old_void] = voids;
    let void = format!("case runs without an outcome {new_void}, baseline {old_void}");
    let worst = with_voids_as(Void::Failed, score, candidate);
    let best = with_voids_as(Void::Passed, score, baseline);
    let any_void = candidate.void > 0 || baseline.void > 0;
    let [more, fewer] = gains(score, baseline, candidate).map(|row| row.fires);
    [
        Row {
            rule: "void_cases",
            detail: format!("{void}; at most {void_max}"),
            fires: voids.iter().any(|share| !share.is_at_most(void_max)),
            verdict: Verdict::NeedsOperatorReview,
            reason: format!("too many {void}; {passes}"),
        },
        Row {
            rule: "void_cases_could_undo",
            detail: format!("at worst {}, baseline at best {}", worst.percent(), best.percent()),
            fires: any_void && (more || fewer) && worst <= best,
            verdict: Verdict::NeedsOperatorReview,
            reason: format!("better, unless the {void} say otherwise: {passes}; {unmet}"),
        },
        Row {
            rule: "trade_off",
            detail: format!("{passes}; {unmet}"),
            fires: more && candidate.unmet_share() > baseline.unmet_share(),
            verdict: Verdict::NeedsOperatorReview,
            reason: format!("more passes, but more requirements are unmet: {passes}; {unmet}"),
        },
    ]
}

/// Whether something better costs more than it may.
fn cost_trade_off(
    score: Score,
    margin: Option<PerMillion>,
    baseline: &Metrics,
    candidate: &Metrics,
) -> Row {
    let (detail, is_over) = match (margin, Costs::of(baseline, candidate)) {
        (None, _) => ("any cost is accepted".to_owned(), false),
        (Some(_), None) => {
            ("not measured: the executor reports neither cost nor tokens".to_owned(), false)
        }
        (Some(margin), Some(costs)) => {
            (format!("{costs}; at most {margin} more"), costs.exceed(margin))
        }
    };
    let is_better = gains(score, baseline, candidate).iter().any(|row| row.fires);
    let passes = passes(score, baseline, candidate);
    Row {
        rule: "cost_trade_off",
        reason: format!("better, but dearer: {passes}; {detail}"),
        detail,
        fires: is_better && is_over,
        verdict: Verdict::NeedsOperatorReview,
    }
}

/// What makes a candidate better: more passes, or as many with fewer unmet requirements.
fn gains(score: Score, baseline: &Metrics, candidate: &Metrics) -> [Row; 2] {
    let (old, new) = (baseline.primary(score), candidate.primary(score));
    let passes = passes(score, baseline, candidate);
    let unmet = unmet(baseline, candidate);
    [
        Row {
            rule: "artifact_validator_pass_rate",
            detail: passes.clone(),
            fires: new > old,
            verdict: Verdict::Promote,
            reason: passes,
        },
        Row {
            rule: "unmet_requirement_count",
            detail: unmet.clone(),
            fires: new == old && candidate.unmet_share() < baseline.unmet_share(),
            verdict: Verdict::Promote,
            reason: format!("passes as often, with fewer unmet requirements: {unmet}"),
        },
    ]
}

/// What the void case runs might have shown.
#[derive(Clone, Copy, PartialEq)]
enum Void {
    Passed,
    Failed,
}

/// The primary with every void case run counted as `void`, as heavy as a measured one on average.
fn with_voids_as(void: Void, score: Score, metrics: &Metrics) -> Fraction {
    let share = metrics.primary(score);
    let (measured, voids) = (metrics.cases.den, u64::from(metrics.void));
    let added = match void {
        Void::Passed => share.den.saturating_mul(voids),
        Void::Failed => 0,
    };
    Fraction::new(
        share.num.saturating_mul(measured).saturating_add(added),
        share.den.saturating_mul(measured.saturating_add(voids)),
    )
}

fn passes(score: Score, baseline: &Metrics, candidate: &Metrics) -> String {
    let (old, new) = (baseline.primary(score), candidate.primary(score));
    let unit = match score {
        Score::AllOrNothing => "cases",
        Score::Fraction => "checks",
    };
    let replays = match baseline.replicates {
        0 | 1 => String::new(),
        replicates => format!(" over {replicates} replays"),
    };
    format!(
        "passes {} of {} {unit} ({}), baseline {} of {} ({}){replays}",
        new.num,
        new.den,
        new.percent(),
        old.num,
        old.den,
        old.percent()
    )
}

fn unmet(baseline: &Metrics, candidate: &Metrics) -> String {
    let words = |metrics: &Metrics| match metrics.replicates {
        0 | 1 => metrics.unmet.to_string(),
        replicates => format!("{} in {replicates} replays", metrics.unmet),
    };
    format!("unmet requirements {}, baseline {}", words(candidate), words(baseline))
}
