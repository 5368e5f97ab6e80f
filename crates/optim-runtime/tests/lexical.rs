//! The built-in agent is real: better instructions make it better, worse ones worse, and nothing but
//! the instructions and the input makes a difference.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers fail the test that calls them"
)]

use optim_core::node_io::{Attempt, Limits, NodeRequest};
use optim_runtime::executor::lexical::answer;
use serde_json::{Map, Value, json};

struct Task {
    objective: String,
    values: Vec<String>,
    cases: Vec<(String, String)>,
}

/// A task that has nothing to do with the shipped example: notes of a kitchen.
fn recipes() -> Task {
    let fixture: Value =
        serde_json::from_str(include_str!("fixtures/lexical/recipes.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Task {
        objective: text(&fixture["objective"]),
        values: fixture["values"].as_array().unwrap().iter().map(text).collect(),
        cases: fixture["cases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| (text(&case[0]), text(&case[1])))
            .collect(),
    }
}

fn request(objective: &str, contract: Option<Value>, input: &str) -> NodeRequest {
    let inputs = Map::from_iter([("note".to_owned(), Value::from(input))]);
    NodeRequest {
        objective: objective.to_owned(),
        inputs,
        upstream: Map::new(),
        contract,
        attempt: Attempt { id: "a".to_owned(), number: 1, seed: 1 },
        limits: Limits { timeout_ms: 1000, max_output_bytes: 1000, max_tokens: None },
        working_directory: "/".to_owned(),
        for_effect: false,
        agent: Map::new(),
    }
}

impl Task {
    fn classify(&self, input: &str) -> String {
        let contract = json!({"schema": {"properties": {"kind": {"enum": self.values}}}});
        answer(&request(&self.objective, Some(contract), input))["kind"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Right answers, in all or for one value.
    fn right(&self, value: Option<&str>) -> usize {
        let asked =
            self.cases.iter().filter(|(_, wanted)| value.is_none_or(|value| value == wanted));
        asked.filter(|(input, wanted)| self.classify(input) == *wanted).count()
    }
}

#[test]
fn it_beats_chance_clearly_on_an_unrelated_task() {
    let task = recipes();
    assert!(task.cases.len() >= 30);
    let right = task.right(None);
    // Chance is a quarter. Not perfect either: some notes share no word with any definition.
    assert!(right * 4 >= task.cases.len() * 3, "{right} of {}", task.cases.len());
    assert!(right < task.cases.len());
}

#[test]
fn other_names_for_the_labels_change_nothing() {
    let task = recipes();
    let right = task.right(None);
    let mut renamed = recipes();
    for (index, value) in task.values.iter().enumerate() {
        let name = format!("q{index}z");
        renamed.objective =
            renamed.objective.replace(&format!("- {value}:"), &format!("- {name}:"));
        renamed.values[index].clone_from(&name);
        for (_, wanted) in renamed.cases.iter_mut().filter(|(_, wanted)| wanted == value) {
            wanted.clone_from(&name);
        }
    }
    assert_eq!(renamed.right(None), right);
}

#[test]
fn a_label_without_its_definition_is_recognised_less_often() {
    for value in recipes().values.iter().skip(1) {
        let mut poorer = recipes();
        let before = poorer.right(Some(value));
        let kept =
            poorer.objective.lines().filter(|line| !line.starts_with(&format!("- {value}:")));
        poorer.objective = kept.collect::<Vec<_>>().join("\n");
        let after = poorer.right(Some(value));
        assert!(after < before, "{value}: {after} of {before}");
    }
}

#[test]
fn words_that_say_nothing_do_not_help() {
    let mut padded = recipes();
    let before = padded.right(None);
    for value in padded.values.clone() {
        let noise = "various assorted miscellaneous general further additional remaining matters";
        padded.objective =
            padded.objective.replace(&format!("- {value}:"), &format!("- {value}: {noise}"));
    }
    assert!(padded.right(None) <= before);
}

#[test]
fn words_that_tell_cases_apart_do_help() {
    let mut better = recipes();
    let before = better.right(None);
    better.objective = better.objective.replace("- chill:", "- chill: salt");
    better.objective = better.objective.replace("- simmer:", "- simmer: serves hungry");
    assert!(better.right(None) > before);
}

#[test]
fn any_contract_gets_an_answer() {
    for contract in [
        json!(null),
        json!(7),
        json!({"schema": null}),
        json!({"schema": {"properties": {"a": {"enum": []}, "b": {"enum": [1, null]}, "c": 3}}}),
        json!({"schema": {"properties": {"n": {"type": "number"}, "t": {"type": "array"}, "o": {"type": "object"}}}}),
        json!({"summary_guidance": 5}),
    ] {
        for input in ["", "  ", "größer als 12.50 🍞", "\u{202e}x\0"] {
            let asked = request("", Some(contract.clone()), input);
            assert_eq!(answer(&asked), answer(&asked));
        }
    }
    let numbers = json!({"schema": {"properties": {"n": {"type": "number"}}}});
    assert_eq!(answer(&request("", Some(numbers), "about 12.50 each"))["n"], json!(12.50));
    let text = json!({"schema": {"properties": {"why": {"type": "string", "description": "what the oven does"}}}});
    let said = answer(&request("", Some(text), "Good morning. The oven is hot. Bye."));
    assert_eq!(said["why"], "The oven is hot.");
}
