//! The seed's rule: point estimates, first match wins, no error control.
//!
//! The order is that of the seed; comparisons are of exact fractions, so a tie is a tie. Where the
//! figures contradict each other or are not enough, a person decides.

use crate::metrics::Metrics;
use crate::policy::Score;
use crate::quantity::Fraction;
use crate::verdict::{ErrorControl, Judgement, RuleTrace, Verdict};

use super::Evidence;

/// More void cases than this share of all leave a verdict to a person.
const VOID_MAX: (u64, u64) = (1, 10);

/// Collects the rules that were asked until one decides.
struct Trace {
    rules: Vec<RuleTrace>,
    decided: Option<(Verdict, String)>,
}

impl Trace {
    fn ask(
        &mut self,
        rule: &'static str,
        detail: String,
        fires: bool,
        verdict: Verdict,
        reason: impl FnOnce() -> String,
    ) {
        if self.decided.is_some() {
            return;
        }
        self.rules.push(RuleTrace {
            rule: rule.to_owned(),
            fired: fires,
            detail,
        });
        if fires {
            self.decided = Some((verdict, reason()));
        }
    }
}

pub(super) fn judge(score: Score, evidence: &Evidence) -> Judgement {
    let (old, new) = (&evidence.baseline, &evidence.candidate);
    let (old_pass, new_pass) = (old.primary(score), new.primary(score));
    let (old_unmet, new_unmet) = (old.unmet_mean(), new.unmet_mean());
    let passes = passes_words(score, old_pass, new_pass, old.replicates);
    let unmet = format!(
        "unmet requirements {}, baseline {}",
        per_replay(new),
        per_replay(old)
    );
    let void = Fraction::new(new.void.into(), new.cases.den);
    let limits = format!("within limits: {}", new.within_limits);
    let blocked = format!("blocked nodes {}, baseline {}", new.blocked, old.blocked);

    let mut trace = Trace {
        rules: Vec::new(),
        decided: None,
    };
    trace.ask(
        "budget_ceilings",
        limits,
        !new.within_limits,
        Verdict::Discard,
        || "a case run broke a limit of the workflow".to_owned(),
    );
    trace.ask(
        "blocked_node_rate",
        blocked.clone(),
        new.blocked > old.blocked,
        Verdict::Discard,
        || format!("more nodes are blocked: {blocked}"),
    );
    let voids = void > Fraction::new(VOID_MAX.0, VOID_MAX.1);
    trace.ask(
        "void_cases",
        format!("{void} cases gave no outcome"),
        voids,
        Verdict::NeedsOperatorReview,
        || format!("{void} cases gave no outcome, which is too many to decide; {passes}"),
    );
    let contradiction = new_pass > old_pass && new_unmet > old_unmet;
    trace.ask(
        "trade_off",
        format!("{passes}; {unmet}"),
        contradiction,
        Verdict::NeedsOperatorReview,
        || format!("more passes, but more requirements are unmet: {passes}; {unmet}"),
    );
    trace.ask(
        "artifact_validator_pass_rate",
        passes.clone(),
        new_pass > old_pass,
        Verdict::Promote,
        || passes.clone(),
    );
    let tie = new_pass == old_pass && new_unmet < old_unmet;
    trace.ask(
        "unmet_requirement_count",
        unmet.clone(),
        tie,
        Verdict::Promote,
        || format!("passes as often, with fewer unmet requirements: {unmet}"),
    );
    trace.ask("otherwise", passes.clone(), true, Verdict::Discard, || {
        format!("did not beat the baseline: {passes}")
    });

    let (verdict, reason) = trace
        .decided
        .unwrap_or((Verdict::NeedsOperatorReview, passes));
    Judgement {
        verdict,
        reason,
        trace: trace.rules,
        error_control: ErrorControl::None,
        baseline: *old,
        candidate: *new,
    }
}

fn passes_words(score: Score, old: Fraction, new: Fraction, replicates: u32) -> String {
    let unit = match score {
        Score::AllOrNothing => "cases",
        Score::Fraction => "checks",
    };
    let replays = if replicates > 1 {
        format!(" over {replicates} replays")
    } else {
        String::new()
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

/// Unmet requirements in words, of one replay when there were several.
fn per_replay(metrics: &Metrics) -> String {
    match metrics.replicates {
        0 | 1 => metrics.unmet.to_string(),
        replicates => format!("{} in {replicates} replays", metrics.unmet),
    }
}
