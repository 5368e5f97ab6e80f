//! Case runs: those of the ledger are those of the evaluations, and every pair has both of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use super::pairs::name;
use crate::campaign::{self, Side};
use crate::decisions::EvaluationLine;
use crate::id::ExperimentId;
use crate::judge::pair::Faulted;
use crate::judge::sample::Purpose;

/// One side of a batch: the experiment that it was drawn for, what for, and its number.
type BatchSide = (ExperimentId, Purpose, u32, Side);

/// The case runs of the first round of each side of each batch, and those after a fault.
#[derive(Default)]
struct Measured {
    first: BTreeMap<BatchSide, u64>,
    after_fault: BTreeMap<BatchSide, u64>,
}

impl Check<'_> {
    /// The case runs on record are those that were paid, and those that the pairs need.
    pub(super) fn runs(&mut self) {
        let lines = &self.of.evaluations;
        let settled = lines.iter().filter(|line| line.settled).map(|line| line.runs).sum::<u64>();
        self.expect(None, "runs", &self.of.campaign.runs, &settled);
        lines.iter().for_each(|line| self.evaluation(line));
        let measured = measured(lines);
        let numbers: Vec<_> = self.trials.keys().copied().collect();
        for number in numbers {
            for purpose in Purpose::ALL {
                self.batches(number, purpose, &measured);
            }
        }
    }

    fn evaluation(&mut self, line: &EvaluationLine) {
        if let campaign::Purpose::Paired { side, .. } = line.purpose {
            let number = match side {
                Side::Control => None,
                Side::Candidate { candidate } => self.number(candidate),
            };
            let id = line.purpose.evaluation_id(&self.of.campaign.campaign, 0);
            self.expect(number, "evaluation", &line.evaluation, &id);
        }
    }

    /// Each batch of pairs has its runs on both sides, and at most one batch has runs and no pairs yet.
    fn batches(&mut self, number: u32, purpose: Purpose, runs: &Measured) {
        let Some(line) = self.experiments.get(&number).copied() else { return };
        let groups = self.groups.get(&(line.experiment, purpose));
        let Some(group) = groups.and_then(BTreeSet::first).copied() else { return };
        let own = Side::Candidate { candidate: line.experiment };
        let pairs = self.pairs.get(&number).into_iter().flatten();
        let pairs: Vec<_> =
            pairs.filter(|line| line.purpose == purpose).map(|line| &line.pair).collect();
        let mut paired = BTreeSet::new();
        for batch in pairs.chunk_by(|one, next| one.batch == next.batch) {
            let Some(place) = batch.first().map(|pair| pair.batch) else { continue };
            paired.insert(place);
            let side = |side| (group, purpose, place, side);
            let drawn = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            for of in [Side::Control, own] {
                let of_it = runs.first.get(&side(of)).copied().unwrap_or(0);
                let what = format!("runs of {} batch {place}", name(purpose));
                self.expect(Some(number), &what, &of_it, &drawn);
            }
            let faulted = batch.iter().filter(|pair| pair.faulted != Faulted::Neither).count();
            let faulted = u64::try_from(faulted).unwrap_or(u64::MAX);
            let again = runs.after_fault.get(&side(own)).copied().unwrap_or(0);
            // What is stopped is measured again, so there may be more runs than faults.
            if again < faulted || (faulted == 0 && again > 0) {
                let what = format!("runs after faults of {} batch {place}", name(purpose));
                self.expect(Some(number), &what, &again, &faulted);
            }
        }
        let begun = runs.first.keys().filter(|(of, purpose_of, batch, side)| {
            (*of, *purpose_of, *side) == (group, purpose, own) && !paired.contains(batch)
        });
        let is_over = match purpose {
            Purpose::Comparison | Purpose::Extension | Purpose::Anchor => line.judgement.is_some(),
            Purpose::Confirmation => line.confirmation.is_some(),
        };
        let (begun, open) = (begun.count(), usize::from(!is_over));
        if begun > open {
            let what = format!("{} batches without pairs", name(purpose));
            self.expect(Some(number), &what, &begun, &open);
        }
    }
}

fn measured(lines: &[EvaluationLine]) -> Measured {
    let mut measured = Measured::default();
    for line in lines {
        let campaign::Purpose::Paired { experiment, pairs, side, batch, round, attempt } =
            line.purpose
        else {
            continue;
        };
        let key = (experiment, pairs, batch, side);
        if round == 1 {
            *measured.first.entry(key).or_default() += line.runs;
        }
        if attempt == 1 {
            *measured.after_fault.entry(key).or_default() += line.runs;
        }
    }
    measured
}
