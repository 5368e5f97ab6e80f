//! Decisions leave the store as lines, and whoever has the lines can decide again.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::{Project, Ran};

/// The same id and seed draw the same cases, so that the tests always see the same.
const RUN: [&str; 6] = ["run", "--json", "--id", "known", "--seed", "1"];

/// The example, decided by `rule`.
fn project(rule: &str) -> Project {
    let project = Project::example();
    project.decide(&format!("{{rule: {rule}}}"));
    project
}

/// The lines of an export of everything.
fn export(project: &Project) -> String {
    let exported = project.optim(["decisions", "export"]);
    assert_eq!(exported.code, 0, "{exported}");
    exported.stdout
}

/// What verifying `lines` says where there is no project.
fn verify(lines: &str) -> Ran {
    let elsewhere = Project::empty();
    let mut command = elsewhere.command(["decisions", "verify", "-", "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("optim starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(lines.as_bytes()).expect("the lines are read");
    drop(stdin);
    Ran::of(child.wait_with_output().expect("the process ends"))
}

/// Changes `from` to `to` in the first line that holds both it and `of`.
fn changed(lines: &str, of: &str, from: &str, to: &str) -> String {
    let mut is_changed = false;
    let change = |line: &str| {
        if is_changed || !line.contains(of) || !line.contains(from) {
            return line.to_owned();
        }
        is_changed = true;
        line.replacen(from, to, 1)
    };
    let lines = lines.lines().map(change).collect::<Vec<_>>().join("\n");
    assert!(is_changed, "a line of {of} holds {from}");
    lines
}

#[test]
fn an_export_is_verified_without_its_store_and_one_changed_figure_is_named() {
    let project = project("sequential");
    project.optim(RUN).ended(7);
    project.optim(["reject", "1", "--reason", "no"]).ended(0);
    let file = project.path().join("decisions.jsonl").display().to_string();
    let written = project.optim(["decisions", "export", "--out", &file]);
    assert_eq!(written.code, 0, "{written}");
    let lines = project.read("decisions.jsonl");
    assert_eq!(lines, export(&project), "a file holds what stdout does");
    let report = verify(&lines).document(0);
    assert_eq!(report["campaigns"][0]["decisions"], 1, "{report}");
    let counted: u64 = (lines.lines())
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line is JSON"))
        .filter(|line| line["kind"] == "evaluation")
        .map(|line| line["runs"].as_u64().expect("runs are counted"))
        .sum();
    assert_eq!(report["campaigns"][0]["runs"], counted, "every case run is in the export");

    let flipped = changed(&lines, "\"kind\":\"pair\"", "\"gain\":1000000", "\"gain\":-1000000");
    let found = verify(&flipped).document(12);
    assert_eq!(found["same"], false);
    let named = found["campaigns"][0]["mismatches"].as_array().expect("mismatches are listed");
    assert!(named.iter().all(|one| one["experiment"] == 1) && !named.is_empty(), "{found}");
    project.write("flipped.jsonl", &flipped);
    let words = project.optim(["decisions", "verify", &file.replace("decisions.", "flipped.")]);
    assert_eq!(words.code, 12, "{words}");
    assert!(words.stdout.contains("#1 judgement.evidence.evidence.primary: recorded"), "{words}");
}

#[test]
fn what_is_no_export_is_refused_with_line_and_field() {
    let project = project("point");
    project.optim(RUN).ended(7);
    let lines = export(&project);
    for (bad, code, words) in [
        (String::new(), "decisions_empty", "there is no line"),
        ("{\"kind\":\"pair\"}".to_owned(), "decisions_without_campaign", "line 1"),
        (format!("{lines}\n[1]"), "decisions_not_json", "is no JSON object"),
        (
            format!("{lines}{{\"kind\":\"x\"}}"),
            "decisions_unknown_kind",
            "kind: \\\"x\\\" is none of",
        ),
        (
            changed(&lines, "campaign", "\"format\":1", "\"format\":2"),
            "decisions_unknown_format",
            "line 1: format: 2",
        ),
        (
            changed(&lines, "campaign", "\"seed\":1", "\"seed\":\"1\""),
            "decisions_bad_field",
            "line 1: campaign: seed: ",
        ),
        (
            changed(&lines, "evaluation", "\"settled\":", "\"sattled\":"),
            "decisions_bad_field",
            "line 2: evaluation: sattled: unknown field",
        ),
    ] {
        let refused = verify(&bad);
        refused.refused(3, code);
        assert!(refused.stderr.contains(words), "{words}: {refused}");
    }
    project.optim(["decisions", "verify", "none.jsonl"]).refused(5, "file_not_found");
    project.optim(["decisions", "export", "none"]).refused(5, "campaign_not_found");
}

#[test]
fn what_the_point_rule_decides_is_verified_as_far_as_its_record_goes() {
    let project = project("point");
    project.optim(RUN).ended(7);
    let lines = export(&project);
    let report = verify(&lines).document(0);
    assert_eq!(report["campaigns"][0]["error_control"], "none");
    let turned =
        changed(&lines, "\"judgement\":", "\"verdict\":\"promote\"", "\"verdict\":\"discard\"");
    let found = verify(&turned).document(12);
    assert_eq!(found["campaigns"][0]["mismatches"][0]["what"], "judgement.verdict", "{found}");
}

#[test]
fn a_campaign_that_is_killed_again_and_again_exports_what_an_undisturbed_one_does() {
    let killed = project("sequential");
    let mut verified = 0;
    Project::kill_at_each_line(|| {
        // Where nothing is on record yet, there is no campaign to verify.
        if killed.path().join(".optim").exists() {
            let now = killed.optim(["decisions", "verify"]);
            assert!(now.code == 0 || now.code == 5, "{now}");
            verified += u32::from(now.code == 0);
        }
        killed.command(RUN)
    });
    assert!(verified > 3, "{verified} times there was something to verify");
    let calm = project("sequential");
    calm.optim(RUN).ended(7);
    assert_eq!(export(&killed), export(&calm));
    killed.optim(["approve", "1"]).ended(0);
    killed.optim(["decisions", "verify", "--all"]).ended(0);
}
