//! The word that a person most likely meant.

/// `did you mean …?` with the word of `known` that is closest to `word`; `None` when none is close.
#[must_use]
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    // One slip in three letters; more is another word.
    let most = word.chars().count() / 3;
    let plain = |word: &str| word.to_lowercase().replace(['-', ' ', '.'], "_");
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&plain(word), &plain(known)), known))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_suggested_and_others_are_not() {
        let known = ["max_total_tokens", "max_total_cost_usd", "retry"];
        let ask = |word| did_you_mean(word, known);
        assert_eq!(ask("max_total_token").unwrap(), "did you mean `max_total_tokens`?");
        assert_eq!(ask("Max-Total Cost.USD").unwrap(), "did you mean `max_total_cost_usd`?");
        assert_eq!(ask("rerty").unwrap(), "did you mean `retry`?");
        assert_eq!(ask("profile"), None);
        assert_eq!(ask(""), None);
        assert_eq!(did_you_mean("a", ["b"]), None);
    }
}
