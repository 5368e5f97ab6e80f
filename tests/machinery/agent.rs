//! Who executes nodes: the `scripted` executor.

use async_trait::async_trait;
use optim_core::node_io::{ErrorClass, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_runtime::executor::scripted::{Scripted, ScriptedConfig};
use optim_runtime::executor::{Capabilities, NodeExecutor};

/// What a node's objective says so that its first attempt fails.
pub(crate) const SECOND_TRY: &str = "It works at the second try.";

/// The agent of a world. It outlives the processes.
pub(crate) struct Agent {
    scripted: Scripted,
}

impl Agent {
    /// An agent whose attempts take so long in virtual time; its provider fails so often.
    pub(crate) fn new(latency_ms: u64, fault_per_mille: u32) -> Self {
        let config = ScriptedConfig {
            pass_per_mille: 500,
            effect_per_mille: 500,
            fault_per_mille,
            latency_ms,
            waits: true,
            ..ScriptedConfig::default()
        };
        Self { scripted: Scripted::new(config) }
    }
}

#[async_trait]
impl NodeExecutor for Agent {
    fn name(&self) -> &str {
        "scripted"
    }

    fn capabilities(&self) -> &Capabilities {
        self.scripted.capabilities()
    }

    fn simulated(&self) -> bool {
        true
    }

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        if request.objective.contains(SECOND_TRY) {
            let result = match request.attempt.number {
                1 => Err(NodeError::new(ErrorClass::Failed, "it crashed, as it should")),
                _ => Ok(serde_json::json!({"ok": true})),
            };
            return NodeResponse { result, usage: Usage::default() };
        }
        self.scripted.execute(request).await
    }
}
