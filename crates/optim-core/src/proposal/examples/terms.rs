//! The words that tell the cases of one value from all others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::ObservedCase;

/// The shortest and the longest word that is looked at.
const WORD_CHARS: std::ops::RangeInclusive<usize> = 4..=24;

/// Words of everyday English that may cluster by chance and mean nothing. Sorted.
const COMMON: [&str; 92] = [
    "about",
    "after",
    "again",
    "already",
    "also",
    "although",
    "always",
    "another",
    "anything",
    "back",
    "because",
    "been",
    "before",
    "being",
    "between",
    "both",
    "came",
    "cannot",
    "come",
    "comes",
    "could",
    "does",
    "doing",
    "done",
    "each",
    "either",
    "else",
    "even",
    "ever",
    "every",
    "everything",
    "from",
    "gets",
    "goes",
    "gone",
    "have",
    "having",
    "here",
    "into",
    "just",
    "keep",
    "keeps",
    "know",
    "like",
    "made",
    "make",
    "many",
    "maybe",
    "more",
    "most",
    "much",
    "must",
    "need",
    "never",
    "nobody",
    "nothing",
    "once",
    "only",
    "other",
    "over",
    "please",
    "really",
    "said",
    "same",
    "should",
    "since",
    "some",
    "something",
    "still",
    "such",
    "than",
    "that",
    "their",
    "them",
    "then",
    "there",
    "they",
    "thing",
    "this",
    "three",
    "through",
    "very",
    "want",
    "what",
    "when",
    "where",
    "which",
    "while",
    "with",
    "would",
    "your",
    "yours",
];

/// A word with the failing cases that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Failing cases that hold it and none of the words before it.
    pub(super) cases: usize,
}

/// For each value with failing cases, the words that are typical of it, best first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Terms(BTreeMap<String, Vec<Word>>);

impl Terms {
    /// The words of `cases` that `known` does not hold.
    pub(super) fn of(cases: &[&ObservedCase], known: &str) -> Self {
        let known = words(known);
        let held: Vec<_> =
            cases.iter().map(|case| (*case, words(&text_of(&case.inputs)))).collect();
        let values: BTreeSet<_> =
            cases.iter().filter(|case| case.failed()).map(|case| case.expected.as_str()).collect();
        let typical =
            values.into_iter().map(|value| (value.to_owned(), typical(value, &held, &known)));
        Self(typical.filter(|(_, words)| !words.is_empty()).collect())
    }

    pub(super) fn by_value(&self) -> impl Iterator<Item = (&str, &[Word])> {
        self.0.iter().map(|(value, words)| (value.as_str(), words.as_slice()))
    }

    pub(super) fn values(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// Chooses word by word: the one that speaks to most failing cases that no word before it speaks to,
/// less those of other values that hold it too.
fn typical(
    value: &str,
    held: &[(&ObservedCase, BTreeSet<String>)],
    known: &BTreeSet<String>,
) -> Vec<Word> {
    let mut open: Vec<&BTreeSet<String>> = Vec::new();
    let mut own: BTreeMap<&str, usize> = BTreeMap::new();
    let mut foreign: BTreeMap<&str, usize> = BTreeMap::new();
    for (case, words) in held {
        let counts = if case.expected == value { &mut own } else { &mut foreign };
        words.iter().for_each(|word| *counts.entry(word).or_default() += 1);
        if case.expected == value && case.failed() {
            open.push(words);
        }
    }
    let mut chosen = Vec::new();
    while !open.is_empty() {
        let mut covered: BTreeMap<&str, usize> = BTreeMap::new();
        open.iter()
            .flat_map(|words| words.iter())
            .for_each(|word| *covered.entry(word).or_default() += 1);
        let count =
            |counts: &BTreeMap<&str, usize>, word: &str| counts.get(word).copied().unwrap_or(0);
        let best = covered
            .into_iter()
            .filter(|(word, _)| !known.contains(*word) && COMMON.binary_search(word).is_err())
            // A word that other values use as often misleads as often as it helps.
            .filter(|(word, _)| count(&foreign, word) * 2 < count(&own, word))
            .max_by(|a, b| {
                let rank = |(word, cases): &(&str, usize)| {
                    (cases + count(&own, word)).saturating_sub(2 * count(&foreign, word))
                };
                rank(a).cmp(&rank(b)).then_with(|| b.0.cmp(a.0))
            });
        let Some((word, cases)) = best else { break };
        chosen.push(Word { text: word.to_owned(), cases });
        open.retain(|words| !words.contains(word));
    }
    chosen
}

/// The different words of a text, in lower case.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .map(|word| word.trim_matches('-').to_lowercase())
        .filter(|word| WORD_CHARS.contains(&word.chars().count()))
        .filter(|word| word.chars().all(|c| c.is_alphabetic() || c == '-'))
        .collect()
}

/// All text of a case's inputs.
pub(super) fn text_of(inputs: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    inputs.values().for_each(|value| collect(value, &mut lines));
    lines.join(" ")
}

fn collect<'a>(value: &'a Value, lines: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => lines.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, lines)),
        Value::Object(entries) => entries.values().for_each(|item| collect(item, lines)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
