//! Kill -9 at any moment: the same command goes on, and no evaluation is counted twice.

use crate::support::Project;
use serde_json::Value;

/// What must not depend on how often the process died.
fn result(report: &Value) -> Vec<(Value, Value, Value)> {
    let experiments = report["experiments"].as_array().expect("a report lists its experiments");
    experiments
        .iter()
        .map(|one| (one["mutation"].clone(), one["metrics"].clone(), one["verdict"].clone()))
        .collect()
}

#[test]
fn a_campaign_that_is_killed_again_and_again_ends_like_one_that_is_not() {
    let calm = Project::example().optim(["run", "--json"]).document(7);
    let project = Project::example();
    let scratch = crate::support::temporary();
    let kills = Project::kill_at_each_line(|| {
        let mut command = project.command(["run"]);
        command.env("TMPDIR", scratch.path());
        command
    });
    assert!(kills >= 2, "only {kills} kills");
    let report = project.optim(["status", "--json"]).document(0);
    assert_eq!(result(&report), result(&calm));
    assert_eq!(report["runs_executed"], calm["runs_executed"], "no run is counted twice");
    // A run that was under way at a kill may have been paid, so it counts once more; nothing else does.
    let tokens = |report: &Value| report["ledger"]["settled"]["tokens"].as_u64().expect("a count");
    let (spent, least) = (tokens(&report), tokens(&calm));
    assert!((least..least + least / 4).contains(&spent), "{spent} instead of {least}");
    let own = scratch.path().read_dir().expect("it is read").next().expect("a folder is there");
    let left = own.expect("it is read").path().read_dir().expect("it is read");
    let left: Vec<_> = left.map(|entry| entry.expect("it is read").file_name()).collect();
    assert_eq!(left, ["sweep.lock"], "the scratch folders of the killed ones are removed");
}
