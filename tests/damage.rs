//! A record that rots on the disk: it is named wherever it is missed, and stops nobody else.

use crate::support::Project;

/// A campaign that is over and one that waits for a decision, in one store.
fn two_campaigns() -> Project {
    let project = Project::of_one_node("kind = \"lexical\"");
    project.replace("policy/budget.yaml", "max_experiments:", "max_experiments: 1 #");
    for id in ["first", "second"] {
        project.optim(["run", "--id", id]);
        project.optim(["pause", id]);
    }
    project
}

/// Changes a byte in each copy of the record of campaign `id` in the data file.
fn rot(project: &Project, id: &str) {
    let file = project.path().join(".optim/data/data.mdb");
    let mut bytes = std::fs::read(&file).unwrap();
    let sought = format!("{{\"id\":\"{id}\"").into_bytes();
    let places: Vec<_> =
        bytes.windows(sought.len()).enumerate().filter(|(_, it)| **it == *sought).collect();
    let places: Vec<_> = places.into_iter().map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "the record of {id} is in the file");
    for place in places {
        bytes[place + sought.len() - 2] ^= 1;
    }
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_damaged_campaign_is_named_and_the_others_go_on() {
    let project = two_campaigns();
    rot(&project, "first");
    project.optim(["status", "first"]).refused(10, "record_corrupt");
    for verb in [&["list"][..], &["status", "second"], &["show", "1", "second"], &["run", "--new"]]
    {
        let ran = project.optim(verb);
        assert!(!ran.stderr.contains("error[record_corrupt]"), "{verb:?}: {ran}");
    }
    let listed = project.optim(["list"]);
    assert!(listed.stdout.contains("second") && !listed.stdout.contains("first"), "{listed}");
    assert!(listed.stderr.contains("the campaign with number 1 cannot be read"), "{listed}");
}
