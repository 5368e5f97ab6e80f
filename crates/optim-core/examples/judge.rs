//! The verdict on figures of one's own. `cargo run --example judge`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use optim_core::judge::{Evidence, judge_by};
use optim_core::metrics::Metrics;
use optim_core::policy::{Rule, Score};
use optim_core::quantity::Fraction;

fn main() {
    let metrics = |passed, replicates: u32| Metrics {
        replicates,
        cases: Fraction::new(passed, 100 * u64::from(replicates)),
        within_limits: true,
        ..Metrics::default()
    };
    let evidence =
        Evidence { cases: Vec::new(), baseline: metrics(124, 2), candidate: metrics(71, 1) };
    let judgement = judge_by(&Rule::point(), Score::AllOrNothing, &evidence);
    println!("{:?}: {}", judgement.verdict, judgement.reason);
    for rule in &judgement.trace {
        println!("  {} {}: {}", if rule.fired { '>' } else { ' ' }, rule.rule, rule.detail);
    }
}
