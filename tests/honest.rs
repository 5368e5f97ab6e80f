//! No result of the example is arranged.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::{Project, root};
use serde_json::Value;

/// Every file under `folder`, `target` and state left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | ".git" | ".optim") {
                found.extend(files(&path));
            }
        } else {
            found.push(path);
        }
    }
    found
}

fn cases() -> Vec<Value> {
    let pack =
        std::fs::read_to_string(root().join("examples/ticket-triage/cases/tickets.jsonl")).unwrap();
    pack.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_example_has_at_least_120_cases_in_two_splits() {
    let cases = cases();
    let holdout = cases.iter().filter(|case| case["split"] == "holdout").count();
    assert!(
        cases.len() >= 120 && holdout >= 30 && cases.len() - holdout >= 60,
        "{} cases, {holdout} holdout",
        cases.len()
    );
}

#[test]
fn no_label_definition_or_case_text_of_the_example_stands_in_the_sources() {
    let mut needles = BTreeSet::new();
    for case in cases() {
        for expectation in case["expect"].as_array().unwrap() {
            needles.insert(expectation["value"].as_str().unwrap().to_owned());
        }
        for text in case["inputs"].as_object().unwrap().values().filter_map(Value::as_str) {
            needles.insert(text.chars().take(40).collect());
        }
    }
    let workflow = Project::example().read("workflow.yaml");
    let definitions =
        workflow.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_once(": "));
    needles.extend(
        definitions
            .map(|(_, words)| words.to_owned())
            .filter(|words| words.split_whitespace().count() > 3),
    );
    assert!(needles.len() > 150, "{} needles", needles.len());
    for path in files(&root().join("crates")) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for needle in &needles {
            assert!(!text.contains(needle.as_str()), "{} holds {needle}", path.display());
        }
    }
}

#[test]
fn the_winning_text_stands_in_no_shipped_file() {
    let project = Project::example();
    let report = project.optim(["run", "--json"]).document(7);
    let winner = report["experiments"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["state"] == "recommended")
        .unwrap();
    assert_eq!(winner["proposer"], "examples");
    let text = |key: &str| winner["mutation"][key].as_str().unwrap().to_owned();
    let (before, after) = (text("before"), text("after"));
    let added: Vec<_> = after.lines().filter(|line| !before.contains(line)).collect();
    assert!(!added.is_empty() && added.iter().all(|line| line.chars().count() >= 10), "{added:?}");
    for path in files(&root()) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for line in &added {
            assert!(!text.contains(line), "{} holds the winning text {line:?}", path.display());
        }
    }
}

#[test]
fn other_seeds_find_an_improvement_too() {
    for seed in ["2", "3", "5"] {
        let project = Project::example();
        let report = project.optim(["run", "--json", "--seed", seed]).document(7);
        assert_eq!(report["campaign"]["seed"].to_string(), seed);
        assert_eq!(report["campaign"]["status"], "awaiting_promotion_approval");
    }
}

#[test]
fn equal_seeds_give_equal_campaigns() {
    let run = || {
        let report = Project::example().optim(["run", "--json", "--seed", "7"]).document(7);
        let experiments = report["experiments"].as_array().unwrap().clone();
        experiments
            .iter()
            .map(|found| (found["mutation"].clone(), found["metrics"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_workflow_that_cannot_be_improved_ends_without_an_improvement() {
    let project = Project::example();
    // Whatever the agent answers is expected: every case passes, so nothing can be better.
    let relaxed: String = cases()
        .into_iter()
        .map(|mut case| {
            case["expect"] = serde_json::json!([{"type": "is-json"}]);
            if case["expect"][0].get("node").is_none() {
                case["expect"][0]["node"] = "classify".into();
            }
            format!("{case}\n")
        })
        .collect();
    project.write("cases/tickets.jsonl", relaxed);
    let report = project.optim(["run", "--json"]).document(0);
    assert_eq!(report["campaign"]["status"], "completed");
    assert_eq!(report["campaign"]["baseline_version"], 0);
    let reason = report["campaign"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("no improvement"), "{reason}");
    let discarded =
        report["experiments"].as_array().unwrap().iter().all(|found| found["verdict"] == "discard");
    assert!(discarded, "{report:#}");
}
