//! A comparison as far as it has come: what the pairs of a candidate say while nothing is decided.

use std::fmt;

use optim_core::campaign::Campaign;
use optim_core::experiment::Experiment;
use optim_core::judge::evalue::LogE;
use optim_core::judge::gain::Gain;
use optim_core::judge::sample::Purpose;
use optim_core::policy::Rule;
use serde::Serialize;

/// What the pairs of a candidate say.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ComparisonView {
    /// What its next pairs are for.
    next_pairs: Purpose,
    /// Pairs with the baseline that were measured.
    pairs: u32,
    /// The most that it may have.
    pairs_max: u32,
    /// Pairs in which it scored higher.
    better: u32,
    /// Pairs in which it scored lower.
    worse: u32,
    /// The logarithm of the e-value.
    evidence: LogE,
    /// The logarithm of the e-value that is needed.
    bar: LogE,
    /// Whether the bar was reached at any look.
    crossed: bool,
    /// The gain on the cases that it is selected by; absent before the first pair.
    gain: Option<Gain>,
    /// Pairs with the source, and pairs on the holdout cases, that are on record.
    anchor_pairs: usize,
    holdout_pairs: usize,
}

impl ComparisonView {
    /// The comparison of `experiment`; `None` under the point rule, which compares no pairs.
    pub(super) fn of(campaign: &Campaign, experiment: &Experiment) -> Option<Self> {
        let eval = &campaign.frozen.policies.eval;
        let (trial, Rule::Sequential(rules)) = (experiment.trial.as_ref()?, &eval.rule) else {
            return None;
        };
        let comparison = trial.comparison(rules, eval.score).ok()?;
        let (better, worse) = comparison.gain().signs();
        Some(Self {
            next_pairs: experiment.next_pairs()?,
            pairs: comparison.pairs(),
            pairs_max: comparison.terms().rules.n_max,
            better,
            worse,
            evidence: comparison.evidence().combined,
            bar: comparison.bar(),
            crossed: comparison.crossing().is_some(),
            gain: Gain::of(&trial.pairs),
            anchor_pairs: trial.anchor.as_ref().map_or(0, Vec::len),
            holdout_pairs: trial.holdout.as_ref().map_or(0, |holdout| holdout.pairs.len()),
        })
    }
}

/// For instance `24 of at most 240 pairs: 9 won, 2 lost; evidence 12.1 of 400 needed`.
impl fmt::Display for ComparisonView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, pairs_max, better, worse, evidence, bar, .. } = self;
        write!(f, "{pairs} of at most {pairs_max} pairs: {better} won, {worse} lost; ")?;
        write!(f, "evidence {evidence} of {bar} needed")?;
        if self.crossed {
            f.write_str(", which was reached")?;
        }
        match self.next_pairs {
            Purpose::Comparison | Purpose::Extension => Ok(()),
            Purpose::Anchor => write!(f, "; {} pairs with the source", self.anchor_pairs),
            Purpose::Confirmation => {
                write!(f, "; {} pairs on the holdout cases", self.holdout_pairs)
            }
        }
    }
}
