//! `eval.yaml`: what is measured and how a verdict is reached.

use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::post_apply::{self, PostApply};
use super::sequential::{self, DecisionProfile, Sequential};
use super::{Profile, kind};
use crate::quantity::PerMillion;

/// The validated `eval.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalPolicy {
    /// Strict or custom bounds.
    pub profile: Profile,
    /// The eval pack.
    pub pack_ref: PackRef,
    /// Decides first.
    pub primary_metric: MetricName,
    /// Decides on a tie.
    pub secondary_metric: MetricName,
    /// What must not get worse; both kinds are present.
    pub hard_guardrails: Vec<Guardrail>,
    /// Replays before the first candidate (strict: 2; hard: 1..=20).
    pub campaign_start_baseline_runs: u32,
    /// Candidates after which another replay is due (strict: 5; hard: 1..=1000).
    pub baseline_replay_every_candidates: u32,
    /// Minutes after which another replay is due (strict: 30; hard: 1..=10080).
    pub baseline_replay_every_minutes: u32,
    /// Minutes after which an evaluation that has not ended is given up (1..=10080; default 1440).
    #[serde(default = "deadline_minutes")]
    pub evaluation_deadline_minutes: u32,
    /// How a case becomes a score.
    pub score: Score,
    /// How a verdict is reached.
    pub rule: Rule,
    /// What is measured after an apply.
    #[serde(default)]
    pub post_apply: PostApply,
}

/// A day: evaluations end by themselves, so this is for those that nothing can end any more.
fn deadline_minutes() -> u32 {
    1440
}

impl EvalPolicy {
    /// The policy of the strict profile, with the default rule: for callers without a file.
    #[must_use]
    pub fn strict(pack_ref: PackRef) -> Self {
        Self {
            profile: Profile::Strict,
            pack_ref,
            primary_metric: MetricName::ArtifactValidatorPassRate,
            secondary_metric: MetricName::UnmetRequirementCount,
            hard_guardrails: vec![Guardrail::BlockedNodeRate, Guardrail::BudgetCeilings],
            campaign_start_baseline_runs: 2,
            baseline_replay_every_candidates: 5,
            baseline_replay_every_minutes: 30,
            evaluation_deadline_minutes: deadline_minutes(),
            score: Score::AllOrNothing,
            rule: Rule::default(),
            post_apply: PostApply::default(),
        }
    }
}

/// Where the eval pack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackRef {
    /// A JSONL file, as the policy names it.
    File(String),
    /// `none`: one implicit case with empty inputs.
    Implicit,
}

/// The metrics that may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    /// The share of what was expected to pass that passed.
    ArtifactValidatorPassRate,
    /// Requirements that were not met.
    UnmetRequirementCount,
}

/// The guardrails of the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guardrail {
    /// Blocked nodes must not become more.
    BlockedNodeRate,
    /// The budget's ceilings on one run hold.
    BudgetCeilings,
}

/// How the checks of a case become its score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// 1 when every validator and assertion on the case passes, else 0.
    #[default]
    AllOrNothing,
    /// The share of its checks that pass.
    Fraction,
}

/// The decision rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum Rule {
    /// The rule of the seed: point estimates, no error control.
    Point {
        /// The largest accepted spread between replays (default 0.05).
        max_range: PerMillion,
        /// The largest accepted share of flaky cases, and of void case runs (default 0.10).
        max_flaky: PerMillion,
        /// How much more a case run of a candidate may cost, as a share of what one of the baseline
        /// costs (default 0.25); absent means that nothing weighs the cost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_margin: Option<PerMillion>,
    },
    /// Paired evidence under the campaign's error budget: bounds the probability of any false promotion.
    Sequential(Sequential),
}

impl Rule {
    /// The point rule with the strict profile's bounds.
    #[must_use]
    pub fn point() -> Self {
        Self::Point {
            max_range: PerMillion(50_000),
            max_flaky: PerMillion(100_000),
            cost_margin: Some(PerMillion(250_000)),
        }
    }
}

impl Default for Rule {
    /// The sequential rule by its standard profile.
    fn default() -> Self {
        Self::Sequential(Sequential::of(DecisionProfile::Standard))
    }
}

impl Guardrail {
    /// The name in the file.
    fn name(self) -> &'static str {
        match self {
            Self::BlockedNodeRate => "blocked_node_rate",
            Self::BudgetCeilings => "budget_ceilings",
        }
    }
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<EvalPolicy> {
    let profile = keys.profile();
    let pack_ref = pack_ref(keys);
    let primary_metric = keys.read(
        "primary_metric",
        "the metric that decides first",
        kind::choice([("artifact_validator_pass_rate", MetricName::ArtifactValidatorPassRate)]),
    );
    let secondary_metric = keys.read(
        "secondary_metric",
        "the metric that decides on a tie",
        kind::choice([("unmet_requirement_count", MetricName::UnmetRequirementCount)]),
    );
    let hard_guardrails = hard_guardrails(keys);
    let campaign_start_baseline_runs = keys.read(
        "campaign_start_baseline_runs",
        "baseline replays before the first candidate",
        kind::whole(2..=2, 1..=20),
    );
    let baseline_replay_every_candidates = keys.read(
        "baseline_replay_every_candidates",
        "candidates after which another replay is due",
        kind::whole(5..=5, 1..=1000),
    );
    let baseline_replay_every_minutes = keys.read(
        "baseline_replay_every_minutes",
        "minutes after which another replay is due",
        kind::whole(30..=30, 1..=10_080),
    );
    let evaluation_deadline_minutes = keys.read(
        "evaluation_deadline_minutes",
        "minutes after which an evaluation that has not ended is given up and queued again",
        kind::whole(1..=10_080, 1..=10_080).or(deadline_minutes().into()),
    );
    let score = keys.read(
        "score",
        "how the checks of a case become its score: 1 if all pass, or the share that passes",
        kind::choice([("all_or_nothing", Score::AllOrNothing), ("fraction", Score::Fraction)])
            .or_first(),
    );
    let rule = keys.section("decision", rule);
    let post_apply = keys.section("post_apply", post_apply::read);
    Some(EvalPolicy {
        profile: profile?,
        pack_ref: pack_ref?,
        primary_metric: primary_metric?,
        secondary_metric: secondary_metric?,
        hard_guardrails: hard_guardrails?,
        campaign_start_baseline_runs: campaign_start_baseline_runs?,
        baseline_replay_every_candidates: baseline_replay_every_candidates?,
        baseline_replay_every_minutes: baseline_replay_every_minutes?,
        evaluation_deadline_minutes: evaluation_deadline_minutes?,
        score: score?,
        rule: rule?,
        post_apply: post_apply?,
    })
}

fn pack_ref(keys: &mut Keys<'_, '_>) -> Option<PackRef> {
    let path = keys.read(
        "pack_ref",
        "the eval pack",
        kind::Text { noun: "the path of a JSONL file, or `none`" },
    )?;
    if path != "none" {
        return Some(PackRef::File(path));
    }
    keys.warn(
        "pack_ref",
        "no_pack",
        "without a pack, candidates are compared on a single case with empty inputs",
        "collect cases in a JSONL file and name it here",
    );
    Some(PackRef::Implicit)
}

fn hard_guardrails(keys: &mut Keys<'_, '_>) -> Option<Vec<Guardrail>> {
    let all = [Guardrail::BlockedNodeRate, Guardrail::BudgetCeilings];
    let given = keys.read(
        "hard_guardrails",
        "what must not get worse; both, in any order",
        kind::list(kind::choice(all.map(|guardrail| (guardrail.name(), guardrail)))),
    )?;
    for guardrail in all.iter().filter(|guardrail| !given.contains(guardrail)) {
        let name = guardrail.name();
        keys.refuse(
            "hard_guardrails",
            "missing_value",
            format!("`hard_guardrails` lacks `{name}`"),
            &format!("add `{name}`; no campaign runs without both guardrails"),
        );
    }
    Some(given)
}

fn rule(keys: &mut Keys<'_, '_>) -> Option<Rule> {
    let rule = keys.read(
        "rule",
        "the rule that decides between promotion and discard",
        kind::choice([Named::Sequential, Named::Point].map(|rule| (rule.as_str(), rule)))
            .or_first(),
    );
    // The keys of both rules are read, so that none counts as unknown and each is checked.
    let other_than = |used| rule.filter(|rule| *rule != used).map(Named::as_str);
    let sequential = keys.idle_under(other_than(Named::Sequential), sequential::read);
    let point = keys.idle_under(other_than(Named::Point), point);
    match rule? {
        Named::Point => point,
        Named::Sequential => sequential.map(Rule::Sequential),
    }
}

/// The rules as they are named in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Point,
    Sequential,
}

impl Named {
    fn as_str(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Sequential => "sequential",
        }
    }
}

fn point(keys: &mut Keys<'_, '_>) -> Option<Rule> {
    keys.section("point", |keys| {
        let cost_margin = keys.read(
            "cost_margin",
            "how much more a candidate may cost without a review, as a share of what the baseline costs; null for any",
            kind::or_null(kind::share(0..=1_000_000, 0..=100_000_000).or(250_000)),
        );
        let stability = keys.section("stability", stability);
        let (max_range, max_flaky) = stability?;
        Some(Rule::Point { max_range, max_flaky, cost_margin: cost_margin? })
    })
}

/// The accepted spread, and the accepted share of flaky cases.
fn stability(keys: &mut Keys<'_, '_>) -> Option<(PerMillion, PerMillion)> {
    let max_range = keys.read(
        "max_range",
        "the largest accepted spread of the pass rate between replays",
        kind::share(0..=50_000, 0..=1_000_000).or(50_000),
    );
    let max_flaky = keys.read(
        "max_flaky",
        "the largest accepted share of cases whose result differs between replays, and of void case runs",
        kind::share(0..=100_000, 0..=1_000_000).or(100_000),
    );
    max_range.zip(max_flaky)
}
