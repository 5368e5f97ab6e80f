use super::*;
use crate::campaign::ledger::Allowance;
use crate::digest::Digest;
use crate::id::CampaignId;
use crate::judge::sample;
use crate::outcome::Usage;
use crate::pack::Split;
use crate::quantity::{Fraction, Timestamp};
use crate::workflow::Fingerprint;

const A: &str = "a";
const B: &str = "b";

fn candidate(name: &str) -> ExperimentId {
    ExperimentId::derive(&[name.as_bytes()])
}

fn side(name: &str) -> Side {
    Side::Candidate { candidate: candidate(name) }
}

fn missing(side: Side, attempt: u32, cases: &[u32]) -> Missing {
    Missing { side, attempt, cases: cases.to_vec() }
}

fn measure(passes: bool) -> CaseMeasure {
    CaseMeasure {
        passes,
        checks: Fraction::new(u64::from(passes), 1),
        unmet: u64::from(!passes),
        blocked: Fraction::new(0, 1),
        within_limits: true,
        usage: Usage::default(),
    }
}

fn passed(_: Side, _: u32) -> Option<End> {
    Some(End::Measured(measure(true)))
}

fn failed(_: Side, _: u32) -> Option<End> {
    Some(End::Measured(measure(false)))
}

/// A batch whose rounds are measured one after another.
struct Played {
    pairing: Pairing,
    candidates: Vec<ExperimentId>,
    landed: Landings,
}

impl Played {
    fn new(cases: &[u32], candidates: &[&str]) -> Self {
        let candidates: Vec<_> = candidates.iter().copied().map(candidate).collect();
        let first =
            |case: &u32| if case.is_multiple_of(2) { Arm::Baseline } else { Arm::Candidate };
        let drawn = cases.iter().map(|case| Drawn { case: *case, first: first(case) });
        let pairing = Pairing::new(0, drawn.collect(), &candidates);
        Self { pairing, candidates, landed: Landings::new() }
    }

    /// Puts what is missing in flight.
    fn queue(&mut self) {
        let round = self.pairing.next_round();
        for Missing { side, attempt, cases } in std::mem::take(&mut self.pairing.missing) {
            let (experiment, batch) = (self.candidates[0], self.pairing.batch);
            let pairs = sample::Purpose::Comparison;
            let purpose = Purpose::Paired { experiment, pairs, side, batch, round, attempt };
            self.pairing.open.push(Evaluation {
                id: purpose.evaluation_id(&CampaignId::new("c").unwrap(), 0),
                purpose,
                snapshot: Digest::of(b""),
                fingerprint: Fingerprint(Digest::of(b"")),
                split: Split::Search,
                queued_at: Timestamp(0),
                allowance: Allowance::default(),
                continued_at: None,
                requeued: 0,
                drawn: Some(cases),
            });
        }
    }

    /// Measures what is missing; `end` says what becomes of each run.
    fn round(&mut self, end: impl Fn(Side, u32) -> Option<End>) {
        self.queue();
        for open in std::mem::take(&mut self.pairing.open) {
            let Purpose::Paired { side, .. } = open.purpose else { panic!("{:?}", open.purpose) };
            let run = |place: &u32| {
                let case = CaseId::new(format!("case-{place}")).unwrap();
                Some((*place, Landed { case, end: end(side, *place)? }))
            };
            let runs = open.drawn.iter().flatten().filter_map(run).collect();
            assert_eq!(self.landed.insert(open.id, runs), None, "each round has its own ids");
            self.pairing.ended.push(open);
        }
        let standing = self.pairing.standing(&self.candidates, &self.landed);
        if let Standing::Incomplete(missing) = standing {
            self.pairing.missing = missing;
        }
    }

    fn pairs(&self, name: &str) -> Vec<Pair> {
        match self.pairing.standing(&self.candidates, &self.landed) {
            Standing::Complete(pairs) => pairs[&candidate(name)].clone(),
            Standing::Incomplete(missing) => panic!("{missing:?} is missing"),
        }
    }

    fn sides(&self, name: &str) -> Vec<Option<[CaseMeasure; 2]>> {
        self.pairs(name).into_iter().map(|pair| pair.sides).collect()
    }
}

#[test]
fn a_group_shares_one_control_run_for_each_case() {
    let mut played = Played::new(&[4, 2], &[A, B]);
    assert_eq!(played.pairing.missing.len(), 3, "{:?}", played.pairing.missing);
    assert!(played.pairing.missing.contains(&missing(Side::Control, 0, &[4, 2])));
    played.round(passed);
    let both = Some([measure(true); 2]);
    assert_eq!((played.sides(A), played.sides(B)), (vec![both; 2], vec![both; 2]));
}

#[test]
fn the_sides_of_a_pair_start_next_to_each_other_in_the_order_that_was_drawn() {
    let mut played = Played::new(&[4, 1], &[A]);
    played.queue();
    let sides: Vec<_> = played
        .pairing
        .order()
        .into_iter()
        .map(|(id, case)| {
            let open = played.pairing.open.iter().find(|open| open.id == id).unwrap();
            (case, open.is_control())
        })
        .collect();
    assert_eq!(sides, [(4, true), (4, false), (1, false), (1, true)]);
}

#[test]
fn a_fault_on_one_side_measures_both_again_and_leaves_the_other_pairs() {
    let mut played = Played::new(&[0, 1], &[A]);
    played.round(|side, case| match (side, case) {
        (Side::Candidate { .. }, 1) => Some(End::Void),
        _ => passed(side, case),
    });
    let again = [missing(Side::Control, 1, &[1]), missing(side(A), 1, &[1])];
    assert_eq!(played.pairing.missing, again);
    played.round(failed);
    let pairs = played.pairs(A);
    assert_eq!(pairs[0].sides, Some([measure(true); 2]));
    assert_eq!(pairs[1].sides, Some([measure(false); 2]), "both are of one attempt");
    assert_eq!(pairs[1].first_faults, [false, true]);
}

#[test]
fn a_fault_of_the_shared_control_ends_the_attempt_of_every_candidate_of_that_case() {
    let mut played = Played::new(&[0, 1], &[A, B]);
    played.round(|side, case| match (side, case) {
        (Side::Control, 0) => Some(End::Void),
        _ => passed(side, case),
    });
    let wanted = &played.pairing.missing;
    assert_eq!(wanted.len(), 3, "{wanted:?}");
    for side in [Side::Control, side(A), side(B)] {
        assert!(wanted.contains(&missing(side, 1, &[0])), "{wanted:?}");
    }
}

#[test]
fn a_pair_that_faults_in_every_attempt_adds_nothing() {
    let mut played = Played::new(&[7], &[A]);
    for _ in 0..=FAULT_RETRIES_MAX {
        assert!(!played.pairing.missing.is_empty());
        played.round(|side, case| match side {
            Side::Control => Some(End::Void),
            Side::Candidate { .. } => passed(side, case),
        });
    }
    let pairs = played.pairs(A);
    assert_eq!((pairs[0].sides, pairs[0].first_faults), (None, [true, false]));
}

#[test]
fn what_was_stopped_is_measured_again_without_an_attempt_and_what_had_ended_stays() {
    let mut played = Played::new(&[0, 1], &[A]);
    played.round(|side, case| match (side, case) {
        (Side::Candidate { .. }, 0) => Some(End::Stopped),
        // The record of this one is gone.
        (Side::Control, 1) => None,
        _ => passed(side, case),
    });
    let again = [missing(Side::Control, 0, &[1]), missing(side(A), 0, &[0])];
    assert_eq!(played.pairing.missing, again);
    played.round(failed);
    let (passes, fails) = (measure(true), measure(false));
    assert_eq!(played.sides(A), [Some([passes, fails]), Some([fails, passes])]);
}
