//! Decides everything again, from the pairs alone, and names what differs from the record.
//!
//! Recomputed are the cases and coins of each batch, every look, the figures of each decision, the stakes
//! and what came back of them, and the number of case runs. Taken from the record are the figures of a pair,
//! what people decided, and that the budget did not cover another batch. Under the point rule the sums that
//! were compared are taken from the record too.

mod books;
mod differing;
mod looks;
mod pairs;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::books::Books;
use self::differing::differing;
use super::{Decisions, ExperimentLine, PairLine, StateName};
use crate::campaign;
use crate::experiment::{Confirmation, experiment_id};
use crate::id::{Actor, CampaignId, ExperimentId};
use crate::judge::sample::Purpose;
use crate::policy::{Rule, Score, Sequential};
use crate::trial::Trial;
use crate::verdict::{ErrorControl, Judgement};

/// What was found in the decisions of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The campaign.
    pub campaign: CampaignId,
    /// What its rule promises about false promotions.
    pub error_control: ErrorControl,
    /// Experiments that are on record.
    pub experiments: usize,
    /// Decisions that were made again.
    pub decisions: usize,
    /// Pairs that they were made on.
    pub pairs: usize,
    /// Case runs that are settled.
    pub runs: u64,
    /// What differs; empty when all is the same.
    pub mismatches: Vec<Mismatch>,
}

/// Something on record that is not what follows from the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "{}{what}: recorded {recorded}, recomputed {recomputed}",
    experiment.map(|number| format!("#{number} ")).unwrap_or_default()
)]
pub struct Mismatch {
    /// The number of the experiment; absent for what is of the whole campaign.
    pub experiment: Option<u32>,
    /// The field, or what was counted.
    pub what: String,
    /// What is on record, as JSON.
    pub recorded: String,
    /// What it should be, as JSON.
    pub recomputed: String,
}

/// A check in the making.
struct Check<'a> {
    of: &'a Decisions,
    /// The experiments by number; of several with one number the last.
    experiments: BTreeMap<u32, &'a ExperimentLine>,
    /// The pairs by the number of their experiment.
    pairs: BTreeMap<u32, Vec<&'a PairLine>>,
    /// The experiments whose batches a candidate was measured in, by what for.
    groups: BTreeMap<(ExperimentId, Purpose), BTreeSet<ExperimentId>>,
    /// What the candidates have shown, under the sequential rule.
    trials: BTreeMap<u32, Trial>,
    mismatches: Vec<Mismatch>,
}

impl Decisions {
    /// Decides everything again.
    #[must_use]
    pub fn verify(&self) -> Verified {
        let mut check = Check::of(self);
        check.identities();
        check.all_pairs();
        check.runs();
        Books::of(&mut check).balance();
        Verified {
            campaign: self.campaign.campaign.clone(),
            error_control: match self.campaign.rule {
                Rule::Sequential(rules) => ErrorControl::Fwer { alpha: rules.alpha },
                Rule::Point { .. } => ErrorControl::None,
            },
            experiments: self.experiments.len(),
            decisions: self.experiments.iter().filter(|one| one.judgement.is_some()).count(),
            pairs: self.pairs.len(),
            runs: self.campaign.runs,
            mismatches: check.mismatches,
        }
    }
}

impl Verified {
    /// Whether everything is the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.mismatches.is_empty()
    }
}

impl<'a> Check<'a> {
    fn of(of: &'a Decisions) -> Self {
        let experiments: BTreeMap<_, _> =
            of.experiments.iter().map(|line| (line.number, line)).collect();
        let mut pairs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in &of.pairs {
            pairs.entry(line.experiment).or_default().push(line);
        }
        let mut groups: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for line in &of.evaluations {
            if let campaign::Purpose::Paired { experiment, pairs, side, .. } = line.purpose
                && let campaign::Side::Candidate { candidate } = side
            {
                groups.entry((candidate, pairs)).or_default().insert(experiment);
            }
        }
        let trials = experiments.iter().filter_map(|(number, line)| {
            let pairs = pairs.get(number).map_or(&[][..], Vec::as_slice);
            Some((*number, trial(pairs, line)?))
        });
        let trials = trials.collect();
        Self { of, experiments, pairs, groups, trials, mismatches: Vec::new() }
    }

    /// The sequential rule with the score, if it is the campaign's.
    fn sequential(&self) -> Option<(Sequential, Score)> {
        match self.of.campaign.rule {
            Rule::Sequential(rules) => Some((rules, self.of.campaign.score)),
            Rule::Point { .. } => None,
        }
    }

    fn number(&self, id: ExperimentId) -> Option<u32> {
        self.of.experiments.iter().find(|line| line.experiment == id).map(|line| line.number)
    }

    /// Notes each field in which the two differ.
    fn expect(
        &mut self,
        experiment: Option<u32>,
        what: &str,
        recorded: &impl Serialize,
        recomputed: &impl Serialize,
    ) {
        let differing = differing(what, recorded, recomputed).into_iter();
        self.mismatches.extend(differing.map(|(what, recorded, recomputed)| Mismatch {
            experiment,
            what,
            recorded,
            recomputed,
        }));
    }

    /// Every experiment is there once, under the id that follows from what it is, and what a person had to
    /// decide was decided by one.
    fn identities(&mut self) {
        let campaign = &self.of.campaign;
        let recorded: Vec<_> = self.of.experiments.iter().map(|line| line.number).collect();
        let expected: Vec<_> = (1..=campaign.experiments).collect();
        if recorded != expected {
            self.expect(None, "numbers of the experiments", &recorded, &expected);
        }
        for line in &self.of.experiments {
            let number = Some(line.number);
            let id = experiment_id(&campaign.campaign, line.number, line.baseline, line.candidate);
            self.expect(number, "experiment", &line.experiment, &id);
            let by_a_person = matches!(line.state, StateName::Approved | StateName::Rejected);
            let person = line.by.as_ref().is_some_and(|by| *by != Actor::engine());
            self.expect(number, "decided by a person", &person, &by_a_person);
        }
    }

    /// Pairs belong to experiments, and follow from the draws.
    fn all_pairs(&mut self) {
        let strays = self.pairs.keys().copied();
        let strays: Vec<_> = strays.filter(|number| !self.trials.contains_key(number)).collect();
        for number in strays {
            self.expect(Some(number), "experiment of pairs", &true, &false);
        }
        let Some((rules, score)) = self.sequential() else { return };
        let trials = std::mem::take(&mut self.trials);
        for (number, trial) in &trials {
            self.figures(*number, trial, &rules, score);
            self.draws(*number, &rules);
            self.looks(*number, trial, &rules, score);
            self.confirmation(*number, trial, &rules);
        }
        self.trials = trials;
    }
}

/// What the candidate of `line` has shown with `pairs`; `None` when it has nothing at stake.
fn trial(pairs: &[&PairLine], line: &ExperimentLine) -> Option<Trial> {
    let risk = line.risk?;
    let mut trial = Trial::new(risk.stake, risk.pool, risk.shares);
    (trial.extended, trial.refund) = (risk.extended, risk.refund);
    if let Some(Judgement { baseline, candidate, .. }) = &line.judgement {
        (trial.baseline, trial.candidate) = (*baseline, *candidate);
    }
    if let Some(Confirmation { baseline, candidate, .. }) = &line.confirmation {
        let holdout = trial.holdout.get_or_insert_default();
        (holdout.baseline, holdout.candidate) = (*baseline, *candidate);
    }
    for PairLine { purpose, pair, .. } in pairs {
        let pairs = match purpose {
            Purpose::Comparison | Purpose::Extension => &mut trial.pairs,
            Purpose::Anchor => trial.anchor.get_or_insert_default(),
            Purpose::Confirmation => &mut trial.holdout.get_or_insert_default().pairs,
        };
        pairs.push(pair.clone());
    }
    Some(trial)
}
