//! A batch of pairs in the making: drawn cases, each measured on the baseline and on every candidate of a
//! group.
//!
//! A pair counts when both of its sides were measured in one attempt. A fault of the outside on either
//! side ends the attempt for both, so that a pair never compares different times. What a hold or a
//! restart has stopped is measured again without counting as an attempt, and what had ended stays.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{CaseId, EvaluationId, ExperimentId};
use crate::judge::pair::Arm;
use crate::metrics::measure::CaseMeasure;
use crate::run::FAULT_RETRIES_MAX;

use super::{Evaluation, Purpose, Side};

/// A batch that is not over. There is no way to look at what it shows while a pair is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairing {
    /// Counts the batches of the group from 0.
    pub batch: u32,
    /// The cases, in the order in which they are measured; each once.
    pub drawn: Vec<Drawn>,
    /// The evaluations of earlier rounds: all their runs are over.
    pub ended: Vec<Evaluation>,
    /// The evaluations in flight.
    pub open: Vec<Evaluation>,
    /// What the next round measures, while nothing is in flight.
    pub missing: Vec<Missing>,
}

/// A case of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// Its place among the cases of the split, from 0.
    pub case: u32,
    /// The side that is started first.
    pub first: Arm,
}

/// Case runs that a batch needs: a side of some of its cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// The side.
    pub side: Side,
    /// Faults of the outside that ended these pairs before.
    pub attempt: u32,
    /// The cases, in the order of the batch.
    pub cases: Vec<u32>,
}

/// What became of one case run of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// The case.
    pub case: CaseId,
    /// Its end.
    pub end: End,
}

/// How a case run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was measured.
    Measured(CaseMeasure),
    /// The outside failed.
    Void,
    /// It was stopped before it had a result.
    Stopped,
}

/// What became of the case runs of a batch, by evaluation and place of the case. A run that is not on
/// record is not in it.
pub type Landings = BTreeMap<EvaluationId, BTreeMap<u32, Landed>>;

/// One pair of a batch that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The case.
    pub case: CaseId,
    /// The side that was started first.
    pub first: Arm,
    /// Baseline and candidate; absent when the outside failed in every attempt.
    pub sides: Option<[CaseMeasure; 2]>,
    /// Whether the outside failed the first attempt of baseline and candidate.
    pub first_faults: [bool; 2],
}

/// How a batch stands when nothing of it is in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// These case runs must come first.
    Incomplete(Vec<Missing>),
    /// Every pair of every candidate is over.
    Complete(BTreeMap<ExperimentId, Vec<Pair>>),
}

/// How a pair stands.
enum Progress {
    /// Sides are wanted in this attempt: baseline, candidate.
    Wants(u32, [bool; 2]),
    /// It is over.
    Over(Box<Pair>),
}

impl Missing {
    /// How many case runs it is.
    #[must_use]
    pub fn runs(&self) -> u64 {
        u64::try_from(self.cases.len()).unwrap_or(u64::MAX)
    }
}

impl Pairing {
    /// The batch of the cases `drawn` for `candidates`, of which nothing is measured yet.
    #[must_use]
    pub fn new(batch: u32, drawn: Vec<Drawn>, candidates: &[ExperimentId]) -> Self {
        let (ended, open, missing) = (Vec::new(), Vec::new(), Vec::new());
        let mut pairing = Self { batch, drawn, ended, open, missing };
        if let Standing::Incomplete(missing) = pairing.standing(candidates, &Landings::new()) {
            pairing.missing = missing;
        }
        pairing
    }

    /// All evaluations of the batch so far.
    pub fn evaluations(&self) -> impl Iterator<Item = &Evaluation> {
        self.ended.iter().chain(&self.open)
    }

    /// The number of the next round, from 1.
    #[must_use]
    pub fn next_round(&self) -> u32 {
        let round = |evaluation: &Evaluation| match evaluation.purpose {
            Purpose::Paired { round, .. } => Some(round),
            _ => None,
        };
        self.ended.iter().filter_map(round).max().map_or(1, |last| last.saturating_add(1))
    }

    /// The runs of the round in flight in the order in which they start: the sides of a pair next to
    /// each other, the one first that was drawn to be.
    #[must_use]
    pub fn order(&self) -> Vec<(EvaluationId, u32)> {
        let of = |drawn: &Drawn| {
            let case = drawn.case;
            let with = self.open.iter().filter(move |open| open.runs_on(case));
            let mut sides: Vec<_> = with.map(|open| (open.is_control(), open.id)).collect();
            sides.sort_by_key(|(is_control, _)| *is_control != (drawn.first == Arm::Baseline));
            sides.into_iter().map(move |(_, id)| (id, case)).collect::<Vec<_>>()
        };
        self.drawn.iter().flat_map(of).collect()
    }

    /// Whether every pair with one of `candidates` is over, and what they show or what is missing.
    #[must_use]
    pub fn standing(&self, candidates: &[ExperimentId], landed: &Landings) -> Standing {
        let mut wanted: BTreeMap<(Side, u32), BTreeSet<u32>> = BTreeMap::new();
        let mut pairs: BTreeMap<ExperimentId, Vec<Pair>> = BTreeMap::new();
        for candidate in candidates.iter().copied() {
            for drawn in &self.drawn {
                match self.progress(candidate, drawn, landed) {
                    Progress::Over(pair) => pairs.entry(candidate).or_default().push(*pair),
                    Progress::Wants(attempt, sides) => {
                        let wants = Side::of_pair(candidate).into_iter().zip(sides);
                        for (side, _) in wants.filter(|(_, is_wanted)| *is_wanted) {
                            wanted.entry((side, attempt)).or_default().insert(drawn.case);
                        }
                    }
                }
            }
        }
        if wanted.is_empty() {
            return Standing::Complete(pairs);
        }
        let missing = |((side, attempt), wanted): ((Side, u32), BTreeSet<u32>)| {
            let cases = self.drawn.iter().map(|drawn| drawn.case);
            let cases = cases.filter(|case| wanted.contains(case)).collect();
            Missing { side, attempt, cases }
        };
        Standing::Incomplete(wanted.into_iter().map(missing).collect())
    }

    fn progress(&self, candidate: ExperimentId, drawn: &Drawn, landed: &Landings) -> Progress {
        let Drawn { case, first } = *drawn;
        let sides = Side::of_pair(candidate);
        let mut first_faults = [false; 2];
        let mut name = None;
        for attempt in 0..=FAULT_RETRIES_MAX {
            let ends = sides.map(|side| self.end(side, attempt, case, landed));
            let [baseline, candidate] = ends.map(|landed| landed.map(|landed| landed.end));
            name = ends.into_iter().flatten().next().map(|landed| landed.case.clone()).or(name);
            let faults = [baseline, candidate].map(|end| end == Some(End::Void));
            if attempt == 0 {
                first_faults = faults;
            }
            let measured = match (baseline, candidate) {
                (Some(End::Measured(baseline)), Some(End::Measured(candidate))) => {
                    Some([baseline, candidate])
                }
                _ if faults == [false; 2] => {
                    let is_wanted = |end| !matches!(end, Some(End::Measured(_)));
                    return Progress::Wants(attempt, [baseline, candidate].map(is_wanted));
                }
                _ => None,
            };
            if let (Some(case), true) = (&name, measured.is_some() || attempt == FAULT_RETRIES_MAX)
            {
                let (case, sides) = (case.clone(), measured);
                return Progress::Over(Box::new(Pair { case, first, sides, first_faults }));
            }
        }
        // No attempt is over without an end on record.
        Progress::Wants(0, [true; 2])
    }

    /// How a side of a case ended in an attempt; `None` when it was not asked for or is not on record.
    fn end<'l>(
        &self,
        side: Side,
        attempt: u32,
        case: u32,
        landed: &'l Landings,
    ) -> Option<&'l Landed> {
        let asked = self.evaluations().filter(|evaluation| {
            let this = matches!(evaluation.purpose, Purpose::Paired { side: of, attempt: in_, .. }
                if of == side && in_ == attempt);
            this && evaluation.runs_on(case)
        });
        let ends = asked.filter_map(|asked| landed.get(&asked.id)?.get(&case));
        // Something that is stopped counts only as long as nothing has come of the same again.
        ends.min_by_key(|landed| landed.end == End::Stopped)
    }
}

#[cfg(test)]
mod tests;
