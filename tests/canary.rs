//! Secrets that sing: strings that stand nowhere else are given to optim as keys and variables, agents and
//! servers say them aloud, and then they are looked for in everything that optim wrote and said.

use std::path::Path;

use serde_json::json;

use crate::openai::{Server, completion};
use crate::support::Project;

/// Neither of these may be found anywhere.
const DECLARED: &str = "canary-of-the-agents-token-4711";
const UNDECLARED: &str = "canary-of-the-users-secret-0815";
const KEY: &str = "sk-canary-of-the-provider-key-1234";
const CANARIES: [&str; 3] = [DECLARED, UNDECLARED, KEY];

/// Whether `needle` is in a file of `folder`, at any depth.
fn is_in(folder: &Path, needle: &str, leaving_out: &[&str]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if leaving_out.iter().any(|name| entry.file_name() == *name) {
            return false;
        }
        match kind.is_dir() {
            true => is_in(&path, needle, leaving_out),
            false => {
                let bytes = if kind.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
                bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
            }
        }
    })
}

/// Runs a campaign and everything that tells of it, with secrets in the environment; all that was said.
fn everything_said(project: &Project) -> String {
    let mut said = String::new();
    for verb in [
        &["run", "--id", "known"][..],
        &["run", "--json", "--new"],
        &["status"],
        &["status", "--json"],
        &["list", "--json"],
        &["show", "1", "--campaign", "known"],
        &["show", "1", "--campaign", "known", "--json"],
        &["decisions", "export", "--out", "export.jsonl"],
        &["decisions", "export"],
        &["run-workflow", "--json"],
        &["runs", "list", "--json"],
    ] {
        let mut command = project.command(verb);
        command.env("OPTIM_LOG", "trace").env("AGENT_TOKEN", DECLARED);
        command.env("USERS_SECRET", UNDECLARED).env("MODEL_KEY", KEY);
        let output = command.current_dir(project.path()).output().expect("optim starts");
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    said
}

fn nothing_sings(project: &Project, said: &str) {
    for canary in CANARIES {
        if let Some((before, _)) = said.split_once(canary) {
            let mut before: Vec<char> = before.chars().rev().take(300).collect();
            before.reverse();
            panic!("{canary} is said: {}", before.iter().collect::<String>());
        }
        assert!(!is_in(project.path(), canary, &[]), "{canary} is in a file");
    }
}

#[test]
fn what_an_agent_was_given_is_in_nothing_that_is_kept_or_said() {
    let executor =
        "kind = \"process\"\ncommand = [\"/bin/sh\", \"agent.sh\"]\nenv = [\"AGENT_TOKEN\"]";
    let project = Project::of_one_node(executor);
    project.write(
        "agent.sh",
        // It looks for more than it was given, and says all of it: as an answer, as an error, on stderr.
        "read -r request\n\
         found=$(tr '\\0' ' ' < /proc/$PPID/environ 2>/dev/null)\n\
         echo \"token $AGENT_TOKEN secret $USERS_SECRET $found\" >&2\n\
         case \"$request\" in\n\
         *one*) echo \"{\\\"content\\\": {\\\"ok\\\": \\\"$AGENT_TOKEN $USERS_SECRET $found\\\"}}\";;\n\
         *two*) exit 1;;\n\
         *three*) echo \"no json $AGENT_TOKEN\";;\n\
         *) echo \"{\\\"error\\\": {\\\"class\\\": \\\"failed\\\", \\\"message\\\": \\\"$AGENT_TOKEN\\\"}}\";;\n\
         esac\n",
    );
    project.replace("cases/tickets.jsonl", "\"split\":\"holdout\"", "\"split\":\"search\"");
    project.replace("policy/budget.yaml", "max_experiments:", "max_experiments: 1 #");
    let said = everything_said(&project);
    nothing_sings(&project, &said);
    // The control: it was given its token and said it, and the search finds what is stored and said.
    assert!(said.contains("[AGENT_TOKEN]"), "it was said");
    assert!(is_in(&project.path().join(".optim"), "[AGENT_TOKEN]", &[]), "it was stored");
}

#[test]
fn the_key_of_a_provider_is_in_nothing_that_is_kept_or_said() {
    for (status, answer) in [
        ("200 OK", completion(&format!("the key is {KEY}"))),
        ("401 Unauthorized", json!({"error": {"message": format!("the key {KEY} is wrong")}})),
        ("413 Too Large", json!({"error": {"message": format!("{KEY} {KEY}")}})),
    ] {
        let server = Server::start(status, move |_| answer.clone());
        let project = Project::of_one_node(&format!(
            "kind = \"openai\"\nmodel = \"acme/small\"\n[executor.providers.acme]\n\
             base_url = \"http://127.0.0.1:{}/v1\"\nprices = \"free\"\napi_key_env = \"MODEL_KEY\"",
            server.port
        ));
        project.replace("policy/budget.yaml", "max_experiments:", "max_experiments: 1 #");
        let said = everything_said(&project);
        nothing_sings(&project, &said);
        let prompts = format!("{:?}", server.requests());
        assert!(!prompts.is_empty() && !CANARIES.iter().any(|canary| prompts.contains(canary)));
        assert!(
            said.contains("[key]") || is_in(&project.path().join(".optim"), "[key]", &[]),
            "{status}"
        );
    }
}
