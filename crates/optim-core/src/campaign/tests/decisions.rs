//! What was decided is decided again from the lines of an export, and whatever was changed in them shows.

use super::comparing::{better, equal, measured, sequential};
use super::*;
use crate::campaign::pairing::End;
use crate::decisions::read::read;
use crate::decisions::verify::Mismatch;
use crate::decisions::{Decisions, StateName, StepLine};
use crate::judge::difference::Difference;
use crate::judge::pair::Arm;
use crate::judge::sample;
use crate::judge::split_mix::SplitMix64;
use crate::pack::{Case, Pack};
use crate::policy::{Rule, Sequential};
use crate::quantity::PerMillion;

/// The search cases of every campaign here.
fn pack() -> Pack {
    let case = |index| Case {
        id: CaseId::new(format!("case-{index}")).unwrap(),
        inputs: serde_json::Map::new(),
        expect: Vec::new(),
        split: Split::Search,
    };
    Pack { digest: Digest::of(b"pack"), cases: (0..CASES).map(case).collect() }
}

impl Driven {
    fn decisions(&self) -> Decisions {
        let experiments: Vec<_> = self.experiments.values().cloned().collect();
        Decisions::of(&self.campaign, &pack(), &experiments, &self.told, &self.runs)
    }

    fn mismatches(&self) -> Vec<Mismatch> {
        self.decisions().verify().mismatches
    }
}

fn text(decisions: &Decisions) -> String {
    let lines = decisions.lines().map(|line| serde_json::to_string(&line).unwrap());
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

/// One step of a campaign: whatever is wanted, as luck has it.
fn step(driven: &mut Driven, tag: u64, luck: u64) {
    match work(&driven.campaign) {
        Work::Propose => driven.propose(tag),
        Work::BackOff(_) => driven.wait_out(),
        Work::AwaitRuns(_) if driven.campaign.open_batch().is_none() => {
            driven.land(Some(6));
        }
        Work::AwaitRuns(_) if luck.is_multiple_of(17) && driven.campaign.hold.is_none() => {
            driven.command(Command::Pause { reason: None, cancel_runs: true }).unwrap();
        }
        Work::AwaitRuns(_) => driven.round(|side, case| match (side, luck >> (case % 16)) {
            (_, luck) if luck % 64 < 4 => End::Void,
            (_, luck) if luck.is_multiple_of(59) => End::Stopped,
            (Side::Candidate { candidate }, luck) => {
                measured(luck % 16 >= u64::from(candidate.as_bytes()[0] % 12))
            }
            (Side::Control, luck) => measured(luck % 3 > 0),
        }),
        _ if driven.campaign.hold.is_some() => {
            driven.command(Command::Resume { reason: None }).unwrap();
        }
        _ => {
            let experiment = driven.pending();
            let approve = Command::Approve { experiment, reason: Some("because".to_owned()) };
            let reject = Command::Reject { experiment, reason: "no".to_owned() };
            // A change that is on the baseline already does not fit there again.
            if luck.is_multiple_of(3) || driven.command(approve).is_err() {
                driven.command(reject).unwrap();
            }
        }
    }
    if luck.is_multiple_of(43) && !driven.campaign.is_closed() {
        let by = Extension { experiments: 1, ..Extension::default() };
        driven.command(Command::Extend { by, reason: "more".to_owned() }).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn whatever_happens_to_a_campaign_its_decisions_are_made_again_from_its_lines(
        seed in any::<u64>(),
        group in 1..4_u32,
        n_max in prop::sample::select(vec![24_u32, 240]),
    ) {
        let change = |rules: &mut Sequential| (rules.group, rules.n_max) = (group, n_max);
        let mut driven = Driven::searching(sequential(8, change), 6);
        let mut draws = SplitMix64::new(seed);
        for tag in 0..300_u64 {
            if tag.is_multiple_of(25) {
                prop_assert_eq!(driven.mismatches(), vec![], "after step {}", tag);
            }
            if driven.campaign.is_closed() {
                break;
            }
            step(&mut driven, tag, draws.next_u64());
        }
        let decisions = driven.decisions();
        prop_assert_eq!(decisions.verify().mismatches, vec![]);
        prop_assert_eq!(read(text(&decisions).as_bytes()), Ok(vec![decisions]));
    }
}

/// A campaign of which #1 was discarded, #2 approved, #3 compared with the source too and rejected, and #4 is
/// under way.
fn campaign_of_four() -> Decisions {
    let mut driven = Driven::searching(sequential(6, |_| {}), 6);
    driven.propose(1);
    driven.compare(equal);
    driven.propose(2);
    driven.compare(better);
    driven.command(Command::Approve { experiment: driven.pending(), reason: None }).unwrap();
    driven.propose(3);
    driven.compare(better);
    let experiment = driven.pending();
    driven.command(Command::Reject { experiment, reason: "no".to_owned() }).unwrap();
    driven.propose(4);
    driven.round(equal);
    driven.decisions()
}

/// A change of an export, and what verifying it must name first of all: the experiment and the field.
type Tampering = (&'static str, fn(&mut Decisions), Option<u32>, &'static str);

const TAMPERINGS: [Tampering; 24] = [
    ("a flipped gain", |it| gain(it, 20), Some(2), "cases won less those lost"),
    ("a figure out of range", |it| halved(it), Some(2), "figures of"),
    ("a dropped pair", |it| drop(it.pairs.remove(20)), Some(2), "pairs of comparison batch"),
    ("a dropped batch", |it| drop_batch(it), Some(2), "comparison batches without pairs"),
    ("a swapped first arm", |it| swap(&mut it.pairs[0].pair.first), Some(1), "comparison batch 0"),
    ("another case", |it| rename(it), Some(1), "comparison batch 0[0].case"),
    ("another seed", |it| it.campaign.seed += 1, Some(1), "comparison batch 0"),
    ("a changed stake", |it| stake(it, 1), Some(2), "risk.stake"),
    ("a changed pool", |it| pool(it), Some(3), "risk.pool"),
    ("a changed verdict", |it| verdict(it), Some(1), "judgement.verdict"),
    ("a promotion that was discarded", |it| judged(it), Some(1), "verdict"),
    ("an invented experiment", |it| invent(it), None, "numbers of the experiments"),
    ("invented pairs", |it| it.pairs[0].experiment = 9, Some(9), "experiment of pairs"),
    ("a dropped experiment", |it| drop(it.experiments.pop()), None, "numbers of the experiments"),
    ("an edited alpha", |it| alpha(it), Some(1), "risk.pool"),
    ("an edited bound", |it| n_min(it), Some(1), "judgement.trace"),
    ("a look that should have stopped", |it| go_on(it), Some(1), "look after comparison batch"),
    ("a changed trace figure", |it| bar(it), Some(2), "judgement.evidence.void"),
    ("a changed refund", |it| refund(it), Some(1), "risk.refund"),
    ("no pairs with the source", |it| no_anchor(it), Some(3), "anchor batches without pairs"),
    ("a decision nobody made", |it| it.experiments[1].by = None, Some(2), "decided by a person"),
    ("another baseline", |it| it.experiments[2].baseline_version = 0, Some(3), "baseline[0]"),
    ("a dropped step", |it| drop(it.steps.remove(1)), Some(1), "state"),
    ("unpaid runs", |it| it.evaluations[0].runs += 1, None, "runs"),
];

#[test]
fn every_tampering_with_an_export_is_found_and_named() {
    let honest = campaign_of_four();
    assert_eq!(honest.verify().mismatches, []);
    assert!(honest.experiments[2].judgement.is_some() && honest.verify().decisions == 3);
    for (tampering, change, experiment, what) in TAMPERINGS {
        let mut tampered = honest.clone();
        change(&mut tampered);
        let found = tampered.verify().mismatches;
        let named = |one: &Mismatch| one.experiment == experiment && one.what.starts_with(what);
        assert!(found.iter().any(named), "{tampering}: {found:#?}");
    }
}

fn figures(it: &mut Decisions, place: usize) -> &mut crate::judge::pair::PairFigures {
    it.pairs[place].pair.figures.as_mut().unwrap()
}

fn gain(it: &mut Decisions, place: usize) {
    figures(it, place).gain = Difference::LESS;
}

fn halved(it: &mut Decisions) {
    it.pairs.iter().position(|pair| pair.experiment == 2).map_or_else(
        || panic!("#2 has pairs"),
        |place| figures(it, place).gain = Difference::try_from(500_000).unwrap(),
    );
}

fn drop_batch(it: &mut Decisions) {
    let last =
        it.pairs.iter().filter(|pair| pair.experiment == 2).map(|pair| pair.pair.batch).max();
    it.pairs.retain(|pair| pair.experiment != 2 || Some(pair.pair.batch) != last);
}

fn swap(first: &mut Arm) {
    *first = match first {
        Arm::Baseline => Arm::Candidate,
        Arm::Candidate => Arm::Baseline,
    };
}

fn rename(it: &mut Decisions) {
    it.pairs[0].pair.case = it.pairs[1].pair.case.clone();
}

fn stake(it: &mut Decisions, place: usize) {
    let risk = it.experiments[place].risk.as_mut().unwrap();
    risk.stake = risk.stake.shared_by(2);
}

fn pool(it: &mut Decisions) {
    let risk = it.experiments[2].risk.as_mut().unwrap();
    risk.pool = risk.pool.shared_by(2);
}

fn verdict(it: &mut Decisions) {
    it.experiments[0].judgement.as_mut().unwrap().verdict = Verdict::Promote;
}

fn judged(it: &mut Decisions) {
    let of_first = |step: &&mut StepLine| matches!(step, StepLine::Judged { experiment: 1, .. });
    if let Some(StepLine::Judged { verdict, .. }) = it.steps.iter_mut().find(of_first) {
        *verdict = Verdict::Promote;
    }
    it.experiments[0].state = StateName::Recommended;
}

fn invent(it: &mut Decisions) {
    let mut invented = it.experiments[1].clone();
    invented.number = 5;
    it.experiments.push(invented);
}

fn rules(it: &mut Decisions) -> &mut Sequential {
    match &mut it.campaign.rule {
        Rule::Sequential(rules) => rules,
        Rule::Point { .. } => panic!("the rule is sequential"),
    }
}

fn alpha(it: &mut Decisions) {
    rules(it).alpha = PerMillion(60_000);
}

fn n_min(it: &mut Decisions) {
    rules(it).mde = PerMillion(160_000);
}

fn go_on(it: &mut Decisions) {
    let last = it.pairs.iter().rposition(|pair| pair.experiment == 1).unwrap();
    let again: Vec<_> = it.pairs[..8].to_vec();
    let next = it.pairs[last].pair.batch + 1;
    let again = again.into_iter().map(|mut pair| {
        pair.pair.batch = next;
        pair
    });
    it.pairs.splice(last + 1..=last, again);
}

fn bar(it: &mut Decisions) {
    it.experiments[1].judgement.as_mut().unwrap().evidence.as_mut().unwrap().void += 1;
}

fn refund(it: &mut Decisions) {
    let risk = it.experiments[0].risk.as_mut().unwrap();
    risk.refund = Some(risk.stake.shared_by(2));
}

fn no_anchor(it: &mut Decisions) {
    it.pairs.retain(|pair| pair.purpose != sample::Purpose::Anchor);
}
