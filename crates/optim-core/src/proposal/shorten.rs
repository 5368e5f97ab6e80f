//! Finds sentences that a text can do without.

use std::collections::BTreeSet;
use std::ops::Range;

/// Words that carry no instruction. A sentence of such words alone is padding. Sorted.
const FILLER: &[&str] = &[
    "a",
    "advance",
    "always",
    "and",
    "appreciate",
    "appreciated",
    "are",
    "at",
    "attention",
    "be",
    "best",
    "can",
    "careful",
    "carefully",
    "diligently",
    "do",
    "effort",
    "every",
    "excellent",
    "expert",
    "for",
    "good",
    "hard",
    "have",
    "helpful",
    "highly",
    "in",
    "is",
    "it",
    "job",
    "kindly",
    "make",
    "of",
    "please",
    "possible",
    "reader",
    "skilled",
    "sure",
    "take",
    "thank",
    "thanks",
    "that",
    "the",
    "this",
    "time",
    "to",
    "try",
    "very",
    "well",
    "work",
    "you",
    "your",
];

/// The places of sentences that repeat an earlier one or say nothing, in text order.
///
/// Lines of a list are left alone: their items are data as often as they are sentences. So is the
/// only sentence of a text.
pub(super) fn redundant(text: &str) -> Vec<Range<usize>> {
    let sentences = sentences(text);
    let mut seen: BTreeSet<Vec<String>> = BTreeSet::new();
    let mut places = Vec::new();
    for place in &sentences {
        let words = words(text.get(place.clone()).unwrap_or_default());
        let says_nothing = words
            .iter()
            .all(|word| FILLER.binary_search(&word.as_str()).is_ok());
        if says_nothing || !seen.insert(words) {
            places.push(place.clone());
        }
    }
    if places.len() == sentences.len() {
        places.clear();
    }
    places
}

/// `text` without the sentence at `place` and one run of space beside it.
pub(super) fn without(text: &str, place: &Range<usize>) -> String {
    let before = text.get(..place.start).unwrap_or_default();
    let after = text.get(place.end..).unwrap_or_default();
    let joined = if after.trim_start_matches(' ').is_empty() || after.starts_with('\n') {
        [before.trim_end_matches(' '), after]
    } else {
        [before, after.trim_start_matches(' ')]
    };
    joined.concat().trim().to_owned()
}

/// The sentences outside lists, without the space around them.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        if !is_list_item(line) {
            let mut start = line_start;
            for sentence in line.split_inclusive(". ") {
                let trimmed = sentence.trim();
                let lead = sentence.len() - sentence.trim_start().len();
                if !trimmed.is_empty() {
                    places.push(start + lead..start + lead + trimmed.len());
                }
                start += sentence.len();
            }
        }
        line_start += line.len();
    }
    places
}

/// Whether a line is an item of a list: `- x`, `* x`, `1. x`.
pub(super) fn is_list_item(line: &str) -> bool {
    let line = line.trim_start();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() < line.len() {
        rest.starts_with(". ") || rest.starts_with(") ")
    } else {
        line.starts_with("- ")
            || line.starts_with("* ")
            || line.starts_with("+ ")
            || line.starts_with("• ")
    }
}

fn words(sentence: &str) -> Vec<String> {
    let words = sentence.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filler_is_sorted_for_the_binary_search() {
        assert!(FILLER.is_sorted());
    }

    #[test]
    fn padding_and_repetition_are_found_and_lists_are_left_alone() {
        let text = "Please do your best. Sort the mail. Name it.\nsort THE mail. Thank you.\n- a: thank you\n- a: thank you\nEnd.";
        let found: Vec<&str> = redundant(text)
            .into_iter()
            .map(|place| text.get(place).unwrap())
            .collect();
        assert_eq!(
            found,
            ["Please do your best.", "sort THE mail.", "Thank you."]
        );
        let shorter: Vec<String> = redundant(text)
            .iter()
            .map(|place| without(text, place))
            .collect();
        assert!(shorter[0].starts_with("Sort the mail. Name it.\nsort"));
        assert!(shorter[1].contains("Name it.\nThank you.\n- a"));
        assert!(shorter[2].contains("sort THE mail.\n- a"));
    }

    #[test]
    fn a_text_of_nothing_else_keeps_it() {
        assert!(redundant("Please try hard.").is_empty());
        assert!(redundant("").is_empty());
    }

    proptest! {
        #[test]
        fn only_the_sentence_and_space_go(text in "[a-c. \né-]{0,80}") {
            for place in redundant(&text) {
                let shorter = without(&text, &place);
                let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
                prop_assert_eq!(letters(&shorter) + letters(text.get(place).unwrap()), letters(&text));
            }
        }
    }
}
