//! Finds sentences that a text can do without.

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

/// The first sentence that repeats an earlier one or says nothing.
///
/// Lines of a list are left alone: their items are data as often as they are sentences. So is the
/// only sentence of a text.
pub(super) fn redundant(text: &str) -> Option<Range<usize>> {
    let places = sentences(text);
    let sentences: Vec<&str> = places.iter().filter_map(|place| text.get(place.clone())).collect();
    let found = sentences.iter().enumerate().position(|(number, sentence)| {
        let mut earlier = sentences.iter().take(number);
        words(sentence).all(is_filler)
            || earlier.any(|earlier| earlier.eq_ignore_ascii_case(sentence))
    })?;
    places.into_iter().nth(found).filter(|_| sentences.len() > 1)
}

fn is_filler(word: &str) -> bool {
    FILLER.binary_search(&word.to_lowercase().as_str()).is_ok()
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

fn words(sentence: &str) -> impl Iterator<Item = &str> {
    let words = sentence.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty())
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
        let list = "\n- a: thank you\n- a: thank you\nEnd.";
        let table = [
            ("Please do your best. Sort the mail.", "Sort the mail."),
            ("Sort the mail. Name it.\nsort THE mail. Go on.", "Sort the mail. Name it.\nGo on."),
            ("Sort the mail. Thank you.", "Sort the mail."),
        ];
        for (text, shorter) in table {
            let text = format!("{text}{list}");
            let place = redundant(&text).unwrap();
            assert_eq!(without(&text, &place), format!("{shorter}{list}"));
            assert_eq!(redundant(&format!("{shorter}{list}")), None);
        }
    }

    #[test]
    fn the_only_sentence_of_a_text_stays() {
        assert_eq!(redundant("Please try hard."), None);
        assert_eq!(redundant(""), None);
    }

    proptest! {
        #[test]
        fn only_the_sentence_and_space_go(text in "[a-c. \né-]{0,80}") {
            if let Some(place) = redundant(&text) {
                let shorter = without(&text, &place);
                let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
                prop_assert_eq!(letters(&shorter) + letters(text.get(place).unwrap()), letters(&text));
            }
        }
    }
}
