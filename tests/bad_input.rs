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
fn threat_11_yaml_bombs_and_huge_files_are_refused_quickly() {
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
fn threat_15_links_out_of_the_workspace_are_refused() {
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
fn threat_09_every_mistake_of_a_policy_file_is_told_at_once_with_its_line() {
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
    .with_access_to(signals)
}

fn await_start(first: &mut std::process::Child, signals: &std::path::Path) {
    while !signals.join("started").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first process ended early");
        std::thread::yield_now();
    }
}

#[test]
fn threat_46_a_terminated_process_saves_its_state_and_leaves_no_agent_behind() {
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

/// `project` by the sequential rule, with more `lines` in `eval.yaml`.
fn sequential(project: Project, lines: &str) -> Project {
    project.decide("{rule: sequential}");
    let eval = project.read("policy/eval.yaml");
    project.write("policy/eval.yaml", format!("{eval}{lines}"));
    project
}

/// A project of one node and one case, whose answers pass as often as this.
fn one_case(pass_per_mille: u32) -> Project {
    let executor = "kind = \"scripted\"\nright = {ok = true}\nwrong = {}";
    let project = Project::of_one_node(&format!("{executor}\npass_per_mille = {pass_per_mille}"));
    project.write("cases/tickets.jsonl", "{\"id\":\"only\",\"inputs\":{\"text\":\"one\"}}\n");
    sequential(project, "")
}

#[test]
fn a_pack_of_one_case_is_compared_one_pair_at_a_time() {
    for pass_per_mille in [0, 500, 1000] {
        let project = one_case(pass_per_mille);
        project.replace("policy/budget.yaml", "max_experiments: 12", "max_experiments: 2");
        // With other draws one campaign of twenty promotes noise: that is what alpha says.
        let run = ["run", "--json", "--id", "known", "--seed", "1"];
        let report = project.optim(run).document(0);
        assert_eq!(report["campaign"]["baseline_version"], 0, "{pass_per_mille}: {report}");
        let shown = project.optim(["show", "1", "--json"]).document(0);
        let pairs = shown["experiment"]["trial"]["pairs"].as_array().unwrap();
        assert!(pairs.len() >= 8, "{pass_per_mille}: {shown}");
        for (number, pair) in pairs.iter().enumerate() {
            assert_eq!((&pair["batch"], &pair["case"]), (&number.into(), &"only".into()));
        }
    }
}

#[test]
fn where_every_case_fails_or_passes_nothing_is_promoted_and_little_is_paid() {
    for pass_per_mille in [0, 1000] {
        let project = one_case(pass_per_mille);
        let cases = (0..20).map(|case| format!("{{\"id\":\"c{case}\",\"inputs\":{{}}}}\n"));
        project.write("cases/tickets.jsonl", cases.collect::<String>());
        let report = project.optim(["run", "--json"]).document(0);
        let experiments = report["experiments"].as_array().unwrap();
        assert!(!experiments.is_empty(), "{report}");
        for experiment in experiments {
            assert_eq!(experiment["state"], "discarded", "{pass_per_mille}: {experiment}");
        }
        let most = 2 * 20 + u64::try_from(experiments.len()).unwrap() * 2 * 24;
        assert!(report["runs_executed"].as_u64().unwrap() <= most, "{report}");
    }
}

#[test]
fn scores_between_zero_and_one_are_compared_as_they_are() {
    let project = sequential(Project::example(), "score: fraction\n");
    let report = project.optim(["run", "--json", "--id", "known", "--seed", "1"]);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let experiments = report["experiments"].as_array().unwrap().len();
    let gains = (1..=experiments).flat_map(|number| {
        let shown = project.optim(["show", &number.to_string(), "--json"]).document(0);
        let pairs = shown["experiment"]["trial"]["pairs"].as_array().unwrap().clone();
        pairs.into_iter().map(|pair| pair["figures"]["gain"].as_i64().unwrap())
    });
    assert!(gains.into_iter().any(|gain| gain % 1_000_000 != 0), "{report}");
}

#[test]
fn threat_10_figures_that_are_no_amounts_fail_the_case_and_count_for_nothing() {
    for figure in ["NaN", "1e400", "-1e400", "-5", "0.5", "1e19", "\"many\""] {
        let script = format!(
            "cat >/dev/null; echo '{{\"content\": {{}}, \"usage\": {{\"cost_micro_usd\": {figure}}}}}'"
        );
        let project = sequential(Project::scripted_by(&script), "");
        let report = project.optim(["run", "--json"]).document(0);
        assert_eq!(report["campaign"]["baseline"]["cases"]["num"], 0, "{figure}: {report}");
        assert_eq!(report["campaign"]["status"], "completed", "{figure}");
        assert_eq!(report["spend"]["cost_micro_usd"], 0, "{figure}");
    }
}

#[test]
fn threat_10_an_error_probability_of_none_or_of_all_is_refused_with_its_range() {
    for alpha in ["0", "1", "-0.1", ".nan", "1e400"] {
        let project = Project::example();
        project.decide(&format!("{{rule: sequential, alpha: {alpha}}}"));
        let ran = project.optim(["run"]);
        ran.refused(3, "policy/eval.yaml:");
        assert!(ran.stderr.contains("`alpha`"), "{alpha}: {ran}");
    }
}
