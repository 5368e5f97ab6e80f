//! Candidate generation: all candidates of a workflow, and the next one of a campaign, beside a
//! plain reference in the same run. The last lines are ratios; they mean the same on any machine.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion};
use optim_benches::measure::{exponent, float, median_ns};
use optim_benches::{reference, workload};
use optim_core::mutation::Mutation;
use optim_core::proposal::rules::{Rules, Stream};
use optim_core::proposal::{Cursor, Offer, Prepared, Proposal};
use optim_core::workflow::Workflow;

const SIZES: [usize; 5] = [10, 20, 100, 1000, 5000];
/// The sizes that the reference can handle in a benchmark.
const REFERENCE_SIZES: [usize; 3] = [10, 20, 100];
/// Candidates that the reference is timed on.
const SAMPLE: usize = 200;
/// Proposals that a campaign has tried already, and those after them that are timed, one by one.
const TRIED: usize = 50;
const NEXT: usize = 50;

fn prepare(workflow: &Arc<Workflow>) -> Prepared {
    let prepared = Prepared::new(Arc::clone(workflow), workload::policy(), workload::scope());
    prepared.unwrap_or_else(|error| unreachable!("{error}"))
}

/// All candidates: generated, validated, identified. Returns how many there are.
fn all(workflow: &Arc<Workflow>, rules: &Rules) -> usize {
    let prepared = prepare(workflow);
    let offers = rules.stream(&prepared, Cursor::default());
    offers
        .filter(|offer| matches!(black_box(offer), Offer::Proposal(_)))
        .count()
}

/// Where a campaign stood before each of its proposals after the first [`TRIED`].
fn cursors(rules: &Rules, prepared: &Prepared) -> Vec<Cursor> {
    let mut stream = rules.stream(prepared, Cursor::default());
    let mut cursors = Vec::new();
    while cursors.len() < TRIED + NEXT {
        cursors.push(stream.cursor());
        black_box(next(&mut stream));
    }
    cursors.split_off(TRIED)
}

fn next(stream: &mut Stream<'_>) -> Option<Proposal> {
    stream.find_map(Offer::proposal)
}

/// The next proposal at each of `cursors`, each time in a stream of its own.
fn all_next(rules: &Rules, prepared: &Prepared, cursors: &[Cursor]) {
    for cursor in cursors {
        black_box(next(&mut rules.stream(prepared, *cursor)));
    }
}

fn benchmarks(criterion: &mut Criterion, rules: &Rules) {
    let mut group = criterion.benchmark_group("candidates");
    group.sample_size(10);
    for count in SIZES {
        let workflow = Arc::new(workload::workflow(count));
        group.bench_with_input(
            BenchmarkId::new("all", count),
            &workflow,
            |bencher, workflow| {
                bencher.iter(|| all(workflow, rules));
            },
        );
    }
    for count in [20, 5000] {
        let prepared = prepare(&Arc::new(workload::workflow(count)));
        let cursors = cursors(rules, &prepared);
        group.bench_function(BenchmarkId::new("next fifty", count), |bencher| {
            bencher.iter(|| all_next(rules, &prepared, &cursors));
        });
    }
    group.finish();
}

/// Nanoseconds for each candidate of the reference, which must agree on how many there are.
fn reference_ns(count: usize, mutations: &[Mutation]) -> f64 {
    let (baseline, policy) = (workload::workflow(count), workload::policy());
    let stride = mutations.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<_> = mutations.iter().step_by(stride).collect();
    let run = || {
        sample
            .iter()
            .map(|mutation| reference::candidate(&baseline, mutation, &policy))
    };
    let distinct: BTreeSet<_> = run().flatten().collect();
    assert_eq!(
        distinct.len(),
        sample.len(),
        "the reference accepts the same candidates"
    );
    median_ns(5, || drop(black_box(run().collect::<Vec<_>>()))) / float(sample.len())
}

#[expect(clippy::print_stdout, reason = "the report is the purpose")]
fn report(rules: &Rules) {
    println!("\n  nodes  candidates   all (ms)  each (ns)  growth  reference each (ns)   ratio");
    let mut before: Option<(usize, f64)> = None;
    for count in SIZES {
        let workflow = Arc::new(workload::workflow(count));
        let candidates = all(&workflow, rules);
        let ns = median_ns(if count > 100 { 7 } else { 41 }, || {
            black_box(all(&workflow, rules));
        });
        let each = ns / float(candidates);
        let growth = before.map_or("-".to_owned(), |before| {
            format!("{:.2}", exponent(before, (count, ns)))
        });
        before = Some((count, ns));
        let prepared = prepare(&workflow);
        let beside = if REFERENCE_SIZES.contains(&count) {
            let offers = rules.stream(&prepared, Cursor::default());
            let mutations: Vec<_> = offers
                .filter_map(Offer::proposal)
                .map(|p| p.mutation)
                .collect();
            let reference = reference_ns(count, &mutations);
            format!("{reference:>19.0} {:>6.0}x", reference / each)
        } else {
            String::new()
        };
        println!(
            "{count:>7} {candidates:>11} {:>10.3} {each:>10.0} {growth:>7} {beside}",
            ns / 1e6
        );
    }
    let next = [20, 5000].map(|count| {
        let prepared = prepare(&Arc::new(workload::workflow(count)));
        let cursors = cursors(rules, &prepared);
        median_ns(401, || all_next(rules, &prepared, &cursors)) / float(NEXT)
    });
    let [small, large] = next;
    println!(
        "\nnext proposal: {small:.0} ns at 20 nodes, {large:.0} ns at 5000: {:.2}x",
        large / small
    );
}

fn main() {
    let rules = Rules::new(&workload::objective(), 7);
    let mut criterion = Criterion::default().configure_from_args();
    if std::env::var_os("ONLY").is_none() {
        benchmarks(&mut criterion, &rules);
    }
    criterion.final_summary();
    report(&rules);
}
