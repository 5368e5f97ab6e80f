//! `optim plan` on the binary: what can be proven, before anything is executed.

use crate::support::Project;

/// The example, with this `decision`.
fn project(decision: &str) -> Project {
    let project = Project::example();
    project.decide(decision);
    project
}

#[test]
fn a_plan_says_what_the_pack_and_the_budget_can_prove_and_executes_nothing() {
    let project = project("{rule: sequential}");
    let ran = project.optim(["plan"]);
    ran.ended(0);
    for words in [
        "rule sequential; 84 tune, 84 search and 60 holdout cases, 12 experiments",
        "two runs of a case differ in 18.0% (assumed",
        "with 84 cases and 240 pairs a candidate:",
        "+10 points: proven with a probability of",
        "each candidate risks 0.4167 % and needs evidence of 240",
        "case runs: 336 for the replays",
        "480 at most; 120 to confirm a winner",
        "next:",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("warning"), "{}", ran.stdout);
    assert!(project.optim(["list"]).stdout.is_empty(), "nothing is stored");
}

#[test]
fn a_goal_out_of_reach_is_warned_of_with_the_way_out_by_plan_and_by_run() {
    let project = project("{rule: sequential, mde: 0.02}");
    let plan = project.optim(["plan", "--json", "--flips", "0.3"]).document(0);
    let warning = plan["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("a gain of 2 points (`mde: 0.02`) takes about"), "{warning}");
    for way_out in ["raise `n_max` to", "look for more with `mde: 0.1", "optim run --aa"] {
        assert!(warning.contains(way_out), "{warning}");
    }
    assert_eq!(plan["flips"]["from"], "given");
    let ran = project.optim(["run"]);
    let warned = ran.stderr.lines().filter(|line| line.starts_with("warning: a gain of 2 points"));
    assert_eq!(warned.count(), 1, "{ran}");
}

#[test]
fn a_budget_that_is_too_small_for_the_goal_names_its_key() {
    let project = project("{rule: sequential}");
    project.optim(["run", "--id", "known", "--seed", "1"]).ended(7);
    project.replace("policy/budget.yaml", "max_total_tokens: 20000000", "max_total_tokens: 3000");
    let plan = project.optim(["plan", "--json"]).document(0);
    assert_eq!(plan["price"]["from"], "runs", "{plan}");
    assert!(plan["budget_pays_for"].as_u64().unwrap() < 336, "{plan}");
    let warnings = plan["warnings"].to_string();
    assert!(warnings.contains("raise `max_total_tokens`"), "{warnings}");
}

#[test]
fn the_figures_of_a_plan_come_from_the_replays_once_there_are_some() {
    let project = project("{rule: sequential}");
    project.optim(["run", "--id", "first", "--seed", "1"]).ended(7);
    let plan = project.optim(["plan", "--json"]).document(0);
    assert_eq!(plan["flips"]["from"], "record");
    assert_eq!(plan["flips"]["campaign"], "first");
    assert_eq!(plan["flips"]["share"]["num"], 0, "the built-in agent is deterministic");
    assert!(plan["advice"][0].as_str().unwrap().contains("`batch: 84`"), "{plan}");
}

#[test]
fn under_the_point_rule_a_plan_says_that_nothing_bounds_the_error() {
    let project = project("{rule: point}");
    let plan = project.optim(["plan", "--json"]).document(0);
    assert_eq!(plan["rule"], "point");
    let warning = plan["warnings"][0].as_str().unwrap();
    assert!(warning.contains("nothing bounds how often"), "{warning}");
    assert!(
        !project.optim(["run"]).stderr.contains("warning"),
        "what was chosen is not nagged about"
    );
}

#[test]
fn a_share_that_is_none_is_refused_with_what_it_may_be() {
    for share in ["1.5", "-0.1", "NaN", "1e400", "18%"] {
        let project = project("{rule: sequential}");
        let ran = project.optim(["plan", &format!("--flips={share}")]);
        ran.refused(2, "a number from 0 to 1");
    }
}
