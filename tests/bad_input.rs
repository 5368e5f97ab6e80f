//! What people get wrong: each gets a clear error with a code, and nothing stored is lost.

use crate::support::{Project, temporary};
use std::process::Command;
use std::time::{Duration, Instant};

/// A project whose file `file` holds `content`; `optim run` must refuse it, naming `code`.
fn refuse(file: &str, content: impl AsRef<[u8]>, code: &str) {
    let project = Project::example();
    project.write(file, content);
    let started = Instant::now();
    project.optim(["run"]).refused(3, code);
    assert!(started.elapsed() < Duration::from_secs(20), "{file}: {code} takes too long");
}

#[test]
fn a_folder_without_a_project_is_named() {
    let project = Project::empty();
    for verb in ["run", "list", "status"] {
        project.optim([verb]).refused(5, "no_project");
    }
}

#[test]
fn missing_and_unreadable_files_are_named() {
    for file in ["workflow.yaml", "policy/eval.yaml", "cases/tickets.jsonl", "policy/objective.md"]
    {
        let project = Project::example();
        std::fs::remove_file(project.path().join(file)).unwrap();
        project.optim(["run"]).refused(3, "file_not_found");
        std::fs::create_dir(project.path().join(file)).unwrap();
        project.optim(["run"]).refused(3, "not_regular");
    }
}

#[test]
fn files_that_are_not_text_are_refused() {
    for file in
        ["workflow.yaml", "policy/budget.yaml", "cases/tickets.jsonl", "policy/objective.md"]
    {
        refuse(file, [b'a', 0xff, b'\n'], "not_utf8");
    }
}

#[test]
fn yaml_bombs_and_huge_files_are_refused_quickly() {
    let level = |(this, last): (char, char)| {
        format!("{this}: &{this} [{}]\n", format!("*{last},").repeat(9))
    };
    let levels: String = ('b'..='i').zip('a'..).map(level).collect();
    let bomb = format!("a: &a [x,x,x,x,x,x,x,x,x]\n{levels}");
    refuse("policy/scope.yaml", &bomb, "error[");
    refuse("workflow.yaml", &bomb, "error[");
    refuse("workflow.yaml", format!("a: {}", "[".repeat(100_000)), "error[");
    let huge = vec![b'#'; 100 * 1024 * 1024];
    for file in ["workflow.yaml", "policy/eval.yaml", "policy/objective.md", "cases/tickets.jsonl"]
    {
        refuse(file, &huge, "file_too_large");
    }
}

#[test]
fn links_out_of_the_workspace_are_refused() {
    let outside = temporary();
    let secret = outside.path().join("budget.yaml");
    std::fs::write(&secret, "max_experiments: 1\n").unwrap();
    let project = Project::example();
    std::fs::remove_file(project.path().join("policy/budget.yaml")).unwrap();
    std::os::unix::fs::symlink(&secret, project.path().join("policy/budget.yaml")).unwrap();
    project.optim(["run"]).refused(3, "artifact_outside_root");
}

#[test]
fn an_ill_formed_graph_is_refused_with_its_place() {
    let project = Project::example();
    project.replace("workflow.yaml", "depends_on: [classify]", "depends_on: [nobody]");
    let ran = project.optim(["run"]);
    ran.refused(3, "unknown_dependency");
    assert!(ran.stderr.contains("workflow.yaml:"), "{ran}");

    let project = Project::example();
    project.replace("workflow.yaml", "node_id: reply", "node_id: route");
    project.optim(["run"]).refused(3, "duplicate_node_id");
    let project = Project::example();
    project.replace("workflow.yaml", "depends_on: []", "depends_on: [reply]");
    let ran = project.optim(["run"]);
    ran.refused(3, "cycle");
    assert!(ran.stderr.contains("classify -> "), "the cycle is shown: {ran}");
}

#[test]
fn every_mistake_of_a_policy_file_is_told_at_once_with_its_line() {
    let project = Project::example();
    project.write(
        "policy/budget.yaml",
        "max_experiments: 1000\nmax_runtime_minutes: soon\nmax_consecutive_failures: 3\nmax_total_token: 5\nmax_total_cost_usd: .nan\n",
    );
    let ran = project.optim(["run"]);
    ran.refused(3, "policy/budget.yaml:1:");
    for line in 2..=5 {
        let place = format!("policy/budget.yaml:{line}:");
        if line != 3 {
            assert!(ran.stderr.contains(&place), "{place} in {}", ran.stderr);
        }
    }
    assert!(
        ran.stderr.contains("max_total_tokens"),
        "the key that was meant is named: {}",
        ran.stderr
    );
}

#[test]
fn an_objective_is_cut_between_characters() {
    let project = Project::example();
    // The 140th byte is the second of a two-byte character.
    project.write("policy/objective.md", format!("{}{}", "a".repeat(139), "ä".repeat(80)));
    assert_eq!(project.optim(["run", "--json"]).code, 7);
}

#[test]
fn agents_that_print_garbage_or_die_fail_their_cases_and_nothing_else() {
    for script in ["cat >/dev/null; echo 'not json'", "kill -9 $$"] {
        let project = Project::scripted_by(script);
        let report = project.optim(["run", "--json"]).document(0);
        assert_eq!(report["campaign"]["baseline"]["cases"]["num"], 0);
        assert_eq!(report["campaign"]["status"], "completed");
    }
}

#[test]
fn agents_that_flood_are_stopped() {
    let project = Project::scripted_by("yes");
    let started = Instant::now();
    let report = project.optim(["run", "--json"]).document(0);
    assert_eq!(report["campaign"]["baseline"]["cases"]["num"], 0);
    assert!(started.elapsed() < Duration::from_secs(120));
}

#[test]
fn agents_that_hang_or_leave_children_behind_are_killed_with_their_children() {
    let marker = format!("86{}", std::process::id());
    let project = Project::scripted_by(&format!("sleep {marker} & sleep {marker}"));
    let text = project.read("workflow.yaml");
    let fast: String = text
        .lines()
        .map(|line| {
            let indent = line.len() - line.trim_start().len();
            if line.trim_start().starts_with("timeout_ms:") {
                format!("{}timeout_ms: 200\n", " ".repeat(indent))
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    project.write("workflow.yaml", fast);
    let report = project.optim(["run", "--json"]).document(0);
    assert_eq!(report["campaign"]["baseline"]["cases"]["num"], 0);
    let left = Command::new("pgrep").args(["-f", &format!("^sleep {marker}$")]).output();
    if let Ok(left) = left {
        assert!(
            left.stdout.is_empty(),
            "children are left: {}",
            String::from_utf8_lossy(&left.stdout)
        );
    }
}

/// An agent that says that it has started, and answers when the file `go` is there.
fn waiting(signals: &std::path::Path) -> Project {
    let dir = signals.display();
    Project::scripted_by(&format!(
        "cat >/dev/null; : > {dir}/started; while [ ! -e {dir}/go ]; do :; done; echo '{{\"content\": {{}}}}'"
    ))
}

fn await_start(first: &mut std::process::Child, signals: &std::path::Path) {
    while !signals.join("started").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first process ended early");
        std::thread::yield_now();
    }
}

#[test]
fn a_terminated_process_saves_its_state_and_leaves_no_agent_behind() {
    let signals = temporary();
    let project = waiting(signals.path());
    let mut first = project.command(["run"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    await_start(&mut first, signals.path());
    let killed = Command::new("kill").args(["-TERM", &first.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(first.wait().unwrap().code(), Some(143));
    let left =
        Command::new("pgrep").args(["-f", &format!("{}", project.path().display())]).output();
    if let Ok(left) = left {
        assert!(
            left.stdout.is_empty(),
            "agents are left: {}",
            String::from_utf8_lossy(&left.stdout)
        );
    }
    std::fs::write(signals.path().join("go"), "").unwrap();
    assert_eq!(project.optim(["run"]).code, 0, "the same command goes on");
}

#[test]
fn a_file_that_is_edited_into_nonsense_loses_nothing() {
    let project = Project::example();
    let report = project.optim(["run", "--json"]).document(7);
    project.write("policy/eval.yaml", "nonsense: true\n");
    project.write("workflow.yaml", "nonsense: true\n");
    let status = project.optim(["status", "--json"]).document(0);
    assert_eq!(status["experiments"], report["experiments"], "the campaign runs on what it froze");
}
