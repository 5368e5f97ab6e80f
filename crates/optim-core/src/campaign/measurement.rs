//! A measurement of what is live after an apply: what was promised, what was found, what follows from it.

use serde::{Deserialize, Serialize};

use crate::experiment::Decision;
use crate::metrics::Metrics;
use crate::pack::Split;
use crate::policy::EvalPolicy;
use crate::quantity::{Fraction, PerMillion, Timestamp};

use super::Evaluation;

/// What a definition showed on the cases of both splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// On the search cases.
    pub search: Metrics,
    /// On the holdout cases; absent where the pack has none.
    pub holdout: Option<Metrics>,
}

/// A measurement from the wish to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measuring {
    /// Counts the measurements of the campaign from 1.
    pub number: u32,
    /// Who wants it, since when and why.
    pub by: Decision,
    /// It begins before this time or not at all; absent when a person asked for it.
    pub until: Option<Timestamp>,
    /// Its evaluations in flight; none while it waits for its turn.
    pub evaluations: Vec<Evaluation>,
    /// What has landed.
    pub search: Option<Metrics>,
    /// What has landed.
    pub holdout: Option<Metrics>,
}

/// What a measurement of an apply came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Who wanted it, since when and why.
    pub by: Decision,
    /// What the live workflow showed.
    pub live: Figures,
    /// What the approved candidate had shown; absent in campaigns that kept no such figures.
    pub promised: Option<Figures>,
    /// What was live before had shown.
    pub before: Option<Figures>,
    /// What follows.
    pub finding: Finding,
    /// When it ended.
    pub at: Timestamp,
}

/// Why the last measurement of an apply gave no figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmeasured {
    /// What stopped it.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What a measurement says about the promise. It decides nothing: a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// No pass rate is below the promised one by more than the policy's margin.
    Kept,
    /// A pass rate is below the promised one by more than the margin.
    Dropped,
    /// So many case runs gave no outcome that they could hide such a drop.
    Inconclusive,
    /// No figures of the approved candidate are on record.
    NoPromise,
}

impl Figures {
    /// What it showed on the cases of `split`.
    #[must_use]
    pub fn on(&self, split: Split) -> Option<&Metrics> {
        match split {
            Split::Search => Some(&self.search),
            Split::Holdout => self.holdout.as_ref(),
        }
    }
}

impl Measuring {
    /// What has landed on the cases of `split`.
    pub(super) fn landed(&self, split: Split) -> Option<&Metrics> {
        match split {
            Split::Search => self.search.as_ref(),
            Split::Holdout => self.holdout.as_ref(),
        }
    }

    /// The same, to be changed.
    pub(super) fn landed_mut(&mut self, split: Split) -> &mut Option<Metrics> {
        match split {
            Split::Search => &mut self.search,
            Split::Holdout => &mut self.holdout,
        }
    }
}

/// Compares what is live with what was promised, split by split.
#[must_use]
pub fn compare(live: &Figures, promised: Option<&Figures>, eval: &EvalPolicy) -> Finding {
    let margin = eval.post_apply.max_drop;
    let Some(promised) = promised else {
        return Finding::NoPromise;
    };
    let pairs = [Split::Search, Split::Holdout]
        .into_iter()
        .filter_map(|split| Some((live.on(split)?, promised.on(split)?)));
    let rate = |metrics: &Metrics| metrics.primary(eval.score);
    let mut finding = Finding::Kept;
    for (live, promised) in pairs {
        if !live.void_share().is_at_most(margin) {
            return Finding::Inconclusive;
        }
        if is_below(rate(live), rate(promised), margin) {
            finding = Finding::Dropped;
        }
    }
    finding
}

/// Whether `found` is below `promised` by more than `margin`.
fn is_below(found: Fraction, promised: Fraction, margin: PerMillion) -> bool {
    found < promised && !found.is_within(promised, margin)
}
