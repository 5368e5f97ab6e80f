//! What is said and logged: names and texts of others make no line of their own and no terminal obey.

use serde_json::{Value, json};

use crate::openai::{Server, completion};
use crate::support::{Project, Ran, temporary};

/// Clears the screen, forges a line, turns the order of reading and hides a character.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}31m\r\nFORGED\u{7}\u{8}\u{7f}\u{202e}\u{200b}\u{2028}y";

/// The same in a text of YAML.
fn in_yaml() -> String {
    let escaped = HOSTILE.chars().map(|c| format!("\\U{:08x}", u32::from(c)));
    format!("\"{}\"", escaped.collect::<String>())
}

/// Nothing of what was said is obeyed or hidden, and no line is forged.
fn is_harmless(ran: &Ran, what: &str) {
    for said in [&ran.stdout, &ran.stderr] {
        let is_obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert_eq!(said.find(is_obeyed), None, "{what}: {said:?}");
        assert_eq!(said.find(['\u{202e}', '\u{200b}', '\u{2028}']), None, "{what}: {said:?}");
        assert!(!said.lines().any(|line| line.starts_with("FORGED")), "{what}: {said}");
    }
}

/// Everything that is said about a campaign, as text and as JSON, with the log.
fn all_is_harmless(project: &Project, runs: &[&[&str]]) -> String {
    let verbs: [&[&str]; 8] = [
        &["status"],
        &["list"],
        &["show", "1"],
        &["show", "99"],
        &["plan"],
        &["decisions", "export"],
        &["audit", "verify"],
        &["runs", "list"],
    ];
    let mut said = String::new();
    for verb in runs.iter().chain(&verbs) {
        for json in [false, true] {
            let args = verb.iter().copied().chain(json.then_some("--json"));
            let mut command = project.command(args);
            let ran = Ran::of(command.env("OPTIM_LOG", "debug").output().unwrap());
            is_harmless(&ran, &format!("{verb:?} json {json}"));
            if json && ran.code == 0 && !verb.contains(&"export") {
                let document: Result<Value, _> = serde_json::from_str(&ran.stdout);
                assert!(document.is_ok(), "{verb:?}: {ran}");
            }
            said += &(ran.stdout + &ran.stderr);
        }
    }
    said
}

#[test]
fn threat_37_what_agents_workflows_and_candidates_say_makes_no_line_of_its_own() {
    let answer = json!({"content": {"note": HOSTILE}});
    let error = json!({"error": {"class": "failed", "message": HOSTILE}});
    let project = Project::of_one_node("kind = \"process\"\ncommand = [\"/bin/sh\", \"agent.sh\"]");
    project.write(
        "agent.sh",
        format!(
            "read -r request; printf '\\033[2J\\r\\nFORGED' >&2\n\
             case $request in *one*) printf '%s' '{error}';; *two*) exit 3;; *) printf '%s' '{answer}';; esac"
        ),
    );
    project.replace(
        "workflow.yaml",
        "automation_id: w\n",
        &format!("automation_id: w\nname: {}\n", in_yaml()),
    );
    project.write("text", format!("Answer the question that was asked in one word.{HOSTILE}"));
    let text = project.path().join("text").display().to_string();
    let attempt = ["try", "--node", "n", "--field", "objective", "--text-file", &text];
    let said = all_is_harmless(&project, &[&attempt]);
    for shown in
        ["\\u{1b}[2J", "\\u{202e}", "\\u{9b}31m\\r\\nFORGED", "\\u001b[2J", "\\u202e", "\\u009b"]
    {
        assert!(said.contains(shown), "the control: {shown} was to be said");
    }
}

#[test]
fn threat_37_what_a_provider_says_makes_no_line_of_its_own() {
    for status in ["400 Bad Request", "413 Too Large", "200 OK"] {
        let server = Server::start(status, move |_| match status {
            "200 OK" => completion(HOSTILE),
            _ => json!({"error": {"message": HOSTILE}}),
        });
        let project = Project::of_one_node(&format!(
            "kind = \"openai\"\nmodel = \"acme/m\"\n[executor.providers.acme]\nprices = \"free\"\n\
             base_url = \"http://127.0.0.1:{}/v1\"",
            server.port
        ));
        project.replace("policy/budget.yaml", "max_experiments:", "max_experiments: 1 #");
        let said = all_is_harmless(&project, &[&["run"]]);
        if status.starts_with("400") {
            assert!(said.contains("\\u{1b}[2J"), "the control: {status} was to be said: {said}");
        }
    }
}

#[test]
fn threat_37_paths_and_files_that_are_named_make_no_line_of_their_own() {
    let place = temporary();
    let folder = place.path().join(HOSTILE);
    let project = Project::example();
    let missing = folder.display().to_string();
    for args in [
        &["-C", &missing, "status"][..],
        &["workflow", "put", &missing],
        &["workflow", "get", HOSTILE],
        &["run", "--id", HOSTILE],
        &["show", HOSTILE],
        &["status", HOSTILE],
        &["store", "import", &missing],
        &["decisions", "verify", &missing],
    ] {
        for json in [false, true] {
            let ran = project.optim(args.iter().copied().chain(json.then_some("--json")));
            assert_ne!(ran.code, 0, "{args:?}");
            is_harmless(&ran, &format!("{args:?}"));
        }
    }
    std::fs::create_dir(&folder).unwrap();
    for (file, text) in [
        ("optim.toml", "workflow = 'workflow.yaml'\n'FORGED\\u001b' = 1\n".to_owned()),
        ("workflow.yaml", format!("automation_id: {}\n", in_yaml())),
        ("policy/budget.yaml", format!("{}: 1\n", in_yaml())),
        ("cases/tickets.jsonl", json!({"id": HOSTILE, "inputs": {}}).to_string()),
        ("cases/tickets.jsonl", json!({"id": "a", HOSTILE: {}}).to_string()),
    ] {
        let project = Project::example();
        project.write(file, text);
        for args in [&["plan"][..], &["plan", "--json"]] {
            let ran = project.optim(args);
            ran.ended(3);
            is_harmless(&ran, file);
        }
    }
}

#[test]
fn threat_12_ids_have_no_control_characters_and_hidden_text_is_kept_flagged_and_shown() {
    let project = Project::of_one_node("kind = \"lexical\"");
    project.optim(["run", "--id", "a\u{1b}b"]).refused(2, "no control character");
    for (file, from, to) in [
        ("workflow.yaml", "node_id: n", "node_id: \"n\\e\""),
        ("workflow.yaml", "agent_id: a}]", "agent_id: \"a\\0\"}]"),
        ("cases/tickets.jsonl", "\"id\":\"a\"", "\"id\":\"a\\u0007\""),
    ] {
        let project = Project::of_one_node("kind = \"lexical\"");
        project.replace(file, from, to);
        project.optim(["plan"]).refused(3, "project_invalid");
    }
    let hidden = "Answer the question that was asked in one word\u{202e}\u{200b}.";
    project.write("text", hidden);
    let text = project.path().join("text").display().to_string();
    project.optim(["try", "--node", "n", "--field", "objective", "--text-file", &text]).ended(0);
    let shown = project.optim(["show", "1", "--json"]).document(0);
    assert_eq!(shown["experiment"]["mutation"]["after"], hidden, "it is kept");
    assert_eq!(shown["suspicious"]["change"], json!(["invisible", "direction"]));
    let said = project.optim(["show", "1"]).stdout;
    assert!(said.contains("word\\u{202e}\\u{200b}."), "{said}");
    assert!(said.contains("SUSPICIOUS: its change has invisible characters"), "{said}");
}
