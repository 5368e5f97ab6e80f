//! Each validator as a table: what it is given, and the sentences for what is not met.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::id::CaseId;
use crate::node_io::{ErrorClass, NodeError};
use crate::pack::Role;

/// Knows schemas that only require keys.
struct Fake;

impl Matcher for Fake {
    fn regex(&self, _: &str, _: &str) -> Result<bool, String> {
        Ok(true)
    }

    fn schema(&self, schema: &Value, value: &Value) -> Result<Vec<String>, String> {
        let required = schema["required"].as_array().ok_or("`required` is no list")?;
        let missing =
            required.iter().filter_map(Value::as_str).filter(|key| value.get(key).is_none());
        Ok(missing.map(|key| format!("the output: {key} is required")).collect())
    }
}

fn workflow(nodes: &Value) -> Workflow {
    Workflow::from_json(json!({"automation_id": "w", "flow": {"nodes": nodes}})).unwrap()
}

fn node(kind: &str, enforcement: &Value, schema: &Value) -> std::sync::Arc<Node> {
    let contract =
        json!({"kind": "k", "validator": kind, "enforcement": enforcement, "schema": schema});
    let workflow = workflow(
        &json!([{"node_id": "n", "agent_id": "a", "objective": "o", "output_contract": contract}]),
    );
    workflow.nodes()[0].clone()
}

fn files() -> BTreeMap<String, Vec<u8>> {
    let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    BTreeMap::from([
        file("report.md", "# Report\nAll is well.\n"),
        file("empty.md", " \n"),
        file("src/lib.rs", "one\ntwo\nthree\n"),
        file("a/own.rs", "one\ntwo\nthree\n"),
        ("image.png".to_owned(), vec![0xff, 0xfe]),
    ])
}

/// Every row: settings, output, and the sentences for what is not met; none when it passes.
fn table(kind: &str, rows: &[(Value, Value, &[&str])]) {
    assert!(rows.len() >= 6, "{kind} has a table of at least six rows");
    for (settings, output, unmet) in rows {
        let check = validate(&node(kind, settings, &Value::Null), output, &files(), &Fake).unwrap();
        assert_eq!(check.unmet, *unmet, "{kind} {settings} on {output}");
        assert_eq!(check.outcome.passes(), unmet.is_empty());
    }
}

#[test]
fn structured_json() {
    let schema = json!({"required": ["a", "b"]});
    let rows: [(Value, &[&str]); 7] = [
        (json!({"a": 1, "b": null}), &[]),
        (json!("{\"a\": 1, \"b\": 2}"), &[]),
        (json!({"a": 1}), &["the output: b is required"]),
        (json!({}), &["the output: a is required", "the output: b is required"]),
        (json!("{\"a\": 1"), &["the output is not JSON"]),
        (json!("plain words"), &["the output is not JSON"]),
        (json!([1]), &["the output: a is required", "the output: b is required"]),
    ];
    for (output, unmet) in rows {
        let check =
            validate(&node("structured_json", &Value::Null, &schema), &output, &files(), &Fake)
                .unwrap();
        assert_eq!(check.unmet, unmet, "{output}");
    }
    let open =
        validate(&node("structured_json", &Value::Null, &Value::Null), &json!({}), &files(), &Fake)
            .unwrap();
    assert_eq!((open.outcome, open.warnings.len()), (Outcome::PassedWithWarnings, 1));
    let broken =
        validate(&node("structured_json", &Value::Null, &json!({})), &json!({}), &files(), &Fake)
            .unwrap();
    assert_eq!(broken.unmet, ["the contract's schema is not valid: `required` is no list"]);
}

#[test]
fn structured_json_lists_no_more_than_it_must() {
    let keys: Vec<_> = (0..50).map(|index| format!("k{index}")).collect();
    let schema = json!({"required": keys});
    let check =
        validate(&node("structured_json", &Value::Null, &schema), &json!({}), &files(), &Fake)
            .unwrap();
    assert_eq!(check.unmet.len(), 21);
    assert_eq!(check.unmet[20], "and 30 more violations of the schema");
}

#[test]
fn generic_artifact() {
    let path = |path: &str| json!({"artifact_path": path});
    table(
        "generic_artifact",
        &[
            (json!({}), json!("text"), &[]),
            (json!({}), json!({"content": "text"}), &[]),
            (json!({}), json!("  "), &["the content has 0 characters, wanted at least 1"]),
            (json!({}), Value::Null, &["the content has 0 characters, wanted at least 1"]),
            (json!({}), json!({}), &["the content has 0 characters, wanted at least 1"]),
            (json!({"min_chars": 5}), json!("größe"), &[]),
            (
                json!({"min_chars": 6}),
                json!("größe"),
                &["the content has 5 characters, wanted at least 6"],
            ),
            (path("report.md"), Value::Null, &[]),
            (json!({}), path("report.md"), &[]),
            (
                path("empty.md"),
                json!("x"),
                &["the file \"empty.md\" has 0 characters, wanted at least 1"],
            ),
            (path("gone.md"), json!("x"), &["the file \"gone.md\" was not produced"]),
        ],
    );
}

#[test]
fn research_brief() {
    let brief = "# Summary\nShort.\n\n## Findings\n- a\n\nSources:\nhttps://a.example/x, https://a.example/x.\n";
    table(
        "research_brief",
        &[
            (json!({}), json!(brief), &[]),
            (json!({"min_sources": 2}), json!(brief), &["1 sources are cited, wanted at least 2"]),
            (
                json!({}),
                json!("# Summary\n\n# Findings\nnone"),
                &[
                    "the section \"summary\" is missing or empty",
                    "the section \"sources\" is missing or empty",
                    "0 sources are cited, wanted at least 1",
                ],
            ),
            (
                json!({"required_sections": ["key_risks"], "min_sources": 0}),
                json!("**Key risks:** few"),
                &[],
            ),
            (
                json!({"required_sections": ["links"], "min_sources": 2}),
                json!("Links: <http://a.example> and https://a.example."),
                &[],
            ),
            (
                json!({"required_sections": ["summary"], "min_sources": 2}),
                json!({"summary": "s", "citations": ["book one", "book two"]}),
                &[],
            ),
            (
                json!({"required_sections": ["links"]}),
                json!("Links: https:// is no address"),
                &["0 sources are cited, wanted at least 1"],
            ),
            (
                json!({"required_sections": ["the four words here"], "min_sources": 0}),
                json!("The four words here: a title"),
                &[],
            ),
            (
                json!({"required_sections": ["these are five words here"], "min_sources": 0}),
                json!("These are five words here: a sentence"),
                &["the section \"these are five words here\" is missing or empty"],
            ),
            (
                json!({"required_sections": ["risks"], "min_sources": 0}),
                json!("Risks: none\nmore"),
                &[],
            ),
            (
                json!({}),
                json!({"summary": "s", "findings": ["f"], "sources": ["book one", "book two"]}),
                &[],
            ),
            (
                json!({"min_sources": 2}),
                json!("{\"summary\": \"s\", \"findings\": \"f\", \"sources\": [\"one\", \"two\"]}"),
                &[],
            ),
            (
                json!({}),
                json!(5),
                &[
                    "the section \"summary\" is missing or empty",
                    "the section \"findings\" is missing or empty",
                    "the section \"sources\" is missing or empty",
                    "0 sources are cited, wanted at least 1",
                ],
            ),
        ],
    );
}

#[test]
fn review_decision() {
    let known = "approve, request_changes, reject";
    let none = format!("there is no decision; wanted one of {known}");
    let long = format!("the decision {:?} is none of {known}", "x".repeat(60));
    let other = format!("the decision \"maybe\" is none of {known}");
    table(
        "review_decision",
        &[
            (json!({}), json!({"decision": "approve", "reason": "the tests cover it"}), &[]),
            (json!({}), json!("Decision: Reject\nReason: it breaks the build"), &[]),
            (
                json!({}),
                json!("{\"decision\": \"reject\", \"rationale\": \"too slow for us\"}"),
                &[],
            ),
            (
                json!({}),
                json!("**Decision:** Request changes.\n\n**Reason:**\nit breaks\nthe build"),
                &[],
            ),
            (
                json!({}),
                json!("## Decision\n\n`approve`\n\n## Reason\nNote: the tests cover it\n"),
                &[],
            ),
            (
                json!({}),
                json!("## Decision\n## Reason\n"),
                &[&none, "the reason has 0 characters, wanted at least 10"],
            ),
            (json!({}), json!({"reason": "long enough it is"}), &[&none]),
            (
                json!({}),
                json!({"decision": "x".repeat(61), "reason": "long enough it is"}),
                &[&long],
            ),
            (json!({}), json!({"decision": "maybe", "reason": "long enough it is"}), &[&other]),
            (
                json!({}),
                json!({"decision": "approve", "reason": "ok"}),
                &["the reason has 2 characters, wanted at least 10"],
            ),
            (
                json!({}),
                json!("looks good"),
                &[&none, "the reason has 0 characters, wanted at least 10"],
            ),
            (
                json!({"decisions": ["ship"], "min_reason_chars": 0}),
                json!({"decision": "SHIP"}),
                &[],
            ),
        ],
    );
}

#[test]
fn standup_update() {
    let missing = |section: &str| format!("the section \"{section}\" is missing or empty");
    table(
        "standup_update",
        &[
            (json!({}), json!("Yesterday: a\nToday: b\nBlockers: none"), &[]),
            (json!({}), json!("## Yesterday\na\n## Today\nb\n## Blockers\nnone"), &[]),
            (json!({}), json!({"yesterday": "a", "today": "b", "blockers": ["c"]}), &[]),
            (
                json!({}),
                json!(
                    "# Yesterday\nCI: red on main\n# Today\n## First\n- fix it\n# Blockers\nnone"
                ),
                &[],
            ),
            (
                json!({}),
                json!("{\"yesterday\": \"a\", \"today\": [\"b\"], \"blockers\": \"c\"}"),
                &[],
            ),
            (
                json!({}),
                json!("# Yesterday\n## First\n# Today\nb\n# Blockers\nnone"),
                &[&missing("yesterday")],
            ),
            (json!({}), json!("Yesterday: a\nToday: b"), &[&missing("blockers")]),
            (
                json!({}),
                json!({"yesterday": "a", "today": "", "blockers": []}),
                &[&missing("today"), &missing("blockers")],
            ),
            (
                json!({}),
                json!(""),
                &[&missing("yesterday"), &missing("today"), &missing("blockers")],
            ),
            (json!({"required_sections": ["mood"]}), json!("Mood: fine"), &[]),
        ],
    );
}

#[test]
fn code_patch() {
    let change = "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
    let plain = format!("--- src/lib.rs\n+++ src/lib.rs\n{change}");
    let prefixed = format!("--- a/src/lib.rs\n+++ b/src/lib.rs\n{change}");
    let git = format!("diff --git a/src/lib.rs b/src/lib.rs\nindex 1..2 100644\n{prefixed}");
    let other = "@@ -1,3 +1,3 @@\n one\n-zwei\n+2\n three\n";
    let stale = format!("--- a/src/lib.rs\n+++ b/src/lib.rs\n{other}");
    let new = "--- /dev/null\n+++ b/new.rs\n@@ -0,0 +1 @@\n+fn\n";
    let existing = "--- /dev/null\n+++ b/report.md\n@@ -0,0 +1 @@\n+fn\n";
    let deleted = "--- a/src/lib.rs\n+++ /dev/null\n@@ -1,3 +0,0 @@\n-one\n-two\n-three\n";
    let missing = "--- a/gone.rs\n+++ b/gone.rs\n@@ -1 +1 @@\n-a\n+b\n";
    let outside = "--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n";
    let to_outside = format!("--- a/src/lib.rs\n+++ b/../../etc/x\n{change}");
    let to_root = format!("--- a/src/lib.rs\n+++ /etc/x\n{change}");
    let rename = |to: &str| {
        format!(
            "diff --git a/src/lib.rs b/{to}\nsimilarity index 100%\nrename from src/lib.rs\nrename to {to}\n"
        )
    };
    let fenced = format!("The change:\n```diff\n{prefixed}```\nDone.\n");
    let mode = "diff --git a/src/lib.rs b/src/lib.rs\nold mode 100644\nnew mode 100755\n";
    let rooted = "--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-a\n+b\n";
    let binary = "--- image.png\n+++ image.png\n@@ -1 +1 @@\n-a\n+b\n";
    let new_binary = "diff --git a/new.png b/new.png\nnew file mode 100644\nindex 0..2\nBinary files /dev/null and b/new.png differ\n";
    let created = |path: &str| format!("--- /dev/null\n+++ {path}\n@@ -0,0 +1 @@\n+fn\n");
    let moved_report = "--- docs/report.md\n+++ docs/report.md\n@@ -1,2 +1,2 @@\n # Report\n-All is well.\n+All is lost.\n";
    let nothing =
        "the patch is no unified diff: error parsing patches at byte 0: no valid patches found";
    let passing = [
        json!(plain),
        json!(prefixed),
        json!(git),
        json!({"patch": prefixed}),
        json!({"diff": new}),
        json!(deleted),
        json!(fenced),
        json!(mode),
        json!(rename("src/new.rs")),
        json!(format!("--- a/own.rs\n+++ a/own.rs\n{change}")),
    ];
    for output in &passing {
        let check =
            validate(&node("code_patch", &Value::Null, &Value::Null), output, &files(), &Fake)
                .unwrap();
        assert_eq!(check.unmet, Vec::<String>::new(), "{output}");
    }
    table(
        "code_patch",
        &[
            (json!({}), json!(5), &["there is no patch; wanted a unified diff"]),
            (json!({}), json!(""), &[nothing]),
            (json!({}), json!("I changed the second line."), &[nothing]),
            (
                json!({}),
                json!(existing),
                &["\"report.md\" is created by the patch but exists already"],
            ),
            (
                json!({}),
                json!(missing),
                &["\"gone.rs\" is changed by the patch but does not exist"],
            ),
            (json!({}), json!(outside), &["\"a/../x\" leads out of the workspace"]),
            (json!({}), json!(to_outside), &["\"b/../../etc/x\" leads out of the workspace"]),
            (json!({}), json!(to_root), &["\"/etc/x\" leads out of the workspace"]),
            (json!({}), json!(rename("../x")), &["\"../x\" leads out of the workspace"]),
            (
                json!({}),
                json!(rename("report.md")),
                &["\"report.md\" is created by the patch but exists already"],
            ),
            (
                json!({}),
                json!("--- a/src/lib.rs\n+++ b/src/lib.rs\n"),
                &["the patch names \"src/lib.rs\" but changes nothing in it"],
            ),
            (
                json!({}),
                json!(format!("{missing}{prefixed}{existing}")),
                &[
                    "\"gone.rs\" is changed by the patch but does not exist",
                    "\"report.md\" is created by the patch but exists already",
                ],
            ),
            (
                json!({}),
                json!(format!("{prefixed}{deleted}")),
                &["\"src/lib.rs\" is changed by two parts of the patch; join them"],
            ),
            (json!({}), json!(rooted), &["\"/etc/x\" leads out of the workspace"]),
            (json!({}), json!(binary), &["\"image.png\" is not text"]),
            (
                json!({}),
                json!(new_binary),
                &["\"new.png\" is changed by a binary patch; wanted text"],
            ),
            (
                json!({}),
                json!(created("src/lib.rs")),
                &["\"src/lib.rs\" is created by the patch but exists already"],
            ),
            // A file of the same name elsewhere is another file.
            (json!({}), json!(created("docs/report.md")), &[]),
            (json!({}), json!(created("b/docs/report.md")), &[]),
            (
                json!({}),
                json!(moved_report),
                &["\"docs/report.md\" is changed by the patch but does not exist"],
            ),
            (
                json!({}),
                json!(format!("--- a/src/lib.rs\n+++ b/report.md\n{change}")),
                &["\"report.md\" is created by the patch but exists already"],
            ),
            (
                json!({}),
                json!("--- a//etc/x\n+++ b//etc/x\n@@ -1 +1 @@\n-a\n+b\n"),
                &["\"/etc/x\" leads out of the workspace"],
            ),
            (json!({"max_files": 1}), json!(prefixed), &[]),
            (
                json!({"max_files": 1}),
                json!(format!("{prefixed}{new}")),
                &["the patch changes 2 files, at most 1 are allowed"],
            ),
        ],
    );
    let check =
        validate(&node("code_patch", &Value::Null, &Value::Null), &json!(stale), &files(), &Fake)
            .unwrap();
    assert_eq!(check.unmet.len(), 1);
    assert!(
        check.unmet[0].starts_with("the patch does not apply to \"src/lib.rs\""),
        "{:?}",
        check.unmet
    );
}

fn report(node: &str, attempts: u32, result: Result<Value, NodeError>) -> NodeReport {
    NodeReport { node: NodeId::new(node).unwrap(), attempts, result, usage: Usage::default() }
}

#[test]
fn there_is_exactly_one_check_for_each_expected_outcome() {
    let contract = json!({"kind": "k", "validator": "generic_artifact"});
    let node = |id: &str, after: &[&str]| json!({"node_id": id, "agent_id": "a", "objective": "o", "depends_on": after, "output_contract": contract});
    let workflow =
        workflow(&json!([node("a", &[]), node("b", &["a"]), node("c", &["b"]), node("d", &["c"])]));
    let case = Case {
        id: CaseId::new("case").unwrap(),
        inputs: serde_json::Map::new(),
        // The first speaks about the only sink.
        expect: serde_json::from_value(json!([
            {"type": "is-json"},
            {"node": "a", "type": "equals", "value": "x"},
        ]))
        .unwrap(),
        role: Role::Search,
    };
    let late = NodeError::new(ErrorClass::Timeout, "too late");
    let nodes = [
        report("a", 1, Ok(json!("x"))),
        report("b", 2, Err(late.clone())),
        report("c", 0, Err(NodeError::new(ErrorClass::Blocked, ""))),
    ];
    let checks = check_case(&workflow, &case, &nodes, &files(), &Fake);
    let seen: Vec<_> = checks.iter().map(|check| (check.node.as_str(), check.outcome)).collect();
    use Outcome::{Blocked, Failed, Passed};
    assert_eq!(
        seen,
        [("a", Passed), ("b", Failed), ("c", Blocked), ("d", Failed), ("d", Failed), ("a", Passed)]
    );
    assert_eq!(checks[1].unmet, [format!("the node has no output: {late}")]);
    assert_eq!(checks[2].unmet, ["the node was blocked"]);
    assert_eq!(checks[3].unmet, ["the node did not run"]);
    let kinds: Vec<_> = checks.iter().skip(4).map(|check| check.kind).collect();
    assert_eq!(kinds, [CheckKind::Assertion(0), CheckKind::Assertion(1)]);
}

/// A workspace that cannot be read.
struct Unreadable;

impl Workspace for Unreadable {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Err(format!("{path:?} cannot be read"))
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_unmet_requirement() {
    let patch = "--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\n";
    for (kind, output) in
        [("generic_artifact", json!({"artifact_path": "x"})), ("code_patch", json!(patch))]
    {
        let node = node(kind, &Value::Null, &Value::Null);
        let check = validate(&node, &output, &Unreadable, &Fake).unwrap();
        assert_eq!(check.unmet, ["\"x\" cannot be read"], "{kind}");
    }
}

fn plain_node(id: &str, after: &[&str]) -> Value {
    json!({"node_id": id, "agent_id": "a", "objective": "o", "depends_on": after})
}

fn expecting(expect: Value) -> Case {
    Case {
        id: CaseId::new("case").unwrap(),
        inputs: serde_json::Map::new(),
        expect: serde_json::from_value(expect).unwrap(),
        role: Role::Search,
    }
}

#[test]
fn what_names_no_node_is_checked_only_where_one_node_is_last() {
    let case = expecting(json!([{"type": "is-json"}, {"node": "c", "type": "is-json"}]));
    let nodes = ["a", "b", "c"].map(|id| report(id, 1, Ok(json!({}))));
    let checked = |nodes_of: &Value| -> Vec<String> {
        check_case(&workflow(nodes_of), &case, &nodes, &files(), &Fake)
            .iter()
            .map(|check| check.node.to_string())
            .collect()
    };
    let fork = json!([plain_node("a", &[]), plain_node("b", &["a"]), plain_node("c", &["a"])]);
    assert_eq!(checked(&fork), ["c"], "b and c are both last");
    let chain = json!([plain_node("a", &[]), plain_node("b", &["a"]), plain_node("c", &["b"])]);
    assert_eq!(checked(&chain), ["c", "c"]);
}

#[test]
fn limits_of_a_case_see_what_the_node_itself_used() {
    let case = expecting(json!([
        {"node": "a", "type": "latency", "max_ms": 70},
        {"node": "b", "type": "latency", "max_ms": 70},
        {"node": "a", "type": "cost", "max_micro_usd": 4},
    ]));
    let used = |node, latency, cost| {
        let mut report = report(node, 1, Ok(json!("x")));
        report.usage.latency = crate::quantity::Millis(latency);
        report.usage.cost = crate::quantity::MicroUsd(cost);
        report
    };
    let nodes = [used("a", 70, 5), used("b", 71, 0)];
    let workflow = workflow(&json!([plain_node("a", &[]), plain_node("b", &["a"])]));
    let checks = check_case(&workflow, &case, &nodes, &files(), &Fake);
    let outcomes: Vec<_> = checks.iter().map(|check| check.outcome).collect();
    assert_eq!(outcomes, [Outcome::Passed, Outcome::Failed, Outcome::Failed]);
    assert_eq!(checks[1].unmet, ["wanted at most 70 ms, found 71 ms"]);
    assert_eq!(checks[2].unmet, ["wanted at most $0.000004, found $0.000005"]);
}

/// Any text, and text made of what the validators look for.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "([-+@ #*:a-z0-9/.\\n\"{}\\[\\]é]|--- |\\+\\+\\+ |@@ -1 \\+1 @@|https?://|diff --git ){0,40}",
    ]
}

proptest! {
    #[test]
    fn no_text_makes_a_validator_panic(text in texts(), setting in texts(), count in any::<u64>()) {
        let settings = json!({
            "artifact_path": setting, "min_chars": count, "max_files": count, "min_sources": count,
            "min_reason_chars": count, "required_sections": [setting], "decisions": [setting],
        });
        for (kind, settings) in
            ValidatorKind::ALL.into_iter().flat_map(|kind| [(kind, &Value::Null), (kind, &settings)])
        {
            let node = node(kind.name(), settings, &Value::Null);
            for output in [json!(text), json!({"patch": text, "decision": text, "content": text})] {
                let check = validate(&node, &output, &files(), &Fake).unwrap();
                prop_assert_eq!(check.outcome == Outcome::Failed, !check.unmet.is_empty());
            }
        }
    }
}
