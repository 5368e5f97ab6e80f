//! What the status of a reply means when it is no success.

use optim_core::node_io::{ErrorClass, NodeError};
use serde_json::Value;

use super::Reply;
use crate::executor::abridged;

/// What an error message shows of a reply.
const SHOWN_CHARS: usize = 300;
/// Codes of providers for a request that is too large for its model, or that a filter stops. That is
/// the work of the definition and its case.
const OF_THE_REQUEST: [&str; 4] = [
    "context_length_exceeded",
    "string_above_max_length",
    "content_filter",
    "content_policy_violation",
];
/// The code of providers for an account without credit. It comes with status 429, but time does not
/// cure it.
const NO_CREDIT: &str = "insufficient_quota";

/// The error of an attempt that `server` answered with `reply`, which is no success. `key` says where
/// its key comes from, and `address` where the settings say that it is.
pub(in crate::executor) fn refusal(
    reply: &Reply,
    server: &str,
    key: Option<&str>,
    address: &str,
) -> NodeError {
    let Said { code, message } = said(&reply.body);
    let status = reply.status;
    let (class, fix) = match status {
        300..=399 => (
            ErrorClass::Configuration,
            match &reply.location {
                Some(location) => {
                    format!("it redirects to {location}; write the final address in {address}")
                }
                None => format!("it redirects; write the final address in {address}"),
            },
        ),
        401 | 403 => (
            ErrorClass::Configuration,
            match key {
                Some(variable) => format!("the key in {variable} is refused, or may not do this"),
                None => "it wants a key; name its environment variable in the settings".to_owned(),
            },
        ),
        402 => (ErrorClass::Configuration, "the account has no credit".to_owned()),
        429 if code == NO_CREDIT => {
            (ErrorClass::Configuration, "the account has no credit".to_owned())
        }
        404 => (
            ErrorClass::Configuration,
            format!("there is no such model or address; correct the model, or {address}"),
        ),
        408 | 409 | 425 | 429 | 500..=599 => (ErrorClass::Provider, String::new()),
        _ if OF_THE_REQUEST.contains(&code.as_str()) => (ErrorClass::Blocked, String::new()),
        413 => (ErrorClass::Blocked, "the request is too large".to_owned()),
        _ => (ErrorClass::Configuration, "the request is not understood".to_owned()),
    };
    let mut parts = vec![format!("{server} answers {status}")];
    parts.extend([fix, message].into_iter().filter(|part| !part.is_empty()));
    let error = NodeError::new(class, parts.join(": "));
    NodeError { retry_after: reply.retry_after.filter(|_| class == ErrorClass::Provider), ..error }
}

/// What the body of an error says.
#[derive(Default)]
struct Said {
    code: String,
    message: String,
}

/// Most servers send `{"error": {"message", "code", "type"}}`, some text in its place, some no JSON.
fn said(body: &[u8]) -> Said {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = document.get("error").unwrap_or(&document);
    let text = |key: &str| error.get(key).and_then(Value::as_str);
    let message = text("message")
        .or(error.as_str())
        .map_or_else(|| String::from_utf8_lossy(body).trim().to_owned(), ToOwned::to_owned);
    Said {
        code: text("code").or(text("type")).unwrap_or_default().to_owned(),
        message: abridged(&message, SHOWN_CHARS),
    }
}

#[cfg(test)]
mod tests {
    use optim_core::quantity::Millis;

    use super::*;

    fn refused(status: u16, body: &str) -> NodeError {
        let reply = Reply {
            status,
            retry_after: Some(Millis(5)),
            location: Some("http://there/".to_owned()),
            body: body.as_bytes().to_vec(),
        };
        refusal(&reply, "acme", Some("ACME_KEY"), "base_url")
    }

    #[test]
    fn every_status_has_the_class_that_says_what_happens_next() {
        let code = |code: &str| format!(r#"{{"error": {{"message": "m", "code": "{code}"}}}}"#);
        for (status, body, class, says) in [
            (301, "", ErrorClass::Configuration, "redirects to http://there/"),
            (400, r#"{"error": {"message": "no seed"}}"#, ErrorClass::Configuration, "no seed"),
            (400, &code("context_length_exceeded"), ErrorClass::Blocked, "m"),
            (400, &code("content_filter"), ErrorClass::Blocked, "m"),
            (401, "", ErrorClass::Configuration, "the key in ACME_KEY is refused"),
            (402, "", ErrorClass::Configuration, "no credit"),
            (403, "", ErrorClass::Configuration, "ACME_KEY"),
            (404, r#"{"error": "model not found"}"#, ErrorClass::Configuration, "model not found"),
            (408, "", ErrorClass::Provider, "acme answers 408"),
            (413, "", ErrorClass::Blocked, "too large"),
            (422, r#"{"detail": "x"}"#, ErrorClass::Configuration, "not understood"),
            (429, "", ErrorClass::Provider, "429"),
            (429, &code("insufficient_quota"), ErrorClass::Configuration, "no credit"),
            (500, "<html>", ErrorClass::Provider, "<html>"),
            (503, &code("context_length_exceeded"), ErrorClass::Provider, "503"),
        ] {
            let error = refused(status, body);
            assert_eq!(error.class, class, "{status} {body}");
            assert!(error.message.contains(says), "{error}");
            let rests = class == ErrorClass::Provider;
            assert_eq!(error.retry_after.is_some(), rests, "{status} {body}");
        }
    }

    #[test]
    fn a_long_complaint_is_abridged() {
        let error = refused(500, &"x".repeat(100_000));
        assert!(error.message.len() < 400, "{}", error.message.len());
    }
}
