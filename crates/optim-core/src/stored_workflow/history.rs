//! What campaigns wrote, as the definition's metadata tells it.

use serde_json::{Map, Value, json};

use crate::workflow::Workflow;

use super::{CampaignWrite, StoredWorkflow, WRITES_KEPT};

impl StoredWorkflow {
    /// The definition `workflow` of this stored workflow as JSON, with the last changes that campaigns
    /// wrote in its `metadata`. The text itself never holds them: it is what people and campaigns put.
    #[must_use]
    pub fn with_history(&self, workflow: &Workflow) -> Value {
        let mut definition = workflow.to_json();
        let mut history: Vec<_> = self.writes.iter().flat_map(records).collect();
        history.drain(..history.len().saturating_sub(WRITES_KEPT));
        if let (Some(last), Some(document)) = (history.last().cloned(), definition.as_object_mut())
        {
            let metadata = document.entry("metadata").or_insert(Value::Null);
            // Metadata that is no object has no place for ours, and is not ours to replace.
            if metadata.is_null() {
                *metadata = Value::Object(Map::new());
            }
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("last_optimization_apply".to_owned(), last);
                metadata.insert("optimization_apply_history".to_owned(), Value::Array(history));
            }
        }
        definition
    }
}

/// One record for each change.
fn records(made: &CampaignWrite) -> impl Iterator<Item = Value> + '_ {
    made.write.patch.changes().iter().map(|change| {
        json!({
            "optimization_id": made.campaign,
            "kind": made.write.kind,
            "baseline_version": made.write.version,
            "node_id": change.node,
            "field": change.field,
            "field_path": change.field.path(),
            "previous_value": change.before,
            "new_value": change.after,
            "applied_at_ms": made.write.at,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::live::{LiveWrite, LiveWriteKind};
    use crate::id::{Actor, CampaignId, NodeId, WorkflowId};
    use crate::mutation::patch::Patch;
    use crate::mutation::{FieldValue, MutableField, Mutation};
    use crate::quantity::Timestamp;

    fn definition(metadata: Value) -> Workflow {
        let node = json!({"node_id": "n", "agent_id": "x", "objective": "o"});
        let agents = json!([{"agent_id": "x"}]);
        let flow = json!({"nodes": [node]});
        let document =
            json!({"automation_id": "w", "agents": agents, "flow": flow, "metadata": metadata});
        Workflow::from_json(document).unwrap()
    }

    fn write(workflow: &Workflow, text: &str) -> CampaignWrite {
        let mutation = Mutation {
            node: NodeId::new("n").unwrap(),
            field: MutableField::Objective,
            before: FieldValue::Text("o".to_owned()),
            after: FieldValue::Text(text.to_owned()),
        };
        let write = LiveWrite {
            kind: LiveWriteKind::Apply,
            patch: Patch::default().then(&mutation).unwrap(),
            from: workflow.fingerprint(),
            to: workflow.fingerprint(),
            texts: None,
            version: 1,
            actor: Actor::engine(),
            at: Timestamp(7),
            measured: None,
            unmeasured: None,
        };
        CampaignWrite { campaign: CampaignId::new("c").unwrap(), write }
    }

    fn stored(writes: Vec<CampaignWrite>) -> StoredWorkflow {
        StoredWorkflow { writes, ..StoredWorkflow::new(WorkflowId::new("w").unwrap()) }
    }

    #[test]
    fn the_last_changes_are_in_the_metadata_and_mean_nothing() {
        let workflow = definition(json!({"team": "support"}));
        let writes = (0..=WRITES_KEPT).map(|n| write(&workflow, &n.to_string())).collect();
        let told = stored(writes).with_history(&workflow);
        let metadata = &told["metadata"];
        assert_eq!(metadata["team"], "support");
        assert_eq!(metadata["optimization_apply_history"].as_array().unwrap().len(), WRITES_KEPT);
        let last = &metadata["last_optimization_apply"];
        assert_eq!((&last["new_value"], &last["field_path"]), (&json!("20"), &json!("objective")));
        assert_eq!(last, &metadata["optimization_apply_history"][WRITES_KEPT - 1]);
        assert_eq!(Workflow::from_json(told).unwrap().fingerprint(), workflow.fingerprint());
    }

    #[test]
    fn without_writes_or_a_place_for_them_the_definition_is_told_as_it_is() {
        for metadata in [json!({"team": "support"}), json!("free text")] {
            let workflow = definition(metadata);
            assert_eq!(stored(Vec::new()).with_history(&workflow), workflow.to_json());
        }
        let workflow = definition(json!("free text"));
        let writes = vec![write(&workflow, "p")];
        assert_eq!(stored(writes).with_history(&workflow), workflow.to_json());
    }
}
