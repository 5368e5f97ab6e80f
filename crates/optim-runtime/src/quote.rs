//! The most that a case run can use, known before it is queued.
//!
//! A campaign sets this aside for each case run, so it is a bound and no guess: every attempt that the
//! nodes allow, every try after a fault, and every time that the run is queued again after one.

use optim_core::campaign::ledger::{Allowance, Amount};
use optim_core::outcome::Usage;
use optim_core::pack::Pack;
use optim_core::run::FAULT_RETRIES_MAX;
use optim_core::workflow::graph::Graph;
use optim_core::workflow::{Node, Workflow};
use serde_json::{Map, Value};

use crate::executor::NodeExecutor;
use crate::runner::{FAULTS_MAX, OUTPUT_BYTES_MAX, REST_MAX, request};

/// What stands for the output of an earlier node has so many bytes for each of its tokens: more than
/// text and JSON have on average, escaped as they are.
const BYTES_PER_TOKEN: u64 = 8;

/// The most that one case run of `workflow` can use, whichever case of `pack` it is on; `None` when
/// `executor` does not know.
#[must_use]
pub fn worst_case(
    executor: &dyn NodeExecutor,
    workflow: &Workflow,
    pack: &Pack,
) -> Option<Allowance> {
    let graph = Graph::new(workflow).ok()?;
    let mut most = Amount::default();
    for (index, node) in workflow.nodes().iter().enumerate() {
        let try_once = match graph.dependencies(index).is_empty() {
            true => on_cases(executor, workflow, node, pack)?,
            false => after_others(executor, workflow, node)?,
        };
        most = most.plus(try_once.times(tries(node)));
    }
    let Amount { tokens, cost, time } = most.times(u64::from(FAULT_RETRIES_MAX) + 1);
    Some(Allowance { tokens: Some(tokens), cost: Some(cost), time: Some(time) })
}

/// The tries at a node in one walk: its attempts, and those that a fault takes from none of them.
fn tries(node: &Node) -> u64 {
    u64::from(node.attempts()) + u64::from(FAULTS_MAX) - 1
}

/// The most of one try at a node that gets the inputs of a case.
fn on_cases(
    executor: &dyn NodeExecutor,
    workflow: &Workflow,
    node: &Node,
    pack: &Pack,
) -> Option<Amount> {
    let mut most = Amount::default();
    for case in &pack.cases {
        let request = request(workflow, node, case.inputs.clone(), Map::new());
        most = most.max(one_try(node, executor.quote(&request)?));
    }
    Some(most)
}

/// The most of one try at a node that gets the outputs of earlier ones.
fn after_others(executor: &dyn NodeExecutor, workflow: &Workflow, node: &Node) -> Option<Amount> {
    let mut upstream = Map::new();
    for input in node.input_refs() {
        let (_, from) = workflow.node(&input.from_step_id)?;
        let earlier = executor.quote(&request(workflow, from, Map::new(), Map::new()))?;
        let bytes = earlier.completion_tokens.0.saturating_mul(BYTES_PER_TOKEN);
        let bytes = usize::try_from(bytes.min(OUTPUT_BYTES_MAX)).ok()?;
        upstream.insert(input.alias.clone(), Value::String("x".repeat(bytes)));
    }
    let request = request(workflow, node, Map::new(), upstream);
    Some(one_try(node, executor.quote(&request)?))
}

/// `usage` with the time until the node's timeout and the wait for a provider after it.
fn one_try(node: &Node, usage: Usage) -> Amount {
    let time = node.time_limit().plus(REST_MAX);
    Amount::of(&Usage { latency: time, ..usage })
}

#[cfg(test)]
mod tests {
    use optim_core::node_io::NodeRequest;
    use optim_core::quantity::{MicroUsd, Millis, Tokens};
    use serde_json::json;

    use super::*;
    use crate::executor::MockNodeExecutor;

    /// Sends as many tokens as the inputs have characters and the outputs of earlier nodes bytes, and
    /// gets up to five for each try.
    fn quoting() -> MockNodeExecutor {
        let mut executor = MockNodeExecutor::new();
        executor.expect_quote().returning(|request: &NodeRequest| {
            let texts = request.inputs.values().chain(request.upstream.values());
            let sent: usize = texts.filter_map(Value::as_str).map(str::len).sum();
            let (prompt_tokens, completion_tokens) = (Tokens(sent.try_into().ok()?), Tokens(5));
            Some(Usage { prompt_tokens, completion_tokens, cost: MicroUsd(7), ..Usage::default() })
        });
        executor
    }

    fn pack() -> Pack {
        let case = |id: &str, text: &str| json!({"id": id, "inputs": {"text": text}}).to_string();
        let lines = [case("a", "four"), case("b", "sixsix"), case("c", "")].join("\n");
        optim_core::pack::read("pack", lines.as_bytes()).unwrap()
    }

    fn quoted(nodes: Value) -> Option<Allowance> {
        let json =
            json!({"automation_id": "w", "agents": [{"agent_id": "x"}], "flow": {"nodes": nodes}});
        worst_case(&quoting(), &Workflow::from_json(json).unwrap(), &pack())
    }

    fn allowance(tokens: u64, cost: u64, time: u64) -> Option<Allowance> {
        let (tokens, cost) = (Some(Tokens(tokens)), Some(MicroUsd(cost)));
        Some(Allowance { tokens, cost, time: Some(Millis(time)) })
    }

    #[test]
    fn a_run_can_use_what_its_tries_can_on_the_longest_case() {
        let node = |attempts: u32, timeout: u64| {
            json!({"node_id": "a", "agent_id": "x", "objective": "o", "timeout_ms": timeout,
                   "retry_policy": {"max_attempts": attempts}})
        };
        // 1 attempt and 2 tries after faults, in each of 3 claims; 6 tokens sent and 5 received.
        assert_eq!(quoted(json!([node(1, 1000)])), allowance(9 * 11, 9 * 7, 9 * 11_000));
        assert_eq!(quoted(json!([node(3, 1000)])), allowance(15 * 11, 15 * 7, 15 * 11_000));
        assert_eq!(quoted(json!([node(1, 5000)])), allowance(9 * 11, 9 * 7, 9 * 15_000));
    }

    #[test]
    fn a_later_node_gets_outputs_as_long_as_they_may_be_and_no_inputs() {
        let first = json!({"node_id": "a", "agent_id": "x", "objective": "o", "timeout_ms": 1000});
        let later = json!({"node_id": "b", "agent_id": "x", "objective": "o", "timeout_ms": 1000,
                           "input_refs": [{"from_step_id": "a", "alias": "draft"}]});
        let tokens = 9 * (6 + 5) + 9 * (5 * BYTES_PER_TOKEN + 5);
        assert_eq!(quoted(json!([first, later])), allowance(tokens, 18 * 7, 18 * 11_000));
    }

    #[test]
    fn nothing_is_known_of_a_run_when_one_node_is_not_known() {
        let mut executor = MockNodeExecutor::new();
        executor.expect_quote().return_const(None);
        let nodes = json!([{"node_id": "a", "agent_id": "x", "objective": "o"}]);
        let json =
            json!({"automation_id": "w", "agents": [{"agent_id": "x"}], "flow": {"nodes": nodes}});
        let workflow = Workflow::from_json(json).unwrap();
        assert_eq!(worst_case(&executor, &workflow, &pack()), None);
    }
}
