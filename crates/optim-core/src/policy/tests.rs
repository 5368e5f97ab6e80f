//! Laws and tables over all five files. The files that are varied are the examples of the manual.

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::diagnostic::Diagnostic;
use crate::quantity::PerMillion;

const MANUAL: &str = include_str!("../../../../docs/policies.md");

/// The example of `file` in the manual.
fn example(file: &str) -> &'static str {
    let (_, rest) = MANUAL.split_once(&format!("\n`{file}`\n\n```")).unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("\n```").unwrap().0
}

/// Reads the examples, with `text` in the place of `file`.
fn read_with(file: &str, text: &[u8]) -> Result<Checked<(Objective, Policies)>, Diagnostics> {
    let content = |name: &'static str| PolicyFile {
        name,
        bytes: if name == file { text } else { example(name).as_bytes() },
    };
    read(&PolicyFiles {
        objective: content("objective.md"),
        eval: content("eval.yaml"),
        mutation: content("mutation_policy.yaml"),
        scope: content("scope.yaml"),
        budget: content("budget.yaml"),
    })
}

/// The example of `file` without `key` and what is indented below it, then `lines`.
fn varied(file: &str, key: &str, lines: &str) -> String {
    let mut is_in_key = false;
    let kept = example(file).lines().filter(|line| {
        let is_nested = line.starts_with([' ', '-']);
        is_in_key = line.starts_with(&format!("{key}:")) || (is_in_key && is_nested);
        !is_in_key
    });
    kept.chain([lines]).collect::<Vec<_>>().join("\n")
}

/// What `key: value` is answered with: a line for each fault, without its place.
fn answer(file: &str, key: &str, value: &str) -> String {
    let (text, shown) = if value == "absent" {
        (varied(file, key, ""), "absent".to_owned())
    } else {
        (varied(file, key, &format!("{key}: {value}")), value.escape_debug().to_string())
    };
    let found = match read_with(file, text.as_bytes()) {
        Ok(checked) if checked.warnings.0.is_empty() => "accepted".to_owned(),
        Ok(checked) => join(checked.warnings),
        Err(faults) => join(faults),
    };
    format!("{key}: {shown} => {found}")
}

fn join(faults: Diagnostics) -> String {
    let fault = |fault: Diagnostic| {
        format!("{}[{}] {} ({})", fault.severity, fault.code, fault.message, fault.help.unwrap())
    };
    faults.into_iter().map(fault).collect::<Vec<_>>().join("; ")
}

fn table(file: &str, rows: &[(&str, &[&str])]) -> String {
    let answers =
        rows.iter().flat_map(|(key, values)| values.iter().map(|value| answer(file, key, value)));
    answers.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_of_the_manual_are_read_as_they_are_written() {
    let read = read_with("", b"").unwrap();
    assert_eq!(read.warnings, Diagnostics::default());
    let (objective, policies) = read.value;
    assert!(objective.as_str().starts_with("Route each"));
    expect![[r#"
        Policies {
            eval: EvalPolicy {
                profile: Strict,
                pack_ref: File(
                    "cases.jsonl",
                ),
                primary_metric: ArtifactValidatorPassRate,
                secondary_metric: UnmetRequirementCount,
                hard_guardrails: [
                    BlockedNodeRate,
                    BudgetCeilings,
                ],
                campaign_start_baseline_runs: 2,
                baseline_replay_every_candidates: 5,
                baseline_replay_every_minutes: 30,
                evaluation_deadline_minutes: 1440,
                score: AllOrNothing,
                rule: Sequential(
                    Sequential {
                        profile: Standard,
                        alpha: PerMillion(
                            50000,
                        ),
                        batch: 8,
                        group: 1,
                        n_min: 8,
                        n_max: 240,
                        mde: PerMillion(
                            150000,
                        ),
                        beta: PerMillion(
                            250000,
                        ),
                        slack: PerMillion(
                            1000000,
                        ),
                        secondary_weight: PerMillion(
                            0,
                        ),
                        mde_secondary: PerMillion(
                            200000,
                        ),
                        ni_primary: PerMillion(
                            50000,
                        ),
                        alpha_guardrail: PerMillion(
                            100000,
                        ),
                        alpha_harm: PerMillion(
                            50000,
                        ),
                        alpha_review: PerMillion(
                            200000,
                        ),
                        guardrails: Margins {
                            blocked_node_rate: Some(
                                PerMillion(
                                    100000,
                                ),
                            ),
                            cost: Some(
                                PerMillion(
                                    250000,
                                ),
                            ),
                            tokens: Some(
                                PerMillion(
                                    250000,
                                ),
                            ),
                            latency: Some(
                                PerMillion(
                                    250000,
                                ),
                            ),
                        },
                        anchor_check: true,
                        confirm_pairs: 40,
                    },
                ),
                post_apply: PostApply {
                    measure: OnRequest,
                    window_minutes: 60,
                    max_drop: PerMillion(
                        50000,
                    ),
                },
            },
            mutation: MutationPolicy {
                profile: Strict,
                allowed: {
                    Objective,
                    OutputContractSummaryGuidance,
                    TimeoutMs,
                    RetryPolicyMaxAttempts,
                    RetryPolicyRetries,
                },
                max_text_delta_chars: 300,
                max_text_delta_ratio: PerMillion(
                    250000,
                ),
                text_delta_floor_chars: 40,
                timeout_delta_percent: PerMillion(
                    150000,
                ),
                timeout_delta: Millis(
                    30000,
                ),
                timeout_min: Millis(
                    30000,
                ),
                timeout_max: Millis(
                    600000,
                ),
                retry_delta: 1,
                retry_min: 0,
                retry_max: 3,
            },
            scope: ScopePolicy {
                profile: Strict,
                forbidden_fields: [
                    FieldPattern {
                        node: Some(
                            NodeId(
                                "publish",
                            ),
                        ),
                        field: None,
                    },
                    FieldPattern {
                        node: Some(
                            NodeId(
                                "draft",
                            ),
                        ),
                        field: Some(
                            TimeoutMs,
                        ),
                    },
                    FieldPattern {
                        node: None,
                        field: Some(
                            RetryPolicyRetries,
                        ),
                    },
                ],
            },
            budget: BudgetPolicy {
                profile: Strict,
                max_experiments: 20,
                max_runtime_minutes: 120,
                max_consecutive_failures: 3,
                max_total_tokens: Some(
                    Tokens(
                        2000000,
                    ),
                ),
                max_total_cost: Some(
                    MicroUsd(
                        12500000,
                    ),
                ),
            },
        }
    "#]]
    .assert_debug_eq(&policies);
}

/// The table of keys, as the manual must show it.
fn manual_table() -> String {
    let row = |row: Row| {
        let Row { key, about, strict, hard, default } = row;
        let hard = if hard == strict { "the same".to_owned() } else { hard };
        let default = default.unwrap_or_else(|| "required".to_owned());
        format!("| `{key}` | {about} | {strict} | {hard} | {default} |\n")
    };
    let section = |(file, rows): (&str, Vec<Row>)| {
        let head = "| Key | What it says | strict | `profile: custom` | absent |";
        let rows: String = rows.into_iter().map(row).collect();
        format!("\n### Keys of {file}\n\n{head}\n|---|---|---|---|---|\n{rows}")
    };
    reference().into_iter().map(section).collect()
}

#[test]
fn the_manual_shows_the_keys_that_are_read() {
    let (_, rest) = MANUAL.split_once("<!-- generated: keys -->\n").unwrap();
    let (shown, _) = rest.split_once("<!-- end -->").unwrap();
    let table = manual_table();
    assert!(shown == table, "put this between the marks of docs/policies.md:\n{table}");
}

#[test]
fn every_number_has_a_strict_and_a_hard_range() {
    let rows: [(&str, &[&str]); 3] = [
        (
            "max_experiments",
            &[
                "absent", "", "many", "'20'", "[20]", "2.5", "-1", "-0", "0", "1", "100", "101",
                "10001",
            ],
        ),
        ("max_runtime_minutes", &["absent", "0", "1440", "1441", "525601"]),
        ("max_consecutive_failures", &["absent", "0", "10", "11", "101", "010", "0x10", "1e1"]),
    ];
    expect![[r#"
        max_experiments: absent => error[missing_key] `max_experiments` is missing: candidates that the campaign may evaluate (add it; allowed is 1 to 100)
        max_experiments:  => error[wrong_type] `max_experiments` must be a whole number, found nothing (null) (allowed is 1 to 100)
        max_experiments: many => error[wrong_type] `max_experiments` must be a whole number, found a string `many` (allowed is 1 to 100)
        max_experiments: \'20\' => error[wrong_type] `max_experiments` must be a whole number, found a string `\'20\'` (remove the quotes)
        max_experiments: [20] => error[wrong_type] `max_experiments` must be a whole number, found a sequence (allowed is 1 to 100)
        max_experiments: 2.5 => error[wrong_type] `max_experiments` must be a whole number, found a number `2.5` (round it)
        max_experiments: -1 => error[out_of_range] `max_experiments` is `-1`, allowed is 1 to 100 (even `profile: custom` allows only 1 to 10000)
        max_experiments: -0 => error[out_of_range] `max_experiments` is `-0`, allowed is 1 to 100 (even `profile: custom` allows only 1 to 10000)
        max_experiments: 0 => error[out_of_range] `max_experiments` is `0`, allowed is 1 to 100 (even `profile: custom` allows only 1 to 10000)
        max_experiments: 1 => accepted
        max_experiments: 100 => accepted
        max_experiments: 101 => error[out_of_range] `max_experiments` is `101`, allowed is 1 to 100 (`profile: custom` allows 1 to 10000)
        max_experiments: 10001 => error[out_of_range] `max_experiments` is `10001`, allowed is 1 to 100 (even `profile: custom` allows only 1 to 10000)
        max_runtime_minutes: absent => error[missing_key] `max_runtime_minutes` is missing: minutes of run time, summed over all case runs (add it; allowed is 1 to 1440)
        max_runtime_minutes: 0 => error[out_of_range] `max_runtime_minutes` is `0`, allowed is 1 to 1440 (even `profile: custom` allows only 1 to 525600)
        max_runtime_minutes: 1440 => accepted
        max_runtime_minutes: 1441 => error[out_of_range] `max_runtime_minutes` is `1441`, allowed is 1 to 1440 (`profile: custom` allows 1 to 525600)
        max_runtime_minutes: 525601 => error[out_of_range] `max_runtime_minutes` is `525601`, allowed is 1 to 1440 (even `profile: custom` allows only 1 to 525600)
        max_consecutive_failures: absent => error[missing_key] `max_consecutive_failures` is missing: evaluations in a row without a measurable result (add it; allowed is 1 to 10)
        max_consecutive_failures: 0 => error[out_of_range] `max_consecutive_failures` is `0`, allowed is 1 to 10 (even `profile: custom` allows only 1 to 100)
        max_consecutive_failures: 10 => accepted
        max_consecutive_failures: 11 => error[out_of_range] `max_consecutive_failures` is `11`, allowed is 1 to 10 (`profile: custom` allows 1 to 100)
        max_consecutive_failures: 101 => error[out_of_range] `max_consecutive_failures` is `101`, allowed is 1 to 10 (even `profile: custom` allows only 1 to 100)
        max_consecutive_failures: 010 => error[wrong_type] `max_consecutive_failures` must be a whole number, found an integer `010` (write it with decimal digits, without leading zeros and exponents)
        max_consecutive_failures: 0x10 => error[wrong_type] `max_consecutive_failures` must be a whole number, found an integer `0x10` (write it with decimal digits, without leading zeros and exponents)
        max_consecutive_failures: 1e1 => error[wrong_type] `max_consecutive_failures` must be a whole number, found a number `1e1` (write it with decimal digits, without leading zeros and exponents)"#]].assert_eq(&table("budget.yaml", &rows));
    let rows: [(&str, &[&str]); 2] = [
        (
            "max_total_tokens",
            &[
                "absent",
                "",
                "null",
                "~",
                "0",
                "-5",
                "1.5",
                "1000000000000000",
                "1000000000000001",
                "18446744073709551616",
            ],
        ),
        (
            "max_total_cost_usd",
            &[
                "absent",
                "",
                "0",
                "0.0",
                "-0.0",
                "0.000001",
                "0.0000001",
                "12.5000000",
                "1000000000",
                "1000000000.000001",
                ".nan",
                ".inf",
                "-.inf",
                "1e400",
                "$5",
                "true",
            ],
        ),
    ];
    expect![[r#"
        max_total_tokens: absent => warning[no_limit] `max_total_tokens` is absent, so there is no limit: tokens that the campaign may use (set it, or write `max_total_tokens: null` to say that no limit is meant)
        max_total_tokens:  => accepted
        max_total_tokens: null => accepted
        max_total_tokens: ~ => accepted
        max_total_tokens: 0 => error[out_of_range] `max_total_tokens` is `0`, allowed is 1 to 1000000000000000 (the same holds in every profile)
        max_total_tokens: -5 => error[out_of_range] `max_total_tokens` is `-5`, allowed is 1 to 1000000000000000 (the same holds in every profile)
        max_total_tokens: 1.5 => error[wrong_type] `max_total_tokens` must be a whole number, found a number `1.5` (round it)
        max_total_tokens: 1000000000000000 => accepted
        max_total_tokens: 1000000000000001 => error[out_of_range] `max_total_tokens` is `1000000000000001`, allowed is 1 to 1000000000000000 (the same holds in every profile)
        max_total_tokens: 18446744073709551616 => error[out_of_range] `max_total_tokens` is `18446744073709551616`, allowed is 1 to 1000000000000000 (the same holds in every profile)
        max_total_cost_usd: absent => warning[no_limit] `max_total_cost_usd` is absent, so there is no limit: US dollars that the campaign may spend (set it, or write `max_total_cost_usd: null` to say that no limit is meant)
        max_total_cost_usd:  => accepted
        max_total_cost_usd: 0 => error[out_of_range] `max_total_cost_usd` is `0`, allowed is above 0, up to 1000000000 (the same holds in every profile)
        max_total_cost_usd: 0.0 => error[out_of_range] `max_total_cost_usd` is `0.0`, allowed is above 0, up to 1000000000 (the same holds in every profile)
        max_total_cost_usd: -0.0 => error[out_of_range] `max_total_cost_usd` is `-0.0`, allowed is above 0, up to 1000000000 (the same holds in every profile)
        max_total_cost_usd: 0.000001 => accepted
        max_total_cost_usd: 0.0000001 => error[too_precise] `max_total_cost_usd` is `0.0000001`, which has more than 6 decimal places (round it)
        max_total_cost_usd: 12.5000000 => accepted
        max_total_cost_usd: 1000000000 => accepted
        max_total_cost_usd: 1000000000.000001 => error[out_of_range] `max_total_cost_usd` is `1000000000.000001`, allowed is above 0, up to 1000000000 (the same holds in every profile)
        max_total_cost_usd: .nan => error[out_of_range] `max_total_cost_usd` is `.nan`, allowed is above 0, up to 1000000000 (the same holds in every profile)
        max_total_cost_usd: .inf => error[out_of_range] `max_total_cost_usd` is `.inf`, allowed is above 0, up to 1000000000 (the same holds in every profile)
        max_total_cost_usd: -.inf => error[out_of_range] `max_total_cost_usd` is `-.inf`, allowed is above 0, up to 1000000000 (the same holds in every profile)
        max_total_cost_usd: 1e400 => error[out_of_range] `max_total_cost_usd` is `1e400`, allowed is above 0, up to 1000000000 (the same holds in every profile)
        max_total_cost_usd: $5 => error[wrong_type] `max_total_cost_usd` must be a decimal number, found a string `$5` (allowed is above 0, up to 1000000000)
        max_total_cost_usd: true => error[wrong_type] `max_total_cost_usd` must be a decimal number, found a boolean `true` (allowed is above 0, up to 1000000000)"#]].assert_eq(&table("budget.yaml", &rows));
}

#[test]
fn mutation_bounds_are_checked() {
    let rows: [(&str, &[&str]); 17] = [
        ("max_nodes_changed_per_candidate", &["absent", "0", "2"]),
        ("max_field_families_changed_per_candidate", &["absent", "2"]),
        ("allow_text_and_knob_bundle", &["absent", "true", "yes"]),
        (
            "allowed_text_fields",
            &[
                "absent",
                "objective",
                "[]",
                "[objectiv]",
                "[timeout_ms]",
                "[objective, objective]",
                "[3]",
            ],
        ),
        ("allowed_knob_fields", &["absent", "[retry_policy.retries]"]),
        ("max_text_delta_chars", &["absent", "0", "1", "301", "20001", "x"]),
        (
            "max_text_delta_ratio",
            &["absent", "0", "0.000001", "0.2500001", "0.26", ".25", "10.1", ".nan", "'0.1'"],
        ),
        ("text_delta_floor_chars", &["absent", "0", "61", "2001"]),
        ("timeout_delta_percent", &["absent", "0", "0.16", "1.01", ".NaN", "-0.1", "15%"]),
        ("timeout_delta_ms", &["absent", "0", "30001", "3600001"]),
        ("timeout_min_ms", &["absent", "29999", "999", "600000"]),
        ("timeout_max_ms", &["absent", "600001", "86400001", "30000"]),
        ("retry_delta", &["absent", "0", "2", "6", "-1"]),
        ("retry_min", &["absent", "-1", "3", "4", "11"]),
        ("retry_max", &["absent", "0", "4", "11"]),
        ("profile", &["strict", "custom", "Custom", "wide", "", "1"]),
        ("unknown_thing", &["1"]),
    ];
    expect![[r#"
        max_nodes_changed_per_candidate: absent => error[missing_key] `max_nodes_changed_per_candidate` is missing: nodes that a candidate may change (add it; allowed is 1)
        max_nodes_changed_per_candidate: 0 => error[out_of_range] `max_nodes_changed_per_candidate` is `0`, allowed is 1 (a candidate is one change of one field of one node, in every profile)
        max_nodes_changed_per_candidate: 2 => error[out_of_range] `max_nodes_changed_per_candidate` is `2`, allowed is 1 (a candidate is one change of one field of one node, in every profile)
        max_field_families_changed_per_candidate: absent => error[missing_key] `max_field_families_changed_per_candidate` is missing: fields that a candidate may change (add it; allowed is 1)
        max_field_families_changed_per_candidate: 2 => error[out_of_range] `max_field_families_changed_per_candidate` is `2`, allowed is 1 (a candidate is one change of one field of one node, in every profile)
        allow_text_and_knob_bundle: absent => accepted
        allow_text_and_knob_bundle: true => error[out_of_range] `allow_text_and_knob_bundle` is true, allowed is false (a candidate is one change of one field of one node, in every profile)
        allow_text_and_knob_bundle: yes => error[wrong_type] `allow_text_and_knob_bundle` must be true or false, found a string `yes` (write false: a candidate is one change of one field of one node, in every profile)
        allowed_text_fields: absent => accepted
        allowed_text_fields: objective => error[wrong_type] `allowed_text_fields` must be a list, found a string `objective` (write one `- value` a line, or `[a, b]`)
        allowed_text_fields: [] => accepted
        allowed_text_fields: [objectiv] => error[unknown_value] `allowed_text_fields` has the value `objectiv`, allowed is `objective` or `output_contract_summary_guidance` (did you mean `objective`?)
        allowed_text_fields: [timeout_ms] => error[unknown_value] `allowed_text_fields` has the value `timeout_ms`, allowed is `objective` or `output_contract_summary_guidance` (write `objective` or `output_contract_summary_guidance`)
        allowed_text_fields: [objective, objective] => error[duplicate_value] `allowed_text_fields` names `objective` twice (remove one of the two)
        allowed_text_fields: [3] => error[wrong_type] `allowed_text_fields` must be a word, found an integer `3` (allowed is `objective` or `output_contract_summary_guidance`)
        allowed_knob_fields: absent => accepted
        allowed_knob_fields: [retry_policy.retries] => error[unknown_value] `allowed_knob_fields` has the value `retry_policy.retries`, allowed is `timeout_ms` or `retry_policy_max_attempts` or `retry_policy_retries` (did you mean `retry_policy_retries`?)
        max_text_delta_chars: absent => error[missing_key] `max_text_delta_chars` is missing: characters removed plus characters added (add it; allowed is 1 to 300)
        max_text_delta_chars: 0 => error[out_of_range] `max_text_delta_chars` is `0`, allowed is 1 to 300 (even `profile: custom` allows only 1 to 20000)
        max_text_delta_chars: 1 => accepted
        max_text_delta_chars: 301 => error[out_of_range] `max_text_delta_chars` is `301`, allowed is 1 to 300 (`profile: custom` allows 1 to 20000)
        max_text_delta_chars: 20001 => error[out_of_range] `max_text_delta_chars` is `20001`, allowed is 1 to 300 (even `profile: custom` allows only 1 to 20000)
        max_text_delta_chars: x => error[wrong_type] `max_text_delta_chars` must be a whole number, found a string `x` (allowed is 1 to 300)
        max_text_delta_ratio: absent => error[missing_key] `max_text_delta_ratio` is missing: the same as a share of the old length (add it; allowed is above 0, up to 0.25)
        max_text_delta_ratio: 0 => error[out_of_range] `max_text_delta_ratio` is `0`, allowed is above 0, up to 0.25 (even `profile: custom` allows only above 0, up to 10)
        max_text_delta_ratio: 0.000001 => accepted
        max_text_delta_ratio: 0.2500001 => error[too_precise] `max_text_delta_ratio` is `0.2500001`, which has more than 6 decimal places (round it)
        max_text_delta_ratio: 0.26 => error[out_of_range] `max_text_delta_ratio` is `0.26`, allowed is above 0, up to 0.25 (`profile: custom` allows above 0, up to 10)
        max_text_delta_ratio: .25 => accepted
        max_text_delta_ratio: 10.1 => error[out_of_range] `max_text_delta_ratio` is `10.1`, allowed is above 0, up to 0.25 (even `profile: custom` allows only above 0, up to 10)
        max_text_delta_ratio: .nan => error[out_of_range] `max_text_delta_ratio` is `.nan`, allowed is above 0, up to 0.25 (even `profile: custom` allows only above 0, up to 10)
        max_text_delta_ratio: \'0.1\' => error[wrong_type] `max_text_delta_ratio` must be a decimal number, found a string `\'0.1\'` (remove the quotes)
        text_delta_floor_chars: absent => accepted
        text_delta_floor_chars: 0 => accepted
        text_delta_floor_chars: 61 => error[out_of_range] `text_delta_floor_chars` is `61`, allowed is 0 to 60 (`profile: custom` allows 0 to 2000)
        text_delta_floor_chars: 2001 => error[out_of_range] `text_delta_floor_chars` is `2001`, allowed is 0 to 60 (even `profile: custom` allows only 0 to 2000)
        timeout_delta_percent: absent => error[missing_key] `timeout_delta_percent` is missing: the largest step of a timeout, as a share of it (0.15 is 15 %) (add it; allowed is above 0, up to 0.15)
        timeout_delta_percent: 0 => error[out_of_range] `timeout_delta_percent` is `0`, allowed is above 0, up to 0.15 (even `profile: custom` allows only above 0, up to 1)
        timeout_delta_percent: 0.16 => error[out_of_range] `timeout_delta_percent` is `0.16`, allowed is above 0, up to 0.15 (`profile: custom` allows above 0, up to 1)
        timeout_delta_percent: 1.01 => error[out_of_range] `timeout_delta_percent` is `1.01`, allowed is above 0, up to 0.15 (even `profile: custom` allows only above 0, up to 1)
        timeout_delta_percent: .NaN => error[out_of_range] `timeout_delta_percent` is `.NaN`, allowed is above 0, up to 0.15 (even `profile: custom` allows only above 0, up to 1)
        timeout_delta_percent: -0.1 => error[out_of_range] `timeout_delta_percent` is `-0.1`, allowed is above 0, up to 0.15 (even `profile: custom` allows only above 0, up to 1)
        timeout_delta_percent: 15% => error[wrong_type] `timeout_delta_percent` must be a decimal number, found a string `15%` (allowed is above 0, up to 0.15)
        timeout_delta_ms: absent => error[missing_key] `timeout_delta_ms` is missing: the largest step of a timeout, in milliseconds (add it; allowed is 1 to 30000)
        timeout_delta_ms: 0 => error[out_of_range] `timeout_delta_ms` is `0`, allowed is 1 to 30000 (even `profile: custom` allows only 1 to 3600000)
        timeout_delta_ms: 30001 => error[out_of_range] `timeout_delta_ms` is `30001`, allowed is 1 to 30000 (`profile: custom` allows 1 to 3600000)
        timeout_delta_ms: 3600001 => error[out_of_range] `timeout_delta_ms` is `3600001`, allowed is 1 to 30000 (even `profile: custom` allows only 1 to 3600000)
        timeout_min_ms: absent => error[missing_key] `timeout_min_ms` is missing: the shortest timeout, in milliseconds (add it; allowed is 30000 to 600000)
        timeout_min_ms: 29999 => error[out_of_range] `timeout_min_ms` is `29999`, allowed is 30000 to 600000 (`profile: custom` allows 1000 to 86400000)
        timeout_min_ms: 999 => error[out_of_range] `timeout_min_ms` is `999`, allowed is 30000 to 600000 (even `profile: custom` allows only 1000 to 86400000)
        timeout_min_ms: 600000 => error[empty_range] `timeout_min_ms` is 600000, which is not below `timeout_max_ms`, 600000 (lower it, or raise `timeout_max_ms`)
        timeout_max_ms: absent => error[missing_key] `timeout_max_ms` is missing: the longest timeout, in milliseconds (add it; allowed is 30000 to 600000)
        timeout_max_ms: 600001 => error[out_of_range] `timeout_max_ms` is `600001`, allowed is 30000 to 600000 (`profile: custom` allows 1000 to 86400000)
        timeout_max_ms: 86400001 => error[out_of_range] `timeout_max_ms` is `86400001`, allowed is 30000 to 600000 (even `profile: custom` allows only 1000 to 86400000)
        timeout_max_ms: 30000 => error[empty_range] `timeout_min_ms` is 30000, which is not below `timeout_max_ms`, 30000 (lower it, or raise `timeout_max_ms`)
        retry_delta: absent => error[missing_key] `retry_delta` is missing: the largest step of a retry setting (add it; allowed is 1)
        retry_delta: 0 => error[out_of_range] `retry_delta` is `0`, allowed is 1 (even `profile: custom` allows only 1 to 5)
        retry_delta: 2 => error[out_of_range] `retry_delta` is `2`, allowed is 1 (`profile: custom` allows 1 to 5)
        retry_delta: 6 => error[out_of_range] `retry_delta` is `6`, allowed is 1 (even `profile: custom` allows only 1 to 5)
        retry_delta: -1 => error[out_of_range] `retry_delta` is `-1`, allowed is 1 (even `profile: custom` allows only 1 to 5)
        retry_min: absent => error[missing_key] `retry_min` is missing: the smallest retry setting (add it; allowed is 0 to 3)
        retry_min: -1 => error[out_of_range] `retry_min` is `-1`, allowed is 0 to 3 (even `profile: custom` allows only 0 to 10)
        retry_min: 3 => accepted
        retry_min: 4 => error[out_of_range] `retry_min` is `4`, allowed is 0 to 3 (`profile: custom` allows 0 to 10)
        retry_min: 11 => error[out_of_range] `retry_min` is `11`, allowed is 0 to 3 (even `profile: custom` allows only 0 to 10)
        retry_max: absent => error[missing_key] `retry_max` is missing: the largest retry setting (add it; allowed is 0 to 3)
        retry_max: 0 => accepted
        retry_max: 4 => error[out_of_range] `retry_max` is `4`, allowed is 0 to 3 (`profile: custom` allows 0 to 10)
        retry_max: 11 => error[out_of_range] `retry_max` is `11`, allowed is 0 to 3 (even `profile: custom` allows only 0 to 10)
        profile: strict => accepted
        profile: custom => accepted
        profile: Custom => error[unknown_value] `profile` has the value `Custom`, allowed is `strict` or `custom` (did you mean `custom`?)
        profile: wide => error[unknown_value] `profile` has the value `wide`, allowed is `strict` or `custom` (write `strict` or `custom`)
        profile:  => error[wrong_type] `profile` must be a word, found nothing (null) (allowed is `strict` or `custom`)
        profile: 1 => error[wrong_type] `profile` must be a word, found an integer `1` (allowed is `strict` or `custom`)
        unknown_thing: 1 => error[unknown_key] unknown key `unknown_thing` (known keys here: allow_text_and_knob_bundle, allowed_knob_fields, allowed_text_fields, max_field_families_changed_per_candidate, max_nodes_changed_per_candidate, max_text_delta_chars, max_text_delta_ratio, profile, retry_delta, retry_max, retry_min, text_delta_floor_chars, timeout_delta_ms, timeout_delta_percent, timeout_max_ms, timeout_min_ms)"#]].assert_eq(&table("mutation_policy.yaml", &rows));
}

/// The rule of an `eval.yaml` whose `decision` has `lines`, with 5 experiments in `budget.yaml`.
fn rule_of(lines: &str) -> Rule {
    let eval = varied("eval.yaml", "decision", &format!("decision:\n{lines}"));
    let budget = varied("budget.yaml", "max_experiments", "max_experiments: 5");
    let content = |name: &'static str| match name {
        "eval.yaml" => PolicyFile { name, bytes: eval.as_bytes() },
        "budget.yaml" => PolicyFile { name, bytes: budget.as_bytes() },
        _ => PolicyFile { name, bytes: example(name).as_bytes() },
    };
    let read = read(&PolicyFiles {
        objective: content("objective.md"),
        eval: content("eval.yaml"),
        mutation: content("mutation_policy.yaml"),
        scope: content("scope.yaml"),
        budget: content("budget.yaml"),
    });
    read.unwrap().value.1.eval.rule
}

#[test]
fn a_profile_of_the_sequential_rule_is_its_defaults() {
    for (profile, name) in [
        (DecisionProfile::Standard, "standard"),
        (DecisionProfile::Thorough, "thorough"),
        (DecisionProfile::Frugal, "frugal"),
    ] {
        let rule = rule_of(&format!("  rule: sequential\n  profile: {name}"));
        assert_eq!(rule, Rule::Sequential(Sequential::of(profile)));
    }
    let standard = Sequential::of(DecisionProfile::Standard);
    assert_eq!(rule_of("  rule: sequential"), Rule::Sequential(standard));
    let thorough = Sequential::of(DecisionProfile::Thorough);
    let raised = Sequential { n_max: 800, ..thorough };
    let lines = "  profile: thorough\n  n_max: 800\n  rule: sequential";
    assert_eq!(rule_of(lines), Rule::Sequential(raised), "the order of the keys says nothing");
    let text = serde_json::to_string(&Rule::Sequential(raised)).unwrap();
    assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), Rule::Sequential(raised));
}

#[test]
fn every_key_of_the_sequential_rule_is_read() {
    let lines = "  rule: sequential
  binding: step
  error_control: fwer
  alpha: 0.04
  alpha_step: 0.10
  max_applies: 1
  batch: 9
  group: 4
  n_min: 16
  n_max: 401
  mde: 0.11
  beta: 0.24
  slack: 1.5
  secondary_weight: 0.2
  mde_secondary: 0.21
  ni_primary: 0.06
  alpha_guardrail: 0.12
  alpha_harm: 0.07
  alpha_review: 0.22
  guardrails:
    blocked_node_rate: {kind: hard, margin: 0.05}
    cost:    {kind: soft, ratio_margin: 0.26}
    tokens:  {kind: off, ratio_margin: 0.25}
    latency: {ratio_margin: 0.5}
  anchor_check: false
  confirm_pairs: 60";
    let wanted = Sequential {
        profile: DecisionProfile::Standard,
        alpha: PerMillion(40_000),
        batch: 9,
        group: 4,
        n_min: 16,
        n_max: 401,
        mde: PerMillion(110_000),
        beta: PerMillion(240_000),
        slack: PerMillion(1_500_000),
        secondary_weight: PerMillion(200_000),
        mde_secondary: PerMillion(210_000),
        ni_primary: PerMillion(60_000),
        alpha_guardrail: PerMillion(120_000),
        alpha_harm: PerMillion(70_000),
        alpha_review: PerMillion(220_000),
        guardrails: Margins {
            blocked_node_rate: Some(PerMillion(50_000)),
            cost: Some(PerMillion(260_000)),
            tokens: None,
            latency: Some(PerMillion(500_000)),
        },
        anchor_check: false,
        confirm_pairs: 60,
    };
    assert_eq!(rule_of(lines), Rule::Sequential(wanted));
}

#[test]
fn the_keys_of_the_sequential_rule_are_checked() {
    let rows: [(&str, &[&str]); 1] = [(
        "decision",
        &[
            "{rule: sequential, alpha: 0}",
            "{rule: sequential, alpha: 1}",
            "{rule: sequential, alpha: 0.5}",
            "{rule: sequential, alpha: .nan}",
            "{rule: sequential, alhpa: 0.01}",
            "{rule: sequential, mde: 1}",
            "{rule: sequential, secondary_weight: 1}",
            "{rule: sequential, n_min: 0}",
            "{rule: sequential, n_min: 300}",
            "{rule: sequential, binding: apply}",
            "{rule: sequential, error_control: fdr}",
            "{rule: sequential, alpha_step: 0.2}",
            "{rule: sequential, anchor_check: 1}",
            "{rule: sequential, profile: frugal}",
            "{rule: sequential, guardrails: {blocked_node_rate: {margin: 0}}}",
            "{rule: sequential, guardrails: {cost: {kind: hard}}}",
            "{rule: sequential, guardrails: {quality: {kind: hard}}}",
            "{rule: sequential, point: {}}",
            "{alpha: 0.01}",
            "{rule: sequental, alpha: 2}",
        ],
    )];
    expect![[r#"
        decision: {rule: sequential, alpha: 0} => error[out_of_range] `alpha` is `0`, allowed is above 0, up to 0.1 (even `profile: custom` allows only above 0, up to 0.999999)
        decision: {rule: sequential, alpha: 1} => error[out_of_range] `alpha` is `1`, allowed is above 0, up to 0.1 (even `profile: custom` allows only above 0, up to 0.999999)
        decision: {rule: sequential, alpha: 0.5} => error[out_of_range] `alpha` is `0.5`, allowed is above 0, up to 0.1 (`profile: custom` allows above 0, up to 0.999999)
        decision: {rule: sequential, alpha: .nan} => error[out_of_range] `alpha` is `.nan`, allowed is above 0, up to 0.1 (even `profile: custom` allows only above 0, up to 0.999999)
        decision: {rule: sequential, alhpa: 0.01} => error[unknown_key] unknown key `alhpa` (did you mean `alpha`?)
        decision: {rule: sequential, mde: 1} => error[out_of_range] `mde` is `1`, allowed is above 0, up to 0.999999 (the same holds in every profile)
        decision: {rule: sequential, secondary_weight: 1} => error[out_of_range] `secondary_weight` is `1`, allowed is 0 to 0.5 (even `profile: custom` allows only 0 to 0.999999)
        decision: {rule: sequential, n_min: 0} => error[out_of_range] `n_min` is `0`, allowed is 1 to 1000 (even `profile: custom` allows only 1 to 100000)
        decision: {rule: sequential, n_min: 300} => error[out_of_range] `n_min` is 300, more than `n_max`, which is 240 (lower `n_min` or raise `n_max`)
        decision: {rule: sequential, binding: apply} => error[unknown_value] `binding` has the value `apply`, allowed is `step` (write `step`)
        decision: {rule: sequential, error_control: fdr} => error[unknown_value] `error_control` has the value `fdr`, allowed is `fwer` (write `fwer`)
        decision: {rule: sequential, alpha_step: 0.2} => error[out_of_range] `alpha_step` is `0.2`, allowed is 0.1 (it would count for `binding: apply`, which does not exist)
        decision: {rule: sequential, anchor_check: 1} => error[wrong_type] `anchor_check` must be true or false, found an integer `1` (write true or false)
        decision: {rule: sequential, profile: frugal} => error[out_of_range] `max_experiments` is 20, `profile: frugal` is for at most 5 (set it to 5, or choose `profile: standard` in eval.yaml)
        decision: {rule: sequential, guardrails: {blocked_node_rate: {margin: 0}}} => error[out_of_range] `margin` is `0`, allowed is above 0, up to 0.2 (even `profile: custom` allows only above 0, up to 0.999999)
        decision: {rule: sequential, guardrails: {cost: {kind: hard}}} => error[unknown_value] `kind` has the value `hard`, allowed is `soft` or `off` (write `soft` or `off`)
        decision: {rule: sequential, guardrails: {quality: {kind: hard}}} => error[unknown_key] unknown key `quality` (known keys here: blocked_node_rate, cost, latency, tokens)
        decision: {rule: sequential, point: {}} => warning[no_effect] `point` has no effect under `rule: sequential` (remove it, or choose the other rule)
        decision: {alpha: 0.01} => accepted
        decision: {rule: sequental, alpha: 2} => error[unknown_value] `rule` has the value `sequental`, allowed is `sequential` or `point` (did you mean `sequential`?); error[out_of_range] `alpha` is `2`, allowed is above 0, up to 0.1 (even `profile: custom` allows only above 0, up to 0.999999)"#]].assert_eq(&table("eval.yaml", &rows));
}

#[test]
fn eval_keys_are_checked() {
    let rows: [(&str, &[&str]); 9] = [
        ("pack_ref", &["absent", "none", "''", "' '", "3", "[a]"]),
        (
            "primary_metric",
            &["absent", "unmet_requirement_count", "artifact_validator_passrate", "1"],
        ),
        ("secondary_metric", &["absent", "artifact_validator_pass_rate"]),
        (
            "hard_guardrails",
            &[
                "absent",
                "[]",
                "[budget_ceilings]",
                "[budget_ceilings, blocked_node_rate]",
                "[budget_ceilings, budget_ceilings]",
                "[budget_ceilings, latency]",
            ],
        ),
        ("campaign_start_baseline_runs", &["absent", "1", "3", "0", "21"]),
        ("baseline_replay_every_candidates", &["absent", "4", "0", "1001"]),
        ("baseline_replay_every_minutes", &["absent", "31", "0", "10081"]),
        ("score", &["absent", "fraction", "fractions"]),
        (
            "decision",
            &[
                "absent",
                "",
                "[]",
                "{}",
                "point",
                "{rule: point}",
                "{rule: pont, point: {}}",
                "{rule: point, alpha: 0.05}",
                "{point: {stability: {max_range: 0.06, max_flaky: 1.5}}}",
                "{point: {stability: {max_flakey: 0.1}}}",
                "{point: {cost_margin: 1.5}}",
                "{point: {cost_margin: null}}",
            ],
        ),
    ];
    expect![[r#"
        pack_ref: absent => error[missing_key] `pack_ref` is missing: the eval pack (add it; allowed is the path of a JSONL file, or `none`)
        pack_ref: none => warning[no_pack] without a pack, candidates are compared on a single case with empty inputs (collect cases in a JSONL file and name it here)
        pack_ref: \'\' => error[blank] `pack_ref` is blank (write the path of a JSONL file, or `none`)
        pack_ref: \' \' => error[blank] `pack_ref` is blank (write the path of a JSONL file, or `none`)
        pack_ref: 3 => error[wrong_type] `pack_ref` must be the path of a JSONL file, or `none`, found an integer `3` (put it in quotes)
        pack_ref: [a] => error[wrong_type] `pack_ref` must be the path of a JSONL file, or `none`, found a sequence (put it in quotes)
        primary_metric: absent => error[missing_key] `primary_metric` is missing: the metric that decides first (add it; allowed is `artifact_validator_pass_rate`)
        primary_metric: unmet_requirement_count => error[unknown_value] `primary_metric` has the value `unmet_requirement_count`, allowed is `artifact_validator_pass_rate` (write `artifact_validator_pass_rate`)
        primary_metric: artifact_validator_passrate => error[unknown_value] `primary_metric` has the value `artifact_validator_passrate`, allowed is `artifact_validator_pass_rate` (did you mean `artifact_validator_pass_rate`?)
        primary_metric: 1 => error[wrong_type] `primary_metric` must be a word, found an integer `1` (allowed is `artifact_validator_pass_rate`)
        secondary_metric: absent => error[missing_key] `secondary_metric` is missing: the metric that decides on a tie (add it; allowed is `unmet_requirement_count`)
        secondary_metric: artifact_validator_pass_rate => error[unknown_value] `secondary_metric` has the value `artifact_validator_pass_rate`, allowed is `unmet_requirement_count` (write `unmet_requirement_count`)
        hard_guardrails: absent => error[missing_key] `hard_guardrails` is missing: what must not get worse; both, in any order (add it; allowed is a list of `blocked_node_rate` or `budget_ceilings`)
        hard_guardrails: [] => error[missing_value] `hard_guardrails` lacks `blocked_node_rate` (add `blocked_node_rate`; no campaign runs without both guardrails); error[missing_value] `hard_guardrails` lacks `budget_ceilings` (add `budget_ceilings`; no campaign runs without both guardrails)
        hard_guardrails: [budget_ceilings] => error[missing_value] `hard_guardrails` lacks `blocked_node_rate` (add `blocked_node_rate`; no campaign runs without both guardrails)
        hard_guardrails: [budget_ceilings, blocked_node_rate] => accepted
        hard_guardrails: [budget_ceilings, budget_ceilings] => error[duplicate_value] `hard_guardrails` names `budget_ceilings` twice (remove one of the two)
        hard_guardrails: [budget_ceilings, latency] => error[unknown_value] `hard_guardrails` has the value `latency`, allowed is `blocked_node_rate` or `budget_ceilings` (write `blocked_node_rate` or `budget_ceilings`)
        campaign_start_baseline_runs: absent => error[missing_key] `campaign_start_baseline_runs` is missing: baseline replays before the first candidate (add it; allowed is 2)
        campaign_start_baseline_runs: 1 => error[out_of_range] `campaign_start_baseline_runs` is `1`, allowed is 2 (`profile: custom` allows 1 to 20)
        campaign_start_baseline_runs: 3 => error[out_of_range] `campaign_start_baseline_runs` is `3`, allowed is 2 (`profile: custom` allows 1 to 20)
        campaign_start_baseline_runs: 0 => error[out_of_range] `campaign_start_baseline_runs` is `0`, allowed is 2 (even `profile: custom` allows only 1 to 20)
        campaign_start_baseline_runs: 21 => error[out_of_range] `campaign_start_baseline_runs` is `21`, allowed is 2 (even `profile: custom` allows only 1 to 20)
        baseline_replay_every_candidates: absent => error[missing_key] `baseline_replay_every_candidates` is missing: candidates after which another replay is due (add it; allowed is 5)
        baseline_replay_every_candidates: 4 => error[out_of_range] `baseline_replay_every_candidates` is `4`, allowed is 5 (`profile: custom` allows 1 to 1000)
        baseline_replay_every_candidates: 0 => error[out_of_range] `baseline_replay_every_candidates` is `0`, allowed is 5 (even `profile: custom` allows only 1 to 1000)
        baseline_replay_every_candidates: 1001 => error[out_of_range] `baseline_replay_every_candidates` is `1001`, allowed is 5 (even `profile: custom` allows only 1 to 1000)
        baseline_replay_every_minutes: absent => error[missing_key] `baseline_replay_every_minutes` is missing: minutes after which another replay is due (add it; allowed is 30)
        baseline_replay_every_minutes: 31 => error[out_of_range] `baseline_replay_every_minutes` is `31`, allowed is 30 (`profile: custom` allows 1 to 10080)
        baseline_replay_every_minutes: 0 => error[out_of_range] `baseline_replay_every_minutes` is `0`, allowed is 30 (even `profile: custom` allows only 1 to 10080)
        baseline_replay_every_minutes: 10081 => error[out_of_range] `baseline_replay_every_minutes` is `10081`, allowed is 30 (even `profile: custom` allows only 1 to 10080)
        score: absent => accepted
        score: fraction => accepted
        score: fractions => error[unknown_value] `score` has the value `fractions`, allowed is `all_or_nothing` or `fraction` (did you mean `fraction`?)
        decision: absent => accepted
        decision:  => error[wrong_type] `decision` must be a section of keys, found nothing (null) (indent its keys below it)
        decision: [] => error[wrong_type] `decision` must be a section of keys, found a sequence (indent its keys below it)
        decision: {} => accepted
        decision: point => error[wrong_type] `decision` must be a section of keys, found a string `point` (indent its keys below it)
        decision: {rule: point} => accepted
        decision: {rule: pont, point: {}} => error[unknown_value] `rule` has the value `pont`, allowed is `sequential` or `point` (did you mean `point`?)
        decision: {rule: point, alpha: 0.05} => warning[no_effect] `alpha` has no effect under `rule: point` (remove it, or choose the other rule)
        decision: {point: {stability: {max_range: 0.06, max_flaky: 1.5}}} => warning[no_effect] `point` has no effect under `rule: sequential` (remove it, or choose the other rule); error[out_of_range] `max_range` is `0.06`, allowed is 0 to 0.05 (`profile: custom` allows 0 to 1); error[out_of_range] `max_flaky` is `1.5`, allowed is 0 to 0.1 (even `profile: custom` allows only 0 to 1)
        decision: {point: {stability: {max_flakey: 0.1}}} => warning[no_effect] `point` has no effect under `rule: sequential` (remove it, or choose the other rule); error[unknown_key] unknown key `max_flakey` (did you mean `max_flaky`?)
        decision: {point: {cost_margin: 1.5}} => warning[no_effect] `point` has no effect under `rule: sequential` (remove it, or choose the other rule); error[out_of_range] `cost_margin` is `1.5`, allowed is 0 to 1 (`profile: custom` allows 0 to 100)
        decision: {point: {cost_margin: null}} => warning[no_effect] `point` has no effect under `rule: sequential` (remove it, or choose the other rule)"#]].assert_eq(&table("eval.yaml", &rows));
}

#[test]
fn the_switches_of_the_scope_have_one_legal_position() {
    let rows: [(&str, &[&str]); 5] = [
        ("candidate_snapshot_only", &["absent", "false", "1"]),
        ("allow_live_source_mutation", &["absent", "true", "'false'"]),
        ("allow_external_side_effects_in_eval", &["absent", "true"]),
        ("promotion_requires_operator_approval", &["absent", "false", ""]),
        (
            "forbidden_fields",
            &[
                "absent",
                "[]",
                "objective",
                "[timeout]",
                "[retry_policy_retries]",
                "[tools]",
                "[nodes.]",
                "[nodes.a, nodes.a.*]",
                "[1]",
            ],
        ),
    ];
    expect![[r#"
        candidate_snapshot_only: absent => error[missing_key] `candidate_snapshot_only` is missing: candidates are changes of a frozen snapshot (add it; allowed is true)
        candidate_snapshot_only: false => error[out_of_range] `candidate_snapshot_only` is false, allowed is true (candidates are always made from the frozen snapshot)
        candidate_snapshot_only: 1 => error[wrong_type] `candidate_snapshot_only` must be true or false, found an integer `1` (write true: candidates are always made from the frozen snapshot)
        allow_live_source_mutation: absent => error[missing_key] `allow_live_source_mutation` is missing: whether a campaign may edit the live workflow by itself (add it; allowed is false)
        allow_live_source_mutation: true => error[out_of_range] `allow_live_source_mutation` is true, allowed is false (only a person applies a change to the live workflow)
        allow_live_source_mutation: \'false\' => error[wrong_type] `allow_live_source_mutation` must be true or false, found a string `\'false\'` (write false: only a person applies a change to the live workflow)
        allow_external_side_effects_in_eval: absent => error[missing_key] `allow_external_side_effects_in_eval` is missing: whether evaluations may act on the outside (add it; allowed is false)
        allow_external_side_effects_in_eval: true => error[out_of_range] `allow_external_side_effects_in_eval` is true, allowed is false (evaluations run in a scratch copy, without effects outside it)
        promotion_requires_operator_approval: absent => error[missing_key] `promotion_requires_operator_approval` is missing: whether a person decides about every promotion (add it; allowed is true)
        promotion_requires_operator_approval: false => error[out_of_range] `promotion_requires_operator_approval` is false, allowed is true (no change is promoted without a person)
        promotion_requires_operator_approval:  => error[wrong_type] `promotion_requires_operator_approval` must be true or false, found nothing (null) (write true: no change is promoted without a person)
        forbidden_fields: absent => accepted
        forbidden_fields: [] => accepted
        forbidden_fields: objective => error[wrong_type] `forbidden_fields` must be a list, found a string `objective` (write one `- value` a line, or `[a, b]`)
        forbidden_fields: [timeout] => error[unknown_path] `forbidden_fields`: `timeout` is not a field that may change (write FIELD, nodes.NODE or nodes.NODE.FIELD, where FIELD is one of objective, output_contract.summary_guidance, timeout_ms, retry_policy.max_attempts, retry_policy.retries; nothing else of a workflow ever changes)
        forbidden_fields: [retry_policy_retries] => error[unknown_path] `forbidden_fields`: `retry_policy_retries` is not a field that may change (did you mean `retry_policy.retries`?)
        forbidden_fields: [tools] => error[unknown_path] `forbidden_fields`: `tools` is not a field that may change (write FIELD, nodes.NODE or nodes.NODE.FIELD, where FIELD is one of objective, output_contract.summary_guidance, timeout_ms, retry_policy.max_attempts, retry_policy.retries; nothing else of a workflow ever changes)
        forbidden_fields: [nodes.] => error[unknown_path] `forbidden_fields`: `nodes.` node id "" is refused: it must not be blank (write FIELD, nodes.NODE or nodes.NODE.FIELD, where FIELD is one of objective, output_contract.summary_guidance, timeout_ms, retry_policy.max_attempts, retry_policy.retries; nothing else of a workflow ever changes)
        forbidden_fields: [nodes.a, nodes.a.*] => error[duplicate_value] `forbidden_fields` names `nodes.a.*` twice (remove one of the two)
        forbidden_fields: [1] => error[wrong_type] `forbidden_fields` must be the path of a field, found an integer `1` (write FIELD, nodes.NODE or nodes.NODE.FIELD, where FIELD is one of objective, output_contract.summary_guidance, timeout_ms, retry_policy.max_attempts, retry_policy.retries; nothing else of a workflow ever changes)"#]].assert_eq(&table("scope.yaml", &rows));
}

#[test]
fn the_custom_profile_widens_to_the_hard_range_and_no_further() {
    let custom = |key: &str, value: &str| {
        let line = format!("profile: custom\n{key}: {value}");
        let file = if reference()[3].1.iter().any(|row| row.key == key) {
            "budget.yaml"
        } else {
            "mutation_policy.yaml"
        };
        match read_with(file, varied(file, key, &line).as_bytes()) {
            Ok(_) => "accepted".to_owned(),
            Err(faults) => join(faults),
        }
    };
    for (key, most, over) in [
        ("max_experiments", "10000", "10001"),
        ("max_runtime_minutes", "525600", "525601"),
        ("max_consecutive_failures", "100", "101"),
        ("max_text_delta_chars", "20000", "20001"),
        ("max_text_delta_ratio", "10", "10.000001"),
        ("text_delta_floor_chars", "2000", "2001"),
        ("timeout_delta_percent", "1.0", "1.000001"),
        ("timeout_delta_ms", "3600000", "3600001"),
        ("timeout_min_ms", "1000", "999"),
        ("timeout_max_ms", "86400000", "86400001"),
        ("retry_delta", "5", "6"),
        ("retry_max", "10", "11"),
    ] {
        assert_eq!(custom(key, most), "accepted", "{key}");
        assert!(custom(key, over).contains("error[out_of_range]"), "{key}");
        assert!(custom(key, over).contains("hard limit"), "{key}");
    }
    assert!(custom("max_nodes_changed_per_candidate", "2").contains("one change"));
}

#[test]
fn keys_are_checked_against_each_other() {
    let example = example("mutation_policy.yaml");
    let codes = |change: &[(&str, &str)]| {
        let text = change.iter().fold(example.to_owned(), |text, (key, value)| {
            assert!(text.contains(key));
            text.replace(key, value)
        });
        match read_with("mutation_policy.yaml", text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.into_iter().map(|fault| fault.code).collect(),
        }
    };
    let min = |value| ("retry_min: 0", value);
    let max = |value| ("retry_max: 3", value);
    assert_eq!(codes(&[min("retry_min: 2"), max("retry_max: 1")]), ["empty_range"]);
    assert_eq!(codes(&[min("retry_min: 2"), max("retry_max: 2")]), [""; 0]);
    let texts = "allowed_text_fields:\n  - objective\n  - output_contract_summary_guidance\n";
    let knobs = "allowed_knob_fields:\n  - timeout_ms\n  - retry_policy_max_attempts\n  - retry_policy_retries\n";
    assert_eq!(codes(&[(texts, "")]), [""; 0]);
    assert_eq!(codes(&[(texts, ""), (knobs, "")]), ["nothing_allowed"]);
    assert_eq!(codes(&[(texts, "allowed_text_fields: []\n"), (knobs, "")]), ["nothing_allowed"]);
}

#[test]
fn all_errors_of_all_files_are_reported_at_once_with_their_places() {
    let files = PolicyFiles {
        objective: PolicyFile { name: "p/objective.md", bytes: b" \n" },
        eval: PolicyFile { name: "p/eval.yaml", bytes: b"pack_ref: [\n" },
        mutation: PolicyFile { name: "p/mutation_policy.yaml", bytes: b"- a\n- b\n" },
        scope: PolicyFile {
            name: "p/scope.yaml",
            bytes: b"candidate_snapshot_only: false\nforbidden_fields:\n  - objective\n  - tool_policy\n",
        },
        budget: PolicyFile {
            name: "p/budget.yaml",
            bytes: b"max_experiments: 20\n  max\nmax_total_token: 1000\nmax_runtime_minutes: 9999\n",
        },
    };
    expect![[r#"
        p/objective.md: error[blank]: the objective is blank
        help: say in a few sentences what a better result is
        p/eval.yaml:1:11: error[yaml_syntax]: this is not valid YAML: unclosed bracket '['
        p/mutation_policy.yaml:1:1: error[wrong_type]: expected keys with values, found a sequence
        p/scope.yaml:1:1: error[missing_key]: `allow_live_source_mutation` is missing: whether a campaign may edit the live workflow by itself
        help: add it; allowed is false
        p/scope.yaml:1:1: error[missing_key]: `allow_external_side_effects_in_eval` is missing: whether evaluations may act on the outside
        help: add it; allowed is false
        p/scope.yaml:1:1: error[missing_key]: `promotion_requires_operator_approval` is missing: whether a person decides about every promotion
        help: add it; allowed is true
        p/scope.yaml:1:26: error[out_of_range]: `candidate_snapshot_only` is false, allowed is true
        help: candidates are always made from the frozen snapshot
        p/scope.yaml:4:5: error[unknown_path]: `forbidden_fields`: `tool_policy` is not a field that may change
        help: write FIELD, nodes.NODE or nodes.NODE.FIELD, where FIELD is one of objective, output_contract.summary_guidance, timeout_ms, retry_policy.max_attempts, retry_policy.retries; nothing else of a workflow ever changes
        p/budget.yaml:1:1: error[missing_key]: `max_consecutive_failures` is missing: evaluations in a row without a measurable result
        help: add it; allowed is 1 to 10
        p/budget.yaml:1:1: warning[no_limit]: `max_total_tokens` is absent, so there is no limit: tokens that the campaign may use
        help: set it, or write `max_total_tokens: null` to say that no limit is meant
        p/budget.yaml:1:1: warning[no_limit]: `max_total_cost_usd` is absent, so there is no limit: US dollars that the campaign may spend
        help: set it, or write `max_total_cost_usd: null` to say that no limit is meant
        p/budget.yaml:1:18: error[wrong_type]: `max_experiments` must be a whole number, found a string `20\n  max`
        help: what is below line 1 is indented deeper and became part of this value; give both the same indentation
        p/budget.yaml:3:1: error[unknown_key]: unknown key `max_total_token`
        help: did you mean `max_total_tokens`?
        p/budget.yaml:4:22: error[out_of_range]: `max_runtime_minutes` is `9999`, allowed is 1 to 1440
        help: `profile: custom` allows 1 to 525600"#]].assert_eq(&read(&files).unwrap_err().to_string());
}

#[test]
fn the_objective_is_trimmed_text_of_bounded_size() {
    let read = |bytes: &[u8]| match read_with("objective.md", bytes) {
        Ok(checked) => format!("{:?}", checked.value.0.as_str()),
        Err(faults) => faults.to_string(),
    };
    assert_eq!(read("\u{feff}\n Größer. \n\n".as_bytes()), "\"Größer.\"");
    assert!(read(b"\xef\xbb\xbf \t\n").contains("error[blank]"));
    assert!(read(b"a\nb\xff").starts_with("objective.md:2:2: error[not_utf8]"));
    assert!(!read(&vec![b'a'; OBJECTIVE_BYTES_MAX]).contains("error"));
    assert!(read(&vec![b'a'; OBJECTIVE_BYTES_MAX + 1]).contains("error[too_large]"));
}

#[test]
fn a_misspelt_profile_hides_no_other_error_and_adds_none() {
    let text = varied("budget.yaml", "max_experiments", "profile: costum\nmax_experiments: 5000");
    let faults = read_with("budget.yaml", text.as_bytes()).unwrap_err();
    assert_eq!(faults.0.len(), 1);
    assert_eq!(faults.0[0].code, "unknown_value");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let text = format!("\u{feff}{}", example("budget.yaml").replace('\n', "\r\n"));
    let read = read_with("budget.yaml", text.as_bytes()).unwrap();
    assert_eq!(read, read_with("", b"").unwrap());
}

proptest! {
    #[test]
    fn arbitrary_markup_is_refused_without_panic(
        text in "([a-z_]{0,12}|[-:#?&*!|>'\"%@`{}\\[\\],. 0-9<~\n\té\u{feff}]{0,6}|profile: custom\n){0,12}"
    ) {
        for file in ["eval.yaml", "mutation_policy.yaml", "scope.yaml", "budget.yaml"] {
            let faults = read_with(file, text.as_bytes()).unwrap_err();
            prop_assert!(faults.has_errors());
            prop_assert!(faults.0.iter().all(|fault| fault.place.file == file));
        }
    }

    #[test]
    fn any_value_of_any_key_is_answered_without_panic(
        key in 0..64_usize,
        value in "[-+:#&*!|>'\"{}\\[\\],.a-z0-9 \n]{0,24}|-?[0-9]{0,30}(\\.[0-9]{0,12})?(e[0-9]{1,4})?"
    ) {
        let keys: Vec<_> = reference()
            .into_iter()
            .flat_map(|(file, rows)| rows.into_iter().map(move |row| (file, row.key)))
            .collect();
        let (file, key) = &keys[key % keys.len()];
        let text = varied(file, key, &format!("{key}: {value}"));
        match read_with(file, text.as_bytes()) {
            Ok(checked) => prop_assert!(!checked.warnings.has_errors()),
            Err(faults) => prop_assert!(faults.has_errors()),
        }
    }

    #[test]
    fn shares_are_held_as_they_are_written(millionths in 1..=250_000_u32) {
        let text = varied(
            "mutation_policy.yaml",
            "max_text_delta_ratio",
            &format!("max_text_delta_ratio: 0.{millionths:06}"),
        );
        let read = read_with("mutation_policy.yaml", text.as_bytes()).unwrap();
        prop_assert_eq!(read.value.1.mutation.max_text_delta_ratio.0, millionths);
    }
}
