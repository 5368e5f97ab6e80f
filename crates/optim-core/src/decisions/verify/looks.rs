//! Looks: what each of them says when the pairs are taken in again, batch by batch.

use super::pairs::name;
use super::{Check, StateName};
use crate::judge::anchor::Anchor;
use crate::judge::batch::BatchError;
use crate::judge::comparison::Comparison;
use crate::judge::look::{Funds, Look};
use crate::judge::sample::Purpose;
use crate::policy::{Score, Sequential};
use crate::trial::{Trial, batches};

impl Check<'_> {
    /// Every look but the last one said to go on, and the last one fits where the experiment stands.
    pub(super) fn looks(&mut self, number: u32, trial: &Trial, rules: &Sequential, score: Score) {
        let Some(line) = self.experiments.get(&number).copied() else { return };
        let looked =
            compared(trial, rules, score).and_then(|one| Ok((one, anchored(trial, rules)?)));
        let (mut compared, mut anchored) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                self.expect(Some(number), "batches", &error.to_string(), &"whole and in order");
                return;
            }
        };
        let (won, held) = (compared.pop(), anchored.pop());
        self.went_on(number, Purpose::Comparison, &compared);
        self.went_on(number, Purpose::Anchor, &anchored);
        let needs_source = rules.anchor_check && line.baseline_version > 0;
        let has_source = trial.anchor.is_some();
        if has_source {
            let expected = needs_source && won == Some(Look::Promote);
            self.expect(Some(number), "compared with the source", &true, &expected);
        }
        let last = if has_source { held } else { won };
        let fits = match (line.state, last) {
            (StateName::Evaluating, None | Some(Look::Continue)) => true,
            // The first batch with the source is next.
            (StateName::Evaluating, Some(Look::Promote)) => needs_source && !has_source,
            (StateName::Evaluating, Some(Look::Discard(_) | Look::Review(_))) => false,
            // Another one of its group has won, or is under review.
            (StateName::Superseded, last) => !matches!(last, Some(Look::Discard(_))),
            (_, Some(Look::Promote)) => has_source || !needs_source,
            // What was decided is compared with its judgement.
            _ => true,
        };
        if !fits {
            self.expect(Some(number), "look after the last batch", &line.state, &last);
        }
    }

    fn went_on(&mut self, number: u32, purpose: Purpose, looks: &[Look]) {
        for (batch, look) in looks.iter().enumerate() {
            let what = format!("look after {} batch {batch}", name(purpose));
            self.expect(Some(number), &what, &Look::Continue, look);
        }
    }
}

/// What each look at the pairs with the baseline says, as long as the budget lasts.
fn compared(trial: &Trial, rules: &Sequential, score: Score) -> Result<Vec<Look>, BatchError> {
    let mut comparison = Comparison::new(trial.terms(rules, score));
    let looks = batches(&trial.pairs).map(|batch| {
        comparison.take(&batch?)?;
        Ok(comparison.look(Funds::Left))
    });
    looks.collect()
}

/// The same for the pairs with the source.
fn anchored(trial: &Trial, rules: &Sequential) -> Result<Vec<Look>, BatchError> {
    let mut anchor = Anchor::new(*rules);
    let looks = batches(trial.anchor.as_deref().unwrap_or(&[])).map(|batch| {
        anchor.take(&batch?)?;
        Ok(anchor.look(Funds::Left))
    });
    looks.collect()
}
