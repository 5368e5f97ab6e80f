//! How well the rules decide, in worlds where the truth is known:
//! `cargo run --release -p optim-benches --bin decision-quality`.
//!
//! Twelve scenarios, each by the point rule, by the sequential rule, and by the sequential rule with four
//! candidates that share the runs of the baseline. All counts must be those of an independent simulation
//! of the same worlds, so one decision that changes shows. Exits with 1 when a target is missed.
//!
//! The columns: campaigns with a false promotion and the upper end of their 99 % interval; false
//! promotions a campaign; promoted candidates that are worse, and that break a guardrail; of candidates
//! with a gain, the share that was promoted; reviews (promising / guardrail / score / trade-off /
//! unstable); points gained a campaign; campaigns that ended worse; case runs a campaign and a candidate.
#![expect(clippy::print_stdout, reason = "a report for the person who runs it")]

mod campaign;
mod counts;
mod scenarios;
mod world;

use std::error::Error;
use std::process::ExitCode;

use optim_benches::measure::cpu_ns;
use optim_benches::targets::Missed;
use optim_core::judge::comparison::Terms;
use optim_core::judge::error_budget::Stake;
use optim_core::judge::plan::{Forecast, forecast};
use optim_core::policy::{DecisionProfile, Margins, Score, Sequential};
use optim_core::quantity::PerMillion;

use campaign::{Campaign, by_pairs, by_points};
use counts::Counts;
use scenarios::{SCENARIOS, Scenario};

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

fn row(name: &str, rule: &str, counts: &Counts) {
    let Counts { found, campaigns, .. } = counts;
    let share = |number: f64| number / f64::from(*campaigns);
    let power = match found.good {
        0 => "-".to_owned(),
        good => format!("{}/{good} = {:.3}", found.found, counts.power()),
    };
    let reviews = match found.reviews {
        0 => "-".to_owned(),
        _ => counts.reviews.map(|number| number.to_string()).join("/"),
    };
    println!(
        "{name:12} {rule:10} {:>9} {:5.1} % <= {:5.1} % {:6.2} {:5} {:5} {power:>17} {reviews:>14} {:+6.2} {:5.3} \
         {:7.0} {:5.0}",
        format!("{}/{campaigns}", found.any_false),
        100.0 * share(f64::from(found.any_false)),
        100.0 * counts.any_false_at_most(),
        share(f64::from(found.false_promotions)),
        found.regressions,
        found.violators,
        100.0 * share(counts.change),
        share(f64::from(counts.worse)),
        counts.evaluations_per(*campaigns),
        counts.evaluations_per(counts.candidates),
    );
}

/// Runs the campaigns of a scenario by all rules, and prints a row for each.
fn scenario(scenario: &Scenario, missed: &mut Missed) -> Result<(), Box<dyn Error>> {
    let Scenario { name, power_min, violators_max, wanted, .. } = scenario;
    let [mut point, mut sequential, mut group] = <[Counts; 3]>::default();
    for number in 0..scenario.campaigns {
        by_points(Campaign::new(scenario, number, &mut point));
        by_pairs(Campaign::new(scenario, number, &mut sequential), policy(1))?;
        by_pairs(Campaign::new(scenario, number, &mut group), policy(4))?;
    }
    let rules = ["point", "sequential", "group of 4"];
    for ((rule, counts), wanted) in rules.iter().zip([&point, &sequential, &group]).zip(wanted) {
        row(name, rule, counts);
        missed.require(counts.found == *wanted, || {
            format!("{name}, {rule}: {:?}, not {wanted:?}", counts.found)
        });
    }
    for counts in [&sequential, &group] {
        let (bound, violators) = (counts.any_false_at_most(), counts.found.violators);
        missed.require(bound <= 0.05, || format!("{name}: any false promotion may be {bound:.3}"));
        missed.require(violators <= *violators_max, || {
            format!("{name}: {violators} that break a guardrail were promoted")
        });
    }
    let power = sequential.power();
    missed.require(power >= *power_min, || format!("{name}: the power is only {power:.3}"));
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
        "{:12} {:10} {:>28} {:>6} {:>5} {:>5} {:>17} {:>14} {:>6} {:>5} {:>7} {:>5}",
        "scenario",
        "rule",
        "any false, 99 % bound",
        "false",
        "regr",
        "viol",
        "power",
        "reviews",
        "gain",
        "worse",
        "evals",
        "each"
    );
    for one in &SCENARIOS {
        scenario(one, &mut missed)?;
    }
    characteristics(&mut missed);
    let seconds = (cpu_ns() - begin) / 1e9;
    println!("\n{seconds:.1} s of processor time");
    missed.require(seconds < 60.0, || format!("it took {seconds:.1} s, not under 60"));
    Ok(missed.report())
}
