//! The engines behind the core's [`Matcher`] port: regular expressions and JSON Schema.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use optim_core::assertion::Matcher;
use optim_core::canonical;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// The memory that a compiled expression may take.
const REGEX_BYTES_MAX: usize = 1024 * 1024;
/// Compiled patterns and schemas that are kept.
const CACHED_MAX: usize = 256;

/// Regular expressions and JSON Schemas, compiled once each. Schemas are never fetched from anywhere.
#[derive(Debug, Default)]
pub struct Engines {
    patterns: Mutex<BTreeMap<String, Arc<Regex>>>,
    schemas: Mutex<BTreeMap<Vec<u8>, Arc<Validator>>>,
}

impl Matcher for Engines {
    fn regex(&self, pattern: &str, text: &str) -> Result<bool, String> {
        let compiled = cached(&self.patterns, pattern.to_owned(), || {
            let built = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
            built.map_err(|error| {
                format!("the regular expression {pattern:?} is not valid: {error}")
            })
        })?;
        Ok(compiled.is_match(text))
    }

    fn schema(&self, schema: &Value, value: &Value) -> Result<Vec<String>, String> {
        let compiled = cached(&self.schemas, canonical::bytes(schema), || {
            let built = jsonschema::options().offline().build(schema);
            built.map_err(|error| error.to_string())
        })?;
        let violation = |error: jsonschema::ValidationError<'_>| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "the output" } else { &place };
            let message: String = error.masked().to_string().chars().take(300).collect();
            format!("{place}: {message}")
        };
        Ok(compiled.iter_errors(value).map(violation).collect())
    }
}

fn cached<K: Ord, T>(
    cache: &Mutex<BTreeMap<K, Arc<T>>>,
    key: K,
    build: impl FnOnce() -> Result<T, String>,
) -> Result<Arc<T>, String> {
    if let Some(known) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(Arc::clone(known));
    }
    let built = Arc::new(build()?);
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= CACHED_MAX {
        cache.clear();
    }
    cache.insert(key, Arc::clone(&built));
    Ok(built)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn violations_name_their_place() {
        let engines = Engines::default();
        let schema =
            json!({"type": "object", "required": ["a"], "properties": {"a": {"enum": ["x", "y"]}}});
        assert_eq!(engines.schema(&schema, &json!({"a": "x"})), Ok(Vec::new()));
        let violations = engines.schema(&schema, &json!({"a": "z"})).unwrap();
        assert!(violations[0].starts_with("/a: "), "{violations:?}");
        assert!(engines.schema(&json!({"type": 5}), &json!(1)).is_err());
    }

    #[test]
    fn expressions_that_explode_are_refused() {
        let engines = Engines::default();
        assert_eq!(engines.regex("^a+$", "aaa"), Ok(true));
        assert!(engines.regex("(", "").unwrap_err().contains("not valid"));
        assert!(engines.regex("(?:a{1000}){1000}", "").is_err());
    }

    #[test]
    fn schemas_refer_to_themselves_and_to_nothing_else() {
        let engines = Engines::default();
        let own = json!({"$ref": "#/$defs/text", "$defs": {"text": {"type": "string"}}});
        assert_eq!(engines.schema(&own, &json!("a")), Ok(Vec::new()));
        assert_eq!(engines.schema(&own, &json!(1)).unwrap().len(), 1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open.json");
        std::fs::write(&path, "{}").unwrap();
        for outside in [
            format!("file://{}", path.display()),
            "http://127.0.0.1:9/open.json".to_owned(),
            "other.json".to_owned(),
        ] {
            let refused = engines.schema(&json!({"$ref": outside}), &json!(1));
            assert!(refused.is_err(), "{outside}: {refused:?}");
        }
    }

    #[test]
    fn patterns_that_backtrack_without_end_are_violations() {
        let schema = json!({"pattern": "^(a|a)*\\1$"});
        let violations =
            Engines::default().schema(&schema, &json!(format!("{}b", "a".repeat(30)))).unwrap();
        assert!(violations[0].contains("backtracking"), "{violations:?}");
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let engines = Engines::default();
        for index in 0..=CACHED_MAX {
            assert_eq!(engines.regex(&format!("^{index}$"), "7"), Ok(index == 7));
        }
        assert!(engines.patterns.lock().unwrap().len() <= CACHED_MAX);
    }
}
