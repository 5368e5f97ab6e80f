//! Files that an open campaign froze and somebody has edited: it does not go on unasked.

use crate::support::Project;

const PACK: &str = "cases/tickets.jsonl";

/// A project whose campaign waits for a decision.
fn waiting() -> Project {
    let project = Project::example();
    project.optim(["run"]).ended(7);
    project
}

fn edit(project: &Project, file: &str) -> String {
    let before = project.read(file);
    project.write(file, format!("{before}\n"));
    before
}

#[test]
fn a_pack_that_is_edited_stops_the_campaign_until_a_person_has_chosen() {
    let project = waiting();
    let before = edit(&project, PACK);
    let ran = project.optim(["run"]);
    ran.refused(6, "frozen_files_edited");
    for words in [PACK, "it was frozen as", "optim cancel", "--frozen"] {
        assert!(ran.stderr.contains(words), "{words}: {ran}");
    }
    project.optim(["run", "--frozen"]).ended(7);
    project.write(PACK, before);
    project.optim(["run"]).ended(7);
}

#[test]
fn a_change_is_not_tried_on_files_that_are_others_now() {
    let project = waiting();
    edit(&project, PACK);
    let change = ["try", "--node", "classify", "--field", "timeout_ms", "--value", "65000"];
    project.optim(change).refused(6, "frozen_files_edited");
    let status = project.optim(["status", "--json"]).document(0);
    assert_eq!(status["campaign"]["status"], "awaiting_promotion_approval", "{status}");
    assert_eq!(project.optim(change.into_iter().chain(["--frozen"])).code, 7, "one waits already");
}

#[test]
fn a_campaign_is_not_resumed_on_files_that_are_others_now() {
    let project = waiting();
    project.optim(["pause"]).ended(0);
    edit(&project, "policy/budget.yaml");
    project.optim(["resume"]).refused(6, "policy/budget.yaml");
    let status = project.optim(["status", "--json"]).document(0);
    assert_eq!(status["campaign"]["status"], "paused_manual", "a refusal changes nothing");
    project.optim(["resume", "--frozen"]).ended(0);
}

#[test]
fn a_pack_that_is_gone_stops_the_campaign_too_and_a_new_one_takes_the_files_as_they_are() {
    let project = waiting();
    let pack = project.path().join(PACK);
    let before = std::fs::read(&pack).unwrap();
    std::fs::remove_file(&pack).unwrap();
    project.optim(["run"]).refused(6, "cannot be read");
    let shorter: Vec<_> =
        before.split_inclusive(|byte| *byte == b'\n').take(130).flatten().collect();
    std::fs::write(&pack, shorter.into_iter().copied().collect::<Vec<_>>()).unwrap();
    project.optim(["cancel"]).ended(0);
    let report = project.optim(["run", "--json"]).document(7);
    assert_ne!(report["campaign"]["search_cases"], 84, "{report}");
}
