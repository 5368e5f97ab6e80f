//! Case runs: those of the ledger are those of the evaluations, and every pair has both of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use super::pairs::name;
use crate::campaign::{self, Side};
use crate::decisions::EvaluationLine;
use crate::id::ExperimentId;
use crate::judge::pair::{Faulted, PairRecord};
use crate::judge::sample::Purpose;

/// One side of a batch: the experiment that it was drawn for, whether it is with the source, and its number.
type BatchSide = (ExperimentId, bool, u32, Side);

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
        for (number, trial) in self.trials.clone() {
            self.batches(number, Purpose::Comparison, &trial.pairs, &measured);
            let anchor = trial.anchor.as_deref().unwrap_or(&[]);
            self.batches(number, Purpose::Anchor, anchor, &measured);
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
    fn batches(&mut self, number: u32, purpose: Purpose, pairs: &[PairRecord], runs: &Measured) {
        let Some(line) = self.experiments.get(&number).copied() else { return };
        let Some(group) = self.groups(line.experiment, purpose).first().copied() else { return };
        let (candidate, anchored) = (line.experiment, purpose == Purpose::Anchor);
        let side = |batch, side| (group, anchored, batch, side);
        let own = Side::Candidate { candidate };
        let mut paired = BTreeSet::new();
        for batch in pairs.chunk_by(|one, next| one.batch == next.batch) {
            let Some(place) = batch.first().map(|pair| pair.batch) else { continue };
            paired.insert(place);
            let pairs = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            for of in [Side::Control, own] {
                let of_it = runs.first.get(&side(place, of)).copied().unwrap_or(0);
                let what = format!("runs of {} batch {place}", name(purpose));
                self.expect(Some(number), &what, &of_it, &pairs);
            }
            let faulted = batch.iter().filter(|pair| pair.faulted != Faulted::Neither).count();
            let faulted = u64::try_from(faulted).unwrap_or(u64::MAX);
            let again = runs.after_fault.get(&side(place, own)).copied().unwrap_or(0);
            // What is stopped is measured again, so there may be more runs than faults.
            if again < faulted || (faulted == 0 && again > 0) {
                let what = format!("runs after faults of {} batch {place}", name(purpose));
                self.expect(Some(number), &what, &again, &faulted);
            }
        }
        let begun = runs.first.keys().filter(|(of, with_source, _, side)| {
            (*of, *with_source, *side) == (group, anchored, own)
        });
        let unpaired: Vec<_> =
            begun.map(|(_, _, batch, _)| *batch).filter(|batch| !paired.contains(batch)).collect();
        let open = usize::from(line.judgement.is_none());
        if unpaired.len() > open {
            let what = format!("{} batches without pairs", name(purpose));
            self.expect(Some(number), &what, &unpaired.len(), &open);
        }
    }
}

fn measured(lines: &[EvaluationLine]) -> Measured {
    let mut measured = Measured::default();
    for line in lines {
        let campaign::Purpose::Paired { experiment, anchored, side, batch, round, attempt } =
            line.purpose
        else {
            continue;
        };
        let key = (experiment, anchored, batch, side);
        if round == 1 {
            *measured.first.entry(key).or_default() += line.runs;
        }
        if attempt == 1 {
            *measured.after_fault.entry(key).or_default() += line.runs;
        }
    }
    measured
}
