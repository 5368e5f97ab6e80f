//! Text as sentences, and sentences as stems.

/// English function words: they occur in every text and tell nothing apart. Sorted.
const STOP_WORDS: &[&str] = &[
    "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "because", "been", "before", "being", "but", "by", "can", "cant", "could", "did", "didnt",
    "do", "does", "doesnt", "doing", "dont", "each", "even", "every", "for", "from", "get", "go",
    "got", "had", "has", "have", "having", "he", "hello", "help", "her", "here", "hi", "him",
    "his", "how", "if", "im", "in", "into", "is", "isnt", "it", "its", "ive", "just", "like", "me",
    "more", "most", "much", "my", "no", "not", "now", "of", "off", "on", "once", "one", "only",
    "or", "other", "our", "out", "over", "please", "pls", "really", "she", "should", "so", "some",
    "still", "such", "than", "thank", "thanks", "that", "thats", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "to", "too", "us", "very", "was", "wasnt", "we",
    "were", "weve", "what", "when", "where", "which", "while", "who", "why", "will", "with",
    "wont", "would", "you", "your",
];

/// The stems of a text in text order, function words and single characters left out.
///
/// An underscore is part of a word, so that an identifier such as `first_class` stays whole.
pub(super) fn stems(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '\'' | '’')))
        .map(|word| word.replace(['\'', '’'], "").to_lowercase())
        .filter(|word| {
            word.chars().nth(1).is_some() && STOP_WORDS.binary_search(&word.as_str()).is_err()
        })
        .map(|word| stem(&word).to_owned())
        .collect()
}

/// Cuts the common English inflections, so that `charge`, `charges`, `charged` and `charging` meet.
///
/// Identifiers, numbers and words of other scripts pass unchanged.
fn stem(word: &str) -> &str {
    if !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return word;
    }
    let singular = match word.strip_suffix('s') {
        Some(rest) if rest.len() >= 3 && !rest.ends_with(['s', 'u', 'i']) => rest,
        _ => word,
    };
    let base = ["ing", "ed"]
        .iter()
        .find_map(|suffix| singular.strip_suffix(suffix).filter(|rest| is_base(rest)))
        .map_or(singular, single_ending);
    let without_e = base.strip_suffix('e').filter(|rest| rest.len() >= 3).unwrap_or(base);
    // `deliveries` has become `deliveri`: the same stem as `delivery` without its last letter.
    without_e.strip_suffix(['y', 'i']).filter(|rest| rest.len() >= 3).unwrap_or(without_e)
}

/// Whether a suffix may be cut: what is left must look like a word, so `bring` and `need` stay.
fn is_base(rest: &str) -> bool {
    rest.len() >= 3 && rest.contains(['a', 'e', 'i', 'o', 'u', 'y']) && !rest.ends_with('e')
}

/// `stopped` has become `stopp`: undoes the doubling, except where it belongs to the word (`spill`).
fn single_ending(base: &str) -> &str {
    let mut last_two = base.chars().rev();
    match (last_two.next(), last_two.next()) {
        (Some(a), Some(b)) if a == b && !matches!(a, 'l' | 's' | 'z') => {
            base.strip_suffix(a).unwrap_or(base)
        }
        _ => base,
    }
}

/// The sentences of a text, trimmed and without empty ones: a line ends one, and so does `.`, `!`
/// or `?` before white space. The `.` of `3.50` ends nothing.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    text.lines()
        .flat_map(|line| {
            let mut previous = ' ';
            line.split(move |c: char| {
                let ends = c.is_whitespace() && matches!(previous, '.' | '!' | '?');
                previous = c;
                ends
            })
        })
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_are_sorted_for_the_binary_search() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn inflections_of_a_word_share_a_stem() {
        for family in [
            &["carve", "carves", "carved", "carving"][..],
            &["stop", "stops", "stopped", "stopping"],
            &["spill", "spills", "spilled", "spilling"],
            &["fly", "flys"],
            &["pastry", "pastries"],
            &["glass"],
        ] {
            let stems: Vec<&str> = family.iter().map(|word| stem(word)).collect();
            assert!(stems.iter().all(|stem| *stem == stems[0]), "{family:?} -> {stems:?}");
        }
    }

    #[test]
    fn different_words_keep_different_stems() {
        for (a, b) in [("bring", "bran"), ("need", "net"), ("glass", "glad"), ("bus", "bun")] {
            assert_ne!(stem(a), stem(b));
        }
    }

    #[test]
    fn function_words_and_punctuation_are_dropped_and_identifiers_kept() {
        assert_eq!(stems("I've the Jars, isn't it: first_class?"), ["jar", "first_class"]);
    }

    #[test]
    fn any_script_passes() {
        assert_eq!(stems("Größe 寸法 👍 e\u{301}tude"), ["größe", "寸法", "tud"]);
    }

    #[test]
    fn a_sentence_ends_at_a_line_or_a_mark_before_space() {
        assert_eq!(
            sentences("It cost 3.50 today. Why?\n\n  No idea  "),
            ["It cost 3.50 today.", "Why?", "No idea"]
        );
    }
}
