//! Candidate generation: all candidates of a workflow, and the next one of a campaign, beside a
//! plain reference in the same run. The last lines are ratios; they mean the same on any machine.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use optim_benches::measure::{exponent, float, is_tried_out, median_ns};
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
    offers.filter(|offer| matches!(black_box(offer), Offer::Proposal(_))).count()
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
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(2));
    for count in SIZES {
        let workflow = Arc::new(workload::workflow(count));
        group.bench_with_input(BenchmarkId::new("all", count), &workflow, |bencher, workflow| {
            bencher.iter(|| all(workflow, rules));
        });
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

/// Nanoseconds for each candidate of the reference, which must accept the same ones.
fn reference_ns(baseline: &Workflow, mutations: &[Mutation]) -> f64 {
    let policy = workload::policy();
    let stride = mutations.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<_> = mutations.iter().step_by(stride).collect();
    let run = || sample.iter().map(|mutation| reference::candidate(baseline, mutation, &policy));
    let distinct: BTreeSet<_> = run().flatten().collect();
    assert_eq!(distinct.len(), sample.len(), "the reference accepts the same candidates");
    median_ns(5, || drop(black_box(run().collect::<Vec<_>>()))) / float(sample.len())
}

/// All candidates of one size.
struct Row {
    count: usize,
    candidates: usize,
    /// Preparation included.
    all_ns: f64,
    /// For each candidate.
    reference_ns: Option<f64>,
}

fn row(count: usize, rules: &Rules) -> Row {
    let workflow = Arc::new(workload::workflow(count));
    let prepared = prepare(&workflow);
    let offers = rules.stream(&prepared, Cursor::default());
    let proposals = offers.filter_map(Offer::proposal);
    let mutations: Vec<_> = proposals.map(|proposal| proposal.mutation).collect();
    let has_reference = REFERENCE_SIZES.contains(&count);
    Row {
        count,
        candidates: mutations.len(),
        all_ns: median_ns(if count > 100 { 7 } else { 41 }, || {
            black_box(all(&workflow, rules));
        }),
        reference_ns: has_reference.then(|| reference_ns(&workflow, &mutations)),
    }
}

/// Nanoseconds for the next proposal of a campaign.
fn next_ns(count: usize, rules: &Rules) -> f64 {
    let prepared = prepare(&Arc::new(workload::workflow(count)));
    let cursors = cursors(rules, &prepared);
    median_ns(401, || all_next(rules, &prepared, &cursors)) / float(NEXT)
}

#[expect(clippy::print_stdout, reason = "the report is the purpose")]
fn report(rules: &Rules) {
    println!("\n  nodes  candidates    all (ms)   each (ns)   reference (ns)    ratio");
    let rows = SIZES.map(|count| row(count, rules));
    for Row { count, candidates, all_ns, reference_ns } in &rows {
        let each = all_ns / float(*candidates);
        print!("{count:>7} {candidates:>11} {:>11.3} {each:>11.0}", all_ns / 1e6);
        match reference_ns {
            Some(reference) => println!(" {reference:>16.0} {:>7.0}x", reference / each),
            None => println!(),
        }
    }
    let [_, small, .., large] = &rows;
    let growth = exponent((small.count, small.all_ns), (large.count, large.all_ns));
    println!("\ngrowth from {} to {} nodes: n^{growth:.2}", small.count, large.count);
    let (near, far) = (next_ns(small.count, rules), next_ns(large.count, rules));
    let (few, many) = (small.count, large.count);
    println!(
        "next proposal: {near:.0} ns at {few} nodes, {far:.0} ns at {many}: {:.2}x",
        far / near
    );
}

fn main() {
    let rules = Rules::new(&workload::objective(), 7);
    let mut criterion = Criterion::default().configure_from_args();
    benchmarks(&mut criterion, &rules);
    criterion.final_summary();
    if !is_tried_out() {
        report(&rules);
    }
}
