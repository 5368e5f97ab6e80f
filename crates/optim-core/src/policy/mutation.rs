//! `mutation_policy.yaml`: which fields may change, and by how much.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::{Profile, kind};
use crate::mutation::{Family, MutableField};
use crate::quantity::{Millis, PerMillion};

/// The validated `mutation_policy.yaml`. A candidate changes exactly one field of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutationPolicy {
    /// Strict or custom bounds.
    pub profile: Profile,
    /// The fields that may change: `allowed_text_fields` and `allowed_knob_fields` together.
    pub allowed: BTreeSet<MutableField>,
    /// Characters removed plus characters added, at most (strict: 1..=300; hard: 1..=20 000).
    pub max_text_delta_chars: u32,
    /// The same as a share of the old length (strict: > 0, <= 0.25; hard: <= 10).
    pub max_text_delta_ratio: PerMillion,
    /// A delta of up to this many characters is allowed whatever the ratio says, so that short texts
    /// can change at all (optional; default 40; strict: 0..=60; hard: 0..=2000).
    pub text_delta_floor_chars: u32,
    /// The largest step of a timeout as a share of it (strict: > 0, <= 0.15; hard: <= 1).
    pub timeout_delta_percent: PerMillion,
    /// The largest step of a timeout (strict: 1..=30 000; hard: 1..=3 600 000).
    pub timeout_delta: Millis,
    /// The shortest timeout (strict: >= 30 000; hard: >= 1000).
    pub timeout_min: Millis,
    /// The longest timeout (strict: <= 600 000; hard: <= 86 400 000).
    pub timeout_max: Millis,
    /// The largest step of a retry setting (strict: 1; hard: 1..=5).
    pub retry_delta: u32,
    /// The smallest retry setting (strict and hard: >= 0).
    pub retry_min: u32,
    /// The largest retry setting (strict: <= 3; hard: <= 10).
    pub retry_max: u32,
}

impl MutationPolicy {
    /// The widest policy of the strict profile, with `allowed` fields: for callers without a file.
    #[must_use]
    pub fn strict(allowed: impl IntoIterator<Item = MutableField>) -> Self {
        Self {
            profile: Profile::Strict,
            allowed: allowed.into_iter().collect(),
            max_text_delta_chars: 300,
            max_text_delta_ratio: PerMillion(250_000),
            text_delta_floor_chars: 40,
            timeout_delta_percent: PerMillion(150_000),
            timeout_delta: Millis(30_000),
            timeout_min: Millis(30_000),
            timeout_max: Millis(600_000),
            retry_delta: 1,
            retry_min: 0,
            retry_max: 3,
        }
    }
}

const ONE_CHANGE: &str = "a candidate is one change of one field of one node, in every profile";

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<MutationPolicy> {
    let profile = keys.profile();
    one_change(keys);
    let allowed = allowed(keys);
    let text = text_bounds(keys);
    let timeout = timeout_bounds(keys);
    let retry = retry_bounds(keys);
    let (max_text_delta_chars, max_text_delta_ratio, text_delta_floor_chars) = text?;
    let (timeout_delta_percent, timeout_delta, (timeout_min, timeout_max)) = timeout?;
    let (retry_delta, (retry_min, retry_max)) = retry?;
    Some(MutationPolicy {
        profile: profile?,
        allowed: allowed?,
        max_text_delta_chars,
        max_text_delta_ratio,
        text_delta_floor_chars,
        timeout_delta_percent,
        timeout_delta,
        timeout_min,
        timeout_max,
        retry_delta,
        retry_min,
        retry_max,
    })
}

/// The three keys that say that a candidate is one change. They have one legal value each.
fn one_change(keys: &mut Keys<'_, '_>) {
    keys.read(
        "max_nodes_changed_per_candidate",
        "nodes that a candidate may change",
        kind::whole(1..=1, 1..=1).because(ONE_CHANGE),
    );
    keys.read(
        "max_field_families_changed_per_candidate",
        "fields that a candidate may change",
        kind::whole(1..=1, 1..=1).because(ONE_CHANGE),
    );
    keys.read(
        "allow_text_and_knob_bundle",
        "whether a candidate may change a text and a number together",
        kind::switch(false, ONE_CHANGE).or_absent(),
    );
}

fn allowed(keys: &mut Keys<'_, '_>) -> Option<BTreeSet<MutableField>> {
    let fields = |family| {
        let fields =
            MutableField::ALL.into_iter().filter(move |field| field.spec().family() == family);
        kind::list(kind::choice(fields.map(|field| (field.name(), field)))).or_empty()
    };
    let text =
        keys.read("allowed_text_fields", "text fields that may change", fields(Family::Text));
    let knob = keys.read("allowed_knob_fields", "numbers that may change", fields(Family::Knob));
    let allowed: BTreeSet<_> = text?.into_iter().chain(knob?).collect();
    if allowed.is_empty() {
        let message =
            "`allowed_text_fields` and `allowed_knob_fields` are both empty, so nothing may change";
        keys.refuse(
            "allowed_text_fields",
            "nothing_allowed",
            message.to_owned(),
            "name at least one field",
        );
        return None;
    }
    Some(allowed)
}

fn text_bounds(keys: &mut Keys<'_, '_>) -> Option<(u32, PerMillion, u32)> {
    let chars = keys.read(
        "max_text_delta_chars",
        "characters removed plus characters added",
        kind::whole(1..=300, 1..=20_000),
    );
    let ratio = keys.read(
        "max_text_delta_ratio",
        "the same as a share of the old length",
        kind::share(1..=250_000, 1..=10_000_000),
    );
    let floor = keys.read(
        "text_delta_floor_chars",
        "characters that may change whatever the ratio says, for short texts",
        kind::whole(0..=60, 0..=2000).or(40),
    );
    Some((chars?, ratio?, floor?))
}

fn timeout_bounds(keys: &mut Keys<'_, '_>) -> Option<(PerMillion, Millis, (Millis, Millis))> {
    let percent = keys.read(
        "timeout_delta_percent",
        "the largest step of a timeout, as a share of it (0.15 is 15 %)",
        kind::share(1..=150_000, 1..=1_000_000),
    );
    let delta = keys.read(
        "timeout_delta_ms",
        "the largest step of a timeout, in milliseconds",
        kind::millis(1..=30_000, 1..=3_600_000),
    );
    let range = || kind::millis(30_000..=600_000, 1000..=86_400_000);
    let min = keys.read("timeout_min_ms", "the shortest timeout, in milliseconds", range());
    let max = keys.read("timeout_max_ms", "the longest timeout, in milliseconds", range());
    let (min, max) = (min?, max?);
    if min >= max {
        let message = format!(
            "`timeout_min_ms` is {}, which is not below `timeout_max_ms`, {}",
            min.0, max.0
        );
        keys.refuse(
            "timeout_min_ms",
            "empty_range",
            message,
            "lower it, or raise `timeout_max_ms`",
        );
        return None;
    }
    Some((percent?, delta?, (min, max)))
}

fn retry_bounds(keys: &mut Keys<'_, '_>) -> Option<(u32, (u32, u32))> {
    let delta =
        keys.read("retry_delta", "the largest step of a retry setting", kind::whole(1..=1, 1..=5));
    let range = || kind::whole(0..=3, 0..=10);
    let min = keys.read("retry_min", "the smallest retry setting", range());
    let max = keys.read("retry_max", "the largest retry setting", range());
    let (min, max) = (min?, max?);
    if min > max {
        let message = format!("`retry_min` is {min}, which is above `retry_max`, {max}");
        keys.refuse("retry_min", "empty_range", message, "lower it, or raise `retry_max`");
        return None;
    }
    Some((delta?, (min, max)))
}
