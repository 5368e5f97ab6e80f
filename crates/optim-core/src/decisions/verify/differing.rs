//! In which fields two records differ.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// The path below `what` of each field that differs, with both values as JSON.
pub(super) fn differing(
    what: &str,
    recorded: &impl Serialize,
    recomputed: &impl Serialize,
) -> Vec<(String, String, String)> {
    let [recorded, recomputed] = [serde_json::to_value(recorded), serde_json::to_value(recomputed)]
        .map(Result::unwrap_or_default);
    let mut found = Vec::new();
    compare(what, &recorded, &recomputed, &mut found);
    found
}

fn compare(
    path: &str,
    recorded: &Value,
    recomputed: &Value,
    found: &mut Vec<(String, String, String)>,
) {
    match (recorded, recomputed) {
        _ if recorded == recomputed => {}
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let [one, other] =
                    [one, other].map(|fields| fields.get(key).unwrap_or(&Value::Null));
                compare(&format!("{path}.{key}"), one, other, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (place, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}[{place}]"), one, other, found);
            }
        }
        _ => found.push((path.to_owned(), recorded.to_string(), recomputed.to_string())),
    }
}
