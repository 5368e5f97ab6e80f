//! The core schema of YAML 1.2: what an unquoted scalar means.

use super::Kind;

/// The value of an unquoted scalar that is not a string.
pub(super) fn resolve(text: &str) -> Option<Kind> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Kind::Null),
        "true" | "True" | "TRUE" => return Some(Kind::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Kind::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Some(Kind::NonFinite),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Kind::NonFinite);
    }
    integer(text).or_else(|| float(text))
}

/// An integer in `i64::MIN..=u64::MAX`.
fn integer(text: &str) -> Option<Kind> {
    let based = |digits: &str, base| {
        // `from_str_radix` would take a sign.
        digits.starts_with(|c: char| c.is_digit(base)).then(|| i128::from_str_radix(digits, base))
    };
    let value = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => based(digits, 16)?,
        (_, Some(digits)) => based(digits, 8)?,
        _ => text.parse(),
    };
    let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
    value.ok().filter(|value| range.contains(value)).map(Kind::Int)
}

/// A number with a fraction or an exponent, or an integer outside the range of [`integer`].
fn float(text: &str) -> Option<Kind> {
    // With these characters alone, Rust's grammar of a float is that of YAML.
    let numeric = |c: u8| c.is_ascii_digit() || b"+-.eE".contains(&c);
    let value: f64 = text.bytes().all(numeric).then(|| text.parse().ok())??;
    Some(if value.is_finite() { Kind::Float(value) } else { Kind::NonFinite })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::document::{Limits, parse};

    fn read(text: &str) -> Value {
        parse("s", text.as_bytes(), &Limits::policy()).unwrap().root.to_value().unwrap()
    }

    #[test]
    fn unquoted_scalars_follow_the_core_schema() {
        for (text, expected) in [
            ("~", json!(null)),
            ("null", json!(null)),
            ("nUll", json!("nUll")),
            ("True", json!(true)),
            ("FALSE", json!(false)),
            ("yes", json!("yes")),
            ("off", json!("off")),
            ("012", json!(12)),
            ("+3", json!(3)),
            ("-0x10", json!("-0x10")),
            ("0x1F", json!(31)),
            ("0x+1", json!("0x+1")),
            ("0o17", json!(15)),
            ("0o8", json!("0o8")),
            ("1_000", json!("1_000")),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("-1.5e+3", json!(-1500.0)),
            ("1e", json!("1e")),
            (".", json!(".")),
            ("+-1", json!("+-1")),
            ("infinity", json!("infinity")),
            ("nan", json!("nan")),
            ("-inf", json!("-inf")),
            ("1.2.3", json!("1.2.3")),
            ("90s", json!("90s")),
            ("2026-11-23", json!("2026-11-23")),
            ("'12'", json!("12")),
            ("\"null\"", json!("null")),
            ("|\n    12\n", json!("12\n")),
        ] {
            // `-` alone would be an item.
            let text = if text == "-" { "[-1, \"-\"]" } else { text };
            let expected = if text.starts_with('[') { json!([-1, "-"]) } else { expected };
            assert_eq!(read(&format!("k: {text}")), json!({ "k": expected }), "{text}");
        }
    }
}
