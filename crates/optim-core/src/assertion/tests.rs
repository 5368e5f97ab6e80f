//! Every assertion: holding, not holding, negated, without an output, and written wrongly.

use serde_json::{Value, json};

use super::*;
use crate::outcome::{Outcome, Usage};
use crate::quantity::{MicroUsd, Millis};

/// Knows the expression `^\d+$`, and schemas that only require keys.
struct Fake;

impl Matcher for Fake {
    fn regex(&self, pattern: &str, text: &str) -> Result<bool, String> {
        match pattern {
            "(" => Err("the expression does not close".to_owned()),
            _ => Ok(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit())),
        }
    }

    fn schema(&self, schema: &Value, value: &Value) -> Result<Vec<String>, String> {
        let required = schema["required"].as_array().ok_or("no schema")?;
        let missing = required.iter().filter(|key| value.get(key.as_str().unwrap()).is_none());
        Ok(missing.map(|key| format!("{key} is missing")).collect())
    }
}

fn expectation(wire: &Value) -> Expectation {
    serde_json::from_value(wire.clone()).unwrap()
}

fn outcome(wire: &Value, output: Option<&Value>) -> (bool, Option<String>) {
    let usage = Usage { latency: Millis(70), cost: MicroUsd(5), ..Usage::default() };
    let (outcome, unmet) = evaluate(&expectation(wire), output, &usage, &Fake);
    assert_eq!(outcome == Outcome::Failed, unmet.is_some(), "one sentence for what is not met");
    (outcome.passes(), unmet)
}

#[test]
fn every_assertion_holds_or_not_and_its_negation_is_the_opposite() {
    let long = "x".repeat(100_000);
    let table = [
        (json!({"type": "equals", "value": "a"}), json!("a"), json!("A")),
        (json!({"type": "equals", "value": 1}), json!(1.0), json!("1")),
        (
            json!({"type": "equals", "value": {"a": [1, null]}}),
            json!({"a": [1.0, null]}),
            json!({"a": [1]}),
        ),
        (json!({"type": "contains", "value": "oo"}), json!("foo"), json!("fOO")),
        (json!({"type": "contains", "value": "\"a\":1"}), json!({"a": 1}), json!({"a": 2})),
        (json!({"type": "icontains", "value": "ÖO"}), json!("föo"), json!("foo")),
        (json!({"type": "contains-any", "value": ["x", "o"]}), json!("foo"), json!("bar")),
        (
            json!({"type": "contains-all", "value": ["f", "o"]}),
            json!("foo"),
            json!("for sure not".replace('f', "")),
        ),
        (json!({"type": "starts-with", "value": "fo"}), json!("foo"), json!("of")),
        (json!({"type": "regex", "value": "^\\d+$"}), json!("12"), json!("1a")),
        (json!({"type": "is-json"}), json!("[1]"), json!("[1")),
        (
            json!({"type": "is-json", "schema": {"required": ["a"]}}),
            json!({"a": 0}),
            json!({"b": 0}),
        ),
        (json!({"type": "contains-json"}), json!("so: {\"a\": [1]} ok"), json!("so: {a} [")),
        (
            json!({"type": "contains-json", "schema": {"required": ["b"]}}),
            json!("{\"a\": 1} and {\"b\": 2}"),
            json!("{\"a\": {\"b\": 2}}"),
        ),
        (json!({"type": "length", "min": 2, "max": 3}), json!("äö"), json!("ä")),
        (json!({"type": "length", "max": 1}), json!(["one"]), json!(["one", "two"])),
        (
            json!({"type": "levenshtein", "value": "kitten", "max": 3}),
            json!("sitting"),
            json!("unrelated"),
        ),
        (json!({"type": "levenshtein", "value": "x", "max": 5}), json!("xxx"), json!(long)),
        (
            json!({"type": "number", "value": 0.3, "tolerance": 0.1}),
            json!(0.4),
            json!(0.400_000_001),
        ),
        (json!({"type": "number", "value": 10, "tolerance": 0}), json!(" 10.0 "), json!("ten")),
        (json!({"type": "number", "value": -2.5, "tolerance": 0.5}), json!(-3), json!(3)),
        // Both are written with an exponent: 2e-7 and 1e300.
        (
            json!({"type": "number", "value": 0, "tolerance": 0.000_001}),
            json!(0.000_000_2),
            json!(1e300),
        ),
        // A sum of floats is 0.7999999999999999.
        (json!({"type": "number", "value": 0.8, "tolerance": 0}), json!(0.1 + 0.7), json!(0.799)),
        // Equality is of the whole number, not of its first decimals.
        (
            json!({"type": "equals", "value": 0.123_456_789_01}),
            json!(0.123_456_789_01),
            json!(0.123_456_789_02),
        ),
        (
            json!({"type": "equals", "value": u64::MAX}),
            json!(u64::MAX),
            json!(18_446_744_073_709_551_616.0),
        ),
    ];
    for (wire, yes, no) in table {
        assert_eq!(outcome(&wire, Some(&yes)), (true, None), "{wire} on {yes}");
        let (holds, sentence) = outcome(&wire, Some(&no));
        assert!(!holds, "{wire}");
        assert!(sentence.unwrap().starts_with("wanted "), "{wire}");
        let mut negated = wire.clone();
        negated["type"] = format!("not-{}", wire["type"].as_str().unwrap()).into();
        assert!(!outcome(&negated, Some(&yes)).0, "{negated}");
        assert!(outcome(&negated, Some(&no)).0, "{negated}");
        for wire in [wire, negated] {
            assert!(!outcome(&wire, None).0, "without an output nothing is met: {wire}");
        }
    }
}

#[test]
fn latency_and_cost_are_those_of_the_node() {
    for (wire, holds) in [
        (json!({"type": "latency", "max_ms": 70}), true),
        (json!({"type": "latency", "max_ms": 69}), false),
        (json!({"type": "cost", "max_micro_usd": 5}), true),
        (json!({"type": "cost", "max_micro_usd": 4}), false),
    ] {
        assert_eq!(outcome(&wire, Some(&json!("x"))).0, holds, "{wire}");
    }
}

#[test]
fn a_pointer_leads_into_the_output() {
    let wire = json!({"type": "equals", "value": "b", "at": "/a/0"});
    assert!(outcome(&wire, Some(&json!({"a": ["b"]}))).0);
    let (holds, sentence) = outcome(&wire, Some(&json!({"a": []})));
    assert_eq!((holds, sentence.as_deref()), (false, Some("there is no /a/0 to check")));
}

#[test]
fn the_entries_of_a_mapping_are_its_length() {
    let wire = json!({"type": "length", "min": 2, "max": 2});
    assert!(outcome(&wire, Some(&json!({"first": 1, "second": 2}))).0);
    assert!(!outcome(&wire, Some(&json!({"only": 1}))).0);
}

#[test]
fn a_negated_assertion_says_what_was_not_wanted() {
    let wire = json!({"type": "not-contains", "value": "as an AI"});
    let (_, sentence) = outcome(&wire, Some(&json!("as an AI, no")));
    assert_eq!(
        sentence.unwrap(),
        "wanted not text that contains \"as an AI\", found \"as an AI, no\""
    );
}

#[test]
fn texts_of_any_size_are_decided_in_bounded_work() {
    let equal = "x".repeat(10_001);
    let within = |text: &str| {
        let wire = json!({"type": "levenshtein", "value": text, "max": 0});
        outcome(&wire, Some(&json!(text))).0
    };
    assert!(!within(&equal), "over the limit nothing is near");
    assert!(within(equal.get(..500).unwrap()));
    let deep = format!("{}{}", "[".repeat(4_000), "]".repeat(4_000));
    assert!(!outcome(&json!({"type": "is-json"}), Some(&json!(deep))).0);
}

#[test]
fn brackets_that_lead_nowhere_are_followed_only_so_far() {
    let holds = |text: String| outcome(&json!({"type": "contains-json"}), Some(&json!(text))).0;
    let before = |brackets: usize| holds(format!("{}{{\"a\": 1}}", "[ ".repeat(brackets)));
    assert!(before(300), "a few hundred are no obstacle");
    assert!(!before(30_000), "the search gives up");
    let prose = "See [the guide](https://a.example) and {this}.\n".repeat(2_000);
    assert!(holds(format!("{prose}{{\"a\": 1}}")));
}

#[test]
fn sentences_stay_short_whatever_the_output() {
    let (_, sentence) =
        outcome(&json!({"type": "equals", "value": "a"}), Some(&json!("é".repeat(5000))));
    assert!(sentence.unwrap().chars().count() < 300);
}

#[test]
fn what_is_written_comes_back_as_it_was() {
    for wire in [
        json!({"node": "n", "at": "/a", "type": "equals", "value": {"b": [1, "c"]}}),
        json!({"type": "not-contains", "value": "a"}),
        json!({"type": "icontains", "value": "a"}),
        json!({"type": "contains-any", "value": ["a"]}),
        json!({"type": "not-contains-all", "value": ["a", "b"]}),
        json!({"type": "starts-with", "value": ""}),
        json!({"type": "regex", "value": "a+"}),
        json!({"type": "is-json"}),
        json!({"type": "contains-json", "schema": {"required": ["a"]}}),
        json!({"type": "length", "min": 1}),
        json!({"type": "not-length", "max": 4}),
        json!({"type": "length", "min": 2, "max": 2}),
        json!({"type": "not-is-json", "schema": {"required": []}}),
        json!({"type": "levenshtein", "value": "a", "max": 2}),
        json!({"type": "number", "value": -0.5, "tolerance": 0.125}),
        json!({"type": "latency", "max_ms": 5}),
        json!({"type": "cost", "max_micro_usd": 5}),
    ] {
        assert_eq!(serde_json::to_value(expectation(&wire)).unwrap(), wire);
    }
}

#[test]
fn what_is_written_wrongly_is_refused_with_what_was_meant() {
    for (wire, says) in [
        (json!({"value": "a"}), "needs a `type`"),
        (json!({"type": "equal", "value": "a"}), "did you mean"),
        (json!({"type": "equals"}), "`equals` needs `value`"),
        (
            json!({"type": "equals", "value": 1, "vale": 2}),
            "`equals` knows no key `vale` (did you mean `value`?)",
        ),
        (json!({"type": "is-json", "colour": "red"}), "`is-json` knows no key `colour`"),
        (
            json!({"type": "latency", "max": 5}),
            "`latency` needs `max_ms`: a whole number of at least 0, found nothing",
        ),
        (json!({"type": "contains", "value": 5}), "text, found 5"),
        (json!({"type": "contains-any", "value": []}), "a list of texts"),
        (json!({"type": "contains-any", "value": ["a", 1]}), "a list of texts"),
        (json!({"type": "length"}), "`min` or `max`"),
        (json!({"type": "length", "min": 3, "max": 2}), "min 3 is above max 2"),
        (json!({"type": "length", "min": -1}), "at least 0"),
        (
            json!({"type": "number", "value": 1e300, "tolerance": 0}),
            "a number of at most 20 digits",
        ),
        (json!({"type": "number", "value": "1", "tolerance": 0}), "a number of at most 20 digits"),
        (json!({"type": "number", "value": 1, "tolerance": -0.5}), "tolerance -0.5 is below 0"),
        (json!({"type": "is-json", "at": "label"}), "a JSON pointer"),
        (json!({"type": "is-json", "node": ""}), "must not be blank"),
        (json!({"type": "not-not-equals", "value": 1}), "there is no assertion"),
    ] {
        let error = serde_json::from_value::<Expectation>(wire.clone()).unwrap_err().to_string();
        assert!(error.contains(says), "{wire}: {error}");
    }
}

#[test]
fn bad_patterns_and_schemas_are_found_before_anything_runs() {
    let check = |wire: Value| expectation(&wire).check(&Fake);
    assert!(check(json!({"type": "regex", "value": "("})).is_err());
    assert!(check(json!({"type": "is-json", "schema": 5})).is_err());
    assert_eq!(check(json!({"type": "is-json", "schema": {"required": []}})), Ok(()));
    assert_eq!(check(json!({"type": "equals", "value": "("})), Ok(()));
}

#[test]
fn decimals_are_rounded_to_nine_places_and_exact_from_there() {
    let parse = |text| Decimal::parse(text).map(|decimal| decimal.to_string());
    for (written, read) in [
        ("-0.50", "-0.5"),
        ("007", "7"),
        ("-0", "0"),
        ("0e999", "0"),
        ("1e3", "1000"),
        ("12.5E-1", "1.25"),
        ("1e-9", "0.000000001"),
        ("4.9e-10", "0"),
        ("5e-10", "0.000000001"),
        ("-5e-10", "-0.000000001"),
        ("0.9999999995", "1"),
        ("1e-400", "0"),
    ] {
        assert_eq!(parse(written).as_deref(), Some(read), "{written}");
    }
    for bad in [
        "",
        "1.",
        ".5",
        "e5",
        "1e",
        "1e5.0",
        "1e21",
        "0x1",
        "١",
        "--1",
        "1e99999999999",
        "NaN",
        &"9".repeat(21),
    ] {
        assert_eq!(parse(bad), None, "{bad}");
    }
    let tenths = |text| Decimal::parse(text).unwrap();
    assert_eq!(tenths("0.3").distance(tenths("0.1")), tenths("0.2"));
}

proptest::proptest! {
    #[test]
    fn a_decimal_reads_back_as_itself_and_lies_next_to_what_was_written(number in -1e15..1e15f64) {
        let decimal = Decimal::parse(&number.to_string()).unwrap();
        let written = decimal.to_string();
        proptest::prop_assert_eq!(Decimal::parse(&written), Some(decimal));
        let apart = (written.parse::<f64>().unwrap() - number).abs();
        proptest::prop_assert!(apart <= 5e-10 + number.abs() * f64::EPSILON, "{} {}", number, written);
        proptest::prop_assert_eq!(Decimal::parse(&format!("{number:e}")), Some(decimal));
    }
}

#[test]
fn every_assertion_of_the_manual_can_be_read() {
    let manual = include_str!("../../../../docs/packs.md");
    let examples =
        manual.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let kinds: std::collections::BTreeSet<String> = examples
        .lines()
        .map(|line| {
            let wire: Value = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_value(expectation(&wire)).unwrap(), wire);
            wire["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.len(), 15, "the fourteen types and a negated one: {kinds:?}");
}
