//! When to stop without a promotion: to stop early costs power, never validity.

use super::difference::Differences;
use super::evalue::LogE;
use crate::policy::{Score, Sequential};
use crate::quantity::PerMillion;

/// Whether a gain of `mde` is refuted at the level beta: its own e-value, with the sides exchanged. Such
/// a gain is given up so with probability beta at most.
pub(super) fn is_futile(seen: &Differences, mde: PerMillion, rules: &Sequential) -> bool {
    seen.below(mde.to_f64()) >= LogE::bar(rules.beta)
}

/// What is to be reached, and with how many pairs.
pub(super) struct Goal {
    /// The evidence so far, of all metrics together.
    pub(super) evidence: LogE,
    /// The evidence that is needed.
    pub(super) bar: LogE,
    /// Pairs so far.
    pub(super) pairs: u32,
}

/// Whether the bar is out of reach even with some luck. A heuristic: it may stop what would have won.
pub(super) fn falls_short(
    seen: &Differences,
    mde: PerMillion,
    score: Score,
    goal: &Goal,
    rules: &Sequential,
) -> bool {
    hoped_for(seen, mde, score, goal, rules) < goal.bar
}

/// The evidence to hope for when the pairs are used up, if the gain is the larger of
/// `mde` and the mean so far, and luck adds `slack` standard deviations.
///
/// The best bet on a gain `g` with the mean square `v` is about `g / v`; it grows by about `g^2 / 2v` a
/// pair.
pub(super) fn hoped_for(
    seen: &Differences,
    mde: PerMillion,
    score: Score,
    goal: &Goal,
    rules: &Sequential,
) -> LogE {
    let gain = mde.to_f64().max(seen.mean());
    let pairs = f64::from(goal.pairs);
    // Whole scores differ by 0 or 1, so their mean square is at least their mean.
    let least = match score {
        Score::AllOrNothing => gain,
        Score::Fraction => gain * gain,
    };
    let square = ((seen.sum_of_squares() + 1.0) / (pairs + 2.0)).max(least);
    let bet = (gain / square).min(0.95);
    let growth = bet * gain - 0.5 * bet * bet * square;
    let left = f64::from(rules.n_max.saturating_sub(goal.pairs));
    let luck = rules.slack.to_f64() * bet * (left * square).sqrt();
    goal.evidence.grown_by(left * growth + luck)
}
