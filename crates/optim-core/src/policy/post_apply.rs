//! The section `post_apply` of `eval.yaml`: the measurement of what is live after an apply.

use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::kind;
use crate::quantity::PerMillion;

/// When the live workflow is measured after an apply, and what counts as a drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostApply {
    /// Who begins the measurement.
    pub measure: AfterApply,
    /// Minutes after the apply within which an automatic one begins, or not at all (1..=10080; default 60).
    pub window_minutes: u32,
    /// How far the pass rate may lie below the promised one (strict: up to 0.05; default 0.05).
    pub max_drop: PerMillion,
}

/// Who begins the measurement after an apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterApply {
    /// A person, with `optim measure`.
    #[default]
    OnRequest,
    /// The apply itself.
    Automatic,
}

impl Default for PostApply {
    fn default() -> Self {
        let (measure, window_minutes) = (AfterApply::default(), WINDOW_MINUTES);
        Self { measure, window_minutes, max_drop: MAX_DROP }
    }
}

const WINDOW_MINUTES: u32 = 60;
const MAX_DROP: PerMillion = PerMillion(50_000);

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<PostApply> {
    let measure = keys.read(
        "measure",
        "whether the live workflow is measured after an apply by itself, or when a person asks",
        kind::choice([("on_request", AfterApply::OnRequest), ("automatic", AfterApply::Automatic)])
            .or_first(),
    );
    let window_minutes = keys.read(
        "window_minutes",
        "minutes after an apply within which an automatic measurement begins, or not at all",
        kind::whole(1..=10_080, 1..=10_080).or(WINDOW_MINUTES.into()),
    );
    let max_drop = keys.read(
        "max_drop",
        "how far the pass rate of the live workflow may lie below the promised one",
        kind::share(0..=50_000, 0..=1_000_000).or(MAX_DROP.0.into()),
    );
    Some(PostApply { measure: measure?, window_minutes: window_minutes?, max_drop: max_drop? })
}
