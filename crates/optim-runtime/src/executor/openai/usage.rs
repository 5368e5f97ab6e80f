//! The tokens of an answer, as far as its server can be believed.

use optim_core::outcome::Usage;
use optim_core::quantity::Tokens;
use serde_json::Value;

/// More tokens than any model takes or gives in one answer.
const TOKENS_MAX: u64 = 100_000_000;

/// The tokens that a server counts; `None` when it counts none, or what cannot be.
///
/// Some servers leave the tokens of reasoning out of the parts and not out of the total: what the
/// total has beyond the parts was received.
pub(super) fn counted(usage: Option<&Value>) -> Option<Usage> {
    let usage = usage?;
    let count = |key: &str| usage.get(key)?.as_u64().filter(|tokens| *tokens <= TOKENS_MAX);
    let (prompt, completion) = (count("prompt_tokens")?, count("completion_tokens")?);
    let parts = prompt.saturating_add(completion);
    let total = match usage.get("total_tokens") {
        None | Some(Value::Null) => parts,
        Some(_) => count("total_tokens").filter(|total| *total >= parts)?,
    };
    Some(tokens(prompt, total.saturating_sub(prompt)))
}

/// The most tokens that an exchange of so many bytes can have: none is shorter than a byte. It
/// stands in for a count that is missing, so that no answer is taken for a free one.
pub(super) fn at_most(request: &[u8], answer: &[u8]) -> Usage {
    let bytes = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Usage { estimated: true, ..tokens(bytes(request), bytes(answer)) }
}

fn tokens(prompt: u64, completion: u64) -> Usage {
    let (prompt_tokens, completion_tokens) = (Tokens(prompt), Tokens(completion));
    Usage { prompt_tokens, completion_tokens, ..Usage::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_is_believed_when_it_can_be() {
        let read = |usage: Value| {
            counted(Some(&usage)).map(|usage| (usage.prompt_tokens.0, usage.completion_tokens.0))
        };
        let whole = |prompt: Value, completion: Value, total: Value| {
            read(
                json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}),
            )
        };
        assert_eq!(whole(json!(10), json!(5), json!(15)), Some((10, 5)));
        assert_eq!(whole(json!(10), json!(5), json!(40)), Some((10, 30)), "reasoning");
        assert_eq!(read(json!({"prompt_tokens": 1, "completion_tokens": 2})), Some((1, 2)));
        for (prompt, completion, total) in [
            (json!(-1), json!(5), json!(4)),
            (json!(10), json!(5), json!(14)),
            (json!(1_000_000_000_001_u64), json!(5), Value::Null),
            (json!(10), json!(1e30), Value::Null),
            (json!("10"), json!(5), json!(15)),
            (json!(10), Value::Null, json!(15)),
            (json!(10), json!(5), json!("many")),
        ] {
            assert_eq!(
                whole(prompt.clone(), completion.clone(), total),
                None,
                "{prompt} {completion}"
            );
        }
        assert_eq!(counted(None), None);
        assert_eq!(read(json!(7)), None);
    }
}
