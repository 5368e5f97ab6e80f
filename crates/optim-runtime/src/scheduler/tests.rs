//! Tables and laws of the scheduler.

use std::sync::Arc;

use optim_core::id::{CampaignId, RunId};
use optim_core::quantity::Millis;
use proptest::prelude::*;
use proptest::sample::Index;

use super::entry::Class::{Evaluation, Production};
use super::entry::{Needs, Party};
use super::specification::Plain;
use super::*;

const NOW: Timestamp = Timestamp(1_750_000_000_000);

fn at(millis: u64) -> Timestamp {
    NOW.after(Millis(millis))
}

/// The job with this number.
fn job(number: u32) -> Job {
    Job::Case(RunId::derive(&[&number.to_be_bytes()]))
}

/// Folders that exist on any machine; `/` contains the others.
fn folder(path: &str) -> CanonicalPath {
    CanonicalPath::resolve(path.as_ref()).unwrap()
}

fn provider(name: &str) -> ProviderId {
    ProviderId::new(name).unwrap()
}

fn needs(requests: &[(&str, u32)]) -> Arc<Needs> {
    Arc::new(requests.iter().map(|(name, requests)| (provider(name), *requests)).collect())
}

fn rates(rates: &[(&str, u32)]) -> BTreeMap<ProviderId, RatePerMinute> {
    let rate = |(name, rate): &(&str, u32)| (provider(name), RatePerMinute::new(*rate).unwrap());
    rates.iter().map(rate).collect()
}

fn entry(number: u32, campaign: &str, class: Class, workspace: Option<&str>) -> Entry {
    Entry {
        job: job(number),
        party: Party::Campaign(CampaignId::new(campaign).unwrap()),
        class,
        workspace: workspace.map(folder),
        needs: Arc::default(),
        not_before: None,
    }
}

/// A case run of campaign `a` that calls these providers.
fn calling(number: u32, requests: &[(&str, u32)]) -> Entry {
    Entry { needs: needs(requests), ..entry(number, "a", Evaluation, None) }
}

fn scheduler(capacity: u32, entries: impl IntoIterator<Item = Entry>) -> Scheduler {
    let mut scheduler = Scheduler::new(capacity, BTreeMap::new(), NOW);
    for entry in entries {
        assert!(scheduler.enqueue(entry, NOW));
    }
    scheduler
}

/// Entries numbered from 0: campaign, class, workspace.
fn numbered(entries: &[(&str, Class, Option<&str>)]) -> Vec<Entry> {
    let numbered = (0..).zip(entries);
    numbered
        .map(|(number, (campaign, class, path))| entry(number, campaign, *class, *path))
        .collect()
}

/// The numbers of the jobs that start now.
fn started(scheduler: &mut Scheduler, now: Timestamp) -> Vec<u32> {
    scheduler.admit(now).into_iter().map(|admission| number(admission.job)).collect()
}

fn number(found: Job) -> u32 {
    (0..10_000).find(|number| job(*number) == found).unwrap()
}

/// Lets everything that starts end at once; the numbers in the order of their starts.
fn all_started(scheduler: &mut Scheduler) -> Vec<u32> {
    let mut all = Vec::new();
    loop {
        let admissions = scheduler.admit(NOW);
        if admissions.is_empty() {
            return all;
        }
        for Admission { id, job } in admissions {
            all.push(number(job));
            assert!(scheduler.release(id, Release::Worked, NOW));
        }
    }
}

fn why(scheduler: &Scheduler, number: u32, now: Timestamp) -> Blocked {
    scheduler.why(job(number), now).unwrap().0
}

#[test]
fn campaigns_take_turns_and_each_keeps_its_own_order() {
    let case = |campaign| (campaign, Evaluation, None);
    let queue = numbered(&[case("a"), case("a"), case("a"), case("b"), case("c"), case("b")]);
    for capacity in [1, 2, 6] {
        let mut scheduler = scheduler(capacity, queue.clone());
        assert_eq!(all_started(&mut scheduler), [0, 3, 4, 1, 5, 2], "{capacity}");
    }
}

#[test]
fn who_comes_back_after_its_queue_was_empty_comes_last() {
    let case = |campaign| (campaign, Evaluation, None);
    let mut scheduler = scheduler(1, numbered(&[case("a"), case("b"), case("b")]));
    let first = scheduler.admit(NOW)[0];
    assert!(scheduler.enqueue(entry(3, "c", Evaluation, None), NOW));
    assert!(scheduler.enqueue(entry(4, "a", Evaluation, None), NOW));
    assert!(scheduler.release(first.id, Release::Worked, NOW));
    assert_eq!(all_started(&mut scheduler), [1, 3, 4, 2]);
}

#[test]
fn evaluation_yields_to_production_but_not_for_ever() {
    let production = (0..20).map(|number| entry(number, "p", Production, None));
    let evaluation = (20..23).map(|number| entry(number, "e", Evaluation, None));
    let mut scheduler = scheduler(2, evaluation.chain(production));
    let expected =
        [(0..7).collect(), vec![20], (7..14).collect(), vec![21], (14..20).collect(), vec![22]]
            .concat();
    assert_eq!(all_started(&mut scheduler), expected);
}

#[test]
fn a_locked_workspace_holds_back_only_those_that_want_it() {
    let mut scheduler = scheduler(3, [entry(9, "z", Production, Some("/usr"))]);
    let holder = scheduler.admit(NOW)[0];
    for entry in numbered(&[
        ("a", Production, Some("/usr/bin/..")),
        ("a", Production, Some("/usr/lib")),
        ("a", Production, Some("/")),
        ("a", Production, Some("/proc")),
        ("b", Evaluation, None),
        ("b", Evaluation, None),
        ("b", Evaluation, None),
    ]) {
        assert!(scheduler.enqueue(entry, NOW));
    }
    assert_eq!(started(&mut scheduler, NOW), [4, 5]);
    let held = |by| Blocked::Workspace { holder: job(by) };
    // `/` waits for `/usr`; `/proc` is inside it and would keep it waiting.
    for (number, reason) in [(0, held(9)), (1, held(9)), (2, held(9)), (3, held(2))] {
        assert_eq!(why(&scheduler, number, NOW), reason, "{number}");
    }
    assert_eq!(why(&scheduler, 6, NOW), Blocked::Capacity);
    assert!(scheduler.release(holder.id, Release::Worked, NOW));
    assert_eq!(started(&mut scheduler, NOW), [0]);
}

#[test]
fn a_run_whose_workspace_is_held_costs_its_campaign_no_turn() {
    let mut scheduler = scheduler(2, [entry(9, "z", Production, Some("/usr"))]);
    scheduler.admit(NOW);
    for entry in numbered(&[
        ("a", Production, Some("/usr")),
        ("b", Production, None),
        ("b", Production, None),
        ("a", Production, None),
    ]) {
        assert!(scheduler.enqueue(entry, NOW));
    }
    assert_eq!(started(&mut scheduler, NOW), [3], "the turn of a, and not of the one that waits");
}

#[test]
fn a_job_that_is_queued_again_waits_for_its_former_worker() {
    let again = || entry(0, "a", Evaluation, None);
    let mut scheduler = scheduler(2, [again()]);
    let first = scheduler.admit(NOW)[0];
    assert!(scheduler.enqueue(again(), NOW));
    assert!(!scheduler.enqueue(again(), NOW), "once is enough");
    assert_eq!((started(&mut scheduler, NOW), why(&scheduler, 0, NOW)), (vec![], Blocked::Worker));
    assert!(scheduler.release(first.id, Release::Worked, NOW));
    let second = scheduler.admit(NOW)[0];
    assert_ne!(first.id, second.id);
    assert!(!scheduler.release(first.id, Release::Worked, NOW), "its slot is given back already");
    let metrics = scheduler.metrics();
    assert_eq!((metrics.active, metrics.admitted_total, metrics.released_total), (1, 2, 1));
    assert!(scheduler.holds(job(0)));
}

#[test]
fn a_throttled_provider_holds_back_only_those_that_call_it() {
    let mut scheduler = scheduler(
        4,
        [calling(0, &[("p", 1)]), calling(1, &[("p", 1), ("q", 1)]), calling(2, &[("q", 1)])],
    );
    scheduler.throttle(&provider("p"), at(5000), NOW);
    scheduler.throttle(&provider("p"), at(2000), NOW);
    assert_eq!(started(&mut scheduler, NOW), [2]);
    let until = at(5000);
    for number in [0, 1] {
        let throttled = Blocked::Throttled { provider: provider("p"), until };
        assert_eq!(why(&scheduler, number, NOW), throttled, "the longer wish holds");
    }
    assert_eq!(scheduler.next_due(NOW), Some(until));
    assert_eq!(started(&mut scheduler, at(4999)), Vec::<u32>::new());
    assert_eq!(started(&mut scheduler, until), [0, 1], "it ends by itself");
}

#[test]
fn who_waits_for_a_throttled_provider_keeps_no_workspace_from_others() {
    let wants = |number, name: &str| Entry {
        needs: needs(&[(name, 1)]),
        ..entry(number, "a", Production, Some("/usr"))
    };
    let mut scheduler = scheduler(2, [wants(0, "p"), wants(1, "q"), wants(2, "q")]);
    scheduler.throttle(&provider("p"), at(1000), NOW);
    let [first] = scheduler.admit(NOW)[..] else { panic!("one can start") };
    assert_eq!(first.job, job(1));
    assert_eq!(started(&mut scheduler, at(1000)), Vec::<u32>::new());
    assert!(scheduler.release(first.id, Release::Worked, at(1000)));
    assert_eq!(started(&mut scheduler, at(1000)), [0], "it is the oldest again");
}

#[test]
fn runs_start_as_fast_as_the_rate_allows() {
    let mut scheduler = Scheduler::new(9, rates(&[("p", 60)]), NOW);
    for number in 0..3 {
        scheduler.enqueue(calling(number, &[("p", 2)]), NOW);
    }
    scheduler.enqueue(calling(3, &[("q", 2)]), NOW);
    // As if one had just started before the process did.
    assert_eq!(started(&mut scheduler, NOW), [3]);
    for (number, millis) in [(0, 2000), (1, 4000), (2, 6000)] {
        let limited = Blocked::RateLimit { provider: provider("p"), until: at(millis) };
        assert_eq!(why(&scheduler, number, at(millis - 1)), limited);
        assert_eq!(scheduler.next_due(at(millis - 1)), Some(at(millis)));
        assert_eq!(started(&mut scheduler, at(millis - 1)), Vec::<u32>::new());
        assert_eq!(started(&mut scheduler, at(millis)), [number]);
    }
    assert_eq!(scheduler.next_due(at(6000)), None);
}

proptest! {
    #[test]
    fn a_process_that_is_restarted_again_and_again_keeps_the_rate(
        per_minute in 1_u32..600,
        requests in 1_u32..5,
        steps in prop::collection::vec((1_u64..4000, any::<bool>()), 1..60),
    ) {
        let begin = |now| Scheduler::new(1000, rates(&[("p", per_minute)]), now);
        let (mut scheduler, mut now, mut begun) = (begin(NOW), NOW, Vec::new());
        for (number, (pause, restarts)) in (0_u32..).zip(steps) {
            now = now.after(Millis(pause));
            if restarts {
                scheduler = begin(now);
            }
            scheduler.enqueue(calling(number, &[("p", requests)]), now);
            begun.extend(started(&mut scheduler, now).iter().map(|_| now));
            let minute = begun.iter().filter(|at| now.since(**at) < Millis(60_000)).count();
            let sum = u32::try_from(minute).unwrap() * requests;
            prop_assert!(sum <= per_minute + requests, "{sum} requests of {per_minute}");
        }
    }
}

#[test]
fn a_job_that_needs_two_providers_is_not_passed_for_ever() {
    let mut scheduler = Scheduler::new(100, rates(&[("p", 60), ("q", 60)]), NOW);
    let mut now = at(1000);
    // From here on each is free once a second, the two half a second apart.
    for (number, name) in [(1, "p"), (2, "q"), (3, "p")] {
        scheduler.enqueue(calling(number, &[(name, 1)]), NOW);
        assert_eq!(started(&mut scheduler, now), [number]);
        now = now.after(Millis(500));
    }
    scheduler.enqueue(calling(0, &[("p", 1), ("q", 1)]), now);
    for (number, name) in (10..50).zip(["p", "q"].into_iter().cycle()) {
        scheduler.enqueue(calling(number, &[(name, 1)]), now);
    }
    assert_eq!(started(&mut scheduler, now), Vec::<u32>::new(), "q is free and kept");
    assert_eq!(started(&mut scheduler, now.after(Millis(500))), [0]);
}

#[test]
fn a_job_starts_no_earlier_than_its_time() {
    let delayed = Entry { not_before: Some(at(700)), ..entry(0, "a", Evaluation, None) };
    let mut scheduler = scheduler(1, [delayed, entry(1, "a", Evaluation, None)]);
    assert_eq!(why(&scheduler, 0, NOW), Blocked::Delayed { until: at(700) });
    let other = scheduler.admit(NOW)[0];
    assert_eq!((number(other.job), scheduler.next_due(NOW)), (1, None), "there is no slot");
    scheduler.release(other.id, Release::Worked, at(10));
    assert_eq!(
        (started(&mut scheduler, at(10)), scheduler.next_due(at(10))),
        (vec![], Some(at(700)))
    );
    assert_eq!(started(&mut scheduler, at(700)), [0]);
}

#[test]
fn a_withdrawn_job_leaves_everything_as_if_it_had_never_come() {
    let mut scheduler = scheduler(
        3,
        numbered(&[
            ("a", Production, Some("/")),
            ("b", Production, Some("/usr")),
            ("c", Evaluation, None),
        ]),
    );
    let delayed = Entry { not_before: Some(at(9)), ..entry(3, "d", Evaluation, None) };
    scheduler.enqueue(delayed, NOW);
    for number in [0, 2, 3] {
        assert!(scheduler.withdraw(job(number)));
        assert!(!scheduler.withdraw(job(number)));
    }
    assert_eq!((started(&mut scheduler, NOW), scheduler.next_due(NOW)), (vec![1], None));
    assert_eq!(scheduler.waiting(NOW), []);
}

#[test]
fn what_waits_is_counted_by_reason_with_the_oldest_wait() {
    let mut scheduler = scheduler(
        1,
        numbered(&[("a", Production, Some("/usr")), ("b", Production, Some("/usr/lib"))]),
    );
    scheduler.admit(NOW);
    for number in 2..4 {
        scheduler.enqueue(entry(number, "c", Evaluation, None), at(u64::from(number)));
    }
    let waiting = |why, jobs, since| Waiting { why, jobs, since };
    assert_eq!(
        scheduler.waiting(at(9)),
        [
            waiting(Blocked::Capacity, 2, at(2)),
            waiting(Blocked::Workspace { holder: job(0) }, 1, NOW),
        ]
    );
}

#[test]
fn each_admission_is_counted_once_whatever_becomes_of_it() {
    let mut scheduler = scheduler(2, (0..3).map(|number| entry(number, "a", Evaluation, None)));
    let first = scheduler.admit(at(100));
    for how in [Release::Worked, Release::Worked] {
        scheduler.release(first[0].id, how, at(100));
    }
    scheduler.release(first[1].id, Release::Unused, at(100));
    scheduler.admit(at(300));
    let wait = |wait_mean, wait_p95| (Millis(wait_mean), Millis(wait_p95));
    let Metrics { active, waiting, admitted_total, released_total, completed_total, .. } =
        scheduler.metrics();
    assert_eq!((active, waiting, admitted_total, released_total, completed_total), (1, 0, 3, 2, 1));
    assert_eq!((scheduler.metrics().wait_mean, scheduler.metrics().wait_p95), wait(166, 300));
}

const CAMPAIGNS: [&str; 3] = ["a", "b", "c"];
const FOLDERS: [Option<&str>; 6] =
    [None, None, Some("/"), Some("/usr"), Some("/usr/bin/.."), Some("/proc")];
const NEEDS: [&[(&str, u32)]; 5] =
    [&[], &[("p", 1)], &[("q", 2)], &[("p", 1), ("q", 1)], &[("r", 1)]];

/// What a job that comes is like.
#[derive(Debug, Clone)]
struct Arrival {
    campaign: usize,
    urgent: bool,
    folder: usize,
    needs: usize,
    delay: Option<u64>,
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let delay = prop::option::weighted(0.2, 0_u64..3000);
    (0..CAMPAIGNS.len(), any::<bool>(), 0..FOLDERS.len(), 0..NEEDS.len(), delay).prop_map(
        |(campaign, urgent, folder, needs, delay)| Arrival {
            campaign,
            urgent,
            folder,
            needs,
            delay,
        },
    )
}

fn arrived(number: u32, shape: &Arrival, now: Timestamp) -> Entry {
    let class = if shape.urgent { Production } else { Evaluation };
    Entry {
        needs: needs(NEEDS[shape.needs]),
        not_before: shape.delay.map(|delay| now.after(Millis(delay))),
        ..entry(number, CAMPAIGNS[shape.campaign], class, FOLDERS[shape.folder])
    }
}

/// What happens to a scheduler.
#[derive(Debug, Clone)]
enum Step {
    Arrive(Arrival),
    Again(Index),
    Withdraw(Index),
    End(Index),
    Throttle(&'static str, u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => arrival().prop_map(Step::Arrive),
        1 => any::<Index>().prop_map(Step::Again),
        1 => any::<Index>().prop_map(Step::Withdraw),
        5 => any::<Index>().prop_map(Step::End),
        1 => (prop::sample::select(vec!["p", "q", "r"]), 0_u64..4000).prop_map(|(id, millis)| Step::Throttle(id, millis)),
        4 => (0_u64..1500).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn it_admits_whom_the_specification_admits_and_says_the_same_about_the_others(
        steps in prop::collection::vec(step(), 1..80),
        capacity in 1_u32..5,
    ) {
        let rates = rates(&[("p", 90), ("q", 40)]);
        let mut scheduler = Scheduler::new(capacity, rates.clone(), NOW);
        let mut plain = Plain::new(usize::try_from(capacity).unwrap(), rates, NOW);
        let (mut now, mut number) = (NOW, 0);
        let mut active: Vec<(Admission, Entry)> = Vec::new();
        for step in steps {
            match step {
                Step::Arrive(shape) => {
                    let entry = arrived(number, &shape, now);
                    number += 1;
                    prop_assert!(scheduler.enqueue(entry.clone(), now));
                    plain.enqueue(entry);
                }
                Step::Again(index) if !active.is_empty() => {
                    let entry = index.get(&active).1.clone();
                    scheduler.enqueue(entry.clone(), now);
                    plain.enqueue(entry);
                }
                Step::Withdraw(index) if !plain.queue.is_empty() => {
                    let job = index.get(&plain.queue).job;
                    prop_assert!(scheduler.withdraw(job));
                    plain.withdraw(job);
                }
                Step::End(index) if !active.is_empty() => {
                    let (admission, _) = active.remove(index.index(active.len()));
                    prop_assert!(scheduler.release(admission.id, Release::Worked, now));
                    plain.release(admission.job);
                }
                Step::Throttle(id, millis) => {
                    let until = now.after(Millis(millis));
                    scheduler.throttle(&provider(id), until, now);
                    plain.throttle(&provider(id), until);
                }
                Step::Pass(millis) => now = now.after(Millis(millis)),
                Step::Again(_) | Step::Withdraw(_) | Step::End(_) => {}
            }
            let queue = plain.queue.clone();
            let admissions = scheduler.admit(now);
            let jobs: Vec<_> = admissions.iter().map(|admission| admission.job).collect();
            prop_assert_eq!(jobs, plain.admit(now));
            for admission in admissions {
                let entry = queue.iter().find(|entry| entry.job == admission.job).unwrap();
                active.push((admission, entry.clone()));
            }
            // Never more than slots, nor two in one workspace.
            prop_assert!(active.len() <= usize::try_from(capacity).unwrap());
            let held: Vec<_> = active.iter().filter_map(|(_, entry)| entry.workspace.as_ref()).collect();
            for (index, one) in held.iter().enumerate() {
                prop_assert!(!held[index + 1..].iter().any(|other| one.conflicts_with(other)));
            }
            let reasons = plain.reasons(now);
            prop_assert_eq!(reasons.len(), plain.queue.len());
            for (place, reason) in reasons {
                prop_assert_eq!(scheduler.why(plain.queue[place].job, now).unwrap().0, reason);
            }
            // When it is due and nothing else happens, somebody starts or the reason has changed.
            if let Some(due) = scheduler.next_due(now) {
                prop_assert!(due > now, "{due:?} {now:?}");
            }
            let metrics = scheduler.metrics();
            prop_assert_eq!((metrics.active, metrics.waiting), (active.len(), plain.queue.len()));
            prop_assert_eq!(metrics.admitted_total, metrics.released_total + u64::try_from(active.len()).unwrap());
        }
    }

    #[test]
    fn nobody_starves_however_many_come_later(
        waiting in prop::collection::vec(arrival(), 0..12),
        last in arrival(),
        later in prop::collection::vec(arrival(), 1..8),
        capacity in 1_u32..4,
    ) {
        let sedate = |shape: &Arrival| Arrival { needs: 0, delay: None, ..shape.clone() };
        let mut scheduler = Scheduler::new(capacity, BTreeMap::new(), NOW);
        for (number, shape) in (1..).zip(&waiting) {
            scheduler.enqueue(arrived(number, &sedate(shape), NOW), NOW);
        }
        scheduler.enqueue(arrived(0, &Arrival { urgent: true, ..sedate(&last) }, NOW), NOW);
        let slots = usize::try_from(capacity).unwrap();
        let bound = 2 * (waiting.len() + 1) * (CAMPAIGNS.len() + slots);
        let mut active = std::collections::VecDeque::new();
        let mut number = 1000;
        let admitted = (0..=bound).any(|_| {
            let admissions = scheduler.admit(NOW);
            let there = admissions.iter().any(|admission| admission.job == job(0));
            active.extend(admissions.iter().map(|admission| admission.id));
            // The one that is at work longest ends, and more come than can be worked off.
            if let Some(id) = active.pop_front() {
                scheduler.release(id, Release::Worked, NOW);
            }
            for shape in &later {
                scheduler.enqueue(arrived(number, &sedate(shape), NOW), NOW);
                number += 1;
            }
            there
        });
        prop_assert!(admitted, "still waiting after {bound} rounds");
    }
}
