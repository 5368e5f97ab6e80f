//! What was decided is decided again from the lines of an export, and whatever was changed in them shows.

use super::comparing::{better, equal, sequential, wander};
use super::*;
use crate::decisions::read::read;
use crate::decisions::verify::Mismatch;
use crate::decisions::{Decisions, ExperimentLine, StateName, StepLine};
use crate::judge::difference::Difference;
use crate::judge::pair::Arm;
use crate::judge::sample;
use crate::pack::{Case, Pack, Role};
use crate::policy::{Rule, Sequential};
use crate::quantity::PerMillion;

/// The cases of the campaigns here. Those of either split have the same names.
fn pack(holdout_cases: u32) -> Pack {
    let case = |role| {
        move |index| Case {
            id: CaseId::new(format!("case-{index}")).unwrap(),
            inputs: serde_json::Map::new(),
            expect: Vec::new(),
            role,
        }
    };
    let holdout = (0..u64::from(holdout_cases)).map(case(Role::Holdout));
    let cases = (0..CASES).map(case(Role::Search)).chain(holdout).collect();
    Pack { digest: Digest::of(b"pack"), cases }
}

impl Driven {
    fn decisions(&self) -> Decisions {
        let experiments: Vec<_> = self.experiments.values().cloned().collect();
        Decisions::of(
            &self.campaign,
            &pack(self.campaign.frozen.holdout_cases),
            &experiments,
            &self.told,
            &self.runs,
        )
    }
}

fn text(decisions: &Decisions) -> String {
    let lines = decisions.lines().map(|line| serde_json::to_string(&line).unwrap());
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

#[test]
fn whatever_happens_to_a_campaign_its_decisions_are_made_again_from_its_lines() {
    let mut seen = BTreeSet::new();
    for seed in 0..16 {
        for steps in [25 + 15 * seed, 400] {
            let decisions = wander(seed, steps).decisions();
            assert_eq!(decisions.verify().mismatches, [], "seed {seed}, {steps} steps");
            assert_eq!(read(text(&decisions).as_bytes()), Ok(vec![decisions.clone()]));
            seen.extend(decisions.pairs.iter().map(|line| format!("{:?}", line.purpose)));
            seen.extend(decisions.steps.iter().map(|step| match step {
                StepLine::Judged { verdict, .. } => format!("{verdict:?}"),
                step => format!("{step:?}").chars().take_while(|one| *one != ' ').collect(),
            }));
        }
    }
    for wanted in [
        "Comparison",
        "Extension",
        "Anchor",
        "Confirmation",
        "Opened",
        "Promote",
        "Discard",
        "NeedsOperatorReview",
        "PairsAdded",
        "Superseded",
        "Approved",
        "Rejected",
    ] {
        assert!(seen.contains(wanted), "{wanted} is not in {seen:?}");
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

/// A change of an experiment's line where there is something to change, and what must be named.
type Change = (fn(&mut ExperimentLine) -> bool, &'static str);

#[test]
fn what_a_person_added_was_told_and_decided_is_held_against_the_record() {
    let has_all = |decisions: &Decisions| {
        let lines = || decisions.experiments.iter();
        lines().any(|line| line.anyway.is_some())
            && lines().any(|line| line.confirmation.is_some())
            && lines().any(|line| line.risk.is_some_and(|risk| risk.extended > 0))
    };
    let honest = (0..48).map(|seed| wander(seed, 400).decisions()).find(has_all).unwrap();
    let changes: [Change; 4] = [
        (|line| line.anyway.take().is_some(), "anyway"),
        (|line| line.confirmation.take().is_some_and(|_| line.by.is_some()), "confirmation"),
        (
            |line| {
                let confirmation = line.confirmation.as_mut();
                confirmation.and_then(|one| one.gain.as_mut()).is_some_and(|gain| {
                    gain.pairs += 1;
                    true
                })
            },
            "confirmation.gain.pairs",
        ),
        (
            |line| {
                line.risk.as_mut().filter(|risk| risk.extended > 0).is_some_and(|risk| {
                    risk.extended -= 1;
                    true
                })
            },
            "risk.extended",
        ),
    ];
    for (change, what) in changes {
        let mut tampered = honest.clone();
        let number = tampered.experiments.iter_mut().find_map(|line| {
            let number = line.number;
            change(line).then_some(number)
        });
        let found = tampered.verify().mismatches;
        assert!(found.iter().any(|one| one.experiment == number && one.what == what), "{found:#?}");
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
