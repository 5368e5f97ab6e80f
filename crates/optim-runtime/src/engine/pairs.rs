//! The case runs of pairs: queued side by side, and taken in when none of a batch is open.

use std::collections::BTreeMap;

use optim_core::campaign::observation::Observation;
use optim_core::campaign::pairing::{End, Landed, Landings, Pairing};
use optim_core::campaign::{Campaign, Evaluation, Spent};
use optim_core::id::{CaseId, EvaluationId};
use optim_core::metrics::Expected;
use optim_core::pack::{Case, Pack, Split};
use optim_core::run::faults::Faults;
use optim_core::run::{Run, RunState};
use optim_store::{Revision, Write};

use super::{Engine, EngineError};

/// The cases of `split` by their places among themselves, each with its place in the pack.
fn cases_of(pack: &Pack, split: Split) -> impl Iterator<Item = (u32, (&Case, u32))> {
    let all = pack.cases.iter().zip(0..);
    (0..).zip(all.filter(move |(case, _)| case.split == split))
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
}

fn end(expected: &Expected, run: &Run) -> End {
    match &run.state {
        RunState::Finished(report) => {
            expected.measure(&run.case, Some(report)).map_or(End::Void, End::Measured)
        }
        RunState::Queued | RunState::Running { .. } | RunState::Cancelled { .. } => End::Stopped,
    }
}
