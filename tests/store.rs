//! What an operator does with the store of a project.

use serde_json::Value;

use crate::support::Project;

/// The example after a campaign that waits for a person, with a workflow run and a stored workflow.
fn project() -> Project {
    let project = Project::example();
    project.decide("{rule: point}");
    project.optim(["run", "--id", "known", "--seed", "1"]).ended(7);
    let file = project.path().join("workflow.yaml").display().to_string();
    project.optim(["workflow", "put", &file]).ended(0);
    let inputs = r#"{"subject": "My bank took the money twice", "body": "Please refund it."}"#;
    project.optim(["run-workflow", "--key", "one", "--inputs", inputs]).ended(0);
    project
}

fn export(project: &Project, file: &str) -> Value {
    let path = project.path().join(file).display().to_string();
    project.optim(["store", "export", &path, "--json"]).document(0)
}

#[test]
fn an_export_fills_an_empty_store_with_an_equal_hash_and_the_campaign_goes_on_there() {
    let project = project();
    let exported = export(&project, "store.jsonl");
    let file = project.path().join("store.jsonl").display().to_string();
    let copy = Project::example();
    copy.decide("{rule: point}");
    let imported = copy.optim(["store", "import", &file, "--json"]).document(0);
    assert_eq!(
        (&imported["hash"], &imported["records"]),
        (&exported["hash"], &exported["records"])
    );
    assert_eq!(export(&copy, "again.jsonl")["hash"], exported["hash"]);
    assert_eq!(copy.read("again.jsonl"), project.read("store.jsonl"));
    for verb in [["audit", "head"], ["decisions", "export"]] {
        assert_eq!(copy.optim(verb).stdout, project.optim(verb).stdout, "{verb:?}");
    }
    copy.optim(["store", "verify"]).ended(0);
    copy.optim(["store", "import", &file]).refused(6, "store_not_empty");
    copy.optim(["approve", "1"]).ended(0);
    copy.optim(["apply"]).ended(0);
    copy.optim(["store", "verify"]).ended(0);
}

#[test]
fn threat_17_an_export_that_was_changed_or_cut_is_refused_and_leaves_the_store_empty() {
    let project = project();
    export(&project, "store.jsonl");
    let text = project.read("store.jsonl");
    let copy = Project::example();
    let (cut, _) = text.rsplit_once("{\"records\"").unwrap();
    for (name, changed) in [
        ("edited", text.replacen("local:tester", "local:taster", 1)),
        ("cut", cut.to_owned()),
        ("half", text.chars().take(text.len() / 2).collect()),
        ("empty", String::new()),
    ] {
        copy.write(name, changed);
        let file = copy.path().join(name).display().to_string();
        copy.optim(["store", "import", &file]).refused(3, "export_invalid");
        let stat = copy.optim(["store", "stat", "--json"]).document(0);
        assert_eq!(stat["store"]["tables"]["campaigns"], 0, "{name}");
    }
    copy.optim(["store", "import", "none"]).refused(5, "file_not_found");
    copy.write("whole", text);
    let file = copy.path().join("whole").display().to_string();
    copy.optim(["store", "import", &file]).ended(0);
}

#[test]
fn a_clean_up_drops_old_outputs_and_nothing_that_a_campaign_needs() {
    let project = project();
    let kept = project.optim(["store", "gc", "--json"]).document(0);
    assert_eq!((&kept["workflow_runs"], &kept["payloads"]), (&0.into(), &0.into()));
    let dropped = project.optim(["store", "gc", "--keep-outputs-days", "0", "--json"]).document(0);
    assert_eq!(dropped["workflow_runs"], 1);
    let again = project.optim(["store", "gc", "--keep-outputs-days", "0"]);
    assert!(again.stdout.contains("of 0 workflow run(s)"), "{again}");
    project.optim(["store", "verify"]).ended(0);
    project.optim(["decisions", "verify"]).ended(0);
    project.optim(["show", "1"]).ended(0);
    project.optim(["approve", "1"]).ended(0);
    project.optim(["apply"]).ended(0);
}

#[test]
fn a_store_that_forgets_has_nothing_to_look_after() {
    let project = Project::example();
    project.replace("optim.toml", "[executor]", "[store]\nurl = \"memory:\"\n[executor]");
    project.optim(["store", "stat"]).refused(2, "store_forgets");
}
