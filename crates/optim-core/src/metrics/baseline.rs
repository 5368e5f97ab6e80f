//! Whether the replays of a baseline agree, and when another one is due.

use std::collections::{BTreeMap, BTreeSet};

use crate::campaign::{CaseMark, Replay};
use crate::id::CaseId;
use crate::policy::{EvalPolicy, Rule};
use crate::quantity::{Fraction, Millis, PerMillion, Timestamp};

use super::Metrics;

/// Why replays of one definition are no baseline, with the figures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Instability {
    /// There are too few.
    #[error("{found} of {required} replays are recorded")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many are needed.
        required: usize,
    },
    /// A replay broke a limit.
    #[error("a replay broke a limit of the workflow; raise the limit or make the workflow cheaper")]
    OverLimits,
    /// A replay has too many void case runs to say anything.
    #[error(
        "{share} case runs of a replay gave no outcome, at most {limit} of them may; see why they failed, and resume"
    )]
    TooManyVoid {
        /// The void case runs, of all.
        share: Fraction,
        /// The policy's limit.
        limit: PerMillion,
    },
    /// A share differs too much between replays.
    #[error("{metric} differs by more than {limit} between replays: {low} and {high}")]
    Spread {
        /// The metric's name on the wire.
        metric: &'static str,
        /// The lowest value.
        low: String,
        /// The highest value.
        high: String,
        /// The policy's limit.
        limit: String,
    },
    /// Too many cases change their outcome between replays.
    #[error(
        "{flaky} of {cases} cases change their outcome between replays, at most {limit} of them may: {examples}"
    )]
    Flaky {
        /// How many.
        flaky: usize,
        /// Of how many.
        cases: usize,
        /// The policy's limit.
        limit: String,
        /// The first few, by id.
        examples: String,
    },
}

/// How many replays a baseline needs; at least one.
#[must_use]
pub fn required(eval: &EvalPolicy) -> usize {
    usize::try_from(eval.campaign_start_baseline_runs.max(1)).unwrap_or(usize::MAX)
}

/// The replays that count: the last ones that the policy asks for.
#[must_use]
pub fn counting<'a>(replays: &'a [Replay], eval: &EvalPolicy) -> &'a [Replay] {
    replays.get(replays.len().saturating_sub(required(eval))..).unwrap_or(replays)
}

/// What share of itself a metric has in a replay.
type Share = fn(&Metrics, &EvalPolicy) -> Fraction;

/// The baseline's metrics: the last required replays together, if they agree.
///
/// # Errors
/// [`Instability`] names what disagrees.
pub fn establish(replays: &[Replay], eval: &EvalPolicy) -> Result<Metrics, Instability> {
    let counted = counting(replays, eval);
    if counted.len() < required(eval) {
        return Err(Instability::TooFew { found: counted.len(), required: required(eval) });
    }
    match &eval.rule {
        Rule::Point { max_range, max_flaky, .. } => agree(counted, eval, *max_range, *max_flaky)?,
        // Each pair has a fresh run of the baseline, so replays inform and stop nothing.
        Rule::Sequential(_) => {}
    }
    Ok(counted
        .iter()
        .map(|replay| replay.metrics)
        .fold(Metrics { within_limits: true, ..Metrics::default() }, Metrics::plus))
}

/// Whether the replays are within limits and agree.
fn agree(
    counted: &[Replay],
    eval: &EvalPolicy,
    max_range: PerMillion,
    max_flaky: PerMillion,
) -> Result<(), Instability> {
    if counted.iter().any(|replay| !replay.metrics.within_limits) {
        return Err(Instability::OverLimits);
    }
    let voids = counted.iter().map(|replay| replay.metrics.void_share());
    if let Some(share) = voids.max().filter(|share| !share.is_at_most(max_flaky)) {
        let limit = max_flaky;
        return Err(Instability::TooManyVoid { share, limit });
    }
    let shares: [(&'static str, Share); 3] = [
        ("artifact_validator_pass_rate", |metrics, eval| metrics.primary(eval.score)),
        ("blocked_node_rate", |metrics, _| metrics.blocked),
        // A number has no share of its own: that for each expected check has.
        ("unmet_requirement_count", |metrics, _| metrics.unmet_share()),
    ];
    for (metric, share) in shares {
        let values: Vec<_> = counted.iter().map(|replay| share(&replay.metrics, eval)).collect();
        if let (Some(low), Some(high)) = (values.iter().min(), values.iter().max())
            && !low.is_within(*high, max_range)
        {
            let (low, high, limit) = (low.to_string(), high.to_string(), max_range.to_string());
            return Err(Instability::Spread { metric, low, high, limit });
        }
    }
    let (flaky, cases) = flaky_cases(counted);
    if !Fraction::new(count(flaky.len()), count(cases)).is_at_most(max_flaky) {
        let examples = flaky.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(Instability::Flaky {
            flaky: flaky.len(),
            cases,
            limit: max_flaky.to_string(),
            examples,
        });
    }
    Ok(())
}

/// The cases whose outcome is not the same in every replay, and the number of cases. A case that is
/// missing from a replay has another outcome there; one that is void there has none.
#[must_use]
pub fn flaky_cases(replays: &[Replay]) -> (Vec<CaseId>, usize) {
    let mut outcomes: BTreeMap<&CaseId, BTreeSet<Option<CaseMark>>> = BTreeMap::new();
    for case in replays.iter().flat_map(|replay| replay.cases.keys()) {
        outcomes.entry(case).or_insert_with(|| {
            let marks = replays.iter().map(|replay| replay.cases.get(case).copied());
            marks.filter(|mark| *mark != Some(CaseMark::Void)).collect()
        });
    }
    let cases = outcomes.len();
    let flaky =
        outcomes.into_iter().filter(|(_, marks)| marks.len() > 1).map(|(case, _)| case.clone());
    (flaky.collect(), cases)
}

/// How often a case has another outcome in one replay than in another, over all pairs of replays. Where
/// one of both is void, it has none.
#[must_use]
pub fn disagreement(replays: &[Replay]) -> Fraction {
    let later = |index: usize| replays.iter().skip(index + 1);
    let pairs = replays.iter().enumerate();
    let pairs = pairs.flat_map(|(index, one)| later(index).map(move |other| (one, other)));
    let mut differ = Fraction::default();
    for (one, other) in pairs {
        for (case, mark) in &one.cases {
            let Some(again) = other.cases.get(case) else { continue };
            if ![mark, again].contains(&&CaseMark::Void) {
                differ.num += u64::from(mark != again);
                differ.den += 1;
            }
        }
    }
    differ
}

/// Whether another replay is due: fewer than required, or, under the point rule, enough experiments or
/// time since the last.
#[must_use]
pub fn replay_due(replays: &[Replay], experiments: u32, now: Timestamp, eval: &EvalPolicy) -> bool {
    let Some(last) = replays.last().filter(|_| replays.len() >= required(eval)) else {
        return true;
    };
    if matches!(eval.rule, Rule::Sequential(_)) {
        return false;
    }
    let since = experiments.saturating_sub(last.experiments);
    since >= eval.baseline_replay_every_candidates.max(1) || now.since(last.at) >= period(eval)
}

/// When the next replay falls due by time alone; absent while none is recorded.
#[must_use]
pub fn next_replay_at(replays: &[Replay], eval: &EvalPolicy) -> Option<Timestamp> {
    match eval.rule {
        Rule::Point { .. } => replays.last().map(|last| last.at.after(period(eval))),
        // Each pair has a fresh run of the baseline.
        Rule::Sequential(_) => None,
    }
}

fn period(eval: &EvalPolicy) -> Millis {
    Millis::from_minutes(eval.baseline_replay_every_minutes.max(1))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
