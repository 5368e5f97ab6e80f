//! Disks and file systems that fail: `strace` makes calls of the system fail, or answer something else.

use crate::support::{Project, traced};

#[test]
fn threat_40_a_disk_that_breaks_ends_the_process_and_the_next_one_goes_on() {
    let undisturbed = campaign();
    let wanted = undisturbed.optim(["run", "--json", "--id", "known"]).document(0);
    for from in [2, 6, 10, 14] {
        let project = campaign();
        let fault = format!("inject=fdatasync:error=EIO:when={from}+");
        let options = ["-e", "trace=fdatasync", "-e", &fault];
        let Some(ran) = traced(&project, &options, &["run", "--id", "known"]) else { return };
        ran.refused(10, "error[store_io]");
        project.optim(["store", "verify"]).ended(0);
        let report = project.optim(["run", "--json", "--id", "known"]).document(0);
        for path in ["/campaign/status", "/experiments/0/metrics", "/runs_executed"] {
            assert_eq!(report.pointer(path), wanted.pointer(path), "{from}: {path}");
        }
    }
}

/// A campaign with one candidate.
fn campaign() -> Project {
    let project = Project::of_one_node("kind = \"lexical\"");
    project.replace("policy/budget.yaml", "max_experiments:", "max_experiments: 1 #");
    project
}

#[test]
fn threat_42_a_store_on_a_remote_file_system_is_refused() {
    for (magic, name) in [("6969000000000000", "NFS"), ("4655736500000000", "FUSE")] {
        let project = campaign();
        let fault = format!("inject=statfs:poke_exit=@arg2={magic}");
        let options = ["-e", "trace=statfs", "-e", &fault];
        let Some(ran) = traced(&project, &options, &["status"]) else { return };
        ran.refused(10, "store_unsafe_file_system");
        assert!(ran.stderr.contains(name), "{ran}");
        assert!(!project.path().join(".optim/data/data.mdb").exists(), "nothing was made there");
        project.optim(["status"]).refused(5, "campaign_not_found");
    }
}
