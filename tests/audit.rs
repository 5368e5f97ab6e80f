//! The audit chain leaves the store as lines, and whatever is done to them is found.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Project, Ran};

/// A project in whose store five things happened to a workflow.
fn project() -> Project {
    let project = Project::example();
    put(&project);
    for (verb, rest) in [
        ("retire", ["ticket-triage", "--reason", "out of season"]),
        ("restore", ["ticket-triage", "--reason", "in season"]),
        ("delete", ["ticket-triage", "--reason", "not wanted"]),
        ("restore", ["ticket-triage", "--reason", "wanted"]),
    ] {
        project.optim(["workflow", verb].iter().chain(&rest)).ended(0);
    }
    project
}

fn head(project: &Project) -> String {
    let head = project.optim(["audit", "head"]);
    assert_eq!(head.code, 0, "{head}");
    head.stdout.trim().to_owned()
}

fn export(project: &Project) -> Vec<String> {
    let exported = project.optim(["audit", "export"]);
    assert_eq!(exported.code, 0, "{exported}");
    exported.stdout.lines().map(str::to_owned).collect()
}

/// What verifying `lines` says where there is no project.
fn verify(lines: &[String], head: Option<&str>) -> Ran {
    let elsewhere = Project::empty();
    let mut args = vec!["audit", "verify", "-", "--json"];
    args.extend(head.iter().flat_map(|head| ["--head", head]));
    let mut command = elsewhere.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("optim starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    stdin.write_all(text.as_bytes()).expect("the lines are read");
    drop(stdin);
    Ran::of(child.wait_with_output().expect("the process ends"))
}

/// The entry that is named as broken, and the code of why.
fn broken(lines: &[String], head: Option<&str>) -> (u64, String) {
    let found = verify(lines, head).document(12);
    assert_eq!(found["whole"], false);
    let broken = &found["broken"];
    (broken["seq"].as_u64().unwrap(), broken["code"].as_str().unwrap().to_owned())
}

#[test]
fn an_edit_a_drop_a_swap_and_a_cut_of_an_export_are_found_and_named() {
    let project = project();
    let (lines, head) = (export(&project), head(&project));
    assert_eq!(lines.len(), 5);
    let whole = verify(&lines, Some(&head)).document(0);
    assert_eq!((&whole["whole"], &whole["entries"]), (&Value::Bool(true), &Value::from(5)));
    assert_eq!(whole["head"], head.as_str());
    let entry: Value = serde_json::from_str(&lines[1]).unwrap();
    let payload = &entry["payload"];
    assert_eq!(payload["event"]["actor"], "local:tester");
    assert_eq!(payload["event"]["what"]["reason"], "out of season");
    let change = &payload["changes"][0];
    assert_eq!((&change["kind"], &change["id"]), (&"workflow".into(), &"ticket-triage".into()));
    assert_eq!(change["revision"], 2);
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(change["before"], first["payload"]["changes"][0]["after"]);
    assert!(change["after"].is_string() && change["after"] != change["before"]);

    let mut edited = lines.clone();
    edited[1] = edited[1].replace("out of season", "out of reason");
    assert_eq!(broken(&edited, None), (2, "audit_edited".to_owned()));
    let mut by_another = lines.clone();
    by_another[3] = by_another[3].replace("local:tester", "local:taster");
    assert_eq!(broken(&by_another, None), (4, "audit_edited".to_owned()));
    let mut spaced = lines.clone();
    spaced[4] = spaced[4].replacen(':', ": ", 1);
    assert_eq!(broken(&spaced, None), (5, "audit_unreadable".to_owned()));
    let mut dropped = lines.clone();
    dropped.remove(2);
    assert_eq!(broken(&dropped, None), (3, "audit_misplaced".to_owned()));
    let mut swapped = lines.clone();
    swapped.swap(0, 3);
    assert_eq!(broken(&swapped, None), (1, "audit_misplaced".to_owned()));
    verify(&lines[..4], None).ended(0);
    assert_eq!(broken(&lines[..4], Some(&head)), (5, "audit_truncated".to_owned()));
    assert_eq!(broken(&[], Some(&head)), (1, "audit_truncated".to_owned()));
    let another = head.replace("5:sha256:", "4:sha256:");
    assert_eq!(broken(&lines, Some(&another)), (4, "audit_rewritten".to_owned()));

    project.write("cut.jsonl", lines[..4].join("\n"));
    let cut = project.path().join("cut.jsonl").display().to_string();
    let told = project.optim(["audit", "verify", &cut, "--head", &head]);
    assert_eq!(told.code, 12, "{told}");
    assert!(told.stdout.starts_with("broken[audit_truncated]: entry 5: "), "{told}");
    project.optim(["audit", "verify", "none.jsonl"]).refused(5, "file_not_found");
    let empty = project.path().join("policy").display().to_string();
    project.optim(["audit", "verify", &empty]).refused(5, "store_not_found");
    project.optim(["audit", "verify", "--head", "5"]).ended(2);
}

#[test]
fn a_copy_of_a_store_is_verified_without_its_project_and_an_old_one_told_by_the_head() {
    let project = project();
    let old = head(&project);
    let elsewhere = Project::empty();
    let data = std::fs::read(project.path().join(".optim/data/data.mdb")).unwrap();
    elsewhere.write("copy/data.mdb", data);
    let copy = elsewhere.path().join("copy").display().to_string();
    elsewhere.optim(["audit", "verify", &copy, "--head", &old]).ended(0);
    project.optim(["workflow", "retire", "ticket-triage", "--reason", "done"]).ended(0);
    let new = head(&project);
    project.optim(["audit", "verify", "--head", &old]).ended(0);
    let found = elsewhere.optim(["audit", "verify", &copy, "--head", &new, "--json"]).document(12);
    assert_eq!(
        (&found["broken"]["seq"], &found["broken"]["code"]),
        (&6.into(), &"audit_truncated".into())
    );
}

#[test]
fn a_chain_without_payloads_tells_nothing_and_is_as_whole() {
    let project = project();
    let head = head(&project);
    let file = project.path().join("hashes.jsonl").display().to_string();
    let written =
        project.optim(["audit", "export", "--without-payloads", "--out", &file, "--json"]);
    assert_eq!(written.document(0)["head"], head.as_str());
    let text = project.read("hashes.jsonl");
    for secret in ["season", "tester", "ticket"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(verify(&lines, Some(&head)).document(0)["dropped"], 5);
    // One payload may be there and its neighbours not.
    lines[2] = export(&project)[2].clone();
    assert_eq!(verify(&lines, Some(&head)).document(0)["dropped"], 4);
    lines.swap(3, 4);
    assert_eq!(broken(&lines, None), (4, "audit_misplaced".to_owned()));
}

/// A campaign that was paused and resumed, and then ended.
fn campaign() -> Project {
    let project = Project::example();
    project.decide("{rule: point}");
    project.optim(["run", "--id", "c", "--seed", "1"]).ended(7);
    project.optim(["pause", "--reason", "lunch with Eve"]).ended(0);
    project.optim(["resume", "--reason", "back from lunch"]).ended(0);
    project
}

/// Drops payloads that are older than `days`; how many there were.
fn gc(project: &Project, days: &str) -> Value {
    let collected = project.optim(["store", "gc", "--keep-audit-days", days, "--json"]);
    collected.document(0)["audit_entries"].clone()
}

#[test]
fn retention_drops_what_old_entries_say_and_the_chain_holds_everywhere() {
    let project = project();
    let (before, old) = (export(&project), head(&project));
    assert_eq!(gc(&project, "1"), 0, "nothing is a day old");
    assert_eq!(project.optim(["store", "gc", "--json"]).document(0)["audit_entries"], 0);
    assert_eq!(gc(&project, "0"), 4, "the last word on the workflow stays");
    assert_eq!(gc(&project, "0"), 0);
    assert_eq!(head(&project), old);
    let lines = export(&project);
    assert_eq!(lines[4], before[4]);
    for (line, before) in lines.iter().zip(&before).take(4) {
        let [now, then] = [line, before].map(|it| serde_json::from_str::<Value>(it).unwrap());
        assert!(now["dropped"].is_string() && now.get("payload").is_none(), "{line}");
        assert_eq!((&now["hash"], &now["seq"]), (&then["hash"], &then["seq"]));
    }
    assert_eq!(verify(&lines, Some(&old)).document(0)["dropped"], 4);
    // One payload that somebody has kept still fits.
    let mut mixed = lines.clone();
    mixed[1] = before[1].clone();
    assert_eq!(verify(&mixed, Some(&old)).document(0)["dropped"], 3);
    let mut edited = lines.clone();
    edited[1] = edited[1].replacen("\"dropped\":\"sha256:", "\"dropped\":\"sha256:f", 1);
    assert_eq!(broken(&edited, None), (2, "audit_unreadable".to_owned()));
    let dropped = |line: &str| serde_json::from_str::<Value>(line).unwrap()["dropped"].clone();
    let [second, third] = [dropped(&lines[1]), dropped(&lines[2])];
    let mut edited = lines;
    edited[1] = edited[1].replace(second.as_str().unwrap(), third.as_str().unwrap());
    assert_eq!(broken(&edited, None), (2, "audit_edited".to_owned()));

    project.optim(["store", "verify"]).ended(0);
    let file = project.path().join("store.jsonl").display().to_string();
    let exported = project.optim(["store", "export", &file, "--json"]).document(0);
    assert!(!project.read("store.jsonl").contains("\"reason\":\"out of season\""));
    let copy = Project::example();
    let imported = copy.optim(["store", "import", &file, "--json"]).document(0);
    assert_eq!(imported["hash"], exported["hash"]);
    for project in [&project, &copy] {
        project.optim(["workflow", "retire", "ticket-triage", "--reason", "done"]).ended(0);
        project.optim(["audit", "verify", "--head", &old]).ended(0);
        project.optim(["store", "verify"]).ended(0);
    }
}

#[test]
fn retention_keeps_what_an_open_campaign_and_its_decisions_need() {
    let project = campaign();
    assert_eq!(gc(&project, "0"), 0, "the campaign is open");
    project.optim(["cancel"]).ended(0);
    let old = head(&project);
    // As optim.toml wishes.
    project.replace("optim.toml", "[executor]", "[audit]\nkeep_days = 0\n[executor]");
    let collected = project.optim(["store", "gc", "--json"]).document(0);
    assert!(collected["audit_entries"].as_u64() > Some(5), "{collected}");
    let text = export(&project).join("\n");
    assert!(!text.contains("lunch"), "{text}");
    for needed in ["campaign_created", "evaluation_queued", "candidate_judged", "campaign_closed"] {
        assert!(text.contains(needed), "{needed} is not in {text}");
    }
    project.optim(["audit", "verify", "--head", &old]).ended(0);
    project.optim(["store", "verify"]).ended(0);
    project.optim(["decisions", "verify"]).ended(0);
    project.optim(["show", "1"]).ended(0);
}

/// The project whose chain's head is noted in a folder elsewhere.
fn noted(project: Project, elsewhere: &Project) -> (Project, PathBuf) {
    let file = elsewhere.path().join("head");
    let settings =
        format!("[audit]\nhead_file = \"{}\"\nhead_every_seconds = 1\n[executor]", file.display());
    project.replace("optim.toml", "[executor]", &settings);
    (project, file)
}

fn put(project: &Project) {
    let file = project.path().join("workflow.yaml").display().to_string();
    project.optim(["workflow", "put", &file]).ended(0);
}

#[test]
fn a_head_that_is_noted_elsewhere_tells_of_a_store_that_was_cut_or_replaced() {
    let elsewhere = Project::empty();
    let (project, file) = noted(Project::example(), &elsewhere);
    let retire = |project: &Project| {
        project.optim(["workflow", "retire", "ticket-triage", "--reason", "old"])
    };
    let restore = ["workflow", "restore", "ticket-triage", "--reason", "again"];
    put(&project);
    assert_eq!(elsewhere.read("head").trim(), head(&project));
    let cut = std::fs::read(project.path().join(".optim/data/data.mdb")).unwrap();
    retire(&project).ended(0);
    project.optim(restore).ended(0);
    let noted = elsewhere.read("head");
    assert!(noted.starts_with("3:sha256:"), "{noted}");
    let whole = project.optim(["audit", "verify"]);
    assert_eq!((whole.code, whole.stderr.as_str()), (0, ""), "{whole}");

    project.write(".optim/data/data.mdb", cut);
    let broken = || {
        let found = project.optim(["audit", "verify", "--json"]).document(12);
        let broken = &found["broken"];
        (broken["seq"].as_u64().unwrap(), broken["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(broken(), (2, "audit_truncated".to_owned()));
    project.optim(["run"]).refused(12, "audit_truncated");
    retire(&project).refused(12, "audit_truncated");
    let warned = project.optim(["workflow", "list"]);
    assert_eq!(warned.code, 0, "{warned}");
    assert!(warned.stderr.contains("warning[audit_truncated]: "), "{warned}");
    // Nobody makes it look whole by going on without the file.
    let settings = project.read("optim.toml");
    project.replace("optim.toml", "head_file", "# head_file");
    for _ in 0..2 {
        retire(&project).ended(0);
        project.optim(restore).ended(0);
    }
    project.write("optim.toml", settings);
    assert_eq!(broken(), (3, "audit_rewritten".to_owned()));
    retire(&project).refused(12, "audit_rewritten");
    assert_eq!(elsewhere.read("head"), noted, "what tells of it stays");

    elsewhere.write("head", "nothing\n");
    project.optim(["audit", "verify"]).refused(3, "head_file_invalid");
    std::fs::remove_file(file).unwrap();
    let anew = project.optim(["audit", "verify"]);
    assert!(anew.code == 0 && anew.stderr.contains("note: no head is in "), "{anew}");
    assert_eq!(elsewhere.read("head").trim(), head(&project));
    project.replace("optim.toml", "head_every_seconds = 1", "head_every_seconds = 0");
    project.optim(["list"]).refused(3, "1..=86400");
}

#[test]
fn the_head_is_noted_while_a_campaign_runs_and_when_it_ends() {
    let elsewhere = Project::empty();
    let (project, file) = noted(Project::example(), &elsewhere);
    project.decide("{rule: point}");
    let mut owner = project.command(["run", "--wait", "--id", "c", "--seed", "1"]);
    let mut owner = owner.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let noted = || std::fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
    let waiting = |campaign: &Value| {
        campaign["campaign"]["status"] == "awaiting_promotion_approval" && noted() == head(&project)
    };
    // Each look is a process of its own.
    while !project
        .optim(["status", "--json"])
        .stdout
        .parse::<Value>()
        .is_ok_and(|status| waiting(&status))
    {
        assert!(owner.try_wait().unwrap().is_none(), "the owner ended early");
    }
    project.optim(["cancel"]).ended(0);
    assert_eq!(owner.wait().unwrap().code(), Some(11));
    let end = noted();
    assert_eq!(end, head(&project));
    project.optim(["audit", "verify", "--head", &end]).ended(0);
}

/// CRC-32 as of zip, in which the envelope of a record ends its checks.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(u32::MAX, byte)
}

#[test]
fn a_record_that_is_edited_with_a_right_checksum_is_found_though_the_chain_is_whole() {
    let project = project();
    project.optim(["workflow", "retire", "ticket-triage", "--reason", "out of season"]).ended(0);
    project.optim(["audit", "verify"]).ended(0);
    let mut data = std::fs::read(project.path().join(".optim/data/data.mdb")).unwrap();
    // The record of the workflow, in each page that has held it.
    let begin = br#"{"revision":6,"value":{"id":"ticket-triage""#;
    let found = data.windows(begin.len()).enumerate();
    let found: Vec<_> = found.filter(|(_, it)| it == begin).map(|(at, _)| at).collect();
    assert!(!found.is_empty(), "the record is in the file");
    for at in found {
        let length = u32::from_be_bytes(data[at - 8..at - 4].try_into().unwrap());
        let payload = at..at + usize::try_from(length).unwrap();
        let text = String::from_utf8(data[payload.clone()].to_vec()).unwrap();
        let edited = text.replace("out of season", "out of reason");
        assert_ne!(edited, text);
        data[payload].copy_from_slice(edited.as_bytes());
        let checked = [b"workflows\0", &1_u64.to_be_bytes()[..], &[0xA1], edited.as_bytes()];
        data[at - 4..at].copy_from_slice(&crc32(&checked.concat()).to_be_bytes());
    }
    project.write(".optim/data/data.mdb", &data);
    let got = project.optim(["workflow", "get", "ticket-triage", "--json"]);
    assert!(got.code == 0 && got.stdout.contains("out of reason"), "nobody sees it: {got}");
    let found = project.optim(["audit", "verify", "--json"]).document(12);
    assert_eq!((&found["whole"], found["changed"].as_array().unwrap().len()), (&true.into(), 1));
    let told = project.optim(["audit", "verify"]);
    assert_eq!(told.code, 12, "{told}");
    assert!(told.stdout.contains("\nchanged: workflow ticket-triage "), "{told}");
    project.optim(["store", "verify"]).ended(12);
    let elsewhere = Project::empty();
    elsewhere.write("copy/data.mdb", data);
    let copy = elsewhere.path().join("copy").display().to_string();
    elsewhere.optim(["audit", "verify", &copy]).ended(12);
}
