//! The keys of `decision` in `eval.yaml` that the sequential rule reads.

use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::kind;
use crate::quantity::PerMillion;

/// The most experiments that the frugal profile is for.
pub(super) const FRUGAL_EXPERIMENTS_MAX: u32 = 5;

/// How the sequential rule decides. Everything is frozen when a candidate opens, but for `n_max`,
/// which a person may raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    /// Where the defaults of the other keys are from.
    pub profile: DecisionProfile,
    /// The accepted probability of any false promotion in the whole campaign (above 0, below 1).
    pub alpha: PerMillion,
    /// Pairs between two looks; all cases if there are fewer.
    pub batch: u32,
    /// Candidates that share the baseline's run of each case.
    pub group: u32,
    /// Pairs before a candidate is given up as futile.
    pub n_min: u32,
    /// Pairs of one candidate at most.
    pub n_max: u32,
    /// The smallest gain of the score that is worth finding (above 0, below 1).
    pub mde: PerMillion,
    /// The accepted probability of giving up a gain of `mde` as futile (above 0, below 1).
    pub beta: PerMillion,
    /// Standard deviations that a candidate is given before it falls short.
    pub slack: PerMillion,
    /// The share of the evidence that the secondary metric has (0 for none, below 1).
    pub secondary_weight: PerMillion,
    /// The smallest gain of the secondary metric that is worth finding (above 0, below 1).
    pub mde_secondary: PerMillion,
    /// How far the score may fall where the secondary metric alone has improved (above 0, below 1).
    pub ni_primary: PerMillion,
    /// The accepted probability of promoting what breaks a guardrail (above 0, below 1).
    pub alpha_guardrail: PerMillion,
    /// The level at which harm to a guardrail is proven (above 0, below 1).
    pub alpha_harm: PerMillion,
    /// The level at which what is left undecided is worth a person's look (above 0, below 1).
    pub alpha_review: PerMillion,
    /// What must not get worse.
    pub guardrails: Margins,
    /// Whether from the second promotion on the candidate's guardrails are compared with the source.
    pub anchor_check: bool,
    /// Pairs on the holdout cases, at least, that show a person what a candidate is worth: whole passes.
    #[serde(default = "confirm_pairs")]
    pub confirm_pairs: u32,
}

fn confirm_pairs() -> u32 {
    40
}

/// How much worse each guardrail may become; `None` where it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Margins {
    /// By how much the share of blocked nodes may rise (above 0, below 1).
    pub blocked_node_rate: Option<PerMillion>,
    /// By which share of the baseline's cost the median cost of a case may rise (above 0).
    pub cost: Option<PerMillion>,
    /// The same for tokens.
    pub tokens: Option<PerMillion>,
    /// The same for latency.
    pub latency: Option<PerMillion>,
}

/// The shipped sets of defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionProfile {
    /// For case runs of some cents.
    Standard,
    /// For cheap case runs: finds smaller gains with more of them.
    Thorough,
    /// For dear case runs: the error budget is spent on a few experiments.
    Frugal,
}

impl Sequential {
    /// Whether a winner against this version of the baseline is compared with the campaign's source too.
    #[must_use]
    pub fn needs_source(&self, baseline_version: u32) -> bool {
        self.anchor_check && baseline_version > 0
    }

    /// The defaults of `profile`.
    #[must_use]
    pub fn of(profile: DecisionProfile) -> Self {
        let soft = Some(PerMillion(250_000));
        let standard = Self {
            profile,
            alpha: PerMillion(50_000),
            batch: 8,
            group: 1,
            n_min: 8,
            n_max: 240,
            mde: PerMillion(150_000),
            beta: PerMillion(250_000),
            slack: PerMillion(1_000_000),
            secondary_weight: PerMillion(0),
            mde_secondary: PerMillion(200_000),
            ni_primary: PerMillion(50_000),
            alpha_guardrail: PerMillion(100_000),
            alpha_harm: PerMillion(50_000),
            alpha_review: PerMillion(200_000),
            guardrails: Margins {
                blocked_node_rate: Some(PerMillion(100_000)),
                cost: soft,
                tokens: soft,
                latency: soft,
            },
            anchor_check: true,
            confirm_pairs: confirm_pairs(),
        };
        match profile {
            DecisionProfile::Standard | DecisionProfile::Frugal => standard,
            DecisionProfile::Thorough => Self { n_max: 400, mde: PerMillion(100_000), ..standard },
        }
    }
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<Sequential> {
    let profile = keys.read(
        "profile",
        "where the defaults of the keys below are from; `thorough` has an mde of 0.1 and an n_max of 400, \
         `frugal` is for at most 5 experiments",
        kind::choice([
            ("standard", DecisionProfile::Standard),
            ("thorough", DecisionProfile::Thorough),
            ("frugal", DecisionProfile::Frugal),
        ])
        .or_first(),
    );
    let defaults = Sequential::of(profile.unwrap_or(DecisionProfile::Standard));
    scope(keys);
    let alpha = keys.read(
        "alpha",
        "the accepted probability of any false promotion in the whole campaign",
        level(100_000, defaults.alpha),
    );
    let batch = keys.read(
        "batch",
        "pairs of case runs between two looks; all cases if there are fewer",
        kind::whole(1..=10_000, 1..=10_000).or(defaults.batch.into()),
    );
    let group = keys.read(
        "group",
        "candidates that share the baseline's run of each case",
        kind::whole(1..=8, 1..=64).or(defaults.group.into()),
    );
    let n_min = keys.read(
        "n_min",
        "pairs before a candidate is given up as futile",
        kind::whole(1..=1000, 1..=100_000).or(defaults.n_min.into()),
    );
    let n_max = keys.read(
        "n_max",
        "pairs of one candidate at most",
        kind::whole(8..=10_000, 1..=1_000_000).or(defaults.n_max.into()),
    );
    let mde = keys.read(
        "mde",
        "the smallest gain of the score that is worth finding; 0.75 of the smallest that you hope for",
        level(999_999, defaults.mde),
    );
    let beta = keys.read(
        "beta",
        "the accepted probability of giving up a gain of `mde` as futile",
        level(500_000, defaults.beta),
    );
    let slack = keys.read(
        "slack",
        "standard deviations of luck that a candidate is given before it falls short",
        kind::share(0..=5_000_000, 0..=100_000_000).or(defaults.slack.0.into()),
    );
    let secondary_weight = keys.read(
        "secondary_weight",
        "the share of the evidence that the secondary metric has; above 0 the pass rate may fall a little",
        kind::share(0..=500_000, 0..=999_999).or(defaults.secondary_weight.0.into()),
    );
    let mde_secondary = keys.read(
        "mde_secondary",
        "the smallest gain of the secondary metric that is worth finding",
        level(999_999, defaults.mde_secondary),
    );
    let ni_primary = keys.read(
        "ni_primary",
        "how far the pass rate may fall where the secondary metric alone has improved",
        level(100_000, defaults.ni_primary),
    );
    let alpha_guardrail = keys.read(
        "alpha_guardrail",
        "the accepted probability of promoting what breaks a guardrail by its margin",
        level(200_000, defaults.alpha_guardrail),
    );
    let alpha_harm = keys.read(
        "alpha_harm",
        "the level at which harm to a guardrail is proven",
        level(200_000, defaults.alpha_harm),
    );
    let alpha_review = keys.read(
        "alpha_review",
        "the level at which what stays undecided is worth a person's look",
        level(500_000, defaults.alpha_review),
    );
    let guardrails = keys.section("guardrails", |keys| margins(keys, defaults.guardrails));
    let anchor_check = keys.read(
        "anchor_check",
        "whether from the second promotion on the guardrails are compared with the source too",
        kind::flag(defaults.anchor_check),
    );
    let confirm_pairs = keys.read(
        "confirm_pairs",
        "pairs on the holdout cases, at least, that confirm what a person is to decide; whole passes",
        kind::whole(1..=10_000, 1..=10_000).or(defaults.confirm_pairs.into()),
    );
    if let Some((n_min, n_max)) = n_min.zip(n_max).filter(|(n_min, n_max)| n_min > n_max) {
        keys.refuse(
            "n_min",
            "out_of_range",
            format!("`n_min` is {n_min}, more than `n_max`, which is {n_max}"),
            "lower `n_min` or raise `n_max`",
        );
    }
    Some(Sequential {
        profile: profile?,
        alpha: alpha?,
        batch: batch?,
        group: group?,
        n_min: n_min?,
        n_max: n_max?,
        mde: mde?,
        beta: beta?,
        slack: slack?,
        secondary_weight: secondary_weight?,
        mde_secondary: mde_secondary?,
        ni_primary: ni_primary?,
        alpha_guardrail: alpha_guardrail?,
        alpha_harm: alpha_harm?,
        alpha_review: alpha_review?,
        guardrails: guardrails?,
        anchor_check: anchor_check?,
        confirm_pairs: confirm_pairs?,
    })
}

/// A probability above 0 and below 1; by the strict profile at most `strict_max`.
fn level(strict_max: u64, default: PerMillion) -> kind::Number<PerMillion> {
    kind::share(1..=strict_max, 1..=999_999).or(default.0.into())
}

/// What the error budget is spent on. So far there is one way.
fn scope(keys: &mut Keys<'_, '_>) {
    keys.read(
        "binding",
        "where the error budget is spent: at each step of the baseline",
        kind::choice([("step", ())]).or_first(),
    );
    keys.read(
        "error_control",
        "what `alpha` bounds: the probability of any false promotion",
        kind::choice([("fwer", ())]).or_first(),
    );
    let reason = "it would count for `binding: apply`, which does not exist";
    keys.read(
        "alpha_step",
        "the level of one step under another `binding`; fixed",
        kind::share(100_000..=100_000, 100_000..=100_000).or(100_000).because(reason),
    );
    keys.read(
        "max_applies",
        "certified applies under another `binding`; fixed",
        kind::whole(1..=1, 1..=1).or(1).because(reason),
    );
}

fn margins(keys: &mut Keys<'_, '_>, defaults: Margins) -> Option<Margins> {
    let blocked_node_rate = keys.section("blocked_node_rate", |keys| {
        let is_on = keys.read(
            "kind",
            "`hard`: harm discards; `off` where no node can block",
            kind::choice([("hard", true), ("off", false)]).or_first(),
        );
        let margin = keys.read(
            "margin",
            "by how much the share of blocked nodes may rise",
            level(200_000, defaults.blocked_node_rate.unwrap_or_default()),
        );
        Some(is_on?.then_some(margin?))
    });
    let cost = ratio_margin(keys, "cost", defaults.cost);
    let tokens = ratio_margin(keys, "tokens", defaults.tokens);
    let latency = ratio_margin(keys, "latency", defaults.latency);
    Some(Margins {
        blocked_node_rate: blocked_node_rate?,
        cost: cost?,
        tokens: tokens?,
        latency: latency?,
    })
}

/// The margin of an amount that a person may trade for a gain.
fn ratio_margin(
    keys: &mut Keys<'_, '_>,
    name: &'static str,
    default: Option<PerMillion>,
) -> Option<Option<PerMillion>> {
    keys.section(name, |keys| {
        let is_on = keys.read(
            "kind",
            "`soft`: harm is shown to a person; `off`: not looked at",
            kind::choice([("soft", true), ("off", false)]).or_first(),
        );
        let margin = keys.read(
            "ratio_margin",
            "by which share of the baseline's the median of a case may rise",
            kind::share(1..=1_000_000, 1..=100_000_000).or(default.unwrap_or_default().0.into()),
        );
        Some(is_on?.then_some(margin?))
    })
}
