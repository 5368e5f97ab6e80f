//! Reads a workflow from a file, and finds the lines that errors and findings are about.

use super::check::Finding;
use super::{ReadErrors, Workflow};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document::{self, Document, Limits, Node};

/// Reads the YAML or JSON text of a workflow; `file` is what diagnostics call it.
///
/// # Errors
/// Everything wrong in the text or, when that can be parsed, in the fields, with line and column.
pub fn load(file: &str, bytes: &[u8]) -> Result<(Workflow, Document), Diagnostics> {
    let document = document::parse(file, bytes, &Limits::workflow())?;
    let value = document.root.to_value().map_err(|error| {
        let place = Place::file(file).at(error.span.start);
        Diagnostic::error(error.code(), place, error.to_string()).help("write a finite number")
    })?;
    match Workflow::from_json(value) {
        Ok(workflow) => Ok((workflow, document)),
        Err(ReadErrors(errors)) => Err(Diagnostics(
            errors
                .into_iter()
                .map(|error| {
                    Diagnostic::error(
                        error.code,
                        place(file, &document, &error.path),
                        error.message,
                    )
                })
                .collect(),
        )),
    }
}

/// `findings` with their lines in `document`, in the order of the text.
#[must_use]
pub fn locate(file: &str, document: &Document, findings: Vec<Finding>) -> Diagnostics {
    let mut located: Vec<_> = findings
        .into_iter()
        .map(|finding| Diagnostic {
            code: finding.code,
            severity: finding.severity,
            place: place(file, document, &finding.path),
            message: finding.message,
            help: Some(finding.help),
        })
        .collect();
    located.sort_by_key(|diagnostic| diagnostic.place.position);
    Diagnostics(located)
}

/// Where `pointer` leads, or what is nearest above it when something on the way is missing.
fn place(file: &str, document: &Document, pointer: &str) -> Place {
    let mut node = &document.root;
    for step in pointer.split('/').skip(1) {
        match child(node, step) {
            Some(next) => node = next,
            None => break,
        }
    }
    Place::file(file).at(node.span.start).path(pointer)
}

fn child<'n>(node: &'n Node, step: &str) -> Option<&'n Node> {
    match node.items() {
        Some(items) => items.get(step.parse::<usize>().ok()?),
        None => node.get(&step.replace("~1", "/").replace("~0", "~")),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::workflow::check::check;

    #[test]
    fn wrong_fields_are_shown_at_their_lines() {
        let text = "\
automation_id: w
name: 7
execution: {max_parallel_agents: 40}
flow:
  nodes:
    - node_id: a
      agent_id: x
      timeout_ms: soon
    - {node_id: '', agent_id: x, objective: o, output_contract: {validator: jsonn}}
";
        expect![[r#"
            w.yaml:2:7: error[wrong_type]: expected text, found 7
            w.yaml:3:34: error[out_of_range]: 40 is outside 1..=16
            w.yaml:6:7: error[missing_field]: objective is required: the instruction text
            w.yaml:8:19: error[wrong_type]: expected a whole number of at least 0, found "soon"
            w.yaml:9:17: error[wrong_type]: expected text of 1 to 128 characters without control characters, found ""
            w.yaml:9:77: error[wrong_type]: expected code_patch, research_brief, review_decision, structured_json, generic_artifact or standup_update, found "jsonn""#]]
        .assert_eq(&load("w.yaml", text.as_bytes()).unwrap_err().to_string());
    }

    #[test]
    fn text_that_is_no_workflow_is_refused_with_its_place() {
        for (text, expected) in [
            ("a: [", "yaml_syntax 1"),
            ("automation_id: w\nx: .nan\nflow: {nodes: []}\n", "not_finite 2"),
            ("- a\n", "wrong_type 1"),
            ("automation_id: w\n", "missing_field 1"),
        ] {
            let fault = load("w", text.as_bytes()).unwrap_err().0.remove(0);
            let line = fault.place.position.unwrap().line;
            assert_eq!(format!("{} {line}", fault.code), expected, "{text}");
        }
    }

    #[test]
    fn findings_are_shown_at_their_lines_in_the_order_of_the_text() {
        let text = "\
automation_id: w
flow:
  nodes:
    - {node_id: a, agent_id: helper, objective: o, depends_on: [b]}
    - node_id: b
      agent_id: helpr
      objective: ''
      input_refs:
        - {from_step_id: a, alias: x}
        - {from_step_id: c, alias: y}
agents:
  - {agent_id: helper}
  - {agent_id: helper}
";
        let (workflow, document) = load("w.yaml", text.as_bytes()).unwrap();
        let located = locate("w.yaml", &document, check(&workflow, None));
        expect![[r#"
            w.yaml:4:65: error[cycle]: nodes wait for each other: a -> b -> a
            help: remove one of these dependencies
            w.yaml:6:17: error[unknown_agent]: node `b` is given to agent `helpr`, which is not defined
            help: did you mean `helper`?
            w.yaml:7:18: warning[blank_objective]: node `b` has a blank objective, so its agent is told nothing
            help: say what the node is to do
            w.yaml:10:26: error[unknown_input]: node `b` needs `c`, which is not a node
            help: name a node, or remove it
            w.yaml:13:16: error[duplicate_agent_id]: agent `helper` is defined twice
            help: give every agent an id of its own"#]]
        .assert_eq(&located.to_string());
    }
}
