//! What an operator does with the store of a project.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

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

/// What an import of `text` gives: a project whose store is that one.
fn imported(text: &str) -> Project {
    let copy = Project::example();
    copy.write("store.jsonl", text);
    let file = copy.path().join("store.jsonl").display().to_string();
    copy.optim(["store", "import", &file]).ended(0);
    copy
}

#[test]
fn an_export_while_a_campaign_runs_is_one_state_in_which_all_invariants_hold() {
    let project = Project::example();
    project.decide("{rule: point}");
    let mut owner = project.command(["run", "--wait", "--id", "busy", "--seed", "1"]);
    let mut owner = owner.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // One export after the other, until the campaign waits for a person.
    let (mut texts, mut is_waiting) = (Vec::new(), false);
    while !is_waiting {
        assert!(owner.try_wait().unwrap().is_none(), "the owner ended early");
        let status = project.optim(["status", "--json"]);
        is_waiting = status.stdout.contains("\"awaiting_promotion_approval\"");
        export(&project, "store.jsonl");
        texts.push(project.read("store.jsonl"));
    }
    project.optim(["cancel"]).ended(0);
    owner.wait().unwrap();
    texts.retain(|text| text.contains("{\"kind\":\"run\","));
    texts.dedup();
    let running = texts.iter().filter(|text| text.contains("\"state\":\"running\"")).count();
    assert!(running > 0, "none of {} exports has a case run at work", texts.len());
    let step = texts.len().div_ceil(4);
    for text in texts.iter().step_by(step) {
        let copy = imported(text);
        // Nobody writes there, so that invariants are checked too.
        copy.optim(["store", "verify"]).ended(0);
        copy.optim(["audit", "verify"]).ended(0);
        export(&copy, "again.jsonl");
        assert_eq!(copy.read("again.jsonl"), *text);
    }
}

#[test]
fn an_import_that_breaks_off_while_it_writes_leaves_nothing() {
    let project = project();
    export(&project, "store.jsonl");
    let copy = Project::example();
    copy.write("store.jsonl", project.read("store.jsonl"));
    let file = copy.path().join("store.jsonl").display().to_string();
    copy.optim(["store", "stat"]).ended(0);
    let import = copy.command(["store", "import", &file]);
    let mut signals = 0;
    // Behind this place in a file the system writes nothing, and kills who begins to: a commit ends in its
    // middle, with the process or without.
    for blocks in [16, 64, 400, 1024] {
        let mut limited = Command::new("sh");
        limited.arg("-c").arg(format!("ulimit -c 0; ulimit -f {blocks}; exec \"$0\" \"$@\""));
        limited.arg(import.get_program()).args(import.get_args());
        let status = limited.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        signals += u32::from(status.signal().is_some());
        assert!(status.signal().is_some() || status.code() == Some(10), "{blocks}: {status}");
        let stat = copy.optim(["store", "stat", "--json"]).document(0);
        let tables = stat["store"]["tables"].as_object().unwrap();
        let left = tables.iter().filter(|(name, entries)| *name != "meta" && **entries != 0);
        assert_eq!(left.count(), 0, "at {blocks}: {stat}");
        copy.optim(["store", "verify"]).ended(0);
    }
    assert!(signals > 0, "none was killed");
    copy.optim(["store", "import", &file]).ended(0);
    copy.optim(["store", "verify"]).ended(0);
    copy.optim(["store", "import", &file]).refused(6, "store_not_empty");
}
