//! What the cases of one node say: which words go with which expected value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::words::words;
use super::{Example, Sample};
use crate::digest::{Digest, Hasher};

/// The most characters of a case's inputs that are read.
const INPUT_CHARS_MAX: usize = 8000;
/// The most words that are picked for one value.
const TERMS_MAX: usize = 8;
/// How often a failing case is worth another word: one word may not be enough to turn it.
const COVERS_MAX: usize = 2;

/// A case as the words of its inputs.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) example: &'a Example,
    pub(super) is_failing: bool,
    /// The inputs as one text.
    pub(super) text: String,
    keys: BTreeSet<String>,
}

/// The cases of one node.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) cases: Vec<Case<'a>>,
    /// For each word the cases that hold it.
    holders: BTreeMap<String, Vec<usize>>,
    /// For each word the form in which it is written most often.
    forms: BTreeMap<String, String>,
    seed: u64,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(sample: Sample<'a>, node: &crate::id::NodeId, seed: u64) -> Self {
        let failing = sample.failing.iter().map(|example| (example, true));
        let passing = sample.passing.iter().map(|example| (example, false));
        let mut cases = Vec::new();
        let mut holders: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut spellings: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for (example, is_failing) in failing
            .chain(passing)
            .filter(|(example, _)| example.node == *node)
        {
            let text = input_text(&example.inputs);
            let mut keys = BTreeSet::new();
            for (key, word) in words(&text) {
                let uses = spellings
                    .entry(key.clone())
                    .or_default()
                    .entry(word)
                    .or_default();
                *uses += 1;
                keys.insert(key);
            }
            for key in &keys {
                holders.entry(key.clone()).or_default().push(cases.len());
            }
            cases.push(Case {
                example,
                is_failing,
                text,
                keys,
            });
        }
        let forms = spellings.into_iter().filter_map(|(key, uses)| {
            // The most frequent form; of equally frequent ones the last in the alphabet.
            let form = uses.into_iter().max_by_key(|(_, count)| *count)?.0;
            Some((key, form))
        });
        Self {
            cases,
            holders,
            forms: forms.collect(),
            seed,
        }
    }

    /// The expected values of failing cases, those with most failures first.
    pub(super) fn failing_values(&self) -> Vec<&'a str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| case.is_failing) {
            *counts.entry(&case.example.expected).or_default() += 1;
        }
        let mut values: Vec<_> = counts.into_iter().collect();
        values.sort_by_cached_key(|(value, count)| (usize::MAX - count, self.lot(value)));
        values.into_iter().map(|(value, _)| value).collect()
    }

    /// Every value that a case expects or that a node gave.
    pub(super) fn all_values(&self) -> BTreeSet<&'a str> {
        let values = self.cases.iter().flat_map(|case| {
            let actual = case.example.actual.as_deref();
            [Some(case.example.expected.as_str()), actual]
        });
        values.flatten().collect()
    }

    /// Up to [`TERMS_MAX`] words that failing cases of `value` hold and cases of other values hardly
    /// do, and that are not in `text` yet. Words that several cases share come first.
    pub(super) fn terms(&self, value: &str, text: &str) -> Vec<String> {
        let known: BTreeSet<String> = words(text)
            .chain(words(value))
            .map(|(key, _)| key)
            .collect();
        let mut candidates: Vec<(&String, Tally)> = self
            .holders
            .iter()
            .filter(|(key, _)| !known.contains(*key))
            .map(|(key, holders)| (key, self.tally(value, holders)))
            .filter(|(_, tally)| tally.tells_apart())
            .collect();
        candidates.sort_by_cached_key(|(key, _)| self.lot(key));
        let mut covered = vec![0; self.cases.len()];
        let mut picked = Vec::new();
        while picked.len() < TERMS_MAX {
            let worth = |(_, tally): &(&String, Tally)| tally.worth(&covered);
            let best = candidates
                .iter()
                .enumerate()
                .rev()
                .max_by_key(|(_, candidate)| worth(candidate));
            let Some(place) = best.map(|(place, _)| place) else {
                break;
            };
            let (key, tally) = candidates.remove(place);
            for case in tally.failing {
                if let Some(times) = covered.get_mut(case) {
                    *times += 1;
                }
            }
            picked.extend(self.forms.get(key).cloned());
        }
        picked
    }

    /// Failing cases that hold one of `terms` and expect `value`, less the passing cases of other
    /// values that hold one.
    pub(super) fn gain(&self, value: &str, terms: &[String]) -> i64 {
        let keys: Vec<String> = terms
            .iter()
            .flat_map(|term| words(term))
            .map(|(key, _)| key)
            .collect();
        let holds = |case: &&Case<'_>| keys.iter().any(|key| case.keys.contains(key));
        let worth = |case: &Case<'_>| match (case.is_failing, case.example.expected == value) {
            (true, true) => 1,
            (false, false) => -1,
            (true, false) | (false, true) => 0,
        };
        self.cases.iter().filter(holds).map(worth).sum()
    }

    fn tally(&self, value: &str, holders: &[usize]) -> Tally {
        let mut tally = Tally::default();
        for place in holders {
            let Some(case) = self.cases.get(*place) else {
                continue;
            };
            match (case.example.expected == value, case.is_failing) {
                (true, true) => tally.failing.push(*place),
                (true, false) => tally.passing += 1,
                (false, _) => tally.elsewhere += 1,
            }
        }
        tally
    }

    /// Decides between equals, differently for each seed.
    fn lot(&self, text: &str) -> Digest {
        let mut hasher = Hasher::new("optim/lot/1");
        hasher.part(&self.seed.to_be_bytes()).part(text.as_bytes());
        hasher.finish()
    }
}

/// Where a word occurs, seen from one value.
#[derive(Debug, Default)]
struct Tally {
    /// The failing cases of the value, by place.
    failing: Vec<usize>,
    /// Passing cases of the value.
    passing: usize,
    /// Cases of other values.
    elsewhere: usize,
}

impl Tally {
    fn support(&self) -> usize {
        self.failing.len().saturating_add(self.passing)
    }

    /// Whether some failing case holds the word, and at least three of four cases with it are of
    /// the value.
    fn tells_apart(&self) -> bool {
        !self.failing.is_empty() && self.elsewhere.saturating_mul(3) <= self.support()
    }

    /// What the word adds to those already picked. Being shared counts twice: a word of one case
    /// says something about that case only.
    fn worth(&self, covered: &[usize]) -> (bool, usize) {
        let lacks = |place: &&usize| {
            covered
                .get(**place)
                .is_some_and(|times| *times < COVERS_MAX)
        };
        let new = self.failing.iter().filter(lacks).count();
        let value = new.saturating_mul(2).saturating_add(self.support());
        (
            self.support() > 1,
            value.saturating_sub(self.elsewhere.saturating_mul(3)),
        )
    }
}

/// All texts in `inputs`, in key order, joined.
fn input_text(inputs: &Map<String, Value>) -> String {
    fn collect(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                out.push_str(text);
                out.push('\n');
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
            Value::Object(map) => map.values().for_each(|item| collect(item, out)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut text = String::new();
    inputs.values().for_each(|value| collect(value, &mut text));
    match text.char_indices().nth(INPUT_CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}
