//! Tables and laws of the scheduler.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::plan::Class::{self, Evaluation, Production};
use super::workspace::CanonicalPath;
use super::*;

/// The run with this number.
fn run(number: u32) -> RunId {
    RunId::derive(&[&number.to_be_bytes()])
}

/// Folders that exist on any machine; `/` contains the others.
fn folder(path: &str) -> CanonicalPath {
    CanonicalPath::resolve(path.as_ref()).unwrap()
}

fn entry(number: u32, campaign: &str, class: Class, workspace: Option<&str>) -> Entry {
    let campaign = CampaignId::new(campaign).unwrap();
    Entry { run: run(number), campaign, class, workspace: workspace.map(folder) }
}

/// Entries numbered from 0: campaign, class, workspace.
fn queue(entries: &[(&str, Class, Option<&str>)]) -> Vec<Entry> {
    let numbered = (0..).zip(entries);
    numbered
        .map(|(number, (campaign, class, path))| entry(number, campaign, *class, *path))
        .collect()
}

fn planned(queue: &[Entry], capacity: usize, admitted: &[&Entry], turns: &[&str]) -> Plan {
    let turns: Vec<_> = turns.iter().map(|id| CampaignId::new(*id).unwrap()).collect();
    plan(queue, Room { capacity, admitted, turns: &turns })
}

#[test]
fn campaigns_take_turns_and_each_keeps_its_own_order() {
    let case = |campaign| (campaign, Evaluation, None);
    let queue = queue(&[case("a"), case("a"), case("a"), case("b"), case("c"), case("b")]);
    for (turns, capacity, start) in [
        (["a", "b", "c"], 6, vec![0, 3, 4, 1, 5, 2]),
        (["c", "b", "a"], 6, vec![4, 3, 0, 5, 1, 2]),
        (["b", "c", "a"], 2, vec![3, 4]),
        (["a", "b", "c"], 0, vec![]),
    ] {
        assert_eq!(planned(&queue, capacity, &[], &turns).start, start, "{turns:?} {capacity}");
    }
    assert_eq!(planned(&queue, 2, &[], &["b"]).start, [3, 0], "who has no turn yet comes last");
}

#[test]
fn evaluation_yields_to_production() {
    let queue = queue(&[("a", Evaluation, None), ("a", Production, None), ("b", Production, None)]);
    let plan = planned(&queue, 2, &[], &["a", "b"]);
    assert_eq!(plan, Plan { start: vec![1, 2], wait: vec![(0, Blocked::Capacity)] });
}

#[test]
fn a_locked_workspace_holds_back_only_those_that_want_it() {
    let holder = entry(9, "z", Production, Some("/usr"));
    let queue = queue(&[
        ("a", Production, Some("/usr/bin/..")),
        ("a", Production, Some("/usr/lib")),
        ("a", Production, Some("/")),
        ("a", Production, Some("/proc")),
        ("b", Evaluation, None),
        ("b", Evaluation, None),
    ]);
    let plan = planned(&queue, 2, &[&holder], &["a", "b"]);
    let held = |by| Blocked::Workspace { holder: run(by) };
    // `/` waits for `/usr`; `/proc` is inside it and would keep it waiting.
    let wait = vec![(0, held(9)), (1, held(9)), (2, held(9)), (3, held(2)), (5, Blocked::Capacity)];
    assert_eq!(plan, Plan { start: vec![4], wait });
}

#[test]
fn a_run_whose_workspace_is_held_costs_its_campaign_no_turn() {
    let holder = entry(9, "z", Production, Some("/usr"));
    let queue = queue(&[
        ("a", Production, Some("/usr")),
        ("a", Production, None),
        ("b", Production, None),
        ("b", Production, None),
    ]);
    assert_eq!(planned(&queue, 2, &[&holder], &["a", "b"]).start, [1]);
}

#[test]
fn turns_go_on_from_one_plan_to_the_next() {
    let case = |campaign| (campaign, Evaluation, None);
    let mut queue = queue(&[case("a"), case("b"), case("b"), case("a"), case("a")]);
    let mut scheduler = Scheduler::new(1);
    let mut served = Vec::new();
    while !queue.is_empty() {
        let [admission] = scheduler.admit(&mut queue)[..] else { panic!("one slot is free") };
        served.push(admission.run);
        assert!(scheduler.release(admission.id));
    }
    assert_eq!(served, [0, 1, 3, 2, 4].map(run));
}

#[test]
fn the_late_end_of_an_earlier_admission_gives_back_nothing_of_the_new_one() {
    let again = || vec![entry(0, "a", Production, Some("/usr"))];
    let mut scheduler = Scheduler::new(2);
    let first = scheduler.admit(&mut again())[0];
    assert!(
        scheduler.admit(&mut again()).is_empty(),
        "its workspace is not free before its worker has ended"
    );
    assert!(scheduler.release(first.id));
    let second = scheduler.admit(&mut again())[0];
    assert_ne!(first.id, second.id);
    assert!(!scheduler.release(first.id));
    let metrics = scheduler.metrics();
    assert_eq!((metrics.active, metrics.admitted_total, metrics.released_total), (1, 2, 1));
}

#[test]
fn waiting_runs_are_counted_by_reason() {
    let mut scheduler = Scheduler::new(1);
    let mut queue = queue(&[
        ("a", Production, Some("/usr")),
        ("b", Production, Some("/usr/lib")),
        ("c", Evaluation, None),
        ("c", Evaluation, None),
    ]);
    scheduler.admit(&mut queue);
    let metrics = scheduler.metrics();
    assert_eq!((metrics.waiting_for_capacity, metrics.waiting_for_workspace), (2, 1));
}

const CAMPAIGNS: [&str; 3] = ["a", "b", "c"];
const FOLDERS: [Option<&str>; 5] =
    [None, Some("/"), Some("/usr"), Some("/usr/bin/.."), Some("/proc")];

/// A run that comes: its campaign, whether it is production, its folder.
fn arrival() -> impl Strategy<Value = (usize, bool, usize)> {
    (0..CAMPAIGNS.len(), any::<bool>(), 0..FOLDERS.len())
}

fn arrived(number: u32, (campaign, urgent, folder): (usize, bool, usize)) -> Entry {
    let class = if urgent { Production } else { Evaluation };
    entry(number, CAMPAIGNS[campaign], class, FOLDERS[folder])
}

proptest! {
    #[test]
    fn there_are_never_more_runs_than_slots_nor_two_in_one_workspace(
        steps in prop::collection::vec((prop::collection::vec(arrival(), 0..4), any::<prop::sample::Index>()), 1..40),
        capacity in 1_u32..5,
    ) {
        let mut scheduler = Scheduler::new(capacity);
        let mut queue = Vec::new();
        let mut active = BTreeMap::new();
        let mut known = BTreeMap::new();
        let mut number = 0;
        for (arrivals, leaving) in steps {
            for shape in arrivals {
                let entry = arrived(number, shape);
                known.insert(entry.run, entry.clone());
                queue.push(entry);
                number += 1;
            }
            for admission in scheduler.admit(&mut queue) {
                active.insert(admission.id, known[&admission.run].clone());
            }
            prop_assert!(active.len() <= usize::try_from(capacity).unwrap());
            prop_assert_eq!(scheduler.metrics().active, active.len());
            let held: Vec<_> = active.values().filter_map(|entry| entry.workspace.as_ref()).collect();
            for (index, one) in held.iter().enumerate() {
                prop_assert!(!held[index + 1..].iter().any(|other| one.conflicts_with(other)));
            }
            // Whoever can start has started.
            let full = active.len() == usize::try_from(capacity).unwrap();
            prop_assert!(full || queue.iter().all(|entry| entry.workspace.is_some()));
            if let Some(id) = active.keys().nth(leaving.index(active.len().max(1))).copied() {
                prop_assert!(scheduler.release(id));
                active.remove(&id);
            }
        }
        prop_assert_eq!(known.len(), queue.len() + usize::try_from(scheduler.metrics().admitted_total).unwrap());
    }

    #[test]
    fn nobody_starves_however_many_come_later(
        waiting in prop::collection::vec(arrival(), 0..12),
        (campaign, _, place) in arrival(),
        later in prop::collection::vec((0..CAMPAIGNS.len(), Just(false), 0..FOLDERS.len()), 1..8),
        capacity in 1_u32..4,
    ) {
        let mut scheduler = Scheduler::new(capacity);
        let mut queue: Vec<_> = (1..).zip(&waiting).map(|(number, shape)| arrived(number, *shape)).collect();
        queue.push(arrived(0, (campaign, false, place)));
        let slots = usize::try_from(capacity).unwrap();
        let bound = (waiting.len() + 1) * (CAMPAIGNS.len() + slots);
        let mut active = std::collections::VecDeque::new();
        let mut number = 1000;
        let admitted = (0..=bound).any(|_| {
            let admissions = scheduler.admit(&mut queue);
            let there = admissions.iter().any(|admission| admission.run == run(0));
            active.extend(admissions.iter().map(|admission| admission.id));
            // The one that is at work longest ends, and more come than can be worked off.
            if let Some(id) = active.pop_front() {
                scheduler.release(id);
            }
            for shape in &later {
                queue.push(arrived(number, *shape));
                number += 1;
            }
            there
        });
        prop_assert!(admitted, "still waiting after {bound} plans");
    }
}
