//! Secrets that a program was given and says aloud.

/// Shorter values are no secrets, and would be found in any text.
const BYTES_MIN: usize = 8;
/// What the name of a variable has that holds a secret.
const SECRET_NAMES: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "AUTH"];

/// Whether the variable `name` holds a secret, by its name.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// `bytes` with the name of each variable in the place of its value.
pub(super) fn without<'v>(
    bytes: Vec<u8>,
    variables: impl Iterator<Item = &'v (String, String)>,
) -> Vec<u8> {
    variables.fold(bytes, |bytes, (name, value)| hide(bytes, value, &format!("[{name}]")))
}

/// `bytes` with `sign` in the place of `secret`, also where it is spelled in JSON.
pub(super) fn hide(bytes: Vec<u8>, secret: &str, sign: &str) -> Vec<u8> {
    if secret.len() < BYTES_MIN {
        return bytes;
    }
    let plain = replaced(&bytes, secret.as_bytes(), sign.as_bytes());
    replaced(&plain, in_json(secret).as_bytes(), sign.as_bytes())
}

/// `value` as it is spelled within a text of JSON.
fn in_json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(from) {
            Some(after) => {
                made.extend(to);
                rest = after;
            }
            None => {
                made.push(*first);
                rest = after;
            }
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_replaced_wherever_it_stands() {
        let variables = [
            ("API_KEY".to_owned(), "k\"ey-ä-12345".to_owned()),
            ("MODE".to_owned(), "fast".to_owned()),
        ];
        let hidden =
            |text: &str| String::from_utf8(without(text.into(), variables.iter())).unwrap();
        assert_eq!(hidden("k\"ey-ä-12345k\"ey-ä-12345!"), "[API_KEY][API_KEY]!");
        assert_eq!(hidden(r#"{"a": "k\"ey-ä-12345"}"#), r#"{"a": "[API_KEY]"}"#);
        assert_eq!(hidden("fast"), "fast", "too short to be one");
        assert!(is_secret("openai_api_key") && is_secret("GH_TOKEN") && !is_secret("LANG"));
    }
}
