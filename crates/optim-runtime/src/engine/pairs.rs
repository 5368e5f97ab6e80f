//! The case runs of pairs: queued side by side, and taken in when none of a batch is open.

use std::collections::BTreeMap;

use optim_core::campaign::observation::Observation;
use optim_core::campaign::pairing::{End, Landed, Landings, Pairing};
use optim_core::campaign::{Campaign, Evaluation, Purpose, Side, Spent};
use optim_core::experiment::Experiment;
use optim_core::id::{CaseId, EvaluationId, ExperimentId};
use optim_core::judge::health::Observed;
use optim_core::judge::sample;
use optim_core::metrics::Expected;
use optim_core::pack::{Case, Pack, Role, Split};
use optim_core::run::faults::Faults;
use optim_core::run::{FAULT_RETRIES_MAX, Run, RunState};
use optim_store::{Revision, Write};

use super::{Engine, EngineError};

/// The cases of `split` by their places among themselves, each with its place in the pack.
fn cases_of(pack: &Pack, split: Split) -> impl Iterator<Item = (u32, (&Case, u32))> {
    (0..).zip(placed(pack, split.into()))
}

/// The cases with `role`, each with its place in the pack.
fn placed(pack: &Pack, role: Role) -> impl Iterator<Item = (&Case, u32)> {
    pack.cases.iter().zip(0..).filter(move |(case, _)| case.role == role)
}

/// The cases that `evaluation` runs on, each with its place in the pack.
pub(super) fn cases_of_evaluation<'a>(
    pack: &'a Pack,
    evaluation: &'a Evaluation,
) -> impl Iterator<Item = (&'a Case, u32)> {
    let measured = cases_of(pack, evaluation.split);
    let measured = measured.filter(|(place, _)| evaluation.runs_on(*place)).map(|(_, case)| case);
    let shown = evaluation.purpose.shows_proposers().then(|| placed(pack, Role::Tune));
    measured.chain(shown.into_iter().flatten())
}

/// The split that the pairs of `evaluations` are drawn from: the same for all of a batch.
fn split_of<'a>(mut evaluations: impl Iterator<Item = &'a Evaluation>) -> Split {
    evaluations.next().map_or(Split::Search, |evaluation| evaluation.split)
}

/// The run records of `order`: first come, first served.
pub(super) fn runs(
    campaign: &Campaign,
    pack: &Pack,
    evaluations: &[Evaluation],
    order: &[(EvaluationId, u32)],
) -> Vec<Write<Run>> {
    let cases: BTreeMap<_, _> = cases_of(pack, split_of(evaluations.iter())).collect();
    let run = |(id, place): &(EvaluationId, u32)| {
        let evaluation = evaluations.iter().find(|evaluation| evaluation.id == *id)?;
        let case = *cases.get(place)?;
        let value = Run::queued((&campaign.id, campaign.seed), evaluation, case);
        Some(Write { expected: Revision(0), value })
    };
    order.iter().filter_map(run).collect()
}

impl Engine {
    /// What is to be told about the pairs whose runs are queued; `None` while one of them is open.
    ///
    /// # Errors
    /// The store fails, or a payload of the campaign is missing.
    pub async fn landed(
        &self,
        campaign: &Campaign,
        pairing: &Pairing,
    ) -> Result<Option<Observation>, EngineError> {
        for evaluation in &pairing.open {
            if !self.is_over(evaluation.id).await? {
                return Ok(None);
            }
        }
        let baseline = self.workflow(campaign.baseline.snapshot).await?;
        let pack = self.pack(campaign.frozen.pack).await?;
        let split = split_of(pairing.evaluations());
        let expected = Expected::new(&baseline, pack.split(split));
        let places: BTreeMap<&CaseId, u32> =
            cases_of(&pack, split).map(|(place, (case, _))| (&case.id, place)).collect();
        let mut landed = Landings::new();
        let (mut spent, mut all) = (BTreeMap::new(), Vec::new());
        for evaluation in pairing.evaluations() {
            let runs = self.runs_of(evaluation.id).await?;
            spent.insert(evaluation.id, Spent::on(&runs, campaign.ledger.dearest));
            let ends = runs.iter().filter_map(|run| {
                let landed = Landed { case: run.case.clone(), end: end(&expected, run) };
                Some((*places.get(&run.case)?, landed))
            });
            landed.insert(evaluation.id, ends.collect());
            all.extend(runs);
        }
        let (batch, faults) = (pairing.batch, Faults::of(&all));
        Ok(Some(Observation::BatchLanded { batch, landed, faults, spent }))
    }

    /// The case runs of both sides of all pairs of `experiment` with the baseline that have an outcome, in
    /// the order of the batches.
    ///
    /// # Errors
    /// The store fails, or a payload of the campaign is missing.
    pub async fn observed(
        &self,
        campaign: &Campaign,
        experiment: &Experiment,
    ) -> Result<Vec<Observed>, EngineError> {
        let Some(trial) = &experiment.trial else { return Ok(Vec::new()) };
        let baseline = self.workflow(campaign.baseline.snapshot).await?;
        let pack = self.pack(campaign.frozen.pack).await?;
        let expected = Expected::new(&baseline, pack.split(Split::Search));
        let group = trial.group.unwrap_or(experiment.id);
        let mut observed = Vec::new();
        let batches = trial.pairs.last().map_or(0, |last| last.batch.saturating_add(1));
        for batch in 0..batches {
            for run in self.runs_of_batch(campaign, group, experiment.id, batch).await? {
                let measured =
                    run.report().and_then(|report| expected.measure(&run.case, Some(report)));
                let passes = measured.map(|measured| measured.passes);
                observed.extend(passes.map(|passes| Observed { case: run.case, batch, passes }));
            }
        }
        Ok(observed)
    }

    /// The case runs of a batch: of all its rounds, of which there is none after one without runs.
    async fn runs_of_batch(
        &self,
        campaign: &Campaign,
        group: ExperimentId,
        candidate: ExperimentId,
        batch: u32,
    ) -> Result<Vec<Run>, EngineError> {
        let mut all = Vec::new();
        for round in 1.. {
            let before = all.len();
            for attempt in 0..=FAULT_RETRIES_MAX {
                for side in Side::of_pair(candidate) {
                    let (experiment, pairs) = (group, sample::Purpose::Comparison);
                    let purpose =
                        Purpose::Paired { experiment, pairs, side, batch, round, attempt };
                    all.extend(self.runs_of(purpose.evaluation_id(&campaign.id, 0)).await?);
                }
            }
            if all.len() == before {
                break;
            }
        }
        Ok(all)
    }
}

fn end(expected: &Expected, run: &Run) -> End {
    match &run.state {
        RunState::Finished(report) => {
            expected.measure(&run.case, Some(report)).map_or(End::Void, End::Measured)
        }
        RunState::Queued | RunState::Running { .. } | RunState::Cancelled { .. } => End::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use optim_core::campaign::ledger::Allowance;
    use optim_core::digest::Digest;
    use optim_core::pack;
    use optim_core::quantity::Timestamp;
    use optim_core::workflow::Fingerprint;

    use super::*;

    fn evaluation(purpose: Purpose, split: Split, drawn: Option<&[u32]>) -> Evaluation {
        Evaluation {
            id: EvaluationId::derive(&[b"e"]),
            purpose,
            snapshot: Digest::of(b""),
            fingerprint: Fingerprint(Digest::of(b"")),
            split,
            queued_at: Timestamp(0),
            allowance: Allowance::default(),
            continued_at: None,
            requeued: 0,
            drawn: drawn.map(|drawn| drawn.to_vec()),
        }
    }

    fn ran(purpose: Purpose, split: Split, drawn: Option<&[u32]>) -> String {
        let line = |(index, split)| {
            format!("{{\"id\": \"{split}-{index}\", \"inputs\": {{}}, \"split\": \"{split}\"}}\n")
        };
        let splits = ["tune", "holdout", "search", "search", "holdout", "tune", "search"];
        let text: String = splits.iter().enumerate().map(line).collect();
        let pack = pack::read("p", text.as_bytes()).unwrap();
        let evaluation = evaluation(purpose, split, drawn);
        let cases = cases_of_evaluation(&pack, &evaluation);
        let ids = cases.map(|(case, place)| {
            assert_eq!(pack.cases[usize::try_from(place).unwrap()].id, case.id);
            case.id.to_string()
        });
        ids.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_evaluation_runs_on_its_split_or_on_what_was_drawn_of_it_and_a_replay_on_tune_cases_too() {
        let replay = Purpose::Replay { number: 1 };
        assert_eq!(ran(replay, Split::Search, None), "search-2 search-3 search-6 tune-0 tune-5");
        let experiment = ExperimentId::derive(&[b"x"]);
        let candidate = Purpose::Candidate { experiment };
        assert_eq!(ran(candidate, Split::Search, None), "search-2 search-3 search-6");
        let (pairs, side) = (sample::Purpose::Comparison, Side::Control);
        let paired = Purpose::Paired { experiment, pairs, side, batch: 0, round: 1, attempt: 0 };
        // What is queued again because it is missing is what was drawn, not all the cases.
        assert_eq!(ran(paired, Split::Search, Some(&[0, 2])), "search-2 search-6");
        assert_eq!(ran(paired, Split::Holdout, Some(&[1])), "holdout-4");
    }
}
