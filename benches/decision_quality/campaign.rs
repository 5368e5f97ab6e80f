//! Campaigns in a simulated world, by the rules of the judge.

use std::error::Error;

use optim_core::id::CaseId;
use optim_core::judge::anchor::Anchor;
use optim_core::judge::batch::Batch;
use optim_core::judge::comparison::{Comparison, Terms};
use optim_core::judge::difference::Difference;
use optim_core::judge::error_budget::ErrorBudget;
use optim_core::judge::evalue::LogE;
use optim_core::judge::look::{Funds, Look};
use optim_core::judge::pair::{Arm, Faulted, Margin, PairFigures, PairRecord};
use optim_core::judge::split_mix::SplitMix64;
use optim_core::judge::{Evidence, judge_by};
use optim_core::metrics::Metrics;
use optim_core::policy::{Rule, Score, Sequential};
use optim_core::quantity::Fraction;
use optim_core::verdict::Verdict;

use crate::counts::Counts;
use crate::scenarios::Scenario;
use crate::world::{CaseRun, Change, Definition, mean, uniform};

/// A candidate of a campaign.
pub(crate) struct Candidate {
    pub(crate) change: Change,
    definition: Definition,
    /// Whether all of its gain is possible.
    pub(crate) is_full: bool,
}

/// A campaign in its world.
pub(crate) struct Campaign<'a> {
    scenario: &'a Scenario,
    random: SplitMix64,
    source: Definition,
    baseline: Definition,
    counts: &'a mut Counts,
}

impl<'a> Campaign<'a> {
    pub(crate) fn new(scenario: &'a Scenario, number: u32, counts: &'a mut Counts) -> Self {
        let spread = u64::from(number + 1).wrapping_mul(0xD134_2543_DE82_EF95);
        let source = Definition::of_pack(scenario.cases, scenario.pack);
        let random = SplitMix64::new(scenario.seed ^ spread);
        Self { scenario, random, baseline: source.clone(), source, counts }
    }

    /// The campaign is over; `before` is the number of false promotions when it began.
    fn close(self, before: u32) {
        let change = mean(&self.baseline.pass) - mean(&self.source.pass);
        self.counts.campaigns += 1;
        self.counts.change += change;
        self.counts.worse += u32::from(change < -1e-12);
        self.counts.found.any_false += u32::from(self.counts.found.false_promotions > before);
    }

    fn propose(&mut self) -> Candidate {
        let place = uniform(&mut self.random);
        let mut end = 0.0;
        let mut kinds = self.scenario.mix.iter();
        let found = kinds.find(|(share, _)| {
            end += share;
            place < end
        });
        let change = found.or(self.scenario.mix.last()).map_or(Change::Nothing, |(_, kind)| *kind);
        let change = self.baseline.possible(change);
        self.counts.candidates += 1;
        let is_full = self.baseline.has_room_for(change);
        self.counts.found.good += u32::from(is_full);
        Candidate { change, definition: self.baseline.with(change), is_full }
    }

    fn promote(&mut self, candidate: Candidate) {
        self.counts.promote(&candidate);
        self.baseline = candidate.definition;
    }
}

/// One evaluation of a definition on all cases.
fn evaluate(definition: &Definition, random: &mut SplitMix64, counts: &mut Counts) -> Metrics {
    let cases = u64::try_from(definition.pass.len()).unwrap_or(u64::MAX);
    let mut metrics = Metrics {
        replicates: 1,
        cases: Fraction::new(0, cases),
        checks: Fraction::new(0, cases),
        blocked: Fraction::new(0, cases),
        within_limits: true,
        ..Metrics::default()
    };
    for case in 0..definition.pass.len() {
        let run = definition.run(case, random);
        metrics.cases.num += u64::from(run.passed);
        metrics.unmet += u64::from(run.unmet);
        metrics.blocked.num += u64::from(run.blocked);
    }
    counts.found.evaluations += cases;
    metrics
}

/// A campaign by the point rule without the stability of replays: a person approves what it recommends,
/// and what it leaves open.
pub(crate) fn by_points(mut campaign: Campaign<'_>) {
    let before = campaign.counts.found.false_promotions;
    let replay = |definition: &Definition, campaign: &mut Campaign<'_>| {
        evaluate(definition, &mut campaign.random, campaign.counts)
    };
    let baseline = campaign.baseline.clone();
    let mut replays = [replay(&baseline, &mut campaign), replay(&baseline, &mut campaign)];
    let mut since_replay = 0;
    for _ in 0..campaign.scenario.candidates {
        let proposed = campaign.propose();
        let candidate = replay(&proposed.definition, &mut campaign);
        let [older, newer] = replays;
        let evidence = Evidence { cases: Vec::new(), baseline: older.plus(newer), candidate };
        let judgement = judge_by(&Rule::point(), Score::AllOrNothing, &evidence);
        since_replay += 1;
        if judgement.verdict != Verdict::Discard {
            campaign.promote(proposed);
            let baseline = campaign.baseline.clone();
            replays = [replay(&baseline, &mut campaign), replay(&baseline, &mut campaign)];
            since_replay = 0;
        } else if since_replay >= 5 {
            let baseline = campaign.baseline.clone();
            replays = [newer, replay(&baseline, &mut campaign)];
            since_replay = 0;
        }
    }
    campaign.close(before);
}

/// The cases in the order in which they were drawn so far, and their names.
struct Pack {
    order: Vec<usize>,
    names: Vec<CaseId>,
}

impl Pack {
    fn new(cases: u32) -> Result<Self, Box<dyn Error>> {
        let names =
            (0..cases).map(|case| CaseId::new(case.to_string())).collect::<Result<_, _>>()?;
        Ok(Self { order: (0..usize::try_from(cases)?).collect(), names })
    }

    /// Draws the cases of the next batch.
    fn draw(&mut self, size: u32, random: &mut SplitMix64) -> Result<Vec<usize>, Box<dyn Error>> {
        let size = usize::try_from(size)?.min(self.order.len());
        random.draw_to_front(&mut self.order, size);
        Ok(self.order.iter().take(size).copied().collect())
    }

    fn batch(
        &self,
        number: u32,
        drawn: &[usize],
        figures: &[PairFigures],
    ) -> Result<Batch, Box<dyn Error>> {
        let cases: Vec<_> = drawn.iter().filter_map(|case| self.names.get(*case)).collect();
        let pair = |(case, figures): (&&CaseId, &PairFigures)| PairRecord {
            case: (*case).clone(),
            batch: number,
            first: Arm::Baseline,
            faulted: Faulted::Neither,
            figures: Some(*figures),
        };
        let pairs = cases.iter().zip(figures).map(pair).collect();
        Ok(Batch::new(number, cases.iter().copied(), pairs)?)
    }
}

/// What two case runs differ in.
fn compare(candidate: CaseRun, baseline: CaseRun) -> PairFigures {
    let is_within = candidate.cost <= 1.25 * baseline.cost;
    PairFigures {
        gain: Difference::sign(candidate.passed.cmp(&baseline.passed)),
        fewer_unmet: Difference::sign(baseline.unmet.cmp(&candidate.unmet)),
        more_blocked: Difference::sign(candidate.blocked.cmp(&baseline.blocked)),
        cost: Some(if is_within { Margin::Within } else { Margin::Outside }),
        tokens: None,
        latency: None,
        is_over_limit: false,
    }
}

/// A candidate whose comparison goes on.
struct Open {
    candidate: Candidate,
    comparison: Comparison,
    figures: Vec<PairFigures>,
}

/// A campaign by the sequential rule.
pub(crate) fn by_pairs(
    mut campaign: Campaign<'_>,
    rules: Sequential,
) -> Result<(), Box<dyn Error>> {
    let before = campaign.counts.found.false_promotions;
    let promoted_before = campaign.counts.promoted;
    let mut pack = Pack::new(campaign.scenario.cases)?;
    let mut budget = ErrorBudget::new(rules.alpha, campaign.scenario.candidates);
    let mut left = campaign.scenario.candidates;
    while left > 0 {
        let group = rules.group.min(left);
        left -= group;
        let proposed: Vec<_> = (0..group).map(|_| campaign.propose()).collect();
        let mut open = Vec::new();
        for candidate in proposed {
            let terms = Terms { rules, score: Score::AllOrNothing, stake: budget.open()? };
            let comparison = Comparison::new(terms);
            open.push(Open { candidate, comparison, figures: Vec::new() });
        }
        let winner = race(open, &mut campaign, &mut pack, &mut budget, rules)?;
        let Some(winner) = winner else { continue };
        let is_first = campaign.counts.promoted == promoted_before;
        if is_first || holds_against_the_source(&winner, &mut campaign, &mut pack, rules)? {
            campaign.promote(winner);
        }
    }
    campaign.close(before);
    Ok(())
}

/// Compares the candidates of a group until one wins, or none is left.
fn race(
    mut open: Vec<Open>,
    campaign: &mut Campaign<'_>,
    pack: &mut Pack,
    budget: &mut ErrorBudget,
    rules: Sequential,
) -> Result<Option<Candidate>, Box<dyn Error>> {
    let mut number = 0;
    while !open.is_empty() {
        let drawn = pack.draw(rules.batch, &mut campaign.random)?;
        for case in &drawn {
            let baseline = campaign.baseline.run(*case, &mut campaign.random);
            campaign.counts.found.evaluations += 1;
            for Open { candidate, figures, .. } in &mut open {
                let run = candidate.definition.run(*case, &mut campaign.random);
                figures.push(compare(run, baseline));
                campaign.counts.found.evaluations += 1;
            }
        }
        let (mut next, mut best): (Vec<_>, Option<LogE>) = (Vec::new(), None);
        let mut winner = None;
        for mut one in open {
            one.comparison.take(&pack.batch(number, &drawn, &one.figures)?)?;
            one.figures.clear();
            match one.comparison.look(Funds::Left) {
                Look::Continue => next.push(one),
                Look::Promote => {
                    let evidence = one.comparison.evidence().combined;
                    budget.give_back(one.comparison.refund());
                    if best.is_none_or(|best| evidence > best) {
                        (best, winner) = (Some(evidence), Some(one.candidate));
                    }
                }
                Look::Discard(_) => budget.give_back(one.comparison.refund()),
                Look::Review(why) => {
                    campaign.counts.review(why);
                    budget.give_back(one.comparison.refund());
                }
            }
        }
        if winner.is_some() {
            // The others were compared with a baseline that is none any more.
            next.iter().for_each(|one| budget.give_back(one.comparison.refund()));
            return Ok(winner);
        }
        open = next;
        number += 1;
    }
    Ok(None)
}

/// The anchor check of a candidate that has won.
fn holds_against_the_source(
    candidate: &Candidate,
    campaign: &mut Campaign<'_>,
    pack: &mut Pack,
    rules: Sequential,
) -> Result<bool, Box<dyn Error>> {
    let mut anchor = Anchor::of_guardrails(rules);
    for number in 0.. {
        let drawn = pack.draw(rules.batch, &mut campaign.random)?;
        let mut figures = Vec::new();
        for case in &drawn {
            let source = campaign.source.run(*case, &mut campaign.random);
            let run = candidate.definition.run(*case, &mut campaign.random);
            figures.push(compare(run, source));
            campaign.counts.found.evaluations += 2;
        }
        anchor.take(&pack.batch(number, &drawn, &figures)?)?;
        match anchor.look(Funds::Left) {
            Look::Continue => {}
            Look::Promote => return Ok(true),
            Look::Discard(_) => break,
            Look::Review(why) => {
                campaign.counts.review(why);
                break;
            }
        }
    }
    Ok(false)
}
