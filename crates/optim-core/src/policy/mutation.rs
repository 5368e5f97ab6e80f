//! `mutation_policy.yaml`: which fields may change, and by how much.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Profile;
use crate::mutation::MutableField;
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
