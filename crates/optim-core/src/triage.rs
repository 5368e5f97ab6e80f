//! Triage gates: nodes that say whether there is anything to do for what comes after them. Pure.
//!
//! A gate has `triage_gate: true` in the definition, and an output with `has_work`. Only `false` there
//! means that nothing is to be done: a gate that says something else lets the work begin.

use serde_json::Value;

use crate::workflow::Node;

/// What a node that is over says to those that need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A triage gate: there is work.
    Work,
    /// A triage gate: there is none.
    NoWork,
    /// It was skipped itself.
    Skipped,
    /// It is no triage gate, and has done its work.
    Silent,
}

impl Word {
    /// What `node` says with its `output`.
    #[must_use]
    pub fn of(node: &Node, output: &Value) -> Self {
        match (node.is_triage_gate(), output.get("has_work")) {
            (true, Some(Value::Bool(false))) => Self::NoWork,
            (true, _) => Self::Work,
            (false, _) => Self::Silent,
        }
    }
}

/// Whether a node is skipped whose needs say this: triage gates among them see no work, and none sees
/// some; or all that it needs was skipped.
#[must_use]
pub fn is_skipped(needs: &[Word]) -> bool {
    let no_work = needs.contains(&Word::NoWork) && !needs.contains(&Word::Work);
    no_work || (!needs.is_empty() && needs.iter().all(|word| *word == Word::Skipped))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Word::{NoWork, Silent, Skipped, Work};
    use super::*;
    use crate::workflow::Workflow;

    #[test]
    fn a_node_is_skipped_when_its_gates_see_no_work_or_all_that_it_needs_was_skipped() {
        for (needs, skipped) in [
            (&[][..], false),
            (&[Silent], false),
            (&[NoWork], true),
            (&[NoWork, Silent], true),
            (&[NoWork, Work], false),
            (&[NoWork, Skipped], true),
            (&[Work, Skipped], false),
            (&[Skipped], true),
            (&[Skipped, Skipped], true),
            (&[Skipped, Silent], false),
        ] {
            assert_eq!(is_skipped(needs), skipped, "{needs:?}");
        }
    }

    #[test]
    fn only_a_gate_that_says_false_sees_no_work() {
        let nodes = json!([
            {"node_id": "t", "agent_id": "x", "objective": "o", "triage_gate": true},
            {"node_id": "n", "agent_id": "x", "objective": "o", "triage_gate": false},
        ]);
        let workflow =
            json!({"automation_id": "w", "agents": [{"agent_id": "x"}], "flow": {"nodes": nodes}});
        let workflow = Workflow::from_json(workflow).unwrap();
        let [gate, other] = workflow.nodes() else { panic!("two nodes") };
        for (output, word) in [
            (json!({"has_work": false}), NoWork),
            (json!({"has_work": true}), Work),
            (json!({"has_work": "false"}), Work),
            (json!({}), Work),
            (json!("nothing to do"), Work),
        ] {
            assert_eq!(Word::of(gate, &output), word, "{output}");
            assert_eq!(Word::of(other, &output), Silent, "{output}");
        }
    }

    #[test]
    fn a_gate_that_is_neither_true_nor_false_is_refused() {
        let node = json!({"node_id": "t", "agent_id": "x", "objective": "o", "triage_gate": "yes"});
        let workflow =
            json!({"automation_id": "w", "agents": [{"agent_id": "x"}], "flow": {"nodes": [node]}});
        let refused = Workflow::from_json(workflow).unwrap_err().to_string();
        assert!(refused.contains("/flow/nodes/0/triage_gate"), "{refused}");
    }
}
