//! `cargo xtask smoke`: the main job of a release build does something.

use anyhow::Context as _;
use serde_json::Value;

use crate::{cargo, output, root};

/// The README's command, with its result as a document.
const DEMO: &[&str] = &["run", "--release", "--", "demo", "--json"];

/// Runs the demo and checks what it printed.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut demo = cargo(DEMO);
    demo.current_dir(root()?);
    println!("{}", check(&output(demo)?)?);
    Ok(())
}

/// Says in one line what the demo did, if it did something.
fn check(printed: &str) -> anyhow::Result<String> {
    let document: Value =
        serde_json::from_str(printed).context("the demo did not print one JSON document")?;
    let status = document.pointer("/campaign/status").and_then(Value::as_str);
    let status = status.context("the document has no text at /campaign/status")?;
    let experiments = document.get("experiments").and_then(Value::as_array);
    let experiments = experiments.map_or(0, Vec::len);
    anyhow::ensure!(experiments > 0, "the demo ended {status} without a single experiment");
    Ok(format!("the demo ended {status} after {experiments} experiment(s)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../README.md");

    #[test]
    fn the_demo_command_is_the_one_of_the_readme() {
        let (_json, command) = DEMO.split_last().unwrap();
        let command = format!("$ cargo {}", command.join(" "));
        let in_readme = |line: &str| line.split('#').next().map(str::trim) == Some(&command);
        assert!(README.lines().any(in_readme));
    }

    #[test]
    fn a_campaign_with_an_experiment_passes() {
        let printed = r#"{"campaign": {"status": "completed"}, "experiments": [{"number": 1}]}"#;
        assert_eq!(check(printed).unwrap(), "the demo ended completed after 1 experiment(s)");
    }

    #[test]
    fn a_document_that_shows_no_work_fails() {
        for (printed, complaint) in [
            ("", "one JSON document"),
            ("{} {}", "one JSON document"),
            (r#"{"experiments": [{}]}"#, "/campaign/status"),
            (r#"{"campaign": {"status": "draft"}}"#, "without a single experiment"),
            (
                r#"{"campaign": {"status": "draft"}, "experiments": []}"#,
                "without a single experiment",
            ),
        ] {
            let error = check(printed).unwrap_err().to_string();
            assert!(error.contains(complaint), "{printed}: {error}");
        }
    }
}
