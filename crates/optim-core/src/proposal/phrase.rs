//! Phrases of `objective.md`: sentences of its prose, harmless and short enough to quote.
//!
//! The file is data that somebody else wrote. Only plain sentences are taken from it, each as one
//! line; headings, code, tables, addresses and front matter stay behind.

use super::plain;

/// The most phrases taken from one file: those that come first.
const PHRASES_MAX: usize = 8;
/// The lengths in characters that a phrase is offered in.
const LENGTHS: [usize; 3] = [110, 60, 28];
/// A phrase of fewer words says nothing.
const WORDS_MIN: usize = 3;

/// Words that cannot end a phrase. Sorted.
const DANGLING: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "each", "every", "for", "from", "if",
    "in", "into", "is", "its", "of", "on", "one", "or", "our", "so", "than", "that", "the",
    "their", "they", "this", "to", "was", "were", "when", "which", "who", "with", "your",
];
/// Words that need more than one word after them. Sorted.
const OPENING: &[&str] = &["a", "an", "in", "of", "that", "the", "to", "which", "who"];
/// Words that limit what stands before them; a cut beside one would change the meaning. Sorted.
const LIMITING: &[&str] = &[
    "after", "although", "before", "but", "except", "if", "never", "no", "not", "only", "rather",
    "unless", "until", "when", "while", "without",
];

/// One phrase in several lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase {
    /// The lengths, longest first; at least one.
    pub(super) lengths: Vec<String>,
}

/// The first phrases of an objective, in its order.
pub(super) fn phrases(objective: &str) -> Vec<Phrase> {
    let mut found: Vec<Phrase> = Vec::new();
    for sentence in blocks(objective).iter().flat_map(|block| sentences(block)) {
        if let Some(phrase) = phrase(sentence)
            && !found.contains(&phrase)
        {
            found.push(phrase);
        }
        if found.len() == PHRASES_MAX {
            break;
        }
    }
    found
}

/// The paragraphs and list items of a Markdown text, each as one plain line.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    let mut fence: Option<&str> = None;
    for line in without_front_matter(text) {
        let trimmed = line.trim_start().trim_start_matches(['>', ' ']);
        if let Some(mark) = fence {
            fence = fence.filter(|_| !trimmed.starts_with(mark));
            continue;
        }
        fence = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        let (item, is_item) = without_list_marker(trimmed);
        if is_item || fence.is_some() || is_apart(trimmed) {
            blocks.push(String::new());
        }
        if fence.is_none()
            && !is_apart(trimmed)
            && let Some(block) = blocks.last_mut()
        {
            block.push_str(&without_links(item));
            block.push(' ');
        }
    }
    blocks.iter().map(|block| plain::line(block)).filter(|block| !block.is_empty()).collect()
}

fn without_front_matter(text: &str) -> impl Iterator<Item = &str> {
    let is_mark = |line: &str| matches!(line.trim_end(), "---" | "...");
    let mut lines = text.lines();
    let first = text.lines().next().unwrap_or_default();
    if is_mark(first) && text.lines().skip(1).any(is_mark) {
        lines.next();
        lines.find(|line| is_mark(line));
    }
    lines
}

/// Lines that are no prose: blank, heading, rule, table, comment, reference of a link.
fn is_apart(line: &str) -> bool {
    let line = line.trim();
    line.starts_with(['#', '|'])
        || line.starts_with("<!--")
        || !line.contains(char::is_alphanumeric)
        || (line.starts_with('[') && line.contains("]:"))
}

/// The line without `-`, `1.`, `[x]` and the like, and whether it had one.
fn without_list_marker(line: &str) -> (&str, bool) {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = if digits.len() < line.len() {
        digits.strip_prefix(['.', ')'])
    } else {
        line.strip_prefix(['-', '*', '+', '•'])
    };
    match rest.filter(|rest| rest.starts_with([' ', '\t'])) {
        None => (line, false),
        Some(rest) => {
            let rest = rest.trim_start();
            let boxes = ["[ ]", "[x]", "[X]"];
            (boxes.iter().find_map(|mark| rest.strip_prefix(mark)).unwrap_or(rest), true)
        }
    }
}

/// `[words](address)` becomes `words`.
fn without_links(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, tail)) = after.split_once(')') else {
            break;
        };
        out.push_str(before);
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The sentences of a plain line.
fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let mut previous = ' ';
    line.split(move |c: char| {
        let ends = c == ' ' && matches!(previous, '.' | '!' | '?' | ';' | '。');
        previous = c;
        ends
    })
}

fn phrase(sentence: &str) -> Option<Phrase> {
    let whole = sentence.trim_end_matches(|c: char| !c.is_alphanumeric() && c != ')' && c != '%');
    let mut lengths: Vec<String> = Vec::new();
    for max in LENGTHS {
        let text = shortened(whole, max);
        if let Some(text) = text
            && lengths.last().is_none_or(|longer| longer != text)
        {
            lengths.push(text.to_owned());
        }
    }
    (!lengths.is_empty()).then_some(Phrase { lengths })
}

/// At most `max` characters of `whole`, if that is still a phrase of the same meaning.
fn shortened(whole: &str, max: usize) -> Option<&str> {
    let mut head = plain::cut(whole, max);
    if head.len() < whole.len() {
        if whole.split(' ').any(|word| is_one_of(LIMITING, word)) {
            return None;
        }
        while let Some(shorter) = without_loose_end(head) {
            head = shorter;
        }
        head = head.trim_end_matches(|c: char| !c.is_alphanumeric());
    }
    (head.split(' ').count() >= WORDS_MIN).then_some(head)
}

/// `head` without a last word, or last two, that would want more words after them.
fn without_loose_end(head: &str) -> Option<&str> {
    let (before, last) = head.rsplit_once(' ')?;
    if is_one_of(DANGLING, last) {
        return Some(before);
    }
    let (shorter, second_last) = before.rsplit_once(' ')?;
    is_one_of(OPENING, second_last).then_some(shorter)
}

fn is_one_of(sorted: &[&str], word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    sorted.binary_search(&word.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn longest(text: &str) -> Vec<String> {
        phrases(text).into_iter().filter_map(|phrase| phrase.lengths.into_iter().next()).collect()
    }

    #[test]
    fn word_lists_are_sorted_for_the_binary_search() {
        assert!(DANGLING.is_sorted() && OPENING.is_sorted() && LIMITING.is_sorted());
    }

    #[test]
    fn only_sentences_are_taken_and_structure_stays_behind() {
        let text = "---\ntitle: Not this line\n---\n# Nor this heading\n\nRoute each mail to\nthe right [team](https://x.example/t). Keep it quick!\n\n\
            - [x] Name the `owner` of it\n1. **Quote** the \"order\" number\n\n```sh\nrun this command now\n```\n\
            | a | b | c |\n> Stay polite with all; answer in full\n<!-- never show this -->\n[t]: https://x.example/never/shown\nToo short.\n";
        assert_eq!(
            longest(text),
            [
                "Route each mail to the right team",
                "Keep it quick",
                "Name the owner of it",
                "Quote the order number",
                "Stay polite with all",
                "answer in full",
            ]
        );
    }

    #[test]
    fn a_long_sentence_is_offered_in_shorter_lengths_that_end_well() {
        let found = phrases(
            "Put every invoice that a customer sends us into the folder of the month in which \
             it was written, with its number.",
        );
        assert_eq!(
            found[0].lengths,
            [
                "Put every invoice that a customer sends us into the folder of the month in which it was written",
                "Put every invoice that a customer sends us",
                "Put every invoice",
            ]
        );
        assert_eq!(phrases("Write notes that a newcomer understands.")[0].lengths.len(), 1);
    }

    #[test]
    fn a_sentence_is_not_cut_before_a_word_that_limits_it() {
        let found =
            phrases("Send the refund to the customer unless the order is older than two years.");
        assert_eq!(
            found[0].lengths,
            ["Send the refund to the customer unless the order is older than two years"]
        );
    }

    proptest! {
        #[test]
        fn any_file_gives_short_single_lines(text in "[-#>*`~|a-d\\[\\](){}.!? \n\u{202e}é👍0-9:/]{0,400}") {
            for phrase in phrases(&text) {
                prop_assert!(!phrase.lengths.is_empty());
                for text in phrase.lengths {
                    prop_assert!(text.chars().count() <= LENGTHS[0]);
                    prop_assert_eq!(&plain::line(&text), &text);
                }
            }
        }
    }
}
