//! Answers from the input's own words.

use super::rank::{best, scores};
use super::tokens::{sentences, stems};

/// The sentence of `text` that fits `wanted` best; the first one when none does, nothing when the text
/// is empty.
pub(super) fn sentence(text: &str, wanted: &str) -> String {
    let candidates = sentences(text);
    let words: Vec<_> = candidates.iter().map(|sentence| stems(sentence)).collect();
    let chosen = best(&scores(&words, &stems(wanted))).unwrap_or(0);
    candidates.get(chosen).map(|sentence| (*sentence).to_owned()).unwrap_or_default()
}

/// The first number in `text`, as written.
pub(super) fn number(text: &str) -> Option<serde_json::Number> {
    let starts = text.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(index, _)| index);
    starts.take(1).find_map(|start| {
        let digits: String =
            text.get(start..)?.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        serde_json::from_str(digits.trim_end_matches('.')).ok()
    })
}
