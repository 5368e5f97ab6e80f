//! Pairs: whole batches of the cases that their seeds draw, with figures that can be.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Check;
use crate::campaign;
use crate::id::{CaseId, ExperimentId};
use crate::judge::difference::Difference;
use crate::judge::pair::{Arm, PairFigures, PairRecord};
use crate::judge::sample::{BatchSeed, Purpose};
use crate::policy::{Score, Sequential};
use crate::trial::Trial;

/// A pair as it is drawn.
#[derive(Serialize)]
struct Drawn<'a> {
    case: Option<&'a CaseId>,
    first: Arm,
}

impl Check<'_> {
    /// The figures of each pair are among those that the rules allow.
    pub(super) fn figures(&mut self, number: u32, trial: &Trial, rules: &Sequential, score: Score) {
        let pairs = trial.pairs.iter().chain(trial.anchor.iter().flatten());
        let strange: Vec<_> =
            pairs.filter(|pair| !is_possible(pair.figures.as_ref(), rules, score)).collect();
        for PairRecord { case, batch, .. } in strange {
            let what = format!("figures of {case} in batch {batch}");
            self.expect(Some(number), &what, &"out of range", &"in range");
        }
        self.sums(number, trial, score);
    }

    /// What both sides showed together fits the pairs.
    fn sums(&mut self, number: u32, trial: &Trial, score: Score) {
        let is_judged = self.experiments.get(&number).is_some_and(|line| line.judgement.is_some());
        if !is_judged {
            return;
        }
        let measured = trial.pairs.iter().filter_map(|pair| pair.figures);
        let gained: i64 = measured.clone().map(|seen| i64::from(seen.gain.millionths())).sum();
        let cases = u64::try_from(measured.count()).unwrap_or(u64::MAX);
        let void = trial.pairs.iter().filter(|pair| pair.figures.is_none()).count();
        for (side, metrics) in [("baseline", trial.baseline), ("candidate", trial.candidate)] {
            let what = format!("cases and void cases of the {side}");
            self.expect(Some(number), &what, &(metrics.cases.den, metrics.void), &(cases, void));
        }
        if score == Score::AllOrNothing {
            let [old, new] = [trial.baseline, trial.candidate]
                .map(|metrics| i64::try_from(metrics.cases.num).unwrap_or(i64::MAX));
            let won = gained / i64::from(Difference::MORE.millionths());
            self.expect(
                Some(number),
                "cases won less those lost",
                &(new.saturating_sub(old)),
                &won,
            );
        }
    }

    /// Each batch has the cases and coins of its seed.
    pub(super) fn draws(
        &mut self,
        number: u32,
        purpose: Purpose,
        pairs: &[PairRecord],
        rules: &Sequential,
    ) {
        let Some(drawn_for) = self.drawn_for(number, purpose, pairs) else { return };
        let cases = &self.of.campaign.search_cases;
        let size = usize::try_from(rules.batch).unwrap_or(usize::MAX);
        for (place, batch) in (0..).zip(pairs.chunk_by(|one, next| one.batch == next.batch)) {
            let what = format!("{} batch {place}", name(purpose));
            let seed = BatchSeed::new(self.of.campaign.seed, drawn_for, purpose, place);
            let drawn = seed.draw(cases.len(), size).into_iter();
            let drawn: Vec<_> =
                drawn.map(|draw| Drawn { case: cases.get(draw.case), first: draw.first }).collect();
            let recorded: Vec<_> = batch
                .iter()
                .map(|pair| Drawn { case: Some(&pair.case), first: pair.first })
                .collect();
            if drawn.len() == recorded.len() {
                self.expect(Some(number), &what, &recorded, &drawn);
            } else {
                let what = format!("pairs of {what}");
                self.expect(Some(number), &what, &recorded.len(), &drawn.len());
            }
        }
    }

    /// The experiment whose batches a candidate has: the first of its group, as its evaluations say. Those
    /// with the source are its own.
    fn drawn_for(
        &mut self,
        number: u32,
        purpose: Purpose,
        pairs: &[PairRecord],
    ) -> Option<ExperimentId> {
        let line = *self.experiments.get(&number)?;
        let groups = self.groups(line.experiment, purpose);
        let known = |group: &ExperimentId| {
            let first = self.of.experiments.iter().find(|first| first.experiment == *group);
            first.is_some_and(|first| match purpose {
                Purpose::Comparison => first.number <= number && first.baseline == line.baseline,
                Purpose::Anchor => first.number == number,
            })
        };
        match groups.first().filter(|group| groups.len() == 1 && known(group)) {
            Some(group) => Some(*group),
            None if pairs.is_empty() && groups.is_empty() => None,
            None => {
                let what = format!("group of the {} batches", name(purpose));
                self.expect(Some(number), &what, &groups, &"one, of the same baseline");
                None
            }
        }
    }

    /// The experiments whose batches the candidate was measured in.
    pub(super) fn groups(
        &self,
        candidate: ExperimentId,
        purpose: Purpose,
    ) -> BTreeSet<ExperimentId> {
        let measured = self.of.evaluations.iter().filter_map(|line| match line.purpose {
            campaign::Purpose::Paired {
                experiment,
                anchored,
                side: campaign::Side::Candidate { candidate: of },
                ..
            } if of == candidate && anchored == (purpose == Purpose::Anchor) => Some(experiment),
            _ => None,
        });
        measured.collect()
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
        Purpose::Anchor => "anchor",
    }
}
