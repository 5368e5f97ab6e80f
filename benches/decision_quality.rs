//! How well the rules decide, in worlds where the truth is known: `cargo run --release -p optim-benches
//! --bin decision-quality`.
//!
//! Twelve scenarios, each for the point rule, the sequential rule, and the sequential rule with four
//! candidates that share the runs of the baseline. The counts are those of an independent simulation of
//! the same worlds, so a change of the rule that changes one decision shows. Exits with 1 when a target
//! is missed.
#![expect(clippy::print_stdout, reason = "a report for the person who runs it")]

use std::error::Error;
use std::process::ExitCode;

use optim_benches::measure::cpu_ns;
use optim_benches::world::{CaseRun, Change, Definition, mean, uniform};
use optim_core::id::CaseId;
use optim_core::judge::anchor::Anchor;
use optim_core::judge::batch::Batch;
use optim_core::judge::comparison::{Comparison, Terms};
use optim_core::judge::difference::Difference;
use optim_core::judge::error_budget::{ErrorBudget, Stake};
use optim_core::judge::evalue::LogE;
use optim_core::judge::look::{Funds, Look, Unsettled};
use optim_core::judge::pair::{Arm, Faulted, Margin, PairFigures, PairRecord};
use optim_core::judge::plan::{Forecast, forecast};
use optim_core::judge::split_mix::SplitMix64;
use optim_core::judge::{Evidence, judge_by};
use optim_core::metrics::Metrics;
use optim_core::policy::{DecisionProfile, Margins, Rule, Score, Sequential};
use optim_core::quantity::{Fraction, PerMillion};
use optim_core::verdict::Verdict;

/// A world, and what the independent simulation counted in it.
struct Scenario {
    name: &'static str,
    seed: u64,
    cases: u32,
    /// The share of the cases that have each pass probability.
    pack: &'static [(f64, f64)],
    candidates: u32,
    /// The probability of each kind of candidate.
    mix: &'static [(f64, Change)],
    campaigns: u32,
    wanted: Wanted,
}

/// What must be found in a scenario.
struct Wanted {
    /// Campaigns with a false promotion, and evaluations, of the point rule (per campaign, rounded).
    point: (u32, u32),
    /// Campaigns with a false promotion.
    sequential: u32,
    /// Candidates with a full gain that were promoted, of all of them.
    power: (u32, u32),
    reviews: u32,
    evaluations: u64,
    /// Campaigns with a false promotion, and evaluations (per campaign, rounded), with groups of four.
    group: (u32, u32),
    /// The least power.
    power_min: f64,
    /// Candidates that break a guardrail and may be promoted, with the group of one.
    violators_max: u32,
}

const MID: &[(f64, f64)] = &[(0.55, 0.97), (0.25, 0.5), (0.20, 0.06)];
const QUIET: &[(f64, f64)] = &[(0.62, 0.99), (0.10, 0.5), (0.28, 0.02)];
const NOISY: &[(f64, f64)] = &[(1.0, 0.7)];
const SATURATED: &[(f64, f64)] = &[(0.5, 0.995), (0.5, 0.01)];
const NOTHING: &[(f64, Change)] = &[(1.0, Change::Nothing)];

const fn mixed(gain: f64) -> [(f64, Change); 3] {
    [(0.7, Change::Nothing), (0.2, Change::Harm(-0.03)), (0.1, Change::Gain(gain))]
}

#[rustfmt::skip]
const SCENARIOS: [Scenario; 12] = [
    Scenario { name: "A null20", seed: 101, cases: 64, pack: MID, candidates: 20, mix: NOTHING, campaigns: 2000,
        wanted: Wanted { point: (1975, 2117), sequential: 60, power: (0, 0), reviews: 9, evaluations: 6_736_208,
            group: (37, 2366), power_min: 0.0, violators_max: 0 } },
    Scenario { name: "B null100", seed: 102, cases: 64, pack: MID, candidates: 100, mix: NOTHING, campaigns: 600,
        wanted: Wanted { point: (600, 10_087), sequential: 11, power: (0, 0), reviews: 5, evaluations: 10_058_816,
            group: (14, 11_855), power_min: 0.0, violators_max: 0 } },
    Scenario { name: "C harm100", seed: 103, cases: 64, pack: MID, candidates: 100, campaigns: 600,
        mix: &[(0.6, Change::Nothing), (0.3, Change::Harm(-0.03)), (0.1, Change::Uneven)],
        wanted: Wanted { point: (600, 9733), sequential: 14, power: (0, 0), reviews: 0, evaluations: 9_184_656,
            group: (8, 10_802), power_min: 0.0, violators_max: 0 } },
    Scenario { name: "D plus10", seed: 104, cases: 64, pack: MID, candidates: 20, mix: &mixed(0.10), campaigns: 1500,
        wanted: Wanted { point: (1450, 2131), sequential: 28, power: (1971, 2828), reviews: 188, evaluations: 5_921_472,
            group: (24, 2856), power_min: 0.65, violators_max: 0 } },
    Scenario { name: "E plus20", seed: 105, cases: 64, pack: MID, candidates: 20, mix: &mixed(0.20), campaigns: 1500,
        wanted: Wanted { point: (1405, 2084), sequential: 18, power: (1285, 1322), reviews: 27, evaluations: 4_452_832,
            group: (11, 2136), power_min: 0.95, violators_max: 0 } },
    Scenario { name: "F plus5", seed: 106, cases: 64, pack: QUIET, candidates: 20, mix: &mixed(0.05), campaigns: 1500,
        wanted: Wanted { point: (1454, 2111), sequential: 16, power: (552, 3043), reviews: 38, evaluations: 3_550_272,
            group: (16, 1705), power_min: 0.15, violators_max: 0 } },
    Scenario { name: "G small8", seed: 107, cases: 8, pack: MID, candidates: 20, mix: &mixed(0.10), campaigns: 1500,
        wanted: Wanted { point: (1489, 298), sequential: 35, power: (1900, 2820), reviews: 214, evaluations: 6_407_632,
            group: (22, 3037), power_min: 0.62, violators_max: 0 } },
    Scenario { name: "H noisy500", seed: 108, cases: 500, pack: NOISY, candidates: 20, campaigns: 1000,
        mix: &[(0.8, Change::Nothing), (0.1, Change::Harm(-0.05)), (0.1, Change::Gain(0.20))],
        wanted: Wanted { point: (921, 15_925), sequential: 18, power: (894, 918), reviews: 16, evaluations: 4_064_320,
            group: (5, 2883), power_min: 0.95, violators_max: 0 } },
    Scenario { name: "I weak null", seed: 109, cases: 32, pack: MID, candidates: 20, mix: &[(1.0, Change::Uneven)],
        campaigns: 2000,
        wanted: Wanted { point: (1981, 1084), sequential: 37, power: (0, 0), reviews: 3, evaluations: 6_594_464,
            group: (34, 2296), power_min: 0.0, violators_max: 0 } },
    Scenario { name: "J blocked", seed: 110, cases: 64, pack: QUIET, candidates: 20, campaigns: 1500,
        mix: &[(0.9, Change::Nothing), (0.1, Change::GainAndBlocked(0.10))],
        wanted: Wanted { point: (1476, 0), sequential: 19, power: (0, 0), reviews: 0, evaluations: 3_351_696,
            group: (9, 1552), power_min: 0.0, violators_max: 10 } },
    Scenario { name: "K cost", seed: 111, cases: 64, pack: QUIET, candidates: 20, campaigns: 1500,
        mix: &[(0.9, Change::Nothing), (0.1, Change::GainAndCost(0.10))],
        wanted: Wanted { point: (1475, 0), sequential: 19, power: (0, 0), reviews: 2608, evaluations: 3_568_816,
            group: (11, 1696), power_min: 0.0, violators_max: 0 } },
    Scenario { name: "L secondary", seed: 112, cases: 64, pack: SATURATED, candidates: 20, campaigns: 1000,
        mix: &[(0.9, Change::Nothing), (0.1, Change::FewerUnmet)],
        wanted: Wanted { point: (967, 2077), sequential: 2, power: (647, 1268), reviews: 130, evaluations: 1_861_312,
            group: (2, 1333), power_min: 0.45, violators_max: 0 } },
];

/// The policy that the counts belong to.
fn policy(group: u32) -> Sequential {
    let standard = Sequential::of(DecisionProfile::Standard);
    let guardrails = Margins {
        blocked_node_rate: Some(PerMillion(50_000)),
        tokens: None,
        latency: None,
        ..standard.guardrails
    };
    Sequential {
        group,
        n_min: 16,
        n_max: 400,
        mde: PerMillion(100_000),
        secondary_weight: PerMillion(200_000),
        guardrails,
        ..standard
    }
}

/// What happened in the campaigns of a scenario.
#[derive(Debug, Clone, Default)]
struct Counts {
    campaigns: u32,
    /// Campaigns with a false promotion.
    any_false: u32,
    promoted: u32,
    false_promotions: u32,
    regressions: u32,
    violators: u32,
    /// Candidates with a full gain, and those of them that were promoted.
    good: u32,
    found: u32,
    reviews: [u32; 5],
    evaluations: u64,
    /// The change of the mean pass rate, summed over campaigns.
    change: f64,
    /// Campaigns that ended with a lower pass rate than they began with.
    worse: u32,
}

impl Counts {
    fn promote(&mut self, candidate: &Candidate) {
        self.promoted += 1;
        self.false_promotions += u32::from(candidate.change.is_no_better());
        self.regressions += u32::from(matches!(candidate.change, Change::Harm(_)));
        self.violators += u32::from(candidate.change.is_violator());
        self.found += u32::from(candidate.is_full);
    }

    /// Counts a review. The person behind it closes each at once.
    fn review(&mut self, why: Unsettled) {
        let [promising, guardrail, primary, trade_off, unstable] = &mut self.reviews;
        *match why {
            Unsettled::InconclusivePromising => promising,
            Unsettled::GuardrailUnproven => guardrail,
            Unsettled::PrimaryUnproven => primary,
            Unsettled::TradeOff => trade_off,
            Unsettled::EvaluatorUnstable => unstable,
        } += 1;
    }

    fn power(&self) -> f64 {
        f64::from(self.found) / f64::from(self.good.max(1))
    }

    fn evaluations_per_campaign(&self) -> u32 {
        let campaigns = u64::from(self.campaigns.max(1));
        u32::try_from((self.evaluations + campaigns / 2) / campaigns).unwrap_or(u32::MAX)
    }

    /// The upper end of the 99 % Wilson interval for the share of campaigns with a false promotion.
    fn any_false_at_most(&self) -> f64 {
        let (n, z) = (f64::from(self.campaigns), 2.575_829_303_5_f64);
        let share = f64::from(self.any_false) / n;
        let middle = share + z * z / (2.0 * n);
        let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        (middle + spread) / (1.0 + z * z / n)
    }
}

/// A candidate of a campaign.
struct Candidate {
    change: Change,
    definition: Definition,
    is_full: bool,
}

/// A campaign in its world.
struct Campaign<'a> {
    scenario: &'a Scenario,
    random: SplitMix64,
    source: Definition,
    baseline: Definition,
    counts: &'a mut Counts,
}

impl<'a> Campaign<'a> {
    fn new(scenario: &'a Scenario, number: u32, counts: &'a mut Counts) -> Self {
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
        self.counts.any_false += u32::from(self.counts.false_promotions > before);
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
        let is_full = self.baseline.has_room_for(change);
        self.counts.good += u32::from(is_full);
        Candidate { change, definition: self.baseline.with(change), is_full }
    }

    fn promote(&mut self, candidate: Candidate) {
        self.counts.promote(&candidate);
        self.baseline = candidate.definition;
    }
}

// --- the point rule -----------------------------------------------------------------------------

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
    counts.evaluations += cases;
    metrics
}

/// A campaign by the point rule without the stability of replays: a person approves what it recommends,
/// and what it leaves open.
fn by_points(mut campaign: Campaign<'_>) {
    let before = campaign.counts.false_promotions;
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
        let judgement = judge_by(&Rule::default(), Score::AllOrNothing, &evidence);
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

// --- the sequential rule ------------------------------------------------------------------------

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
fn by_pairs(mut campaign: Campaign<'_>, rules: Sequential) -> Result<(), Box<dyn Error>> {
    let before = campaign.counts.false_promotions;
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
            campaign.counts.evaluations += 1;
            for Open { candidate, figures, .. } in &mut open {
                let run = candidate.definition.run(*case, &mut campaign.random);
                figures.push(compare(run, baseline));
                campaign.counts.evaluations += 1;
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
            campaign.counts.evaluations += 2;
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

// --- the report ---------------------------------------------------------------------------------

/// The targets that were missed.
#[derive(Default)]
struct Missed(Vec<String>);

impl Missed {
    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: T, wanted: T) {
        self.require(found == wanted, || format!("{what} is {found:?}, not {wanted:?}"));
    }
}

fn row(name: &str, rule: &str, counts: &Counts) {
    let campaigns = f64::from(counts.campaigns);
    let power = match counts.good {
        0 => "-".to_owned(),
        good => format!("{}/{good} = {:.3}", counts.found, counts.power()),
    };
    println!(
        "{name:12} {rule:10} {:5}/{} {:5.1} % (<= {:5.1} %) {:6.2} {:5} {:5} {power:>17} {:5} {:+6.2} {:5.3} {:6}",
        counts.any_false,
        counts.campaigns,
        100.0 * f64::from(counts.any_false) / campaigns,
        100.0 * counts.any_false_at_most(),
        f64::from(counts.false_promotions) / campaigns,
        counts.regressions,
        counts.violators,
        counts.reviews.iter().sum::<u32>(),
        100.0 * counts.change / campaigns,
        f64::from(counts.worse) / campaigns,
        counts.evaluations_per_campaign(),
    );
}

/// Runs the campaigns of a scenario by all rules, and prints a row for each.
fn scenario(scenario: &Scenario, missed: &mut Missed) -> Result<(), Box<dyn Error>> {
    let Scenario { name, wanted, .. } = scenario;
    let of = |what: &str| format!("{name}: {what}");
    let [mut point, mut sequential, mut group] = <[Counts; 3]>::default();
    for number in 0..scenario.campaigns {
        by_points(Campaign::new(scenario, number, &mut point));
        by_pairs(Campaign::new(scenario, number, &mut sequential), policy(1))?;
        by_pairs(Campaign::new(scenario, number, &mut group), policy(4))?;
    }
    row(name, "point", &point);
    row("", "sequential", &sequential);
    row("", "group of 4", &group);

    let (any_false, evaluations) = wanted.point;
    missed.equal(&of("point: campaigns with a false promotion"), point.any_false, any_false);
    if evaluations > 0 {
        let found = point.evaluations_per_campaign();
        missed.equal(&of("point: evaluations a campaign"), found, evaluations);
    }
    missed.equal(&of("campaigns with a false promotion"), sequential.any_false, wanted.sequential);
    missed.equal(&of("evaluations"), sequential.evaluations, wanted.evaluations);
    if wanted.power.1 > 0 {
        missed.equal(&of("power"), (sequential.found, sequential.good), wanted.power);
    }
    if wanted.reviews > 0 {
        missed.equal(&of("reviews"), sequential.reviews.iter().sum(), wanted.reviews);
    }
    let found = (group.any_false, group.evaluations_per_campaign());
    missed.equal(&of("group: false promotions and evaluations"), found, wanted.group);
    for counts in [&sequential, &group] {
        let bound = counts.any_false_at_most();
        missed.require(bound <= 0.05, || of(&format!("false promotions may be {bound:.3}")));
    }
    let power = sequential.power();
    missed.require(power >= wanted.power_min, || of(&format!("power is only {power:.3}")));
    missed.require(sequential.violators <= wanted.violators_max, || {
        of(&format!("{} that break a guardrail were promoted", sequential.violators))
    });
    Ok(())
}

/// The exact pairs of the rule without guardrails, over the fewest that any rule of the same level and
/// power can do with (Wald). The bound is of pairs with the same number of differences.
fn pairs_over_wald(
    Forecast { power, pairs }: Forecast,
    stake: Stake,
    flips: f64,
    gain: f64,
) -> f64 {
    let (level, differ) = (stake.to_f64(), (flips + gain / 2.0).max(gain));
    let (more, less) = (f64::midpoint(differ, gain), f64::midpoint(differ, -gain));
    let nats = |share: f64| if share > 0.0 { share * (2.0 * share / differ).ln() } else { 0.0 };
    let decided =
        power * (power / level).ln() + (1.0 - power) * ((1.0 - power) / (1.0 - level)).ln();
    pairs / (decided / (nats(more) + nats(less)))
}

/// The exact characteristics of the rule, where it has much power.
fn characteristics(missed: &mut Missed) {
    println!(
        "\n{:>8} {:>6} {:>6} {:>7} {:>7} {:>7}",
        "bar", "flips", "gain", "power", "pairs", "/ Wald"
    );
    for bar in [20, 400, 2000] {
        let stake = Stake::whole(PerMillion(1_000_000 / bar));
        let terms = Terms { rules: policy(1), score: Score::AllOrNothing, stake };
        for (flips, gain) in
            [0.05, 0.10, 0.20].iter().flat_map(|flips| [0.0, 0.10, 0.20].map(|gain| (*flips, gain)))
        {
            let Some(found) = forecast(terms, flips, gain) else { continue };
            print!("{bar:8} {flips:6.2} {gain:6.2} {:7.4} {:7.1}", found.power, found.pairs);
            if gain == 0.0 {
                println!("       -");
                continue;
            }
            let over = pairs_over_wald(found, stake, flips, gain);
            println!(" {over:7.2}");
            missed.require(bar < 400 || found.power < 0.8 || over <= 1.6, || {
                format!("bar {bar}, flips {flips}, gain {gain}: {over:.2} times the pairs of Wald")
            });
        }
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let begin = cpu_ns();
    let mut missed = Missed::default();
    println!(
        "{:12} {:10} {:>31} {:>6} {:>5} {:>5} {:>17} {:>5} {:>6} {:>5} {:>6}",
        "scenario",
        "rule",
        "any false (99 % bound)",
        "false",
        "regr",
        "viol",
        "power",
        "rev",
        "gain",
        "worse",
        "evals"
    );
    for one in &SCENARIOS {
        scenario(one, &mut missed)?;
    }
    characteristics(&mut missed);
    let seconds = (cpu_ns() - begin) / 1e9;
    println!("\n{seconds:.1} s of processor time");
    missed.require(seconds < 60.0, || format!("it took {seconds:.1} s, not under 60"));
    missed.0.iter().for_each(|target| println!("missed: {target}"));
    Ok(if missed.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
