//! Looks: what each of them says when the pairs are taken in again, batch by batch.

use super::pairs::name;
use super::{Check, StateName};
use crate::decisions::StepLine;
use crate::judge::anchor::Anchor;
use crate::judge::batch::{Batch, BatchError};
use crate::judge::comparison::{Comparison, Terms};
use crate::judge::look::{Funds, Look};
use crate::judge::sample::Purpose;
use crate::policy::{Score, Sequential};
use crate::trial::{Trial, batches};

/// How evidence takes in a batch, and what a look at it says.
type Looking<S> = (fn(&mut S, &Batch) -> Result<(), BatchError>, fn(&S, Funds) -> Look);

/// How often people had added pairs, for the looks of a candidate in turn.
struct Additions {
    /// The rules at first and after each of them.
    rules: Vec<Sequential>,
    made: usize,
}

impl Check<'_> {
    /// Every look but the last one said to go on, and the last one fits where the experiment stands.
    pub(super) fn looks(&mut self, number: u32, trial: &Trial, rules: &Sequential, score: Score) {
        let Some(line) = self.experiments.get(&number).copied() else { return };
        let mut additions = self.additions(number, rules);
        let batches_of = |pairs: &[_]| batches(pairs).collect::<Result<Vec<_>, _>>();
        let looked = batches_of(&trial.pairs).and_then(|pairs| {
            let anchor = batches_of(trial.anchor.as_deref().unwrap_or(&[]))?;
            let stake = trial.stake;
            let terms = additions.rules.iter().map(|rules| Terms { rules: *rules, score, stake });
            let compared = terms.map(Comparison::new).collect();
            let anchored = additions.rules.iter().copied().map(Anchor::new).collect();
            let pairs = (Purpose::Comparison, pairs.as_slice());
            let looking: Looking<Comparison> = (Comparison::take, Comparison::look);
            let won = self.look_by_look(number, pairs, compared, looking, &mut additions)?;
            let pairs = (Purpose::Anchor, anchor.as_slice());
            let looking: Looking<Anchor> = (Anchor::take, Anchor::look);
            let held = self.look_by_look(number, pairs, anchored, looking, &mut additions)?;
            Ok((won, held))
        });
        let (won, held) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                self.expect(Some(number), "batches", &error.to_string(), &"whole and in order");
                return;
            }
        };
        let needs_source = rules.needs_source(line.baseline_version);
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
            // A person has added pairs, and the first batch of them is next.
            (StateName::Evaluating, Some(Look::Review(_))) => trial.extended > 0,
            (StateName::Evaluating | StateName::Superseded, Some(Look::Discard(_))) => false,
            // Another one of its group has won, or is under review.
            (StateName::Superseded, _) => true,
            (_, Some(Look::Promote)) => has_source || !needs_source,
            // What was decided is compared with its judgement.
            _ => true,
        };
        if !fits {
            self.expect(Some(number), "look after the last batch", &line.state, &last);
        }
    }

    fn additions(&self, number: u32, rules: &Sequential) -> Additions {
        let mut added = vec![*rules];
        let mut n_max = rules.n_max;
        for step in &self.of.steps {
            match step {
                StepLine::PairsAdded { experiment, pairs } if *experiment == number => {
                    n_max = n_max.saturating_add(pairs.get());
                    added.push(Sequential { n_max, ..*rules });
                }
                _ => {}
            }
        }
        Additions { rules: added, made: 0 }
    }

    /// Takes the batches in one by one, once for each number of additions, and looks after each; what the
    /// last look says, with all the pairs that were added.
    fn look_by_look<S>(
        &mut self,
        number: u32,
        (purpose, batches): (Purpose, &[Batch]),
        mut seen: Vec<S>,
        (take, look): Looking<S>,
        additions: &mut Additions,
    ) -> Result<Option<Look>, BatchError> {
        let mut last = None;
        for (place, batch) in batches.iter().enumerate() {
            seen.iter_mut().try_for_each(|seen| take(seen, batch))?;
            let looks: Vec<_> = seen.iter().map(|seen| look(seen, Funds::Left)).collect();
            last = looks.last().copied();
            if place + 1 < batches.len() {
                self.went_on(number, (purpose, place), &looks, additions);
            }
        }
        Ok(last)
    }

    /// After a batch that was followed by another, the look said to go on, or a person did. `looks` is what
    /// it says after each number of additions; which were made by then is known only as far as it shows.
    fn went_on(
        &mut self,
        number: u32,
        (purpose, place): (Purpose, usize),
        looks: &[Look],
        additions: &mut Additions,
    ) {
        let now = looks.iter().enumerate().skip(additions.made);
        let goes_on = now.clone().find_map(|(made, look)| match look {
            Look::Continue => Some(made),
            Look::Review(_) if made + 1 < looks.len() => Some(made + 1),
            _ => None,
        });
        match goes_on {
            Some(made) => additions.made = made,
            None => {
                let what = format!("look after {} batch {place}", name(purpose));
                let look = now.map(|(_, look)| *look).next();
                self.expect(Some(number), &what, &Some(Look::Continue), &look);
            }
        }
    }
}
