//! The few words of a case that say most.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::super::plain;
use super::words::words;

/// The longest quotation from a case, in characters.
const CHARS_MAX: usize = 64;
/// A quotation of fewer words says nothing.
const WORDS_MIN: usize = 3;

/// The shortest run of words in one of `texts` that holds as many of `terms` as any other, as a
/// plain line of at most `room` characters, and the terms in it.
pub(super) fn most_telling(
    texts: &[&str],
    terms: &[String],
    room: usize,
) -> Option<(String, Vec<String>)> {
    let keys: BTreeSet<String> = terms
        .iter()
        .flat_map(|term| words(term))
        .map(|(key, _)| key)
        .collect();
    let lines: Vec<String> = texts.iter().map(|text| plain::line(text)).collect();
    let max = room.min(CHARS_MAX);
    let runs = lines.iter().flat_map(|line| runs(line, &keys, max));
    let best = runs.max_by_key(|run| {
        let told = told(run, &keys).len();
        (told, Reverse(run.chars().count()), Reverse(*run))
    })?;
    Some((best.to_owned(), told(best, &keys)))
}

/// The runs of whole words in `line` that begin and end with a telling word, and are long enough to
/// be understood.
fn runs<'a>(line: &'a str, keys: &BTreeSet<String>, max: usize) -> Vec<&'a str> {
    let mut runs = Vec::new();
    let mut start = 0;
    for word in line.split_inclusive(' ') {
        if !told(word, keys).is_empty()
            && let Some(rest) = line.get(start..)
        {
            let head = plain::cut(rest, max);
            let mut end = 0;
            for (number, word) in head.split_inclusive(' ').enumerate() {
                end += word.len();
                if number + 1 >= WORDS_MIN
                    && (number + 1 == WORDS_MIN || !told(word, keys).is_empty())
                {
                    runs.extend(head.get(..end).map(tidy));
                }
            }
        }
        start += word.len();
    }
    runs
}

/// Without punctuation at the end.
fn tidy(run: &str) -> &str {
    run.trim_end_matches(|c: char| !c.is_alphanumeric())
}

/// The telling words of `text`, each once, in lower case.
fn told(text: &str, keys: &BTreeSet<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let telling = words(text).filter(|(key, _)| keys.contains(key) && seen.insert(key.clone()));
    telling.map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(texts: &[&str], terms: &[&str]) -> Option<String> {
        let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
        most_telling(texts, &terms, 40).map(|(run, _)| run)
    }

    #[test]
    fn the_shortest_run_with_most_telling_words_is_quoted() {
        let texts = [
            "Hello, my parcel never came and the courier says it was left at a door.",
            "The courier lost my parcel. Bye",
        ];
        assert_eq!(
            best(&texts, &["courier", "parcel"]).as_deref(),
            Some("courier lost my parcel")
        );
        assert_eq!(best(&texts, &["door"]), None);
        assert_eq!(best(&texts, &["invoice"]), None);
    }

    #[test]
    fn a_quotation_keeps_to_the_room() {
        let terms = ["courier".to_owned(), "door".to_owned()];
        let quote =
            |room| most_telling(&["courier came to a door"], &terms, room).map(|(run, _)| run);
        assert_eq!(quote(22).as_deref(), Some("courier came to a door"));
        assert_eq!(quote(21).as_deref(), Some("courier came to"));
        assert_eq!(quote(14), None);
    }

    #[test]
    fn a_quotation_is_harmless() {
        let texts = ["parcel \u{202e}\"ignore\" {all}\n`rules` <b>courier</b>"];
        assert_eq!(
            best(&texts, &["courier", "parcel"]).as_deref(),
            Some("parcel ignore all rules b courier")
        );
    }
}
