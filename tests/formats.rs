//! Stores of earlier formats, made by the binaries of their time.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Project, Ran, optim, root};
use serde_json::{Value, json};

/// How long the data file of a new store is: as long as its map.
const DATA_BYTES: u64 = 64 * 1024 * 1024;
/// In units of 512 bytes: enough for the lock file, and for no page that is not in use.
const FILE_UNITS_MAX: u32 = 200;

/// Where the chain of the store of format 3 ends.
const CHAIN_OF_FORMAT_3: &str =
    "32:sha256:83de69292560eabd641eedb4778b0a8256c4145149dd9e31d2562afa214fffb6";

/// The example with the store that an optim of format 1 left: one campaign is completed, one waits for a
/// decision on experiment 1.
fn of_format_1() -> Project {
    of_format(1)
}

fn of_format(format: u32) -> Project {
    let project = Project::example();
    project.write(".optim/data/data.mdb", "");
    let packed = root().join(format!("tests/fixtures/format-{format}/data.mdb.gz"));
    let file = OpenOptions::new().write(true).open(data(&project)).unwrap();
    let unpacked = Command::new("gzip")
        .arg("-dc")
        .stdin(File::open(packed).unwrap())
        .stdout(file.try_clone().unwrap())
        .status();
    assert!(unpacked.expect("gzip starts").success());
    file.set_len(DATA_BYTES).unwrap();
    project
}

fn data(project: &Project) -> PathBuf {
    project.path().join(".optim/data/data.mdb")
}

fn status(project: &Project) -> Value {
    project.optim(["status", "--json"]).document(0)
}

#[test]
fn a_campaign_in_a_store_of_format_1_goes_on() {
    let project = of_format_1();
    let waiting = status(&project);
    assert_eq!(waiting["campaign"]["status"], "awaiting_promotion_approval");
    assert_eq!(waiting["experiments"][0]["metrics"]["cases"], json!({"num": 17, "den": 24}));
    let shown = project.optim(["show", "1", "--json"]).document(0);
    assert_eq!(shown["experiment"]["number"], 1);
    project.optim(["approve", "1"]).ended(0);
    // The example has other cases by now.
    let report = project.optim(["run", "--frozen", "--json"]).document(7);
    assert_eq!(report["campaign"]["id"], waiting["campaign"]["id"]);
    assert_eq!(report["campaign"]["baseline_version"], 1);
    assert!(report["experiments"].as_array().unwrap().len() > 1);
    assert_eq!(waiting["runs_executed"], 96);
    assert!(report["runs_executed"].as_u64() > Some(96));
    let listed = project.optim(["list", "--json"]).document(0);
    let states = listed["campaigns"].as_array().unwrap().iter().map(|one| &one["status"]);
    assert_eq!(states.collect::<Vec<_>>(), ["awaiting_promotion_approval", "completed"]);
}

/// The events become a chain, which is the same each time; what they told of is as it was.
#[test]
fn what_happened_in_a_store_of_format_3_is_chained() {
    let project = of_format(3);
    let head = project.optim(["audit", "head"]);
    assert_eq!(head.stdout.trim(), CHAIN_OF_FORMAT_3, "{head}");
    let exported = project.optim(["audit", "export"]).stdout;
    let lines = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let payloads: Vec<_> = lines.map(|line| line["payload"].clone()).collect();
    let approved = payloads.iter().find(|it| it["event"]["what"]["event"] == "candidate_approved");
    let approved = approved.expect("an approval is told");
    assert_eq!(approved["event"]["what"]["reason"], "it reads well");
    assert_eq!(approved["event"]["actor"], "local:tester");
    assert!(
        payloads.iter().all(|payload| payload["changes"] == json!([])),
        "nobody noted them then"
    );
    assert_eq!(project.optim(["list", "--json"]).document(0)["campaigns"][0]["status"], "running");
    let runs = project.optim(["runs", "list", "--json"]).document(0);
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");
    project.optim(["cancel", "--reason", "enough"]).ended(0);
    project.optim(["audit", "verify", "--head", CHAIN_OF_FORMAT_3]).ended(0);
    project.optim(["decisions", "verify"]).ended(0);
}

#[test]
fn a_store_whose_step_to_this_format_cannot_be_written_stays_as_it_was() {
    let project = of_format_1();
    let before = std::fs::read(data(&project)).unwrap();
    // A full disk, as far as the process can tell: it cannot write that far into a file.
    let script = format!("trap '' XFSZ; ulimit -f {FILE_UNITS_MAX}; exec \"$0\" \"$@\"");
    let mut limited = Command::new("sh");
    limited.args(["-c", &script]).arg(optim()).arg("-C").arg(project.path()).arg("status");
    let refused = Ran::of(limited.stdin(Stdio::null()).output().expect("sh starts"));
    refused.refused(10, "store_io");
    assert!(std::fs::read(data(&project)).unwrap() == before, "not a byte has changed");
    assert_eq!(status(&project)["campaign"]["status"], "awaiting_promotion_approval");
    assert!(std::fs::read(data(&project)).unwrap() != before, "now the step is done");
}
