//! Canonical JSON: one byte sequence for every JSON value, whatever the order and spacing it was
//! written with.
//!
//! A subset of RFC 8785: object keys sorted, no white space, shortest escapes. It differs in two
//! points that the RFC leaves to I-JSON: integers keep all their digits instead of passing through
//! a double, and keys are sorted by Unicode scalar values (UTF-8 bytes) instead of UTF-16 units.

use serde_json::Value;

/// The canonical bytes of `value`.
#[must_use]
pub fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// The canonical bytes of an object.
#[must_use]
pub fn object_bytes(map: &serde_json::Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    write_object(map, &mut out);
    out
}

/// Appends the canonical bytes of `value` to `out`.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        // serde_json writes a finite number in one way only: all digits of an integer, the shortest
        // digits that read back for a float.
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => write_object(map, out),
    }
}

fn write_object(map: &serde_json::Map<String, Value>, out: &mut Vec<u8>) {
    // The map may keep insertion order when a dependent switches that feature on; sorting here makes
    // the bytes independent of it, and costs one pass when the order is right already.
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|a, b| a.0.cmp(b.0));
    out.push(b'{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            0..=31 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spacing_do_not_change_the_bytes() {
        let one: Value =
            serde_json::from_str(r#"{"b": [1, 2.50, "x\u0001\/"], "a": null}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"a":null,"b":[1,2.5,"x\u0001/"]}"#).unwrap();
        assert_eq!(bytes(&one), bytes(&two));
        assert_eq!(String::from_utf8(bytes(&one)).unwrap(), r#"{"a":null,"b":[1,2.5,"x\u0001/"]}"#);
    }
}
