//! Pairs: whole batches of the cases that their seeds draw, with figures that can be.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Check;
use crate::decisions::{PairLine, StateName};
use crate::id::{CaseId, ExperimentId};
use crate::judge::difference::Difference;
use crate::judge::pair::{Arm, PairFigures, PairRecord};
use crate::judge::sample::{BatchSeed, Purpose};
use crate::metrics::Metrics;
use crate::pack::Split;
use crate::policy::{Score, Sequential};
use crate::trial::Trial;

/// Batches that are numbered together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Numbering {
    Comparison,
    Anchor,
    Confirmation,
}

impl Numbering {
    fn of(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Comparison | Purpose::Extension => Self::Comparison,
            Purpose::Anchor => Self::Anchor,
            Purpose::Confirmation => Self::Confirmation,
        }
    }
}

/// What a pair is for, and its batch.
fn batch_of(line: &PairLine) -> (Purpose, u32) {
    (line.purpose, line.pair.batch)
}

/// A pair as it is drawn.
#[derive(Serialize)]
struct Drawn<'a> {
    case: Option<&'a CaseId>,
    first: Arm,
}

impl Check<'_> {
    /// The figures of each pair are among those that the rules allow.
    pub(super) fn figures(&mut self, number: u32, trial: &Trial, rules: &Sequential, score: Score) {
        let confirmed = trial.holdout.iter().flat_map(|holdout| &holdout.pairs);
        let pairs = trial.pairs.iter().chain(trial.anchor.iter().flatten()).chain(confirmed);
        let strange: Vec<_> =
            pairs.filter(|pair| !is_possible(pair.figures.as_ref(), rules, score)).collect();
        for PairRecord { case, batch, .. } in strange {
            let what = format!("figures of {case} in batch {batch}");
            self.expect(Some(number), &what, &"out of range", &"in range");
        }
        let Some(line) = self.experiments.get(&number) else { return };
        let (is_judged, is_confirmed) = (line.judgement.is_some(), line.confirmation.is_some());
        if is_judged {
            self.sums(number, "", &trial.pairs, [trial.baseline, trial.candidate], score);
        }
        if let Some(holdout) = trial.holdout.as_ref().filter(|_| is_confirmed) {
            let sides = [holdout.baseline, holdout.candidate];
            self.sums(number, "confirmation: ", &holdout.pairs, sides, score);
        }
    }

    /// What both sides showed together fits the pairs.
    fn sums(
        &mut self,
        number: u32,
        of: &str,
        pairs: &[PairRecord],
        sides: [Metrics; 2],
        score: Score,
    ) {
        let measured = pairs.iter().filter_map(|pair| pair.figures);
        let gained: i64 = measured.clone().map(|seen| i64::from(seen.gain.millionths())).sum();
        let cases = u64::try_from(measured.count()).unwrap_or(u64::MAX);
        let void = pairs.iter().filter(|pair| pair.figures.is_none()).count();
        for (side, metrics) in ["baseline", "candidate"].into_iter().zip(sides) {
            let what = format!("{of}cases and void cases of the {side}");
            self.expect(Some(number), &what, &(metrics.cases.den, metrics.void), &(cases, void));
        }
        if score == Score::AllOrNothing {
            let [old, new] =
                sides.map(|metrics| i64::try_from(metrics.cases.num).unwrap_or(i64::MAX));
            let won = gained / i64::from(Difference::MORE.millionths());
            let what = format!("{of}cases won less those lost");
            self.expect(Some(number), &what, &new.saturating_sub(old), &won);
        }
    }

    /// What a person was told of the holdout cases is what their pairs say.
    pub(super) fn confirmation(&mut self, number: u32, trial: &Trial, rules: &Sequential) {
        let Some(line) = self.experiments.get(&number).copied() else { return };
        // One that was discarded with more pairs is shown to nobody.
        if line.state == StateName::Discarded && line.confirmation.is_none() {
            return;
        }
        let is_judged = line.judgement.is_some();
        let confirmed = trial.confirmation(rules.confirm_pairs).filter(|_| is_judged);
        self.expect(Some(number), "confirmation", &line.confirmation, &confirmed);
    }

    /// Each batch has the cases and coins of its seed.
    pub(super) fn draws(&mut self, number: u32, rules: &Sequential) {
        let lines = self.pairs.get(&number).cloned().unwrap_or_default();
        let mut next: BTreeMap<Numbering, u32> = BTreeMap::new();
        for batch in lines.chunk_by(|one, next| batch_of(one) == batch_of(next)) {
            let Some((purpose, place)) = batch.first().map(|line| batch_of(line)) else { continue };
            let next = next.entry(Numbering::of(purpose)).or_default();
            self.expect(
                Some(number),
                &format!("number of a {} batch", name(purpose)),
                &place,
                next,
            );
            *next = place.saturating_add(1);
            if let Some(drawn_for) = self.drawn_for(number, purpose) {
                self.draw(
                    number,
                    BatchSeed::new(self.of.campaign.seed, drawn_for, purpose, place),
                    batch,
                    rules,
                );
            }
        }
    }

    fn draw(&mut self, number: u32, seed: BatchSeed, batch: &[&PairLine], rules: &Sequential) {
        let Some((purpose, place)) = batch.first().map(|line| batch_of(line)) else { return };
        let campaign = &self.of.campaign;
        let cases = match purpose.split() {
            Split::Search => &campaign.search_cases,
            Split::Holdout => &campaign.holdout_cases,
        };
        let size = purpose.size(rules.batch, u32::try_from(cases.len()).unwrap_or(u32::MAX));
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let drawn = seed.draw(cases.len(), size).into_iter();
        let drawn: Vec<_> =
            drawn.map(|draw| Drawn { case: cases.get(draw.case), first: draw.first }).collect();
        let recorded = batch.iter().map(|line| &line.pair);
        let recorded: Vec<_> =
            recorded.map(|pair| Drawn { case: Some(&pair.case), first: pair.first }).collect();
        let what = format!("{} batch {place}", name(purpose));
        if drawn.len() == recorded.len() {
            self.expect(Some(number), &what, &recorded, &drawn);
        } else {
            self.expect(Some(number), &format!("pairs of {what}"), &recorded.len(), &drawn.len());
        }
    }

    /// The experiment whose batches a candidate has: in a comparison the first of its group, as its
    /// evaluations say, and later itself.
    pub(super) fn drawn_for(&mut self, number: u32, purpose: Purpose) -> Option<ExperimentId> {
        let line = *self.experiments.get(&number)?;
        let groups = self.groups.get(&(line.experiment, purpose)).cloned().unwrap_or_default();
        let known = |group: &ExperimentId| {
            let first = self.of.experiments.iter().find(|first| first.experiment == *group);
            first.is_some_and(|first| match purpose {
                Purpose::Comparison => first.number <= number && first.baseline == line.baseline,
                Purpose::Extension | Purpose::Anchor | Purpose::Confirmation => {
                    first.number == number
                }
            })
        };
        if let Some(group) = groups.first().filter(|group| groups.len() == 1 && known(group)) {
            return Some(*group);
        }
        let what = format!("group of the {} batches", name(purpose));
        self.expect(Some(number), &what, &groups, &"one, of the same baseline");
        None
    }
}

fn is_possible(figures: Option<&PairFigures>, rules: &Sequential, score: Score) -> bool {
    let is_sign = |difference: Difference| {
        [Difference::LESS, Difference::NONE, Difference::MORE].contains(&difference)
    };
    let margins = rules.guardrails;
    figures.is_none_or(|seen| {
        is_sign(seen.fewer_unmet)
            && (score == Score::Fraction || is_sign(seen.gain))
            && (margins.cost.is_some() || seen.cost.is_none())
            && (margins.tokens.is_some() || seen.tokens.is_none())
            && (margins.latency.is_some() || seen.latency.is_none())
    })
}

pub(super) fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Comparison => "comparison",
        Purpose::Extension => "extension",
        Purpose::Anchor => "anchor",
        Purpose::Confirmation => "confirmation",
    }
}
