//! Words of a text, as keys that inflections share.

/// Words that occur everywhere and tell nothing apart. Sorted.
const STOP_WORDS: &[&str] = &[
    "about",
    "above",
    "after",
    "again",
    "all",
    "already",
    "also",
    "am",
    "an",
    "and",
    "another",
    "any",
    "anyone",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "below",
    "but",
    "by",
    "can",
    "cannot",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "done",
    "down",
    "each",
    "either",
    "else",
    "even",
    "ever",
    "every",
    "few",
    "for",
    "from",
    "get",
    "gets",
    "getting",
    "give",
    "go",
    "goes",
    "going",
    "got",
    "had",
    "has",
    "have",
    "having",
    "he",
    "hello",
    "her",
    "here",
    "hers",
    "hey",
    "hi",
    "him",
    "his",
    "how",
    "however",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "itself",
    "just",
    "know",
    "let",
    "like",
    "made",
    "make",
    "many",
    "may",
    "me",
    "might",
    "more",
    "most",
    "much",
    "must",
    "my",
    "need",
    "needs",
    "never",
    "no",
    "nor",
    "not",
    "now",
    "of",
    "off",
    "on",
    "once",
    "one",
    "only",
    "onto",
    "or",
    "other",
    "our",
    "ours",
    "out",
    "over",
    "own",
    "per",
    "please",
    "put",
    "really",
    "same",
    "see",
    "she",
    "should",
    "since",
    "so",
    "some",
    "something",
    "soon",
    "still",
    "such",
    "take",
    "tell",
    "than",
    "thank",
    "thanks",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "thing",
    "this",
    "those",
    "though",
    "through",
    "to",
    "today",
    "too",
    "two",
    "under",
    "until",
    "up",
    "upon",
    "us",
    "use",
    "used",
    "very",
    "want",
    "wants",
    "was",
    "way",
    "we",
    "well",
    "were",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "while",
    "who",
    "whom",
    "why",
    "will",
    "with",
    "within",
    "without",
    "would",
    "yes",
    "yet",
    "you",
    "your",
    "yours",
];

/// The shortest and the longest word that can stand for something, in characters.
const WORD_CHARS: std::ops::RangeInclusive<usize> = 3..=24;

/// The telling words of `text` in its order: each with the key that its inflections share, and in
/// lower case as written. Words with digits are left out; they name one thing, not a kind.
pub(super) fn words(text: &str) -> impl Iterator<Item = (String, String)> + use<'_> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '’')))
        .filter(|word| !word.contains(['\'', '’']) && WORD_CHARS.contains(&word.chars().count()))
        .filter(|word| word.chars().all(char::is_alphabetic))
        .map(str::to_lowercase)
        .filter(|word| STOP_WORDS.binary_search(&word.as_str()).is_err())
        .map(|word| (key(&word).to_owned(), word))
}

/// What the inflections of an English word have in common, roughly. Other words stay whole.
fn key(word: &str) -> &str {
    let is_stem = |rest: &&str| rest.len() >= 4 && rest.is_ascii();
    let singular = word
        .strip_suffix('s')
        .filter(|rest| is_stem(rest) && !rest.ends_with(['s', 'u', 'i']))
        .unwrap_or(word);
    ["ing", "ed", "e"]
        .iter()
        .find_map(|ending| singular.strip_suffix(ending).filter(is_stem))
        .unwrap_or(singular)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_are_sorted_for_the_binary_search() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn words_that_name_kinds_are_found_and_inflections_share_a_key() {
        let found: Vec<_> = words("I've SENT 3 parcels (no. A17) to the größte parcel, don't ask; charging charged charges").collect();
        let words: Vec<_> = found.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(
            words,
            [
                "sent", "parcels", "größte", "parcel", "ask", "charging", "charged", "charges"
            ]
        );
        assert_eq!(found[1].0, found[3].0);
        assert!(found[5..].iter().all(|(key, _)| key == "charg"));
    }
}
