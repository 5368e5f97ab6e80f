//! What a chat completion says.

use optim_core::node_io::{ErrorClass, NodeError};
use serde::Deserialize;
use serde_json::Value;

use super::prompt::Wanted;
use crate::executor::abridged;

/// What an error message shows of an answer.
const QUOTED_CHARS: usize = 150;

/// The body of a reply, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Completion {
    choices: Vec<Choice>,
    pub(super) usage: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
}

impl Completion {
    /// Reads the body of a success. One that is no completion is the server's fault.
    pub(super) fn read(body: &[u8], server: &str) -> Result<Self, NodeError> {
        serde_json::from_slice(body).map_err(|error| {
            let begin = abridged(&String::from_utf8_lossy(body), QUOTED_CHARS);
            let error = abridged(&error.to_string(), QUOTED_CHARS);
            NodeError::new(
                ErrorClass::Provider,
                format!("{server} sends no chat completion: {error}; it sends {begin:?}"),
            )
        })
    }

    /// The output, as `wanted`.
    pub(super) fn output(self, wanted: &Wanted<'_>, server: &str) -> Result<Value, NodeError> {
        let error = |class, message: String| Err(NodeError::new(class, message));
        let Some(Choice { message, finish_reason }) = self.choices.into_iter().next() else {
            return error(
                ErrorClass::Provider,
                format!("{server} sends a completion of no choices"),
            );
        };
        if let Some(refusal) = message.refusal.filter(|text| !text.is_empty()) {
            let refusal = abridged(&refusal, QUOTED_CHARS);
            return error(ErrorClass::Blocked, format!("the model refuses: {refusal}"));
        }
        let content = message.content.unwrap_or_default();
        match finish_reason.as_deref() {
            Some("length") => error(
                ErrorClass::InvalidOutput,
                format!(
                    "the answer was cut off at its limit of tokens: {:?}",
                    abridged(&content, QUOTED_CHARS)
                ),
            ),
            Some("content_filter") => error(
                ErrorClass::Blocked,
                "the provider's content filter stopped the answer".to_owned(),
            ),
            _ if message.tool_calls.is_some_and(|calls| !calls.is_empty()) => error(
                ErrorClass::InvalidOutput,
                "the model calls a tool, but it was given none".to_owned(),
            ),
            _ if content.trim().is_empty() => {
                error(ErrorClass::InvalidOutput, "the answer is empty".to_owned())
            }
            _ => as_wanted(content, wanted),
        }
    }
}

fn as_wanted(content: String, wanted: &Wanted<'_>) -> Result<Value, NodeError> {
    match wanted {
        Wanted::Text => Ok(Value::String(content)),
        Wanted::Json | Wanted::Schema(_) => {
            serde_json::from_str(unfenced(&content)).map_err(|error| {
                let begin = abridged(&content, QUOTED_CHARS);
                let message = format!("the answer is no JSON: {error}; it is {begin:?}");
                NodeError::new(ErrorClass::InvalidOutput, message)
            })
        }
    }
}

/// Models like to put JSON into a fenced block of Markdown.
fn unfenced(content: &str) -> &str {
    let text = content.trim();
    let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inner.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner))
}

/// Reads `body` as what any request may want, with its usage.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn read_in_every_way(body: &[u8]) {
    let schema = serde_json::json!({"type": "object", "required": ["ok"]});
    for wanted in [Wanted::Text, Wanted::Json, Wanted::Schema(&schema)] {
        let Ok(completion) = Completion::read(body, "server") else { return };
        let usage = super::usage::counted(completion.usage.as_ref());
        drop((usage, completion.output(&wanted, "server")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn output(message: Value, finish: &str, wanted: &Wanted<'_>) -> Result<Value, NodeError> {
        let body = json!({"choices": [{"message": message, "finish_reason": finish}]}).to_string();
        Completion::read(body.as_bytes(), "acme")?.output(wanted, "acme")
    }

    #[test]
    fn an_answer_is_read_as_the_contract_wants_it() {
        let answer = |content: &str, wanted| output(json!({"content": content}), "stop", &wanted);
        assert_eq!(answer("{\"a\": 1}", Wanted::Text), Ok(json!("{\"a\": 1}")));
        for content in
            ["{\"a\": 1}", " {\"a\": 1}\n", "```json\n{\"a\": 1}\n```", "```\n{\"a\":1}```"]
        {
            assert_eq!(answer(content, Wanted::Json), Ok(json!({"a": 1})), "{content}");
        }
        let error = answer("The queue is billing.", Wanted::Json).unwrap_err();
        assert_eq!(error.class, ErrorClass::InvalidOutput);
        assert!(error.message.contains("The queue is billing."), "{error}");
    }

    #[test]
    fn an_answer_that_is_none_says_why() {
        for (message, finish, class) in [
            (json!({"content": "{\"a\":"}), "length", ErrorClass::InvalidOutput),
            (json!({"content": null}), "content_filter", ErrorClass::Blocked),
            (json!({"content": null, "refusal": "I will not."}), "stop", ErrorClass::Blocked),
            (json!({"tool_calls": [{"id": "1"}]}), "tool_calls", ErrorClass::InvalidOutput),
            (json!({"content": " "}), "stop", ErrorClass::InvalidOutput),
            (json!({}), "stop", ErrorClass::InvalidOutput),
        ] {
            let error = output(message.clone(), finish, &Wanted::Text).unwrap_err();
            assert_eq!(error.class, class, "{message}");
        }
        let fine = json!({"content": "x", "refusal": null, "tool_calls": []});
        assert_eq!(output(fine, "stop", &Wanted::Text), Ok(json!("x")));
    }

    #[test]
    fn a_body_that_is_no_completion_is_the_servers_fault() {
        for body in [
            "",
            "<html>Bad gateway</html>",
            "{\"choices\": [",
            "{}",
            "[]",
            "null",
            "{\"error\": {\"message\": \"oops\"}}",
            "{\"choices\": {}}",
            "{\"choices\": []}",
            "{\"choices\": [{}]}",
            "{\"choices\": [{\"message\": {\"content\": 7}}]}",
        ] {
            let read = Completion::read(body.as_bytes(), "acme");
            let error = read.and_then(|read| read.output(&Wanted::Text, "acme")).unwrap_err();
            assert_eq!(error.class, ErrorClass::Provider, "{body}");
            assert!(error.message.starts_with("acme"), "{error}");
        }
    }
}
