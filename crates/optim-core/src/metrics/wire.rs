//! Metrics as existing clients know them: four numbers.

use serde::{Deserialize, Serialize};

use super::Metrics;

/// The four numbers of the wire. For reading; nothing is decided on them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WireMetrics {
    /// Checks that passed, of those expected; 0..=1.
    pub artifact_validator_pass_rate: f64,
    /// Unmet requirements of one evaluation; the mean of several.
    pub unmet_requirement_count: f64,
    /// Blocked nodes, of all nodes in all cases; 0..=1.
    pub blocked_node_rate: f64,
    /// Whether no case run broke a limit of the workflow.
    pub budget_within_limits: bool,
}

impl From<&Metrics> for WireMetrics {
    fn from(metrics: &Metrics) -> Self {
        Self {
            artifact_validator_pass_rate: metrics.checks.to_f64(),
            unmet_requirement_count: metrics.unmet_mean().to_f64(),
            blocked_node_rate: metrics.blocked.to_f64(),
            budget_within_limits: metrics.within_limits,
        }
    }
}
